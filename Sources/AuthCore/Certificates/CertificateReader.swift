internal import SwiftASN1

/// Reads from the DER of a certificate what `ClientCertificate` tells (RFC 5280 §4.1).
///
/// It looks only at what is needed and checks no signature; whoever judges chains reads the certificate with its own eyes. What
/// could be read in two ways is refused: an extension that comes twice, a NUL in a name, a text that is not of its type.
enum CertificateReader {
    struct Fields {
        var subject: DistinguishedName
        var alternativeNames: [AlternativeName] = []
        var notBefore: Instant
        var notAfter: Instant
        var publicKeyInfo: [UInt8]
    }

    /// The most alternative names, and the most extensions.
    static let namesMax = 128
    private static let extensionsMax = 64
    private static let subjectAltName: [UInt8] = [0x55, 0x1D, 0x11]

    static func read(_ der: [UInt8]) throws(ClientCertificateError) -> Fields {
        guard der.count <= ClientCertificate.bytesMax else { throw .tooLarge }
        // The parser tells where and what in words that nobody needs; a stranger wrote the bytes.
        guard let root = try? DER.parse(der), let fields = fields(root) else { throw .malformed }
        return fields
    }

    private static func fields(_ root: ASN1Node) -> Fields? {
        guard let certificate = children(root, .sequence), certificate.count == 3,
            children(certificate[1], .sequence) != nil, content(certificate[2], .bitString) != nil,
            var body = children(certificate[0], .sequence)?[...]
        else { return nil }
        let version = tagged(0)
        if body.first?.identifier == version { body.removeFirst() }
        guard body.count >= 6 else { return nil }
        let parts = Array(body.prefix(6))
        guard content(parts[0], .integer) != nil, children(parts[1], .sequence) != nil, children(parts[2], .sequence) != nil,
            let validity = children(parts[3], .sequence), validity.count == 2,
            let notBefore = instant(validity[0]), let notAfter = instant(validity[1]),
            let subject = name(parts[4]), children(parts[5], .sequence) != nil
        else { return nil }
        var fields = Fields(subject: subject, notBefore: notBefore, notAfter: notAfter, publicKeyInfo: Array(parts[5].encodedBytes))
        // Two unique identifiers that nobody uses, and the extensions.
        var last: UInt = 0
        for node in body.dropFirst(6) {
            guard node.identifier.tagClass == .contextSpecific, (1...3).contains(node.identifier.tagNumber),
                node.identifier.tagNumber > last
            else { return nil }
            last = node.identifier.tagNumber
            guard last == 3 else { continue }
            guard let names = alternativeNames(node) else { return nil }
            fields.alternativeNames = names
        }
        return fields
    }

    private static func alternativeNames(_ node: ASN1Node) -> [AlternativeName]? {
        guard case .constructed(let inner) = node.content, let sequence = only(inner), let list = children(sequence, .sequence),
            (1...extensionsMax).contains(list.count)
        else { return nil }
        var seen: Set<[UInt8]> = []
        var names: [AlternativeName] = []
        for item in list {
            guard let fields = children(item, .sequence), (2...3).contains(fields.count),
                let type = content(fields[0], .objectIdentifier), seen.insert(Array(type)).inserted,
                let value = content(fields[fields.count - 1], .octetString)
            else { return nil }
            if fields.count == 3, content(fields[1], .boolean) == nil { return nil }
            if type.elementsEqual(subjectAltName) {
                guard let found = generalNames(value) else { return nil }
                names = found
            }
        }
        return names
    }

    private static func generalNames(_ value: ArraySlice<UInt8>) -> [AlternativeName]? {
        // As in `read`.
        guard let sequence = try? DER.parse(value), let list = children(sequence, .sequence), (1...namesMax).contains(list.count) else {
            return nil
        }
        var names: [AlternativeName] = []
        for item in list {
            guard item.identifier.tagClass == .contextSpecific else { return nil }
            // Each of the four is an implicitly tagged primitive; another form of theirs is no DER.
            guard case .primitive(let bytes) = item.content else {
                if [1, 2, 6, 7].contains(item.identifier.tagNumber) { return nil }
                continue
            }
            let name: AlternativeName?
            switch item.identifier.tagNumber {
            case 1: name = AlternativeName(email: bytes)
            case 2: name = AlternativeName(dns: bytes)
            case 6: name = AlternativeName(uri: bytes)
            case 7: name = AlternativeName(ip: bytes)
            default: continue
            }
            guard let name else { return nil }
            names.append(name)
        }
        return names
    }

    // MARK: Names

