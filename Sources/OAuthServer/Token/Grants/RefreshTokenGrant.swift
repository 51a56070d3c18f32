package import AuthCore
package import Store

/// `grant_type=refresh_token` (RFC 6749 §6).
package struct RefreshTokenGrant: TokenGrant {
    package struct Request: Sendable {
        let token: Secret<String>
        let requested: RequestedAccess
    }

    package let kind = GrantKind.refreshToken
    package let parameters: Set<Identifier> = RequestedAccess.parameters.union(["refresh_token", "scope"])
    private let tokens: RefreshTokens

    package init(tokens: RefreshTokens) { self.tokens = tokens }

    package func decode(_ parameters: FormParameters) throws(OAuthError) -> Request {
        Request(
            token: Secret(try parameters.required("refresh_token", bytesMax: 4_096)),
            requested: try RequestedAccess(parameters, hasScope: true))
    }

    package func authorize(_ request: Request, _ context: TokenContext) async throws(OAuthError) -> TokenAuthorization {
        try await tokens.authorize(request.token, for: request.requested, context)
    }
}
