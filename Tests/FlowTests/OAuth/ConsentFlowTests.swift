import AuthCore
import Store
import Testing

@testable import gatehouse

@Suite("Consents: what is shown, listed and taken back (OpenID Connect Core §5.5, RFC 9396, RFC 9700 §4.12)")
struct ConsentFlowTests {
    private static let resources = TestNode.oauthResources
        .replacing(
            "{id: orders, scopes: [\"orders:read\", \"orders:write\"]}",
            with: """
                {id: orders, name: "Shop & <Orders>", scopes: ["orders:read", "orders:write"], scope_descriptions: {"orders:read": "See your <orders>"}}
                """
        )
        .replacing("public: true\n", with: "public: true\n    authorization_details_types: [payment_initiation]\n")
        .replacing(
            "clients:\n",
            with: """
                clients:
                  - {id: app, public: true, grants: [login, refresh_token], scopes: ["orders:read"]}
                  - {id: narrow, public: true, grants: [authorization_code], redirect_uris: ["https://narrow.example.com/cb"], policy_uri: "https://narrow.example.com/p", scopes: [openid, "orders:read"]}

                """)

    private static func node() async throws -> TestNode { try await TestNode.matrix(resources: resources) }

    /// What alice has agreed to for `web`: the tokens.
    private static func agreed(_ test: TestNode, _ more: [(String, String)] = []) async throws -> (TestBrowser, Answer) {
        let (browser, code) = try await test.authorized(TestClient(), "alice", more)
        return (browser, await TestClient().exchange(code, test))
    }

