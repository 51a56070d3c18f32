package import AuthCore
package import Store
package import TokenVerification

/// Token revocation (RFC 7009). It answers when what is revoked is revoked everywhere in this process, and durable.
package struct RevocationEndpoint: Sendable {
    private let clients: ClientAuthentication
    private let verifier: TokenVerifier
    private let tokens: RefreshTokens
    private let store: any GrantStore & RevocationStore
    private let environment: Environment

    package init(
        clients: ClientAuthentication, verifier: TokenVerifier, tokens: RefreshTokens, store: any GrantStore & RevocationStore,
        environment: Environment
    ) {
        self.clients = clients
        self.verifier = verifier
        self.tokens = tokens
        self.store = store
        self.environment = environment
    }

    /// §2.2: a token that is not known, or valid no more, is as good as revoked. One of another client is left alone, and that client is
    /// not told that it exists.
    package func respond(to request: OAuthRequest) async throws(OAuthError) {
        let client = try await clients.authenticate(request).client
        let token = Secret(try request.parameters.required("token", bytesMax: 16_384))
        let event = AuditEvent(
            .tokenRevoked, at: request.now, clientID: client.id, source: request.source, traceID: request.traceID)
        if token.exposed.hasPrefix("ghr_") {
            let grant: Grant
            do { grant = try await tokens.grant(of: token).grant } catch {
                if error.code == .temporarilyUnavailable { throw error }
                return
            }
            guard grant.clientUID == client.uid else { return }
            do { _ = try await store.revoke(grant.id, at: request.now, event: event) } catch { throw OAuthError(storeError: error) }
            return
        }
        var explanation: TokenExplanation?
        var requirements = TokenRequirements()
        requirements.checksSender = false
        let decision = verifier.decide(
            Array(token.exposed.utf8), for: requirements, now: environment.now(),
            uptime: environment.uptime(), whenStale: .serve, explaining: &explanation)
        guard case .accept(let access) = decision, access.clientID == client.id else { return }
        // One access token alone: what else was granted goes on (§2.1 leaves it open).
        do { try await store.revokeToken(access.id, until: access.expiresAt, event: event) } catch { throw OAuthError(storeError: error) }
    }
}
