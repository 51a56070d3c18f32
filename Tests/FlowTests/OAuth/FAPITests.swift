import AuthCore
import Foundation
import OAuthServer
import Store
import Testing
import TokenVerification

@testable import gatehouse

/// Clients of the profile `fapi-2.0`, and the same ones without it.
struct FAPIScene: Sendable {
    static let issuer = "http://localhost:8080"
    let test: TestNode
    let key: ProvingClient
    let bank = TestClient(id: "bank", redirectURI: "https://bank.example.com/cb")

    init(_ key: ProvingClient? = nil) async throws {
        let key = try key ?? ProvingClient()
        self.key = key
        let base = """
            grants: [authorization_code, refresh_token, client_credentials], scopes: [openid, offline_access, "orders:read"], \
            first_party: true, jwks: \(key.jwks)
            """
        test = try await TestNode.proving(
            key,
            """
              - {id: bank, profile: fapi-2.0, token_endpoint_auth_method: private_key_jwt, dpop_bound_access_tokens: true,
                 redirect_uris: ["https://bank.example.com/cb"], \(base)}
              - {id: keyed, profile: fapi-2.0, redirect_uris: ["https://keyed.example.com/cb"], \(base)}
              - {id: twin, redirect_uris: ["https://twin.example.com/cb"], \(base)}
            """)
    }

    /// Claims of a client's assertion.
    func claims(_ id: String, _ change: (inout JSONObject) -> Void = { _ in }) -> JSONObject {
        var claims = JSONObject([
            ("iss", .string(id)), ("sub", .string(id)), ("aud", .string(Self.issuer)), ("jti", .string(UUID().uuidString)),
            ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
        ])
        change(&claims)
        return claims
    }

    /// What proves the client.
    func asserted(_ id: String, _ change: (inout JSONObject) -> Void = { _ in }) throws -> [(String, String)] {
        [("client_assertion_type", TestNode.assertionType), ("client_assertion", try key.signed(claims(id, change)))]
    }

    /// A good proof of the key.
    func proof(_ path: String, method: String = "POST", token: String? = nil, by other: ProvingClient? = nil) throws -> String {
        try (other ?? key).proof(
            method, Self.issuer + path, token: token, nonce: test.node.oauth.sender.nonce(at: test.clock.now), id: UUID().uuidString,
            at: test.clock.now)
    }

    /// Proved by the key, with a proof of it.
    func call(_ client: TestClient, _ path: String, _ form: [(String, String)]) async throws -> Answer {
        await client.post(test, path, form + (try asserted(client.id)), headers: [("dpop", try proof(path))])
    }

    /// The parameters of `client.request`.
    func form(_ client: TestClient, _ more: [(String, String)] = []) throws -> [(String, String)] {
        try FormParameters(Array(client.request(more).split(separator: "?")[1].utf8)).members.map { ($0.name, $0.value) }
    }

