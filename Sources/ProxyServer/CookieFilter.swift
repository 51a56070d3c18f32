internal import HTTPEdge

/// Takes Gatehouse's own cookies out of a Cookie field: they are for Gatehouse alone.
enum CookieFilter {
    /// Whether `value` could hold one; the usual answer is no, for the price of one look.
    static func concerns(_ bytes: UnsafeRawBufferPointer, _ value: Range<Int>) -> Bool {
        let word: StaticString = "gatehouse"
        guard value.count >= word.utf8CodeUnitCount else { return false }
        for start in value.lowerBound...(value.upperBound - word.utf8CodeUnitCount) where bytes[start] | 0x20 == UInt8(ascii: "g") {
            if bytes.spells(start..<(start + word.utf8CodeUnitCount), word) { return true }
        }
        return false
    }

    /// The cookies of `value` that are not ours, in order (RFC 6265 §4.2.1). Names are compared without regard to case, to be safe.
    static func others(_ bytes: UnsafeRawBufferPointer, _ value: Range<Int>) -> [Range<Int>] {
        var kept: [Range<Int>] = []
        var start = value.lowerBound
        for position in value.lowerBound...value.upperBound {
            guard position == value.upperBound || bytes[position] == UInt8(ascii: ";") else { continue }
            let pair = bytes.trimmed(start..<position)
            if !pair.isEmpty, !isOurs(bytes, pair) { kept.append(pair) }
            start = position + 1
        }
        return kept
    }

    private static func isOurs(_ bytes: UnsafeRawBufferPointer, _ pair: Range<Int>) -> Bool {
        begins(bytes, pair, "gatehouse") || begins(bytes, pair, "__host-gatehouse") || begins(bytes, pair, "__secure-gatehouse")
    }

    private static func begins(_ bytes: UnsafeRawBufferPointer, _ pair: Range<Int>, _ text: StaticString) -> Bool {
        guard pair.count >= text.utf8CodeUnitCount else { return false }
        for offset in 0..<text.utf8CodeUnitCount {
            let byte = bytes[pair.lowerBound + offset]
            // `_` has bit 0x20 unset: folding it would make another character of it.
            let folded = (0x41...0x5A) ~= byte ? byte | 0x20 : byte
            if folded != text.utf8Start[offset] { return false }
        }
        return true
    }
}
