package import AuthCore
package import Store

/// Tokens for first-party clients: what `/login`, `/token/refresh` and `/logout` do once the HTTP is gone.
package struct FirstPartyTokens: Sendable {
    package static let settings = [
        SettingKey(
            "tokens.session_ttl", .duration(.seconds(60)...(.seconds(730 * 86_400))), default: "90d",
            "How long a sign-in lasts at the most, however often it is refreshed. `tokens.refresh_ttl` is how long it lasts unused."
        ),
        SettingKey(
            "tokens.offline_ttl", .duration(.seconds(60)...(.seconds(3_650 * 86_400))), default: "365d",
            "How long a grant with `offline_access`, which outlives its sign-in, lasts at the most."
        ),
        SettingKey(
            "tokens.code_ttl", .duration(.seconds(5)...(.seconds(600))), default: "60s", "How long an authorization code can be redeemed."
        ),
    ]

    private let store: any SessionStore
    fileprivate let clients: ClientAuthentication
    private let refreshTokens: RefreshTokens
    package let sender: SenderConstraint
    private var issuer: TokenIssuer { refreshTokens.issuer }
    /// How long a sign-in lasts at the most.
    package var sessionLifetime: Duration { refreshTokens.lifetimes.session }

    package init(store: any SessionStore, clients: ClientAuthentication, refreshTokens: RefreshTokens, sender: SenderConstraint) {
        self.sender = sender
        self.store = store
        self.clients = clients
        self.refreshTokens = refreshTokens
    }

    /// What is asked of `/login` beside who signs in.
    package struct Request: Sendable {
        package var scope: ScopeSet?
        package var audiences: [Identifier]
        package var source: String
        package var agent: String
        /// The key that the tokens are bound to.
        package var confirmation: Confirmation?
        /// Whether the refresh tokens are too: those of a client that proves itself are bound by that (RFC 9449 §5).
        package var bindsRefresh: Bool

        package init(
            scope: ScopeSet?, audiences: [Identifier], source: String, agent: String, confirmation: Confirmation? = nil,
            bindsRefresh: Bool = false
        ) {
            (self.confirmation, self.bindsRefresh) = (confirmation, bindsRefresh)
            self.scope = scope
            self.audiences = audiences
            self.source = source
            self.agent = agent
        }
    }

    /// The client of a first-party endpoint: it exists, is what it says, and holds `login`; and the key that it proves, which its tokens
    /// are bound to as at `/token`.
    package func firstPartyClient(
        _ presented: PresentedClient, _ request: OAuthRequest
    ) async throws(OAuthError) -> (client: ClientAuthentication.Proved, confirmation: Confirmation?) {
        let facts = (path: request.path, certificate: request.certificate)
        let proved = try await clients.authenticate(presented, from: (request.address, request.now), facts)
        guard proved.client.definition.grants.contains(.login) else {
            throw OAuthError(.unauthorizedClient, .clientNotFirstParty, "This client is not allowed to sign people in here.")
        }
        return (proved, try await sender.confirmation(of: request, client: proved.client))
    }

    /// Opens a session for somebody whose factors were verified, and issues its first tokens.
    package func signedIn(
        _ account: Account, _ assurance: SessionAssurance, client: Client, _ request: Request, at now: Instant, traceID: String
    ) async throws(OAuthError) -> IssuedTokens {
        let policy = try await refreshTokens.policies.policy(atLeast: 0)
        let access = try policy.grant(requested: request.scope, audiences: request.audiences, roles: account.roles, client: client)
        let open = OpenSession(
            accountID: account.id, accountEpoch: account.epoch, clientID: client.id, assurance: assurance, scope: access.scope,
            audiences: access.audiences, idleLifetime: refreshTokens.lifetimes.refreshIdle,
            lifetime: refreshTokens.lifetimes.session,
            accessLifetime: issuer.accessLifetime, source: request.source, agent: request.agent,
            confirmation: request.bindsRefresh ? request.confirmation : nil
        )
        let event = AuditEvent(
            .signIn, at: now, accountID: account.id, clientID: client.id, source: request.source,
            reason: assurance.amr.joined(separator: "+"),
            traceID: traceID
        )
        let outcome: OpenSessionOutcome
        do { outcome = try await store.open(open, at: now, event: event) } catch { throw OAuthError(storeError: error) }
        switch outcome {
        case .opened(let session, let grant, let version):
            failpoint("login.after_commit")
            // Another node may have narrowed a role meanwhile: then what was asked for is narrowed by what is in force, as at a refresh.
            let current = try await refreshTokens.policies.policy(atLeast: version)
            let access =
                current.catalogue.version == policy.catalogue.version
                ? access : try current.refreshed(scope: grant.scope, roles: account.roles, client: client)
            var subject = TokenSubject(
                client: client, account: account, grant: grant, assurance: assurance, access: access,
                claims: current.catalogue.claims(access.audiences, of: account, scope: access.scope),
                expiresAt: min(now + issuer.accessLifetime, session.expiresAt)
            )
            subject.confirmation = request.confirmation
            return try await issuer.issue(TokenAuthorization(subject: subject, refreshCounter: grant.rotation.current), at: now)
        case .accountChanged:
            throw OAuthError(.invalidGrant, .accountChanged, "The account changed while signing in. Sign in again.")
        case .clientUnavailable:
            throw OAuthError(.invalidClient, .clientDisabled, "The client is unknown, or did not prove who it is.")
        }
    }

    /// Uses a refresh token (RFC 6749 §6).
    package func refresh(
        _ token: Secret<String>, _ context: TokenContext
    ) async throws(OAuthError) -> IssuedTokens {
        try await issuer.issue(try await refreshTokens.authorize(token, context), at: context.now)
    }
}

extension FirstPartyTokens {
    /// The grant of a refresh token that `/token/refresh` would accept now. Proves who is asking without using the token up.
    package func liveGrant(of token: Secret<String>, at now: Instant) async throws(OAuthError) -> Grant {
        try await refreshTokens.liveGrant(of: token, at: now)
    }

    /// Whether the grant's client still holds `login`.
    package func isFirstParty(_ grant: Grant) async throws(OAuthError) -> Bool {
        try await clients.isFirstParty(grant.clientID, uid: grant.clientUID)
    }
}
