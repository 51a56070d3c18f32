import AuthCore
import OAuthServer
import Store
import Synchronization
import TestSupport
import Testing
import TokenKeys
import TokenVerification

@testable import gatehouse

@Suite("OpenID Connect Back-Channel Logout 1.0", .timeLimit(.minutes(1)))
struct BackchannelLogoutTests {
    static let webURI = #"backchannel_logout_uri: "https://web.example.com/bcl""#
    static let shopURI = #"backchannel_logout_uri: "https://shop.example.com/bcl?a=1", id_token_signed_response_alg: ES256"#

    /// The logout token of a call, when it is one that a client may believe.
    private func claims(_ call: OutgoingRequest, _ test: TestNode, algorithm: String) throws -> JSONObject {
        #expect(call.method == .post)
        #expect(call.headers.map { "\($0.name): \($0.value)" } == ["Content-Type: application/x-www-form-urlencoded"])
        let form = try FormParameters(call.body)
        #expect(form.members.map(\.name) == ["logout_token"])
        let token = try #require(form["logout_token"])
        let signed = try #require(SignedClaims(token) { test.node.keys.published.keySet.key($0) })
        #expect(signed.isType("logout+jwt", "application/logout+jwt"))
        let header = try JSONReader.read(Base64URL.decode(String(token.prefix { $0 != "." })) ?? []).object
        #expect(header?["alg"]?.string == algorithm)
        return signed.claims
    }

    @Test("§2.4, §2.5, LO-06: each client of the session is told once, in a token that is its own")
    func told() async throws {
        let test = try await TestNode.logout(web: Self.webURI, shop: Self.shopURI)
        let browser = TestBrowser(test)
        let web = try await browser.tokens()
        let shop = try await browser.tokens(.shop)
        let calls = RecordedCalls()
        let delivery = test.node.oauth.logoutDelivery(through: calls, log: .silent)
        await delivery.deliverDue()
        #expect(calls.all.isEmpty)
        #expect(await browser.endSession([("id_token_hint", web.text("id_token"))]).title == "Signed out")
        await delivery.deliverDue()
        await delivery.deliverDue()
        #expect(calls.all.map(\.url.text).sorted() == ["https://shop.example.com/bcl?a=1", "https://web.example.com/bcl"])
        var ids: Set<String> = []
        for (client, host, algorithm, tokens) in [("web", "web.example.com", "RS256", web), ("shop", "shop.example.com", "ES256", shop)] {
            let call = try #require(calls.all.first { $0.url.host == .name(Identifier(host)) })
            let claims = try claims(call, test, algorithm: algorithm)
            #expect(claims["iss"]?.string == "http://localhost:8080")
            #expect(claims["aud"]?.string == client)
            #expect(claims["sub"] == (try tokens.claims()["sub"]))
            #expect(claims["sid"] == (try tokens.claims()["sid"]))
            #expect(claims["iat"]?.int == test.clock.now.seconds)
            #expect(claims["exp"]?.int == test.clock.now.seconds + 120)
            let events = claims["events"]?.object
            #expect(events?.names == ["http://schemas.openid.net/event/backchannel-logout"])
            #expect(events?["http://schemas.openid.net/event/backchannel-logout"]?.object?.count == 0)
            #expect(claims["nonce"] == nil)
            ids.insert(claims["jti"]?.string ?? "")
        }
        #expect(ids.count == 2 && !ids.contains(""))
        try await test.advance(.seconds(7_200))
        await delivery.deliverDue()
        #expect(calls.all.count == 2)
    }

    @Test("Core §8: the subject is the one that the client knows, also when it is pairwise")
    func pairwise() async throws {
        let test = try await TestNode.logout(shop: Self.shopURI + ", subject_type: pairwise")
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens(.shop)
        let account = try #require(try await test.account("alice"))
        #expect(try tokens.claims()["sub"]?.string != account.id.text)
        _ = await browser.endSession([("id_token_hint", tokens.text("id_token"))])
        let calls = RecordedCalls()
        await test.node.oauth.logoutDelivery(through: calls, log: .silent).deliverDue()
        let call = try #require(calls.all.first)
        #expect(try claims(call, test, algorithm: "ES256")["sub"] == tokens.claims()["sub"])
    }

