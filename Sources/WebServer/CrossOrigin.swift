package import AuthCore

/// Which pages of other origins may read our answers (the Fetch standard's CORS): those of an origin that a public client has a redirect URI
/// on, at the endpoints that such a client calls itself. Never with cookies, and never at the pages that people see (OAuth 2.1 §3.1).
package struct CrossOrigin: Sendable {
    private let isAllowed: @Sendable (Identifier) -> Bool

    /// - Parameter isAllowed: Asked for an origin as a browser writes it, byte by byte.
    package init(_ isAllowed: @escaping @Sendable (Identifier) -> Bool) { self.isAllowed = isAllowed }

    /// For a browser's question before the request itself; nothing when this is none, or not to be answered.
    ///
    /// - Parameter methods: What the path takes from other origins.
    func preflight(_ request: RequestFacts, methods: [String]) -> ResponseFacts? {
        guard request.method == "OPTIONS", !methods.isEmpty, request.headers.count("access-control-request-method") == 1 else { return nil }
        var headers: [(name: String, value: String)] = [
            ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"), ("cache-control", "no-store"),
        ]
        if let origin = origin(request) {
            headers += [
                ("access-control-allow-origin", origin), ("access-control-allow-methods", methods.joined(separator: ", ")),
                ("access-control-allow-headers", "authorization, content-type, dpop"), ("access-control-max-age", "600"),
            ]
        }
        return ResponseFacts(status: 204, headers: headers)
    }

    /// What an answer to a page of another origin says, refusals too.
    func headers(_ request: RequestFacts) -> [(name: String, value: String)] {
        guard let origin = origin(request) else { return [("vary", "Origin")] }
        return [
            ("vary", "Origin"), ("access-control-allow-origin", origin),
            ("access-control-expose-headers", "dpop-nonce, www-authenticate, retry-after"),
        ]
    }

    private func origin(_ request: RequestFacts) -> String? {
        guard request.headers.count("origin") == 1, let bytes = request.headers.single("origin"), bytes.count <= 512,
            let text = String(validating: bytes, as: UTF8.self), isAllowed(Identifier(text))
        else { return nil }
        return text
    }
}
