package import AuthCore
package import Store

/// `grant_type=client_credentials` (RFC 6749 §4.4): a client for itself. Nothing is stored; disabling the client raises its epoch, and
/// with it every such token is revoked.
package struct ClientCredentialsGrant: TokenGrant {
    package struct Request: Sendable {
        let scope: ScopeSet?
        let resources: [Identifier]
    }

    package let kind = GrantKind.clientCredentials
    package let parameters: Set<Identifier> = ["scope", "resource"]
    private let policies: ScopePolicies
    private let lifetime: Duration

    package init(policies: ScopePolicies, lifetime: Duration) {
        self.policies = policies
        self.lifetime = lifetime
    }

    package func decode(_ parameters: FormParameters) throws(OAuthError) -> Request {
        Request(scope: try parameters.scope(), resources: try parameters.resources())
    }

    package func authorize(_ request: Request, _ context: TokenContext) async throws(OAuthError) -> TokenAuthorization {
        guard context.client.isProved else {
            throw OAuthError(.unauthorizedClient, .grantNotAllowed, "A public client cannot use this grant_type (RFC 6749 §4.4).")
        }
        let policy = try await policies.policy(atLeast: 0)
        let access = try policy.grant(requested: request.scope, audiences: request.resources, toItself: context.client.client)
        var subject = TokenSubject(
            client: context.client.client, account: nil, grant: nil, assurance: nil, access: access,
            claims: policy.catalogue.claims(access.audiences, of: nil, scope: access.scope), expiresAt: context.now + lifetime)
        subject.confirmation = context.confirmation
        return TokenAuthorization(subject: subject)
    }
}
