import AuthCore
import OAuthServer
import Store
import StoreSQL
import Testing

@testable import gatehouse

@Suite("RFC 9126 pushed authorization requests")
struct PushedRequestTests {
    private func form(_ client: TestClient, _ more: [(String, String)] = []) throws -> [(String, String)] {
        let query = client.request(more).split(separator: "?")[1]
        return try FormParameters(Array(query.utf8)).members.map { ($0.name, $0.value) }
    }

    private func target(_ answer: Answer, _ id: String = "web", _ more: [(name: String, value: String)] = []) -> String {
        let members = [(name: "client_id", value: id), (name: "request_uri", value: answer.text("request_uri"))] + more
        return "/authorize?" + FormParameters(members).encoded
    }

    @Test("§2.2, PA-04, PA-05: 201 with a request_uri of 128 random bits and more, its seconds, and no cache")
    func pushed() async throws {
        let test = try await TestNode.oauth()
        let answer = await TestClient().post(test, "/par", try form(TestClient()))
        #expect(answer.status == 201)
        #expect(answer.header("cache-control") == "no-store")
        let seconds = try #require(answer.json["expires_in"]?.int)
        #expect((5...600).contains(seconds))
        let prefix = "urn:ietf:params:oauth:request_uri:"
        #expect(answer.text("request_uri").hasPrefix(prefix))
        #expect(try #require(Base64URL.decode(String(answer.text("request_uri").dropFirst(prefix.count)))).count >= 16)
        let browser = TestBrowser(test)
        let consent = await browser.signIn(await browser.get(target(answer)))
        let back = try await browser.submit(consent, [("answer", "allow")]).parameters()
        #expect(back["state"] == "s t/+")
        #expect(await TestClient().exchange(try #require(back["code"]), test).status == 200)
    }

    @Test("§2.1, PA-01: the client proves itself as at the token endpoint")
    func proof() async throws {
        let test = try await TestNode.oauth()
        let shop = TestClient(id: "shop", secret: "0123456789abcdef0123456789abcdef", redirectURI: "https://shop.example.com/cb")
        var stranger = shop
        stranger.secret = nil
        #expect(await shop.post(test, "/par", try form(shop)).status == 201)
        for client in [stranger, TestClient(id: "shop", secret: "no", redirectURI: shop.redirectURI), TestClient(id: "nobody")] {
            let answer = await client.post(test, "/par", try form(client))
            #expect(answer.status == 401)
            #expect(answer.error == "invalid_client")
        }
        // It has no authorization requests to push.
        let billing = TestClient(id: "billing", secret: "fedcba9876543210fedcba9876543210")
        #expect(await billing.post(test, "/par", try form(billing)).error == "unauthorized_client")
    }

    @Test(
        "§2.1, §2.3, PA-02, PA-11: what /authorize would refuse is refused at once, and so is a request_uri",
        arguments: [
            ([("redirect_uri", "https://evil.example/")], "invalid_request"), ([("redirect_uri", "")], "invalid_request"),
            ([("request_uri", "urn:ietf:params:oauth:request_uri:x")], "invalid_request"), ([("code_challenge", "")], "invalid_request"),
            ([("response_type", "token")], "unsupported_response_type"), ([("scope", "nothing")], "invalid_scope"),
            ([("resource", "nowhere")], "invalid_target"), ([("max_age", "x")], "invalid_request"),
        ])
    func refused(_ more: [(String, String)], _ error: String) async throws {
        let test = try await TestNode.oauth()
        let answer = await TestClient().post(test, "/par", try form(TestClient(), more))
        #expect(answer.status == 400)
        #expect(answer.error == error)
    }

    @Test("§4, PA-08, PA-09: it is its client's, and what stands beside it counts for nothing")
    func bound() async throws {
        let test = try await TestNode.oauth()
        let answer = await TestClient().post(test, "/par", try form(TestClient()))
        #expect(await TestBrowser(test).get(target(answer, "shop")).status == 400)
        #expect(await TestBrowser(test).get(target(answer, "web", [("request_uri", "x")])).status == 400)
        let browser = TestBrowser(test)
        let more: [(name: String, value: String)] = [
            ("scope", "openid orders:write"), ("redirect_uri", "https://evil.example/"), ("state", "other"), ("response_type", "token"),
        ]
        let consent = await browser.signIn(await browser.get(target(answer, "web", more)))
        #expect(!consent.html.contains("orders:write"))
        let back = await browser.submit(consent, [("answer", "allow")])
        #expect(back.location?.hasPrefix("http://127.0.0.1:9000/callback?") == true)
        #expect(try back.parameters()["state"] == "s t/+")
    }

