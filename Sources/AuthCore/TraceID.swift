/// Sixteen random bytes in hexadecimal: what a client reads in an error and an operator finds in the log
/// (the trace-id of W3C Trace Context §3.2.2.3).
public struct TraceID: Sendable, CustomStringConvertible {
    public let description: String

    public init(_ environment: Environment) { self.init(bytes: environment.randomBytes(16)) }

    init(bytes: [UInt8]) { description = hexadecimal(bytes) }
}

/// The bytes in lower-case hexadecimal.
public func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in bytes {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
}
