package import AuthCore
package import Store
package import TokenKeys
package import TokenVerification

/// What a client gets (RFC 6749 §5.1).
package struct IssuedTokens: Sendable {
    package let accessToken: Secret<String>
    /// `Bearer`, or `DPoP` for tokens that are bound to such a key (RFC 9449 §5).
    package let tokenType: String
    package let expiresIn: Duration
    package let refreshToken: Secret<String>?
    package let idToken: Secret<String>?
    package let scope: ScopeSet
    package let sessionID: Identifier?
    package let issuedTokenType: String?
    package let details: [JSONValue]
}

/// What a token says about whom; everything was read under the lock of the transaction that allowed it.
package struct TokenSubject: Sendable {
    package var client: Client
    /// Nothing: the client itself.
    package var account: Account?
    package var grant: Grant?
    package var assurance: SessionAssurance?
    package var access: GrantedAccess
    /// What the resources ask for beside.
    package var claims: [(name: String, value: JSONValue)]
    /// When the access token ends: never after its session, and as the store remembers it for revocations.
    package var expiresAt: Instant
    package var confirmation: Confirmation?
    /// The `sub`, where it is taken over from another token: whatever revokes that one by its subject revokes this one.
    package var subjectID: Identifier?
    /// Who acts for the subject (RFC 8693 §4.1).
    package var actor: JSONObject?
    /// The clients that the token has come through before this one.
    package var passedOn: [AccessToken.Holder] = []
    /// RFC 9396 §9.1.
    package var details: [JSONValue] = []

    package init(
        client: Client, account: Account?, grant: Grant?, assurance: SessionAssurance?, access: GrantedAccess,
        claims: [(name: String, value: JSONValue)], expiresAt: Instant
    ) {
        self.client = client
        self.account = account
        self.grant = grant
        self.assurance = assurance
        self.access = access
        self.claims = claims
        self.expiresAt = expiresAt
        self.details = grant?.binding?.details ?? []
    }

    /// RFC 9396 §6: a token may have fewer of the details than the grant.
    mutating func narrow(to requested: RequestedAccess) {
        if let asked = requested.details { details = details.filter(asked.contains) }
    }
}

/// Signs tokens (RFC 9068, OpenID Connect Core §2). Nothing else does.
package struct TokenIssuer: Sendable {
    package let issuer: Identifier
    package let accessLifetime: Duration
    package let subjects: SubjectIdentifiers
    let keys: SigningKeys
    private let masterKeys: MasterKeys
    let clientKeys: ClientKeys
    let environment: Environment

    package init(
        issuer: Identifier, accessLifetime: Duration, subjects: SubjectIdentifiers, keys: SigningKeys, masterKeys: MasterKeys,
        clientKeys: ClientKeys, environment: Environment
    ) {
        self.clientKeys = clientKeys
        self.issuer = issuer
        self.accessLifetime = accessLifetime
        self.subjects = subjects
        self.keys = keys
        self.masterKeys = masterKeys
        self.environment = environment
    }

    package func issue(_ authorization: TokenAuthorization, at now: Instant) async throws(OAuthError) -> IssuedTokens {
        let subject = authorization.subject
        let claims = try self.claims(subject, id: Base64URL.encode(environment.randomBytes(16)), at: now)
        let accessToken = try sign(claims, as: .accessToken)
        var refreshToken: Secret<String>?
        if let counter = authorization.refreshCounter, let grant = subject.grant {
            refreshToken = GrantCredential.make(.refreshToken, grant: grant, counter: counter, issuer: issuer, keys: masterKeys)
        }
        var idToken: Secret<String>?
        if let request = authorization.idToken {
            idToken = try await self.idToken(request, subject, accessToken: accessToken, at: now)
        }
        return IssuedTokens(
            accessToken: Secret(accessToken), tokenType: subject.confirmation?.kind == .jkt ? "DPoP" : "Bearer",
            expiresIn: subject.expiresAt - now, refreshToken: refreshToken, idToken: idToken, scope: subject.access.scope,
            sessionID: subject.grant?.sessionID, issuedTokenType: authorization.issuedTokenType, details: subject.details)
    }

    /// - Parameter algorithm: Nothing for that of access tokens.
    func sign(
        _ claims: [UInt8], as type: SigningKeys.TokenType, algorithm: SignatureAlgorithm? = nil
    ) throws(OAuthError) -> String {
        do { return try keys.sign(claims, as: type, algorithm: algorithm) } catch { throw TokenIssuer.unavailable }
    }

    /// Before anything is used up: whether an ID token can be made for this client. RSA keys are made after the first start of all.
    ///
    /// - Throws: 503, as `sign` would.
    func checkKeys(for client: Client, scope: ScopeSet) throws(OAuthError) {
        guard scope.contains("openid"), let algorithm = SignatureAlgorithm(rawValue: client.idTokenAlgorithm) else { return }
        guard keys.canSign(with: algorithm) else { throw TokenIssuer.unavailable }
    }

    private static let unavailable = OAuthError(
        .temporarilyUnavailable, .signingUnavailable, "Tokens cannot be signed now. Try again soon.")

    /// The claims of RFC 9068 §2.2 and our own `sid`, `gid`, `ver`.
    private func claims(_ subject: TokenSubject, id: String, at now: Instant) throws(OAuthError) -> [UInt8] {
        var json = JSONWriter()
        json.object {
            $0.member("iss", issuer.text)
            let sub = subject.subjectID ?? subjects.identifier(of: subject.account, for: subject.client, grant: subject.grant)
            $0.member("sub", sub.text)
            if subject.access.audiences.count == 1 {
                $0.member("aud", subject.access.audiences[0].text)
            } else {
                $0.member("aud", subject.access.audiences.map(\.text))
            }
            $0.member("client_id", subject.client.id.text)
            $0.member("iat", now.seconds)
            $0.member("exp", subject.expiresAt.seconds)
            $0.member("jti", id)
            $0.member("scope", subject.access.scope.description)
            if let assurance = subject.assurance {
                $0.member("auth_time", assurance.authenticatedAt.seconds)
                $0.member("acr", assurance.acr)
                $0.member("amr", assurance.amr)
            }
            for (name, value) in subject.claims { $0.member(named: name, value) }
            // A grant that outlives its session is not revoked with it, and so its tokens do not name it.
            if subject.grant?.isOffline != true { $0.member("sid", subject.grant?.sessionID?.text) }
            $0.member("gid", subject.grant?.id.text)
            $0.array("ver") {
                $0.value(subject.account?.epoch ?? 0)
                $0.value(subject.client.epoch)
            }
            if !subject.passedOn.isEmpty {
                let pairs = subject.passedOn.map { JSONValue.array([.string($0.client.text), .number(JSONNumber($0.epoch))]) }
                $0.member("via", .array(pairs))
            }
            if let confirmation = subject.confirmation {
                $0.member("cnf", .object(JSONObject([(confirmation.kind.rawValue, .string(confirmation.thumbprint))])))
            }
            if let actor = subject.actor { $0.member("act", .object(actor)) }
            if !subject.details.isEmpty { $0.member("authorization_details", .array(subject.details)) }
        }
        return json.bytes
    }
}
