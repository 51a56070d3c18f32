package import AuthCore

/// Where the database is: a URI of libpq, and what of it is ours.
///
/// `pooled=1` says that a pooler lends connections for one transaction at a time (PgBouncer's transaction mode), where nothing may be
/// prepared, set or listened for beyond it. libpq does not know the parameter, so it is taken out.
package struct PostgresLocation: Sendable {
    package let uri: Secret<String>
    package let isPooled: Bool

    package init(_ uri: Secret<String>) {
        let text = uri.exposed
        guard let mark = text.utf8.firstIndex(of: UInt8(ascii: "?")) else {
            (self.uri, isPooled) = (uri, false)
            return
        }
        var isPooled = false
        let kept = text[text.index(after: mark)...].split(separator: "&").filter { parameter in
            guard parameter.isSameBytes(as: "pooled=1") || parameter.isSameBytes(as: "pooled=0") else { return true }
            isPooled = parameter.isSameBytes(as: "pooled=1")
            return false
        }
        self.uri = Secret(kept.isEmpty ? String(text[..<mark]) : text[...mark] + kept.joined(separator: "&"))
        self.isPooled = isPooled
    }
}
