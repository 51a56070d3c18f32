package import AuthCore
package import TokenKeys

/// `GET /.well-known/jwks.json`: the published keys (RFC 7517 §5), with a validator and a time that caches may keep it.
package struct KeyDocument: Sendable {
    package static let path = "/.well-known/jwks.json"

    private let keys: SigningKeys
    private let maxAge: Duration

    package init(keys: SigningKeys, maxAge: Duration) {
        self.keys = keys
        self.maxAge = maxAge
    }

    package func respond(to request: RequestFacts) -> ResponseFacts {
        let published = keys.published
        var headers: [(name: String, value: String)] = [
            ("etag", published.entityTag), ("cache-control", "public, max-age=\(maxAge.wholeSeconds)"),
        ]
        if KeyDocument.matches(request.headers, published.entityTag) { return ResponseFacts(status: 304, headers: headers) }
        headers.append(("content-type", "application/jwk-set+json"))
        headers.append(("access-control-allow-origin", "*"))
        return ResponseFacts(status: 200, headers: headers, body: published.body)
    }

    /// `If-None-Match` by weak comparison (RFC 9110 §13.1.2).
    private static func matches(_ headers: Headers, _ entityTag: String) -> Bool {
        guard let value = headers.single("if-none-match") else { return false }
        return value.split(separator: UInt8(ascii: ",")).contains { part in
            var tag = part.drop { $0 == 0x20 || $0 == 0x09 }
            while tag.last == 0x20 || tag.last == 0x09 { tag.removeLast() }
            if tag.starts(with: "W/".utf8) { tag = tag.dropFirst(2) }
            return tag.elementsEqual(entityTag.utf8) || tag.elementsEqual("*".utf8)
        }
    }
}
