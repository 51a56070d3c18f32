import AuthCore
import Gateway
import Store
import Synchronization
import Testing
import TokenVerification

@Suite("Identity: what the service behind a route is told")
struct IdentityTests {
    @Test("headers: subject, client, scope and session, those that there are")
    func headers() throws {
        let gate = try Gate([.to("/x")])
        #expect(
            gate.decide("/x", bearer: try gate.token { $0["scope"] = .string("orders:read orders:write") }).identity == [
                "x-auth-subject: alice", "x-auth-client: web", "x-auth-scope: orders:read orders:write", "x-auth-session: s-1",
            ])
        let machine = try gate.token {
            $0["sub"] = .string("web")
            $0["sid"] = nil
            $0["scope"] = .string("")
        }
        #expect(gate.decide("/x", bearer: machine).identity == ["x-auth-subject: web", "x-auth-client: web"])
    }

    @Test("none: nothing is told")
    func none() throws {
        let gate = try Gate([.to("/x") { $0.identity = .none }])
        let seen = gate.decide("/x", bearer: try gate.token())
        #expect(seen.identity == [])
        #expect(seen.plan?.subject == "alice")
    }

    @Test(
        "a name that no header can carry unchanged is refused (GW-26, CVE-2023-0040)",
        arguments: ["a\r\nX-Auth-Client: root", "a\nb", "a\rb", "a\u{0}", "a\tb", "josé", "\u{212A}", "\u{7F}", " a", "a ", "😀"]
    )
    func notRepresentable(name: String) throws {
        let gate = try Gate([.to("/x"), .to("/none") { $0.identity = .none }])
        for claim in ["sub", "client_id", "sid"] {
            let seen = gate.decide("/x", bearer: try gate.token { $0[claim] = .string(name) })
            // TokenVerification may refuse such a claim before; neither way does it reach the service.
            #expect(["403 identity_not_representable", "401 malformed"].contains(seen.outcome), "\(claim)")
        }
    }

    @Test("a subject beyond ASCII is refused by this rule, and by no other")
    func beyondASCII() throws {
        let gate = try Gate([.to("/x"), .to("/none") { $0.identity = .none }])
        let token = try gate.token { $0["sub"] = .string("josé") }
        #expect(gate.decide("/x", bearer: token).outcome == "403 identity_not_representable")
        #expect(gate.decide("/none", bearer: token).route == "/none")
    }

    @Test("jwt: one signed token in x-auth-token, made once for half of its life, apart for each token and route")
    func jwt() throws {
        let made = Mutex(0)
        let gate = try Gate(
            [.to("/a") { $0.identity = .jwt }, .to("/b") { $0.identity = .jwt }],
            identityToken: { token, route, now in
                let number = made.withLock {
                    $0 += 1
                    return $0
                }
                return IdentityToken(text: "\(number).\(token.subject).\(route.plan.name)", issuedAt: now, expiresAt: now + .seconds(60))
            })
        let alice = try gate.token()
        let bob = try gate.token { $0["sub"] = .string("bob") }
        #expect(gate.decide("/a", bearer: alice).identity == ["x-auth-token: 1.alice./a"])
        #expect(gate.decide("/a", bearer: alice).identity == ["x-auth-token: 1.alice./a"])
        #expect(gate.decide("/b", bearer: alice).identity == ["x-auth-token: 2.alice./b"])
        #expect(gate.decide("/a", bearer: bob).identity == ["x-auth-token: 3.bob./a"])
        gate.time.pass(.seconds(29))
        #expect(gate.decide("/a", bearer: alice).identity == ["x-auth-token: 1.alice./a"])
        gate.time.pass(.seconds(1))
        #expect(gate.decide("/a", bearer: alice).identity == ["x-auth-token: 4.alice./a"])
    }

    @Test("jwt: a table that was replaced does not hand out what was made for the old one")
    func replaced() throws {
        let routes: [RouteDefinition] = [.to("/a") { $0.identity = .jwt }]
        let made = Mutex(0)
        let gate = try Gate(
            routes,
            identityToken: { _, _, now in
                let number = made.withLock {
                    $0 += 1
                    return $0
                }
                return IdentityToken(text: "t\(number)", issuedAt: now, expiresAt: now + .seconds(60))
            })
        let token = try gate.token()
        #expect(gate.decide("/a", bearer: token).identity == ["x-auth-token: t1"])
        gate.state.replaceRoutes(try RouteTable(routes: routes, resources: []))
        #expect(gate.decide("/a", bearer: token).identity == ["x-auth-token: t2"])
    }

    @Test("jwt: what is remembered is bounded, and what is used stays")
    func bounded() throws {
        let made = Mutex(0)
        let gate = try Gate(
            [.to("/a") { $0.identity = .jwt }],
            identityToken: { token, _, now in
                made.withLock { $0 += 1 }
                return IdentityToken(text: token.id.text, issuedAt: now, expiresAt: now + .seconds(60))
            }, identityTokensMax: 8)
        let often = try gate.token { $0["jti"] = .string("often") }
        for number in 0..<40 {
            let token = try gate.token { $0["jti"] = .string("t-\(number)") }
            #expect(gate.decide("/a", bearer: token).identity == ["x-auth-token: t-\(number)"])
            #expect(gate.decide("/a", bearer: often).identity == ["x-auth-token: often"])
        }
        #expect(made.withLock { $0 } == 41)
        let first = try gate.token { $0["jti"] = .string("t-0") }
        _ = gate.decide("/a", bearer: first)
        #expect(made.withLock { $0 } == 42, "the first was forgotten")
    }

    @Test("jwt: without a signer or a key it is 503, never forwarded without an identity (GW-20)")
    func unavailable() throws {
        for gate in [
            try Gate([.to("/a") { $0.identity = .jwt }]), try Gate([.to("/a") { $0.identity = .jwt }], identityToken: { _, _, _ in nil }),
        ] {
            let seen = gate.decide("/a", bearer: try gate.token())
            #expect(seen.outcome == "503 identity_token_unavailable")
            #expect(seen.header("retry-after") == "1")
        }
    }
}
