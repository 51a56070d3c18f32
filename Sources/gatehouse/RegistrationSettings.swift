import AuthCore
import OAuthServer
import Settings
import Store

extension RegistrationPolicy {
    /// - Throws: One sentence for the operator.
    init(_ resolved: ResolvedSettings) throws {
        let names = resolved.texts("registration.scopes")
        guard let scopes = names.isEmpty ? ScopeSet.none : ScopeSet(parsing: names.joined(separator: " ")) else {
            throw StartFailure("registration.scopes: one of them is no scope (RFC 6749 §3.3)")
        }
        if let own = scopes.first(where: { $0.text.utf8.starts(with: "gatehouse:".utf8) }) {
            throw StartFailure("registration.scopes: \"\(own)\" is of Gatehouse's own API, which registered clients never get")
        }
        let grants = resolved.list("registration.grants").compactMap { value -> GrantKind? in
            if case .text(let text) = value { GrantKind(rawValue: text) } else { nil }
        }
        self.init(
            openness: Openness(rawValue: try resolved.text("registration.policy")) ?? .off, scopes: scopes, grants: grants)
        clientsMax = try resolved.integer("registration.clients_max")
        perSource = try resolved.integer("registration.per_source")
        unusedTTL = try resolved.duration("registration.unused_ttl")
        tokenAlgorithms = resolved.texts("keys.id_token_algorithms")
        takesDocuments = try resolved.flag("registration.documents")
        documentHosts = resolved.texts("registration.document_hosts").map { Identifier($0) }
        for host in documentHosts where URISyntax.host(of: "https://\(host)/").map({ Identifier($0) }) != host {
            throw StartFailure("registration.document_hosts: \"\(host)\" is no host name in lower case")
        }
    }
}
