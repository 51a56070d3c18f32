internal import AuthCore
internal import Store

extension PresentedClient {
    /// What a request proves its client with: in one way, and naming one client (RFC 6749 §2.3, §3.2.1).
    package init(_ request: OAuthRequest) throws(OAuthError) {
        let parameters = request.parameters
        let id = try parameters.optional("client_id", bytesMax: 2_048)
        let secret = try parameters.optional("client_secret", bytesMax: 1_024)
        guard request.authorizations.count <= 1 else { throw PresentedClient.severalWays }
        if let header = request.authorizations.first {
            guard secret == nil else { throw PresentedClient.severalWays }
            guard let basic = BasicCredentials(header: header) else {
                throw OAuthError(
                    .invalidClient, .clientSecretMissing,
                    "The Authorization header has no client credentials in the form of RFC 6749 §2.3.1.")
            }
            if let id, Identifier(id) != basic.clientID {
                throw OAuthError(.invalidRequest, .clientCredentialsRepeated, "client_id and the Authorization header name two clients.")
            }
            self = .secret(basic.clientID, basic.secret, .secretBasic)
            return
        }
        guard let id else { throw OAuthError(.invalidClient, .clientUnknown, "The client did not say who it is.") }
        if let secret {
            self = .secret(Identifier(id), Secret(secret), .secretPost)
        } else {
            self = .named(Identifier(id))
        }
    }

    private static var severalWays: OAuthError {
        OAuthError(.invalidRequest, .clientCredentialsRepeated, "Authenticate the client in one way only (RFC 6749 §2.3).")
    }
}
