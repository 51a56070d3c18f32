package import AuthCore
internal import Crypto
package import Store

/// The `sub` of tokens (OpenID Connect Core §8).
package struct SubjectIdentifiers: Sendable {
    /// Stays the same as long as the store: subjects of one sector may never change.
    private let salt: Secret<[UInt8]>

    package init(salt: Secret<[UInt8]>) { self.salt = salt }

    /// - Parameter account: Nothing for a client's own tokens: their subject is the client (RFC 9068 §2.2).
    package func identifier(of account: Account?, for client: Client) -> Identifier {
        account.map { identifier(ofAccount: $0.id, for: client) } ?? client.id
    }

    /// The same by the account's own id: it may be gone.
    package func identifier(ofAccount account: Identifier, for client: Client) -> Identifier {
        guard client.definition.metadata.subjectType == .pairwise else { return account }
        // Without a sector, which the settings do not take, it is one of its own: never the subject that others know.
        return pairwise(account, sector: SubjectIdentifiers.sector(of: client.definition) ?? "client " + client.uid.text)
    }

    /// The same for tokens from `grant`: as it was when the grant was made (§12.2), whatever became of the client meanwhile.
    package func identifier(of account: Account?, for client: Client, grant: Grant?) -> Identifier {
        guard let account, let binding = grant?.binding else { return identifier(of: account, for: client) }
        return binding.subject ?? account.id
    }

    /// §8.1: nobody without the salt can tell which account it is, or that two sectors have the same one.
    private func pairwise(_ account: Identifier, sector: String) -> Identifier {
        var message = Array("pairwise".utf8) + [0]
        message += Array(sector.utf8) + [0] + Array(account.text.utf8)
        let code = HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: salt.exposed))
        return Identifier(Base64URL.encode(Array(code).prefix(24)))
    }

    /// The host of the sector identifier, or of its redirect targets; nothing when there is none, or more than one.
    package static func sector(of definition: ClientDefinition) -> String? {
        let uris = definition.metadata.sectorIdentifierURI.map { [$0] } ?? definition.redirectURIs
        let hosts = Set(uris.compactMap { URISyntax.host(of: $0) }.map { Identifier($0) })
        return hosts.count == 1 ? hosts.first?.text : nil
    }
}
