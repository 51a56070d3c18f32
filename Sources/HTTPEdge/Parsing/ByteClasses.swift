/// Classes of bytes in HTTP's grammar, as bit sets: one shift and one mask each.
package enum ByteClass {
    /// `tchar` of RFC 9110 §5.6.2.
    @inline(__always)
    package static func isToken(_ byte: UInt8) -> Bool {
        // !#$%&'*+-. and the digits; A-Z ^ _ ` a-z | ~
        let low: UInt64 = 0x03FF_6CFA_0000_0000
        let high: UInt64 = 0x57FF_FFFF_C7FF_FFFE
        return byte < 128 && (byte < 64 ? low : high) >> UInt64(byte & 63) & 1 == 1
    }

    /// What may stand in a field value: SP, HTAB, VCHAR and obs-text (RFC 9110 §5.5).
    @inline(__always)
    package static func isFieldValue(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7F || byte == 0x09 }

    @inline(__always)
    package static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    @inline(__always)
    package static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
}

/// Bytes of a message that are looked at in place.
extension UnsafeRawBufferPointer {
    /// Whether `range` spells `name` without regard to ASCII case.
    ///
    /// - Parameter name: Lower-case letters, digits and `-` only. The bytes of `range` must be token characters: setting bit
    ///   0x20 maps no other token character onto these.
    @inline(__always)
    package func spells(_ range: Range<Int>, _ name: StaticString) -> Bool {
        guard range.count == name.utf8CodeUnitCount else { return false }
        let start = name.utf8Start
        for offset in 0..<range.count where self[range.lowerBound + offset] | 0x20 != start[offset] { return false }
        return true
    }

    /// The first position at or behind `start` that may not stand in a field value; eight bytes at a time.
    package func endOfFieldValue(from start: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        var position = start
        while position < count {
            if position + 8 <= count {
                let word = loadUnaligned(fromByteOffset: position, as: UInt64.self)
                // Top bits of `low` are set where a byte is under 0x20, those of `delete` where one is 0x7F. A borrow can set
                // one bit too many behind a true one, which only sends this word to the slow look.
                let low = (word &- ones &* 0x20) & ~word & tops
                let mask = word ^ (ones &* 0x7F)
                let delete = (mask &- ones) & ~mask & tops
                if low | delete == 0 {
                    position += 8
                    continue
                }
            }
            let limit = Swift.min(position + 8, count)
            while position < limit {
                if !ByteClass.isFieldValue(self[position]) { return position }
                position += 1
            }
        }
        return count
    }

    /// `range` without the spaces and tabs at both ends.
    package func trimmed(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, ByteClass.isSpace(self[start]) { start += 1 }
        while end > start, ByteClass.isSpace(self[end - 1]) { end -= 1 }
        return start..<end
    }

    /// The digits of `range` as a number: 1 to 18 of them and nothing else, so it cannot overflow.
    package func decimal(_ range: Range<Int>) -> Int? {
        guard (1...18).contains(range.count) else { return nil }
        var value = 0
        for position in range {
            guard ByteClass.isDigit(self[position]) else { return nil }
            value = value &* 10 &+ Int(self[position] &- 0x30)
        }
        return value
    }
}
