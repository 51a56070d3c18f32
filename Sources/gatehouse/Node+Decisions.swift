import Accounts
import AuthCore
import Gateway
import HTTPEdge
import OAuthServer
import ProxyServer
import Settings
import Store
import Synchronization
import TokenKeys
import TokenVerification
import WebServer

extension Node {
    /// How long the gateway waits for what a decision asks.
    private static let resolveBound = Duration.seconds(2)

    /// Does what a decision asks for, and says whether to decide once more.
    func resolve(_ question: AccessQuestion) async -> Bool {
        switch question {
        case .staleRevocations:
            // A failure is logged by the follower's own loop; here it only means that nobody can say.
            return (try? await feed.catchUp(followed)) != nil
        case .unknownKey:
            // Every key of ours is in the set before a token is signed with it.
            return false
        }
    }

    /// Whether the parts that requests need do their work.
    var health: Health {
        let age = verifier.revocations.age(at: environment.uptime())
        let isStale = age.map { $0 > settings.revocations.maxStaleness } ?? true
        let clock = presence.map { [Health.Part(name: "clock", problem: $0.clockProblem)] } ?? []
        return Health(
            parts: clock + [
                Health.Part(name: "store", problem: storeProblem.value),
                Health.Part(name: "revocations", problem: isStale ? "the log of revocations was not read for too long" : nil),
                Health.Part(name: "keys", problem: keys.current != nil ? nil : "there is no key to sign with"),
            ])
    }

    /// A short-lived statement about the caller for the service behind a route (`identity: jwt`).
    func identityToken(_ token: AccessToken, _ route: Route, _ now: Instant) -> IdentityToken? {
        let expiry = min(now + .seconds(60), token.expiresAt + Node.leeway)
        var json = JSONWriter()
        json.object {
            $0.member("iss", settings.issuer.text)
            $0.member("sub", token.subject.text)
            $0.member("aud", route.definition.name)
            $0.member("client_id", token.clientID.text)
            $0.member("scope", token.scope.description)
            $0.member("iat", now.seconds)
            $0.member("exp", expiry.seconds)
            $0.member("jti", Base64URL.encode(environment.randomBytes(16)))
            $0.member("sid", token.sessionID?.text)
            $0.member("acr", token.acr)
            if !token.amr.isEmpty { $0.member("amr", token.amr) }
            $0.member("auth_time", token.authenticatedAt?.seconds)
            if !token.roles.isEmpty { $0.member("roles", token.roles.map(\.text)) }
        }
        // Without a key the gateway answers 503; the key upkeep has logged why.
        guard let text = try? keys.sign(json.bytes, as: .identity) else { return nil }
        return IdentityToken(text: text, issuedAt: now, expiresAt: expiry)
    }
}

/// `GET /forward-auth` on the auth listener.
struct ForwardAuthShell: Sendable {
    private let node: Node
    private let forwardAuth: ForwardAuth

    init(node: Node) {
        self.node = node
        forwardAuth = ForwardAuth(decider: node.decider, trustedProxies: node.settings.trustedProxies)
    }

    func respond(to request: RequestFacts) -> EdgeAction {
        switch forwardAuth.answer(request) {
        case .allow(let response, _): return .answer(response)
        case .refuse(let refusal): return .answer(refused(refusal))
        case .ask(let question):
            return .async(bodyLimit: 0) { facts, _ in
                _ = await node.resolve(question)
                switch forwardAuth.answer(facts, mayAsk: false) {
                case .allow(let response, _): return .complete(response)
                case .refuse(let refusal): return .complete(refused(refusal))
                case .ask: return .complete(APIError.unavailable("stale").response(traceID: TraceID(node.environment).description))
                }
            }
        }
    }

    private func refused(_ refusal: AccessRefusal) -> ResponseFacts {
        node.metrics.count("gatehouse_requests_total", "GET /forward-auth", String(refusal.response.status), refusal.reason)
        node.log(.info, "forward_auth_refused", [("reason", refusal.reason), ("trace_id", refusal.traceID ?? "")])
        return refusal.response
    }
}

/// A text that may be set from elsewhere.
final class SharedText: Sendable {
    private let text = Mutex<String?>(nil)

    var value: String? { text.withLock { $0 } }

    func set(_ text: String?) { self.text.withLock { $0 = text } }
}
