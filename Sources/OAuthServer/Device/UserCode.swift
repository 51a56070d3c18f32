package import AuthCore

/// What a device shows and a person types (RFC 8628 §6.1): eight consonants, so that no word comes of it and none is taken for a digit;
/// 34 bits, which with throttled guesses and ten minutes to live is enough (§5.1).
package struct UserCode: Sendable, Hashable {
    private static let alphabet = Array("BCDFGHJKLMNPQRSTVWXZ".utf8)
    private static let count = 8
    /// The longest text that is read, in bytes.
    private static let textBytesMax = 64

    private let letters: [UInt8]

    package init(_ environment: Environment) {
        var letters: [UInt8] = []
        while letters.count < UserCode.count {
            // The 16 bytes beyond the last whole 20 would make some letters likelier than others.
            for byte in environment.randomBytes(16) where byte < 240 && letters.count < UserCode.count {
                letters.append(UserCode.alphabet[Int(byte) % UserCode.alphabet.count])
            }
        }
        self.letters = letters
    }

    /// Reads what somebody typed: case, dashes and spaces do not matter.
    package init?(typed text: String) {
        guard text.utf8.count <= UserCode.textBytesMax else { return nil }
        var letters: [UInt8] = []
        for byte in text.utf8 where byte != UInt8(ascii: "-") && byte != UInt8(ascii: " ") {
            let upper = (UInt8(ascii: "a")...UInt8(ascii: "z")) ~= byte ? byte - 32 : byte
            guard UserCode.alphabet.contains(upper) else { return nil }
            letters.append(upper)
        }
        guard letters.count == UserCode.count else { return nil }
        self.letters = letters
    }

    /// `XXXX-XXXX`.
    package var shown: String {
        String(decoding: letters.prefix(UserCode.count / 2), as: UTF8.self) + "-"
            + String(decoding: letters.suffix(UserCode.count / 2), as: UTF8.self)
    }

    /// What it is parked under.
    var id: Identifier { Identifier(Base64URL.encode(TokenHash(of: letters).bytes)) }
}
