/// Base64url without padding (RFC 4648 §5, RFC 7515 §2), strict: one text for each sequence of bytes.
///
/// Padding, white space, the standard alphabet and trailing bits that are not zero are refused, so nobody can
/// write the same token in two ways (JW-15).
public enum Base64URL {
    private static let alphabet: [UInt8] = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    private static let values: [UInt8] = {
        var table = [UInt8](repeating: 0xFF, count: 256)
        for (value, character) in alphabet.enumerated() { table[Int(character)] = UInt8(value) }
        return table
    }()

    public static func encode(_ bytes: some Collection<UInt8>) -> String {
        if let text = bytes.withContiguousStorageIfAvailable({ encode($0) }) { return text }
        return Array(bytes).withUnsafeBufferPointer { encode($0) }
    }

    public static func encodedBytes(_ bytes: some Collection<UInt8>) -> [UInt8] {
        if let text = bytes.withContiguousStorageIfAvailable({ encodedBytes($0) }) { return text }
        return Array(bytes).withUnsafeBufferPointer { encodedBytes($0) }
    }

    private static func encode(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
        String(unsafeUninitializedCapacity: encodedCount(bytes.count)) { write(bytes, to: $0) }
    }

    private static func encodedBytes(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: encodedCount(bytes.count)) { output, initialized in initialized = write(bytes, to: output) }
    }

    private static func encodedCount(_ count: Int) -> Int { (count * 4 + 2) / 3 }

    /// - Returns: How many bytes were written: `encodedCount`.
    private static func write(_ bytes: UnsafeBufferPointer<UInt8>, to output: UnsafeMutableBufferPointer<UInt8>) -> Int {
        alphabet.withUnsafeBufferPointer { alphabet in
            func character(_ bits: UInt32) -> UInt8 { alphabet[Int(bits & 63)] }
            var written = 0
            let whole = bytes.count / 3
            for group in 0..<whole {
                let start = group * 3
                let three = UInt32(bytes[start]) << 16 | UInt32(bytes[start + 1]) << 8 | UInt32(bytes[start + 2])
                output[written] = character(three >> 18)
                output[written + 1] = character(three >> 12)
                output[written + 2] = character(three >> 6)
                output[written + 3] = character(three)
                written += 4
            }
            let rest = bytes.count - whole * 3
            if rest > 0 {
                let start = whole * 3
                let last = UInt32(bytes[start]) << 16 | (rest == 2 ? UInt32(bytes[start + 1]) << 8 : 0)
                output[written] = character(last >> 18)
                output[written + 1] = character(last >> 12)
                if rest == 2 { output[written + 2] = character(last >> 6) }
                written += rest + 1
            }
            return written
        }
    }

    public static func decode(_ text: String) -> [UInt8]? {
        var copy = text
        return copy.withUTF8 { decode($0) }
    }

    public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        if let decoded = text.withContiguousStorageIfAvailable({ decode($0) }) { return decoded }
        return Array(text).withUnsafeBufferPointer { decode($0) }
    }

    public static func decode(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        let whole = text.count / 4
        let rest = text.count % 4
        if rest == 1 { return nil }
        let count = whole * 3 + (rest == 0 ? 0 : rest - 1)
        // The sixth and seventh bits are set by what is outside the alphabet (0xFF), and looked at once at the end.
        var seen: UInt8 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { output, initialized in
            values.withUnsafeBufferPointer { values in
                func value(_ position: Int) -> UInt32 {
                    let value = values[Int(text[position])]
                    seen |= value
                    return UInt32(value)
                }
                var written = 0
                for group in 0..<whole {
                    let start = group * 4
                    let three = value(start) << 18 | value(start + 1) << 12 | value(start + 2) << 6 | value(start + 3)
                    output[written] = UInt8(truncatingIfNeeded: three >> 16)
                    output[written + 1] = UInt8(truncatingIfNeeded: three >> 8)
                    output[written + 2] = UInt8(truncatingIfNeeded: three)
                    written += 3
                }
                if rest > 1 {
                    let start = whole * 4
                    let last = value(start) << 12 | value(start + 1) << 6 | (rest == 3 ? value(start + 2) : 0)
                    output[written] = UInt8(truncatingIfNeeded: last >> 10)
                    if rest == 3 { output[written + 1] = UInt8(truncatingIfNeeded: last >> 2) }
                    // Bits that no byte takes must be zero.
                    if last & (rest == 2 ? 0x3FF : 3) != 0 { seen = 0xFF }
                }
            }
            initialized = count
        }
        return seen < 64 ? bytes : nil
    }
}

/// The standard alphabet with padding (RFC 4648 §4), as HTTP Basic and the `…_b64` fields of `gatehouse verdict` use it.
public enum Base64 {
    /// Strict: padding is required, trailing bits are zero.
    public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        var body = Array(text)
        var padding = 0
        while padding < 2, body.last == UInt8(ascii: "=") {
            body.removeLast()
            padding += 1
        }
        for index in body.indices {
            switch body[index] {
            case UInt8(ascii: "+"): body[index] = UInt8(ascii: "-")
            case UInt8(ascii: "/"): body[index] = UInt8(ascii: "_")
            case UInt8(ascii: "-"), UInt8(ascii: "_"): return nil
            default: break
            }
        }
        return Base64URL.decode(body)
    }

    public static func encode(_ bytes: some Collection<UInt8>) -> String {
        var text = Base64URL.encodedBytes(bytes)
        for index in text.indices {
            if text[index] == UInt8(ascii: "-") { text[index] = UInt8(ascii: "+") }
            if text[index] == UInt8(ascii: "_") { text[index] = UInt8(ascii: "/") }
        }
        while text.count % 4 != 0 { text.append(UInt8(ascii: "=")) }
        return String(decoding: text, as: UTF8.self)
    }
}