    private static func name(_ node: ASN1Node) -> DistinguishedName? {
        guard let sets = children(node, .sequence), sets.count <= DistinguishedName.partsMax else { return nil }
        var parts: [[DistinguishedName.Attribute]] = []
        for set in sets {
            guard let attributes = children(set, .set), (1...DistinguishedName.partsMax).contains(attributes.count) else { return nil }
            var part: [DistinguishedName.Attribute] = []
            for attribute in attributes {
                guard let pair = children(attribute, .sequence), pair.count == 2, let type = content(pair[0], .objectIdentifier),
                    !type.isEmpty, let value = value(pair[1])
                else { return nil }
                part.append(DistinguishedName.Attribute(type: Array(type), value: value))
            }
            parts.append(part)
        }
        return DistinguishedName(parts: parts)
    }

    /// A text of any of the string types as UTF-8; anything else as it is; nothing for a text that is not of its type, or that has
    /// control characters.
    static func value(_ node: ASN1Node) -> DistinguishedName.Attribute.Value? {
        guard case .primitive(let bytes) = node.content else { return .other(Array(node.encodedBytes)) }
        let text: [UInt8]?
        switch node.identifier {
        case .utf8String: text = Array(bytes)
        // T.61 has meant many things; what is ASCII in it means the same in all.
        case .printableString, .ia5String, .numericString, .visibleString, .teletexString:
            text = bytes.allSatisfy { $0 < 0x80 } ? Array(bytes) : nil
        case .bmpString: text = units(bytes, width: 2)
        case .universalString: text = units(bytes, width: 4)
        default: return .other(Array(node.encodedBytes))
        }
        guard let text, isText(text) else { return nil }
        return .text(text)
    }

    /// UTF-8 without control characters.
    static func isText(_ bytes: [UInt8]) -> Bool {
        bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F } && String(validating: bytes, as: UTF8.self) != nil
    }

    /// Code points in two or four bytes each, big-endian; no surrogates in either.
    private static func units(_ bytes: ArraySlice<UInt8>, width: Int) -> [UInt8]? {
        guard bytes.count % width == 0 else { return nil }
        var text = String.UnicodeScalarView()
        var value: UInt32 = 0
        for (offset, byte) in bytes.enumerated() {
            value = value << 8 | UInt32(byte)
            guard offset % width == width - 1 else { continue }
            guard let scalar = Unicode.Scalar(value) else { return nil }
            text.append(scalar)
            value = 0
        }
        return Array(String(text).utf8)
    }

    // MARK: Nodes

    private static func tagged(_ number: UInt) -> ASN1Identifier { ASN1Identifier(tagWithNumber: number, tagClass: .contextSpecific) }

    private static func children(_ node: ASN1Node, _ identifier: ASN1Identifier) -> [ASN1Node]? {
        guard node.identifier == identifier, case .constructed(let nodes) = node.content else { return nil }
        return Array(nodes)
    }

    private static func only(_ nodes: ASN1NodeCollection) -> ASN1Node? {
        let all = Array(nodes)
        return all.count == 1 ? all[0] : nil
    }

    private static func content(_ node: ASN1Node, _ identifier: ASN1Identifier) -> ArraySlice<UInt8>? {
        guard node.identifier == identifier, case .primitive(let bytes) = node.content else { return nil }
        return bytes
    }

    /// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ` (RFC 5280 §4.1.2.5).
    private static func instant(_ node: ASN1Node) -> Instant? {
        let yearDigits: Int
        switch node.identifier {
        case .utcTime: yearDigits = 2
        case .generalizedTime: yearDigits = 4
        default: return nil
        }
        guard let text = content(node, node.identifier), text.count == yearDigits + 11, text.last == UInt8(ascii: "Z") else { return nil }
        let digits = text.dropLast()
        guard digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        func number(_ offset: Int, _ count: Int) -> Int {
            digits.dropFirst(offset).prefix(count).reduce(0) { $0 * 10 + Int($1 - 0x30) }
        }
        var year = number(0, yearDigits)
        if yearDigits == 2 { year += year < 50 ? 2_000 : 1_900 }
        let rest = (0..<5).map { number(yearDigits + 2 * $0, 2) }
        guard (1...12).contains(rest[0]), rest[1] >= 1, rest[2] < 24, rest[3] < 60, rest[4] < 60 else { return nil }
        let isLast = rest[0] == 12
        let nextMonth = day(isLast ? year + 1 : year, isLast ? 1 : rest[0] + 1, 1)
        guard day(year, rest[0], rest[1]) < nextMonth else { return nil }
        return Instant(seconds: Int64(day(year, rest[0], rest[1]) * 86_400 + rest[2] * 3_600 + rest[3] * 60 + rest[4]))
    }

    /// Days since 1970-01-01 in the Gregorian calendar; years begin in March, so that the leap day is the last.
    private static func day(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        // The year 0000 in January would go below zero.
        let (era, ofEra) = shifted < 0 ? (-1, shifted + 400) : (shifted / 400, shifted % 400)
        let ofYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468
    }
}
