import AuthCore
import Foundation
import Store
import StoreSQL
import Testing
import TokenKeys
import TokenVerification
import WebServer

@testable import gatehouse

/// Several nodes on one PostgreSQL are one Gatehouse. Each node is called directly, and follows the others when a test says so.
@Suite("Several nodes on PostgreSQL")
struct ClusterTests {
    @Test("sign in on one, validate on another, refresh on a third; a revocation on one is refused by all")
    func oneGatehouse() async throws {
        let nodes = try await TestNode.cluster(3)
        for node in nodes { try await node.node.follow() }
        let login = await nodes[0].login()
        #expect(login.status == 200)
        #expect(await nodes[1].isValid(login.text("access_token")))
        let refreshed = await nodes[2].refresh(login.text("refresh_token"))
        #expect(refreshed.status == 200)
        #expect(await nodes[1].logout(refreshed.text("refresh_token")).status == 204)
        // Where it was revoked, at once.
        #expect(await nodes[1].validate(refreshed.text("access_token")).text("reason") == "revoked")
        for node in nodes {
            try await node.node.follow()
            for token in [login.text("access_token"), refreshed.text("access_token")] {
                #expect(await node.validate(token).text("reason") == "revoked")
            }
            #expect(await node.refresh(refreshed.text("refresh_token")).error == "invalid_grant")
        }
    }

    @Test("of 64 callers with one refresh token on three nodes one rotates it, and nobody is logged out (R-2)")
    func refreshRace() async throws {
        let nodes = try await TestNode.cluster(3)
        for node in nodes { try await node.node.follow() }
        let token = await nodes[0].login().text("refresh_token")
        let answers = await withTaskGroup(of: Answer.self) { group in
            for number in 0..<64 { group.addTask { await nodes[number % 3].refresh(token) } }
            return await group.reduce(into: [Answer]()) { $0.append($1) }
        }
        #expect(answers.allSatisfy { $0.status == 200 })
        #expect(Set(answers.map { $0.text("refresh_token") }).count == 1)
    }

    @Test("failures on every node count together (BF-02, I9)")
    func lockout() async throws {
        let nodes = try await TestNode.cluster(3, settings: ["--lockout.free_attempts", "6"])
        for node in nodes { try await node.node.follow() }
        var statuses: [Int] = []
        for number in 0..<9 { statuses.append(await nodes[number % 3].login(password: "wrong-password-here").status) }
        #expect(statuses == [401, 401, 401, 401, 401, 401, 429, 429, 429])
        #expect(await nodes[0].login().status == 429)
    }

    @Test("a role that one node narrows is narrow on all: a node that has not heard of it issues nothing wider")
    func narrowing() async throws {
        let nodes = try await TestNode.cluster(2)
        for node in nodes { try await node.node.follow() }
        let before = await nodes[1].login()
        #expect(before.text("scope").contains("orders:write"))
        let narrower = TestNode.resources.replacingOccurrences(
            of: "customer: [\"orders:read\", \"orders:write\"]", with: "customer: [\"orders:read\"]")
        #expect(await nodes[0].apply(narrower).status == 200)
        // The second node has not looked yet.
        let after = await nodes[1].login()
        #expect(after.status == 200)
        #expect(!after.text("scope").contains("orders:write"))
        let refreshed = await nodes[1].refresh(before.text("refresh_token"))
        #expect(refreshed.status == 200)
        #expect(!refreshed.text("scope").contains("orders:write"))
        try await nodes[1].node.follow()
        #expect(await nodes[1].validate(before.text("access_token")).text("reason") == "revoked")
    }

    @Test("routes and clients that one node is given reach the others")
    func resources() async throws {
        let nodes = try await TestNode.cluster(2)
        for node in nodes { try await node.node.follow() }
        #expect(nodes[1].gateway("GET", "/new", headers: []) == "404 no_route")
        let more = TestNode.resources + "\n  - {name: new, match: {path: /new}, upstream: \"http://127.0.0.1:7001\", require: none}\n"
        #expect(await nodes[0].apply(more).status == 200)
        try await nodes[1].node.follow()
        #expect(nodes[1].gateway("GET", "/new", headers: []) == "forward")
    }

    @Test("a key that is revoked on one node is refused by the others, and both go on under the same one")
    func keys() async throws {
        let nodes = try await TestNode.cluster(2)
        for node in nodes { try await node.node.follow() }
        #expect(nodes[0].node.keys.published.body == nodes[1].node.keys.published.body)
        let token = await nodes[1].login().text("access_token")
        let active = try #require(nodes[0].node.keys.current)
        #expect(await nodes[0].post("/admin/keys/\(active.id)/revoke", "{}", to: .control).status == 200)
        try await nodes[1].node.follow()
        #expect(await !nodes[1].isValid(token))
        let next = await nodes[1].login().text("access_token")
        #expect(await nodes[0].isValid(next))
        #expect(nodes[0].node.keys.published.body == nodes[1].node.keys.published.body)
    }

