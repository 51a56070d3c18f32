import AuthCore
import Gateway
import Store
import Testing

@Suite("GET /forward-auth: GW-19, CVE-2026-35051, CVE-2026-40575")
struct ForwardAuthTests {
    private static let routes: [RouteDefinition] = [
        .open("/public"), .needing("/orders") { $0.scope = ScopeSet(["orders:read"]) }, .needing("/admin") { $0.roles = ["root"] },
        .open("/orders", name: "own") { $0.host = "own.test" }, .to("/get") { $0.methods = ["GET"] },
    ]

    private func ask(
        _ gate: Gate, _ headers: [(String, String)], peer: String = "10.1.2.3", mayAsk: Bool = true
    ) throws -> ForwardAuth.Answer {
        let auth = ForwardAuth(decider: gate.decider, trustedProxies: try [#require(AddressRange("10.0.0.0/8"))])
        return auth.answer(
            RequestFacts(
                method: "GET", target: Array("/forward-auth".utf8), headers: Headers([("Host", "auth.test")] + headers),
                peer: try #require(PeerAddress(peer))), mayAsk: mayAsk)
    }

    private func outcome(_ answer: ForwardAuth.Answer) -> String {
        switch answer {
        case .allow(let response, _):
            "\(response.status)" + response.headers.filter { $0.name.hasPrefix("x-auth") }.map { " \($0.name)=\($0.value)" }.joined()
        case .refuse(let refusal): "\(refusal.response.status) \(refusal.reason)"
        case .ask(let question): "\(question)"
        }
    }

    private func wants(_ method: String, _ uri: String, _ host: String = "gate.test") -> [(String, String)] {
        [("X-Forwarded-Method", method), ("X-Forwarded-Uri", uri), ("X-Forwarded-Host", host)]
    }

    @Test("a trusted proxy gets the decision of the route that its client wants")
    func routed() throws {
        let gate = try Gate(Self.routes)
        let bearer = [("Authorization", "Bearer \(try gate.token())")]
        let alice = "200 x-auth-subject=alice x-auth-client=web x-auth-scope=orders:read x-auth-session=s-1"
        let rows: [([(String, String)], String)] = [
            (wants("GET", "/orders/1?x") + bearer, alice),
            (wants("GET", "/orders/1"), "401 credential_missing"),
            (wants("GET", "/orders", "own.test:443") + bearer, "200"),
            (wants("GET", "/public/x"), "200"),
            (wants("GET", "/public/x") + [("Authorization", "Bearer bad")], "200"),
            (wants("GET", "/admin") + bearer, "403 role_required"),
            (wants("POST", "/get") + bearer, "403 method_not_allowed"),
            (wants("GET", "/nothing") + bearer, "403 no_route"),
            (wants("GET", "/public/../admin") + bearer, "403 dot_segment"),
            (wants("GET", "/public%2f..%2fadmin") + bearer, "403 escape_not_allowed"),
            (wants("GET", "https://gate.test/orders") + bearer, "403 not_origin_form"),
            (wants("GET", "/orders", "a b") + bearer, "403 malformed_host"),
            (wants("G T", "/get") + bearer, "403 malformed_method"),
            (wants("GET", "/orders") + bearer + bearer, "403 credential_repeated"),
            (wants("GET", "/orders") + [("Authorization", "Bearer bad")], "401 malformed"),
            (wants("GET", "/orders") + bearer + [("X-Forwarded-Prefix", "/public"), ("X-Original-URI", "/public")], alice),
            (wants("GET", "/admin") + bearer + [("X-Envoy-Original-Path", "/public"), ("X-Forwarded-Port", "1")], "403 role_required"),
        ]
        for (headers, expected) in rows { #expect(outcome(try ask(gate, headers)) == expected, "\(headers)") }
    }

    @Test("each of the three exactly once, else it is 400 (GW-19)")
    func incomplete() throws {
        let gate = try Gate(Self.routes)
        let all = wants("GET", "/public")
        for left in 0..<3 {
            var some = all
            some.remove(at: left)
            #expect(outcome(try ask(gate, some)) == "400 forwarded_incomplete")
            #expect(outcome(try ask(gate, [all[left]])) == "400 forwarded_incomplete")
            #expect(outcome(try ask(gate, all + [all[left]])) == "400 forwarded_incomplete")
            #expect(outcome(try ask(gate, all + [(all[left].0.lowercased(), "/other")])) == "400 forwarded_incomplete")
        }
        // Names with other separators are other names: they neither complete nor spoil.
        #expect(outcome(try ask(gate, all + [("X_Forwarded_Uri", "/admin")])) == "200")
        #expect(outcome(try ask(gate, [all[0], ("X_Forwarded_Uri", "/public"), all[2]])) == "400 forwarded_incomplete")
    }

    @Test("what a stranger says is refused, complete or not", arguments: ["192.0.2.1", "11.0.0.1", "127.0.0.1", "::1", "fd00::1"])
    func stranger(peer: String) throws {
        let gate = try Gate(Self.routes)
        let bearer = [("Authorization", "Bearer \(try gate.token())")]
        for headers in [wants("GET", "/public"), wants("GET", "/public") + bearer, [("X-Forwarded-Uri", "/public")] + bearer] {
            #expect(outcome(try ask(gate, headers, peer: peer)) == "403 forwarded_by_stranger")
        }
    }

    @Test("without them it answers for the token alone, for any audience but gatehouse", arguments: ["10.1.2.3", "192.0.2.1"])
    func tokenAlone(peer: String) throws {
        let gate = try Gate(Self.routes)
        let rows: [(String, String)] = [
            (try gate.token(), "200 x-auth-subject=alice x-auth-client=web x-auth-scope=orders:read x-auth-session=s-1"),
            (try gate.token { $0["aud"] = .string("gatehouse") }, "401 wrong_audience"),
            (try gate.token { $0["exp"] = .number(JSONNumber(0)) }, "401 expired"),
            ("bad", "401 malformed"),
        ]
        for (token, expected) in rows {
            #expect(outcome(try ask(gate, [("Authorization", "Bearer \(token)")], peer: peer)) == expected)
        }
        #expect(outcome(try ask(gate, [], peer: peer)) == "401 credential_missing")
        // These say nothing about what the client wants.
        #expect(
            outcome(try ask(gate, [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https")], peer: peer)) == "401 credential_missing"
        )
    }

    @Test("401 and 403 keep the challenge, 503 stays 503, a question stays a question")
    func shells() throws {
        let gate = try Gate(Self.routes, whenStale: .ask)
        guard case .refuse(let missing) = try ask(gate, wants("GET", "/orders")) else {
            Issue.record("not refused")
            return
        }
        #expect(missing.response.headers.first { $0.name == "www-authenticate" }?.value == "Bearer realm=\"gatehouse\"")
        #expect(missing.traceID == Gate.traceID)
        gate.time.pass(.seconds(31))
        let bearer = [("Authorization", "Bearer \(try gate.token())")]
        #expect(outcome(try ask(gate, wants("GET", "/orders") + bearer)) == "staleRevocations")
        #expect(outcome(try ask(gate, wants("GET", "/orders") + bearer, mayAsk: false)) == "503 stale")
        #expect(outcome(try ask(gate, bearer)) == "staleRevocations")
    }

    @Test("no proxies are trusted: every X-Forwarded-Uri is a stranger's")
    func nobody() throws {
        let gate = try Gate(Self.routes)
        let auth = ForwardAuth(decider: gate.decider, trustedProxies: [])
        let request = RequestFacts(method: "GET", target: [0x2F], headers: Headers(wants("GET", "/public")), peer: .loopback)
        #expect(outcome(auth.answer(request)) == "403 forwarded_by_stranger")
    }
}
