package import AuthCore
package import Store
package import TokenVerification

/// Token introspection (RFC 7662). A caller learns only of tokens that are its own or meant for a resource that it serves.
package struct IntrospectionEndpoint: Sendable {
    private let clients: ClientAuthentication
    private let verifier: TokenVerifier
    private let tokens: RefreshTokens
    private let environment: Environment

    package init(clients: ClientAuthentication, verifier: TokenVerifier, tokens: RefreshTokens, environment: Environment) {
        self.clients = clients
        self.verifier = verifier
        self.tokens = tokens
        self.environment = environment
    }

    /// What is said of the token, and to whom. Nothing but `active: false` of one that is not valid, or not the caller's to know (§2.2).
    package struct Answer: Sendable {
        package let caller: Client
        package let members: JSONObject
    }

    /// The answer about an access token for a client in memory, without waiting; nothing when the store must be asked.
    package func quick(_ request: OAuthRequest) -> Answer? {
        guard let caller = clients.quick(request), caller.isProved, let text = request.parameters["token"], text.utf8.count <= 16_384,
            !text.utf8.starts(with: "ghr_".utf8),
            // What is not known yet is asked for by the other way.
            let members = try? accessToken(Secret(text), caller.client)
        else { return nil }
        return Answer(caller: caller.client, members: members)
    }

    package func respond(to request: OAuthRequest) async throws(OAuthError) -> Answer {
        let caller = try await clients.authenticate(request)
        guard caller.isProved else {
            throw OAuthError(.invalidClient, .clientSecretMissing, "Only a client that proves itself may ask (RFC 7662 §2.1).")
        }
        let token = Secret(try request.parameters.required("token", bytesMax: 16_384))
        let members: JSONObject
        if token.exposed.hasPrefix("ghr_") {
            members = try await refreshToken(token, caller.client, at: request.now)
        } else {
            members = try accessToken(token, caller.client)
        }
        return Answer(caller: caller.client, members: members)
    }

    private static let inactive = JSONObject([("active", .bool(false))])

    private func accessToken(_ text: Secret<String>, _ caller: Client) throws(OAuthError) -> JSONObject {
        var explanation: TokenExplanation?
        var requirements = TokenRequirements()
        requirements.checksSender = false
        let decision = verifier.decide(
            Array(text.exposed.utf8), for: requirements, now: environment.now(),
            uptime: environment.uptime(), whenStale: .refuse, explaining: &explanation)
        switch decision {
        case .accept(let token):
            let serves = caller.definition.metadata.servedResources.map { Identifier($0) }
            guard token.clientID == caller.id || token.audiences.contains(where: serves.contains) else {
                return IntrospectionEndpoint.inactive
            }
            var members = JSONObject([("active", .bool(true)), ("token_type", .string(token.confirmationJKT == nil ? "Bearer" : "DPoP"))])
            for (name, value) in token.claims { members[name] = value }
            return members
        case .refuse: return IntrospectionEndpoint.inactive
        case .ask, .unavailable, .overloaded:
            throw OAuthError(.temporarilyUnavailable, .storeUnavailable, "What is revoked is not known at the moment.")
        }
    }

    private func refreshToken(_ text: Secret<String>, _ caller: Client, at now: Instant) async throws(OAuthError) -> JSONObject {
        let grant: Grant
        do { grant = try await tokens.liveGrant(of: text, at: now) } catch {
            if error.code == .temporarilyUnavailable { throw error }
            return IntrospectionEndpoint.inactive
        }
        guard grant.clientID == caller.id else { return IntrospectionEndpoint.inactive }
        return JSONObject([
            ("active", .bool(true)), ("client_id", .string(grant.clientID.text)), ("scope", .string(grant.scope.description)),
            ("exp", .number(JSONNumber(grant.expiresAt.seconds))), ("iat", .number(JSONNumber(grant.createdAt.seconds))),
            ("iss", .string(tokens.issuer.issuer.text)),
        ])
    }
}
