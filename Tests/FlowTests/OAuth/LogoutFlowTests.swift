import AuthCore
import OAuthServer
import Store
import TestSupport
import Testing
import TokenVerification

@testable import TokenKeys
@testable import gatehouse

@Suite("OpenID Connect RP-Initiated Logout 1.0")
struct LogoutFlowTests {
    /// Whether the browser is asked for a password again.
    private func isSignedOut(_ browser: TestBrowser) async -> Bool { await browser.get(TestClient().request()).title == "Sign in" }

    @Test("§2, LO-01, LO-05: an ID token of the browser's session ends it at once, and everything of it is refused from then on")
    func hint() async throws {
        let test = try await TestNode.logout()
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        let held = browser.cookies
        #expect(await test.isValid(tokens.text("access_token")))
        let seen = await browser.endSession([("id_token_hint", tokens.text("id_token"))])
        #expect(seen.status == 200)
        #expect(seen.title == "Signed out")
        #expect(seen.location == nil)
        #expect(await test.validate(tokens.text("access_token")).text("reason") == "revoked")
        #expect(test.gateway("GET", "/orders", headers: test.bearer(tokens.text("access_token"))).hasPrefix("401"))
        let refreshed = await TestClient().token(test, [("grant_type", "refresh_token"), ("refresh_token", tokens.text("refresh_token"))])
        #expect(refreshed.error == "invalid_grant")
        #expect(!browser.cookies.contains { $0.name == "gatehouse-session" })
        // A cookie that somebody has kept stands for nothing.
        browser.cookies = held
        #expect(held.contains { $0.name == "gatehouse-session" })
        #expect(await isSignedOut(browser))
    }

    @Test("§2, §3, LO-04: GET and POST lead back to a registered address, with state behind its own query", arguments: [true, false])
    func redirect(_ isPost: Bool) async throws {
        let test = try await TestNode.logout()
        for (uri, location) in [
            ("http://127.0.0.1:9000/bye", "http://127.0.0.1:9000/bye?state=s+%26%2F%C3%A4"),
            ("http://127.0.0.1:9000/bye?x=1", "http://127.0.0.1:9000/bye?x=1&state=s+%26%2F%C3%A4"),
        ] {
            let browser = TestBrowser(test)
            let tokens = try await browser.tokens()
            let parameters = [
                ("id_token_hint", tokens.text("id_token")), ("client_id", "web"), ("post_logout_redirect_uri", uri), ("state", "s &/ä"),
                ("logout_hint", "alice"), ("ui_locales", "de en"),
            ]
            let seen = isPost ? await browser.postEndSession(parameters) : await browser.endSession(parameters)
            #expect(seen.status == 303)
            #expect(seen.location?.replacing("%20", with: "+") == location)
            #expect(await isSignedOut(browser))
        }
    }

