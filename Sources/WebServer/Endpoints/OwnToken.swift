package import AuthCore
package import OAuthServer
internal import Store
package import TokenVerification

/// Who is asking Gatehouse's own API: an account, by a token made for exactly that, or by its refresh token.
package struct OwnToken: Sendable {
    private let verifier: TokenVerifier
    private let tokens: FirstPartyTokens
    private let environment: Environment
    private let proofs: OwnProofs

    package init(verifier: TokenVerifier, tokens: FirstPartyTokens, environment: Environment, proofs: OwnProofs) {
        self.verifier = verifier
        self.tokens = tokens
        self.environment = environment
        self.proofs = proofs
    }

    package struct Holder: Sendable {
        package let accountID: Identifier
        package let sessionID: Identifier?
    }

    /// A token as it came, with the proof that came along, which is good where there is one.
    package struct Presented: Sendable {
        package let token: Secret<[UInt8]>
        /// Of a key under the DPoP scheme, of the connection's certificate under the other.
        let proof: SenderProof?
        /// The next `DPoP-Nonce`, for a refusal under the DPoP scheme.
        let nonce: String?

        /// Whether a token with this `cnf` may come like this: for one that the verifier did not get to the proof of.
        func isSender(_ confirmation: JSONValue?) -> Bool {
            guard let confirmation else { return nonce == nil }
            if let wanted = confirmation.object?["x5t#S256"]?.string { return proof?.certificate?.isSameBytes(as: wanted) ?? false }
            guard case .proven(let proof) = proof?.key, let members = confirmation.object, members.count == 1 else { return false }
            return members["jkt"]?.string?.isSameBytes(as: proof.jkt) ?? false
        }
    }

    /// The token of the `Authorization` header; nothing when there is none.
    ///
    /// - Throws: The challenge of RFC 9449 §7.1 for what is no proof of this request.
    package func presented(_ request: APIRequest) throws(APIError) -> Presented? {
        guard let credential = try request.credential() else { return nil }
        guard credential.isDPoP else {
            let certificate = request.facts.clientCertificate.map { SenderProof(key: .none, certificate: $0.thumbprint) }
            return Presented(token: credential.token, proof: certificate, nonce: nil)
        }
        let proof = try proofs.proof(request, accessToken: credential.token)
        return Presented(token: credential.token, proof: proof, nonce: proofs.nonce(request.now))
    }

    /// The account behind `Authorization`: an access token with the audience `gatehouse` alone and `scope`, or, where a person's own
    /// sessions are concerned, the refresh token of a first-party session.
    package func holder(_ request: APIRequest, scope: Identifier, allowsRefreshToken: Bool) async throws(APIError) -> Holder {
        guard let presented = try presented(request) else {
            throw APIError(
                401, "invalid_token", "Send a bearer token.", reason: "token_missing",
                headers: [("www-authenticate", "Bearer realm=\"gatehouse\"")]
            )
        }
        if allowsRefreshToken, presented.nonce == nil, let text = String(validating: presented.token.exposed, as: UTF8.self),
            text.hasPrefix("ghr_")
        {
            return try await holder(ofRefreshToken: Secret(text), request)
        }
        let token = try accessToken(presented, audience: .anyOf([ScopeCatalogue.ownResource]), scope: ScopeSet([scope]))
        guard token.audiences == [ScopeCatalogue.ownResource] else { throw OwnToken.refused("wrong_audience", nonce: presented.nonce) }
        return Holder(accountID: token.subject, sessionID: token.sessionID)
    }

    private func holder(ofRefreshToken token: Secret<String>, _ request: APIRequest) async throws(APIError) -> Holder {
        do throws(OAuthError) {
            let grant = try await tokens.liveGrant(of: token, at: request.now)
            guard try await tokens.isFirstParty(grant) else { throw OAuthError(.invalidGrant, .clientNotFirstParty, "") }
            // One that is bound to a DPoP key has no place here; an access token for this API has.
            if let bound = grant.binding?.confirmation {
                let shown = request.facts.clientCertificate.map { Confirmation(.certificate, $0.thumbprint) }
                guard bound == shown else { throw OAuthError(.invalidGrant, .senderKeyMismatch, "") }
            }
            return Holder(accountID: grant.accountID, sessionID: grant.sessionID)
        } catch {
            if error.code == .temporarilyUnavailable { throw APIError(error) }
            throw OwnToken.refused(error.reason.rawValue)
        }
    }

    /// A good access token, or the refusal of RFC 6750 §3.1. One text for every fault of the token (JW-22).
    package func accessToken(_ presented: Presented, audience: AudienceRequirement, scope: ScopeSet) throws(APIError) -> AccessToken {
        let requirements = TokenRequirements(audience: audience, scope: scope, proof: presented.proof)
        var explanation: TokenExplanation?
        let decision = verifier.decide(
            presented.token.exposed, for: requirements, now: environment.now(), uptime: environment.uptime(), whenStale: .refuse,
            explaining: &explanation
        )
        switch decision {
        case .accept(let token): return token
        case .refuse(.insufficientScope):
            throw APIError(
                403, "insufficient_scope", "The token lacks the scope \(scope).",
                headers: Challenge.headers("insufficient_scope", more: ", scope=\"\(scope)\"", nonce: presented.nonce)
            )
        case .refuse(let reason): throw OwnToken.refused(reason.rawValue, nonce: presented.nonce)
        case .overloaded: throw .unavailable("proofs_overloaded")
        case .ask, .unavailable: throw .unavailable("stale")
        }
    }

    private static func refused(_ reason: String, nonce: String? = nil) -> APIError {
        APIError(
            401, "invalid_token", "The token is not valid here.", reason: reason, headers: Challenge.headers("invalid_token", nonce: nonce))
    }
}
