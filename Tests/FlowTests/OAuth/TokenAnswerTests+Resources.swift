import AuthCore
import OAuthServer
import Testing

@testable import gatehouse

// What a token is for, how its client proves itself, and what introspection says of it.
extension TokenAnswerTests {
    private static let billing = TestClient(id: "billing", secret: "fedcba9876543210fedcba9876543210")

    @Test("RFC 6749 §2.3: two ways of proving a client in one request, or two names of it, are refused at each endpoint")
    func twoWays() async throws {
        let test = try await TestNode.devices()
        func basic(_ id: String, _ secret: String) -> [(String, String)] {
            [("authorization", "Basic " + Base64.encode(Array("\(id):\(secret)".utf8)))]
        }
        let secret = "0123456789abcdef0123456789abcdef"
        let forms = [
            ("/token", [("grant_type", "client_credentials")]), ("/introspect", [("token", "x")]), ("/revoke", [("token", "x")]),
            ("/par", [("response_type", "code")]), ("/device_authorization", [("scope", "orders:read")]),
        ]
        for (path, form) in forms {
            func ask(_ more: [(String, String)], _ headers: [(String, String)]) async -> Answer {
                await TestClient(id: "").post(test, path, form + more, headers: headers)
            }
            let isRefused = { (answer: Answer) in answer.status == 400 && answer.error == "invalid_request" }
            let good = basic("shop", secret)
            #expect(isRefused(await ask([("client_secret", secret)], good)), "\(path)")
            #expect(isRefused(await ask([("client_id", "shop"), ("client_secret", secret)], good)), "\(path)")
            #expect(isRefused(await ask([("client_id", "billing")], good)), "\(path)")
            #expect(
                isRefused(await ask([("client_assertion", "a.b.c"), ("client_assertion_type", TestNode.assertionType)], good)), "\(path)")
            #expect(isRefused(await ask([], good + good)), "\(path)")
            // One way, naming the client twice alike, is no fault: what is refused then is not the client.
            let once = await ask([("client_id", "shop")], good)
            #expect(once.status < 300 || (once.error != "invalid_client" && once.text("error_description") != ""), "\(path)")
            #expect(await ask([], basic("shop", "wrong")).status == 401, "\(path)")
        }
    }

    /// Tokens of bob, who has both resources, through a client that may ask for both.
    private static func both() async throws -> (test: TestNode, tokens: Answer) {
        let resources = TestNode.oauthResources.replacing(
            #"offline_access, "orders:read", "orders:write"]"#, with: #"offline_access, "orders:read", "orders:write", "reports:read"]"#)
        let test = try await TestNode.matrix(resources: resources)
        let code = try await test.authorized(TestClient(), "bob", [("scope", "openid orders:read reports:read")]).code
        return (test, await TestClient().exchange(code, test))
    }

    private static func audiences(_ answer: Answer) throws -> [String] {
        let audience = try answer.claims()["aud"]
        return (audience?.strings ?? audience?.string.map { [$0] } ?? []).sorted()
    }

    @Test("RFC 8707 §2.2: with resource a code, a refresh token and a device code buy a token for that one alone")
    func narrowed() async throws {
        let (test, tokens) = try await Self.both()
        let web = TestClient()
        #expect(try Self.audiences(tokens) == ["orders", "reports"])
        var token = tokens.text("refresh_token")
        for (resource, audiences, scope) in [
            ("orders", ["orders"], "orders:read"), ("reports", ["reports"], "reports:read"),
            ("", ["orders", "reports"], "orders:read reports:read"),
        ] {
            let answer = await web.token(test, [("grant_type", "refresh_token"), ("refresh_token", token), ("resource", resource)])
            #expect(answer.status == 200, "\(resource): \(answer.text("error_description"))")
            #expect(try Self.audiences(answer) == audiences)
            let scopes = answer.text("scope").split(separator: " ").filter { $0 != "openid" }.sorted()
            #expect(scopes == scope.split(separator: " "), "\(answer.text("scope"))")
            token = answer.text("refresh_token")
        }
        // At the code; what is left out there is not given up (§2.2).
        let browser = try await test.authorized(web, "bob").browser
        let seen = await browser.get(web.request([("scope", "openid orders:read reports:read")]))
        let one = await web.exchange(try #require(seen.told["code"]), test, [("resource", "reports")])
        #expect(try Self.audiences(one) == ["reports"])
        let other = await web.token(
            test, [("grant_type", "refresh_token"), ("refresh_token", one.text("refresh_token")), ("resource", "orders")])
        #expect(try Self.audiences(other) == ["orders"])
        // What the request itself named is all that there is.
        let named = await browser.get(web.request([("scope", "openid orders:read reports:read"), ("resource", "orders")]))
        let less = await web.exchange(try #require(named.told["code"]), test)
        #expect(try Self.audiences(less) == ["orders"])
        #expect(await test.isActive(less.text("access_token")))
        #expect(try less.claims()["scope"]?.string?.contains("reports:read") == false)
    }

    @Test("RFC 8707 §2.2: the same of a device")
    func narrowedDevice() async throws {
        let resources = TestNode.deviceResources.replacing(
            #"offline_access, "orders:read", "orders:write"]"#, with: #"offline_access, "orders:read", "orders:write", "reports:read"]"#)
        let test = try await TestNode.matrix(resources: resources)
        for (resource, audiences) in [("orders", ["orders"]), ("reports", ["reports"]), ("", ["orders", "reports"])] {
            let begun = try await TestClient.tv.begin(test, [("scope", "openid orders:read reports:read")])
            try await TestBrowser(test).allow(begun, "bob")
            let answer = await TestClient.tv.poll(begun, test, [("resource", resource)])
            #expect(answer.status == 200, "\(resource): \(answer.text("error_description"))")
            #expect(try Self.audiences(answer) == audiences)
        }
    }

    @Test("RFC 7662 §2.1, §2.2: a refresh token of the caller is active until it ends, and of nobody else's")
    func refreshToken() async throws {
        let test = try await TestNode.oauth()
        let shop = TestClient.shop
        let browser = TestBrowser(test)
        let code = try #require(try await browser.signIn(await browser.get(shop.request())).parameters()["code"])
        let tokens = await shop.exchange(code, test)
        let token = tokens.text("refresh_token")
        #expect(token.hasPrefix("ghr_"))
        for hint in ["", "refresh_token", "access_token"] {
            let told = await shop.post(test, "/introspect", [("token", token), ("token_type_hint", hint)]).json
            #expect(told["active"]?.bool == true && told["client_id"]?.string == "shop", "\(hint)")
            #expect(told["scope"]?.string == tokens.text("scope"))
            #expect((told["exp"]?.int ?? 0) > test.clock.now.seconds)
        }
        for caller in [TestClient.ordersAPI, Self.billing] {
            let told = await caller.post(test, "/introspect", [("token", token)])
            #expect(String(decoding: told.body, as: UTF8.self) == #"{"active":false}"#, "\(caller.id)")
        }
        #expect(await shop.post(test, "/revoke", [("token", token)]).status == 200)
        let dead = await shop.post(test, "/introspect", [("token", token)])
        #expect(String(decoding: dead.body, as: UTF8.self) == #"{"active":false}"#)
    }

    @Test(
        "RFC 9701 §5, §6: an introspection answer has iat, and the algorithm that its caller registered", arguments: ["", "ES256", "EdDSA"])
    func introspectionAlgorithm(_ algorithm: String) async throws {
        let client = algorithm.isEmpty ? "" : ", introspection_signed_response_alg: \(algorithm)"
        let test = try await TestNode.matrix(
            resources: TestNode.oauthResources.replacing("serves: [orders]", with: "serves: [orders]\(client)"))
        let token = await Self.billing.token(test, [("grant_type", "client_credentials"), ("scope", "orders:read")]).text("access_token")
        for (asked, isActive) in [(token, true), ("x", false)] {
            let answer = await TestClient.ordersAPI.post(
                test, "/introspect", [("token", asked)], headers: [("accept", "application/token-introspection+jwt")])
            #expect(answer.header("content-type") == "application/token-introspection+jwt")
            let text = String(decoding: answer.body, as: UTF8.self)
            let header = try JSONReader.read(Base64URL.decode(String(text.prefix { $0 != "." })) ?? []).object
            #expect(header?["alg"]?.string == (algorithm.isEmpty ? "RS256" : algorithm))
            let claims = try await test.verified(text, for: "orders-api", type: "token-introspection+jwt")
            #expect(claims["iat"]?.int == test.clock.now.seconds)
            #expect(claims["token_introspection"]?.object?["active"]?.bool == isActive)
        }
    }
}
