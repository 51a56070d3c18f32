package import AuthCore
package import Store

/// Request objects by reference (RFC 9101 §5.2, OpenID Connect Core §6.2): read from the address in `request_uri`, which the client must
/// have registered, so that nobody can send this server anywhere by writing an address into a link (RFC 9101 §10.4.1).
package struct RequestDocuments: Sendable {
    /// In bytes; as much as an object by value may have.
    package static let bytesMax = 16_384
    /// RFC 9101 §5.2.3; the others are what JWTs were served as before it.
    static let types = ["application/oauth-authz-req+jwt", "application/jwt", "application/jose"]

    private let documents: RemoteDocuments<String>
    private let log: Log

    package init(calls: any OutgoingCalls, environment: Environment, log: Log) {
        self.log = log
        var limits = RemoteDocuments<String>.Limits()
        limits.documentBytesMax = RequestDocuments.bytesMax
        limits.acceptedTypes = RequestDocuments.types
        // A client may put another request at the same address each time, and says so with another fragment (Core §6.2): asked for anew
        // each time, nothing old is ever taken for a request.
        (limits.ageMin, limits.ageMax, limits.staleMax) = (.zero, .zero, .zero)
        limits.flightsMax = 16
        limits.waitersMax = 256
        documents = RemoteDocuments(calls: calls, limits: limits, environment: environment) { (answer) throws(OutgoingError) in
            // What the object has to be, whoever verifies it says.
            guard let text = String(validating: answer.body, as: UTF8.self) else { throw .contentRefused }
            // A file ends in a line feed.
            return String(Substring(text.utf8.prefix { $0 > 0x20 }))
        }
    }

    /// - Throws: `request_uri_not_supported` for a client that has registered none, `invalid_request_uri` for another address than those it
    ///   has, and when nothing can be read there. Why stands in the log alone: it would tell a stranger what our network is like.
    package func object(at uri: String, of client: Client) async throws(OAuthError) -> String {
        let registered = client.definition.metadata.requestURIs
        guard !registered.isEmpty else {
            throw OAuthError(.requestURINotSupported, .requestURIUnknown, "This request_uri is not one that was given out here.")
        }
        let address = String(Substring(uri.utf8.prefix { $0 != UInt8(ascii: "#") }))
        guard registered.contains(where: { $0.isSameBytes(as: uri) || $0.isSameBytes(as: address) }) else {
            throw OAuthError(.invalidRequestURI, .requestURINotRegistered, "The client has not registered this request_uri.")
        }
        do { return try await documents.document(at: try OutgoingURL(address), isStrangers: client.isStrangers).value } catch {
            log(.info, "request_uri_unreachable", [("client", client.id.text), ("url", address), ("reason", error.rawValue)])
            throw OAuthError(.invalidRequestURI, .requestURIUnreachable, "The request object cannot be fetched from its request_uri.")
        }
    }
}