    @Test("§2.4, §2.6: who has encrypted ID tokens gets encrypted logout tokens")
    func encrypted() async throws {
        let key =
            #"{kty: EC, crv: P-256, x: MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4, y: 4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM, use: enc}"#
        let more = Self.shopURI + ", id_token_encrypted_response_alg: ECDH-ES, jwks: {keys: [\(key)]}"
        let test = try await TestNode.logout(shop: more)
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens(.shop)
        #expect(await test.send("DELETE", "/admin/users/alice/sessions", to: .control).status < 300)
        let calls = RecordedCalls()
        await test.node.oauth.logoutDelivery(through: calls, log: .silent).deliverDue()
        let token = try #require(try FormParameters(calls.all.first?.body ?? [])["logout_token"])
        #expect(token.split(separator: ".", omittingEmptySubsequences: false).count == 5)
        let header = try #require(try JSONReader.read(Base64URL.decode(String(token.prefix { $0 != "." })) ?? []).object)
        #expect(header["alg"]?.string == "ECDH-ES")
        #expect(tokens.text("id_token").split(separator: ".", omittingEmptySubsequences: false).count == 5)
    }

    @Test("CVE-2023-0657: a logout token is taken nowhere else")
    func onlyThere() async throws {
        let test = try await TestNode.logout(web: Self.webURI)
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        _ = await browser.endSession([("id_token_hint", tokens.text("id_token"))])
        let calls = RecordedCalls()
        await test.node.oauth.logoutDelivery(through: calls, log: .silent).deliverDue()
        let token = try #require(try FormParameters(calls.all.first?.body ?? [])["logout_token"])
        #expect(await !test.isValid(token))
        #expect(test.gateway("GET", "/orders", headers: test.bearer(token)).hasPrefix("401"))
        #expect(await test.send("GET", "/userinfo", headers: test.bearer(token)).status == 401)
        #expect(await browser.endSession([("id_token_hint", token)]).status == 400)
        #expect(await TestClient().token(test, [("grant_type", "refresh_token"), ("refresh_token", token)]).status == 400)
    }

    @Test("§2.8: 200 and 204 end it; every other answer, and none, comes again", arguments: [200, 204, 201, 302, 400, 401, 404, 500, 0])
    func answers(_ status: Int) async throws {
        let test = try await TestNode.logout(web: Self.webURI)
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        _ = await browser.endSession([("id_token_hint", tokens.text("id_token"))])
        let calls = RecordedCalls { (_) throws(OutgoingError) in
            if status == 0 { throw .timedOut }
            return status
        }
        let delivery = test.node.oauth.logoutDelivery(through: calls, log: .silent)
        await delivery.deliverDue()
        try await test.advance(.seconds(60))
        await delivery.deliverDue()
        #expect(calls.all.count == ([200, 204].contains(status) ? 1 : 2))
    }

    @Test("LO-07: the waits double from 5 s to an hour, up to a quarter more by chance, and after two days nobody tries any more")
    func retries() async throws {
        let test = try await TestNode.logout(web: Self.webURI)
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        _ = await browser.endSession([("id_token_hint", tokens.text("id_token"))])
        let calls = RecordedCalls { (_) throws(OutgoingError) in throw .notConnected }
        let delivery = test.node.oauth.logoutDelivery(through: calls, log: .silent)
        let start = test.clock.now
        await delivery.deliverDue()
        var wait: Int64 = 5_000
        for number in 1...12 {
            #expect(calls.all.count == number)
            try await test.advance(.milliseconds(wait - 1))
            await delivery.deliverDue()
            #expect(calls.all.count == number, "too early")
            try await test.advance(.milliseconds(wait / 4 + 1))
            await delivery.deliverDue()
            #expect(calls.all.count == number + 1, "too late")
            wait = min(wait * 2, 3_600_000)
        }
        while test.clock.now - start < .seconds(2 * 86_400) {
            try await test.advance(.seconds(4_500))
            await delivery.deliverDue()
        }
        let count = calls.all.count
        #expect(count > 40)
        try await test.advance(.seconds(86_400))
        await delivery.deliverDue()
        #expect(calls.all.count == count)
        #expect(Set(calls.all.map { String(decoding: $0.body, as: UTF8.self) }).count == count)
    }

