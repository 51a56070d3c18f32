import AuthCore
import OAuthServer
import Testing
import TokenKeys

@testable import gatehouse

@Suite("RFC 6749 §4.1 authorization code, with RFC 7636 and OpenID Connect Core §3.1")
struct CodeFlowTests {
    /// Signs alice in and agrees; the code.
    private func code(_ test: TestNode, _ client: TestClient = TestClient(), _ more: [(String, String)] = []) async throws -> String {
        let browser = TestBrowser(test)
        var seen = await browser.get(client.request(more))
        #expect(seen.title == "Sign in")
        seen = await browser.signIn(seen)
        if seen.title == "Allow access" { seen = await browser.submit(seen, [("answer", "allow")]) }
        return try #require(try seen.parameters()["code"])
    }

    @Test("sign in, agree, redeem: an access token, an ID token, a refresh token; state and iss come back")
    func whole() async throws {
        let test = try await TestNode.oauth()
        let browser = TestBrowser(test)
        let client = TestClient()
        let first = await browser.get(client.request())
        #expect(first.status == 200)
        #expect(first.html.contains("The Web &lt;Shop&gt;"))
        let consent = await browser.signIn(first)
        #expect(consent.title == "Allow access")
        #expect(consent.html.contains("orders:read"))
        let back = await browser.submit(consent, [("answer", "allow")])
        #expect(back.status == 303)
        #expect(back.location?.hasPrefix("http://127.0.0.1:9000/callback?code=") == true)
        let parameters = try back.parameters()
        #expect(parameters["state"] == "s t/+")
        #expect(parameters["iss"] == "http://localhost:8080")
        let tokens = await client.exchange(try #require(parameters["code"]), test)
        #expect(tokens.status == 200, "\(tokens.error ?? "")")
        #expect(tokens.text("token_type") == "Bearer")
        #expect(await test.isValid(tokens.text("access_token")))
        let refreshed = await client.token(test, [("grant_type", "refresh_token"), ("refresh_token", tokens.text("refresh_token"))])
        #expect(refreshed.status == 200, "\(refreshed.error ?? "")")
        #expect(await test.isValid(refreshed.text("access_token")))
    }

    @Test("a code that is used twice is refused, and what was bought with it is revoked (§4.1.2, TK-10)")
    func replay() async throws {
        let test = try await TestNode.oauth()
        let client = TestClient()
        let code = try await code(test)
        let tokens = await client.exchange(code, test)
        let again = await client.exchange(code, test)
        #expect(again.status == 400)
        #expect(again.error == "invalid_grant")
        #expect(await test.validate(tokens.text("access_token")).text("reason") == "revoked")
        let refresh = await client.token(test, [("grant_type", "refresh_token"), ("refresh_token", tokens.text("refresh_token"))])
        #expect(refresh.error == "invalid_grant")
    }

    @Test("a wrong verifier, redirect URI or client gets nothing and harms nobody (§4.1.3, RFC 7636 §4.6)")
    func wrong() async throws {
        let test = try await TestNode.oauth()
        let client = TestClient()
        let code = try await code(test)
        let other = "eBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        for more in [[("code_verifier", other)], [("code_verifier", "")], [("redirect_uri", "http://127.0.0.1:9000/other")]] {
            let answer = await client.exchange(code, test, more)
            #expect(answer.status == 400)
            #expect(answer.error == "invalid_grant")
        }
        let thief = TestClient(id: "shop", secret: "0123456789abcdef0123456789abcdef")
        #expect(await thief.exchange(code, test).error == "invalid_grant")
        #expect(await client.exchange(code, test).status == 200)
    }

    @Test("of 64 racing exchanges one succeeds, and then all is revoked (TK-11)")
    func race() async throws {
        let test = try await TestNode.oauth()
        let client = TestClient()
        let code = try await code(test)
        let answers = await withTaskGroup(of: Answer.self) { group in
            for _ in 0..<64 { group.addTask { await client.exchange(code, test) } }
            return await group.reduce(into: [Answer]()) { $0.append($1) }
        }
        let bought = answers.filter { $0.status == 200 }
        #expect(bought.count == 1)
        #expect(await test.validate(bought.first?.text("access_token") ?? "").text("reason") == "revoked")
    }

    @Test("a code lasts 60 seconds (AZ-15)")
    func expiry() async throws {
        let test = try await TestNode.oauth()
        let code = try await code(test)
        try await test.advance(.seconds(61))
        #expect(await TestClient().exchange(code, test).error == "invalid_grant")
    }

    @Test("a sign-in is remembered: the second client's request asks for nothing but consent; a first-party client for nothing at all")
    func singleSignOn() async throws {
        let test = try await TestNode.oauth()
        let browser = TestBrowser(test)
        let web = TestClient()
        let consent = await browser.signIn(await browser.get(web.request()))
        _ = await browser.submit(consent, [("answer", "allow")])
        #expect(try await browser.get(web.request()).parameters()["code"] != nil)
        let more = await browser.get(web.request([("scope", "openid orders:read orders:write")]))
        #expect(more.title == "Allow access")
        let shop = TestClient(id: "shop", secret: "0123456789abcdef0123456789abcdef", redirectURI: "https://shop.example.com/cb")
        #expect(try await browser.get(shop.request()).parameters()["code"] != nil)
    }

