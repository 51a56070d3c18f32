import AuthCore
import Gateway
import Store
import Testing
import TokenVerification

@Suite("RFC 9449 §7, §9 tokens under the DPoP scheme, at the gateway and at /forward-auth")
struct SenderTests {
    private static let algorithms = "algs=\"ES256 EdDSA PS256 RS256\""
    private static let url = "http://gate.test/orders"

    private let gate: Gate
    private let device = Device()
    private let token: String

    init() throws {
        gate = try Gate(
            [.to("/orders"), .open("/public"), .needing("/write") { $0.scope = ScopeSet(["orders:write"]) }],
            trustedProxies: [try #require(AddressRange("10.0.0.0/8"))])
        let jkt = device.jkt
        token = try gate.token { $0["cnf"] = .object(JSONObject([("jkt", .string(jkt))])) }
    }

    private var nonce: String { gate.desk.nonces.nonce(at: gate.time.now) }

    private func proof(_ method: String = "GET", _ url: String = url, id: String = "p1") throws -> String {
        try device.proof(method, url, token: token, nonce: nonce, id: id, at: gate.time.now)
    }

    private func headers(_ proof: String?, token: String? = nil) -> [(String, String)] {
        [("Authorization", "DPoP \(token ?? self.token)")] + (proof.map { [("DPoP", $0)] } ?? [])
    }

    @Test("a bound token with its proof passes, the scheme in any case, and the answer brings the next nonce")
    func good() throws {
        for scheme in ["DPoP", "dpop", "DPOP"] {
            let seen = gate.decide("/orders?a=b", [("Authorization", "\(scheme) \(token)"), ("DPoP", try proof(id: scheme))])
            #expect(seen.route == "/orders")
            #expect(seen.plan?.subject == "alice")
            #expect(seen.plan?.answerHeaders.map(\.name) == ["dpop-nonce"])
            #expect(seen.plan?.answerHeaders.first?.value == nonce)
        }
        #expect(gate.decide("/orders", bearer: try gate.token()).plan?.answerHeaders.isEmpty == true)
    }

    @Test("without a good nonce: use_dpop_nonce, and the nonce; with it the next proof passes (§9)")
    func nonces() throws {
        for stale in [nil, "x", gate.desk.nonces.nonce(at: gate.time.now - .seconds(10))] as [String?] {
            let seen = gate.decide("/orders", headers(try device.proof("GET", Self.url, token: token, nonce: stale, id: "p0")))
            #expect(seen.outcome == "401 \(stale == nil ? "proof_nonce_missing" : "proof_wrong_nonce")")
            #expect(seen.challenge == "DPoP realm=\"gatehouse\", error=\"use_dpop_nonce\", \(Self.algorithms)")
            #expect(try seen.body()?["error"]?.string == "use_dpop_nonce")
            let next = try #require(seen.header("dpop-nonce"))
            let again = try device.proof("GET", Self.url, token: token, nonce: next, id: "p\(stale ?? "")")
            #expect(gate.decide("/orders", headers(again)).route == "/orders")
        }
    }

    @Test("what is no proof of this request is refused before the token is looked at, and says so")
    func faults() throws {
        let good = try proof()
        let nonce = nonce
        func made(_ id: String, _ change: (inout JSONObject) -> Void) throws -> String {
            try device.proof("GET", Self.url, token: token, nonce: nonce, id: id, change)
        }
        let rows: [([(String, String)], String)] = [
            (headers(nil), "proof_missing"), (headers(good) + [("dpop", good)], "proof_repeated"), (headers(""), "proof_malformed"),
            (headers(good + "," + good), "proof_malformed"), (headers(try made("a") { $0["htm"] = .string("POST") }), "proof_wrong_method"),
            (headers(try made("b") { $0["htu"] = .string("http://gate.test/write") }), "proof_wrong_url"),
            (headers(try made("c") { $0["htu"] = .string("https://gate.test/orders") }), "proof_wrong_url"),
            (headers(try made("d") { $0["htu"] = .string("http://other.test/orders") }), "proof_wrong_url"),
            (headers(try made("e") { $0["iat"] = .number(JSONNumber(Gate.now.seconds - 61)) }), "proof_expired"),
            (headers(try made("f") { $0["ath"] = nil }), "proof_wrong_token"),
            // The token is nobody's: the answer is the same, so that it tells nothing of the token.
            (headers(try made("g") { $0["htm"] = .string("POST") }, token: "a.b.c"), "proof_wrong_method"),
        ]
        for (headers, reason) in rows {
            let seen = gate.decide("/orders", headers)
            #expect(seen.outcome == "401 \(reason)")
            #expect(seen.challenge == "DPoP realm=\"gatehouse\", error=\"invalid_dpop_proof\", \(Self.algorithms)")
            #expect(seen.header("dpop-nonce") == nonce)
        }
        #expect(gate.desk.replay.count == 0)
        #expect(gate.decide("/orders", headers(good)).route == "/orders")
    }

    @Test("a good proof and another token: invalid_token, in the words of the scheme")
    func tokens() throws {
        let other = try gate.token { $0["cnf"] = .object(JSONObject([("jkt", .string(Device().jkt))])) }
        let unbound = try gate.token()
        let expired = try gate.token { $0["exp"] = .number(JSONNumber(Gate.now.seconds - 100)) }
        for (number, (token, reason)) in [
            (other, "invalid_proof"), (unbound, "invalid_proof"), (expired, "expired"), ("a.b.c", "malformed"),
        ].enumerated() {
            let proof = try device.proof("GET", Self.url, token: token, nonce: nonce, id: "t\(number)")
            let seen = gate.decide("/orders", headers(proof, token: token))
            #expect(seen.outcome == "401 \(reason)")
            #expect(seen.challenge == "DPoP realm=\"gatehouse\", error=\"invalid_token\", \(Self.algorithms)")
            #expect(seen.header("dpop-nonce") == nonce)
        }
        #expect(gate.desk.replay.count == 0)
    }

    @Test("§7.2, DP-08: a bound token under the Bearer scheme is refused, proof or not")
    func bearer() throws {
        for headers in [[], [("DPoP", try proof())]] as [[(String, String)]] {
            let seen = gate.decide("/orders", [("Authorization", "Bearer \(token)")] + headers)
            #expect(seen.outcome == "401 proof_required")
            #expect(seen.challenge == "Bearer realm=\"gatehouse\", error=\"invalid_token\"")
            #expect(seen.header("dpop-nonce") == nil)
        }
    }

    @Test("RFC 8705 §3: a token that is bound to a certificate is refused, since no listener tells of one yet")
    func certificate() throws {
        let x5t = Base64URL.encode([UInt8](repeating: 5, count: 32))
        let bound = try gate.token { $0["cnf"] = .object(JSONObject([("x5t#S256", .string(x5t))])) }
        #expect(gate.decide("/orders", bearer: bound).outcome == "401 proof_required")
    }

    @Test("§11.1: a proof passes once; after its time its nonce is too old")
    func replay() throws {
        let proof = try proof()
        #expect(gate.decide("/orders", headers(proof)).route == "/orders")
        #expect(gate.decide("/orders", headers(proof)).outcome == "401 invalid_proof")
        for _ in 0..<20 {
            gate.time.pass(.seconds(1))
            #expect(gate.decide("/orders", headers(proof)).status == 401)
        }
        #expect(gate.decide("/orders", headers(proof)).outcome == "401 proof_wrong_nonce")
        #expect(gate.decide("/orders", headers(try self.proof(id: "p2"))).route == "/orders")
    }

    @Test("of 64 racing requests with one proof one passes")
    func race() async throws {
        let headers = headers(try proof())
        let passed = await withTaskGroup(of: Bool.self) { [gate] group in
            for _ in 0..<64 { group.addTask { gate.decide("/orders", headers).route != nil } }
            return await group.reduce(into: 0) { if $1 { $0 += 1 } }
        }
        #expect(passed == 1)
    }

    @Test("a store of proofs that is full refuses with 503, and forgets none")
    func full() throws {
        let gate = try Gate([.to("/orders")], proofsMax: 2)
        let token = try gate.token { [device] in $0["cnf"] = .object(JSONObject([("jkt", .string(device.jkt))])) }
        func ask(_ id: String) throws -> Seen {
            let nonce = gate.desk.nonces.nonce(at: gate.time.now)
            let proof = try device.proof("GET", Self.url, token: token, nonce: nonce, id: id, at: gate.time.now)
            return gate.decide("/orders", [("Authorization", "DPoP \(token)"), ("DPoP", proof)])
        }
        #expect(try ask("a").route == "/orders")
        #expect(try ask("b").route == "/orders")
        let third = try ask("c")
        #expect(third.outcome == "503 proofs_overloaded")
        #expect(third.header("retry-after") == "1")
        #expect(try ask("a").outcome == "401 invalid_proof")
        #expect(gate.decide("/orders", bearer: try gate.token()).route == "/orders")
        gate.time.pass(DPoPNonces.window + .seconds(2))
        #expect(try ask("c").route == "/orders")
    }

    @Test("a scope that is missing is told in the words of the scheme; a question does not use the proof up")
    func laterPhases() throws {
        let proof = try proof("GET", "http://gate.test/write")
        let seen = gate.decide("/write", headers(proof))
        #expect(seen.outcome == "403 insufficient_scope")
        #expect(
            seen.challenge
                == "DPoP realm=\"gatehouse\", error=\"insufficient_scope\", scope=\"orders:write\", \(Self.algorithms)")
        let asking = try Gate([.to("/orders")], whenStale: .ask)
        let token = try asking.token { [device] in $0["cnf"] = .object(JSONObject([("jkt", .string(device.jkt))])) }
        asking.time.pass(.seconds(31))
        let nonce = asking.desk.nonces.nonce(at: asking.time.now)
        let fresh = try device.proof("GET", Self.url, token: token, nonce: nonce, id: "q", at: asking.time.now)
        let bound = [("Authorization", "DPoP \(token)"), ("DPoP", fresh)]
        #expect(asking.decide("/orders", bound).question == .staleRevocations)
        asking.verifier.revocations.replace([], through: RevocationPosition(epoch: "e", sequence: 2), sentAt: asking.time.uptime)
        #expect(asking.decide("/orders", bound, mayAsk: false).route == "/orders")
    }

    @Test("an open route looks at no proof")
    func open() throws {
        #expect(gate.decide("/public", headers("x")).route == "/public")
        #expect(gate.decide("/public", headers(nil)).plan?.subject == nil)
    }

    /// Peer, TLS, Host, further fields; the URL that the proof must name.
    static let urls: [(String, Bool, String, [(String, String)], String)] = [
        ("192.0.2.1", false, "gate.test", [], "http://gate.test/orders"),
        ("192.0.2.1", true, "gate.test:8443", [], "https://gate.test:8443/orders"),
        ("192.0.2.1", true, "GATE.test:443", [], "https://gate.test/orders"),
        // What a stranger forwards is not believed.
        (
            "192.0.2.1", false, "gate.test", [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "api.example")],
            "http://gate.test/orders"
        ),
        ("10.1.2.3", false, "gate.test", [("X-Forwarded-Proto", "https")], "https://gate.test/orders"),
        (
            "10.1.2.3", false, "gate.test", [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "api.example")],
            "https://api.example/orders"
        ),
        (
            "10.1.2.3", true, "gate.test", [("X-Forwarded-Proto", "https, http"), ("X-Forwarded-Host", "evil.example, api.example:8000 ")],
            "http://api.example:8000/orders"
        ),
        ("10.1.2.3", true, "gate.test", [("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Host", "")], "https://gate.test/orders"),
    ]

    @Test("DP-02: htu is the URL as the client sees it; trusted_proxies say who else may tell", arguments: urls.indices)
    func external(_ row: Int) throws {
        let (peer, isTLS, host, fields, url) = Self.urls[row]
        func decide(_ proof: String) throws -> Seen {
            Seen(
                gate.decider.decide(
                    RequestFacts(
                        method: "GET", target: Array("/orders?x".utf8), headers: Headers([("Host", host)] + fields + headers(proof)),
                        peer: try #require(PeerAddress(peer)), isTLS: isTLS)))
        }
        #expect(try decide(try proof("GET", url)).route == "/orders")
        for other in ["https://evil.example/orders", "http://gate.test/orders", "https://api.example/orders"] where other != url {
            #expect(try decide(try proof("GET", other, id: other)).outcome == "401 proof_wrong_url")
        }
    }

    @Test("/forward-auth: method and URL are those that the trusted proxy names")
    func forwardAuth() throws {
        let auth = ForwardAuth(decider: gate.decider, trustedProxies: [try #require(AddressRange("10.0.0.0/8"))])
        func ask(_ proof: String, _ fields: [(String, String)]) throws -> ForwardAuth.Answer {
            auth.answer(
                RequestFacts(
                    method: "GET", target: Array("/forward-auth".utf8), headers: Headers([("Host", "auth.test")] + fields + headers(proof)),
                    peer: try #require(PeerAddress("10.1.2.3"))))
        }
        let wants = [("X-Forwarded-Method", "POST"), ("X-Forwarded-Uri", "/orders?a"), ("X-Forwarded-Host", "api.example")]
        let https = wants + [("X-Forwarded-Proto", "https")]
        guard case .allow(let response, _) = try ask(try proof("POST", "https://api.example/orders"), https) else {
            Issue.record("refused")
            return
        }
        #expect(response.headers.contains { $0.name == "dpop-nonce" && $0.value == nonce })
        for (method, url) in [
            ("GET", "https://api.example/orders"), ("POST", "http://auth.test/forward-auth"), ("POST", "http://api.example/orders"),
        ] {
            guard case .refuse(let refusal) = try ask(try proof(method, url, id: url), https) else {
                Issue.record("allowed")
                continue
            }
            #expect(refusal.response.status == 401)
            #expect(refusal.response.headers.contains { $0.name == "dpop-nonce" })
        }
        // Without a scheme it is that of the connection.
        guard case .allow = try ask(try proof("POST", "http://api.example/orders", id: "h"), wants) else {
            Issue.record("refused")
            return
        }
    }
}