    @Test("a form of another site comes without our cookies: the page that follows has them")
    func crossSitePost() async throws {
        let test = try await TestNode.logout()
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        let form = FormParameters([("id_token_hint", tokens.text("id_token"))]).encoded
        let answer = await test.send(
            "POST", "/end-session", Array(form.utf8),
            headers: [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "cross-site")])
        #expect(answer.status == 303)
        #expect(await test.isValid(tokens.text("access_token")))
        let next = try #require(answer.header("location"))
        #expect(next.hasPrefix("/end-session/resume?"))
        #expect(await browser.get(next).title == "Signed out")
        #expect(await isSignedOut(browser))
        #expect(await browser.get(String(next.dropLast(4))).status == 400)
    }

    @Test("§2, LO-03: without a hint the person is asked; who stays stays, who agrees loses every session of the browser")
    func confirmation() async throws {
        let test = try await TestNode.logout()
        let browser = TestBrowser(test)
        let alices = try await browser.tokens()
        let bobs = try await browser.tokens(TestClient(), "bob", [("prompt", "login")])
        let page = await browser.endSession([
            ("client_id", "web"), ("post_logout_redirect_uri", "http://127.0.0.1:9000/bye"), ("state", "x"),
        ])
        #expect(page.title == "Sign out")
        #expect(page.html.contains("<bdi>alice</bdi>") && page.html.contains("<bdi>bob</bdi>"))
        let policy = page.answer.header("content-security-policy") ?? ""
        #expect(policy.contains("form-action 'self' http://127.0.0.1:9000;"))
        #expect(policy.contains("frame-ancestors 'none'"))
        let stayed = await browser.submit(page, [("answer", "stay")])
        #expect(stayed.status == 200 && stayed.location == nil)
        #expect(await test.isValid(alices.text("access_token")))
        let left = await browser.submit(page, [("answer", "sign-out")])
        #expect(left.location == "http://127.0.0.1:9000/bye?state=x")
        for tokens in [alices, bobs] { #expect(await test.validate(tokens.text("access_token")).text("reason") == "revoked") }
        #expect(await isSignedOut(browser))
        // Sent once more, it has nothing to end and leads to the same place.
        #expect(await browser.submit(page, [("answer", "sign-out")]).location == "http://127.0.0.1:9000/bye?state=x")
    }

    @Test("LO-03, CK-05: the form of another browser, of another site, of another page, or changed, ends nothing")
    func forgery() async throws {
        let test = try await TestNode.logout()
        let (browser, other) = (TestBrowser(test), TestBrowser(test))
        let tokens = try await browser.tokens()
        let signIn = await other.get(TestClient().request())
        _ = try await other.tokens(TestClient(), "bob")
        let (page, foreign) = (await browser.endSession([]), await other.endSession([]))
        #expect(page.title == "Sign out" && foreign.title == "Sign out")
        let yes = [("answer", "sign-out")]
        let field = { (page: TestBrowser.Seen, name: String) in page.fields.first { $0.name == name }?.value ?? "" }
        let attempts = [
            await browser.submit(foreign, yes), await browser.submit(page, yes, without: ["form"]),
            await browser.submit(page, yes, headers: [("sec-fetch-site", "cross-site")]),
            await browser.submit(page, yes + [("interaction", String(field(page, "interaction").dropLast(2)))]),
            await browser.submit(page, yes + [("interaction", field(foreign, "interaction"))]),
            await browser.submit(page, yes + [("interaction", field(signIn, "interaction")), ("form", field(signIn, "form"))]),
            await browser.submit(page, [], without: ["answer"]), await TestBrowser(test).submit(page, yes),
        ]
        for seen in attempts {
            #expect(seen.status == 400)
            #expect(seen.title == "This did not work")
        }
        #expect(await test.isValid(tokens.text("access_token")))
        try await test.advance(.seconds(3_601))
        #expect(await browser.submit(page, yes).status == 400)
        #expect(await browser.submit(await browser.endSession([]), yes).title == "Signed out")
    }

    @Test("§2, LO-01: an ID token that has expired is a good hint, also under a key that is published no more")
    func expired() async throws {
        let test = try await TestNode.logout()
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        try await test.advance(.seconds(400))
        try await test.node.keys.maintain(for: .rotate)
        try await test.advance(.seconds(7_200))
        try await test.node.keys.maintain()
        let kid = try #require(Identifier.ofKey(in: tokens.text("id_token")))
        #expect(test.node.keys.published.keySet.key(kid) == nil)
        #expect(await browser.endSession([("id_token_hint", tokens.text("id_token"))]).title == "Signed out")
        #expect(await isSignedOut(browser))
    }

    @Test("§2, LO-01: a hint that is no ID token of ours ends nothing and leads nowhere")
    func badHints() async throws {
        let test = try await TestNode.logout()
        let other = try await TestNode.logout(settings: ["--issuer", "http://127.0.0.1:8080"])
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        let good = tokens.text("id_token")
        let parts = good.split(separator: ".").map(String.init)
        var claims = try #require(try JSONReader.read(Base64URL.decode(parts[1]) ?? []).object)
        func signed(_ type: SigningKeys.TokenType) throws -> String {
            try test.node.keys.sign(JSONValue.object(claims).encoded, as: type, algorithm: .rs256)
        }
        func header(_ json: String) -> String { "\(Base64URL.encode(Array(json.utf8))).\(parts[1]).\(parts[2])" }
        let kid = try #require(Identifier.ofKey(in: good))
        var hints = [
            "garbage", "a.b.c", tokens.text("access_token"), tokens.text("refresh_token"), String(good.dropLast(3)), good + ".AA.AA",
            "\(parts[0]).\(parts[1]).", header(#"{"alg":"none","typ":"JWT","kid":"\#(kid)"}"#), header(#"{"alg":"none","typ":"JWT"}"#),
            header(#"{"alg":"HS256","typ":"JWT","kid":"\#(kid)"}"#), header(#"{"alg":"PS256","typ":"JWT","kid":"\#(kid)"}"#),
            try signed(.logoutToken), try signed(.accessToken), try signed(.introspectionResponse),
            try await TestBrowser(other).tokens().text("id_token"), String(repeating: "A", count: 16_385),
        ]
        let sub = claims["sub"]
        claims["sub"] = .string("somebody")
        hints.append("\(parts[0]).\(Base64URL.encode(JSONValue.object(claims).encoded)).\(parts[2])")
        claims["sub"] = sub
        // Shows that what follows is refused for its one change.
        #expect(try signed(.idToken).split(separator: ".").count == 3)
        for name in ["iss", "sub", "aud", "iat", "exp"] {
            let kept = claims[name]
            claims[name] = nil
            hints.append(try signed(.idToken))
            claims[name] = kept
        }
        claims["iss"] = .string("http://localhost:8081")
        hints.append(try signed(.idToken))
        for hint in hints {
            let seen = await browser.endSession([
                ("id_token_hint", hint), ("client_id", "web"), ("post_logout_redirect_uri", "http://127.0.0.1:9000/bye"),
            ])
            #expect(seen.status == 400, "\(hint.prefix(60))")
            #expect(seen.location == nil)
        }
        #expect(await test.isValid(tokens.text("access_token")))
        claims["iss"] = .string("http://localhost:8080")
        #expect(await browser.endSession([("id_token_hint", try signed(.idToken))]).title == "Signed out")
    }

    @Test("a hint with anything changed, cut or put in is none, wherever that is", arguments: [UInt64(1), 2])
    func mutatedHints(_ seed: UInt64) async throws {
        let test = try await TestNode.logout()
        let good = Array(try await TestBrowser(test).tokens().text("id_token").utf8)
        let hints = IDTokenHints(issuer: "http://localhost:8080", keys: test.node.keys)
        #expect(try hints.read(String(decoding: good, as: UTF8.self)).clientID == "web")
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            var bytes = good
            let place = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes.remove(at: place)
            case 2: bytes.insert(UInt8.random(in: 0x20...0x7E, using: &generator), at: place)
            default: bytes.removeLast(bytes.count - place)
            }
            if bytes == good { continue }
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(throws: OAuthError.self, "\(text)") { try hints.read(text) }
        }
    }

    @Test("LO-05: of 64 who sign the same session out at once, all are signed out, and each client is told once")
    func race() async throws {
        let test = try await TestNode.logout(web: BackchannelLogoutTests.webURI)
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        let cookies = browser.cookies
        let titles = await withTaskGroup(of: String.self) { group in
            for _ in 0..<64 {
                group.addTask {
                    let same = TestBrowser(test)
                    same.cookies = cookies
                    return await same.endSession([("id_token_hint", tokens.text("id_token"))]).title
                }
            }
            return await group.reduce(into: [String]()) { $0.append($1) }
        }
        #expect(titles == Array(repeating: "Signed out", count: 64))
        #expect(try await test.queued().count == 1)
        #expect(await !test.isValid(tokens.text("access_token")))
    }

    @Test("LO-01: a hint under a key that was revoked is none")
    func revokedKey() async throws {
        let test = try await TestNode.logout()
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        try await test.node.keys.maintain(for: .revoke(try #require(Identifier.ofKey(in: tokens.text("id_token")))))
        #expect(await browser.endSession([("id_token_hint", tokens.text("id_token"))]).status == 400)
        #expect(await test.isValid(tokens.text("access_token")))
    }

    @Test(
        "§3, LO-02, AZ-20: an address that is not registered, byte by byte and for this client, leads nowhere and ends nothing",
        arguments: [
            ("http://127.0.0.1:9000/bye/", "web", true), ("http://127.0.0.1:9000/", "web", true),
            ("http://127.0.0.1:9001/bye", "web", true),
            ("HTTP://127.0.0.1:9000/bye", "web", true), ("http://127.0.0.1:9000/bye?x=1&y=2", "web", true),
            ("http://127.0.0.1:9000/bye#x", "web", true), ("http://127.0.0.1:9000/bye@evil.example", "web", true),
            ("https://evil.example/", "web", true), ("//evil.example/", "web", true), ("javascript:alert(1)", "web", true),
            ("http://127.0.0.1:9000/callback", "web", true), ("https://shop.example.com/bye", "web", true),
            ("https://shop.example.com/bye", "shop", true), ("http://127.0.0.1:9000/bye", "shop", false),
            ("http://127.0.0.1:9000/bye", "", false), ("http://127.0.0.1:9000/bye", "nobody", false),
            ("https://evil.example/", "web", false), ("http://127.0.0.1:9000/bye\r\nset-cookie: a=b", "web", false),
        ])
    func unregistered(_ uri: String, _ client: String, _ hasHint: Bool) async throws {
        let test = try await TestNode.logout()
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        let seen = await browser.endSession([
            ("id_token_hint", hasHint ? tokens.text("id_token") : ""), ("client_id", client), ("post_logout_redirect_uri", uri),
        ])
        #expect(seen.status == 400)
        #expect(seen.location == nil)
        #expect(!seen.html.contains("evil"))
        #expect(await test.isValid(tokens.text("access_token")))
    }

    @Test("LO-02: to the address of a client that was disabled nobody is sent; signing out goes on")
    func disabledClient() async throws {
        let test = try await TestNode.logout()
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        #expect(try await test.store.setClientDisabled("web", true, event: test.event))
        let hint = ("id_token_hint", tokens.text("id_token"))
        #expect(await browser.endSession([hint, ("post_logout_redirect_uri", "http://127.0.0.1:9000/bye")]).status == 400)
        let page = await browser.endSession([hint])
        #expect(page.title == "Sign out")
        #expect(await browser.submit(page, [("answer", "sign-out")]).title == "Signed out")
    }

    @Test("§2: a hint of a session that this browser does not hold ends neither that one nor, unasked, the one that it holds")
    func anothersHint() async throws {
        let test = try await TestNode.logout()
        let (browser, other) = (TestBrowser(test), TestBrowser(test))
        let alices = try await browser.tokens()
        let bobs = try await other.tokens(TestClient(), "bob")
        let again = try await TestBrowser(test).tokens()
        for hint in [alices, again] {
            #expect(await other.endSession([("id_token_hint", hint.text("id_token"))]).title == "Sign out")
        }
        #expect(await TestBrowser(test).endSession([("id_token_hint", alices.text("id_token"))]).title == "Signed out")
        #expect(await browser.endSession([("id_token_hint", again.text("id_token"))]).title == "Sign out")
        for tokens in [alices, bobs, again] { #expect(await test.isValid(tokens.text("access_token"))) }
    }

    @Test("the hint ends the session that it names and no other of the same browser")
    func oneOfTwo() async throws {
        let test = try await TestNode.logout()
        let browser = TestBrowser(test)
        let alices = try await browser.tokens()
        let bobs = try await browser.tokens(TestClient(), "bob", [("prompt", "login")])
        #expect(await browser.endSession([("id_token_hint", alices.text("id_token"))]).title == "Signed out")
        #expect(await !test.isValid(alices.text("access_token")))
        #expect(await test.isValid(bobs.text("access_token")))
        #expect(try await browser.get(TestClient().request()).parameters()["code"] != nil)
    }

    @Test("Back-Channel Logout §2.7: a grant with offline_access outlives its session")
    func offline() async throws {
        let test = try await TestNode.logout()
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens(TestClient(), "alice", [("scope", "openid orders:read offline_access")])
        #expect(await browser.endSession([("id_token_hint", tokens.text("id_token"))]).title == "Signed out")
        let refreshed = await TestClient().token(test, [("grant_type", "refresh_token"), ("refresh_token", tokens.text("refresh_token"))])
        #expect(refreshed.status == 200)
    }

    @Test("CVE-2025-12390: whoever signs in next in the same browser has another session, and nothing of the last one")
    func nextPerson() async throws {
        let test = try await TestNode.logout()
        let browser = TestBrowser(test)
        let alices = try await browser.tokens()
        _ = await browser.endSession([("id_token_hint", alices.text("id_token"))])
        let bobs = try await browser.tokens(TestClient(), "bob")
        #expect(try bobs.claims()["sid"] != alices.claims()["sid"])
        #expect(try bobs.claims()["sub"] != alices.claims()["sub"])
        #expect(await !test.isValid(alices.text("access_token")))
        #expect(await browser.endSession([("id_token_hint", alices.text("id_token"))]).title == "Sign out")
    }

    @Test("a parameter that is there twice, or too long, is refused")
    func malformed() async throws {
        let test = try await TestNode.logout()
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        let hint = tokens.text("id_token")
        #expect(await browser.get("/end-session?id_token_hint=\(hint)&id_token_hint=\(hint)").status == 400)
        #expect(await browser.endSession([("state", String(repeating: "s", count: 4_097))]).status == 400)
        #expect(await browser.endSession([("id_token_hint", hint), ("client_id", "shop")]).status == 400)
        #expect(await test.isValid(tokens.text("access_token")))
    }

    @Test("§2.1, Back-Channel §2.1, Front-Channel §3: metadata says what there is")
    func metadata() async throws {
        let test = try await TestNode.logout()
        let metadata = await test.send("GET", "/.well-known/openid-configuration", headers: []).json
        #expect(metadata["end_session_endpoint"]?.string == "http://localhost:8080/end-session")
        for name in [
            "backchannel_logout_supported", "backchannel_logout_session_supported", "frontchannel_logout_supported",
            "frontchannel_logout_session_supported",
        ] {
            #expect(metadata[name]?.bool == true)
        }
    }
}
