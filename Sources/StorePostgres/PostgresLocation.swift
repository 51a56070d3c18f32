package import AuthCore
internal import CLibPQ
internal import Store

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

    /// What every connection has, unless the URI says otherwise. `target_session_attrs`: a server that only reads is passed over.
    private static let defaults: [String: String] = [
        "application_name": "gatehouse", "target_session_attrs": "read-write", "connect_timeout": "2", "tcp_user_timeout": "3000",
        "keepalives_idle": "5", "keepalives_interval": "1", "keepalives_count": "3", "client_encoding": "UTF8",
    ]

    /// The parameters of a connection to each server that the URI names, in its order.
    ///
    /// - Throws: `.unusable` when libpq cannot read the URI. Its own message is not passed on: it may quote the password.
    func servers() throws(StoreError) -> [[String: String]] {
        if let problem = pq_load() { throw .unusable("PostgreSQL: " + String(cString: problem)) }
        var problem: UnsafeMutablePointer<CChar>?
        guard let options = pq_conninfoParse(uri.exposed, &problem) else {
            if let problem { pq_freemem(problem) }
            throw .unusable("PostgreSQL: `storage` is no connection URI that libpq can read")
        }
        defer { pq_conninfoFree(options) }
        var parameters = PostgresLocation.defaults
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { parameters[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        let lists = ["host", "hostaddr", "port"].map { name in
            (name, (parameters[name] ?? "").split(separator: ",", omittingEmptySubsequences: false).map(String.init))
        }
        return (0..<max(1, lists.map(\.1.count).max() ?? 1)).map { index in
            var server = parameters
            // One port may stand for all.
            for (name, list) in lists where list.count > 1 { server[name] = index < list.count ? list[index] : "" }
            return server
        }
    }
}
