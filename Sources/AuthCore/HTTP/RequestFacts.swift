/// What is known of a request before anything is decided: the head, and where it came from.
///
/// Everything is bytes as received; nothing has been decoded, folded or trusted.
public struct RequestFacts: Sendable {
    /// As received, case-sensitive (RFC 9110 §9.1).
    public var method: String
    /// The request target as received, in origin-form.
    public var target: [UInt8]
    public var headers: Headers
    /// HTTP/1.0 rather than 1.1.
    public var isVersion10: Bool
    /// The socket's other end.
    public var peer: PeerAddress
    public var isTLS: Bool
    /// The certificate whose key the client holds: shown in the handshake, or named by a believed proxy (RFC 9440).
    public var clientCertificate: ClientCertificate?

    public init(
        method: String,
        target: [UInt8],
        headers: Headers = .empty,
        isVersion10: Bool = false,
        peer: PeerAddress = .loopback,
        isTLS: Bool = false,
        clientCertificate: ClientCertificate? = nil
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.isVersion10 = isVersion10
        self.peer = peer
        self.isTLS = isTLS
        self.clientCertificate = clientCertificate
    }

    /// The target up to its `?`.
    public var path: ArraySlice<UInt8> { target[..<(target.firstIndex(of: UInt8(ascii: "?")) ?? target.endIndex)] }

    /// What stands behind `?`; nothing when there is none.
    public var query: ArraySlice<UInt8>? {
        target.firstIndex(of: UInt8(ascii: "?")).map { target[($0 + 1)...] }
    }
}

/// A complete answer. Framing headers (`Content-Length`, `Connection`, `Date`) are the server's and do not appear here.
public struct ResponseFacts: Sendable {
    public var status: Int
    /// Names in lower case; values free of CR, LF and NUL (the server checks each as it writes, GW-11).
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]

    public init(status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// JSON that no cache may keep.
    public static func json(_ status: Int, headers: [(name: String, value: String)] = [], _ body: [UInt8]) -> ResponseFacts {
        ResponseFacts(status: status, headers: headers.isEmpty ? jsonHeaders : jsonHeaders + headers, body: body)
    }

    private static let jsonHeaders = [(name: "content-type", value: "application/json"), (name: "cache-control", value: "no-store")]

    /// An error in the contract's shape: `{"error", "error_description", "trace_id"}`.
    public static func error(
        _ status: Int,
        _ code: String,
        _ description: String,
        traceID: String,
        headers: [(name: String, value: String)] = []
    ) -> ResponseFacts {
        var writer = JSONWriter()
        writer.object {
            $0.member("error", code)
            $0.member("error_description", description)
            $0.member("trace_id", traceID)
        }
        return .json(status, headers: headers, writer.bytes)
    }
}