    private static func own(_ test: TestNode, _ name: String = "alice") async -> [(String, String)] {
        test.bearer(await test.login(name, more: #","scope":"gatehouse:account""#).text("access_token"))
    }

    private static func listed(_ test: TestNode, _ headers: [(String, String)]) async -> [JSONObject] {
        (await test.send("GET", "/consents", headers: headers).json["consents"]?.array ?? []).compactMap(\.object)
    }

    @Test("people see what they have allowed, and only they: client, its name, scopes, details, when")
    func lists() async throws {
        let test = try await ConsentFlowTests.node()
        #expect(await ConsentFlowTests.listed(test, ConsentFlowTests.own(test)).isEmpty)
        let details = #"[{"type":"payment_initiation","amount":"12.50"}]"#
        _ = try await ConsentFlowTests.agreed(test, [("authorization_details", details)])
        let all = await ConsentFlowTests.listed(test, ConsentFlowTests.own(test))
        #expect(all.count == 1)
        #expect(all.first?["client_id"]?.string == "web")
        #expect(all.first?["client_name"]?.string == "The Web <Shop>")
        #expect(all.first?["scope"]?.string == "openid orders:read")
        #expect(all.first?["authorization_details"]?.array?.first?.object?["amount"]?.string == "12.50")
        #expect(all.first?["granted_at"]?.int == test.clock.now.seconds)
        #expect(await ConsentFlowTests.listed(test, ConsentFlowTests.own(test, "bob")).isEmpty)
    }

    @Test("what is taken back ends at every place at once, is told once, and is asked for again")
    func withdraws() async throws {
        let test = try await ConsentFlowTests.node()
        let (browser, tokens) = try await ConsentFlowTests.agreed(test)
        let offline = try await ConsentFlowTests.agreed(test, [("scope", "openid offline_access orders:read")]).1
        let headers = await ConsentFlowTests.own(test)
        #expect(await test.isValid(tokens.text("access_token")))
        #expect(try await browser.get(TestClient().request()).parameters()["code"] != nil)
        let unredeemed = try #require(try await browser.get(TestClient().request()).parameters()["code"])

        // Nobody else's, and no client that was allowed nothing.
        #expect(await test.send("DELETE", "/consents/web", headers: ConsentFlowTests.own(test, "bob")).status == 404)
        #expect(await test.send("DELETE", "/consents/shop", headers: headers).status == 404)
        #expect(await test.isValid(tokens.text("access_token")))

        #expect(await test.send("DELETE", "/consents/web", headers: headers).status == 204)
        #expect(await test.send("DELETE", "/consents/web", headers: headers).status == 404)
        for gone in [tokens, offline] {
            let access = gone.text("access_token")
            #expect(await !test.isValid(access))
            #expect(test.gateway("GET", "/orders", headers: test.bearer(access)) == "401 revoked")
            #expect(await test.send("GET", "/userinfo", headers: test.bearer(access)).status == 401)
            #expect(await !test.isActive(access))
            #expect(await TestClient().refresh(gone.text("refresh_token"), test).error == "invalid_grant")
        }
        #expect(await TestClient().exchange(unredeemed, test).error == "invalid_grant")
        // The sign-in is the person's own, and stays.
        #expect(await browser.get(TestClient().request()).title == "Allow access")
        #expect(await browser.get(TestClient().request([("prompt", "none")])).told["error"] == "consent_required")
        #expect(await ConsentFlowTests.listed(test, headers).isEmpty)
    }

    @Test("matrix: /consents × credential, as /sessions", arguments: AccountFlowTests.Credential.allCases)
    func credentials(_ credential: AccountFlowTests.Credential) async throws {
        let test = try await TestNode.start()
        let headers = try await credential.headers(test)
        let sessions = await test.send("GET", "/sessions", headers: headers)
        #expect(await test.send("GET", "/consents", headers: headers).status == sessions.status)
        let end = await test.send("DELETE", "/sessions/none", headers: headers)
        #expect(await test.send("DELETE", "/consents/none", headers: headers).status == end.status)
    }

    @Test("who does not agree is remembered with nothing, and is asked again")
    func denied() async throws {
        let test = try await ConsentFlowTests.node()
        let browser = TestBrowser(test)
        let page = await browser.signIn(await browser.get(TestClient().request()))
        #expect(await browser.submit(page, [("answer", "deny")]).told["error"] == "access_denied")
        #expect(await ConsentFlowTests.listed(test, ConsentFlowTests.own(test)).isEmpty)
        #expect(await browser.get(TestClient().request()).title == "Allow access")
    }

    @Test("a public client that is any program on the device is asked for each time (RFC 8252 §8.6); one of the web is not")
    func native() async throws {
        let resources = ConsentFlowTests.resources.replacing(
            "clients:\n",
            with: """
                clients:
                  - {id: phone, public: true, application_type: native, grants: [authorization_code], redirect_uris: ["com.example.phone:/cb", "https://phone.example.com/cb"], scopes: [openid]}

                """)
        let test = try await TestNode.matrix(resources: resources)
        for (uri, again) in [("com.example.phone:/cb", "consent_required"), ("https://phone.example.com/cb", nil)] {
            let phone = TestClient(id: "phone", redirectURI: uri)
            let browser = TestBrowser(test)
            let page = await browser.signIn(await browser.get(phone.request([("scope", "openid")])))
            #expect(page.title == "Allow access")
            #expect(try await browser.submit(page, [("answer", "allow")]).parameters()["code"] != nil)
            #expect(await browser.get(phone.request([("scope", "openid"), ("prompt", "none")])).told["error"] == again)
            #expect((await browser.get(phone.request([("scope", "openid")])).title == "Allow access") == (again != nil))
            #expect(await test.send("DELETE", "/consents/phone", headers: ConsentFlowTests.own(test)).status == 204)
        }
    }

    @Test("the page names the resource, describes its scopes, shows the details and where one goes, all of it escaped")
    func page() async throws {
        let test = try await ConsentFlowTests.node()
        let browser = TestBrowser(test)
        let details = #"[{"type":"payment_initiation","to":{"<b>":"a\"b"},"list":["x","y"],"deep":[[[[1]]]]}]"#
        let request = TestClient().request([
            ("scope", "openid offline_access orders:read orders:write"), ("authorization_details", details),
        ])
        let page = await browser.signIn(await browser.get(request))
        for text in [
            "<h2><bdi>Shop &amp; &lt;Orders&gt;</bdi></h2>", "<li><bdi>See your &lt;orders&gt;</bdi></li>",
            "<li><code>orders:write</code></li>",
            "<strong><bdi>The Web &lt;Shop&gt;</bdi></strong>", "Payment initiation", "&lt;b&gt;: a&quot;b", "x, y", "[1]",
            "Keep this access when you have signed out", "a program on this device",
        ] { #expect(page.html.contains(text), "\(text)") }
        #expect(!page.html.contains("<b>"))
        #expect(!page.html.contains("See your e-mail"))
    }

    @Test("a claim that is asked for by its name is shown and agreed to as its scope is, and is not given where the scope could not be")
    func claims() async throws {
        let test = try await ConsentFlowTests.node()
        let email = #"{"userinfo":{"email":null},"id_token":{"email":{"essential":true}}}"#
        let (browser, _) = try await ConsentFlowTests.agreed(test)
        // Agreed to openid and orders:read: the address is something else.
        let page = await browser.get(TestClient().request([("claims", email)]))
        #expect(page.title == "Allow access")
        #expect(page.html.contains("See your e-mail address"))
        #expect(await browser.get(TestClient().request([("claims", email), ("prompt", "none")])).told["error"] == "consent_required")
        let code = try #require(try await browser.submit(page, [("answer", "allow")]).parameters()["code"])
        let tokens = await TestClient().exchange(code, test)
        #expect(tokens.text("scope") == "openid orders:read")
        let told = await test.send("GET", "/userinfo", headers: test.bearer(tokens.text("access_token")))
        #expect(told.text("email") == "alice@example.com")
        #expect(try await browser.get(TestClient().request([("claims", email)])).parameters()["code"] != nil)

        let narrow = TestClient(id: "narrow", redirectURI: "https://narrow.example.com/cb")
        let asked = await browser.get(narrow.request([("claims", email)]))
        #expect(asked.html.contains("<strong><bdi>narrow.example.com</bdi></strong>"))
        #expect(asked.html.contains("href=\"https://narrow.example.com/p\""))
        #expect(!asked.html.contains("See your e-mail address"))
        let other = try #require(try await browser.submit(asked, [("answer", "allow")]).parameters()["code"])
        let bought = await narrow.exchange(other, test)
        let nothing = await test.send("GET", "/userinfo", headers: test.bearer(bought.text("access_token")))
        #expect(nothing.status == 200)
        #expect(nothing.json["email"] == nil)
    }
}
