import AuthCore
import Store
import StoreSQL
import Testing
import TokenKeys
import TokenVerification
import WebServer

@testable import gatehouse

/// A database that comes back without its last commits: a standby that was promoted too early, a restored backup.
@Suite("A database that has lost commits (I3)")
struct FeedLossTests {
    /// The tables as they are now, to be put back: what a promotion of a standby that lags looks like to the nodes.
    private struct Past {
        private static let tables = ["feed", "revocations", "accounts", "clients", "sessions", "grants", "signing_keys"]
        private let database: any SQLDatabase
        private let rows: [(table: String, rows: [SQLRow])]

        init(_ test: TestNode, and more: [String] = []) async throws {
            database = test.node.database
            let tables = Past.tables + more
            rows = try await database.read { (connection) throws(StoreError) in
                var rows: [(String, [SQLRow])] = []
                for table in tables { rows.append((table, try connection.query("SELECT * FROM \(table)", []))) }
                return rows
            }
        }

        /// - Parameter tells: Whether the history has another name, as after a promotion. Without it, only numbers tell.
        func comesBack(telling tells: Bool) async throws {
            let rows = rows
            try await database.write(
                { (connection) throws(StoreError) in
                    for (table, rows) in rows {
                        try connection.execute("DELETE FROM \(table)", [])
                        for row in rows {
                            let places = row.values.indices.map { "?\($0 + 1)" }.joined(separator: ", ")
                            try connection.execute("INSERT INTO \(table) VALUES (\(places))", row.values)
                        }
                    }
                    if tells { try connection.execute("UPDATE feed SET epoch = epoch || 'x'", []) }
                }, committed: { _ in })
        }
    }

    @Test(
        "whoever knew what was revoked revokes it again, on every node and in the database, and the operator is told",
        arguments: [true, false])
    func reinstated(telling tells: Bool) async throws {
        let lines = Lines()
        let nodes = try await TestNode.cluster(2, log: lines.log)
        for node in nodes { try await node.node.follow() }
        let (kept, ended) = (await nodes[0].login(), await nodes[0].login())
        let (disabled, ofClient) = (await nodes[0].login("bob"), await nodes[0].login(more: #","client_id":"app""#))
        let past = try await Past(nodes[0])
        #expect(await nodes[0].logout(ended.text("refresh_token")).status == 204)
        for path in ["/admin/users/bob", "/admin/clients/app"] {
            #expect(await nodes[0].send("PATCH", path, Array(#"{"disabled":true}"#.utf8), to: .control).status < 300)
        }
        try await nodes[0].node.store.revokeToken("jti", until: nodes[0].clock.now + .seconds(600), event: nodes[0].event)
        for node in nodes { try await node.node.follow() }
        let before = nodes[1].node.verifier.revocations.current.count

        try await past.comesBack(telling: tells)
        // The second node looks first and does it all; the first one finds it done.
        try await nodes[1].node.follow()
        for _ in 0..<2 { for node in nodes { try await node.node.follow() } }
        #expect(lines.all.filter { $0.contains("store_rollback_detected") }.count == 1, "\(lines.all)")
        for node in nodes {
            #expect(node.node.verifier.revocations.current.count >= before)
            for answer in [ended, disabled, ofClient] {
                #expect(await node.validate(answer.text("access_token")).text("reason") == "revoked")
                #expect(await node.refresh(answer.text("refresh_token")).status != 200, "what it rests on is ended again")
            }
            #expect(await node.isValid(kept.text("access_token")))
        }
        // A node that starts now learns all of it from the database.
        let stored = Set(try await nodes[0].node.store.revocationSnapshot().records.map(\.kind))
        #expect(stored == [.session, .grant, .account, .client, .token])
        // Who may sign in gets tokens with numbers that nobody refuses. That bob was disabled is lost: the operator is told why.
        for name in ["alice", "bob"] {
            let next = await nodes[0].login(name)
            for node in nodes { #expect(await node.isValid(next.text("access_token")), "\(name)") }
        }
        let events = try await nodes[0].node.store.events(before: nil, limit: 50, account: nil)
        #expect(events.filter { $0.event.kind == .storeRollback }.count == 1)
    }

    @Test("a signing key that was revoked stays revoked, and sign-ins go on under another one (JK-04)", arguments: [true, false])
    func keys(telling tells: Bool) async throws {
        let nodes = try await TestNode.cluster(2)
        for node in nodes { try await node.node.follow() }
        let old = await nodes[0].login().text("access_token")
        let past = try await Past(nodes[0])
        let active = try #require(nodes[0].node.keys.current)
        #expect(await nodes[0].post("/admin/keys/\(active.id)/revoke", "{}", to: .control).status == 200)
        for node in nodes { try await node.node.follow() }
        let between = await nodes[0].login().text("access_token")
        try await past.comesBack(telling: tells)
        for _ in 0..<2 { for node in nodes { try await node.node.follow() } }
        for node in nodes {
            #expect(node.node.keys.records.first { $0.id == active.id }?.state == .revoked)
            #expect(await !node.isValid(old))
            #expect(await node.isValid(between))
            let next = await node.login().text("access_token")
            for other in nodes { #expect(await other.isValid(next)) }
        }
        #expect(nodes[0].node.keys.published.body == nodes[1].node.keys.published.body)
    }

    @Test("resources that go back are those of the database on every node, although their number was known", arguments: [true, false])
    func resources(telling tells: Bool) async throws {
        let nodes = try await TestNode.cluster(2)
        for node in nodes { try await node.node.follow() }
        // Something to notice the loss by, where only numbers tell.
        let ended = await nodes[0].login()
        let past = try await Past(nodes[0], and: ["definitions"])
        #expect(await nodes[0].logout(ended.text("refresh_token")).status == 204)
        let more = TestNode.resources + "\n  - {name: new, match: {path: /new}, upstream: \"http://127.0.0.1:7001\", require: none}\n"
        #expect(await nodes[0].apply(more).status == 200)
        for node in nodes { try await node.node.follow() }
        try await past.comesBack(telling: tells)
        for _ in 0..<2 { for node in nodes { try await node.node.follow() } }
        for node in nodes { #expect(node.gateway("GET", "/new", headers: []) == "404 no_route") }
    }

    @Test("a promotion that has lost nothing is no alarm")
    func nothingLost() async throws {
        let lines = Lines()
        let nodes = try await TestNode.cluster(2, log: lines.log)
        for node in nodes { try await node.node.follow() }
        let ended = await nodes[0].login()
        #expect(await nodes[0].logout(ended.text("refresh_token")).status == 204)
        for node in nodes { try await node.node.follow() }
        try await Past(nodes[0]).comesBack(telling: true)
        for _ in 0..<2 { for node in nodes { try await node.node.follow() } }
        #expect(!lines.all.contains { $0.contains("store_rollback_detected") })
        #expect(lines.all.filter { $0.contains("revocations_snapshot") }.count == 2, "at the start, and for the new history")
        #expect(await nodes[1].validate(ended.text("access_token")).text("reason") == "revoked")
    }
}
