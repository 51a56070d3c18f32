import AuthCore
import OAuthServer
import Testing

@testable import gatehouse

// Requests that say little, and what holds after a logout.
extension LogoutFlowTests {
    private func isGone(_ browser: TestBrowser) async -> Bool {
        await browser.get(TestClient().request([("prompt", "none")])).told["error"] == "login_required"
    }

    @Test("§2: without anything, and with state alone, the person is asked, is signed out, and is led nowhere")
    func barely() async throws {
        let test = try await TestNode.logout()
        for parameters in [[], [("state", "x")], [("ui_locales", "de")]] {
            let browser = TestBrowser(test)
            let tokens = try await browser.tokens()
            #expect(await !isGone(browser))
            let page = await browser.endSession(parameters)
            #expect(page.status == 200 && page.title == "Sign out", "\(parameters)")
            #expect(await test.isValid(tokens.text("access_token")))
            let left = await browser.submit(page, [("answer", "sign-out")])
            #expect(left.status == 200 && left.title == "Signed out" && left.location == nil, "\(parameters)")
            #expect(await test.validate(tokens.text("access_token")).text("reason") == "revoked")
            #expect(await isGone(browser))
        }
    }

    @Test("§3: without state none comes back; and after it prompt=none is login_required")
    func withoutState() async throws {
        let test = try await TestNode.logout()
        for uri in ["http://127.0.0.1:9000/bye", "http://127.0.0.1:9000/bye?x=1"] {
            let browser = TestBrowser(test)
            let tokens = try await browser.tokens()
            let seen = await browser.endSession([("id_token_hint", tokens.text("id_token")), ("post_logout_redirect_uri", uri)])
            #expect(seen.status == 303 && seen.location == uri)
            #expect(await isGone(browser))
            let other = TestBrowser(test)
            _ = try await other.tokens()
            let page = await other.endSession([("client_id", "web"), ("post_logout_redirect_uri", uri)])
            #expect(page.title == "Sign out")
            #expect(await other.submit(page, [("answer", "sign-out")]).location == uri)
            #expect(await isGone(other))
        }
    }
}

extension BackchannelLogoutTests {
    @Test("module backchannel-rp-initiated-logout: with a way back too the client is told, and prompt=none fails")
    func redirected() async throws {
        let test = try await TestNode.logout(web: Self.webURI)
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        let seen = await browser.endSession([
            ("id_token_hint", tokens.text("id_token")), ("post_logout_redirect_uri", "http://127.0.0.1:9000/bye"), ("state", "x"),
        ])
        #expect(seen.location == "http://127.0.0.1:9000/bye?state=x")
        #expect(await browser.get(TestClient().request([("prompt", "none")])).told["error"] == "login_required")
        let calls = RecordedCalls()
        await test.node.oauth.logoutDelivery(through: calls, log: .silent).deliverDue()
        #expect(calls.all.map(\.url.text) == ["https://web.example.com/bcl"])
        let call = try #require(calls.all.first)
        let token = try #require(try FormParameters(call.body)["logout_token"])
        let (claims, access) = (try await test.verified(token, for: "web", type: "logout+jwt"), try tokens.claims())
        for name in ["sid", "sub"] { #expect(claims[name] != nil && claims[name] == access[name], "\(name)") }
    }
}

extension FrontchannelLogoutTests {
    @Test("a page has at most 32 frames: so many clients of a session are told, and the page stays one")
    func many() async throws {
        let clients = (0..<34).map {
            """
              - {id: c\($0), public: true, first_party: true, grants: [authorization_code], scopes: [openid, "orders:read"],
                 redirect_uris: ["https://c\($0).example/cb"], frontchannel_logout_uri: "https://c\($0).example/out"}
            """
        }
        let test = try await TestNode.proving(try ProvingClient(), clients.joined(separator: "\n"))
        let browser = TestBrowser(test)
        var hint = ""
        for number in 0..<34 {
            hint = try await browser.tokens(TestClient(id: "c\(number)", redirectURI: "https://c\(number).example/cb")).text("id_token")
        }
        let seen = await browser.endSession([("id_token_hint", hint)])
        #expect(seen.title == "Signed out")
        let frames = Set(seen.html.matches(of: /<iframe src="([^"]*)"/).map { String($0.1) })
        #expect(frames.count == LogoutEndpoint.framesMax && LogoutEndpoint.framesMax == 32)
        #expect(frames.allSatisfy { $0.wholeMatch(of: /https:\/\/c\d+\.example\/out/) != nil })
    }
}
