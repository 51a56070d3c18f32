/// The name of a subject: a sequence of sets of attributes (X.501, RFC 5280 §4.1.2.4).
///
/// Two names are equal when their parts are, in order, and each part has the same attributes, whatever the string type they were
/// written in. Texts are compared by code point: no folding of case, no squeezing of blanks, no normalisation. That is stricter
/// than the distinguishedNameMatch of RFC 4517, and what a registered name must be written like is what the CA writes.
public struct DistinguishedName: Hashable, Sendable {
    public struct Attribute: Hashable, Sendable {
        public enum Value: Hashable, Sendable {
            /// The UTF-8 of a text of any string type.
            case text([UInt8])
            /// The DER of anything else.
            case other([UInt8])
        }

        /// The content of the DER of its object identifier.
        public let type: [UInt8]
        public let value: Value
    }

    /// The most parts of a name, and attributes of one part.
    static let partsMax = 64

    /// In the order of the certificate, the most significant first; attributes of a part in a fixed order.
    public let parts: [[Attribute]]

    init(parts: [[Attribute]]) {
        self.parts = parts.map { part in part.count < 2 ? part : part.sorted(by: DistinguishedName.isBefore) }
    }

    public var isEmpty: Bool { parts.isEmpty }

    private static func isBefore(_ left: Attribute, _ right: Attribute) -> Bool {
        func key(_ attribute: Attribute) -> [UInt8] {
            switch attribute.value {
            case .text(let bytes): attribute.type + [0, 0] + bytes
            case .other(let bytes): attribute.type + [0, 1] + bytes
            }
        }
        return key(left).lexicographicallyPrecedes(key(right))
    }
}

/// The attribute types that have a short name (RFC 4514 §3, RFC 4519, and those that certificates are full of).
enum AttributeType {
    private static let attributes: [(name: StaticString, type: [UInt8])] = [
        ("cn", [0x55, 4, 3]), ("sn", [0x55, 4, 4]), ("serialnumber", [0x55, 4, 5]), ("c", [0x55, 4, 6]), ("l", [0x55, 4, 7]),
        ("st", [0x55, 4, 8]), ("street", [0x55, 4, 9]), ("o", [0x55, 4, 10]), ("ou", [0x55, 4, 11]), ("title", [0x55, 4, 12]),
        ("postalcode", [0x55, 4, 17]), ("name", [0x55, 4, 41]), ("givenname", [0x55, 4, 42]), ("gn", [0x55, 4, 42]),
        ("initials", [0x55, 4, 43]), ("generationqualifier", [0x55, 4, 44]), ("dnqualifier", [0x55, 4, 46]),
        ("pseudonym", [0x55, 4, 65]), ("organizationidentifier", [0x55, 4, 97]),
        ("dc", [0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 1, 25]),
        ("uid", [0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 1, 1]),
        ("emailaddress", [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 1]),
    ]

    /// - Parameter text: A short name in any case, or the numbers of an object identifier with dots between.
    static func encoded(_ text: some Collection<UInt8>) -> [UInt8]? {
        if let first = text.first, (0x30...0x39).contains(first) { return objectIdentifier(text) }
        return attributes.first { entry in
            text.count == entry.name.utf8CodeUnitCount
                && zip(text, 0...).allSatisfy { byte, offset in lowercasedASCII(byte) == entry.name.utf8Start[offset] }
        }?.type
    }

    /// X.690 §8.19: the first two numbers in one, each in groups of seven bits.
    private static func objectIdentifier(_ text: some Collection<UInt8>) -> [UInt8]? {
        var numbers: [UInt64] = []
        for part in text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            // Eighteen digits do not overflow; a number of more is no attribute type of anybody.
            guard (1...18).contains(part.count), part.allSatisfy({ (0x30...0x39).contains($0) }), numbers.count < 32 else { return nil }
            guard part.count == 1 || part.first != UInt8(ascii: "0") else { return nil }
            numbers.append(part.reduce(0) { $0 * 10 + UInt64($1 - 0x30) })
        }
        guard numbers.count >= 2, numbers[0] <= 2, numbers[0] == 2 || numbers[1] <= 39 else { return nil }
        let first = numbers[0] * 40 + numbers[1]
        return ([first] + numbers.dropFirst(2)).flatMap { number in
            var groups = [UInt8(number & 0x7F)]
            var rest = number >> 7
            while rest > 0 {
                groups.append(UInt8(rest & 0x7F) | 0x80)
                rest >>= 7
            }
            return groups.reversed()
        }
    }
}
