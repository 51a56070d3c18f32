import AuthCore
import Crypto
import Gateway
import Store
import Synchronization
import TokenVerification

/// A gateway in a test: one signing key, chosen clocks, routes as the test likes them.
final class Gate: Sendable {
    static let now = Instant(seconds: 1_800_000_000)
    static let traceID = String(repeating: "ab", count: 16)

    let key = P256.Signing.PrivateKey()
    let state: GatewayState
    let verifier: TokenVerifier
    let decider: AccessDecider
    let time: ChosenTime
    let desk: ProofDesk

    init(
        _ routes: [RouteDefinition], resources: [ResourceDefinition] = [.of("orders", "orders:read", "orders:write")],
        whenStale: WhenStale = .refuse, asksForUnknownKeys: Bool = false, identityToken: IdentityTokenSigner? = nil,
        identityTokensMax: Int = AccessDecider.identityTokensMaxDefault, trustedProxies: [AddressRange] = [],
        proofsMax: Int = ProofReplay.countMaxDefault
    ) throws {
        desk = ProofDesk(
            nonces: DPoPNonces(keys: [SymmetricKey(data: [UInt8](repeating: 7, count: 32))]),
            replay: ProofReplay(window: DPoPNonces.window, countMax: proofsMax))
        state = GatewayState(routes: try RouteTable(routes: routes, resources: resources))
        verifier = TokenVerifier(
            rules: TokenRules(issuer: "https://issuer.test"), cacheBytesMax: 1_000_000, maxStaleness: .seconds(30),
            asksForUnknownKeys: asksForUnknownKeys)
        verifier.setKeys(try KeySet(keys: [VerificationKey(id: "k1", es256: key.publicKey)]))
        verifier.revocations.replace([], through: RevocationPosition(epoch: "e", sequence: 1), sentAt: Uptime(nanoseconds: 0))
        let time = ChosenTime()
        self.time = time
        decider = AccessDecider(
            state: state, verifier: verifier, whenStale: whenStale,
            environment: Environment(now: { time.now }, uptime: { time.uptime }, randomBytes: { Array(repeating: 0xAB, count: $0) }),
            senders: SenderPolicy(desk: desk, trustedProxies: trustedProxies), identityToken: identityToken,
            identityTokensMax: identityTokensMax)
    }

    /// A good token of alice for `orders`, changed by `change`.
    func token(_ change: (inout JSONObject) -> Void = { _ in }, keyID: String = "k1") throws -> String {
        var claims = JSONObject([
            ("iss", .string("https://issuer.test")), ("sub", .string("alice")), ("aud", .string("orders")),
            ("client_id", .string("web")), ("iat", .number(JSONNumber(Gate.now.seconds))),
            ("exp", .number(JSONNumber(Gate.now.seconds + 600))), ("jti", .string("t-1")), ("scope", .string("orders:read")),
            ("sid", .string("s-1")), ("auth_time", .number(JSONNumber(Gate.now.seconds - 100))), ("acr", .string("1")),
        ])
        change(&claims)
        let header = #"{"alg":"ES256","typ":"at+jwt","kid":"\#(keyID)"}"#
        let input = Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(JSONValue.object(claims).encoded)
        let signature = try key.signature(for: Array(input.utf8))
        return input + "." + Base64URL.encode(Array(signature.rawRepresentation))
    }

    func decide(
        _ target: String, method: String = "GET", host: String? = "gate.test", _ headers: [(String, String)] = [], mayAsk: Bool = true
    ) -> Seen {
        let request = RequestFacts(
            method: method, target: Array(target.utf8), headers: Headers((host.map { [("Host", $0)] } ?? []) + headers))
        return Seen(decider.decide(request, mayAsk: mayAsk))
    }

    func decide(_ target: String, method: String = "GET", bearer token: String, mayAsk: Bool = true) -> Seen {
        decide(target, method: method, [("Authorization", "Bearer \(token)")], mayAsk: mayAsk)
    }
}

final class ChosenTime: Sendable {
    private let state = Mutex((now: Gate.now, uptime: Uptime(nanoseconds: 0)))

    var now: Instant { state.withLock { $0.now } }
    var uptime: Uptime { state.withLock { $0.uptime } }

    /// Both clocks go on.
    func pass(_ duration: Duration) {
        state.withLock {
            $0.now = $0.now + duration
            $0.uptime = Uptime(nanoseconds: $0.uptime.nanoseconds + UInt64(duration.wholeMilliseconds) * 1_000_000)
        }
    }
}

/// A decision as a test looks at it.
struct Seen {
    let decision: AccessDecision

    init(_ decision: AccessDecision) { self.decision = decision }

    var plan: ForwardPlan? { if case .forward(let plan) = decision { plan } else { nil } }
    var refusal: AccessRefusal? { if case .refuse(let refusal) = decision { refusal } else { nil } }
    var question: AccessQuestion? { if case .ask(let question) = decision { question } else { nil } }

    var route: String? { plan?.route.name }
    var reason: String? { refusal?.reason }
    var status: Int? { refusal?.response.status }
    var challenge: String? { header("www-authenticate") }
    /// `name: value`, in their order.
    var identity: [String]? { plan?.identityHeaders.map { "\($0.name): \($0.value)" } }
    /// The route that it goes to, or the status and the reason.
    var outcome: String { route ?? refusal.map { "\($0.response.status) \($0.reason)" } ?? "\(String(describing: question))" }

    func header(_ name: String) -> String? { refusal?.response.headers.first { $0.name.isSameBytes(as: name) }?.value }

    func body() throws -> JSONObject? { try refusal.map { try JSONReader.read($0.response.body) }?.object }
}

extension ResourceDefinition {
    static func of(_ id: Identifier, _ scopes: Identifier...) -> ResourceDefinition {
        var resource = ResourceDefinition(id: id)
        resource.scopes = ScopeSet(scopes)
        return resource
    }
}

extension RouteDefinition {
    /// A route that is named by its path if nothing else is said.
    static func to(_ path: String, name: String? = nil, _ change: (inout RouteDefinition) -> Void = { _ in }) -> RouteDefinition {
        var route = RouteDefinition(name: name ?? path, path: path, upstreams: ["http://127.0.0.1:7001"])
        change(&route)
        return route
    }

    static func open(_ path: String, name: String? = nil, _ change: (inout RouteDefinition) -> Void = { _ in }) -> RouteDefinition {
        to(path, name: name) {
            $0.requirement = .open
            change(&$0)
        }
    }

    static func needing(_ path: String, name: String? = nil, _ rule: (inout TokenRule) -> Void) -> RouteDefinition {
        var asked = TokenRule()
        rule(&asked)
        return to(path, name: name) { $0.requirement = .token(asked) }
    }
}
