import AuthCore
import Store
import Synchronization
import Testing

/// What `NodeStore` promises, and what of it the signing keys rest on.
@Suite("Contract: nodes")
struct NodeContract {
    private func report(_ id: Identifier, keys: Int64 = 0) -> NodeReport {
        NodeReport(
            id: id, name: "host \(id)", version: "1", startedAt: Instant(seconds: 1_800_000_000), keysVersion: keys,
            clockAhead: .milliseconds(-7), settings: ["issuer": "https://a.example", "tokens.access_ttl": "10m"])
    }

    @Test("who reports is seen by all, with what it said, live by the database's clock; who leaves is gone", arguments: StoreKind.allCases)
    func reports(kind: StoreKind) async throws {
        let test = try await kind.open()
        let before = Environment.live.now()
        _ = try await test.store.report(report("a"), lifetime: .seconds(60))
        let survey = try await test.store.report(report("b"), lifetime: .milliseconds(0))
        // The store's chosen clock stands elsewhere: this is the database's own.
        #expect(abs((survey.databaseTime - before).wholeSeconds) < 60)
        #expect(survey.nodes.count == 2)
        let seen = try #require(survey.nodes.first { $0.report.id == "a" })
        #expect(seen.report == report("a") && seen.isLive && abs((seen.seenAt - before).wholeSeconds) < 60)
        #expect(survey.nodes.first { $0.report.id == "b" }?.isLive == false)
        var again = report("a", keys: 3)
        again.settings = [:]
        _ = try await test.store.report(again, lifetime: .seconds(60))
        #expect(try await test.store.nodes().nodes.first { $0.report.id == "a" }?.report == again)
        try await test.store.leave("a")
        try await test.store.leave("a")
        #expect(try await test.store.nodes().nodes.map(\.report.id) == ["b"])
    }

    @Test("keys are acknowledged when every live node has read them as they are now (JK-03)", arguments: StoreKind.allCases)
    func acknowledgement(kind: StoreKind) async throws {
        let test = try await kind.open()
        let answers = Mutex<[Bool]>([])
        func change(adding id: Identifier?) async throws {
            let now = test.now
            _ = try await test.store.changeSigningKeys(event: nil) { keys, areAcknowledged in
                answers.withLock { $0.append(areAcknowledged) }
                return id.map {
                    keys + [
                        SigningKeyRecord(
                            id: $0, algorithm: "ES256", state: .next, publicJWK: "{}", sealedPrivateKey: [1], publishedAt: now)
                    ]
                } ?? keys
            }
        }
        func version() async throws -> Int64 { try await test.store.revocationSnapshot().versions.keys }
        try await change(adding: "k1")
        let first = try await version()
        _ = try await test.store.report(report("a", keys: first), lifetime: .seconds(60))
        _ = try await test.store.report(report("dead", keys: -1), lifetime: .milliseconds(0))
        try await change(adding: nil)
        #expect(answers.withLock { $0 } == [true, true], "nobody was there; then one who has read them, and one who is dead")
        try await change(adding: "k2")
        try await change(adding: nil)
        #expect(answers.withLock { $0.last } == false, "k2 was published and a has not read it")
        _ = try await test.store.report(report("starting"), lifetime: .seconds(60))
        _ = try await test.store.report(report("a", keys: try await version()), lifetime: .seconds(60))
        try await change(adding: nil)
        #expect(answers.withLock { $0.last } == false, "another one has not")
        try await test.store.leave("starting")
        try await change(adding: nil)
        #expect(answers.withLock { $0.last } == true)
    }
}
