internal import SwiftASN1

extension DistinguishedName {
    /// The most bytes that a name in text may have.
    static let textBytesMax = 4_096

    /// Reads a name in the form of RFC 4514 §3: `CN=billing,O=Example\, Inc.,C=DE`, the most significant part last.
    ///
    /// Blanks around a separator are left out, as RFC 2253 §4 had it and as people write them; a blank that belongs to a value has
    /// its backslash. Values in quotes are refused, and so are a separator `;`, an unknown short name, and an empty value.
    public init?(rfc4514 text: String) {
        let bytes = Array(text.utf8)
        guard (1...DistinguishedName.textBytesMax).contains(bytes.count) else { return nil }
        var reader = NameTextReader(bytes)
        guard let parts = reader.parts() else { return nil }
        self.init(parts: parts.reversed())
    }
}

/// Reads a name in the form of RFC 4514 from its front to its end.
private struct NameTextReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipBlanks() { while next == UInt8(ascii: " ") { position += 1 } }

    mutating func parts() -> [[DistinguishedName.Attribute]]? {
        var parts: [[DistinguishedName.Attribute]] = []
        var part: [DistinguishedName.Attribute] = []
        while true {
            guard part.count < DistinguishedName.partsMax, let attribute = attribute() else { return nil }
            part.append(attribute)
            let separator = next
            position += 1
            if separator == UInt8(ascii: "+") { continue }
            parts.append(part)
            part = []
            guard separator == UInt8(ascii: ",") else { return separator == nil ? parts : nil }
            guard parts.count < DistinguishedName.partsMax else { return nil }
        }
    }

    private mutating func attribute() -> DistinguishedName.Attribute? {
        skipBlanks()
        let start = position
        while let byte = next, isTypeCharacter(byte) { position += 1 }
        guard let type = AttributeType.encoded(bytes[start..<position]) else { return nil }
        skipBlanks()
        guard next == UInt8(ascii: "=") else { return nil }
        position += 1
        skipBlanks()
        guard let value = next == UInt8(ascii: "#") ? hexadecimalValue() : text() else { return nil }
        return DistinguishedName.Attribute(type: type, value: value)
    }

    private func isTypeCharacter(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
    }

    /// `#` and the DER of a value, a text included.
    private mutating func hexadecimalValue() -> DistinguishedName.Attribute.Value? {
        position += 1
        var der: [UInt8] = []
        while let high = next.flatMap(hexadecimal) {
            position += 1
            guard let low = next.flatMap(hexadecimal) else { return nil }
            position += 1
            der.append(high << 4 | low)
        }
        skipBlanks()
        // What is no DER is no value; there is nothing to tell of it.
        guard !der.isEmpty, let node = try? DER.parse(der) else { return nil }
        return CertificateReader.value(node)
    }

    private mutating func text() -> DistinguishedName.Attribute.Value? {
        var value: [UInt8] = []
        // Blanks behind this belong to the separator.
        var kept = 0
        scan: while let byte = next {
            switch byte {
            case UInt8(ascii: ","), UInt8(ascii: "+"): break scan
            case UInt8(ascii: "\\"):
                position += 1
                guard let escaped = escaped() else { return nil }
                value.append(escaped)
                kept = value.count
            case UInt8(ascii: "\""), UInt8(ascii: ";"), UInt8(ascii: "<"), UInt8(ascii: ">"), 0..<0x20, 0x7F: return nil
            default:
                position += 1
                value.append(byte)
                if byte != UInt8(ascii: " ") { kept = value.count }
            }
        }
        value.removeLast(value.count - kept)
        guard !value.isEmpty, CertificateReader.isText(value) else { return nil }
        return .text(value)
    }

    /// What stands behind a backslash: one of the special characters, or two digits.
    private mutating func escaped() -> UInt8? {
        guard let byte = next else { return nil }
        position += 1
        if " \"#+,;<=>\\".utf8.contains(byte) { return byte }
        guard let high = hexadecimal(byte), let low = next.flatMap(hexadecimal) else { return nil }
        position += 1
        return high << 4 | low
    }

    private func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46, 0x61...0x66: (byte | 0x20) - 0x61 + 10
        default: nil
        }
    }
}
