/// Writes certificates of any shape in DER, with a signature that nothing checks: what the reader is tried with.
struct CertificateBuilder {
    var version: [UInt8]? = DER.node(0xA0, DER.node(0x02, [2]))
    var subject: [UInt8] = DER.name([[("2.5.4.3", DER.text(0x0C, "client"))]])
    var notBefore = DER.text(0x17, "260101000000Z")
    var notAfter = DER.text(0x18, "20500101000000Z")
    var publicKeyInfo = DER.node(0x30, DER.node(0x30, DER.objectIdentifier("1.2.840.10045.2.1")) + DER.node(0x03, [0, 4, 1, 2]))
    /// Whole extensions.
    var extensions: [[UInt8]] = []
    var behind: [UInt8] = []

    static func alternativeNames(_ names: [UInt8]...) -> [UInt8] {
        DER.node(0x30, DER.objectIdentifier("2.5.29.17") + DER.node(0x04, DER.node(0x30, names.flatMap { $0 })))
    }

    var der: [UInt8] {
        let algorithm = DER.node(0x30, DER.objectIdentifier("1.2.840.10045.4.3.2"))
        let issuer = DER.name([[("2.5.4.3", DER.text(0x0C, "ca"))]])
        var body = (version ?? []) + DER.node(0x02, [1]) + algorithm + issuer
        body += DER.node(0x30, notBefore + notAfter) + subject + publicKeyInfo
        if !extensions.isEmpty { body += DER.node(0xA3, DER.node(0x30, extensions.flatMap { $0 })) }
        return DER.node(0x30, DER.node(0x30, body) + algorithm + DER.node(0x03, [0, 1, 2, 3])) + behind
    }
}

/// The parts of DER (X.690).
enum DER {
    static func node(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        var length: [UInt8] = []
        var rest = content.count
        if rest < 128 { return [tag, UInt8(rest)] + content }
        while rest > 0 {
            length.insert(UInt8(rest & 0xFF), at: 0)
            rest >>= 8
        }
        return [tag, 0x80 | UInt8(length.count)] + length + content
    }

    static func text(_ tag: UInt8, _ text: String) -> [UInt8] { node(tag, Array(text.utf8)) }

    static func objectIdentifier(_ text: String) -> [UInt8] {
        let numbers = text.split(separator: ".").map { Int($0) ?? 0 }
        let groups = ([numbers[0] * 40 + numbers[1]] + numbers.dropFirst(2)).flatMap { number -> [UInt8] in
            var bytes = [UInt8(number & 127)]
            var rest = number >> 7
            while rest > 0 {
                bytes.insert(UInt8(rest & 127) | 128, at: 0)
                rest >>= 7
            }
            return bytes
        }
        return node(0x06, groups)
    }

    static func name(_ parts: [[(type: String, value: [UInt8])]]) -> [UInt8] {
        node(0x30, parts.flatMap { part in node(0x31, part.flatMap { node(0x30, objectIdentifier($0.type) + $0.value) }) })
    }
}
