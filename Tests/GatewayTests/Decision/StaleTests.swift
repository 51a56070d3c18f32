import AuthCore
import Gateway
import Store
import Testing
import TokenVerification

@Suite("revocations.when_stale: a replica that is too old to know")
struct StaleTests {
    private func stale(_ whenStale: WhenStale) throws -> Gate {
        let gate = try Gate(
            [
                .to("/default"), .open("/open"), .to("/refuse") { $0.whenStale = .refuse }, .to("/ask") { $0.whenStale = .ask },
                .to("/serve") { $0.whenStale = .serve },
            ], whenStale: whenStale)
        gate.time.pass(.seconds(31))
        return gate
    }

    @Test("refuse: 503 stale with Retry-After (GW-20)")
    func refuse() throws {
        let gate = try stale(.refuse)
        let seen = gate.decide("/default", bearer: try gate.token())
        #expect(seen.outcome == "503 stale")
        #expect(seen.header("retry-after") == "1")
        #expect(seen.challenge == nil)
        #expect(try seen.body()?["error"] == .string("stale"))
    }

    @Test("ask: the shell is asked, once; then it is 503")
    func ask() throws {
        let gate = try stale(.ask)
        let token = try gate.token()
        #expect(gate.decide("/default", bearer: token).question == .staleRevocations)
        #expect(gate.decide("/default", bearer: token, mayAsk: false).outcome == "503 stale")
        gate.verifier.revocations.confirm(sentAt: gate.time.uptime)
        #expect(gate.decide("/default", bearer: token, mayAsk: false).route == "/default")
    }

    @Test("serve: what is known decides")
    func serve() throws {
        let gate = try stale(.serve)
        #expect(gate.decide("/default", bearer: try gate.token()).route == "/default")
    }

    @Test("a route's own policy goes before the default", arguments: WhenStale.allCases)
    func perRoute(whenStale: WhenStale) throws {
        let gate = try stale(whenStale)
        let token = try gate.token()
        #expect(gate.decide("/refuse", bearer: token).outcome == "503 stale")
        #expect(gate.decide("/ask", bearer: token).question == .staleRevocations)
        #expect(gate.decide("/serve", bearer: token).route == "/serve")
        #expect(gate.decide("/open").route == "/open")
        // A token that is bad without doubt needs no fresh replica.
        #expect(gate.decide("/default", bearer: try gate.token { $0["exp"] = .number(JSONNumber(1)) }).outcome == "401 expired")
        #expect(gate.decide("/default").outcome == "401 credential_missing")
    }

    @Test("an unknown key is asked for once; then it is 401 like any bad token")
    func unknownKey() throws {
        let gate = try Gate([.to("/x")], asksForUnknownKeys: true)
        let token = try gate.token(keyID: "k2")
        #expect(gate.decide("/x", bearer: token).question == .unknownKey("k2"))
        #expect(gate.decide("/x", bearer: token, mayAsk: false).outcome == "401 unknown_key")
    }
}
