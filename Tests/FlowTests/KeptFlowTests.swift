import AuthCore
import Foundation
import OAuthServer
import Settings
import Store
import StoreSQL
import Testing
import TokenKeys

@testable import gatehouse

@Suite("What is kept, for how long, and what it is worth to a thief")
struct KeptFlowTests {
    /// Everything that the node has written into its folder, but for the key that seals it and the file that the user wrote.
    private func written(_ test: TestNode) throws -> [(name: String, bytes: [UInt8])] {
        try FileManager.default.contentsOfDirectory(at: test.folder, includingPropertiesForKeys: nil).compactMap { file in
            if ["master.key", "resources.yaml"].contains(file.lastPathComponent) { return nil }
            return (file.lastPathComponent, Array(try Data(contentsOf: file)))
        }
    }

    @Test("TK-22, JK-05, CA-11, PW-07: a stolen database holds no password, no token, no client secret and no private key")
    func atRest() async throws {
        let test = try await TestNode.start()
        let login = await test.login()
        let refreshed = await test.refresh(login.text("refresh_token"))
        let secret = await test.post("/admin/clients/till/secrets", "{}", to: .control).text("client_secret")
        _ = await test.login(password: "wrong-wrong-wrong")
        _ = await test.post("/admin/users", #"{"username":"carol","password":"a-long-enough-password"}"#, to: .control)
        var secrets = [TestNode.password, "wrong-wrong-wrong", "a-long-enough-password", secret, "0123456789abcdef0123456789abcdef"]
            .map { Array($0.utf8) }
        for token in [login, refreshed] {
            secrets.append(Array(token.text("access_token").utf8.suffix(40)))
            secrets.append(Array(token.text("refresh_token").utf8.suffix(40)))
            // As bytes too: the MAC and the tag at its end.
            secrets.append(Array((Base64URL.decode(String(token.text("refresh_token").dropFirst(4))) ?? []).suffix(32)))
        }
        for record in test.node.keys.records {
            let key = try test.node.masterKeys.open(record.sealedPrivateKey, for: .signingKeys, context: "signing_keys/\(record.id)")
                .exposed
            secrets += [key, Array(Base64URL.encode(key).utf8)]
        }
        let master = try String(contentsOf: test.folder.appendingPathComponent("master.key"), encoding: .utf8).trimmingCharacters(
            in: .whitespacesAndNewlines)
        secrets += [Array(master.utf8), Base64URL.decode(master) ?? []]
        let files = try written(test)
        #expect(files.map(\.bytes.count).reduce(0, +) > 50_000)
        for secret in secrets {
            try #require(secret.count >= 15)
            for file in files { #expect(Data(file.bytes).range(of: Data(secret)) == nil, "in \(file.name)") }
        }
        // What is looked for would be found: the user names are there.
        #expect(files.contains { Data($0.bytes).range(of: Data("carol".utf8)) != nil })
    }

    @Test("TK-22, AZ-14: nor does it hold a code, a verifier, a token of the token endpoint, a form or a cookie of a browser")
    func atRestOfOAuth() async throws {
        let test = try await TestNode.oauth()
        let (browser, client) = (TestBrowser(test), TestClient())
        let consent = await browser.signIn(await browser.get(client.request([("scope", "openid offline_access orders:read")])))
        let code = try #require(try await browser.submit(consent, [("answer", "allow")]).parameters()["code"])
        let unused = try #require(try await browser.get(client.request()).parameters()["code"])
        let tokens = await client.exchange(code, test)
        try #require(tokens.status == 200)
        var secrets = [client.verifier]
        for text in [code, unused, tokens.text("access_token"), tokens.text("refresh_token"), tokens.text("id_token")] {
            try #require(text.utf8.count > 80)
            secrets.append(String(text.suffix(40)))
        }
        for cookie in browser.cookies { secrets.append(cookie.value) }
        for field in consent.fields where field.name == "interaction" || field.name == "form" {
            secrets.append(String(field.value.suffix(40)))
        }
        try #require(secrets.count >= 10)
        var looked = secrets.map { Array($0.utf8) }
        // As bytes too: the MAC and the tag at their ends.
        for text in [code, unused, tokens.text("refresh_token")] {
            looked.append(Array((Base64URL.decode(String(text.dropFirst(4))) ?? []).suffix(32)))
        }
        looked += browser.cookies.compactMap { Base64URL.decode($0.value) }
        let files = try written(test)
        for secret in looked {
            try #require(secret.count >= 15)
            for file in files { #expect(Data(file.bytes).range(of: Data(secret)) == nil, "in \(file.name)") }
        }
        // What is looked for would be found: the nonce, and the challenge of the code that nobody redeemed, are there.
        #expect(files.contains { Data($0.bytes).range(of: Data("n-0S6".utf8)) != nil })
    }

    /// What ends something, and must not say so before it is written.
    enum Ending: String, CaseIterable, Sendable {
        case logout, logoutByAccessToken, everywhere, endSession, disable, password, deletion, revokeKey, replay
    }

    @Test("TK-36, CVE-2020-15223: what could not be written is never answered as done, and has not happened", arguments: Ending.allCases)
    func durable(_ ending: Ending) async throws {
        let test = try await TestNode.start()
        let tokens = await test.login()
        let first = tokens.text("refresh_token")
        let newest = await test.refresh(await test.refresh(first).text("refresh_token"))
        let refresh = newest.text("refresh_token")
        let active = try #require(test.node.keys.current?.id)
        func end() async -> Answer {
            switch ending {
            case .logout: await test.logout(refresh)
            case .logoutByAccessToken: await test.send("POST", "/logout", headers: test.bearer(newest.text("access_token")))
            case .everywhere: await test.post("/logout", #"{"refresh_token":"\#(refresh)","everywhere":true}"#)
            case .endSession: await test.send("DELETE", "/sessions/\(tokens.text("sid"))", headers: test.bearer(refresh))
            case .disable: await test.send("PATCH", "/admin/users/alice", Array(#"{"disabled":true}"#.utf8), to: .control)
            case .password:
                await test.send("PATCH", "/admin/users/alice", Array(#"{"password":"another-long-password"}"#.utf8), to: .control)
            case .deletion: await test.send("DELETE", "/admin/users/alice", to: .control)
            case .revokeKey: await test.send("POST", "/admin/keys/\(active)/revoke", Array("{}".utf8), to: .control)
            case .replay: await test.refresh(first)
            }
        }
        test.node.database.setFault { text throws(StoreError) in
            let isReading = text.uppercased().hasPrefix("SELECT")
            if !isReading { throw StoreError.unavailable("disk full") }
        }
        let refused = await end()
        #expect(refused.status == 503)
        #expect(refused.error == "temporarily_unavailable")
        #expect(refused.header("retry-after") != nil)
        test.node.database.setFault(nil)
        #expect(await test.isValid(newest.text("access_token")))
        let done = await end()
        #expect([200, 204].contains(done.status) || (ending == .replay && done.status == 401), "\(done.status)")
        #expect(await !test.isValid(newest.text("access_token")))
    }

    @Test("CVE-2026-54762: no store means 503: nobody gets in, and what needs none goes on only as long as it may be old")
    func noStore() async throws {
        let test = try await TestNode.start()
        let tokens = await test.login()
        test.node.database.setFault { _ throws(StoreError) in throw StoreError.unavailable("gone") }
        #expect(await test.login().status == 503)
        #expect(await test.login("nobody-here").status == 503)
        #expect(await test.refresh(tokens.text("refresh_token")).status == 503)
        // What needs no store goes on for as long as the replica may be old, and no longer.
        #expect(await test.isValid(tokens.text("access_token")))
        test.clock.advance(.seconds(31))
        #expect(await test.validate(tokens.text("access_token")).status == 503)
        #expect(await test.send("GET", "/forward-auth", headers: test.bearer(tokens.text("access_token"))).status == 503)
    }

    @Test("TK-20, LO-13: an unused sign-in ends after tokens.refresh_ttl, a used one after tokens.session_ttl, whatever is done")
    func lifetimes() async throws {
        let test = try await TestNode.start(["--tokens.refresh_ttl", "10d", "--tokens.session_ttl", "25d"])
        let idle = await test.login()
        var used = await test.login()
        var days = 0
        while days < 40, used.status == 200 {
            if days == 9 { #expect(await test.send("GET", "/sessions", headers: test.bearer(idle.text("refresh_token"))).status == 200) }
            if days == 18 { #expect(await test.refresh(idle.text("refresh_token")).status == 401) }
            try await test.advance(.seconds(9 * 86_400))
            days += 9
            used = await test.refresh(used.text("refresh_token"))
        }
        // Refreshed on days 9 and 18; day 27 is past the session's end.
        #expect(days == 27)
        #expect(used.error == "invalid_grant")
    }

    @Test(
        "TK-23, GW-22: a first start gives tokens of ten minutes for the resources of their scopes, and looks for revocations within 30 s")
    func defaults() async throws {
        let test = try await TestNode.start()
        #expect(await test.login().json["expires_in"]?.int == 600)
        #expect(test.node.settings.revocations.maxStaleness == .seconds(30))
        #expect(test.node.settings.keys.jwksMaxAge == .seconds(300))
        // All of IN-10 that a node knows: nobody is asked to be a client on loopback, and nobody's word is taken for an address.
        #expect(!test.node.settings.validateRequiresClient)
        #expect(test.node.settings.trustedProxies.isEmpty)
    }

    @Test("LO-11, LO-12, AZ-14: ids of sessions, grants and tokens have 128 random bits, and each sign-in has its own")
    func identifiers() async throws {
        let test = try await TestNode.start()
        var seen = Set<String>()
        for _ in 0..<20 {
            let answer = await test.login()
            let claims = try answer.claims()
            for name in ["sid", "gid", "jti"] {
                let text = try #require(claims[name]?.string)
                #expect(try #require(Base64URL.decode(text)).count >= 16)
                seen.insert(text)
            }
            let refreshed = await test.refresh(answer.text("refresh_token"))
            // The session stays the same one; the token is another.
            #expect(refreshed.text("sid") == answer.text("sid"))
            #expect(refreshed.text("access_token") != answer.text("access_token"))
        }
        #expect(seen.count == 60)
    }

    @Test("BF-14: every decision about a sign-in leaves an event that says who, whence, why, and under which trace id; none a secret")
    func audit() async throws {
        let test = try await TestNode.start()
        let tokens = await test.login()
        let wrong = await test.login(password: "wrong-wrong-wrong")
        _ = await test.login("nobody-here")
        _ = await test.refresh(await test.refresh(tokens.text("refresh_token")).text("refresh_token"))
        _ = await test.refresh(tokens.text("refresh_token"))
        let other = await test.login()
        _ = await test.logout(other.text("refresh_token"))
        _ = await test.send("PATCH", "/admin/users/alice", Array(#"{"password":"another-long-password"}"#.utf8), to: .control)
        _ = await test.send("PATCH", "/admin/users/alice", Array(#"{"disabled":true}"#.utf8), to: .control)
        _ = await test.login(password: "another-long-password")
        let answer = await test.send("GET", "/admin/audit?limit=1000", to: .control)
        let events = (answer.json["events"]?.array ?? []).compactMap(\.object)
        let told = Set(events.map { "\($0["event"]?.string ?? "") \($0["reason"]?.string ?? "")" })
        let wanted: Set<String> = [
            "sign_in pwd", "sign_in_refused password_wrong", "sign_in_refused account_unknown", "sign_in_refused account_disabled",
            "refresh_replayed refresh_replayed", "sign_out ", "account_changed password", "account_changed disabled",
        ]
        #expect(wanted.isSubset(of: told), "\(wanted.subtracting(told))")
        #expect(events.contains { $0["trace_id"]?.string == wrong.text("trace_id") })
        for event in events where ["sign_in", "sign_in_refused", "sign_out", "refresh_replayed"].contains(event["event"]?.string) {
            #expect(event["source"]?.string == "127.0.0.1")
        }
        let text = String(decoding: answer.body, as: UTF8.self)
        for secret in [
            TestNode.password, "wrong-wrong-wrong", "another-long-password", tokens.text("refresh_token"), tokens.text("access_token"),
        ] {
            #expect(!text.contains(secret.suffix(20)))
        }
    }

    @Test("TK-16, TK-24, RFC 8707 §2.2: a refresh asks for nothing: a scope or an audience there is refused, not passed over")
    func refreshAsksForNothing() async throws {
        let test = try await TestNode.start()
        let token = await test.login(more: #","scope":"orders:read""#).text("refresh_token")
        for more in [#","scope":"orders:read orders:write""#, #","audience":"reports""#, #","resource":"reports""#] {
            let answer = await test.refresh(token, more: more)
            #expect(answer.status == 400)
            #expect(answer.error == "invalid_request")
        }
        #expect(await test.refresh(token).text("scope") == "orders:read")
    }

    @Test(
        "TK-27, RFC 9700 §2.4: /login is for clients that hold `login`; a client with any other grants never gets in by it, whatever it sends"
    )
    func passwordGrant() async throws {
        let test = try await TestNode.start()
        for more in [#","client_id":"web""#, #","client_id":"web","grant_type":"password""#] {
            #expect(await test.login(more: more).status == 400)
        }
        for path in ["/oauth/token", "/oauth2/token"] {
            #expect(
                await test.post(path, #"{"grant_type":"password","username":"alice","password":"\#(TestNode.password)"}"#).status == 404)
        }
        // RFC 6749 §4.3 for nobody, with whatever grants.
        let secret = "0123456789abcdef0123456789abcdef"
        for client in [TestClient(id: "app"), TestClient(id: "web"), TestClient(id: "till", secret: secret), TestClient(id: "gatehouse")] {
            let answer = await client.token(
                test, [("grant_type", "password"), ("username", "alice"), ("password", TestNode.password), ("scope", "orders:read")])
            #expect(answer.status == 400)
            #expect(answer.error == "unsupported_grant_type")
        }
    }
}