    @Test("the wait stays within its bounds for every number of tries")
    func bounds() {
        for share in [UInt8(0), 255] {
            var environment = Environment.live
            environment.randomBytes = { Array(repeating: share, count: $0) }
            for attempts in [Int64.min, -1, 0, 1, 2, 10, 11, 12, 63, 64, 1_000, .max] {
                let wait = LogoutDelivery.wait(after: attempts, environment)
                #expect(wait >= LogoutDelivery.retryMin && wait <= LogoutDelivery.retryMax * 5 / 4)
            }
            #expect((LogoutDelivery.wait(after: 1, environment) == LogoutDelivery.retryMin) == (share == 0))
        }
    }

    @Test("two nodes tell each client once; what one has taken and then died with is told by the other when its lease is over")
    func lease() async throws {
        let test = try await TestNode.logout(web: Self.webURI, shop: Self.shopURI)
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        _ = try await browser.tokens(.shop)
        _ = await browser.endSession([("id_token_hint", tokens.text("id_token"))])
        let calls = RecordedCalls()
        let nodes = (0..<8).map { _ in test.node.oauth.logoutDelivery(through: calls, log: .silent) }
        await withTaskGroup(of: Void.self) { group in for node in nodes { group.addTask { await node.deliverDue() } } }
        #expect(calls.all.count == 2)

        let more = try await browser.tokens(TestClient(), "bob")
        _ = await browser.endSession([("id_token_hint", more.text("id_token"))])
        // It was killed after it posted and before it said so.
        #expect(try await test.store.dueLogouts(10, lease: LogoutDelivery.lease, at: test.clock.now).count == 1)
        await nodes[0].deliverDue()
        #expect(calls.all.count == 2)
        try await test.advance(.seconds(59))
        await nodes[0].deliverDue()
        #expect(calls.all.count == 2)
        try await test.advance(.seconds(1))
        await nodes[0].deliverDue()
        #expect(calls.all.count == 3)
    }

