package import AuthCore
package import Store
package import TokenKeys

/// What a client gets (RFC 6749 §5.1).
package struct IssuedTokens: Sendable {
    package let accessToken: Secret<String>
    package let expiresIn: Duration
    package let refreshToken: Secret<String>?
    package let scope: ScopeSet
    package let sessionID: Identifier?
}

/// Signs access tokens (RFC 9068). Nothing else does.
package struct TokenIssuer: Sendable {
    package let issuer: Identifier
    package let accessLifetime: Duration
    private let keys: SigningKeys
    private let masterKeys: MasterKeys
    private let environment: Environment

    package init(issuer: Identifier, accessLifetime: Duration, keys: SigningKeys, masterKeys: MasterKeys, environment: Environment) {
        self.issuer = issuer
        self.accessLifetime = accessLifetime
        self.keys = keys
        self.masterKeys = masterKeys
        self.environment = environment
    }

    /// What a token says about whom; everything was read under the lock of the transaction that allowed it.
    package struct Subject: Sendable {
        package var account: Account
        package var client: Client
        package var grant: Grant
        package var assurance: SessionAssurance
        package var access: GrantedAccess
        package var includesRoles: Bool
        /// When the access token ends: never after its session, and as the store remembers it for revocations.
        package var expiresAt: Instant

        package init(
            account: Account, client: Client, grant: Grant, assurance: SessionAssurance, access: GrantedAccess, includesRoles: Bool,
            expiresAt: Instant
        ) {
            self.account = account
            self.client = client
            self.grant = grant
            self.assurance = assurance
            self.access = access
            self.includesRoles = includesRoles
            self.expiresAt = expiresAt
        }
    }

    /// - Parameter counter: Of the refresh token that goes with it; nothing when there is none.
    package func issue(_ subject: Subject, counter: Int64?, at now: Instant) throws(OAuthError) -> IssuedTokens {
        let claims = self.claims(subject, id: Base64URL.encode(environment.randomBytes(16)), at: now)
        let accessToken: String
        do { accessToken = try keys.sign(claims, as: .accessToken) } catch {
            throw OAuthError(.temporarilyUnavailable, .signingUnavailable, "Tokens cannot be signed now. Try again soon.")
        }
        let refreshToken = counter.map {
            GrantCredential.make(.refreshToken, grant: subject.grant, counter: $0, issuer: issuer, keys: masterKeys)
        }
        return IssuedTokens(
            accessToken: Secret(accessToken), expiresIn: subject.expiresAt - now, refreshToken: refreshToken, scope: subject.access.scope,
            sessionID: subject.grant.sessionID
        )
    }

    /// The claims of RFC 9068 §2.2 and our own `sid`, `gid`, `ver`.
    private func claims(_ subject: Subject, id: String, at now: Instant) -> [UInt8] {
        var json = JSONWriter()
        json.object {
            $0.member("iss", issuer.text)
            $0.member("sub", subject.account.id.text)
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
            $0.member("auth_time", subject.assurance.authenticatedAt.seconds)
            $0.member("acr", subject.assurance.acr)
            $0.member("amr", subject.assurance.amr)
            if subject.includesRoles { $0.member("roles", subject.account.roles.map(\.text)) }
            $0.member("sid", subject.grant.sessionID?.text)
            $0.member("gid", subject.grant.id.text)
            $0.array("ver") {
                $0.value(subject.account.epoch)
                $0.value(subject.client.epoch)
            }
        }
        return json.bytes
    }
}
