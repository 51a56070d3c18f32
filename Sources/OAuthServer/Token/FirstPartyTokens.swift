package import AuthCore
package import Store
package import TokenKeys

/// Tokens for first-party clients: what `/login`, `/token/refresh` and `/logout` do once the HTTP is gone.
package struct FirstPartyTokens: Sendable {
    package struct Lifetimes: Sendable {
        package var refreshIdle: Duration
        package var session: Duration
        package var windows: RefreshRotation.Windows

        package init(refreshIdle: Duration, session: Duration, windows: RefreshRotation.Windows) {
            self.refreshIdle = refreshIdle
            self.session = session
            self.windows = windows
        }
    }

    package static let settings = [
        SettingKey(
            "tokens.session_ttl", .duration(.seconds(60)...(.seconds(730 * 86_400))), default: "90d",
            "How long a sign-in lasts at the most, however often it is refreshed. `tokens.refresh_ttl` is how long it lasts unused."
        )
    ]

    package typealias Stores = SessionStore & GrantStore

    private let store: any Stores
    fileprivate let clients: ClientAuthentication
    private let issuer: TokenIssuer
    private let masterKeys: MasterKeys
    private let catalogue: CatalogueSource
    private let lifetimes: Lifetimes

    /// The scopes, roles and resources in force, from a state that is at least as new as this number.
    package typealias CatalogueSource = @Sendable (_ version: Int64) async throws(StoreError) -> ScopeCatalogue

    package init(
        store: any Stores, clients: ClientAuthentication, issuer: TokenIssuer, masterKeys: MasterKeys, lifetimes: Lifetimes,
        catalogue: @escaping CatalogueSource
    ) {
        self.store = store
        self.clients = clients
        self.issuer = issuer
        self.masterKeys = masterKeys
        self.catalogue = catalogue
        self.lifetimes = lifetimes
    }

    /// What is asked of `/login` beside who signs in.
    package struct Request: Sendable {
        package var scope: ScopeSet?
        package var audiences: [Identifier]
        package var source: String
        package var agent: String

        package init(scope: ScopeSet?, audiences: [Identifier], source: String, agent: String) {
            self.scope = scope
            self.audiences = audiences
            self.source = source
            self.agent = agent
        }
    }

    /// The client of a first-party endpoint: it exists, is what it says, and holds `login`.
    package func firstPartyClient(_ presented: PresentedClient) async throws(OAuthError) -> ClientAuthentication.Proved {
        let proved = try await clients.authenticate(presented)
        guard proved.client.definition.grants.contains(.login) else {
            throw OAuthError(.unauthorizedClient, .clientNotFirstParty, "This client is not allowed to sign people in here.")
        }
        return proved
    }

    /// Opens a session for somebody whose factors were verified, and issues its first tokens.
    package func signedIn(
        _ account: Account, _ assurance: SessionAssurance, client: Client, _ request: Request, at now: Instant, traceID: String
    ) async throws(OAuthError) -> IssuedTokens {
        let policy = try await scopePolicy(atLeast: 0)
        let access = try policy.grant(requested: request.scope, audiences: request.audiences, roles: account.roles, client: client)
        let open = OpenSession(
            accountID: account.id, accountEpoch: account.epoch, clientID: client.id, assurance: assurance, scope: access.scope,
            audiences: access.audiences, idleLifetime: lifetimes.refreshIdle, lifetime: lifetimes.session,
            accessLifetime: issuer.accessLifetime, source: request.source, agent: request.agent
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
            let current = try await scopePolicy(atLeast: version)
            let access =
                current.catalogue.version == policy.catalogue.version
                ? access : try current.refreshed(scope: grant.scope, roles: account.roles, client: client)
            let subject = TokenIssuer.Subject(
                account: account, client: client, grant: grant, assurance: assurance, access: access,
                includesRoles: current.catalogue.wantsRoles(access.audiences),
                expiresAt: min(now + issuer.accessLifetime, session.expiresAt)
            )
            return try issuer.issue(subject, counter: grant.rotation.current, at: now)
        case .accountChanged:
            throw OAuthError(.invalidGrant, .accountChanged, "The account changed while signing in. Sign in again.")
        case .clientUnavailable:
            throw OAuthError(.invalidClient, .clientDisabled, "The client is unknown, or did not prove who it is.")
        }
    }

    /// Checks a refresh token against its row, without using it up.
    ///
    /// - Returns: The grant; nothing when the token is not one of ours.
    package func grant(of token: Secret<String>) async throws(OAuthError) -> (grant: Grant, credential: GrantCredential) {
        guard let credential = GrantCredential(token, keys: masterKeys), credential.kind == .refreshToken else {
            throw FirstPartyTokens.refusal(.refreshMalformed)
        }
        let found: Grant?
        do { found = try await store.grant(credential.grantID) } catch { throw OAuthError(storeError: error) }
        guard let grant = found else { throw FirstPartyTokens.refusal(.refreshGone) }
        guard credential.isAuthentic(for: grant, issuer: issuer.issuer, keys: masterKeys) else {
            throw FirstPartyTokens.refusal(.refreshForged)
        }
        return (grant, credential)
    }

    /// Uses a refresh token (RFC 6749 §6). A first-party endpoint and the token endpoint share this.
    package func refresh(
        _ token: Secret<String>, client: ClientAuthentication.Proved, source: String, at now: Instant, traceID: String
    ) async throws(OAuthError) -> IssuedTokens {
        let (grant, credential) = try await grant(of: token)
        let presentation = RefreshPresentation(
            grantID: grant.id, counter: credential.counter, clientID: client.client.id, senderIsProved: client.isProved,
            windows: lifetimes.windows, idleLifetime: lifetimes.refreshIdle, accessLifetime: issuer.accessLifetime
        )
        let event = AuditEvent(
            .refreshReplayed, at: now, clientID: client.client.id, source: source, reason: OAuthError.Reason.refreshReplayed.rawValue,
            traceID: traceID
        )
        let outcome: RefreshOutcome
        do { outcome = try await store.refresh(presentation, at: now, event: event) } catch { throw OAuthError(storeError: error) }
        failpoint("refresh.after_commit")
        switch outcome {
        case .refreshed(let refreshed): return try await issue(refreshed, at: now)
        case .gone: throw FirstPartyTokens.refusal(.refreshGone)
        case .wrongClient: throw FirstPartyTokens.refusal(.refreshOfAnotherClient)
        case .disabled: throw FirstPartyTokens.refusal(.refreshOfDisabled)
        case .replayed: throw FirstPartyTokens.refusal(.refreshReplayed)
        case .aheadOfStore: throw FirstPartyTokens.refusal(.storeRollbackDetected)
        }
    }

    /// What is in force, no older than what a transaction has seen.
    private func scopePolicy(atLeast version: Int64) async throws(OAuthError) -> ScopePolicy {
        do { return ScopePolicy(issuer: issuer.issuer, catalogue: try await catalogue(version)) } catch {
            throw OAuthError(storeError: error)
        }
    }

    private func issue(_ refreshed: RefreshedGrant, at now: Instant) async throws(OAuthError) -> IssuedTokens {
        let policy = try await scopePolicy(atLeast: refreshed.resourcesVersion)
        let grant = refreshed.grant
        let access = try policy.refreshed(scope: grant.scope, roles: refreshed.account.roles, client: refreshed.client)
        let subject = TokenIssuer.Subject(
            account: refreshed.account, client: refreshed.client, grant: grant, assurance: refreshed.assurance, access: access,
            includesRoles: policy.catalogue.wantsRoles(access.audiences), expiresAt: refreshed.tokenExpiresAt
        )
        return try issuer.issue(subject, counter: refreshed.successor, at: now)
    }

    /// One text for every refusal: whoever holds a wrong token learns nothing from it.
    fileprivate static func refusal(_ reason: OAuthError.Reason) -> OAuthError {
        OAuthError(.invalidGrant, reason, "The refresh token is not valid any more. Sign in again.")
    }
}

extension FirstPartyTokens {
    /// The grant of a refresh token that `/token/refresh` would accept now. Proves who is asking without using the token up.
    package func liveGrant(of token: Secret<String>, at now: Instant) async throws(OAuthError) -> Grant {
        let (grant, credential) = try await grant(of: token)
        guard grant.isLive(at: now) else { throw FirstPartyTokens.refusal(.refreshGone) }
        // On a copy: what a refresh would refuse proves nothing here either, and nothing is written.
        var trial = grant.rotation
        switch trial.present(credential.counter, at: now, senderIsProved: false, windows: lifetimes.windows) {
        case .rotated, .repeated, .replaced, .kept: return grant
        case .replayed: throw FirstPartyTokens.refusal(.refreshReplayed)
        case .aheadOfStore: throw FirstPartyTokens.refusal(.storeRollbackDetected)
        }
    }

    /// Whether the grant's client still holds `login`.
    package func isFirstParty(_ grant: Grant) async throws(OAuthError) -> Bool {
        try await clients.isFirstParty(grant.clientID, uid: grant.clientUID)
    }
}
