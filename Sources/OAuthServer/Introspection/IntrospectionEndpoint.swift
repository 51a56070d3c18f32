package import AuthCore
package import Store
internal import Synchronization
package import TokenVerification

/// Token introspection (RFC 7662). A caller learns only of tokens that are its own or meant for a resource that it serves.
///
/// What says `active: false` is counted for each caller, in memory (§4, against scanning): past the limit everything is refused without being
/// looked at, or the refusal would say what the answer did not. Counting takes a lock that few share, and only for these answers; all
/// others cost an atomic read.
package struct IntrospectionEndpoint: Sendable {
    package static let settings = [
        SettingKey(
            "introspection.inactive_per_minute", .integer(1...10_000_000), default: "60000",
            "Answers `active: false` that one client gets from one node in a minute; past it, everything that it asks is 429 until the "
                + "minute is over. Whoever can make a service ask for tokens that are none can bring it there, so keep it far above its load."
        )
    ]

    private let clients: ClientAuthentication
    private let verifier: TokenVerifier
    private let tokens: RefreshTokens
    private let environment: Environment
    private let inactiveAnswers: MemoryThrottle

    /// - Parameter inactivePerMinute: `introspection.inactive_per_minute`.
    package init(
        clients: ClientAuthentication, verifier: TokenVerifier, tokens: RefreshTokens, inactivePerMinute: Int64, environment: Environment
    ) {
        inactiveAnswers = MemoryThrottle(.perMinute(inactivePerMinute))
        self.clients = clients
        self.verifier = verifier
        self.tokens = tokens
        self.environment = environment
    }

    /// What is said of the token, and to whom. Nothing but `active: false` of one that is not valid, or not the caller's to know (§2.2).
    package final class Answer: Sendable {
        package let caller: Client
        package let members: JSONObject
        /// The access token that it calls active.
        package let token: AccessToken?
        /// The state of the clients in memory that the caller was last found unchanged in.
        fileprivate let seen = Atomic<UInt64>(0)

        fileprivate init(caller: Client, members: JSONObject, token: AccessToken?) {
            (self.caller, self.members, self.token) = (caller, members, token)
        }
    }

    /// The answer about an access token for a client in memory, without waiting; nothing when the store must be asked.
    package func quick(_ request: OAuthRequest) -> Answer? {
        guard let caller = clients.quick(request), caller.isProved, let text = request.parameters["token"], text.utf8.count <= 16_384,
            !text.utf8.starts(with: "ghr_".utf8), inactiveAnswers.wait(MemoryThrottle.Key(caller.client.uid), at: request.now) == nil,
            // What is not known yet is asked for by the other way.
            let found = try? accessToken(Secret(text), caller.client)
        else { return nil }
        return counted(found.members, of: found.token, to: caller.client, at: request.now)
    }

    /// Whether this caller would be told the same about a token that was active: it is the same client with the same secrets and rights, and
    /// the token is accepted still. What is said of a token does not change while it is.
    package func stillHolds(_ answer: Answer, from address: PeerAddress, at now: Instant) -> Bool {
        guard let token = answer.token, clients.isUnchanged(answer.caller, since: answer.seen, from: address, at: now),
            inactiveAnswers.wait(MemoryThrottle.Key(answer.caller.uid), at: now) == nil
        else { return false }
        let decision = verifier.decide(
            again: token, for: IntrospectionEndpoint.requirements, now: now, uptime: environment.uptime(), whenStale: .refuse)
        guard case .accept = decision else { return false }
        return token.expiresAt > now
    }

    private static let requirements = {
        var requirements = TokenRequirements()
        requirements.checksSender = false
        return requirements
    }()

    /// - Returns: Nothing when the caller has got as many answers of this kind as it gets.
    private func counted(_ members: JSONObject, of token: AccessToken?, to caller: Client, at now: Instant) -> Answer? {
        if members["active"]?.bool == false,
            case .limited = inactiveAnswers.failed(MemoryThrottle.Key(caller.uid), at: now)
        {
            return nil
        }
        return Answer(caller: caller, members: members, token: token)
    }

    private func refuse(_ caller: Client, at now: Instant) throws(OAuthError) {
        guard let wait = inactiveAnswers.wait(MemoryThrottle.Key(caller.uid), at: now) else { return }
        throw OAuthError(limited: .introspectionLimited, for: wait)
    }

    package func respond(to request: OAuthRequest) async throws(OAuthError) -> Answer {
        let caller = try await clients.authenticate(request)
        guard caller.isProved else {
            throw OAuthError(.invalidClient, .clientSecretMissing, "Only a client that proves itself may ask (RFC 7662 §2.1).")
        }
        try refuse(caller.client, at: request.now)
        let token = Secret(try request.parameters.required("token", bytesMax: 16_384))
        let found: (members: JSONObject, token: AccessToken?)
        if token.exposed.hasPrefix("ghr_") {
            found = (try await refreshToken(token, caller.client, at: request.now), nil)
        } else {
            found = try accessToken(token, caller.client)
        }
        guard let answer = counted(found.members, of: found.token, to: caller.client, at: request.now) else {
            throw OAuthError(limited: .introspectionLimited, for: .seconds(60))
        }
        return answer
    }

    private static let inactive = JSONObject([("active", .bool(false))])

    private func accessToken(
        _ text: Secret<String>, _ caller: Client
    ) throws(OAuthError) -> (members: JSONObject, token: AccessToken?) {
        var none: TokenExplanation?
        let decision = verifier.decide(
            Array(text.exposed.utf8), for: IntrospectionEndpoint.requirements, now: environment.now(), uptime: environment.uptime(),
            whenStale: .refuse, explaining: &none)
        switch decision {
        case .accept(let token):
            let serves = caller.definition.metadata.servedResources.map { Identifier($0) }
            // The leeway that a decision has is for clocks of others (RFC 7662 §2.2).
            guard token.expiresAt > environment.now(), token.clientID == caller.id || token.audiences.contains(where: serves.contains)
            else {
                return (IntrospectionEndpoint.inactive, nil)
            }
            var members = JSONObject([("active", .bool(true)), ("token_type", .string(token.confirmationJKT == nil ? "Bearer" : "DPoP"))])
            for (name, value) in token.claims { members[name] = value }
            return (members, token)
        case .refuse: return (IntrospectionEndpoint.inactive, nil)
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
        guard grant.clientUID == caller.uid else { return IntrospectionEndpoint.inactive }
        return JSONObject([
            ("active", .bool(true)), ("client_id", .string(grant.clientID.text)), ("scope", .string(grant.scope.description)),
            ("exp", .number(JSONNumber(grant.expiresAt.seconds))), ("iat", .number(JSONNumber(grant.createdAt.seconds))),
            ("iss", .string(tokens.issuer.issuer.text)),
        ])
    }
}