    /// Through the whole way of `bank`.
    func tokens(_ scope: String = "openid orders:read offline_access") async throws -> Answer {
        let pushed = try await call(bank, "/par", try form(bank, [("scope", scope)]))
        let browser = TestBrowser(test)
        let target = "/authorize?" + FormParameters([("client_id", "bank"), ("request_uri", pushed.text("request_uri"))]).encoded
        let back = try await browser.signIn(await browser.get(target)).parameters()
        return try await call(
            bank, "/token",
            [
                ("grant_type", "authorization_code"), ("code", try #require(back["code"])), ("redirect_uri", bank.redirectURI),
                ("code_verifier", bank.verifier),
            ])
    }
}

@Suite("FAPI 2.0 Security Profile §5.3.2, §5.4.1: what a client of the profile cannot do", .timeLimit(.minutes(2)))
struct FAPITests {
    @Test("§5.3.2.1: a secret proves no such client, though it may have one; without the profile the same secret does")
    func secret() async throws {
        let scene = try await FAPIScene()
        for (id, isGood) in [("keyed", false), ("twin", true)] {
            let made = await scene.test.send("POST", "/admin/clients/\(id)/secrets", to: .control)
            let secret = made.text("client_secret")
            #expect(!secret.isEmpty, "\(id): \(made.status)")
            let form = [("grant_type", "client_credentials"), ("scope", "orders:read")]
            let basic = "Basic " + Base64.encode(Array("\(id):\(secret)".utf8))
            let answers = [
                await TestClient(id: id).post(
                    scene.test, "/token", form + [("client_id", "")],
                    headers: [("authorization", basic), ("dpop", try scene.proof("/token"))]),
                await TestClient(id: id, secret: secret).token(scene.test, form, headers: [("dpop", try scene.proof("/token"))]),
            ]
            for answer in answers {
                #expect((answer.status == 200) == isGood, "\(id): \(answer.status) \(answer.text("error_description"))")
                if !isGood { #expect(answer.status == 401 && answer.error == "invalid_client") }
            }
            // With its key it is served.
            #expect(try await scene.call(TestClient(id: id), "/token", form).status == 200, "\(id)")
        }
    }

    @Test("§5.3.2.2: each request names its redirect URI, also without openid and with only one registered")
    func redirectURI() async throws {
        let scene = try await FAPIScene()
        for (client, isGood) in [
            (scene.bank, false), (TestClient(id: "twin", redirectURI: "https://twin.example.com/cb"), true),
        ] {
            let form = try scene.form(client, [("scope", "orders:read"), ("redirect_uri", "")])
            let left = try await scene.call(client, "/par", form)
            #expect((left.status == 201) == isGood, "\(client.id): \(left.status)")
            if !isGood { #expect(left.error == "invalid_request") }
            #expect(try await scene.call(client, "/par", form + [("redirect_uri", client.redirectURI)]).status == 201, "\(client.id)")
        }
    }

    @Test("module refresh-token: without the client's own proof a refresh token buys nothing, and is not used up")
    func refreshAlone() async throws {
        let scene = try await FAPIScene()
        let tokens = try await scene.tokens()
        #expect(tokens.status == 200 && tokens.text("token_type") == "DPoP", "\(tokens.text("error_description"))")
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.text("refresh_token"))]
        for form in [refresh, refresh + [("client_id", "")]] {
            let bare = await scene.bank.post(scene.test, "/token", form, headers: [("dpop", try scene.proof("/token"))])
            #expect(bare.status == 401 && bare.error == "invalid_client", "\(bare.status)")
        }
        let other = await scene.bank.post(
            scene.test, "/token", refresh + (try scene.asserted("keyed")), headers: [("dpop", try scene.proof("/token"))])
        #expect(other.status == 401)
        #expect(try await scene.call(scene.bank, "/token", refresh).status == 200)
    }

    @Test("§5.4.1: PS256 proves a client and binds its tokens, at /par and at /token")
    func ps256() async throws {
        let scene = try await FAPIScene(try ProvingClient(.ps256))
        let tokens = try await scene.tokens()
        #expect(tokens.status == 200 && tokens.text("token_type") == "DPoP", "\(tokens.text("error_description"))")
        #expect(try tokens.claims()["cnf"]?.object?["jkt"]?.string == scene.key.jkt)
    }

    @Test("§5.3.2.1, RFC 7523 §3: for a client of the profile an assertion of another issuer is for our issuer alone")
    func grantAudience() async throws {
        let key = try ProvingClient()
        let plain = "secret: 0123456789abcdef0123456789abcdef, grants: [jwt_bearer"
        let strict = """
            profile: fapi-2.0, token_endpoint_auth_method: private_key_jwt, dpop_bound_access_tokens: true, jwks: \(key.jwks), \
            grants: [jwt_bearer
            """
        let issuer = try await TrustedIssuer { $0.replacing(plain, with: strict) }
        let test = issuer.test
        func token(_ id: String, _ audience: JSONValue) async throws -> Answer {
            let claims = JSONObject([
                ("iss", .string("partner")), ("sub", .string("partner")), ("aud", .string(FAPIScene.issuer)), ("jti", .string(id)),
                ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
            ])
            let proof = try key.proof(
                "POST", FAPIScene.issuer + "/token", nonce: test.node.oauth.sender.nonce(at: test.clock.now), id: id, at: test.clock.now)
            return await TestClient(id: "partner").token(
                test,
                [
                    ("grant_type", TrustedIssuer.grant), ("assertion", try issuer.assertion(id, ["aud": audience])),
                    ("scope", "orders:read"), ("client_assertion_type", TestNode.assertionType),
                    ("client_assertion", try key.signed(claims)),
                ], headers: [("dpop", proof)])
        }
        let good = try await token("good", .string(FAPIScene.issuer))
        #expect(good.status == 200 && good.text("token_type") == "DPoP", "\(good.text("error_description"))")
        let others: [JSONValue] = [
            .string(FAPIScene.issuer + "/token"), .array([.string(FAPIScene.issuer), .string("x")]),
            .array([.string(FAPIScene.issuer), .string(FAPIScene.issuer + "/token")]),
        ]
        for (number, audience) in others.enumerated() {
            let answer = try await token("bad\(number)", audience)
            #expect(answer.status == 400 && answer.error == "invalid_grant", "\(audience): \(answer.status)")
        }
        await issuer.stop()
    }
}
