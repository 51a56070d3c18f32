package import AuthCore

/// Why a text is no password hash that Gatehouse takes, or a hash could not be computed.
package enum PasswordHashError: String, Error, Sendable, Equatable {
    case malformed = "password_hash_malformed"
    /// A format that is not in the list.
    case unsupported = "password_hash_unsupported"
    /// Its parameters ask for more memory or time than is granted to anybody.
    case tooCostly = "password_hash_too_costly"
    /// The machine has no memory for it now.
    case unavailable = "password_hash_unavailable"
}

/// A stored password hash: our own Argon2id in the PHC string format, or one that was imported (PW-13).
///
/// Parsing is strict and bounded, and it is the only gate: what parsed can be verified within `memoryBytesMax` and in
/// seconds, whoever wrote it.
///
/// | format | text |
/// |---|---|
/// | Argon2id, Argon2i, Argon2d | `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH` (RFC 9106; without `v` it is version 16) |
/// | bcrypt | `$2a$`, `$2b$`, `$2y$` |
/// | PBKDF2 | `$pbkdf2-sha256$ROUNDS$SALT$HASH` (passlib), `pbkdf2_sha256$ROUNDS$SALT$HASH` (Django), both also with sha512 |
/// | scrypt | `$scrypt$ln=16,r=8,p=1$SALT$HASH` (passlib), `$7$` (crypt) |
/// | crypt | `$6$` (SHA-512), `$y$` (yescrypt) |
package struct PasswordHash: Sendable {
    /// The longest text.
    package static let textBytesMax = 512
    /// The most memory that one verification may take.
    package static let memoryBytesMax = 1 << 30

    enum Scheme: Sendable {
        case argon2(Argon2Hash)
        case pbkdf2(PBKDF2Hash)
        case scrypt(ScryptHash)
        case crypt(CryptHash)
    }

    /// As it is stored.
    package let text: Secret<String>
    let scheme: Scheme

    package init(parsing text: Secret<String>) throws(PasswordHashError) {
        let bytes = Array(text.exposed.utf8)
        guard !bytes.isEmpty, bytes.count <= PasswordHash.textBytesMax, bytes.allSatisfy({ (0x21...0x7E) ~= $0 }) else { throw .malformed }
        self.text = text
        scheme = try PasswordHash.scheme(bytes)
    }

    private static func scheme(_ bytes: [UInt8]) throws(PasswordHashError) -> Scheme {
        let fields = bytes.split(separator: UInt8(ascii: "$"), omittingEmptySubsequences: false)
        if bytes[0] != UInt8(ascii: "$") {
            guard let hash = try PBKDF2Hash(django: fields) else { throw .unsupported }
            return .pbkdf2(hash)
        }
        guard fields.count >= 3 else { throw .malformed }
        let parts = Array(fields.dropFirst())
        if let hash = try Argon2Hash(parts) { return .argon2(hash) }
        if let hash = try PBKDF2Hash(passlib: parts) { return .pbkdf2(hash) }
        if let hash = try ScryptHash(parts) { return .scrypt(hash) }
        if let hash = try CryptHash(bytes, parts) { return .crypt(hash) }
        throw .unsupported
    }

    /// What it is, for reports and metrics: `argon2id`, `bcrypt`, `pbkdf2-sha256`, `scrypt`, `sha512crypt`, `yescrypt`, …
    package var format: String {
        switch scheme {
        case .argon2(let hash): hash.variant.rawValue
        case .pbkdf2(let hash): hash.digest.rawValue
        case .scrypt: "scrypt"
        case .crypt(let hash): hash.kind.rawValue
        }
    }

    /// Whether a new hash with `parameters` would be stronger: another format, or less memory, or less work (PW-08).
    package func needsUpgrade(to parameters: Argon2Parameters) -> Bool {
        guard case .argon2(let hash) = scheme else { return true }
        return hash.isWeaker(than: parameters)
    }

    /// Whether these bytes are the password. Blocks for the whole computation; compares in constant time (PW-14).
    func matches(_ password: [UInt8]) throws(PasswordHashError) -> Bool {
        // crypt(3) stops at a NUL, and HMAC pads its key with NULs: to both, `a` and `a` with a NUL are one password.
        if isForeign, password.contains(0) { return false }
        return switch scheme {
        case .argon2(let hash): try hash.matches(password)
        case .pbkdf2(let hash): try hash.matches(password)
        case .scrypt(let hash): try hash.matches(password)
        case .crypt(let hash): try hash.matches(password)
        }
    }

    /// Whether it was made elsewhere, perhaps from a password in no normal form.
    var isForeign: Bool {
        if case .argon2 = scheme { false } else { true }
    }
}

