package import AuthCore
package import Store
package import TokenKeys

/// `grant_type=authorization_code` (RFC 6749 §4.1.3, RFC 7636 §4.5).
package struct AuthorizationCodeGrant: TokenGrant {
    package struct Request: Sendable {
        let code: Secret<String>
        let redirectURI: String?
        let challenge: String?
        let requested: RequestedAccess
    }

    package let kind = GrantKind.authorizationCode
    package let parameters: Set<Identifier> = RequestedAccess.parameters.union(["code", "redirect_uri", "code_verifier"])
    private let store: any AuthorizationStore & GrantStore & AuditStore
    private let tokens: RefreshTokens
    private let masterKeys: MasterKeys

    package init(store: any AuthorizationStore & GrantStore & AuditStore, tokens: RefreshTokens, masterKeys: MasterKeys) {
        self.store = store
        self.tokens = tokens
        self.masterKeys = masterKeys
    }

    package func decode(_ parameters: FormParameters) throws(OAuthError) -> Request {
        let code = Secret(try parameters.required("code", bytesMax: 4_096))
        var challenge: String?
        if let verifier = try parameters.optional("code_verifier", bytesMax: 1_024) {
            guard let computed = CodeChallenge.s256(ofVerifier: verifier) else {
                throw OAuthError(
                    .invalidRequest, .verifierMalformed, "code_verifier is not 43 to 128 unreserved characters (RFC 7636 §4.1).")
            }
            challenge = computed
        }
        return Request(
            code: code, redirectURI: try parameters.optional("redirect_uri", bytesMax: 2_048), challenge: challenge,
            requested: try RequestedAccess(parameters, hasScope: false))
    }

    package func authorize(_ request: Request, _ context: TokenContext) async throws(OAuthError) -> TokenAuthorization {
        guard let credential = GrantCredential(request.code, keys: masterKeys), credential.kind == .authorizationCode else {
            throw AuthorizationCodeGrant.refusal(.codeMalformed)
        }
        let found: Grant?
        do { found = try await store.grant(credential.grantID) } catch { throw OAuthError(storeError: error) }
        guard let found, credential.isAuthentic(for: found, issuer: tokens.issuer.issuer, keys: masterKeys) else {
            throw AuthorizationCodeGrant.refusal(.codeGone)
        }
        let client = context.client.client
        try tokens.issuer.checkKeys(for: client, scope: found.scope)
        var presentation = CodePresentation(
            grantID: credential.grantID, clientID: client.id, redirectURI: request.redirectURI, codeChallenge: request.challenge,
            confirmation: context.confirmation, bindsRefresh: !context.client.isProved,
            refreshes: client.definition.grants.contains(.refreshToken),
            lifetimes: (tokens.lifetimes.refreshIdle, tokens.issuer.accessLifetime, tokens.lifetimes.offline),
            hearsOfLogout: client.hearsOfLogout)
        let requested = request.requested
        presentation.isGranted = { requested.isGranted(by: $0) }
        let event = AuditEvent(
            .codeReplayed, at: context.now, clientID: client.id, source: context.source, reason: OAuthError.Reason.codeReplayed.rawValue,
            traceID: context.traceID)
        let outcome: CodeOutcome
        do { outcome = try await store.redeem(presentation, at: context.now, event: event) } catch { throw OAuthError(storeError: error) }
        failpoint("code.after_commit")
        switch outcome {
        case .redeemed(let redeemed): return try await tokens.authorization(redeemed: redeemed, for: requested, context.confirmation)
        case .notGranted: try requested.check(against: found)
        default: break
        }
        let reason = AuthorizationCodeGrant.reason(outcome)
        try await remember(reason, context)
        throw AuthorizationCodeGrant.refusal(reason)
    }

    /// Whoever presents a code that is not theirs, or without what it is bound to, is written down (RFC 9700 §4.5).
    private func remember(_ reason: OAuthError.Reason, _ context: TokenContext) async throws(OAuthError) {
        switch reason {
        case .codeOfAnotherClient, .redirectURIMismatch, .verifierMismatch, .senderKeyMismatch:
            let event = AuditEvent(
                .codeRefused, at: context.now, clientID: context.client.client.id, source: context.source, reason: reason.rawValue,
                traceID: context.traceID)
            do { try await store.append(event) } catch { throw OAuthError(storeError: error) }
        default: break
        }
    }

    private static func reason(_ outcome: CodeOutcome) -> OAuthError.Reason {
        switch outcome {
        case .redeemed, .notGranted, .gone: .codeGone
        case .expired: .codeExpired
        case .wrongClient: .codeOfAnotherClient
        case .wrongRedirectURI: .redirectURIMismatch
        case .wrongVerifier: .verifierMismatch
        case .wrongKey: .senderKeyMismatch
        case .disabled: .codeOfDisabled
        case .replayed: .codeReplayed
        }
    }

    /// One text for every refusal: another client, or a wrong verifier, must not learn whether the code exists (TK-15).
    private static func refusal(_ reason: OAuthError.Reason) -> OAuthError {
        OAuthError(.invalidGrant, reason, "The code is not valid: used, expired, or not this client's with this redirect_uri and verifier.")
    }
}

extension RefreshTokens {
    /// The tokens that a redeemed grant buys the first time.
    func authorization(
        redeemed: RefreshedGrant, for requested: RequestedAccess, _ confirmation: Confirmation?
    ) async throws(OAuthError) -> TokenAuthorization {
        let policy = try await policies.policy(atLeast: redeemed.resourcesVersion)
        let (grant, client) = (redeemed.grant, redeemed.client)
        let access = try policy.refreshed(grant, for: requested, roles: redeemed.account.roles, client: client)
        var subject = TokenSubject(
            client: client, account: redeemed.account, grant: grant, assurance: redeemed.assurance, access: access,
            claims: policy.catalogue.claims(access.audiences, of: redeemed.account, scope: access.scope), expiresAt: redeemed.tokenExpiresAt
        )
        subject.confirmation = confirmation
        subject.narrow(to: requested)
        let binding = grant.binding
        let idToken =
            access.scope.contains("openid") ? IDTokenRequest(nonce: binding?.nonce, claims: binding?.claims?["id_token"]?.object) : nil
        let refreshes = client.definition.grants.contains(.refreshToken)
        return TokenAuthorization(subject: subject, refreshCounter: refreshes ? redeemed.successor : nil, idToken: idToken)
    }
}

extension Client {
    /// Whether it is told of the ends of sessions.
    var hearsOfLogout: Bool {
        definition.metadata.backchannelLogoutURI != nil || definition.metadata.frontchannelLogoutURI != nil
    }
}
