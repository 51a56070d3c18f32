import AuthCore
import Crypto
import GatehouseClient
import Gateway
import HTTPEdge
import NIOCore
import ProxyServer
import Settings
import Store
import Synchronization
import TokenVerification
import WebServer

/// A gateway without a database (`roles: [gateway]`): the data plane, and what an auth node tells it.
final class GatewayNode: Sendable {
    let settings: ServerSettings
    let environment: Environment
    let log: Log
    let metrics = Metrics()
    let verifier: TokenVerifier
    private let gateway: GatewayState
    private let feed: FeedClient
    private let senders: SenderPolicy
    private let known: Known
    /// Heartbeats that one question waits for.
    private static let heartbeatsMax = 8
    private let followed = AsyncStream<Never>.makeStream()

    /// What has been told since the start.
    private final class Known: Sendable {
        let keys = Atomic(false)
        let routes = Atomic(false)
    }

    /// - Throws: `StartFailure` with one sentence for the operator.
    init(
        _ settings: ServerSettings, environment: Environment, log: Log, group: any EventLoopGroup
    ) throws(StartFailure) {
        guard let plane = settings.controlPlane else { throw StartFailure("control_plane is needed by the role gateway") }
        let rules = TokenRules(issuer: Identifier(settings.issuer.text), leeway: Node.leeway, lifetimeMax: .seconds(86_400))
        let verifier = TokenVerifier(
            rules: rules, cacheBytesMax: Node.cacheBytesMax, maxStaleness: settings.revocations.maxStaleness)
        let (gateway, known) = (GatewayState(), Known())
        let sources = plane.nodes.map { FeedSource(host: $0.host, port: Int($0.port), isTLS: $0.isTLS) }
        let configuration = FeedClient.Configuration(
            sources: sources, clientID: plane.clientID, secret: plane.clientSecret, authorities: plane.authorities)
        let hooks = FeedReader.Hooks(
            keys: { keys, issuer in
                guard issuer.isSameBytes(as: settings.issuer.text) else {
                    log(.error, "issuer_differs", [("issuer", settings.issuer.text), ("control_plane", issuer)])
                    return false
                }
                verifier.setKeys(keys)
                known.keys.store(true, ordering: .releasing)
                return true
            },
            routes: { value in
                guard let table = GatewayNode.table(value, log) else { return false }
                gateway.replaceRoutes(table)
                known.routes.store(true, ordering: .releasing)
                return true
            }
        )
        do throws(FeedClient.BadAuthorities) {
            feed = try FeedClient(
                configuration, replica: verifier.revocations, hooks: hooks, group: group, environment: environment, log: log)
        } catch { throw StartFailure("control_plane.ca: the authorities cannot be read: \(error.reason)") }
        // It has no master key: its nonces are its own, and a client that meets another gateway is told another one.
        let desk = ProofDesk(nonces: DPoPNonces(keys: [SymmetricKey(data: environment.randomBytes(32))]))
        senders = SenderPolicy(desk: desk, trustedProxies: settings.trustedProxies)
        self.settings = settings
        self.environment = environment
        self.log = log
        self.verifier = verifier
        self.gateway = gateway
        self.known = known
        DataPlane.declare(metrics, verifier, desk, environment)
        metrics.gauge("gatehouse_control_plane_followed", "Whether an auth node is being followed.") { [feed] in feed.source == nil ? 0 : 1
        }
    }

    /// The routes as they were told.
    ///
    /// - Returns: Nothing when they are not of the form that this version knows: leaving out what it does not know could open a route.
    private static func table(_ value: JSONValue, _ log: Log) -> RouteTable? {
        guard let document = ResourceJSON.decodeDocument(value) else {
            log(.error, "routes_refused", [("problem", "they are not of a form that this version knows")])
            return nil
        }
        for route in document.routes where route.identity == .jwt {
            let message = "identity: jwt needs a key that signs, which this gateway does not have: the route is answered 503 here"
            log(.warning, "route_unserved", [("route", route.name), ("message", message)])
        }
        do { return try RouteTable(routes: document.routes, resources: document.resources) } catch {
            log(.error, "routes_refused", [("problem", "\(error)")])
            return nil
        }
    }

    /// Follows the auth nodes until the task is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask { [self] in
                await feed.run()
                followed.continuation.finish()
            }
            tasks.addTask { [verifier, environment] in
                await FeedWake(interval: FeedWake.beatInterval, listener: nil).run(verifier.revocations, uptime: environment.uptime)
            }
        }
    }

    /// Follows no longer; when this returns, nothing uses the event loops any more. Only once `run` has been called.
    func stop() async {
        feed.stop()
        for await _ in followed.stream {}
    }

    /// The data plane, on the event loops of `group`.
    func responder(_ group: any EventLoopGroup) throws -> ProxyResponder {
        try DataPlane(settings: settings, environment: environment, log: log, metrics: metrics).responder(
            group, decide: { [self] in decide($0, mayAsk: $1) }, resolve: { [self] in await resolve($0) })
    }

    /// Health and metrics; the admin API is the auth nodes'.
    var admin: AdminListener {
        let api = API([], environment: environment, trustedProxies: settings.trustedProxies, log: log) { _, _, _ in }
        return AdminListener(access: .everybody, api: api, health: { [self] in health }, metrics: { [self] in metrics.render() })
    }

    func decide(_ request: RequestFacts, mayAsk: Bool) -> AccessDecision {
        guard known.routes.load(ordering: .acquiring) else {
            let traceID = TraceID(environment).description
            let error = APIError.unavailable("not_ready")
            return .refuse(AccessRefusal(reason: error.reason, response: error.response(traceID: traceID), traceID: traceID))
        }
        let decider = AccessDecider(
            state: gateway, verifier: verifier, whenStale: settings.revocations.whenStale, environment: environment,
            senders: senders, identityToken: nil)
        return decider.decide(request, mayAsk: mayAsk)
    }

    /// Waits until an auth node has confirmed what is known here, or could not be reached.
    func resolve(_ question: AccessQuestion) async -> Bool {
        switch question {
        case .staleRevocations:
            // The first may have been under way while this process was frozen, and so not count.
            for _ in 0..<GatewayNode.heartbeatsMax where !isFresh {
                guard !Task.isCancelled, await feed.waitForHeartbeat() else { return false }
            }
            return isFresh
        case .unknownKey:
            // Every key is told before a token is signed with it.
            return false
        }
    }

    private var isFresh: Bool {
        let uptime = environment.uptime()
        return verifier.revocations.confirmedAt(uptime).map { uptime - $0 <= settings.revocations.maxStaleness } ?? false
    }

    /// Whether requests can be answered, and what is in the way.
    var health: Health {
        Health(parts: [
            Health.Part(name: "keys", problem: known.keys.load(ordering: .acquiring) ? nil : "no auth node has told the keys yet"),
            Health.Part(name: "routes", problem: known.routes.load(ordering: .acquiring) ? nil : "no auth node has told the routes yet"),
            Health.Part(name: "revocations", problem: isFresh ? nil : "no auth node was heard of for too long"),
        ])
    }
}
