package import AuthCore
package import Store
package import TokenKeys

/// How long things last.
package struct TokenLifetimes: Sendable {
    package var refreshIdle: Duration
    package var session: Duration
    package var offline: Duration
    package var code: Duration
    package var windows: RefreshRotation.Windows

    package init(refreshIdle: Duration, session: Duration, offline: Duration, code: Duration, windows: RefreshRotation.Windows) {
        self.refreshIdle = refreshIdle
        self.session = session
        self.offline = offline
        self.code = code
        self.windows = windows
    }
}

/// Refresh tokens (RFC 6749 §6): what `/token/refresh` and `grant_type=refresh_token` share.
package struct RefreshTokens: Sendable {
    private let store: any GrantStore
    package let issuer: TokenIssuer
    private let masterKeys: MasterKeys
    package let lifetimes: TokenLifetimes
    package let policies: ScopePolicies

    package init(
        store: any GrantStore, issuer: TokenIssuer, masterKeys: MasterKeys, lifetimes: TokenLifetimes, policies: ScopePolicies
    ) {
        self.store = store
        self.issuer = issuer
        self.masterKeys = masterKeys
        self.lifetimes = lifetimes
        self.policies = policies
    }

    /// Checks a refresh token against its row, without using it up.
    package func grant(of token: Secret<String>) async throws(OAuthError) -> (grant: Grant, credential: GrantCredential) {
        let credential = try self.credential(of: token)
        let found: Grant?
        do { found = try await store.grant(credential.grantID) } catch { throw OAuthError(storeError: error) }
        guard let grant = found else { throw RefreshTokens.refusal(.refreshGone) }
        try check(credential, of: grant)
        return (grant, credential)
    }

    /// What costs no database: noise ends here.
    private func credential(of token: Secret<String>) throws(OAuthError) -> GrantCredential {
        guard let credential = GrantCredential(token, keys: masterKeys), credential.kind == .refreshToken else {
            throw RefreshTokens.refusal(.refreshMalformed)
        }
        return credential
    }

    private func check(_ credential: GrantCredential, of grant: Grant) throws(OAuthError) {
        guard credential.isAuthentic(for: grant, issuer: issuer.issuer, keys: masterKeys) else {
            throw RefreshTokens.refusal(.refreshForged)
        }
    }

    /// The grant of a token that `authorize` would accept now. Proves who is asking without using the token up.
    package func liveGrant(of token: Secret<String>, at now: Instant) async throws(OAuthError) -> Grant {
        let (grant, credential) = try await grant(of: token)
        guard grant.isLive(at: now) else { throw RefreshTokens.refusal(.refreshGone) }
        // On a copy: what a refresh would refuse proves nothing here either, and nothing is written.
        var trial = grant.rotation
        switch trial.present(credential.counter, at: now, senderIsProved: false, windows: lifetimes.windows) {
        case .rotated, .repeated, .replaced, .kept: return grant
        case .replayed: throw RefreshTokens.refusal(.refreshReplayed)
        case .aheadOfStore: throw RefreshTokens.refusal(.storeRollbackDetected)
        }
    }

    /// Uses a refresh token.
    ///
    /// - Parameter requested: What part of the grant the access token shall have.
    package func authorize(
        _ token: Secret<String>, for requested: RequestedAccess = .everything, _ context: TokenContext
    ) async throws(OAuthError) -> TokenAuthorization {
        let credential = try self.credential(of: token)
        let client = context.client
        // Whether anything is left of the resources that it asks for.
        let policy = requested.resources.isEmpty ? nil : try await policies.policy(atLeast: 0)
        let event = AuditEvent(
            .refreshReplayed, at: context.now, clientID: client.client.id, source: context.source,
            reason: OAuthError.Reason.refreshReplayed.rawValue, traceID: context.traceID
        )
        let judged: Result<RefreshOutcome, OAuthError>
        do {
            judged = try await store.refresh(credential.grantID, at: context.now, event: event) {
                [self] (grant, account) throws(OAuthError) in
                let presentation = try presentation(of: credential, grant, for: requested, context)
                _ = try policy?.refreshed(grant, for: requested, roles: account.roles, client: client.client)
                return presentation
            }
        } catch {
            throw OAuthError(storeError: error)
        }
        failpoint("refresh.after_commit")
        switch try judged.get() {
        case .refreshed(let refreshed):
            return try await authorization(refreshed, for: requested, context.confirmation)
        case .gone: throw RefreshTokens.refusal(.refreshGone)
        case .wrongClient: throw RefreshTokens.refusal(.refreshOfAnotherClient)
        case .disabled: throw RefreshTokens.refusal(.refreshOfDisabled)
        case .replayed: throw RefreshTokens.refusal(.refreshReplayed)
        case .aheadOfStore: throw RefreshTokens.refusal(.storeRollbackDetected)
        }
    }

    /// What a token is good for. Before it is used up: a request that can give nothing harms nothing.
    private func presentation(
        of credential: GrantCredential, _ grant: Grant, for requested: RequestedAccess, _ context: TokenContext
    ) throws(OAuthError) -> RefreshPresentation {
        try check(credential, of: grant)
        try requested.check(against: grant)
        let bound = grant.binding?.confirmation
        if let bound, bound != context.confirmation { throw RefreshTokens.refusal(.senderKeyMismatch) }
        let client = context.client
        if grant.binding != nil { try issuer.checkKeys(for: client.client, scope: grant.scope) }
        return RefreshPresentation(
            counter: credential.counter, clientID: client.client.id, senderIsProved: client.isProved || bound != nil,
            windows: lifetimes.windows, idleLifetime: lifetimes.refreshIdle, accessLifetime: issuer.accessLifetime,
            rotates: client.client.policy.rotates(isSenderConstrained: context.confirmation != nil), offlineLifetime: lifetimes.offline
        )
    }

    private func authorization(
        _ refreshed: RefreshedGrant, for requested: RequestedAccess, _ confirmation: Confirmation?
    ) async throws(OAuthError) -> TokenAuthorization {
        let policy = try await policies.policy(atLeast: refreshed.resourcesVersion)
        let grant = refreshed.grant
        let access = try policy.refreshed(grant, for: requested, roles: refreshed.account.roles, client: refreshed.client)
        var subject = TokenSubject(
            client: refreshed.client, account: refreshed.account, grant: grant, assurance: refreshed.assurance, access: access,
            claims: policy.catalogue.claims(access.audiences, of: refreshed.account, scope: access.scope),
            expiresAt: refreshed.tokenExpiresAt
        )
        subject.confirmation = confirmation
        subject.narrow(to: requested)
        // Without nonce (OpenID Connect Core §12.2).
        let idToken = grant.binding.flatMap { binding in
            access.scope.contains("openid") ? IDTokenRequest(nonce: nil, claims: binding.claims?["id_token"]?.object) : nil
        }
        return TokenAuthorization(subject: subject, refreshCounter: refreshed.successor, idToken: idToken)
    }

    /// One text for every refusal: whoever holds a wrong token learns nothing from it.
    private static func refusal(_ reason: OAuthError.Reason) -> OAuthError {
        OAuthError(.invalidGrant, reason, "The refresh token is not valid any more. Sign in again.")
    }
}
