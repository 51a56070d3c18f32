internal import AuthCore

/// The trace-id of a request (W3C Trace Context §3.2.2.3).
package struct TraceContext: Sendable, Equatable, CustomStringConvertible {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads the trace-id out of a `traceparent` of version 00, or of a later one that begins like it.
    package init?(traceparent bytes: UnsafeRawBufferPointer) {
        let dash = UInt8(ascii: "-")
        guard bytes.count == 55 || bytes.count > 55 && bytes[55] == dash, bytes[2] == dash, bytes[35] == dash, bytes[52] == dash,
            let version = TraceContext.word(bytes, 0..<2), version != 255, version != 0 || bytes.count == 55,
            let high = TraceContext.word(bytes, 3..<19), let low = TraceContext.word(bytes, 19..<35), high | low != 0,
            let parent = TraceContext.word(bytes, 36..<52), parent != 0, TraceContext.word(bytes, 53..<55) != nil
        else { return nil }
        self.init(high: high, low: low)
    }

    /// Reads 32 hexadecimal digits.
    package init?(hexadecimal text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 32,
            let words = bytes.withUnsafeBytes({ bytes in
                TraceContext.word(bytes, 0..<16).flatMap { high in TraceContext.word(bytes, 16..<32).map { (high, $0) } }
            })
        else { return nil }
        self.init(high: words.0, low: words.1)
    }

    private static func word(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> UInt64? {
        var word: UInt64 = 0
        for position in range {
            // Lower case only, says the specification.
            guard let digit = hexDigit(bytes[position]), !((0x41...0x46) ~= bytes[position]) else { return nil }
            word = word << 4 | UInt64(digit)
        }
        return word
    }

    package var description: String {
        hexadecimal((0..<8).map { UInt8(truncatingIfNeeded: high >> UInt64(56 - $0 * 8)) })
            + hexadecimal((0..<8).map { UInt8(truncatingIfNeeded: low >> UInt64(56 - $0 * 8)) })
    }
}

/// Makes trace-ids without asking the kernel for each: seeded once from the environment, then SplitMix64.
///
/// They need to be unique, not secret.
struct TraceSource {
    private var state: UInt64
    private let salt: UInt64

    init(_ environment: Environment) {
        let seed = environment.randomBytes(16)
        state = seed.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        salt = seed.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) } | 1
    }

    mutating func word() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }

    /// Never all zeros, because the salt is not.
    mutating func next() -> TraceContext { TraceContext(high: salt ^ word() << 1, low: word()) }
}
