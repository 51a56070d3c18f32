import AuthCore
import Crypto
import Foundation
import OAuthServer
import Store
import Testing
import TokenVerification

@testable import gatehouse

@Suite("OpenID Connect Core: the request, the ID token and UserInfo", .timeLimit(.minutes(3)))
struct OpenIDTests {
    private let web = TestClient()

    private func code(_ seen: TestBrowser.Seen) throws -> String { try #require(try seen.parameters()["code"], "\(seen.told.members)") }

    private func allowed(_ browser: TestBrowser, _ seen: TestBrowser.Seen) async -> TestBrowser.Seen {
        seen.title.contains("access") || seen.html.contains("name=\"answer\"") ? await browser.submit(seen, [("answer", "allow")]) : seen
    }

    /// Signs alice in on the way of a request, and returns the claims of her ID token.
    private func idToken(
        _ browser: TestBrowser, _ client: TestClient, _ more: [(String, String)] = [], audience: String? = nil
    ) async throws -> (claims: JSONObject, answer: Answer) {
        var seen = await browser.get(client.request(more))
        if seen.title.hasPrefix("Sign in") { seen = await browser.signIn(seen) }
        seen = await allowed(browser, seen)
        let answer = await client.exchange(try code(seen), browser.test)
        return (try await browser.test.verified(answer.text("id_token"), for: audience ?? client.id), answer)
    }

    @Test("§2, §3.1.3.6: who, for whom, when and how; at_hash is of this access token; the lifetime is that of the access token")
    func members() async throws {
        let test = try await TestNode.oauth()
        let (claims, answer) = try await idToken(TestBrowser(test), web)
        let now = test.clock.now.seconds
        #expect(claims["aud"]?.string == "web" && claims["nonce"]?.string == "n-0S6")
        #expect(
            claims["iat"]?.int == now && claims["auth_time"]?.int == now
                && claims["exp"]?.int == now + (answer.json["expires_in"]?.int ?? 0))
        #expect(claims["amr"]?.strings == ["pwd"] && claims["acr"]?.string != nil && claims["sid"]?.string != nil)
        let half = Array(SHA256.hash(data: Array(answer.text("access_token").utf8)).prefix(16))
        #expect(claims["at_hash"]?.string == Base64URL.encode(half))
        #expect(claims["sub"]?.string == (try answer.claims()["sub"]?.string))
        // Claims of the person come by scope from UserInfo, not in the ID token of the code flow (§5.4).
        #expect(claims["email"] == nil)
        #expect(await !test.isValid(answer.text("id_token")))
    }

    @Test("§3.1.2.1: prompt=login asks again, and the sign-in is new; with another account the first one stays as it was")
    func promptLogin() async throws {
        let test = try await TestNode.oauth()
        let browser = TestBrowser(test)
        let first = try await idToken(browser, web).claims
        try await test.advance(.seconds(120))
        let page = await browser.get(web.request([("prompt", "login")]))
        #expect(page.title.hasPrefix("Sign in"))
        let second = try await idToken(browser, web, [("prompt", "login")]).claims
        #expect((second["auth_time"]?.int ?? 0) == (first["auth_time"]?.int ?? 0) + 120)
        #expect(second["sub"] == first["sub"])
    }

    @Test("§3.1.2.1: max_age asks again when the sign-in is older, and only then; max_age=0 always; auth_time says when")
    func maxAge() async throws {
        let test = try await TestNode.oauth()
        let browser = TestBrowser(test)
        _ = try await idToken(browser, web)
        try await test.advance(.seconds(60))
        #expect(await browser.get(web.request([("max_age", "61"), ("prompt", "none")])).told["code"] != nil)
        #expect(await browser.get(web.request([("max_age", "59"), ("prompt", "none")])).told["error"] == "login_required")
        #expect(await browser.get(web.request([("max_age", "0"), ("prompt", "none")])).told["error"] == "login_required")
        #expect(await browser.get(web.request([("max_age", "59")])).title.hasPrefix("Sign in"))
        let renewed = try await idToken(browser, web, [("max_age", "59")]).claims
        #expect(renewed["auth_time"]?.int == test.clock.now.seconds)
    }

