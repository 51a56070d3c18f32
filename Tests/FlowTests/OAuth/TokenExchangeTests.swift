import AuthCore
import OAuthServer
import Store
import Testing
import TokenKeys

@testable import gatehouse

/// Clients that pass tokens on: `api` gets them from `web`, `back` from `api`.
struct ExchangeScene {
    static let accessToken = "urn:ietf:params:oauth:token-type:access_token"
    static let grant = "urn:ietf:params:oauth:grant-type:token-exchange"
    static let secret = "0123456789abcdef0123456789abcdef"
    static let api = TestClient(id: "api", secret: secret)
    static let back = TestClient(id: "back", secret: secret)

    static let resources = TestNode.oauthResources.replacing(
        "resources:\n",
        with: """
              - {id: api, secret: \(secret), grants: [token_exchange, client_credentials], scopes: ["orders:read", "orders:write", "reports:read"],
                 exchange_audiences: [orders, reports], exchange_clients: [web]}
              - {id: back, secret: \(secret), grants: [token_exchange, client_credentials], scopes: ["orders:read"],
                 exchange_audiences: [orders], exchange_clients: [api, web]}
              - {id: mask, secret: \(secret), grants: [token_exchange], scopes: ["orders:read"], exchange_audiences: [orders],
                 exchange_clients: [web, api], exchange_impersonates: true}
              - {id: alien, secret: \(secret), grants: [token_exchange], scopes: ["orders:read"], exchange_audiences: [orders]}
            resources:

            """
    ).replacing(#"support: ["orders:read""#, with: #"support: ["orders:write", "orders:read""#)

    let test: TestNode
    let browser: TestBrowser
    /// Of `web`, for bob: with scopes of two resources.
    let subject: Answer

    static func start(_ scope: String = "openid orders:read orders:write", resources: String = resources) async throws -> ExchangeScene {
        let test = try await TestNode.start(resources: resources)
        try await test.node.keys.maintain()
        let browser = TestBrowser(test)
        let question = await browser.signIn(await browser.get(TestClient().request([("scope", scope)])), "bob")
        let code = try await browser.submit(question, [("answer", "allow")]).parameters()["code"]
        let subject = await TestClient().exchange(try #require(code), test)
        try #require(subject.status == 200)
        return ExchangeScene(test: test, browser: browser, subject: subject)
    }

    var token: String { subject.text("access_token") }

    func exchange(
        _ token: String? = nil, by client: TestClient = api, _ more: [(String, String)] = [], headers: [(String, String)] = []
    ) async -> Answer {
        let form = [("grant_type", Self.grant), ("subject_token", token ?? self.token), ("subject_token_type", Self.accessToken)]
        let kept = form.filter { member in !more.contains { $0.0 == member.0 } }
        return await client.token(test, kept + more.filter { !$0.1.isEmpty }, headers: headers)
    }

    /// The subject token with other claims, signed by the server's own key.
    func forged(_ change: @escaping @Sendable (inout JSONObject) -> Void) async throws -> String {
        try await Forgery("changed") { change(&$0.claims) }.forged(from: token, in: test)
    }
}

@Suite("RFC 8693 token exchange")
struct TokenExchangeTests {
    @Test("§2.2.1, §4.1, TK-28: a narrower access token of the same person, session and grant, with the client as its actor")
    func delegated() async throws {
        let scene = try await ExchangeScene.start()
        let answer = await scene.exchange(nil, [("audience", "orders"), ("scope", "orders:read")])
        #expect(answer.status == 200, "\(answer.error ?? "") \(answer.text("error_description"))")
        #expect(answer.text("issued_token_type") == ExchangeScene.accessToken && answer.text("token_type") == "Bearer")
        #expect(answer.json["refresh_token"] == nil && answer.json["id_token"] == nil)
        #expect(answer.header("cache-control") == "no-store")
        let (old, new) = (try scene.subject.claims(), try answer.claims())
        for name in ["iss", "sub", "sid", "gid", "auth_time", "acr", "amr", "exp"] { #expect(new[name] == old[name], "\(name)") }
        #expect(new["client_id"]?.string == "api" && new["aud"]?.string == "orders" && new["scope"]?.string == "orders:read")
        #expect(new["jti"] != old["jti"])
        #expect(new["act"] == .object(JSONObject([("sub", .string("api")), ("client_id", .string("api"))])))
        #expect(await scene.test.isValid(answer.text("access_token")))
        #expect(await scene.test.isActive(answer.text("access_token")))
        #expect(scene.test.gateway("GET", "/orders", headers: scene.test.bearer(answer.text("access_token"))) == "forward")
        // Without a wish: all that the token, the client and its policy have in common; nothing of OpenID Connect.
        #expect(await scene.exchange().text("scope") == "orders:read orders:write")
    }

    /// So many of them, behind one another.
    private static func actors(_ depth: Int) -> JSONValue? {
        (0..<depth).reduce(JSONValue?.none) { inner, _ in
            var object = JSONObject([("sub", .string("x"))])
            object["act"] = inner
            return .object(object)
        }
    }

    @Test("§4.1: actors nest, the latest outermost, and more than four are refused")
    func chain() async throws {
        let scene = try await ExchangeScene.start()
        let first = await scene.exchange()
        let second = await scene.exchange(first.text("access_token"), by: ExchangeScene.back)
        #expect(second.status == 200, "\(second.text("error_description"))")
        let act = try second.claims()["act"]?.object
        #expect(act?["sub"]?.string == "back" && act?["act"]?.object?["sub"]?.string == "api")
        #expect(act?["act"]?.object?["act"] == nil)
        for (depth, isTaken) in [(3, true), (4, false), (20, false)] {
            let token = try await scene.forged { $0["act"] = Self.actors(depth) }
            let answer = await scene.exchange(token)
            #expect((answer.status == 200) == isTaken, "\(depth)")
            if !isTaken { #expect(answer.error == "invalid_request") }
        }
    }

    @Test("§1.1: a client whose policy says so hides itself, and nobody who acted before it")
    func impersonation() async throws {
        let scene = try await ExchangeScene.start()
        let mask = TestClient(id: "mask", secret: ExchangeScene.secret)
        let hidden = await scene.exchange(by: mask)
        #expect(hidden.status == 200)
        #expect(try hidden.claims()["act"] == nil)
        let behind = await scene.exchange(await scene.exchange().text("access_token"), by: mask)
        #expect(try behind.claims()["act"]?.object?["sub"]?.string == "api")
    }

    @Test("§2.1: an actor token names who acts; it is checked as the subject's is, and the new token does not outlive it")
    func actorToken() async throws {
        let scene = try await ExchangeScene.start()
        let actor = await ExchangeScene.api.token(scene.test, [("grant_type", "client_credentials"), ("scope", "orders:read")])
        let token = actor.text("access_token")
        func with(_ token: String, _ type: String = ExchangeScene.accessToken) async -> Answer {
            await scene.exchange(nil, [("actor_token", token), ("actor_token_type", type)])
        }
        let answer = await with(token)
        #expect(answer.status == 200)
        #expect(try answer.claims()["act"]?.object?["sub"]?.string == "api")
        // Bob for himself, as the actor of his own token: by the client that got it.
        let byWeb = await with(scene.token)
        #expect(try byWeb.claims()["act"]?.object?["client_id"]?.string == "web")
        let foreign = await ExchangeScene.back.token(scene.test, [("grant_type", "client_credentials")])
        for bad in [foreign.text("access_token"), token + "x", "x", scene.subject.text("id_token"), scene.subject.text("refresh_token")] {
            #expect(await with(bad).error == "invalid_request")
        }
        #expect(await with(token, "").error == "invalid_request")
        #expect(await scene.exchange(nil, [("actor_token_type", ExchangeScene.accessToken)]).error == "invalid_request")
        // Acted with by somebody else already.
        #expect(await with(await scene.exchange().text("access_token")).error == "invalid_request")
        let short = try await Forgery("short") {
            $0.claims["exp"] = .number(JSONNumber(($0.claims["iat"]?.int ?? 0) + 30))
        }.forged(from: token, in: scene.test)
        #expect(try await with(short).claims()["exp"]?.int == (try actor.claims()["iat"]?.int ?? 0) + 30)
    }

    @Test(
        "§4.4: may_act names who may act, and whoever it does not name may not",
        arguments: [
            (#"{"sub":"api"}"#, true), (#"{"sub":"api","client_id":"api","iss":"http://localhost:8080"}"#, true),
            (#"{"sub":"back"}"#, false),
            (#"{"sub":"api","iss":"http://other.example"}"#, false), (#"{"sub":"api","client_id":"web"}"#, false), ("{}", false),
            (#""api""#, false), (#"{"client_id":"api"}"#, false), (#"{"sub":"api","email":"x"}"#, false), (#"[{"sub":"api"}]"#, false),
        ])
    func mayAct(_ json: String, _ isTaken: Bool) async throws {
        let scene = try await ExchangeScene.start()
        let value = try JSONReader.read(Array(json.utf8))
        let answer = await scene.exchange(try await scene.forged { $0["may_act"] = value })
        #expect((answer.status == 200) == isTaken)
        if !isTaken { #expect(answer.error == "invalid_request") }
    }

    @Test("TK-28, GHSA-7qjx-gp9h-65qj: whose tokens, for which resources and with which scopes is the client's policy")
    func policy() async throws {
        let scene = try await ExchangeScene.start()
        let alien = TestClient(id: "alien", secret: ExchangeScene.secret)
        #expect(await scene.exchange(by: alien).error == "invalid_request")
        #expect(await scene.exchange(by: TestClient()).error == "unauthorized_client")
        #expect(await scene.exchange(by: TestClient(id: "api")).error == "invalid_client")
        #expect(
            await scene.exchange(by: TestClient(id: "billing", secret: "fedcba9876543210fedcba9876543210")).error == "unauthorized_client")
        // `back` may have one of the scopes, and one of the resources.
        #expect(await scene.exchange(by: ExchangeScene.back).text("scope") == "orders:read")
        #expect(await scene.exchange(by: ExchangeScene.back, [("scope", "orders:write")]).error == "invalid_scope")
        for target in ["reports", "gatehouse", "nowhere", "http://localhost:8080"] {
            for name in ["audience", "resource"] {
                #expect(await scene.exchange(by: ExchangeScene.back, [(name, target)]).error == "invalid_target", "\(target)")
            }
        }
        // What the client may have, and the token does not: it only narrows.
        #expect(await scene.exchange(nil, [("audience", "reports")]).error == "invalid_target")
        for scope in ["reports:read", "orders:read reports:read", "openid", "orders:read openid", "gatehouse:account", "nothing"] {
            #expect(await scene.exchange(nil, [("scope", scope)]).error == "invalid_scope", "\(scope)")
        }
        let narrow = await scene.exchange(nil, [("scope", "orders:read")]).text("access_token")
        #expect(await scene.exchange(narrow, by: ExchangeScene.back, [("scope", "orders:write")]).error == "invalid_scope")
    }

    @Test("a token of Gatehouse's own API is not passed on, whatever the policy says")
    func ownAPI() async throws {
        let resources = ExchangeScene.resources.replacing("exchange_clients: [web]}", with: "exchange_clients: [web, gatehouse]}")
        let scene = try await ExchangeScene.start(resources: resources)
        let own = await scene.test.login("bob", more: #","scope":"gatehouse:account""#).text("access_token")
        #expect(await scene.test.isValid(own))
        #expect(await scene.exchange(own).error == "invalid_target")
        let orders = await scene.test.login("bob", more: #","scope":"orders:read""#)
        let passed = await scene.exchange(orders.text("access_token"))
        #expect(passed.status == 200)
        #expect(try passed.claims()["sub"] == orders.claims()["sub"])
    }

    @Test("§2.1: the types are checked; nothing but access tokens is taken or given")
    func types() async throws {
        let scene = try await ExchangeScene.start()
        let prefix = "urn:ietf:params:oauth:token-type:"
        #expect(await scene.exchange(nil, [("subject_token_type", prefix + "jwt")]).status == 200)
        for type in ["id_token", "refresh_token", "saml2", "nonsense"] {
            #expect(await scene.exchange(nil, [("subject_token_type", prefix + type)]).error == "invalid_request", "\(type)")
            #expect(await scene.exchange(nil, [("requested_token_type", prefix + type)]).error == "invalid_request", "\(type)")
        }
        #expect(await scene.exchange(nil, [("requested_token_type", ExchangeScene.accessToken)]).status == 200)
        for missing in ["subject_token", "subject_token_type"] {
            #expect(await scene.exchange(nil, [(missing, "")]).error == "invalid_request")
        }
        // CVE-2023-0657: what is no access token is none, however it is called.
        for token in [scene.subject.text("id_token"), scene.subject.text("refresh_token"), "x", scene.token + "x"] {
            #expect(await scene.exchange(token).error == "invalid_request")
        }
    }

    @Test("TK-28, CVE-2026-9097: what has ended is not passed on, nor is what is expired or another issuer's")
    func ended() async throws {
        let scene = try await ExchangeScene.start()
        let other = try await ExchangeScene.start()
        #expect(await scene.exchange(other.token).error == "invalid_request")
        let texts = [await scene.exchange("x"), await scene.exchange(other.token)].map { $0.text("error_description") }
        #expect(Set(texts).count == 1)
        _ = await TestClient().post(scene.test, "/revoke", [("token", scene.token)])
        #expect(await scene.exchange().error == "invalid_request")
        let live = try await ExchangeScene.start()
        // Within the difference of clocks that is allowed elsewhere.
        try await live.test.advance(.seconds((live.subject.json["expires_in"]?.int ?? 0) + 1))
        #expect(await live.test.isValid(live.token))
        #expect(await live.exchange().error == "invalid_request")
    }

    @Test(
        "whatever ends the session, the grant, the account, or one of the clients, ends the tokens that were passed on",
        arguments: ["session", "refresh token", "account", "password", "deleted", "roles", "client", "first client", "second client"])
    func dies(_ what: String) async throws {
        let scene = try await ExchangeScene.start()
        let first = await scene.exchange()
        let second = await scene.exchange(first.text("access_token"), by: ExchangeScene.back)
        let test = scene.test
        func patch(_ path: String, _ body: String) async { _ = await test.send("PATCH", path, Array(body.utf8), to: .control) }
        #expect(await test.isValid(second.text("access_token")))
        switch what {
        case "session": _ = await test.send("DELETE", "/admin/users/bob/sessions", to: .control)
        case "refresh token": _ = await TestClient().post(test, "/revoke", [("token", scene.subject.text("refresh_token"))])
        case "account": await patch("/admin/users/bob", #"{"disabled":true}"#)
        case "password": await patch("/admin/users/bob", #"{"password":"another-long-password"}"#)
        case "deleted": _ = await test.send("DELETE", "/admin/users/bob", to: .control)
        case "roles": await patch("/admin/users/bob", #"{"roles":[]}"#)
        case "client": await patch("/admin/clients/web", #"{"disabled":true}"#)
        case "first client": await patch("/admin/clients/api", #"{"disabled":true}"#)
        default: await patch("/admin/clients/back", #"{"disabled":true}"#)
        }
        #expect(await test.isValid(first.text("access_token")) == (what == "second client"))
        #expect(await !test.isValid(second.text("access_token")))
    }

    @Test(
        "a client in the middle that is disabled ends what it passed on, everywhere; one that hides itself and the actor's too",
        arguments: ["api", "mask", "actor", "last", "alien"])
    func middle(_ ended: String) async throws {
        let secret = ExchangeScene.secret
        let more = """
              - {id: last, secret: \(secret), grants: [token_exchange], scopes: ["orders:read"], exchange_audiences: [orders],
                 exchange_clients: [mask, actor]}
              - {id: actor, secret: \(secret), grants: [client_credentials], scopes: ["orders:read"]}
            """
        let scene = try await ExchangeScene.start(
            resources: ExchangeScene.resources.replacing("resources:\n", with: more + "\nresources:\n"))
        let test = scene.test
        let actor = await TestClient(id: "actor", secret: secret).token(test, [("grant_type", "client_credentials")])
        let hidden = await scene.exchange(await scene.exchange().text("access_token"), by: TestClient(id: "mask", secret: secret))
        let last = TestClient(id: "last", secret: secret)
        let answer = await scene.exchange(
            hidden.text("access_token"), by: last,
            [("actor_token", actor.text("access_token")), ("actor_token_type", ExchangeScene.accessToken)])
        #expect(answer.status == 200, "\(answer.text("error_description"))")
        let token = answer.text("access_token")
        let pairs = try answer.claims()["via"]?.array?.compactMap { $0.array?.first?.string }
        #expect(pairs == ["mask", "api", "web", "actor"])
        func isServed() async -> [Bool] {
            [
                await test.isValid(token), await test.isActive(token),
                test.gateway("GET", "/orders", headers: test.bearer(token)) == "forward",
                await scene.exchange(token, by: last).status == 200,
            ]
        }
        #expect(await isServed() == [true, true, true, true])
        let change = Array(#"{"disabled":true}"#.utf8)
        #expect(await test.send("PATCH", "/admin/clients/\(ended)", change, to: .control).status == 204)
        // One that had nothing to do with it changes nothing.
        let isSpared = ended == "alien"
        #expect(await isServed() == [isSpared, isSpared, isSpared, isSpared])
        // Enabled again, it begins anew.
        let back = Array(#"{"disabled":false}"#.utf8)
        #expect(await test.send("PATCH", "/admin/clients/\(ended)", back, to: .control).status == 204)
        #expect(await test.isValid(token) == isSpared)
    }

    @Test("a token whose way cannot be read is none")
    func unreadable() async throws {
        let scene = try await ExchangeScene.start()
        let rows: [JSONValue] = [
            .string("api"), .array([.string("api")]), .array([.array([.string("api")])]), .array([.array([.string("api"), .string("1")])]),
            .array([.array([.string("api"), .number(JSONNumber(-1))])]), .array([.array([.string(""), .number(JSONNumber(1))])]),
            .array([JSONValue](repeating: .array([.string("api"), .number(JSONNumber(1))]), count: 17)),
        ]
        for value in rows {
            #expect(await !scene.test.isValid(try await scene.forged { $0["via"] = value }), "\(value)")
        }
        let most = JSONValue.array((0..<16).map { .array([.string("client \($0)"), .number(JSONNumber(1))]) })
        let token = try await scene.forged { $0["via"] = most }
        #expect(await scene.test.isValid(token))
        // There is no place for one more.
        let answer = await scene.exchange(token)
        #expect(answer.status == 400 && answer.error == "invalid_request")
    }

    @Test("a client's own token becomes a narrower one of its own, and of nobody else: nothing but that client could end it")
    func clientsOwn() async throws {
        let scene = try await ExchangeScene.start()
        let own = await ExchangeScene.api.token(scene.test, [("grant_type", "client_credentials")]).text("access_token")
        let narrow = await scene.exchange(own, [("scope", "reports:read")])
        #expect(narrow.status == 200)
        #expect(try narrow.claims()["sub"]?.string == "api")
        #expect(try narrow.claims()["gid"] == nil)
        #expect(await scene.exchange(own, by: ExchangeScene.back).error == "invalid_request")
        _ = await scene.test.send("PATCH", "/admin/clients/api", Array(#"{"disabled":true}"#.utf8), to: .control)
        #expect(await !scene.test.isValid(narrow.text("access_token")))
    }

    @Test("a pairwise subject stays what it was, so that what ends the account's tokens ends this one")
    func pairwise() async throws {
        let resources = ExchangeScene.resources.replacing("client_name: The Web <Shop>", with: "subject_type: pairwise")
        let scene = try await ExchangeScene.start(resources: resources)
        let passed = await scene.exchange()
        #expect(try passed.claims()["sub"] == scene.subject.claims()["sub"])
        let account = try await scene.test.account("bob")
        #expect(try passed.claims()["sub"]?.string != account?.id.text)
        _ = await scene.test.send("PATCH", "/admin/users/bob", Array(#"{"roles":[]}"#.utf8), to: .control)
        #expect(await !scene.test.isValid(passed.text("access_token")))
    }

    @Test("a client that knows people by pairwise subjects gets the subject of the token that it exchanged")
    func pairwiseClient() async throws {
        let resources = ExchangeScene.resources.replacing(
            "exchange_clients: [web]}",
            with: "exchange_clients: [web, gatehouse], subject_type: pairwise, sector_identifier_uri: 'https://api.example/s'}")
        let scene = try await ExchangeScene.start(resources: resources)
        let login = await scene.test.login("bob", more: #","scope":"orders:read""#)
        let passed = await scene.exchange(login.text("access_token"))
        #expect(passed.status == 200)
        #expect(try passed.claims()["sub"] == login.claims()["sub"])
        _ = await scene.test.send("PATCH", "/admin/users/bob", Array(#"{"roles":[]}"#.utf8), to: .control)
        #expect(await !scene.test.isValid(passed.text("access_token")))
    }

    @Test("a bound token is exchanged without its key, and the new one is bound to the key that the client proves")
    func bound() async throws {
        let scene = try await ExchangeScene.start()
        let (app, api) = (try ProvingClient(), try ProvingClient())
        let token = try await app.bound(scene.subject, in: scene.test)
        let bearer = await scene.exchange(token)
        #expect(bearer.status == 200 && bearer.text("token_type") == "Bearer")
        #expect(try bearer.claims()["cnf"] == nil)
        let now = scene.test.clock.now
        let nonce = scene.test.node.oauth.sender.nonce(at: now)
        let proof = try api.proof("POST", "http://localhost:8080/token", token: "", nonce: nonce, id: "a", at: now)
        let bound = await scene.exchange(token, headers: [("dpop", proof)])
        #expect(bound.text("token_type") == "DPoP")
        #expect(try bound.claims()["cnf"]?.object?["jkt"]?.string == api.jkt)
    }

    @Test("metadata names the grant (RFC 8414 §2)")
    func metadata() async throws {
        let scene = try await ExchangeScene.start()
        let metadata = await scene.test.send("GET", "/.well-known/oauth-authorization-server", headers: []).json
        #expect(metadata["grant_types_supported"]?.strings?.contains(ExchangeScene.grant) == true)
    }
}
