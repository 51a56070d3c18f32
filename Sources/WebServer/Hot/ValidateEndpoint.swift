package import AuthCore
internal import OAuthServer
internal import Store
package import TokenVerification

/// `POST /validate`: is this token good? Synchronous and without I/O: it runs on the connection's own event loop.
///
/// One token, or a list of them in order; what a token must satisfy stands beside it. With `explain`, and an operator's
/// credential, the checks come back one by one.
package struct ValidateEndpoint: Sendable {
    package static let path = "/validate"
    /// The largest body, in bytes: `tokensMax` tokens of ordinary size.
    package static let bodyMax = 262_144
    /// The most tokens of one request.
    package static let tokensMax = 100

    private let verifier: TokenVerifier
    private let clients: ClientDirectory
    private let requiresClient: Bool
    private let cacheMax: Duration
    private let environment: Environment
    private let observe: @Sendable (_ reason: String?) -> Void
    /// Its own: the gateway may have taken a proof that the service behind it now asks about.
    private let replay = ProofReplay(window: ValidateProof.window)

    /// - Parameters:
    ///   - requiresClient: Whether the caller must be a confidential client (`validate.require_client`).
    ///   - cacheMax: The most that `cache_for` says, whatever is left of the token's life.
    package init(
        verifier: TokenVerifier, clients: ClientDirectory, requiresClient: Bool, cacheMax: Duration, environment: Environment,
        observe: @escaping @Sendable (_ reason: String?) -> Void
    ) {
        self.verifier = verifier
        self.clients = clients
        self.requiresClient = requiresClient
        self.cacheMax = cacheMax
        self.environment = environment
        self.observe = observe
    }

    package func respond(to facts: RequestFacts, body: [UInt8]) -> ResponseFacts {
        do throws(APIError) {
            return try answer(facts, body)
        } catch {
            observe(error.reason)
            return error.response(traceID: TraceID(environment).description)
        }
    }

    private static let members: Set<String> = [
        "token", "tokens", "audience", "scope", "acr_values", "max_age", "dpop", "client_cert_sha256", "explain",
    ]

    private func answer(_ facts: RequestFacts, _ bytes: [UInt8]) throws(APIError) -> ResponseFacts {
        let request = APIRequest(facts: facts, body: bytes, parameters: [], traceID: "", now: environment.now())
        let body = try request.json(ValidateEndpoint.members)
        var requirements = try ValidateEndpoint.requirements(body)
        let explains = try body.flag("explain") ?? false
        try authorize(request, explains: explains)
        let uptime = environment.uptime()
        var json = JSONWriter()
        if let token = try body.text("token", bytesMax: ValidateEndpoint.bodyMax) {
            if body.object["tokens"] != nil { throw .invalidRequest("Send \"token\" or \"tokens\", not both.") }
            requirements.proof = try ValidateProof(body)?.proof(of: token, at: request.now, replay: replay)
            if let obstacle = write(token, requirements, explains, request.now, uptime, to: &json) { throw obstacle }
            return .json(200, json.bytes)
        }
        // A proof is of one token (RFC 9449 §4.2, ath), a certificate of a connection.
        if body.object["dpop"] != nil { throw .invalidRequest("\"dpop\" goes with one \"token\".") }
        requirements.proof = try ValidateProof(body)?.proof(of: "", at: request.now, replay: replay)
        guard let tokens = body.object["tokens"]?.strings, !tokens.isEmpty, tokens.count <= ValidateEndpoint.tokensMax else {
            throw .invalidRequest("Send \"token\", or \"tokens\" with 1 to \(ValidateEndpoint.tokensMax) strings.")
        }
        var obstacle: APIError?
        json.object {
            $0.array("results") {
                for token in tokens { obstacle = write(token, requirements, explains, request.now, uptime, to: &$0) ?? obstacle }
            }
        }
        if let obstacle { throw obstacle }
        return .json(200, json.bytes)
    }

    private static let stale = APIError(
        503, "stale", "The list of revocations is too old to answer. Try again soon.", headers: [("retry-after", "1")]
    )

    private static let operatorRequired = APIError(
        403, "insufficient_scope", "Explanations need a token with the scope gatehouse:admin.", reason: "operator_required",
        headers: Challenge.headers("insufficient_scope", more: ", scope=\"\(ScopeCatalogue.adminScope)\"", nonce: nil)
    )

    private static func requirements(_ body: JSONBody) throws(APIError) -> TokenRequirements {
        let audiences = try body.audiences()
        let maxAge = try body.wholeNumber("max_age", 0...315_360_000).map { Duration.seconds($0) }
        let scope = try scope(body)
        let acr = try body.texts("acr_values", countMax: 16, bytesMax: 255) ?? []
        return TokenRequirements(audience: audiences.isEmpty ? .any : .anyOf(audiences), scope: scope, acrValues: acr, maxAge: maxAge)
    }

    /// A space-separated string, or a list of names.
    private static func scope(_ body: JSONBody) throws(APIError) -> ScopeSet {
        if body.object["scope"]?.array == nil { return try body.scope() ?? .none }
        let names = try body.texts("scope", countMax: ScopeSet.countMax, bytesMax: ScopeSet.nameBytesMax) ?? []
        guard names.allSatisfy({ ScopeSet.isName($0.utf8) }) else {
            throw APIError(400, "invalid_scope", "The scope is malformed.", reason: "scope_malformed")
        }
        return ScopeSet(names.map { Identifier($0) })
    }

    /// Who may ask: anybody on loopback, else a confidential client; explanations are for operators.
    private func authorize(_ request: APIRequest, explains: Bool) throws(APIError) {
        if explains {
            guard let credential = try request.credential(), !credential.isDPoP else {
                throw ValidateEndpoint.operatorRequired
            }
            var none: TokenExplanation?
            let requirements = TokenRequirements(
                audience: .anyOf([ScopeCatalogue.ownResource]), scope: ScopeSet([ScopeCatalogue.adminScope])
            )
            let decision = verifier.decide(
                credential.token.exposed, for: requirements, now: request.now, uptime: environment.uptime(), whenStale: .refuse,
                explaining: &none
            )
            guard case .accept(let token) = decision, token.audiences == [ScopeCatalogue.ownResource] else {
                throw ValidateEndpoint.operatorRequired
            }
            return
        }
        if !requiresClient { return }
        _ = try clients.credentials(of: request.facts, at: request.now)
    }

    /// Writes the answer for one token.
    ///
    /// - Returns: What to answer instead, when nobody can tell.
    private func write(
        _ token: String, _ requirements: TokenRequirements, _ explains: Bool, _ now: Instant, _ uptime: Uptime, to json: inout JSONWriter
    ) -> APIError? {
        var explanation = explains ? TokenExplanation() : nil
        var token = token
        let decision = token.withUTF8 {
            verifier.decide($0, for: requirements, now: now, uptime: uptime, whenStale: .refuse, explaining: &explanation)
        }
        switch decision {
        case .accept(let accepted):
            observe(nil)
            json.object {
                $0.member("valid", true)
                // What was found about a bound token holds for this one request of its sender.
                let cacheFor = accepted.isSenderConstrained ? .zero : min(cacheMax, accepted.expiresAt - now)
                ValidateEndpoint.write(accepted, cacheFor: cacheFor, to: &$0)
                explanation?.write(to: &$0)
            }
        case .refuse(let reason):
            observe(reason.rawValue)
            ValidateEndpoint.writeRefusal(reason.rawValue, explanation, to: &json)
        case .ask(.unknownKey):
            // Every key of ours is in the set before a token is signed with it, so nobody else could know it.
            observe(TokenRefusal.unknownKey.rawValue)
            ValidateEndpoint.writeRefusal(TokenRefusal.unknownKey.rawValue, explanation, to: &json)
        case .overloaded: return .unavailable("proofs_overloaded")
        case .ask(.staleRevocations), .unavailable: return ValidateEndpoint.stale
        }
        return nil
    }

    private static func writeRefusal(_ reason: String, _ explanation: TokenExplanation?, to json: inout JSONWriter) {
        json.object {
            $0.member("valid", false)
            $0.member("reason", reason)
            explanation?.write(to: &$0)
        }
    }

    static func write(_ token: AccessToken, cacheFor: Duration, to json: inout JSONWriter) {
        json.member("sub", token.subject.text)
        json.member("client_id", token.clientID.text)
        json.member("scope", token.scope.description)
        json.member("aud", token.audiences.map(\.text))
        json.member("exp", token.expiresAt.seconds)
        json.member("iat", token.issuedAt.seconds)
        json.member("sid", token.sessionID?.text)
        json.member("cache_for", max(0, cacheFor.wholeSeconds))
        json.member("jti", token.id.text)
        json.member("iss", token.issuer.text)
        json.member("acr", token.acr)
        if !token.amr.isEmpty { json.member("amr", token.amr) }
        json.member("auth_time", token.authenticatedAt?.seconds)
        if !token.roles.isEmpty { json.member("roles", token.roles.map(\.text)) }
        if token.confirmationJKT != nil || token.confirmationX5T != nil {
            // As introspection has it (RFC 9449 §6.2, RFC 8705 §3.2).
            json.object("cnf") {
                $0.member("jkt", token.confirmationJKT)
                $0.member("x5t#S256", token.confirmationX5T)
            }
        }
    }
}