    @Test("§2.2, PA-06: it ends when it said it would; one that never was is refused in the same words")
    func expired() async throws {
        let test = try await TestNode.oauth()
        let answer = await TestClient().post(test, "/par", try form(TestClient()))
        try await test.advance(.seconds(299))
        let slow = TestBrowser(test)
        let page = await slow.get(target(answer))
        #expect(page.title == "Sign in")
        try await test.advance(.seconds(2))
        func told(_ uri: String) async -> String {
            let seen = await TestBrowser(test).get("/authorize?client_id=web&request_uri=\(uri)")
            #expect(seen.status == 400)
            return String(seen.html.split(separator: "<p class=\"fine\">")[0])
        }
        // Who came in time may take the time that a way may take.
        let back = await slow.signIn(page)
        #expect(back.title == "Allow access")
        try await test.advance(.seconds(1_200))
        #expect(try await slow.submit(back, [("answer", "allow")]).parameters()["code"] != nil)
        let late = await told(answer.text("request_uri"))
        #expect(await told("urn:ietf:params:oauth:request_uri:AAAA") == late)
    }

    @Test("§2.3, PA-03: only POST")
    func method() async throws {
        let test = try await TestNode.oauth()
        for method in ["GET", "PUT", "DELETE", "PATCH"] { #expect(await test.send(method, "/par").status == 405) }
    }

    @Test("§5, PA-10: a client that must push is refused without, and served with")
    func needed() async throws {
        let resources = TestNode.oauthResources.replacing(
            "client_name: The Web <Shop>", with: "require_pushed_authorization_requests: true")
        let test = try await TestNode.start(resources: resources)
        #expect(try await TestBrowser(test).get(TestClient().request()).parameters()["error"] == "invalid_request")
        let answer = await TestClient().post(test, "/par", try form(TestClient()))
        #expect(await TestBrowser(test).get(target(answer)).title == "Sign in")
    }
}

@Suite("RFC 7662 introspection and RFC 7009 revocation")
struct TokenAnswerTests {
    private static let billing = TestClient(id: "billing", secret: "fedcba9876543210fedcba9876543210")

    @Test("RFC 7662 §2.1, §4, TK-37: a caller proves itself, and is told of its own tokens and those of what it serves")
    func callers() async throws {
        let test = try await TestNode.oauth()
        let token = await Self.billing.token(test, [("grant_type", "client_credentials"), ("scope", "orders:read")]).text("access_token")
        let reports = await Self.billing.token(test, [("grant_type", "client_credentials"), ("scope", "reports:read")]).text("access_token")
        #expect(await test.isActive(token, for: Self.billing))
        #expect(await test.isActive(token))
        #expect(await !test.isActive(reports))
        let shop = TestClient(id: "shop", secret: "0123456789abcdef0123456789abcdef")
        #expect(await !test.isActive(token, for: shop))
        for stranger in [TestClient(), TestClient(id: "orders-api"), TestClient(id: "orders-api", secret: "no"), TestClient(id: "")] {
            let answer = await stranger.post(test, "/introspect", [("token", token)])
            #expect(answer.status == 401)
            #expect(answer.error == "invalid_client")
        }
        #expect(await Self.billing.post(test, "/introspect", []).error == "invalid_request")
    }

