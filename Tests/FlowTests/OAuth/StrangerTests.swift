import AuthCore
import OAuthServer
import Testing

@testable import gatehouse

/// What clients that nobody has checked may say, and what they get people to see.
@Suite("RFC 7591 §5, RFC 8252, RFC 9700 §4.11.2: clients that came by themselves", .timeLimit(.minutes(1)))
struct StrangerTests {
    private static let id = ClientDocumentTests.id

    private static func document(_ documents: Documents) async throws -> TestNode {
        try await TestNode.registering("open", ["--registration.documents", "true"], calls: documents)
    }

    // MARK: Documents

    @Test("CIMD §5.2: a faulty document is not kept, nor is the good one before it: corrected, it counts after thirty seconds")
    func faultyDocument() async throws {
        let client = TestClient(id: Self.id, redirectURI: "https://app.example/cb")
        for faulty in [ClientDocumentTests.document("https://app.example/other"), "[]", "no JSON", #"{"client_id":"\#(Self.id)"}"#] {
            let documents = Documents([Self.id: ClientDocumentTests.document()])
            let test = try await StrangerTests.document(documents)
            #expect(await TestBrowser(test).get(client.request()).title == "Sign in")
            documents.put(Self.id, faulty)
            try await test.advance(.seconds(301))
            #expect(await TestBrowser(test).get(client.request()).status == 400, "\(faulty)")
            documents.fail(.timedOut)
            try await test.advance(.seconds(31))
            #expect(await TestBrowser(test).get(client.request()).status == 400, "the good one before it has gone: \(faulty)")
            documents.fail(nil)
            documents.put(Self.id, ClientDocumentTests.document())
            try await test.advance(.seconds(31))
            #expect(await TestBrowser(test).get(client.request()).title == "Sign in", "\(faulty)")
        }
    }

    // MARK: Addresses

