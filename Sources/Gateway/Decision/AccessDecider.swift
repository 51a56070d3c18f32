package import AuthCore
package import Store
package import TokenVerification

/// Decides on requests: is this allowed, and as whom?
///
/// A function of the request, the routes, the keys, the revocations and the time; no I/O. The phases, in their order:
/// target → route → open? → credential → `TokenVerifier.decide` → rules → identity. The first obstacle is the answer.
package struct AccessDecider: Sendable {
    /// The most identity tokens that are remembered for `identity: jwt`.
    package static let identityTokensMaxDefault = 8_192

    package let state: GatewayState
    private let verifier: TokenVerifier
    private let whenStale: WhenStale
    private let environment: Environment
    private let identityToken: IdentityTokenSigner?
    private let identityTokens: IdentityTokenCache
    private let senders: SenderPolicy

    /// - Parameters:
    ///   - whenStale: `revocations.when_stale`; a route's own goes before it.
    ///   - environment: The clocks, and the randomness of trace ids.
    ///   - senders: How proofs are taken; shared by all deciders of a node, so that a proof is used once in it.
    ///   - identityToken: For routes with `identity: jwt`; without it they answer 503.
    package init(
        state: GatewayState, verifier: TokenVerifier, whenStale: WhenStale, environment: Environment, senders: SenderPolicy,
        identityToken: IdentityTokenSigner? = nil, identityTokensMax: Int = AccessDecider.identityTokensMaxDefault
    ) {
        self.senders = senders
        self.state = state
        self.verifier = verifier
        self.whenStale = whenStale
        self.environment = environment
        self.identityToken = identityToken
        self.identityTokens = IdentityTokenCache(countMax: identityTokensMax)
    }

    /// - Parameter mayAsk: False once the shell has done what it was asked: what cannot be answered even then is refused, an
    ///   unknown key with 401, a replica that is still stale with 503.
    package func decide(_ request: RequestFacts, mayAsk: Bool = true) -> AccessDecision {
        decide(WantedRequest(request), request, mayAsk: mayAsk)
    }

    /// - Parameter request: It carries the credential; `wanted` says what for.
    func decide(_ wanted: WantedRequest, _ request: RequestFacts, mayAsk: Bool) -> AccessDecision {
        switch RouteFinder.find(wanted, in: state.routes) {
        case .found(let target, let route): decide(route, target.bytes, Presentation(wanted: wanted, request: request), mayAsk: mayAsk)
        case .refused(let template): .refuse(refusal(template))
        }
    }

    /// What is wanted, and the request that says so.
    struct Presentation {
        let wanted: WantedRequest
        let request: RequestFacts
    }

    /// The decision from the credential on, where the route is known.
    func decide(_ route: Route, _ target: [UInt8], _ presentation: Presentation, mayAsk: Bool) -> AccessDecision {
        do throws(Obstacle) {
            return .forward(try admit(presentation, to: route, target, mayAsk: mayAsk))
        } catch {
            switch error {
            case .refuse(let template, let reason): return .refuse(refusal(template, reason: reason, route: route.plan.name))
            case .refuseBound(let template, let reason):
                let nonce = senders.desk.nonces.nonce(at: environment.now())
                return .refuse(refusal(template, reason: reason, route: route.plan.name, nonce: nonce))
            case .ask(let question): return .ask(question)
            }
        }
    }

    /// - Parameter nonce: For a request under the DPoP scheme.
    func refusal(_ template: RefusalTemplate, reason: String? = nil, route: String? = nil, nonce: String? = nil) -> AccessRefusal {
        template.refusal(traceID: TraceID(environment).description, reason: reason, route: route, nonce: nonce)
    }

    /// Why the next phase is not reached.
    private enum Obstacle: Error {
        case refuse(RefusalTemplate, reason: String? = nil)
        /// The same, told in the words of the DPoP scheme.
        case refuseBound(RefusalTemplate, reason: String? = nil)
        case ask(AccessQuestion)
    }

    private func admit(_ presentation: Presentation, to route: Route, _ target: [UInt8], mayAsk: Bool) throws(Obstacle) -> ForwardPlan {
        // On an open route no credential is looked at, so that a bad one can never identify anybody (CVE-2021-21378).
        guard case .token(let access) = route.access else {
            return ForwardPlan(route: route.plan, target: target, identityHeaders: [], subject: nil)
        }
        let now = environment.now()
        let headers = presentation.request.headers
        switch PresentedToken(headers) {
        case .bearer(let range):
            let certificate = senders.certificate(presentation.request)
            let proof = certificate.map { SenderProof(key: .none, certificate: $0) }
            return try admit(headers, range, proof, to: access, Admission(route: route, target: target, now: now, mayAsk: mayAsk))
        case .dpop(let range):
            let proof = try proof(presentation, range, now)
            do throws(Obstacle) {
                let admission = Admission(
                    route: route, target: target, now: now, mayAsk: mayAsk,
                    answerHeaders: [("dpop-nonce", senders.desk.nonces.nonce(at: now))])
                return try admit(headers, range, proof, to: access, admission)
            } catch {
                if case .refuse(let template, let reason) = error { throw .refuseBound(template, reason: reason) }
                throw error
            }
        case .none: throw .refuse(access.credentialMissing)
        case .otherScheme: throw .refuse(access.credentialMissing, reason: "credential_scheme")
        case .repeated: throw .refuse(.credentialRepeated)
        case .missingToken: throw .refuse(access.invalidToken, reason: TokenRefusal.malformed.rawValue)
        }
    }

    /// What the phases from the token on have in common.
    private struct Admission {
        let route: Route
        let target: [UInt8]
        let now: Instant
        let mayAsk: Bool
        /// For the client, whatever the service answers.
        var answerHeaders: [(name: String, value: String)] = []
    }

    private func admit(
        _ headers: Headers, _ credential: Range<Int>, _ proof: SenderProof?, to access: TokenAccess, _ admission: Admission
    ) throws(Obstacle) -> ForwardPlan {
        let (route, now) = (admission.route, admission.now)
        let token = try verify(headers, credential, proof, access, admission)
        for rule in access.rules where !rule.isMet(by: token) { throw .refuse(.notAllowed, reason: rule.reason) }
        return ForwardPlan(
            route: route.plan, target: admission.target, identityHeaders: try identityHeaders(token, route, now), subject: token.subject,
            answerHeaders: admission.answerHeaders)
    }

    /// The proof that came with a token under the DPoP scheme (RFC 9449 §7.1).
    ///
    /// What is wrong with it is told before the token is looked at: it is the sender's own, so that nobody learns from it whether a token
    /// that he found still lives.
    private func proof(_ presentation: Presentation, _ credential: Range<Int>, _ now: Instant) throws(Obstacle) -> SenderProof {
        let (wanted, request) = (presentation.wanted, presentation.request)
        let fields = request.headers.count("dpop")
        guard fields == 1, let field = request.headers.single("dpop") else {
            throw .refuseBound(.invalidProof, reason: fields == 0 ? "proof_missing" : "proof_repeated")
        }
        do throws(DPoPProofError) {
            let proof = try senders.desk.check(
                field, method: wanted.method, target: ExternalTarget.of(wanted, in: request, trusted: senders.trustedProxies),
                accessToken: request.headers.storage[credential], at: now)
            return SenderProof(key: .proven(proof), certificate: senders.certificate(request), replay: senders.desk.replay)
        } catch {
            throw .refuseBound(error.asksForNonce ? .nonceNeeded : .invalidProof, reason: error.rawValue)
        }
    }

    private func verify(
        _ headers: Headers, _ credential: Range<Int>, _ proof: SenderProof?, _ access: TokenAccess, _ admission: Admission
    ) throws(Obstacle) -> AccessToken {
        let mayAsk = admission.mayAsk
        let policy = stalePolicy(admission.route.definition.whenStale ?? whenStale, mayAsk: mayAsk)
        let uptime = environment.uptime()
        var unexplained: TokenExplanation?
        let decision = headers.storage.withUnsafeBufferPointer { storage in
            let token = UnsafeBufferPointer(rebasing: storage[credential])
            guard let proof else {
                return verifier.decide(
                    token, for: access.requirements, now: admission.now, uptime: uptime, whenStale: policy, explaining: &unexplained)
            }
            var requirements = access.requirements
            requirements.proof = proof
            return verifier.decide(
                token, for: requirements, now: admission.now, uptime: uptime, whenStale: policy, explaining: &unexplained)
        }
        switch decision {
        case .accept(let token): return token
        case .refuse(.insufficientScope): throw .refuse(access.insufficientScope)
        case .refuse(.insufficientAuthentication): throw .refuse(access.insufficientAuthentication)
        case .refuse(let refusal): throw .refuse(access.invalidToken, reason: refusal.rawValue)
        case .unavailable: throw .refuse(.stale)
        case .overloaded: throw .refuse(.tooManyProofs)
        case .ask(.staleRevocations): throw mayAsk ? .ask(.staleRevocations) : .refuse(.stale)
        case .ask(.unknownKey(let id)):
            throw mayAsk ? .ask(.unknownKey(id)) : .refuse(access.invalidToken, reason: TokenRefusal.unknownKey.rawValue)
        }
    }

    private func stalePolicy(_ whenStale: WhenStale, mayAsk: Bool) -> StalePolicy {
        switch whenStale {
        case .refuse: .refuse
        case .ask: mayAsk ? .ask : .refuse
        case .serve: .serve
        }
    }

    private func identityHeaders(_ token: AccessToken, _ route: Route, _ now: Instant) throws(Obstacle) -> [(name: String, value: String)] {
        switch route.definition.identity {
        case .none: return []
        case .headers:
            guard let fields = IdentityHeaders.fields(for: token) else { throw .refuse(.identityNotRepresentable) }
            return fields
        case .jwt:
            guard let identityToken,
                let identity = identityTokens.identity(of: token, at: route, now: now, make: { identityToken(token, route, now) })
            else { throw .refuse(.identityTokenUnavailable) }
            guard IdentityHeaders.isFieldValue(identity.text) else { throw .refuse(.identityNotRepresentable) }
            return [("x-auth-token", identity.text)]
        }
    }
}