    @Test("RFC 7662 §2.2: an active token's own claims; TK-38: of any other exactly {\"active\":false}")
    func members() async throws {
        let test = try await TestNode.oauth()
        let issued = await Self.billing.token(test, [("grant_type", "client_credentials"), ("scope", "orders:read")])
        let token = issued.text("access_token")
        let answer = await TestClient.ordersAPI.post(test, "/introspect", [("token", token), ("token_type_hint", "refresh_token")]).json
        let claims = try issued.claims()
        #expect(answer["active"]?.bool == true)
        #expect(answer["token_type"]?.string == "Bearer")
        for name in ["iss", "sub", "aud", "client_id", "exp", "iat", "jti", "scope"] { #expect(answer[name] == claims[name], "\(name)") }
        _ = await Self.billing.post(test, "/revoke", [("token", token)])
        for other in [token, "x", "ghr_x", token.replacing(".", with: "A")] {
            let dead = await TestClient.ordersAPI.post(test, "/introspect", [("token", other)])
            #expect(dead.status == 200)
            #expect(String(decoding: dead.body, as: UTF8.self) == #"{"active":false}"#)
        }
    }

    @Test("RFC 7009 §2.1, §2.2, TK-35: its own token ends, another's is left alone, and all are answered alike")
    func revoked() async throws {
        let test = try await TestNode.oauth()
        let web = TestClient()
        let tokens = await web.exchange(try await test.authorized().code, test)
        let (access, refresh) = (tokens.text("access_token"), tokens.text("refresh_token"))
        let shop = TestClient(id: "shop", secret: "0123456789abcdef0123456789abcdef")
        for (client, token) in [(shop, access), (shop, refresh), (web, "x"), (web, "ghr_x"), (web, access + "x")] {
            let answer = await client.post(test, "/revoke", [("token", token), ("token_type_hint", "nonsense")])
            #expect(answer.status == 200)
            #expect(answer.body.isEmpty)
        }
        #expect(await test.isValid(access))
        #expect(await web.post(test, "/revoke", [("token", access)]).status == 200)
        #expect(await !test.isValid(access))
        let next = await web.refresh(refresh, test)
        #expect(next.status == 200)
        // §2.1: and with the refresh token everything that came from it.
        #expect(await web.post(test, "/revoke", [("token", next.text("refresh_token"))]).status == 200)
        #expect(await !test.isValid(next.text("access_token")))
        #expect(await web.refresh(next.text("refresh_token"), test).error == "invalid_grant")
        #expect(await TestClient(id: "shop", secret: "no").post(test, "/revoke", [("token", access)]).status == 401)
    }

    @Test("TK-36: a revocation that could not be written is not answered as done")
    func durable() async throws {
        let test = try await TestNode.oauth()
        let tokens = await TestClient().exchange(try await test.authorized().code, test)
        for name in ["access_token", "refresh_token"] {
            test.node.database.setFault { text throws(StoreError) in
                let isReading = text.uppercased().hasPrefix("SELECT")
                if !isReading { throw StoreError.unavailable("disk full") }
            }
            let refused = await TestClient().post(test, "/revoke", [("token", tokens.text(name))])
            #expect(refused.status == 503)
            #expect(refused.header("retry-after") != nil)
            test.node.database.setFault(nil)
            #expect(await test.isValid(tokens.text("access_token")))
        }
    }

    @Test("RFC 6749 §4.4, TK-07, TK-26: a client's own token names it as subject and has no refresh token; public clients get none")
    func clientCredentials() async throws {
        let test = try await TestNode.oauth()
        let issued = await Self.billing.token(test, [("grant_type", "client_credentials")])
        #expect(issued.status == 200)
        #expect(issued.json["refresh_token"] == nil)
        #expect(issued.json["id_token"] == nil)
        let claims = try issued.claims()
        #expect(claims["sub"]?.string == "billing")
        #expect(claims["sid"] == nil)
        #expect(await TestClient().token(test, [("grant_type", "client_credentials")]).error == "unauthorized_client")
        #expect(await Self.billing.token(test, [("grant_type", "client_credentials"), ("scope", "openid")]).error == "invalid_scope")
        #expect(await Self.billing.token(test, [("grant_type", "nonsense")]).error == "unsupported_grant_type")
        #expect(await Self.billing.token(test, []).error == "invalid_request")
        let code = await Self.billing.token(test, [("grant_type", "authorization_code"), ("code", "x")])
        #expect(code.error == "unauthorized_client")
    }

    @Test("RFC 8707 §2, §2.2: `resource` narrows the audience; one that was not granted is invalid_target")
    func resources() async throws {
        let test = try await TestNode.oauth()
        let both = await Self.billing.token(test, [("grant_type", "client_credentials")])
        #expect(try both.claims()["aud"]?.strings?.sorted() == ["orders", "reports"])
        let one = await Self.billing.token(test, [("grant_type", "client_credentials"), ("resource", "orders")])
        #expect(try one.claims()["aud"]?.string == "orders")
        #expect(one.text("scope") == "orders:read")
        for resource in ["nowhere", "gatehouse"] {
            let refused = await Self.billing.token(test, [("grant_type", "client_credentials"), ("resource", resource)])
            #expect(refused.error == "invalid_target", "\(resource)")
        }
        let tokens = await TestClient().exchange(try await test.authorized().code, test)
        let wider = await TestClient().token(
            test, [("grant_type", "refresh_token"), ("refresh_token", tokens.text("refresh_token")), ("resource", "reports")])
        #expect(wider.error == "invalid_target")
        let more = await TestClient().token(
            test, [("grant_type", "refresh_token"), ("refresh_token", tokens.text("refresh_token")), ("scope", "openid orders:write")])
        #expect(more.error == "invalid_scope")
        #expect(await TestClient().refresh(tokens.text("refresh_token"), test).status == 200)
    }
}
