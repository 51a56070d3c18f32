/// Writes bytes one behind the other into memory whose size was computed before.
///
/// It never writes past the end: what does not fit sets `overflowed`, so a wrong estimate is an error and no trap.
package struct ByteCursor {
    private let base: UnsafeMutableRawPointer?
    private let capacity: Int
    package private(set) var count = 0
    package private(set) var overflowed = false

    package init(_ memory: UnsafeMutableRawBufferPointer) {
        base = memory.baseAddress
        capacity = memory.count
    }

    @inline(__always)
    package mutating func put(_ bytes: UnsafeRawBufferPointer) {
        guard let base, let source = bytes.baseAddress else { return }
        guard bytes.count <= capacity - count else {
            overflowed = true
            return
        }
        (base + count).copyMemory(from: source, byteCount: bytes.count)
        count += bytes.count
    }

    @inline(__always)
    package mutating func put(_ text: StaticString) {
        put(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    package mutating func put(_ text: String) {
        var copy = text
        copy.withUTF8 { put(UnsafeRawBufferPointer($0)) }
    }

    package mutating func put(_ bytes: [UInt8]) { bytes.withUnsafeBytes { put($0) } }

    @inline(__always)
    package mutating func put(byte: UInt8) { withUnsafeBytes(of: byte) { put($0) } }

    /// - Parameter number: Not negative; at most 19 digits.
    package mutating func put(decimal number: Int) { put(number, radix: 10) }

    package mutating func put(hexadecimal number: Int) { put(number, radix: 16) }

    private mutating func put(_ number: Int, radix: Int) {
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { digits in
            var position = digits.count
            var rest = max(number, 0)
            repeat {
                position -= 1
                let digit = UInt8(truncatingIfNeeded: rest % radix)
                digits[position] = digit < 10 ? 0x30 + digit : 0x57 + digit
                rest /= radix
            } while rest > 0 && position > 0
            put(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digits)[position...]))
        }
    }

    /// Appends `text` when it is a field value: no CR, LF, NUL or other control character (GW-11).
    ///
    /// - Returns: Whether it was one.
    package mutating func put(value text: String) -> Bool {
        var copy = text
        return copy.withUTF8 { bytes in
            let raw = UnsafeRawBufferPointer(bytes)
            guard raw.endOfFieldValue(from: 0) == raw.count else { return false }
            put(raw)
            return true
        }
    }

    /// Appends `text` when it is a token, as field names are.
    package mutating func put(name text: String) -> Bool {
        var copy = text
        return copy.withUTF8 { bytes in
            guard !bytes.isEmpty, bytes.allSatisfy(ByteClass.isToken) else { return false }
            put(UnsafeRawBufferPointer(bytes))
            return true
        }
    }
}
