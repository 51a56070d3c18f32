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

    /// - Parameters:
    ///   - whenStale: `revocations.when_stale`; a route's own goes before it.
    ///   - environment: The clocks, and the randomness of trace ids.
    ///   - identityToken: For routes with `identity: jwt`; without it they answer 503.
    package init(
        state: GatewayState, verifier: TokenVerifier, whenStale: WhenStale, environment: Environment,
        identityToken: IdentityTokenSigner? = nil, identityTokensMax: Int = AccessDecider.identityTokensMaxDefault
    ) {
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
        decide(WantedRequest(request), request.headers, mayAsk: mayAsk)
    }

    /// - Parameter headers: They carry the credential; `wanted` says what for.
    func decide(_ wanted: WantedRequest, _ headers: Headers, mayAsk: Bool) -> AccessDecision {
        switch RouteFinder.find(wanted, in: state.routes) {
        case .found(let target, let route): decide(route, target.bytes, headers, mayAsk: mayAsk)
        case .refused(let template): .refuse(refusal(template))
        }
    }

    /// The decision from the credential on, where the route is known.
    func decide(_ route: Route, _ target: [UInt8], _ headers: Headers, mayAsk: Bool) -> AccessDecision {
        do throws(Obstacle) {
            return .forward(try admit(headers, to: route, target, mayAsk: mayAsk))
        } catch {
            switch error {
            case .refuse(let template, let reason): return .refuse(refusal(template, reason: reason, route: route.plan.name))
            case .ask(let question): return .ask(question)
            }
        }
    }

    func refusal(_ template: RefusalTemplate, reason: String? = nil, route: String? = nil) -> AccessRefusal {
        template.refusal(traceID: TraceID(environment).description, reason: reason, route: route)
    }

    /// Why the next phase is not reached.
    private enum Obstacle: Error {
        case refuse(RefusalTemplate, reason: String? = nil)
        case ask(AccessQuestion)
    }

    private func admit(_ headers: Headers, to route: Route, _ target: [UInt8], mayAsk: Bool) throws(Obstacle) -> ForwardPlan {
        // On an open route no credential is looked at, so that a bad one can never identify anybody (CVE-2021-21378).
        guard case .token(let access) = route.access else {
            return ForwardPlan(route: route.plan, target: target, identityHeaders: [], subject: nil)
        }
        let now = environment.now()
        let credential = try credential(headers)
        let token = try verify(headers, credential, access, route, (now, mayAsk))
        for rule in access.rules where !rule.isMet(by: token) { throw .refuse(.notAllowed, reason: rule.reason) }
        return ForwardPlan(
            route: route.plan, target: target, identityHeaders: try identityHeaders(token, route, now), subject: token.subject)
    }

    private func credential(_ headers: Headers) throws(Obstacle) -> Range<Int> {
        switch BearerCredential(headers) {
        case .token(let range): return range
        case .none: throw .refuse(.credentialMissing)
        case .otherScheme: throw .refuse(.credentialMissing, reason: "credential_scheme")
        case .repeated: throw .refuse(.credentialRepeated)
        case .missingToken: throw .refuse(.invalidToken, reason: TokenRefusal.malformed.rawValue)
        }
    }

    private func verify(
        _ headers: Headers, _ credential: Range<Int>, _ access: TokenAccess, _ route: Route, _ moment: (now: Instant, mayAsk: Bool)
    ) throws(Obstacle) -> AccessToken {
        let policy = stalePolicy(route.definition.whenStale ?? whenStale, mayAsk: moment.mayAsk)
        let uptime = environment.uptime()
        var unexplained: TokenExplanation?
        let decision = headers.storage.withUnsafeBufferPointer { storage in
            verifier.decide(
                UnsafeBufferPointer(rebasing: storage[credential]), for: access.requirements, now: moment.now, uptime: uptime,
                whenStale: policy, explaining: &unexplained)
        }
        switch decision {
        case .accept(let token): return token
        case .refuse(.insufficientScope): throw .refuse(access.insufficientScope)
        case .refuse(.insufficientAuthentication): throw .refuse(access.insufficientAuthentication)
        case .refuse(let refusal): throw .refuse(.invalidToken, reason: refusal.rawValue)
        case .unavailable: throw .refuse(.stale)
        case .ask(.staleRevocations): throw moment.mayAsk ? .ask(.staleRevocations) : .refuse(.stale)
        case .ask(.unknownKey(let id)):
            throw moment.mayAsk ? .ask(.unknownKey(id)) : .refuse(.invalidToken, reason: TokenRefusal.unknownKey.rawValue)
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
