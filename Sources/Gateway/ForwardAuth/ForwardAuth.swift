package import AuthCore
internal import Store

/// `GET /forward-auth`: the gateway's decision for a proxy that carries the requests itself.
///
/// From a trusted proxy that says what its client wants, the answer is that of the gateway's routes. A request that says
/// nothing of the kind is answered for its token alone, which must be for another audience than `gatehouse`; this is for
/// proxies that choose the route themselves. What an untrusted peer says is not believed but refused (GW-19,
/// CVE-2026-40575), as is one part of it without the others.
///
/// 200 carries the identity in its headers. Proxies understand 401 and 403: no route, a method that the route does not take
/// and a target that is not canonical are 403 here. 400 means that the proxy is set up wrongly; 503 that nobody can say.
package struct ForwardAuth: Sendable {
    /// What the shell does next.
    package enum Answer: Sendable {
        /// - Parameter subject: For the log.
        case allow(ResponseFacts, subject: Identifier?)
        case refuse(AccessRefusal)
        case ask(AccessQuestion)
    }

    private static let dialects: [ForwardAuthDialect] = [.forwardedFields]

    /// Stands for the route of a request that names none.
    private static let tokenAlone = Route(
        RouteDefinition(name: "forward-auth", path: "/", upstreams: []),
        plan: RoutePlan(name: "forward-auth", upstreams: [], passesToken: false), owners: [:])

    private let decider: AccessDecider
    private let trustedProxies: [AddressRange]

    /// - Parameter trustedProxies: `trusted_proxies`: who may say what its client wants.
    package init(decider: AccessDecider, trustedProxies: [AddressRange]) {
        self.decider = decider
        self.trustedProxies = trustedProxies
    }

    /// - Parameter mayAsk: As `AccessDecider.decide`.
    package func answer(_ request: RequestFacts, mayAsk: Bool = true) -> Answer {
        let reading = ForwardAuth.read(request.headers)
        if case .absent = reading {
            let presentation = AccessDecider.Presentation(wanted: WantedRequest(request), request: request)
            return answer(decider.decide(ForwardAuth.tokenAlone, [], presentation, mayAsk: mayAsk))
        }
        // The peer first: a stranger learns nothing of what would be complete.
        guard trustedProxies.contains(where: { $0.contains(request.peer) }) else {
            return .refuse(decider.refusal(.forwardedByStranger))
        }
        guard case .wanted(let wanted) = reading else { return .refuse(decider.refusal(.forwardedIncomplete)) }
        return answer(decider.decide(wanted, request, mayAsk: mayAsk))
    }

    /// One dialect at a time: a request that speaks two says two things.
    private static func read(_ headers: Headers) -> ForwardAuthDialect.Reading {
        var found = ForwardAuthDialect.Reading.absent
        for dialect in dialects {
            let reading = dialect.read(headers)
            if case .absent = reading { continue }
            guard case .absent = found else { return .incomplete }
            found = reading
        }
        return found
    }

    private func answer(_ decision: AccessDecision) -> Answer {
        switch decision {
        case .ask(let question): return .ask(question)
        case .forward(let plan):
            return .allow(
                ResponseFacts(status: 200, headers: [("cache-control", "no-store")] + plan.identityHeaders + plan.answerHeaders),
                subject: plan.subject)
        case .refuse(let refusal):
            guard (400..<500).contains(refusal.response.status), refusal.response.status != 401 else { return .refuse(refusal) }
            var response = refusal.response
            response.status = 403
            return .refuse(
                AccessRefusal(reason: refusal.reason, response: response, traceID: refusal.traceID, route: refusal.route))
        }
    }
}

extension RefusalTemplate {
    static let forwardedByStranger = RefusalTemplate(
        403, "access_denied", reason: "forwarded_by_stranger", "X-Forwarded-* fields are believed from trusted proxies only.")
    static let forwardedIncomplete = RefusalTemplate(
        400, "invalid_request", reason: "forwarded_incomplete",
        "X-Forwarded-Method, X-Forwarded-Uri and X-Forwarded-Host are needed together, each once.")
}
