import AuthCore
import Foundation
import OAuthServer
import Store
import Testing
import TokenKeys
import TokenVerification

@testable import gatehouse

@Suite("FAPI 2.0 Security Profile: what binds a client of the profile", .timeLimit(.minutes(2)))
struct FAPIProfileTests {
    private static let url = "http://localhost:8080"

    /// A client of the profile that has registered nothing else, and its node.
    private struct Scene {
        let test: TestNode
        let client: ProvingClient
        let bank = TestClient(id: "bank", redirectURI: "https://bank.example.com/cb")
        init(settings: [String] = []) async throws {
            client = try ProvingClient()
            test = try await TestNode.proving(
                client,
                """
                  - {id: bank, grants: [authorization_code, refresh_token], scopes: [openid, "orders:read"], profile: fapi-2.0,
                     redirect_uris: ["https://bank.example.com/cb"], first_party: true, token_endpoint_auth_method: private_key_jwt,
                     serves: [orders], jwks: \(client.jwks)}
                """, settings: settings)
        }

        private func nonce() async throws -> String {
            let proof = try client.proof("POST", url + "/token", id: UUID().uuidString, at: test.clock.now)
            let probe = await TestClient(id: "plain", secret: "0123456789abcdef0123456789abcdef").token(
                test, [("grant_type", "client_credentials")], headers: [("dpop", proof)])
            return try #require(probe.header("dpop-nonce"))
        }

        /// - Parameter key: Of the proof.
        func call(_ path: String, _ form: [(String, String)], key: ProvingClient? = nil, accept: String? = nil) async throws -> Answer {
            let assertion = JSONObject([
                ("iss", .string("bank")), ("sub", .string("bank")), ("aud", .string(url)), ("jti", .string(UUID().uuidString)),
                ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
            ])
            let nonce = try await nonce()
            let proof = try (key ?? client).proof("POST", url + path, nonce: nonce, id: UUID().uuidString, at: test.clock.now)
            let all = form + [("client_assertion_type", TestNode.assertionType), ("client_assertion", try client.signed(assertion))]
            return await bank.post(test, path, all, headers: [("dpop", proof)] + (accept.map { [("accept", $0)] } ?? []))
        }

        /// The parameters that come back to the client.
        func authorized(_ more: [(String, String)] = []) async throws -> FormParameters {
            let query = bank.request(more).split(separator: "?")[1]
            let pushed = try await call("/par", try FormParameters(Array(query.utf8)).members.map { ($0.name, $0.value) })
            try #require(pushed.status == 201, "\(pushed.text("error_description"))")
            let browser = TestBrowser(test)
            let target = "/authorize?" + FormParameters([("client_id", "bank"), ("request_uri", pushed.text("request_uri"))]).encoded
            return try await browser.signIn(await browser.get(target)).parameters()
        }

        func redeem(_ code: String?, key: ProvingClient? = nil) async throws -> Answer {
            let form = [
                ("grant_type", "authorization_code"), ("code", code ?? ""), ("redirect_uri", bank.redirectURI),
                ("code_verifier", bank.verifier),
            ]
            return try await call("/token", form, key: key)
        }
    }

    private func algorithm(_ token: String) throws -> String? {
        try JSONReader.read(Base64URL.decode(String(token.prefix { $0 != "." })) ?? []).object?["alg"]?.string
    }

    @Test("§5.4.1: nothing that it gets is signed with RS256, although it has registered no algorithm")
    func algorithms() async throws {
        let scene = try await Scene()
        let tokens = try await scene.redeem(try await scene.authorized()["code"])
        #expect(try algorithm(tokens.text("id_token")) == "ES256")
        let answer = try await scene.authorized([("response_mode", "jwt")])
        #expect(try algorithm(try #require(answer["response"])) == "ES256")
        let told = try await scene.call(
            "/introspect", [("token", tokens.text("access_token"))], accept: "application/token-introspection+jwt")
        #expect(told.status == 200 && told.header("content-type")?.hasPrefix("application/token-introspection+jwt") == true)
        #expect(try algorithm(String(decoding: told.body, as: UTF8.self)) == "ES256")
        // Other clients have what OpenID Connect promises them.
        #expect(try #require(try await scene.test.store.client("plain")).idTokenAlgorithm == "RS256")
    }

    @Test("§5.4.1: a DPoP proof in RS256 binds nothing, at /token and at /par", arguments: ["/token", "/par"])
    func proofs(_ path: String) async throws {
        let scene = try await Scene()
        let weak = try ProvingClient(.rs256)
        if path == "/par" {
            let query = scene.bank.request().split(separator: "?")[1]
            let form = try FormParameters(Array(query.utf8)).members.map { ($0.name, $0.value) }
            #expect(try await scene.call("/par", form, key: weak).error == "invalid_dpop_proof")
            #expect(try await scene.call("/par", form).status == 201)
        } else {
            let code = try await scene.authorized()["code"]
            #expect(try await scene.redeem(code, key: weak).error == "invalid_dpop_proof")
            #expect(try await scene.redeem(code).status == 200)
        }
    }

    @Test("§5.3.2.1: its codes live for 60 seconds, whatever the setting says of others")
    func codeLifetime() async throws {
        let scene = try await Scene(settings: ["--tokens.code_ttl", "600s"])
        let (late, inTime) = (try await scene.authorized()["code"], try await scene.authorized()["code"])
        try await scene.test.advance(.seconds(59))
        #expect(try await scene.redeem(inTime).status == 200)
        try await scene.test.advance(.seconds(2))
        #expect(try await scene.redeem(late).error == "invalid_grant")
    }
}
