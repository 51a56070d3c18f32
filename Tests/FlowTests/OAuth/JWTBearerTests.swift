import AuthCore
import OAuthServer
import Store
import TestSupport
import Testing
import TokenVerification

@testable import TokenKeys
@testable import gatehouse

/// An issuer elsewhere whose assertions the client `partner` may turn into tokens.
final class TrustedIssuer: Sendable {
    static let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    static let name = "https://hr.example"
    static let partner = TestClient(id: "partner", secret: "0123456789abcdef0123456789abcdef")

    let test: TestNode
    private let keys: Backend
    private let key: PrivateKey

    init(_ more: String = "", resources change: (String) -> String = { $0 }) async throws {
        let key = try PrivateKey(generating: .es256)
        let jwk = JSONValue.object(try key.verificationKey(id: "hr-1").publicJWK)
        let set = String(decoding: JSONValue.object(JSONObject([("keys", .array([jwk]))])).encoded, as: UTF8.self)
        let keys = try await Backend.start { _ in
            .text("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(set.utf8.count)\r\n\r\n\(set)")
        }
        let client = """
              - {id: partner, secret: 0123456789abcdef0123456789abcdef, grants: [jwt_bearer, refresh_token, authorization_code], redirect_uris: ["https://p.example/cb"],
                 scopes: [openid, offline_access, "orders:read", "gatehouse:account"], assertion_issuer: "\(Self.name)",
                 assertion_jwks_uri: "http://127.0.0.1:\(keys.port)/jwks"\(more)}
            resources:

            """
        let resources = change(TestNode.oauthResources.replacing("resources:\n", with: client))
        test = try await TestNode.start(["--outbound.allow", "127.0.0.1:\(keys.port)"], resources: resources)
        (self.keys, self.key) = (keys, key)
    }

    func stop() async { await keys.stop() }

    /// An assertion about alice; a claim that is nothing is left out.
    func assertion(
        _ id: String, _ changes: [String: JSONValue?] = [:], header: [String: JSONValue] = [:], key other: PrivateKey? = nil
    ) throws -> String {
        let now = test.clock.now.seconds
        var claims = JSONObject([
            ("iss", .string(Self.name)), ("sub", .string("alice")), ("aud", .string("http://localhost:8080")), ("jti", .string(id)),
            ("iat", .number(JSONNumber(now))), ("exp", .number(JSONNumber(now + 300))),
        ])
        for (name, value) in changes { claims[name] = value }
        var head = JSONObject([("alg", .string("ES256")), ("kid", .string("hr-1"))])
        for (name, value) in header { head[name] = value }
        let input = [head, claims].map { Base64URL.encode(JSONValue.object($0).encoded) }.joined(separator: ".")
        return input + "." + Base64URL.encode(try (other ?? key).signature(for: Array(input.utf8)))
    }

    func token(_ assertion: String, _ more: [(String, String)] = [("scope", "orders:read")]) async -> Answer {
        await Self.partner.token(test, [("grant_type", Self.grant), ("assertion", assertion)] + more)
    }
}

