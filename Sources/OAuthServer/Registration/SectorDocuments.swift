package import AuthCore
package import Store

/// `sector_identifier_uri` (OpenID Connect Registration §5, Core §8.1): whoever claims a sector must be named in its document, or it could
/// learn the subjects of others.
package struct SectorDocuments: Sendable {
    private let documents: RemoteDocuments<[String]>

    package init(calls: any OutgoingCalls, environment: Environment) {
        var limits = RemoteDocuments<[String]>.Limits()
        limits.documentBytesMax = 65_536
        documents = RemoteDocuments(calls: calls, limits: limits, environment: environment) { (answer) throws(OutgoingError) in
            do {
                guard let uris = try JSONReader.read(answer.body).strings else { throw OutgoingError.contentRefused }
                return uris
            } catch { throw .contentRefused }
        }
    }

    /// Of a client that registers, so that the URL is a stranger's; those of files are not fetched.
    ///
    /// - Throws: `invalid_client_metadata` when a redirect URI is not in the document, or there is none.
    package func check(_ client: ClientDefinition) async throws(OAuthError) {
        guard let address = client.metadata.sectorIdentifierURI else { return }
        let name = "sector_identifier_uri"
        guard address.dropping(prefix: "https://") != nil else { throw RegisteredMetadata.fault(name, "is not https") }
        let named: [String]
        do { named = try await documents.document(at: try OutgoingURL(address), isStrangers: true).value } catch {
            // Why stands in nobody's answer: it would tell a stranger what our network looks like.
            throw RegisteredMetadata.fault(name, "cannot be fetched, or is no JSON list of URIs")
        }
        for uri in client.redirectURIs where !named.contains(where: { $0.isSameBytes(as: uri) }) {
            throw RegisteredMetadata.fault(name, "does not name the redirect URI \"\(uri.prefix(128))\" (OpenID Connect Registration §5)")
        }
    }
}
