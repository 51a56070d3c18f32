internal import AuthCore
internal import Store
internal import TokenVerification

extension PresentedClient {
    /// What a request proves its client with: in one way, and naming one client (RFC 6749 §2.3, §3.2.1).
    package init(_ request: OAuthRequest) throws(OAuthError) {
        let parameters = request.parameters
        let id = try parameters.optional("client_id", bytesMax: 2_048)
        let secret = try parameters.optional("client_secret", bytesMax: 1_024)
        guard request.authorizations.count <= 1 else { throw PresentedClient.severalWays }
        if let header = request.authorizations.first {
            guard secret == nil, parameters["client_assertion"] == nil else { throw PresentedClient.severalWays }
            guard let basic = BasicCredentials(header: header[...]) else {
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
        if let assertion = try parameters.optional("client_assertion", bytesMax: 16_384) {
            guard secret == nil else { throw PresentedClient.severalWays }
            let type = try parameters.required("client_assertion_type", bytesMax: 128)
            guard type.isSameBytes(as: ClientAssertions.type) else {
                throw OAuthError(.invalidClient, .assertionInvalid, "This client_assertion_type is not known (RFC 7523 §2.2).")
            }
            self = try PresentedClient(assertion: Secret(assertion), id: id.map { Identifier($0) })
            return
        }
        guard let id else { throw OAuthError(.invalidClient, .clientUnknown, "The client did not say who it is.") }
        if let secret {
            self = .secret(Identifier(id), Secret(secret), .secretPost)
        } else {
            self = .named(Identifier(id))
        }
    }

    /// - Parameter id: `client_id`, which may be left out: the assertion names the client (RFC 7523 §3).
    private init(assertion: Secret<String>, id: Identifier?) throws(OAuthError) {
        do throws(JWTAssertionRefusal) {
            let token = try PresentedJWT(assertion)
            guard let name = id ?? token.claimedSubject else { throw .malformed }
            self = .assertion(name, token)
        } catch { throw OAuthError(.invalidClient, .assertionInvalid, "The client assertion is not good: \(error.rawValue).") }
    }

    private static var severalWays: OAuthError {
        OAuthError(.invalidRequest, .clientCredentialsRepeated, "Authenticate the client in one way only (RFC 6749 §2.3).")
    }
}