@Suite("RFC 7523 §2.1 a JWT as an authorization grant")
struct JWTBearerTests {
    @Test("§2.1, RFC 7521 §4.1: an access token of the account that the assertion names, and no refresh token")
    func granted() async throws {
        let issuer = try await TrustedIssuer()
        let answer = await issuer.token(try issuer.assertion("a"))
        #expect(answer.status == 200, "\(answer.error ?? "") \(answer.text("error_description"))")
        #expect(answer.json["refresh_token"] == nil && answer.json["id_token"] == nil && answer.json["sid"] == nil)
        let (claims, account) = (try answer.claims(), try await issuer.test.account("alice"))
        #expect(claims["sub"]?.string == account?.id.text && claims["client_id"]?.string == "partner")
        #expect(claims["scope"]?.string == "orders:read" && claims["aud"]?.string == "orders")
        for name in ["sid", "acr", "amr", "auth_time", "act"] { #expect(claims[name] == nil, "\(name)") }
        #expect(await issuer.test.isValid(answer.text("access_token")))
        let events = try await issuer.test.store.events(before: nil, limit: 1, account: account?.id)
        #expect(events.first?.event.kind == .authorized && events.first?.event.clientID == "partner")
        await issuer.stop()
    }

    @Test("§3: one that lacks something, is too old, lives too long, or is for somebody else is invalid_grant (§3.1)")
    func refused() async throws {
        let issuer = try await TrustedIssuer()
        let now = issuer.test.clock.now.seconds
        func number(_ value: Int64) -> JSONValue { .number(JSONNumber(value)) }
        let changes: [[String: JSONValue?]] = [
            ["iss": nil], ["iss": .string("https://other.example")], ["iss": .string("http://localhost:8080")], ["sub": nil],
            ["aud": nil], ["aud": .string("https://other.example")], ["aud": .string("http://localhost:8080/")], ["exp": nil],
            ["exp": number(now - 20)], ["exp": number(now + 3_700)], ["nbf": number(now + 60)], ["iat": number(now + 60)], ["jti": nil],
            ["exp": .string("x")],
        ]
        for (number, change) in changes.enumerated() {
            let answer = await issuer.token(try issuer.assertion("r\(number)", change))
            #expect(answer.status == 400 && answer.error == "invalid_grant", "\(change)")
        }
        let other = try PrivateKey(generating: .es256)
        #expect(await issuer.token(try issuer.assertion("k", key: other)).error == "invalid_grant")
        #expect(await issuer.token(try issuer.assertion("n", header: ["alg": .string("none")])).error == "invalid_grant")
        #expect(await issuer.token(try issuer.assertion("i", header: ["kid": .string("hr-2")])).error == "invalid_grant")
        for type in ["at+jwt", "logout+jwt", "dpop+jwt"] {
            #expect(await issuer.token(try issuer.assertion("t", header: ["typ": .string(type)])).error == "invalid_grant", "\(type)")
        }
        for text in ["x", "a.b.c", try issuer.assertion("c") + "x", String(try issuer.assertion("c").dropLast())] {
            #expect(await issuer.token(text).error == "invalid_grant")
        }
        #expect(await issuer.token("").error == "invalid_request")
        for aud in ["http://localhost:8080", "http://localhost:8080/token"] {
            let answer = await issuer.token(try issuer.assertion("good \(aud)", ["aud": .array([.string(aud), .string("x")])]))
            #expect(answer.status == 200)
        }
        await issuer.stop()
    }

    @Test("§3, CA-05: a jti counts once, of 64 at once too; what was refused before it was used up may come again")
    func replay() async throws {
        let issuer = try await TrustedIssuer()
        let assertion = try issuer.assertion("once")
        #expect(await issuer.token(assertion, [("scope", "nothing")]).error == "invalid_scope")
        let answers = await withTaskGroup(of: Answer.self) { group in
            for _ in 0..<64 { group.addTask { await issuer.token(assertion) } }
            return await group.reduce(into: [Answer]()) { $0.append($1) }
        }
        #expect(answers.filter { $0.status == 200 }.count == 1)
        #expect(answers.filter { $0.error == "invalid_grant" }.count == 63)
        // Another assertion under the same name.
        #expect(await issuer.token(try issuer.assertion("once", ["nonce": .string("x")])).error == "invalid_grant")
        #expect(await issuer.token(try issuer.assertion("twice")).status == 200)
        await issuer.stop()
    }

    @Test("the subject is a user name here, byte for byte; of one that is disabled or unknown nothing is said")
    func subjects() async throws {
        let issuer = try await TrustedIssuer()
        let account = try await issuer.test.account("alice")
        var texts = Set<String>()
        for (number, subject) in ["Alice", "alice@example.com", "nobody", account?.id.text ?? "", "alice "].enumerated() {
            let answer = await issuer.token(try issuer.assertion("s\(number)", ["sub": .string(subject)]))
            #expect(answer.error == "invalid_grant", "\(subject)")
            texts.insert(answer.text("error_description"))
        }
        _ = await issuer.test.send("PATCH", "/admin/users/alice", Array(#"{"disabled":true}"#.utf8), to: .control)
        let disabled = await issuer.token(try issuer.assertion("d"))
        #expect(disabled.error == "invalid_grant")
        texts.insert(disabled.text("error_description"))
        #expect(texts.count == 1)
        await issuer.stop()
    }

    @Test("scopes are those that roles and client have; never Gatehouse's own, never offline_access")
    func scopes() async throws {
        let issuer = try await TrustedIssuer()
        #expect(await issuer.token(try issuer.assertion("a"), []).text("scope") == "orders:read")
        for scope in ["orders:write", "reports:read", "gatehouse:account", "offline_access"] {
            #expect(await issuer.token(try issuer.assertion(scope), [("scope", scope)]).error == "invalid_scope", "\(scope)")
        }
        let narrow = await issuer.token(try issuer.assertion("n"), [("scope", "orders:read offline_access"), ("resource", "orders")])
        #expect(narrow.text("scope") == "orders:read")
        #expect(await issuer.token(try issuer.assertion("r"), [("resource", "reports")]).error == "invalid_target")
        await issuer.stop()
    }

    @Test("only a client that proves itself, with the grant, whose operator named an issuer")
    func clients() async throws {
        let issuer = try await TrustedIssuer()
        let assertion = try issuer.assertion("a")
        let form = [("grant_type", TrustedIssuer.grant), ("assertion", assertion)]
        #expect(await TestClient(id: "partner").token(issuer.test, form).error == "invalid_client")
        #expect(await TestClient().token(issuer.test, form).error == "unauthorized_client")
        #expect(await TestClient.ordersAPI.token(issuer.test, form).error == "unauthorized_client")
        #expect(await issuer.token(assertion).status == 200)
        await issuer.stop()
    }

    @Test(
        "what ends the account, its roles or the client ends the token", arguments: ["account", "password", "roles", "client", "deleted"])
    func dies(_ what: String) async throws {
        let issuer = try await TrustedIssuer(#", subject_type: public"#)
        let test = issuer.test
        let token = await issuer.token(try issuer.assertion("a")).text("access_token")
        #expect(await test.isValid(token))
        func patch(_ path: String, _ body: String) async { _ = await test.send("PATCH", path, Array(body.utf8), to: .control) }
        switch what {
        case "account": await patch("/admin/users/alice", #"{"disabled":true}"#)
        case "password": await patch("/admin/users/alice", #"{"password":"another-long-password"}"#)
        case "roles": await patch("/admin/users/alice", #"{"roles":[]}"#)
        case "deleted": _ = await test.send("DELETE", "/admin/users/alice", to: .control)
        default: await patch("/admin/clients/partner", #"{"disabled":true}"#)
        }
        #expect(await !test.isValid(token))
        // And is still refused when the store has had time to forget.
        try await test.advance(.seconds(240))
        #expect(await !test.isValid(token))
        await issuer.stop()
    }

    @Test("keys that cannot be had are no trust: the assertion is refused")
    func unreachable() async throws {
        let issuer = try await TrustedIssuer()
        await issuer.stop()
        #expect(await issuer.token(try issuer.assertion("a")).error == "invalid_grant")
    }
}
