import AuthCore
import OAuthServer
import Store
import Testing

@testable import gatehouse

/// Who may register, and how many.
extension RegistrationFlowTests {
    @Test("DR-01, §3: with the policy `token` nobody registers without an initial access token that is good")
    func initialTokens() async throws {
        let test = try await TestNode.registering("token")
        let none = await test.register("{\(Self.redirect)}")
        #expect(none.status == 401 && none.header("www-authenticate") == #"Bearer realm="gatehouse""#)
        let login = await test.login().text("access_token")
        for bad in ["x", login, await test.register("{}").text("trace_id")] {
            let answer = await test.register("{\(Self.redirect)}", token: bad)
            #expect(answer.status == 401 && answer.error == "invalid_token")
        }
        let token = await test.initialToken()
        // A mistake in the metadata costs no use.
        #expect(await test.register("{}", token: token).status == 400)
        #expect(
            await test.send(
                "POST", "/register", Array("{\(Self.redirect)}".utf8),
                headers: [
                    ("content-type", "application/json"), ("authorization", "DPoP \(token)"),
                ]
            ).status == 401)
        let first = await test.register("{\(Self.redirect)}", token: token)
        #expect(first.status == 201)
        #expect(await test.register("{\(Self.redirect)}", token: token).status == 401)
        // It manages nothing, and what manages registers nothing.
        #expect(await test.registration("GET", first.text("client_id"), token: token).status == 401)
        #expect(await test.register("{\(Self.redirect)}", token: first.text("registration_access_token")).status == 401)
        let three = await test.initialToken(#"{"uses":3,"expires_in":60}"#)
        for status in [201, 201, 201, 401] { #expect(await test.register("{\(Self.redirect)}", token: three).status == status) }
        let late = await test.initialToken(#"{"expires_in":60}"#)
        try await test.advance(.seconds(61))
        #expect(await test.register("{\(Self.redirect)}", token: late).status == 401)
    }

    @Test("an initial access token is kept as a hash, and made by operators alone")
    func tokenIsHashed() async throws {
        let test = try await TestNode.registering("token")
        let token = await test.initialToken()
        #expect(token.utf8.count >= 43)
        let id = Identifier(Base64URL.encode(TokenHash(of: token.utf8).bytes))
        let kept = try #require(try await test.store.parked(.registrationToken, id, at: test.clock.now))
        #expect(!"\(kept)".contains(token))
        for body in [#"{"uses":0}"#, #"{"uses":1001}"#, #"{"expires_in":0}"#, #"{"expires_in":8000000}"#, #"{"uses":"1"}"#, #"{"x":1}"#] {
            #expect(await test.post("/admin/registration-tokens", body, to: .control).status == 400, "\(body)")
        }
        #expect(await test.post("/admin/registration-tokens", "{}", to: .admin).status == 401)
        #expect(await test.post("/admin/registration-tokens", "{}").status == 404)
    }

    @Test("of 64 registrations at once with a token of 5 uses, 5 succeed", arguments: [1, 5])
    func race(_ uses: Int) async throws {
        let test = try await TestNode.registering("token", ["--registration.per_source", "1000"])
        let token = await test.initialToken(#"{"uses":\#(uses)}"#)
        let statuses = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<64 { group.addTask { await test.register("{\(Self.redirect)}", token: token).status } }
            return await group.reduce(into: [Int]()) { $0.append($1) }
        }
        #expect(statuses.filter { $0 == 201 }.count == uses)
        #expect(statuses.allSatisfy { $0 == 201 || $0 == 401 }, "\(Set(statuses))")
        #expect(try await test.store.clients().filter { $0.managedBy == .api }.count == uses)
    }

    @Test("DR-09: more registrations of one source than may be are 429; of another they go on, and after an hour too")
    func rate() async throws {
        let test = try await TestNode.registering("open", ["--registration.per_source", "3"])
        func register(_ peer: PeerAddress) async -> Answer {
            await test.send("POST", "/register", Array("{\(Self.redirect)}".utf8), from: peer)
        }
        let (one, other) = (try #require(PeerAddress("192.0.2.1")), try #require(PeerAddress("192.0.2.2")))
        for _ in 0..<3 { #expect(await register(one).status == 201) }
        let limited = await register(one)
        #expect(limited.status == 429 && limited.header("retry-after") == "3600")
        #expect(await register(other).status == 201)
        try await test.advance(.seconds(3_601))
        #expect(await register(one).status == 201)
        // Of IPv6 a /64 is one source.
        for (number, status) in [201, 201, 201, 429].enumerated() {
            #expect(await register(try #require(PeerAddress("2001:db8::\(number + 1)"))).status == status)
        }
    }

    @Test("DR-09: as many clients as may be, then 503; one that lies unused makes room, one that is used does not")
    func full() async throws {
        let test = try await TestNode.registering("open", ["--registration.clients_max", "2", "--registration.unused_ttl", "10d"])
        let used = TestClient(await test.register(#"{\#(Self.redirect),"token_endpoint_auth_method":"none"}"#))
        let idle = await test.register("{\(Self.redirect)}")
        let full = await test.register("{\(Self.redirect)}")
        #expect(full.status == 503 && full.error == "temporarily_unavailable")
        try await test.advance(.seconds(9 * 86_400))
        #expect(try await test.agreed(used).status == 200)
        #expect(await test.register("{\(Self.redirect)}").status == 503)
        try await test.advance(.seconds(2 * 86_400))
        #expect(await test.register("{\(Self.redirect)}").status == 201)
        #expect(try await test.store.client(Identifier(idle.text("client_id"))) == nil)
        #expect(try await test.store.client(Identifier(used.id)) != nil)
    }
}