    @Test("no node meets a token under a key that it has not read: the next key waits until every live node has it (JK-03, R-3)")
    func acknowledgedKeys() async throws {
        let nodes = try await TestNode.cluster(2)
        for node in nodes { try await node.node.follow() }
        func rotate() async throws -> Int {
            try await nodes[0].node.follow()
            return await nodes[0].post("/admin/keys/rotate", "{}", to: .control).status
        }
        nodes[0].clock.advance(.seconds(303))
        #expect(try await rotate() == 200, "both have read the next key since the start")
        // Now the second one lags: it has not read the key that is published since.
        nodes[0].clock.advance(.seconds(3_000))
        #expect(try await rotate() == 409)
        #expect(try await rotate() == 409)
        try await nodes[1].node.follow()
        #expect(try await rotate() == 200)
        let token = await nodes[0].login().text("access_token")
        // It has not followed since: it knows the key because it acknowledged it.
        nodes[1].node.verifier.revocations.confirm(sentAt: nodes[1].clock.uptime)
        #expect(await nodes[1].isValid(token))
        // One that is gone is not waited for.
        nodes[0].clock.advance(.seconds(3_000))
        #expect(try await rotate() == 409)
        try await nodes[0].node.store.leave(try #require(nodes[1].node.presence).id)
        #expect(try await rotate() == 200)
    }

    @Test("a key that is revoked in an emergency does not wait for a node that lags")
    func revokedWithoutAcknowledgement() async throws {
        let nodes = try await TestNode.cluster(2)
        for node in nodes { try await node.node.follow() }
        for _ in 0..<2 {
            let active = try #require(nodes[0].node.keys.current)
            #expect(await nodes[0].post("/admin/keys/\(active.id)/revoke", "{}", to: .control).status == 200)
        }
        #expect(await nodes[0].login().status == 200)
    }

    @Test("a node whose clock is more than 2 s off the database's is not ready, and is again when it agrees")
    func clock() async throws {
        let node = try await TestNode.cluster(1)[0]
        /// With the tests' clock, which stands still, this far ahead of the machine's. Again when the machine was too slow for that.
        func problem(ahead: Duration, _ isExpected: (String?) -> Bool) async throws -> String? {
            var problem: String?
            for _ in 0..<20 {
                node.clock.jump(to: .zero)
                node.clock.jump(to: Environment.live.now() - node.clock.now + ahead)
                try await node.node.report()
                problem = node.node.health.parts.first { $0.name == "clock" }?.problem
                if isExpected(problem) { break }
            }
            return problem
        }
        try await node.node.report()
        #expect(await node.send("GET", "/health/ready", to: .admin).status == 503, "the tests' clock stands in another year")
        #expect(try await problem(ahead: .zero) { $0 == nil } == nil)
        #expect(try await problem(ahead: .seconds(30)) { $0 != nil }?.contains("ahead") == true)
        #expect(try await problem(ahead: .seconds(-30)) { $0 != nil }?.contains("behind") == true)
        #expect(try await problem(ahead: .zero) { $0 == nil } == nil)
    }

    @Test("another issuer on the same database refuses to start; another setting that tokens rest on is told once")
    func settingsAgree() async throws {
        await #expect(throws: StartFailure.self) {
            _ = try await TestNode.cluster(2, last: ["--issuer", "http://127.0.0.1:9999"])
        }
        let told = Lines()
        let nodes = try await TestNode.cluster(2, last: ["--tokens.access_ttl", "7m"], log: told.log)
        for _ in 0..<3 { try await nodes[1].node.report() }
        let lines = told.all.filter { $0.contains("settings_differ") }
        #expect(
            lines.count == 1 && lines[0].contains("tokens.access_ttl") && lines[0].contains("7m") && lines[0].contains("10m"), "\(lines)")
    }

    @Test("the nodes are listed for the operator")
    func listed() async throws {
        let nodes = try await TestNode.cluster(3)
        let answer = await nodes[1].send("GET", "/admin/nodes", headers: [], to: .control)
        let listed = answer.json["nodes"]?.array?.compactMap(\.object) ?? []
        #expect(Set(listed.compactMap { $0["id"]?.string }) == Set(nodes.compactMap { $0.node.presence?.id.text }))
        #expect(listed.allSatisfy { $0["live"]?.bool == true && $0["version"]?.string == VersionCommand.version })
    }

    @Test("a NUL in what strangers send, which PostgreSQL cannot hold, is refused as on SQLite and never a fault of ours (IN-04)")
    func nul() async throws {
        let sqlite = try await TestNode.start()
        let postgres = try await TestNode.cluster(1)[0]
        for test in [sqlite, postgres] { try await test.node.follow() }
        let nul = "\\u0000"
        for body in [
            #"{"username":"a\#(nul)b","password":"x"}"#, #"{"username":"a\#(nul)@b.example","password":"x"}"#,
            #"{"username":"alice","password":"x\#(nul)"}"#, #"{"username":"alice","password":"x","client_id":"a\#(nul)"}"#,
            #"{"username":"alice","password":"x","scope":"a\#(nul)"}"#, #"{"username":"alice","password":"x","audience":"a\#(nul)"}"#,
        ] {
            let (wanted, found) = (await sqlite.post("/login", body), await postgres.post("/login", body))
            #expect(wanted.status == found.status && wanted.error == found.error, "\(body): \(wanted.status) and \(found.status)")
            #expect((400...429).contains(found.status), "\(body): \(found.status)")
        }
        for path in ["/sessions/a%00", "/sessions/%00"] {
            let tokens = [
                await sqlite.login(more: #","scope":"gatehouse:account""#), await postgres.login(more: #","scope":"gatehouse:account""#),
            ]
            let wanted = await sqlite.send("DELETE", path, headers: sqlite.bearer(tokens[0].text("access_token")))
            let found = await postgres.send("DELETE", path, headers: postgres.bearer(tokens[1].text("access_token")))
            #expect(wanted.status == found.status && (400..<500).contains(found.status), "\(path): \(wanted.status) and \(found.status)")
        }
    }
}