    @Test("§3.1.2.1: prompt=consent asks though there is consent; prompt=select_account shows who there is")
    func promptConsent() async throws {
        let test = try await TestNode.oauth()
        let browser = TestBrowser(test)
        _ = try await idToken(browser, web)
        #expect(await browser.get(web.request()).told["code"] != nil)
        #expect(await browser.get(web.request([("prompt", "consent")])).html.contains("name=\"answer\""))
        #expect(await browser.get(web.request([("prompt", "consent none")])).told["error"] == "invalid_request")
        #expect(await browser.get(web.request([("prompt", "select_account")])).html.contains("name=\"session\""))
        // A new scope is a new question (AZ-37); without one to ask, consent_required.
        let more = [("scope", "openid orders:read orders:write")]
        #expect(await browser.get(web.request(more)).html.contains("name=\"answer\""))
        #expect(await browser.get(web.request(more + [("prompt", "none")])).told["error"] == "consent_required")
    }

    @Test("§5.5.1.1: an essential acr that cannot be reached is refused; a voluntary one is not")
    func acr() async throws {
        let test = try await TestNode.oauth()
        let browser = TestBrowser(test)
        _ = try await idToken(browser, web)
        #expect(await browser.get(web.request([("acr_values", "urn:nothing")])).told["code"] != nil)
        #expect(await browser.get(web.request([("claims", #"{"id_token":{"acr":{"values":["urn:nothing"]}}}"#)])).told["code"] != nil)
        let essential = #"{"id_token":{"acr":{"essential":true,"values":["urn:nothing"]}}}"#
        #expect(await browser.get(web.request([("claims", essential)])).told["error"] == "unmet_authentication_requirements")
        // What is asked of UserInfo takes nothing back.
        let beside =
            #"{"id_token":{"acr":{"essential":true,"values":["urn:nothing"]}},"userinfo":{"acr":{"essential":true,"value":"urn:gatehouse:acr:1"}}}"#
        #expect(await browser.get(web.request([("claims", beside)])).told["error"] == "unmet_authentication_requirements")
        let reached = #"{"id_token":{"acr":{"essential":true,"values":["urn:nothing","urn:gatehouse:acr:1"]}}}"#
        #expect(try await idToken(browser, web, [("claims", reached)]).claims["acr"]?.string == "urn:gatehouse:acr:1")
    }

    @Test("§3.1.2.1: a scope that is not known here is passed over beside openid, and never granted (AZ-26)")
    func unknownScope() async throws {
        let test = try await TestNode.oauth()
        let answer = try await idToken(TestBrowser(test), web, [("scope", "orders:read address openid nothing phone")]).answer
        #expect(answer.text("scope") == "openid orders:read" || answer.text("scope") == "orders:read openid")
        #expect(try answer.claims()["scope"]?.string == answer.text("scope"))
    }

    @Test("§5.5: claims that were asked for one by one come where they were asked for")
    func claims() async throws {
        let test = try await TestNode.oauth()
        let asked = #"{"id_token":{"email":null,"nonsense":{"essential":true}},"userinfo":{"preferred_username":null}}"#
        let (claims, answer) = try await idToken(TestBrowser(test), web, [("claims", asked)])
        #expect(claims["email"]?.string == "alice@example.com" && claims["preferred_username"] == nil && claims["nonsense"] == nil)
        let info = await test.send("GET", "/userinfo", headers: test.bearer(answer.text("access_token")))
        #expect(info.json["preferred_username"]?.string == "alice" && info.json["email"] == nil)
        #expect(info.json["sub"] == claims["sub"])
    }

    @Test("§5.3: UserInfo by GET and by POST, by scope; no other token has it (RFC 6750 §3.1)")
    func userInfo() async throws {
        let test = try await TestNode.oauth()
        let browser = TestBrowser(test)
        let answer = try await idToken(browser, web, [("scope", "openid profile email orders:read")]).answer
        let token = answer.text("access_token")
        for method in ["GET", "POST"] {
            let info = await test.send(method, "/userinfo", headers: [("authorization", "Bearer \(token)")])
            #expect(info.status == 200 && info.json["email"]?.string == "alice@example.com", "\(method)")
        }
        // In the header alone (RFC 6750 §2.1): neither in a form nor in the query.
        let body = FormParameters([("access_token", token)]).encoded
        let form = await test.send(
            "POST", "/userinfo", Array(body.utf8), headers: [("content-type", "application/x-www-form-urlencoded")])
        #expect(form.status == 401)
        #expect(await test.send("GET", "/userinfo?access_token=\(token)").status == 401)
        let none = await test.send("GET", "/userinfo")
        #expect(none.status == 401 && none.header("www-authenticate")?.hasPrefix("Bearer") == true)
        let bad = await test.send("GET", "/userinfo", headers: [("authorization", "Bearer x")])
        #expect(bad.status == 401 && bad.header("www-authenticate")?.contains("invalid_token") == true)
        let narrow = try await idToken(TestBrowser(test), web).answer
        let info = await test.send("GET", "/userinfo", headers: [("authorization", "Bearer \(narrow.text("access_token"))")])
        #expect(info.status == 200 && info.json["email"] == nil && info.json["preferred_username"] == nil)
        let program = await TestClient(id: "billing", secret: "fedcba9876543210fedcba9876543210")
            .token(test, [("grant_type", "client_credentials")])
        let theirs = await test.send("GET", "/userinfo", headers: [("authorization", "Bearer \(program.text("access_token"))")])
        #expect([401, 403].contains(theirs.status))
    }