/// The pieces that the formats share.
enum HashText {
    /// A whole number in `range`: digits only, no sign, no leading zero.
    ///
    /// - Throws: `.tooCostly` above the range, `.malformed` for everything else.
    static func number(_ digits: ArraySlice<UInt8>, _ range: ClosedRange<Int>) throws(PasswordHashError) -> Int {
        guard !digits.isEmpty, digits.count <= 12, digits.allSatisfy({ (0x30...0x39) ~= $0 }),
            digits.count == 1 || digits.first != 0x30
        else { throw .malformed }
        // Twelve digits fit 64 bits.
        let value = digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        if value > range.upperBound { throw .tooCostly }
        guard value >= range.lowerBound else { throw .malformed }
        return value
    }

    /// `m=1,t=2,p=3`: exactly these names in this order.
    static func parameters(_ text: ArraySlice<UInt8>, _ names: [String]) throws(PasswordHashError) -> [ArraySlice<UInt8>] {
        let parts = text.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        guard parts.count == names.count else { throw .malformed }
        var values: [ArraySlice<UInt8>] = []
        for (part, name) in zip(parts, names) {
            let prefix = Array(name.utf8) + [UInt8(ascii: "=")]
            guard part.starts(with: prefix) else { throw .malformed }
            values.append(part.dropFirst(prefix.count))
        }
        return values
    }

    /// Standard base64 without padding (the PHC string format), or with `.` for `+` (passlib).
    static func base64(_ text: ArraySlice<UInt8>, plus: UInt8 = UInt8(ascii: "+")) -> [UInt8]? {
        var translated: [UInt8] = []
        translated.reserveCapacity(text.count)
        for byte in text {
            switch byte {
            case plus: translated.append(UInt8(ascii: "-"))
            case UInt8(ascii: "/"): translated.append(UInt8(ascii: "_"))
            case UInt8(ascii: "-"), UInt8(ascii: "_"): return nil
            default: translated.append(byte)
            }
        }
        return Base64URL.decode(translated)
    }

    /// Standard base64 without padding.
    static func base64(_ bytes: [UInt8]) -> String {
        let text = Base64URL.encodedBytes(bytes).map { (byte) -> UInt8 in
            switch byte {
            case UInt8(ascii: "-"): UInt8(ascii: "+")
            case UInt8(ascii: "_"): UInt8(ascii: "/")
            default: byte
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The value of a character in crypt's own base64: `./0-9A-Za-z`.
    static func cryptDigit(_ byte: UInt8) -> Int? {
        switch byte {
        case UInt8(ascii: "."): 0
        case UInt8(ascii: "/"): 1
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(byte - UInt8(ascii: "0")) + 2
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): Int(byte - UInt8(ascii: "A")) + 12
        case UInt8(ascii: "a")...UInt8(ascii: "z"): Int(byte - UInt8(ascii: "a")) + 38
        default: nil
        }
    }
}

extension ArraySlice<UInt8> {
    /// Whether these are exactly the bytes of `text`.
    func isText(_ text: String) -> Bool { elementsEqual(text.utf8) }
}
