import AuthCore
import Gateway
import HTTPEdge
import NIOCore
import NIOPosix
import ProxyServer
import Synchronization
import TestSupport

/// A gateway in front of some backends, that allows everything unless the test decides otherwise.
final class ProxyFixture: Sendable {
    static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    let server: EdgeServer
    let responder: ProxyResponder
    private let log: Records

    final class Records: Sendable {
        private let records = Mutex<[ProxyLogRecord]>([])

        var all: [ProxyLogRecord] { records.withLock { $0 } }
        func add(_ record: ProxyLogRecord) { records.withLock { $0.append(record) } }
    }

    struct Options: Sendable {
        var limits = ProxyLimits()
        var edge = EdgeLimits()
        var trusted: [String] = []
        var authorities: String?
        var passesToken = false
        var isTLS = false
        var host = "127.0.0.1"
        var identity: [(name: String, value: String)] = [("x-auth-subject", "alice"), ("x-auth-scope", "orders:read")]
        var answerHeaders: [(name: String, value: String)] = []
        var decide: (@Sendable (_ request: RequestFacts, _ route: RoutePlan, _ mayAsk: Bool) -> AccessDecision)?
        var resolve: @Sendable (AccessQuestion) async -> Bool = { _ in true }
    }

    private init(server: EdgeServer, responder: ProxyResponder, log: Records) {
        self.server = server
        self.responder = responder
        self.log = log
    }

    static func start(_ ports: [Int], _ change: (inout Options) -> Void = { _ in }) async throws -> ProxyFixture {
        var options = Options()
        change(&options)
        let chosen = options
        let route = RoutePlan(
            name: "orders",
            upstreams: ports.map { UpstreamTarget(host: chosen.host, port: $0, isTLS: chosen.isTLS) },
            passesToken: chosen.passesToken
        )
        let log = Records()
        var configuration = ProxyResponder.Configuration()
        configuration.limits = chosen.limits
        configuration.trustedProxies = chosen.trusted.compactMap { AddressRange($0) }
        configuration.upstreamAuthorities = chosen.authorities
        let hooks = ProxyResponder.Hooks(
            decide: { request, mayAsk in
                if let decide = chosen.decide { return decide(request, route, mayAsk) }
                return .forward(
                    ForwardPlan(
                        route: route, target: request.target, identityHeaders: chosen.identity, subject: "alice",
                        answerHeaders: chosen.answerHeaders))
            },
            resolve: chosen.resolve,
            reserved: { _ in .answer(ResponseFacts(status: 200, body: Array("reserved".utf8))) },
            log: { log.add($0) }
        )
        let responder = try ProxyResponder(configuration, hooks: hooks, environment: .live, group: group)
        let core = EdgeCore(responder: responder, limits: chosen.edge, environment: .live)
        let server = try await EdgeServer.start(.tcp(host: "127.0.0.1", port: 0), core: core, group: group)
        return ProxyFixture(server: server, responder: responder, log: log)
    }

    var records: [ProxyLogRecord] { log.all }

    func client() async throws -> RawClient { try await RawClient.connect(server.port ?? 0) }

    func ask(_ text: String) async throws -> RawClient.Answer {
        let client = try await client()
        let answer = try await client.ask(text)
        await client.close()
        return answer
    }

    func stop() async {
        await server.shutdown(within: .seconds(2))
        await responder.close()
    }
}

extension RawClient.Answer {
    /// The `error` member of the body.
    var code: String? { (try? JSONReader.read(body))?.object?["error"]?.string }  // nothing when the body is no JSON
}