    @Test("§8.1: a pairwise subject is one for a sector, another for every other, and the same in every token and answer")
    func pairwise() async throws {
        let client = { (id: String, host: String) in
            "  - {id: \(id), public: true, first_party: true, grants: [authorization_code, refresh_token], subject_type: pairwise, "
                + "scopes: [openid, offline_access, \"orders:read\"], redirect_uris: [\"https://\(host)/cb\"]}\n"
        }
        let test = try await TestNode.proving(
            try ProvingClient(), client("one", "a.example") + client("two", "b.example") + client("one-again", "a.example"))
        let browser = TestBrowser(test)
        func subjects(_ id: String, _ host: String) async throws -> (String, Answer) {
            let party = TestClient(id: id, redirectURI: "https://\(host)/cb")
            let (claims, answer) = try await idToken(browser, party, [("scope", "openid offline_access orders:read")])
            let subject = try #require(claims["sub"]?.string)
            #expect(try answer.claims()["sub"]?.string == subject)
            let info = await test.send("GET", "/userinfo", headers: [("authorization", "Bearer \(answer.text("access_token"))")])
            #expect(info.json["sub"]?.string == subject)
            let refreshed = await party.token(test, [("grant_type", "refresh_token"), ("refresh_token", answer.text("refresh_token"))])
            #expect(try refreshed.claims()["sub"]?.string == subject)
            return (subject, refreshed)
        }
        let (one, answer) = try await subjects("one", "a.example")
        let (two, other) = (try await subjects("two", "b.example").0, try await subjects("one-again", "a.example").0)
        let real = try await idToken(browser, web).claims["sub"]?.string
        #expect(one != two && one == other && one != real && two != real)
        // What ends the account's tokens ends those under other names too.
        let token = answer.text("access_token")
        #expect(await test.isValid(token))
        let patched = await test.send(
            "PATCH", "/admin/users/alice", Array(#"{"disabled":true}"#.utf8), headers: [("content-type", "application/json")], to: .control)
        #expect(patched.status == 200)
        #expect(await !test.isValid(token))
    }

    @Test("§11: offline_access outlives the session, and needs consent; without it a grant ends with the session")
    func offline() async throws {
        let test = try await TestNode.oauth()
        let browser = TestBrowser(test)
        let (claims, bound) = try await idToken(browser, web)
        let page = await browser.get(web.request([("scope", "openid offline_access orders:read")]))
        #expect(page.html.contains("name=\"answer\""))
        let offline = try await idToken(browser, web, [("scope", "openid offline_access orders:read")]).answer
        let sid = try #require(claims["sid"]?.string)
        let ended = await test.send("DELETE", "/admin/sessions/\(sid)", to: .control)
        #expect([200, 204].contains(ended.status), "\(ended.status)")
        let refresh = { (token: String) in [("grant_type", "refresh_token"), ("refresh_token", token)] }
        #expect(await web.token(test, refresh(offline.text("refresh_token"))).status == 200)
        #expect(await !test.isValid(bound.text("access_token")))
        if bound.json["refresh_token"] != nil {
            #expect(await web.token(test, refresh(bound.text("refresh_token"))).error == "invalid_grant")
        }
    }

    @Test("Registration §2: the ID token in the client's algorithm; userinfo signed, and introspection as a JWT (RFC 9701)")
    func algorithms() async throws {
        let client = try ProvingClient()
        let signed = ["ES256", "EdDSA"].map {
            "  - {id: \($0), public: true, first_party: true, grants: [authorization_code], scopes: [openid, email, \"orders:read\"], "
                + "redirect_uris: [\"https://\($0.lowercased()).example/cb\"], id_token_signed_response_alg: \($0), "
                + "userinfo_signed_response_alg: \($0)}\n"
        }
        let test = try await TestNode.proving(
            client, signed.joined(), settings: ["--keys.id_token_algorithms", "RS256,ES256,EdDSA"])
        for algorithm in ["ES256", "EdDSA"] {
            let party = TestClient(id: algorithm, redirectURI: "https://\(algorithm.lowercased()).example/cb")
            let (claims, answer) = try await idToken(TestBrowser(test), party, [("scope", "openid email orders:read")])
            let parts = answer.text("id_token").split(separator: ".")
            let header = try JSONReader.read(Base64URL.decode(String(parts[0])) ?? []).object
            #expect(header?["alg"]?.string == algorithm)
            let access = Array(answer.text("access_token").utf8)
            let hash = algorithm == "EdDSA" ? Array(SHA512.hash(data: access)) : Array(SHA256.hash(data: access))
            #expect(claims["at_hash"]?.string == Base64URL.encode(Array(hash.prefix(hash.count / 2))))
            let info = await test.send("GET", "/userinfo", headers: [("authorization", "Bearer \(answer.text("access_token"))")])
            #expect(info.header("content-type") == "application/jwt")
            let told = try await test.verified(String(decoding: info.body, as: UTF8.self), for: algorithm)
            #expect(told["email"]?.string == "alice@example.com" && told["sub"] == claims["sub"])
            #expect(await !test.isValid(String(decoding: info.body, as: UTF8.self)))
        }
        let plain = TestClient(id: "plain", secret: "0123456789abcdef0123456789abcdef")
        let token = await plain.token(test, [("grant_type", "client_credentials")]).text("access_token")
        let told = await plain.post(
            test, "/introspect", [("token", token)], headers: [("accept", "application/token-introspection+jwt")])
        #expect(told.header("content-type") == "application/token-introspection+jwt")
        let jwt = String(decoding: told.body, as: UTF8.self)
        let claims = try await test.verified(jwt, for: "plain", type: "token-introspection+jwt")
        #expect(claims["token_introspection"]?.object?["active"]?.bool == true && claims["sub"] == nil && claims["exp"] == nil)
        let ended = await plain.post(test, "/introspect", [("token", "x")], headers: [("accept", "application/token-introspection+jwt")])
        let inactive = try await test.verified(String(decoding: ended.body, as: UTF8.self), for: "plain")
        #expect(inactive["token_introspection"]?.object.map { Array($0.members.map(\.name)) } == ["active"])
    }
}

@Suite("Profiles of clients: FAPI 2.0 Security Profile", .timeLimit(.minutes(2)))
struct ProfileTests {
    @Test("§5.3.2.1: refresh tokens of confidential clients with a key are not rotated; those of public clients always are")
    func refresh() async throws {
        let client = try ProvingClient()
        let test = try await TestNode.proving(
            client,
            """
              - {id: bank, grants: [authorization_code, refresh_token], scopes: [openid, offline_access, "orders:read"], profile: fapi-2.0,
                 redirect_uris: ["https://bank.example.com/cb"], first_party: true, token_endpoint_auth_method: private_key_jwt,
                 dpop_bound_access_tokens: true, jwks: \(client.jwks)}
            """)
        let bank = TestClient(id: "bank", redirectURI: "https://bank.example.com/cb")
        let url = "http://localhost:8080"
        let probe = await TestClient(id: "plain", secret: "0123456789abcdef0123456789abcdef").token(
            test, [("grant_type", "client_credentials")],
            headers: [("dpop", try client.proof("POST", url + "/token", id: "0", at: test.clock.now))])
        let nonce = try #require(probe.header("dpop-nonce"))
        func call(_ path: String, _ form: [(String, String)]) async throws -> Answer {
            let assertion = JSONObject([
                ("iss", .string("bank")), ("sub", .string("bank")), ("aud", .string(url)), ("jti", .string(UUID().uuidString)),
                ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
            ])
            let proof = try client.proof("POST", url + path, nonce: nonce, id: UUID().uuidString, at: test.clock.now)
            let all = form + [("client_assertion_type", TestNode.assertionType), ("client_assertion", try client.signed(assertion))]
            return await bank.post(test, path, all, headers: [("dpop", proof)])
        }
        // §5.3.2.2: pushed, or not at all.
        #expect(await TestBrowser(test).get(bank.request()).told["error"] == "invalid_request")
        let query = bank.request([("scope", "openid orders:read offline_access")]).split(separator: "?")[1]
        let pushed = try await call("/par", try FormParameters(Array(query.utf8)).members.map { ($0.name, $0.value) })
        #expect(pushed.status == 201, "\(pushed.text("error_description"))")
        let browser = TestBrowser(test)
        let target = "/authorize?" + FormParameters([("client_id", "bank"), ("request_uri", pushed.text("request_uri"))]).encoded
        let back = try await browser.signIn(await browser.get(target)).parameters()
        let tokens = try await call(
            "/token",
            [
                ("grant_type", "authorization_code"), ("code", try #require(back["code"])), ("redirect_uri", bank.redirectURI),
                ("code_verifier", bank.verifier),
            ])
        #expect(tokens.status == 200 && tokens.text("token_type") == "DPoP", "\(tokens.text("error_description"))")
        let token = tokens.text("refresh_token")
        var seen = Set<String>()
        for _ in 0..<5 {
            let answer = try await call("/token", [("grant_type", "refresh_token"), ("refresh_token", token)])
            #expect(answer.status == 200)
            // The same one, or none beside the access token (RFC 6749 §6).
            seen.insert(answer.json["refresh_token"]?.string ?? token)
        }
        #expect(seen == [token])
        let grant = try #require(try await test.onlyGrant(of: tokens))
        #expect(grant.rotation.current == 1)
        // Without the key it is worth nothing.
        let assertion = JSONObject([
            ("iss", .string("bank")), ("sub", .string("bank")), ("aud", .string(url)), ("jti", .string("last")),
            ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
        ])
        let bare = await bank.post(
            test, "/token",
            [
                ("grant_type", "refresh_token"), ("refresh_token", token), ("client_assertion_type", TestNode.assertionType),
                ("client_assertion", try client.signed(assertion)),
            ])
        #expect(bare.error == "invalid_dpop_proof")
    }

    @Test("Model Context Protocol: a client of the profile names the resource, and its token is for that alone")
    func mcp() async throws {
        let test = try await TestNode.proving(
            try ProvingClient(),
            """
              - {id: agent, public: true, first_party: true, profile: mcp, grants: [authorization_code], scopes: ["orders:read"],
                 redirect_uris: ["http://127.0.0.1:9000/callback"]}
            """)
        let agent = TestClient(id: "agent")
        #expect(await TestBrowser(test).get(agent.request([("scope", "orders:read")])).told["error"] == "invalid_target")
        let browser = TestBrowser(test)
        let seen = await browser.signIn(await browser.get(agent.request([("scope", "orders:read"), ("resource", "orders")])))
        let answer = await agent.exchange(try #require(try seen.parameters()["code"]), test)
        #expect(try answer.claims()["aud"]?.string == "orders")
    }

    @Test("§5.3.2.1: such a client authenticates with a key alone; nothing of RFC 9700 is loosened by anything but the profile legacy")
    func loosened() async throws {
        let secret = "0123456789abcdef0123456789abcdef"
        let base = "grants: [authorization_code], redirect_uris: [\"https://old.example.com/cb\"], scopes: [openid, \"orders:read\"]"
        let test = try await TestNode.proving(
            try ProvingClient(), "  - {id: old, secret: \(secret), profile: legacy, \(base)}\n  - {id: new, secret: \(secret), \(base)}\n")
        for (id, isLoose) in [("old", true), ("new", false)] {
            let client = TestClient(id: id, secret: secret, redirectURI: "https://old.example.com/cb")
            let seen = await TestBrowser(test).get(client.request([("code_challenge", ""), ("code_challenge_method", "")]))
            #expect(seen.title.hasPrefix("Sign in") == isLoose, "\(id)")
            #expect((seen.told["error"] == "invalid_request") != isLoose, "\(id)")
            // What even OAuth 2.0 forbids stays forbidden.
            for (name, value) in [("code_challenge_method", "plain"), ("response_type", "token"), ("response_type", "id_token")] {
                #expect(await TestBrowser(test).get(client.request([(name, value)])).told["error"] != nil, "\(id) \(value)")
            }
        }
    }
}