    @Test("§3.1, AZ-08: with a form of another site no cookie comes; who is signed in is so with the GET that follows")
    func crossSitePost() async throws {
        let test = try await TestNode.oauth()
        let (browser, shop) = (TestBrowser(test), TestClient(id: "shop", secret: "x", redirectURI: "https://shop.example.com/cb"))
        _ = await browser.signIn(await browser.get(shop.request()))
        func post(_ more: [(String, String)]) async -> Answer {
            await test.send(
                "POST", "/authorize", Array(shop.request(more).split(separator: "?")[1].utf8),
                headers: [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "cross-site")])
        }
        let answer = await post([("prompt", "none")])
        #expect(answer.status == 303 && answer.header("set-cookie") == nil)
        let next = try #require(answer.header("location"))
        #expect(next.hasPrefix("/authorize/resume?"))
        #expect(try await browser.get(next).parameters()["code"] != nil)
        // Somebody else's browser is asked to sign in.
        #expect(try await TestBrowser(test).get(next).parameters()["error"] == "login_required")
        // What is wrong with the request is told as ever.
        let wrong = try #require(await post([("scope", "nothing")]).header("location"))
        #expect(try await browser.get(wrong).parameters()["error"] == "invalid_scope")
        #expect(await post([("request", "x")]).header("location")?.contains("error=request_not_supported") == true)
        #expect(await browser.get(await post([("client_id", "nobody")]).header("location") ?? "").status == 400)
    }

    @Test("while the key of ID tokens is not made yet the answer is 503, and neither code nor refresh token is used up")
    func keysToCome() async throws {
        // RSA keys are made after the start.
        let test = try await TestNode.start(resources: TestNode.oauthResources)
        let (browser, web) = (TestBrowser(test), TestClient())
        let page = await browser.signIn(await browser.get(web.request()))
        let code = try #require(try await browser.submit(page, [("answer", "allow")]).parameters()["code"])
        for _ in 0..<2 {
            let early = await web.exchange(code, test)
            #expect(early.status == 503 && early.header("retry-after") != nil)
        }
        try await test.node.keys.maintain()
        let tokens = await web.exchange(code, test)
        #expect(tokens.status == 200 && !tokens.text("id_token").isEmpty)
    }

    @Test("whoever does not agree, or does not sign in, sends the client access_denied (AZ-36)")
    func denied() async throws {
        let test = try await TestNode.oauth()
        let browser = TestBrowser(test)
        let first = await browser.get(TestClient().request())
        #expect(try await browser.submit(first, [("cancel", "1")]).parameters()["error"] == "access_denied")
        let consent = await browser.signIn(first)
        let back = try await browser.submit(consent, [("answer", "deny")]).parameters()
        #expect(back["error"] == "access_denied")
        #expect(back["state"] == "s t/+")
        #expect(back["iss"] == "http://localhost:8080")
    }

    @Test("a client or a redirect URI that is not known gets a page and no redirect (§4.1.2.1)")
    func unproved() async throws {
        let test = try await TestNode.oauth()
        let requests = [
            TestClient(id: "nobody").request(), TestClient().request([("redirect_uri", "http://127.0.0.1:9000/callback/")]),
            TestClient().request([("redirect_uri", "https://evil.example.com/")]), TestClient().request([("redirect_uri", "")]),
            TestClient(id: "billing").request(), TestClient().request([("client_id", "")]), TestClient().request() + "&client_id=web",
        ]
        for target in requests {
            let seen = await TestBrowser(test).get(target)
            #expect(seen.status == 400, "\(target)")
            #expect(seen.location == nil)
            #expect(seen.title == "This did not work")
        }
    }

    @Test(
        "everything else that is wrong goes back to the client, with state and iss (AZ-04)",
        arguments: [
            ([("response_type", "token")], "unsupported_response_type"), ([("response_type", "")], "invalid_request"),
            ([("code_challenge", ""), ("code_challenge_method", "")], "invalid_request"),
            ([("code_challenge_method", "plain")], "invalid_request"),
            ([("code_challenge_method", "")], "invalid_request"), ([("code_challenge", "short")], "invalid_request"),
            ([("scope", "orders:read nothing")], "invalid_scope"), ([("resource", "nowhere")], "invalid_target"),
            ([("prompt", "none login")], "invalid_request"), ([("prompt", "none create")], "invalid_request"),
            ([("prompt", "none")], "login_required"),
            ([("max_age", "x")], "invalid_request"),
            ([("request", "e30.e30.")], "request_not_supported"), ([("registration", "{}")], "registration_not_supported"),
            ([("claims", "[]")], "invalid_request"), ([("response_mode", "fragment")], "invalid_request"),
        ])
    func refused(_ more: [(String, String)], _ error: String) async throws {
        let test = try await TestNode.oauth()
        let back = await TestBrowser(test).get(TestClient().request(more))
        let parameters = try back.parameters()
        #expect(parameters["error"] == error)
        #expect(parameters["state"] == "s t/+")
        #expect(parameters["iss"] == "http://localhost:8080")
        #expect(parameters["error_description"].map(Answer.isDescription) == true, "\(parameters["error_description"] ?? "none")")
    }

    @Test("a form of another browser, without its token, from another site or of another way is refused (CK-05, CK-06)")
    func forgery() async throws {
        let test = try await TestNode.oauth()
        let (browser, other) = (TestBrowser(test), TestBrowser(test))
        let page = await browser.get(TestClient().request())
        _ = await other.get(TestClient().request())
        let credentials = [("username", "alice"), ("password", TestNode.password)]
        let attempts = [
            await other.submit(page, credentials), await browser.submit(page, credentials, without: ["form"]),
            await browser.submit(page, credentials, headers: [("sec-fetch-site", "cross-site")]),
            await browser.submit(page, credentials + [("interaction", "AAAA")]), await TestBrowser(test).submit(page, credentials),
        ]
        for seen in attempts {
            #expect(seen.status == 400)
            #expect(seen.title == "This did not work")
        }
        #expect(await browser.submit(page, credentials).title == "Allow access")
    }
}