    @Test("LO-07: a client that does not answer holds up neither who signs out nor the other clients")
    func slow() async throws {
        let test = try await TestNode.logout(web: Self.webURI, shop: Self.shopURI)
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        _ = try await browser.tokens(.shop)
        let (answers, answer) = AsyncStream<Void>.makeStream()
        let (told, tell) = AsyncStream<String>.makeStream()
        let calls = RecordedCalls { (request) throws(OutgoingError) in
            if request.url.host == .name("web.example.com") { for await _ in answers { break } }
            tell.yield("\(request.url.host)")
            return 200
        }
        let delivery = test.node.oauth.logoutDelivery(through: calls, log: .silent)
        #expect(await browser.endSession([("id_token_hint", tokens.text("id_token"))]).title == "Signed out")
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await delivery.run(test.node.logoutWake.wakes, again: { test.node.logoutWake.wakeUp() }) }
            var hosts = told.makeAsyncIterator()
            #expect(await hosts.next() == "shop.example.com")
            // Another session meanwhile: its end wakes the delivery by itself.
            let other = TestBrowser(test)
            guard let bobs = try? await other.tokens(.shop, "bob") else {
                Issue.record("bob cannot sign in")
                return group.cancelAll()
            }
            #expect(await other.endSession([("id_token_hint", bobs.text("id_token"))]).title == "Signed out")
            #expect(await hosts.next() == "shop.example.com")
            answer.yield()
            #expect(await hosts.next() == "web.example.com")
            group.cancelAll()
        }
        #expect(calls.all.count == 3)
    }

    @Test("LO-07: while a client is gone, one call fails for all that waits for it")
    func gone() async throws {
        let test = try await TestNode.logout(web: Self.webURI, shop: Self.shopURI)
        for _ in 0..<5 {
            let browser = TestBrowser(test)
            let tokens = try await browser.tokens()
            _ = await browser.endSession([("id_token_hint", tokens.text("id_token"))])
        }
        let isUp = Mutex(false)
        let calls = RecordedCalls { (_) throws(OutgoingError) in
            guard isUp.withLock({ $0 }) else { throw .timedOut }
            return 204
        }
        let lines = Lines()
        let delivery = test.node.oauth.logoutDelivery(through: calls, log: lines.log)
        await delivery.deliverDue()
        #expect(calls.all.count == 1)
        #expect(lines.all == ["warning logout_not_delivered client=web reason=fetch_timed_out attempts=1 waiting=5"])
        isUp.withLock { $0 = true }
        try await test.advance(.seconds(7))
        await delivery.deliverDue()
        #expect(calls.all.count == 6)
        #expect(try await test.queued().isEmpty)
        // No token and no secret is in the log.
        #expect(!lines.all.contains { $0.contains("eyJ") })
    }

    @Test("a node that ends gives back what it was telling: it is due at once")
    func cancelled() async throws {
        let test = try await TestNode.logout(web: Self.webURI)
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        _ = await browser.endSession([("id_token_hint", tokens.text("id_token"))])
        let (called, call) = AsyncStream<Void>.makeStream()
        let calls = RecordedCalls { (_) throws(OutgoingError) in
            let (never, _) = AsyncStream<Void>.makeStream()
            call.yield()
            for await _ in never {}
            throw .cancelled
        }
        let delivery = test.node.oauth.logoutDelivery(through: calls, log: .silent)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await delivery.run(test.node.logoutWake.wakes, again: {}) }
            for await _ in called { break }
            group.cancelAll()
        }
        #expect(try await test.queued().count == 1)
    }

    @Test("a client that wants no call any more, or is gone, is forgotten; one whose address is no good waits")
    func pointless() async throws {
        let test = try await TestNode.logout(web: #"frontchannel_logout_uri: "https://web.example.com/fcl""#)
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        _ = await browser.endSession([("id_token_hint", tokens.text("id_token"))])
        let calls = RecordedCalls()
        await test.node.oauth.logoutDelivery(through: calls, log: .silent).deliverDue()
        #expect(calls.all.isEmpty)
        try await test.advance(.seconds(120))
        #expect(try await test.queued().isEmpty)
    }

    /// The other ways for a session to end.
    enum Ending: String, CaseIterable, Sendable { case bySession, everywhere, adminsSession, adminsSessions, disabled, deleted, password }

    @Test("LO-16: whatever ends a session fills the queue", arguments: Ending.allCases)
    func endings(_ ending: Ending) async throws {
        let test = try await TestNode.logout(web: Self.webURI)
        let tokens = try await TestBrowser(test).tokens()
        let sid = try #require(try tokens.claims()["sid"]?.string)
        let own = await test.login(more: #","scope":"gatehouse:account""#)
        #expect(try await test.queued().isEmpty)
        switch ending {
        case .bySession:
            #expect(await test.send("DELETE", "/sessions/\(sid)", headers: test.bearer(own.text("access_token"))).status == 204)
        case .everywhere:
            let body = #"{"refresh_token":"\#(own.text("refresh_token"))","everywhere":true}"#
            #expect(await test.post("/logout", body).status == 204)
        case .disabled, .password:
            let body = ending == .disabled ? #"{"disabled":true}"# : #"{"password":"another-good-password"}"#
            #expect(await test.send("PATCH", "/admin/users/alice", Array(body.utf8), to: .control).status == 200)
        case .adminsSession: #expect(await test.send("DELETE", "/admin/sessions/\(sid)", to: .control).status == 204)
        case .adminsSessions: #expect(await test.send("DELETE", "/admin/users/alice/sessions", to: .control).status == 204)
        case .deleted: #expect(await test.send("DELETE", "/admin/users/alice", to: .control).status == 204)
        }
        let queued = try await test.queued()
        #expect(queued.map(\.clientID) == ["web"])
        #expect(queued.map(\.sessionID.text) == [sid])
        try await test.advance(.seconds(60))
        let calls = RecordedCalls()
        await test.node.oauth.logoutDelivery(through: calls, log: .silent).deliverDue()
        let call = try #require(calls.all.first)
        #expect(try claims(call, test, algorithm: "RS256")["sub"] == tokens.claims()["sub"])
    }

    @Test("over a real socket: the client gets the token, and the queue is empty")
    func socket() async throws {
        let client = try await Backend.start { _ in .text("HTTP/1.1 204 No Content\r\n\r\n") }
        let test = try await TestNode.logout(
            web: #"backchannel_logout_uri: "http://127.0.0.1:\#(client.port)/bcl""#,
            settings: ["--outbound.allow", "127.0.0.1:\(client.port)"])
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        _ = await browser.endSession([("id_token_hint", tokens.text("id_token"))])
        await test.node.logouts.deliverDue()
        let request = try #require(client.requests.first)
        #expect(request.head.hasPrefix("POST /bcl HTTP/1.1\r\n"))
        #expect(request.values("content-type") == ["application/x-www-form-urlencoded"])
        #expect(request.body.starts(with: "logout_token=eyJ".utf8))
        #expect(client.requests.count == 1)
        try await test.advance(.seconds(120))
        #expect(try await test.queued().isEmpty)
        await client.stop()
    }
}

@Suite("OpenID Connect Front-Channel Logout 1.0")
struct FrontchannelLogoutTests {
    @Test("§2, §3, LO-10: a frame for each client of the session, iss and sid where it needs them, and the policy lets in no others")
    func frames() async throws {
        let test = try await TestNode.logout(
            web: #"frontchannel_logout_uri: "https://web.example.com:8443/out?a=1&b=2", frontchannel_logout_session_required: true"#,
            shop: #"frontchannel_logout_uri: "https://shop.example.com/out""#)
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        _ = try await browser.tokens(.shop)
        let sid = try #require(try tokens.claims()["sid"]?.string)
        let seen = await browser.endSession([("id_token_hint", tokens.text("id_token"))])
        #expect(seen.title == "Signed out")
        let frames = seen.html.matches(of: /<iframe src="([^"]*)"/).map { TestBrowser.unescape(String($0.1)) }.sorted()
        #expect(
            frames == [
                "https://shop.example.com/out",
                "https://web.example.com:8443/out?a=1&b=2&iss=http%3A%2F%2Flocalhost%3A8080&sid=\(sid)",
            ])
        let policy = (seen.answer.header("content-security-policy") ?? "").split(separator: "; ")
        let sources = policy.first { $0.hasPrefix("frame-src ") }?.split(separator: " ").dropFirst().sorted()
        #expect(sources == ["https://shop.example.com", "https://web.example.com:8443"])
        #expect(policy.first == "default-src 'none'")
        #expect(seen.html.contains("http-equiv") == false)
        #expect(seen.answer.header("referrer-policy") == "no-referrer")
        // Reloaded, there is nothing more to end and nobody to tell.
        #expect(!(await browser.endSession([("id_token_hint", tokens.text("id_token"))])).html.contains("iframe"))
    }

    @Test("with an address to return to, the frames come first; the browser goes on by itself, and there is a link")
    func onward() async throws {
        let test = try await TestNode.logout(web: #"frontchannel_logout_uri: "https://web.example.com/out""#)
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        let seen = await browser.endSession([
            ("id_token_hint", tokens.text("id_token")), ("post_logout_redirect_uri", "http://127.0.0.1:9000/bye?x=1"), ("state", "\"><a"),
        ])
        #expect(seen.status == 200)
        let location = "http://127.0.0.1:9000/bye?x=1&state=%22%3E%3Ca"
        let refresh = seen.html.firstMatch(of: /<meta http-equiv="refresh" content="3;url=([^"]*)">/).map { String($0.1) }
        #expect(refresh.map(TestBrowser.unescape) == location)
        let link = seen.html.firstMatch(of: /<a href="([^"]*)">Back to <bdi>The &lt;Web&gt;/).map { String($0.1) }
        #expect(link.map(TestBrowser.unescape) == location)
        #expect(seen.html.contains("https://web.example.com/out"))
    }

    @Test("a client that took part in another session only, or has no such page, gets no frame")
    func others() async throws {
        let test = try await TestNode.logout(shop: #"frontchannel_logout_uri: "https://shop.example.com/out""#)
        _ = try await TestBrowser(test).tokens(.shop)
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        let seen = await browser.endSession([("id_token_hint", tokens.text("id_token"))])
        #expect(!seen.html.contains("iframe"))
        #expect(seen.answer.header("content-security-policy")?.contains("frame-src") == false)
    }
}
