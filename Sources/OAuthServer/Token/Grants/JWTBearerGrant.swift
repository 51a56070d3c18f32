package import AuthCore
package import Store
internal import TokenVerification

/// `grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer` (RFC 7523 §2.1): an issuer that the operator trusts for this client says who it
/// is. One access token; no refresh token, no session, no ID token (RFC 7521 §4.1).
package struct JWTBearerGrant: TokenGrant {
    package typealias Stores = AccountStore & AuthorizationStore & SpentStore

    package struct Request: Sendable {
        let assertion: Secret<String>
        let scope: ScopeSet?
        let resources: [Identifier]
    }

    package let kind = GrantKind.jwtBearer
    package let parameters: Set<Identifier> = ["assertion", "scope", "resource"]
    /// How long an assertion may live; its `jti` is remembered until then.
    package static let lifetimeMax = Duration.seconds(3_600)
    /// Never what else the same issuer signs: access tokens, logout tokens (RFC 8725 §3.11).
    private static let types = ["JWT", "authorization-grant+jwt"]

    private let store: any Stores
    private let policies: ScopePolicies
    private let issuer: TokenIssuer

    package init(store: any Stores, policies: ScopePolicies, issuer: TokenIssuer) {
        self.store = store
        self.policies = policies
        self.issuer = issuer
    }

    package func decode(_ parameters: FormParameters) throws(OAuthError) -> Request {
        Request(
            assertion: Secret(try parameters.required("assertion", bytesMax: 16_384)), scope: try parameters.scope(),
            resources: try parameters.resources())
    }

    package func authorize(_ request: Request, _ context: TokenContext) async throws(OAuthError) -> TokenAuthorization {
        guard context.client.isProved else {
            throw OAuthError(.unauthorizedClient, .grantNotAllowed, "A public client cannot use this grant_type.")
        }
        let (client, now) = (context.client.client, context.now)
        let assertion = try await verified(request.assertion, client, at: now)
        let account = try await account(of: assertion)
        let policy = try await policies.policy(atLeast: 0)
        let asked = try policy.grant(requested: request.scope, audiences: request.resources, roles: account.roles, client: client)
        // Gatehouse's own API is for people who have signed in here, and there is nothing that could stay connected.
        let scope = asked.scope.subtracting(ScopeSet(ScopeCatalogue.ownScopes + ["offline_access"]))
        if let wanted = request.scope, !wanted.isEmpty, scope.isEmpty {
            throw OAuthError(.invalidScope, .scopeNotGranted, "None of these scopes is granted with an assertion.")
        }
        let access = try policy.refreshed(scope: scope, roles: account.roles, client: client)
        // Last, when nothing else can refuse it.
        try await spend(assertion, at: now)
        let end = now + issuer.accessLifetime
        let grant = try await grant(account, access, until: end, context)
        var subject = TokenSubject(
            client: client, account: account, grant: grant, assurance: nil, access: access,
            claims: policy.catalogue.claims(access.audiences, of: account, scope: access.scope), expiresAt: end)
        subject.confirmation = context.confirmation
        return TokenAuthorization(subject: subject)
    }

    /// RFC 7523 §3: issuer, audience, times and signature.
    private func verified(_ text: Secret<String>, _ client: Client, at now: Instant) async throws(OAuthError) -> JWTAssertion {
        let metadata = client.definition.metadata
        guard let trusted = metadata.assertionIssuer, let address = metadata.assertionKeysURI, Identifier(trusted) != issuer.issuer else {
            throw JWTBearerGrant.refusal("no issuer is trusted for this client")
        }
        let own = issuer.issuer
        let audience: JWTAssertionRules.Audience =
            client.policy.wantsStrictAudience ? .only(own) : .contains([own, Identifier(own.text + ServerMetadata.Path.token)])
        var rules = JWTAssertionRules(
            algorithms: Set(client.policy.signatureAlgorithms.compactMap { SignatureAlgorithm(rawValue: $0) }), audience: audience)
        rules.types = JWTBearerGrant.types
        rules.allowsNoType = true
        rules.issuer = Identifier(trusted)
        rules.required = [.subject, .id]
        rules.lifetimeMax = JWTBearerGrant.lifetimeMax
        let token: PresentedJWT
        do { token = try PresentedJWT(text) } catch { throw JWTBearerGrant.refusal(error.rawValue) }
        // Before anything is fetched.
        guard token.claimedIssuer == Identifier(trusted) else {
            throw JWTBearerGrant.refusal(JWTAssertionRefusal.wrongIssuer.rawValue)
        }
        do { return try await issuer.clientKeys.verify(token, keysAt: address, by: rules, at: now) } catch {
            throw JWTBearerGrant.refusal(error.text)
        }
    }

    /// The account whose user name is the `sub`, byte for byte in its canonical form.
    private func account(of assertion: JWTAssertion) async throws(OAuthError) -> Account {
        let found: Account?
        do {
            found = if let name = assertion.subject { try await store.account(canonicalName: name, canonicalEmail: nil) } else { nil }
        } catch { throw OAuthError(storeError: error) }
        guard let found, !found.isDisabled else { throw JWTBearerGrant.nobody }
        return found
    }

    private func spend(_ assertion: JWTAssertion, at now: Instant) async throws(OAuthError) {
        guard let id = assertion.id, let trusted = assertion.issuer, let expiresAt = assertion.expiresAt else {
            throw JWTBearerGrant.refusal(JWTAssertionRefusal.malformed.rawValue)
        }
        // By its issuer rather than by the client: one that two clients trust is used once between them.
        let hashes = [trusted.text, id].map { Base64URL.encode(TokenHash(of: $0.utf8).bytes) }
        let isNew: Bool
        do {
            isNew = try await store.spend(
                Identifier("grant \(hashes[0]) \(hashes[1])"), until: expiresAt + JWTAssertionRules.leewayMax, at: now)
        } catch { throw OAuthError(storeError: error) }
        guard isNew else {
            throw OAuthError(.invalidGrant, .grantAssertionReplayed, "The assertion was used before (RFC 7523 §3).")
        }
    }

    private func grant(
        _ account: Account, _ access: GrantedAccess, until end: Instant, _ context: TokenContext
    ) async throws(OAuthError) -> Grant {
        let client = context.client.client
        // Nobody proved anything here: without `acr` and `amr`.
        var binding = GrantBinding(assurance: SessionAssurance(acr: "", amr: [], authenticatedAt: context.now))
        let subject = issuer.subjects.identifier(of: account, for: client)
        binding.subject = subject == account.id ? nil : subject
        let authorization = VouchedAuthorization(
            account: account, client: client, access: (access.scope, access.audiences), binding: binding, expiresAt: end)
        let event = AuditEvent(
            .authorized, at: context.now, source: context.source, reason: "jwt-bearer \(access.scope)", traceID: context.traceID)
        let outcome: AuthorizationOutcome
        do { outcome = try await store.authorize(authorization, at: context.now, event: event) } catch {
            throw OAuthError(storeError: error)
        }
        switch outcome {
        case .authorized(let grant): return grant
        case .sessionEnded, .requestSpent: throw JWTBearerGrant.nobody
        case .clientUnavailable: throw OAuthError(.invalidClient, .clientDisabled, "The client is not available any more.")
        }
    }

    private static let nobody = OAuthError(
        .invalidGrant, .grantAssertionSubjectUnknown, "The assertion is about nobody who may sign in here.")

    /// RFC 7523 §3.1.
    private static func refusal(_ text: String) -> OAuthError {
        OAuthError(.invalidGrant, .grantAssertionInvalid, "The assertion is not good: \(text).")
    }
}
