package import AuthCore
package import OAuthServer
internal import Store
package import TokenVerification

/// Who is asking Gatehouse's own API: an account, by a token made for exactly that, or by its refresh token.
package struct OwnToken: Sendable {
    private let verifier: TokenVerifier
    private let tokens: FirstPartyTokens
    private let environment: Environment

    package init(verifier: TokenVerifier, tokens: FirstPartyTokens, environment: Environment) {
        self.verifier = verifier
        self.tokens = tokens
        self.environment = environment
    }

    package struct Holder: Sendable {
        package let accountID: Identifier
        package let sessionID: Identifier?
    }

    /// The account behind `Authorization: Bearer`: an access token with the audience `gatehouse` alone and `scope`, or,
    /// where a person's own sessions are concerned, the refresh token of a first-party session.
    package func holder(_ request: APIRequest, scope: Identifier, allowsRefreshToken: Bool) async throws(APIError) -> Holder {
        guard let bearer = try request.bearer() else {
            throw APIError(
                401, "invalid_token", "Send a bearer token.", reason: "token_missing",
                headers: [("www-authenticate", "Bearer realm=\"gatehouse\"")]
            )
        }
        if allowsRefreshToken, let text = String(validating: bearer.exposed, as: UTF8.self), text.hasPrefix("ghr_") {
            return try await holder(ofRefreshToken: Secret(text), request)
        }
        let token = try accessToken(bearer, audience: .anyOf([ScopeCatalogue.ownResource]), scope: ScopeSet([scope]))
        guard token.audiences == [ScopeCatalogue.ownResource] else { throw OwnToken.refused("wrong_audience") }
        return Holder(accountID: token.subject, sessionID: token.sessionID)
    }

    private func holder(ofRefreshToken token: Secret<String>, _ request: APIRequest) async throws(APIError) -> Holder {
        do throws(OAuthError) {
            let grant = try await tokens.liveGrant(of: token, at: request.now)
            guard try await tokens.isFirstParty(grant) else { throw OAuthError(.invalidGrant, .clientNotFirstParty, "") }
            return Holder(accountID: grant.accountID, sessionID: grant.sessionID)
        } catch {
            if error.code == .temporarilyUnavailable { throw APIError(error) }
            throw OwnToken.refused(error.reason.rawValue)
        }
    }

    /// A good access token, or the refusal of RFC 6750 §3.1. One text for every fault of the token (JW-22).
    package func accessToken(_ bearer: Secret<[UInt8]>, audience: AudienceRequirement, scope: ScopeSet) throws(APIError) -> AccessToken {
        let requirements = TokenRequirements(audience: audience, scope: scope)
        var explanation: TokenExplanation?
        let decision = verifier.decide(
            bearer.exposed, for: requirements, now: environment.now(), uptime: environment.uptime(), whenStale: .refuse,
            explaining: &explanation
        )
        switch decision {
        case .accept(let token): return token
        case .refuse(.insufficientScope):
            throw APIError(
                403, "insufficient_scope", "The token lacks the scope \"\(scope)\".",
                headers: [("www-authenticate", "Bearer realm=\"gatehouse\", error=\"insufficient_scope\", scope=\"\(scope)\"")]
            )
        case .refuse(let reason): throw OwnToken.refused(reason.rawValue)
        case .ask, .unavailable: throw .unavailable("stale")
        }
    }

    private static func refused(_ reason: String) -> APIError {
        APIError(
            401, "invalid_token", "The token is not valid here.", reason: reason,
            headers: [("www-authenticate", "Bearer realm=\"gatehouse\", error=\"invalid_token\"")]
        )
    }
}
