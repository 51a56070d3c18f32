import AuthCore
import Foundation
import Gateway
import HTTPEdge
import NIOCore
import NIOPosix
import Settings
import TestSupport
import Testing
import TokenVerification
import WebServer

@testable import gatehouse

/// A gateway without a database beside a node with one, over a real socket, both with one chosen clock.
@Suite("A gateway that is told by an auth node", .timeLimit(.minutes(2)))
struct GatewayNodeTests {
    /// Runs `body` while the gateway follows the auth node.
    private func withGateway(
        _ settings: [String] = [], resources: String = EventReader.resources, log: Log = .silent,
        _ body: (LiveGateway, GatewayNode) async throws -> Void
    ) async throws {
        let live = try await LiveGateway.start(services: [], resources: resources)
        let arguments =
            [
                "--roles", "gateway", "--control_plane.urls", "http://127.0.0.1:\(live.authPort)", "--control_plane.client_id", "gw",
                "--control_plane.client_secret", "file:\(live.test.folder.path)/secret",
            ] + settings
        try EventReader.gateway.split(separator: ":")[1].description.write(
            toFile: "\(live.test.folder.path)/secret", atomically: true, encoding: .utf8)
        let loaded = try SettingsLoading.load(arguments).settings
        let node = try GatewayNode(loaded, environment: live.test.node.environment, log: log, group: LiveGateway.group)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await node.run() }
            try await body(live, node)
            tasks.cancelAll()
        }
        await live.stop()
    }

    /// Lets time pass in steps in which both nodes show that they run, until `condition` holds.
    private func until(_ live: LiveGateway, pace: TimeAmount = .milliseconds(20), _ condition: () -> Bool) async throws {
        for _ in 0..<200 {
            if condition() { return }
            live.test.clock.advance(.milliseconds(450))
            try await live.test.node.follow()
            // What was told just now is under way through a socket.
            try await LiveGateway.group.next().scheduleTask(in: pace) {}.futureResult.get()
        }
        #expect(condition())
    }

    private func decide(_ node: GatewayNode, _ token: String?, _ path: String = "/orders", mayAsk: Bool = false) -> String {
        let headers = [("host", "localhost:8000")] + (token.map { [("authorization", "Bearer \($0)")] } ?? [])
        switch node.decide(RequestFacts(method: "GET", target: Array(path.utf8), headers: Headers(headers)), mayAsk: mayAsk) {
        case .forward: return "forward"
        case .refuse(let refusal): return "\(refusal.response.status) \(refusal.reason)"
        case .ask: return "ask"
        }
    }

    @Test("ready once keys, routes and revocations are told; a revocation, a route and a client's end reach it")
    func follows() async throws {
        try await withGateway { live, node in
            let test = live.test
            let login = await test.login()
            try await until(live) { node.health.isReady }
            #expect(decide(node, login.text("access_token")) == "forward")
            #expect(decide(node, nil) == "401 credential_missing")
            #expect(await test.logout(login.text("refresh_token")).status == 204)
            try await until(live) { decide(node, login.text("access_token")) == "401 revoked" }
            #expect(await test.apply(EventReader.resources.replacing("/public", with: "/elsewhere")).status == 200)
            try await until(live) { decide(node, nil, "/elsewhere") == "forward" }
            #expect(decide(node, nil, "/public") == "404 no_route")
        }
    }

    @Test("before it was told anything it answers 503; of another issuer it takes nothing")
    func notReady() async throws {
        let told = Tally()
        let log = Log(minimum: .error) { _, event, _ in if "\(event)" == "issuer_differs" { told.add() } }
        try await withGateway(["--issuer", "http://localhost:9999"], log: log) { live, node in
            #expect(decide(node, nil, "/public") == "503 not_ready")
            try await until(live) { told.value > 0 }
            #expect(decide(node, nil, "/public") == "503 not_ready")
            #expect(!node.health.isReady)
        }
    }

    @Test("too old, it refuses, serves or asks as the route says; whoever asked is answered by the next heartbeat")
    func stale() async throws {
        let resources = EventReader.resources.replacing(
            "routes:\n",
            with: """
                routes:
                  - {name: asks, match: {path: /asks}, upstream: "http://127.0.0.1:7001", require: {scope: "orders:read"}, when_stale: ask}
                  - {name: serves, match: {path: /serves}, upstream: "http://127.0.0.1:7001", require: {scope: "orders:read"}, when_stale: serve}

                """)
        try await withGateway(resources: resources) { live, node in
            let token = await live.test.login().text("access_token")
            try await until(live) { node.health.isReady }
            live.test.clock.advance(.seconds(31))
            #expect(decide(node, token) == "503 stale")
            #expect(decide(node, token, "/serves") == "forward")
            #expect(decide(node, token, "/asks", mayAsk: true) == "ask")
            #expect(!node.health.isReady)
            let answered = Tally()
            async let isFresh = {
                let isFresh = await node.resolve(.staleRevocations)
                answered.add()
                return isFresh
            }()
            // Slowly enough for the gateway to show that it runs, which it does in real time.
            try await until(live, pace: .milliseconds(300)) { answered.value > 0 }
            #expect(await isFresh)
            #expect(decide(node, token) == "forward")
            #expect(await node.resolve(.unknownKey("k")) == false)
        }
    }
}
