internal import AuthCore

/// The methods that a route takes, compared byte by byte: methods are case-sensitive (RFC 9110 §9.1).
struct MethodRule: Sendable {
    /// Nothing is all but CONNECT and TRACE.
    let listed: [Identifier]?

    /// - Parameter methods: As the route names them.
    init(_ methods: [Identifier]?) {
        guard let methods else {
            listed = nil
            return
        }
        let head: [Identifier] = methods.contains("GET") && !methods.contains("HEAD") ? ["HEAD"] : []
        listed = methods + head
    }

    /// A route that lists nothing takes every method in capitals but CONNECT, TRACE and HTTP/2's `PRI`. One that is not in
    /// capitals is none of the registered ones, yet a careless service may take `get` for `GET`, or `trace` for `TRACE`.
    func allows(_ method: String) -> Bool {
        guard let listed else { return MethodRule.isInCapitals(method) && !MethodRule.neverRouted.contains(Identifier(method)) }
        return listed.contains { $0.text.isSameBytes(as: method) }
    }

    func overlaps(_ other: MethodRule) -> Bool {
        guard let mine = listed, let others = other.listed else { return true }
        return mine.contains { others.contains($0) }
    }

    /// What `Allow` says: the list, or what is usual for a route that takes all.
    var advertised: [Identifier] { listed ?? ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] }

    /// GW-09 (RFC 9110 §9.3.6 and §9.3.8), and the first word of HTTP/2's preface (RFC 9113 §3.4).
    private static let neverRouted: [Identifier] = ["CONNECT", "TRACE", "PRI"]

    /// Whether a route may list it: a token, and none of the methods that are never routed, in whatever case.
    static func isRoutable(_ method: String) -> Bool {
        isToken(method) && !neverRouted.contains { $0.text.utf8.map(lowercasedASCII) == method.utf8.map(lowercasedASCII) }
    }

    /// Whether the text is a token (RFC 9110 §5.6.2) of at most 64 bytes.
    static func isToken(_ method: String) -> Bool {
        (1...64).contains(method.utf8.count)
            && method.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }

    private static func isInCapitals(_ method: String) -> Bool {
        !method.utf8.isEmpty && method.utf8.allSatisfy { (UInt8(ascii: "A")...UInt8(ascii: "Z")) ~= $0 || $0 == UInt8(ascii: "-") }
    }
}