    @Test("CIMD §8.6: the URL of a document, and the addresses of clients that came by themselves, are fetched as a stranger's")
    func fetchedAsStrangers() async throws {
        let (keys, sector) = ("https://client.example/keys", "https://client.example/s")
        let requestURI = "https://client.example/r"
        let documents = Documents([Self.id: ClientDocumentTests.document(), sector: #"["https://client.example/cb"]"#])
        let test = try await StrangerTests.document(documents)
        _ = await TestBrowser(test).get(TestClient(id: Self.id, redirectURI: "https://app.example/cb").request())
        let registered = await test.register(
            #"{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"\#(keys)","#
                + #""subject_type":"pairwise","sector_identifier_uri":"\#(sector)","request_uris":["\#(requestURI)"]}"#)
        #expect(registered.status == 201)
        let id = registered.text("client_id")
        let claims = JSONObject([
            ("iss", .string(id)), ("sub", .string(id)), ("aud", .string("http://localhost:8080")), ("jti", .string("1")),
            ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
        ])
        _ = await test.asserted(try ProvingClient().signed(claims), [("grant_type", "authorization_code"), ("code", "x")])
        _ = await TestBrowser(test).get(
            TestClient(id: id, redirectURI: "https://client.example/cb").request([("request_uri", requestURI)]))
        #expect(documents.strangers == [Self.id, sector, keys, requestURI])
        #expect(documents.asked == documents.strangers)
    }

    @Test("CIMD §8.6: a logout is posted to a client that registered itself as to a stranger, and to one of the operator as before")
    func logoutToStrangers() async throws {
        let operators = try await TestNode.logout(web: BackchannelLogoutTests.webURI)
        let browser = TestBrowser(operators)
        _ = await browser.endSession([("id_token_hint", try await browser.tokens().text("id_token"))])
        #expect(await StrangerTests.told(operators) == [false])

        let test = try await TestNode.registering()
        let registered = await test.register(
            #"{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"none","scope":"openid","#
                + #""backchannel_logout_uri":"https://client.example/bcl"}"#)
        let tokens = try await test.agreed(TestClient(registered), [("scope", "openid")])
        let own = test.bearer(await test.login(more: #","scope":"gatehouse:account""#).text("access_token"))
        let sid = try #require(try tokens.claims()["sid"]?.string)
        #expect(await test.send("DELETE", "/sessions/\(sid)", headers: own).status == 204)
        #expect(await StrangerTests.told(test) == [true])
    }

    private static func told(_ test: TestNode) async -> [Bool] {
        let calls = RecordedCalls()
        await test.node.oauth.logoutDelivery(through: calls, log: .silent).deliverDue()
        return calls.all.map(\.isStrangers)
    }

    // MARK: Links

    private static let links = ["client_uri", "policy_uri", "tos_uri", "logo_uri"]

    @Test("RFC 7591 §5: links of a host that no redirect URI has are left out, and the answer shows it")
    func links() async throws {
        let test = try await TestNode.registering()
        func registered(_ link: String) async -> Answer {
            let members = StrangerTests.links.map { "\"\($0)\":\"\(link)\"" }.joined(separator: ",")
            return await test.register(
                #"{"redirect_uris":["https://a.example/cb","https://b.example:8443/cb"],"token_endpoint_auth_method":"none",\#(members)}"#)
        }
        for link in ["https://a.example/x", "https://b.example/x", "https://a.example:8443/"] {
            let answer = await registered(link)
            #expect(answer.status == 201)
            for name in StrangerTests.links { #expect(answer.json[name]?.string == link, "\(name)") }
        }
        for link in ["https://evil.example/x", "https://xa.example/", "https://a.example.evil.example/", "http://127.0.0.1/x"] {
            let answer = await registered(link)
            #expect(answer.status == 201)
            for name in StrangerTests.links { #expect(answer.json[name] == nil, "\(name) \(link)") }
            let page = await consent(test, TestClient(answer, redirectURI: "https://a.example/cb"))
            #expect(page.title == "Allow access" && !page.html.contains(link))
            #expect(page.answer.header("content-security-policy")?.contains("form-action 'self' https://a.example;") == true)
        }
    }

    @Test("RFC 7591 §5: of a document its own host counts too")
    func documentLinks() async throws {
        let members = #","policy_uri":"https://app.example/p","tos_uri":"https://evil.example/t""#
        let document = ClientDocumentTests.document(Self.id, members).replacing("https://app.example/cb", with: "https://cb.example/cb")
        let test = try await StrangerTests.document(Documents([Self.id: document]))
        let page = await consent(test, TestClient(id: Self.id, redirectURI: "https://cb.example/cb"))
        #expect(page.html.contains("https://app.example/p") && !page.html.contains("evil.example"))
    }

    private func consent(_ test: TestNode, _ client: TestClient) async -> TestBrowser.Seen {
        let browser = TestBrowser(test)
        return await browser.signIn(await browser.get(client.request([("scope", "openid")])))
    }

    // MARK: Loopback

    @Test("MCP, localhost redirect URIs: the page shows host and port, and warns when a document has no other address")
    func loopback() async throws {
        let warning = "Any program on this device could be asking in its name."
        let documents = Documents([Self.id: ClientDocumentTests.document()])
        let test = try await StrangerTests.document(documents)
        let client = TestClient(id: Self.id, redirectURI: "http://127.0.0.1:3000/cb")
        let page = await consent(test, client)
        #expect(page.html.contains("<strong><bdi>127.0.0.1:3000</bdi></strong>") && !page.html.contains(warning))
        let only = "https://only.example/c"
        documents.put(
            only, ClientDocumentTests.document(only).replacing("https://app.example/cb", with: "http://localhost:9/cb"))
        #expect(await consent(test, TestClient(id: only, redirectURI: "http://localhost:9/cb")).html.contains(warning))
    }

    @Test("RFC 8252 §7.3: a public client with http on loopback that does not say what it is is native: its port may vary")
    func nativeByDefault() async throws {
        let test = try await TestNode.registering()
        let body = #""redirect_uris":["http://127.0.0.1:7777/cb","http://localhost:7777/cb"],"token_endpoint_auth_method":"none""#
        let answer = await test.register("{\(body)}")
        #expect(answer.status == 201 && answer.text("application_type") == "native")
        #expect(await TestBrowser(test).get(TestClient(answer, redirectURI: "http://127.0.0.1:5/cb").request()).title == "Sign in")
        // RFC 8252 §8.3: a name is none of the addresses that may vary.
        #expect(await TestBrowser(test).get(TestClient(answer, redirectURI: "http://localhost:5/cb").request()).status == 400)
        #expect(await test.register(#"{\#(body),"application_type":"web"}"#).error == "invalid_redirect_uri")
        let document = try await StrangerTests.document(Documents([Self.id: ClientDocumentTests.document()]))
        let varied = TestClient(id: Self.id, redirectURI: "http://127.0.0.1:3001/cb")
        #expect(await TestBrowser(document).get(varied.request()).title == "Sign in")
    }

    @Test(
        "RFC 9700 §2.6: http is for native clients alone",
        arguments: ["http://localhost:3000/cb", "http://127.0.0.1:3000/cb", "http://[::1]/cb"])
    func plainWeb(_ uri: String) async throws {
        let test = try await TestNode.registering()
        let uris = #""redirect_uris":["\#(uri)"]"#
        #expect(await test.register("{\(uris)}").error == "invalid_redirect_uri")
        #expect(await test.register(#"{\#(uris),"application_type":"native"}"#).status == 201)
        #expect(await test.register(#"{\#(uris),"token_endpoint_auth_method":"none"}"#).status == 201)
        let out = #"{\#(RegistrationFlowTests.redirect),"post_logout_redirect_uris":["\#(uri)"]}"#
        #expect(await test.register(out).error == "invalid_client_metadata")
    }

    // MARK: Refusals

    @Test("RFC 9700 §4.11.2: before anybody has signed in nobody is sent on to a stranger; the page says where it would lead")
    func noOpenRedirector() async throws {
        let test = try await TestNode.registering()
        let answer = await test.register(#"{"redirect_uris":["https://phish.example/cb"],"token_endpoint_auth_method":"none"}"#)
        let client = TestClient(answer, redirectURI: "https://phish.example/cb")
        let browser = TestBrowser(test)
        for more in [[("response_type", "x")], [("code_challenge", "")], [("prompt", "login none")]] {
            let page = await browser.get(client.request(more))
            #expect(page.status == 400 && page.location == nil)
            #expect(page.html.contains("<strong><bdi>phish.example</bdi></strong>"))
            #expect(page.html.contains("<a href=\"https://phish.example/cb?error=invalid_request&amp;") || more[0].0 == "response_type")
        }
        // Nobody signed in, and said so.
        let cancelled = await browser.submit(await browser.get(client.request()), [("cancel", "1")])
        #expect(cancelled.status == 200 && cancelled.html.contains("https://phish.example/cb?error=access_denied"))
        let posted = await browser.get(client.request([("response_type", "x"), ("response_mode", "form_post")]))
        #expect(posted.status == 400 && posted.action == "https://phish.example/cb" && !posted.html.contains("<script"))
        #expect(posted.fields.contains { $0.name == "error" && $0.value == "unsupported_response_type" })
        // Whoever asks for no page gets none.
        #expect(await browser.get(client.request([("prompt", "none")])).told["error"] == "login_required")
        // Afterwards they are sent on.
        _ = await browser.signIn(await browser.get(client.request()))
        #expect(await browser.get(client.request([("response_type", "x")])).told["error"] == "unsupported_response_type")
    }
}
