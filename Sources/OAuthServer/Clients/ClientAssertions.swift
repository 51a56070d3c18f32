package import AuthCore
package import Store
internal import TokenVerification

/// Client assertions (RFC 7523 §2.2, OpenID Connect Core §9): `private_key_jwt`, `client_secret_jwt`, and the token of a workload in the place of one.
package struct ClientAssertions: Sendable {
    package static let type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    /// How long an assertion may live; its `jti` is remembered until then.
    package static let lifetimeMax = Duration.seconds(3_600)

    let keys: ClientKeys
    private let store: any SpentStore
    private let issuer: Identifier
    private let mutualTLSOrigin: Identifier?
    private let secrets: ClientSecrets

    package init(
        keys: ClientKeys, store: any SpentStore, issuer: Identifier, secrets: ClientSecrets, mutualTLSOrigin: Identifier? = nil
    ) {
        self.mutualTLSOrigin = mutualTLSOrigin
        self.secrets = secrets
        self.keys = keys
        self.store = store
        self.issuer = issuer
    }

    /// - Parameter path: Of the endpoint that it was sent to.
    /// - Throws: `invalid_client`; the client is told what is wrong with its assertion, and nothing of keys.
    func verify(_ token: PresentedJWT, of client: Client, path: String, at now: Instant) async throws(OAuthError) {
        // The profile wants assertions of the client's own (FAPI 2.0 Security Profile §5.3.2.1).
        if let workload = client.definition.metadata.workloadIssuer, token.claimedIssuer == Identifier(workload),
            !client.policy.wantsStrictAudience
        {
            return try await verify(workload: token, of: client, issuer: workload, at: now)
        }
        let policy = client.policy
        var rules = JWTAssertionRules(algorithms: algorithms(of: client), audience: audience(policy, path: path))
        rules.issuer = client.id
        rules.subject = client.id
        rules.required = [.id]
        rules.lifetimeMax = ClientAssertions.lifetimeMax
        let assertion: JWTAssertion
        do {
            let usesSecret = client.definition.metadata.authenticationMethod == .secretJWT
            assertion =
                usesSecret
                ? try verify(token, bySecretOf: client, rules, at: now) : try await keys.verify(token, of: client, by: rules, at: now)
        } catch { throw ClientAssertions.refusal(error, isGuess: client.definition.metadata.authenticationMethod == .secretJWT) }
        guard let id = assertion.id, let expiresAt = assertion.expiresAt else { throw ClientAssertions.refusal(.refused(.malformed)) }
        let spent = Identifier("assertion \(client.uid) \(Base64URL.encode(TokenHash(of: id.utf8).bytes))")
        let isNew: Bool
        do { isNew = try await store.spend(spent, until: expiresAt + JWTAssertionRules.leewayMax, at: now) } catch {
            throw OAuthError(storeError: error)
        }
        guard isNew else {
            throw OAuthError(.invalidClient, .assertionReplayed, "The client assertion was used before (RFC 7523 §3).")
        }
    }

    /// With any of its secrets, so that they can be rotated (OpenID Connect Core §9).
    private func verify(
        _ token: PresentedJWT, bySecretOf client: Client, _ rules: JWTAssertionRules, at now: Instant
    ) throws(ClientKeysFailure) -> JWTAssertion {
        var rules = rules
        rules.algorithms = [.hs256]
        var failure = ClientKeysFailure.noKeys
        for secret in secrets.sealed(of: client) {
            do { return try token.verified(with: .secret(secret), by: rules, at: now) } catch {
                failure = .refused(error)
                if error != .badSignature { throw failure }
            }
        }
        throw failure
    }

    /// A token that the platform gives to the workload (a Kubernetes service account, say): signed by the platform, about the workload,
    /// and for us. It has no `jti` of one use; that it lives shortly is the platform's care.
    private func verify(workload token: PresentedJWT, of client: Client, issuer: String, at now: Instant) async throws(OAuthError) {
        let metadata = client.definition.metadata
        guard let subject = metadata.workloadSubject else { throw ClientAssertions.refusal(.noKeys) }
        var rules = JWTAssertionRules(
            algorithms: Set(ClientFields.signatures.compactMap { SignatureAlgorithm(rawValue: $0) }), audience: .contains([self.issuer]))
        rules.issuer = Identifier(issuer)
        rules.subject = Identifier(subject)
        rules.lifetimeMax = .seconds(86_400)
        let address = metadata.workloadKeysURI ?? issuer + "/openid/v1/jwks"
        do { _ = try await keys.verify(token, keysAt: address, by: rules, at: now) } catch { throw ClientAssertions.refusal(error) }
    }

    private func algorithms(of client: Client) -> Set<SignatureAlgorithm> {
        let allowed = client.policy.signatureAlgorithms.compactMap { SignatureAlgorithm(rawValue: $0) }
        guard let only = client.definition.metadata.authenticationAlgorithm else { return Set(allowed) }
        return Set(allowed.filter { $0.rawValue.isSameBytes(as: only) })
    }

    /// The issuer; before RFC 7523bis many clients named the endpoint, which FAPI forbids.
    private func audience(_ policy: ClientPolicy, path: String) -> JWTAssertionRules.Audience {
        if policy.wantsStrictAudience { return .only(issuer) }
        return .contains(
            [issuer]
                + [issuer, mutualTLSOrigin].compactMap(\.self).flatMap { origin in
                    [Identifier(origin.text + ServerMetadata.Path.token), Identifier(origin.text + path)]
                })
    }

    /// - Parameter isGuess: Whether a wrong signature is a wrong secret.
    private static func refusal(_ failure: ClientKeysFailure, isGuess: Bool = false) -> OAuthError {
        var reason = OAuthError.Reason.assertionInvalid
        if isGuess, case .refused(.badSignature) = failure { reason = .clientSecretWrong }
        return OAuthError(.invalidClient, reason, "The client assertion is not good: \(failure.text).")
    }
}
