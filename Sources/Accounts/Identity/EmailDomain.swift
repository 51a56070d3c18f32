internal import AuthCore

/// The domain of an e-mail address as a DNS name in A-labels and small letters (RFC 5890 §2.3.2.1, RFC 1123 §2.1).
enum EmailDomain {
    static func canonical(_ bytes: ArraySlice<UInt8>) throws(IdentifierRefusal) -> String {
        let labels = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard labels.count >= 2 else { throw .emailDomain }
        var names: [String] = []
        for label in labels { names.append(try aLabel(label)) }
        let domain = names.joined(separator: ".")
        // A last label of digits alone would be an IPv4 address.
        guard domain.utf8.count <= 253, let last = names.last, !last.utf8.allSatisfy({ (0x30...0x39) ~= $0 }) else { throw .emailDomain }
        return domain
    }

    private static func aLabel(_ label: ArraySlice<UInt8>) throws(IdentifierRefusal) -> String {
        var name = label.map(lowercasedASCII)
        if !label.allSatisfy({ $0 < 0x80 }) {
            guard let text = String(validating: label, as: UTF8.self) else { throw .emailDomain }
            let unicode = try Canonical.letters(Substring(text))
            // Full-width letters have become ordinary ones: such a label is no U-label any more.
            if Normalization.isASCII(unicode) {
                name = Array(unicode.utf8)
            } else {
                guard let encoded = Punycode.encode(unicode) else { throw .emailDomain }
                name = Array("xn--".utf8) + encoded
            }
        }
        guard (1...63) ~= name.count, name.first != UInt8(ascii: "-"), name.last != UInt8(ascii: "-"), name.allSatisfy(isHostByte) else {
            throw .emailDomain
        }
        return String(decoding: name, as: UTF8.self)
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        (0x61...0x7A) ~= byte || (0x30...0x39) ~= byte || byte == UInt8(ascii: "-")
    }
}

/// RFC 3492 §6.3.
enum Punycode {
    /// - Parameter label: At most 255 bytes, which keeps every number below far from its bounds.
    /// - Returns: Nothing when it is longer.
    static func encode(_ label: String) -> [UInt8]? {
        let scalars = label.unicodeScalars.map { Int($0.value) }
        guard scalars.count <= 255 else { return nil }
        var output = scalars.filter { $0 < 0x80 }.map { UInt8($0) }
        let basicCount = output.count
        if basicCount > 0 { output.append(UInt8(ascii: "-")) }
        var handled = basicCount
        var code = 0x80
        var delta = 0
        var bias = 72
        while handled < scalars.count, let least = scalars.lazy.filter({ $0 >= code }).min() {
            delta += (least - code) * (handled + 1)
            code = least
            for scalar in scalars {
                if scalar < code { delta += 1 }
                guard scalar == code else { continue }
                append(delta, bias: bias, to: &output)
                bias = adapted(delta, count: handled + 1, isFirst: handled == basicCount)
                delta = 0
                handled += 1
            }
            delta += 1
            code += 1
        }
        return output
    }

    private static func append(_ delta: Int, bias: Int, to output: inout [UInt8]) {
        var rest = delta
        var position = 36
        while true {
            let threshold = min(max(position - bias, 1), 26)
            if rest < threshold { break }
            output.append(digit(threshold + (rest - threshold) % (36 - threshold)))
            rest = (rest - threshold) / (36 - threshold)
            position += 36
        }
        output.append(digit(rest))
    }

    private static func adapted(_ delta: Int, count: Int, isFirst: Bool) -> Int {
        var rest = isFirst ? delta / 700 : delta / 2
        rest += rest / count
        var position = 0
        while rest > 455 {
            rest /= 35
            position += 36
        }
        return position + 36 * rest / (rest + 38)
    }

    /// `a`…`z`, then `0`…`9`.
    private static func digit(_ value: Int) -> UInt8 { UInt8(value < 26 ? 0x61 + value : 0x30 + value - 26) }
}
