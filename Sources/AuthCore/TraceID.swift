/// Sixteen random bytes in hexadecimal: what a client reads in an error and an operator finds in the log
/// (the trace-id of W3C Trace Context §3.2.2.3).
public struct TraceID: Sendable, CustomStringConvertible {
    public let description: String

    public init(_ environment: Environment) { self.init(bytes: environment.randomBytes(16)) }

    init(bytes: [UInt8]) { description = hexadecimal(bytes) }
}

/// The bytes in lower-case hexadecimal.
public func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    func digit(_ value: UInt8) -> UInt8 { value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") - 10 + value }
    var text: [UInt8] = []
    text.reserveCapacity(2 * bytes.underestimatedCount)
    for byte in bytes {
        text.append(digit(byte >> 4))
        text.append(digit(byte & 15))
    }
    return String(decoding: text, as: UTF8.self)
}
