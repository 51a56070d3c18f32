import AuthCore
import Foundation
import OAuthServer
import Store
import TestSupport
import Testing
import TokenVerification

@testable import gatehouse

/// The token and pushed request endpoints, with proofs of a key.
@Suite("RFC 9449 §5, §8, §10: DPoP at the token endpoint", .timeLimit(.minutes(2)))
struct DPoPTokenTests {
    private static let url = "http://localhost:8080/token"

    private func nonce(_ test: TestNode, _ client: ProvingClient, _ who: TestClient) async throws -> String {
        let first = try client.proof("POST", Self.url, id: UUID().uuidString, at: test.clock.now)
        let asked = await who.token(test, [("grant_type", "client_credentials")], headers: [("dpop", first)])
        #expect(asked.status == 400 && asked.error == "use_dpop_nonce")
        return try #require(asked.header("dpop-nonce"))
    }

    private let plain = TestClient(id: "plain", secret: "0123456789abcdef0123456789abcdef")

    @Test("§5, §8: first use_dpop_nonce, then a token that is bound to the key and of type DPoP (DP-01)")
    func bound() async throws {
        let client = try ProvingClient()
        let test = try await TestNode.proving(client)
        let nonce = try await nonce(test, client, plain)
        let proof = try client.proof("POST", Self.url, nonce: nonce, id: "1", at: test.clock.now)
        let answer = await plain.token(test, [("grant_type", "client_credentials")], headers: [("dpop", proof)])
        #expect(answer.status == 200 && answer.text("token_type") == "DPoP")
        #expect(try answer.claims()["cnf"]?.object?["jkt"]?.string == client.jkt)
        // The nonce serves again; whoever sends no proof gets a bearer token.
        let again = try client.proof("POST", Self.url, nonce: nonce, id: "2", at: test.clock.now)
        #expect(await plain.token(test, [("grant_type", "client_credentials")], headers: [("dpop", again)]).status == 200)
        let bearer = await plain.token(test, [("grant_type", "client_credentials")])
        #expect(bearer.text("token_type") == "Bearer")
        #expect(try bearer.claims()["cnf"] == nil)
    }

    @Test("§4.3, DP-02: a proof that does not fit buys nothing, and costs the client nothing")
    func refused() async throws {
        let client = try ProvingClient()
        let test = try await TestNode.proving(client)
        let nonce = try await nonce(test, client, plain)
        let at = test.clock.now
        let rows: [(String, [String], String)] = [
            ("another method", [try client.proof("GET", Self.url, nonce: nonce, id: "a", at: at)], "invalid_dpop_proof"),
            ("another path", [try client.proof("POST", "http://localhost:8080/par", nonce: nonce, id: "b", at: at)], "invalid_dpop_proof"),
            (
                "another host", [try client.proof("POST", "http://localhost:8081/token", nonce: nonce, id: "c", at: at)],
                "invalid_dpop_proof"
            ),
            ("too old", [try client.proof("POST", Self.url, nonce: nonce, id: "d", at: at - .seconds(3_600))], "invalid_dpop_proof"),
            ("of tomorrow", [try client.proof("POST", Self.url, nonce: nonce, id: "e", at: at + .seconds(3_600))], "invalid_dpop_proof"),
            ("another nonce", [try client.proof("POST", Self.url, nonce: "x", id: "f", at: at)], "use_dpop_nonce"),
            ("no nonce", [try client.proof("POST", Self.url, id: "g", at: at)], "use_dpop_nonce"),
            (
                "two",
                [
                    try client.proof("POST", Self.url, nonce: nonce, id: "h", at: at),
                    try client.proof("POST", Self.url, nonce: nonce, id: "i", at: at),
                ], "invalid_dpop_proof"
            ),
            ("no proof at all", ["x"], "invalid_dpop_proof"), ("empty", [""], "invalid_dpop_proof"),
        ]
        for (name, proofs, error) in rows {
            let answer = await plain.token(test, [("grant_type", "client_credentials")], headers: proofs.map { ("dpop", $0) })
            #expect(answer.status == 400 && answer.error == error, "\(name): \(answer.error ?? "\(answer.status)")")
            if error == "use_dpop_nonce" { #expect(answer.header("dpop-nonce") != nil, "\(name)") }
        }
    }

    @Test("§11.1, DP-03: at the token endpoint a proof is good once, for all nodes, also with 64 callers at once")
    func once() async throws {
        let client = try ProvingClient()
        let test = try await TestNode.proving(client)
        let nonce = try await nonce(test, client, plain)
        let proof = try client.proof("POST", Self.url, nonce: nonce, id: "once", at: test.clock.now)
        let (who, headers) = (plain, [("dpop", proof)])
        let won = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<64 {
                group.addTask { await who.token(test, [("grant_type", "client_credentials")], headers: headers).status }
            }
            return await group.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
        }
        #expect(won == [200: 1, 400: 63])
        // Of another key the same id is another proof.
        let other = try ProvingClient().proof("POST", Self.url, nonce: nonce, id: "once", at: test.clock.now)
        #expect(await plain.token(test, [("grant_type", "client_credentials")], headers: [("dpop", other)]).status == 200)
    }

    private func browsed(_ test: TestNode, _ client: TestClient, _ more: [(String, String)]) async throws -> String {
        let browser = TestBrowser(test)
        let seen = await browser.signIn(await browser.get(client.request(more)))
        return try #require(try seen.parameters()["code"])
    }

    @Test("§10: a code that was asked for with dpop_jkt is worth nothing to another key, and nothing without one")
    func boundCode() async throws {
        let (client, thief) = (try ProvingClient(), try ProvingClient())
        let test = try await TestNode.proving(client)
        let web = TestClient()
        let nonce = try await nonce(test, client, plain)
        let code = try await browsed(test, web, [("dpop_jkt", client.jkt)])
        let stolen = try thief.proof("POST", Self.url, nonce: nonce, id: "1", at: test.clock.now)
        #expect(await web.exchange(code, test).error == "invalid_grant")
        let form = [
            ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", web.redirectURI), ("code_verifier", web.verifier),
        ]
        #expect(await web.token(test, form, headers: [("dpop", stolen)]).error == "invalid_grant")
        let own = try client.proof("POST", Self.url, nonce: nonce, id: "2", at: test.clock.now)
        let answer = await web.token(test, form, headers: [("dpop", own)])
        #expect(answer.status == 200 && answer.text("token_type") == "DPoP")
        let browser = TestBrowser(test)
        let malformed = await browser.get(web.request([("dpop_jkt", "short")]))
        #expect(try malformed.parameters()["error"] == "invalid_request")
    }

    @Test(
        "§5: the refresh tokens of a public client are bound to the key of the first request; those of a confidential one are not (DP-07)")
    func refreshed() async throws {
        let (client, thief) = (try ProvingClient(), try ProvingClient())
        let test = try await TestNode.proving(client)
        let web = TestClient()
        let nonce = try await nonce(test, client, plain)
        func proof(_ who: ProvingClient, _ id: String) throws -> [(String, String)] {
            [("dpop", try who.proof("POST", Self.url, nonce: nonce, id: id, at: test.clock.now))]
        }
        let code = try await browsed(test, web, [("scope", "openid orders:read offline_access")])
        let form = [
            ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", web.redirectURI), ("code_verifier", web.verifier),
        ]
        let first = await web.token(test, form, headers: try proof(client, "1"))
        #expect(first.status == 200 && first.text("token_type") == "DPoP")
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", first.text("refresh_token"))]
        #expect(await web.token(test, refresh).error == "invalid_grant")
        #expect(await web.token(test, refresh, headers: try proof(thief, "2")).error == "invalid_grant")
        let second = await web.token(test, refresh, headers: try proof(client, "3"))
        #expect(second.status == 200 && second.text("token_type") == "DPoP")
        #expect(try second.claims()["cnf"]?.object?["jkt"]?.string == client.jkt)

        // A confidential client proves itself anyway, and may take another key.
        let assertion = { (id: String) throws -> [(String, String)] in
            let claims = JSONObject([
                ("iss", .string("signer")), ("sub", .string("signer")), ("aud", .string("http://localhost:8080")), ("jti", .string(id)),
                ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
            ])
            return [("client_assertion_type", TestNode.assertionType), ("client_assertion", try client.signed(claims))]
        }
        let signer = TestClient(id: "signer", redirectURI: "https://signer.example.com/cb")
        let theirs = try await browsed(test, signer, [("scope", "openid orders:read offline_access")])
        let redeemed = await signer.token(
            test,
            [
                ("grant_type", "authorization_code"), ("code", theirs), ("redirect_uri", signer.redirectURI),
                ("code_verifier", signer.verifier),
            ] + (try assertion("a")), headers: try proof(client, "4"))
        #expect(redeemed.status == 200)
        let again = await signer.token(
            test, [("grant_type", "refresh_token"), ("refresh_token", redeemed.text("refresh_token"))] + (try assertion("b")),
            headers: try proof(thief, "5"))
        #expect(again.status == 200)
        #expect(try again.claims()["cnf"]?.object?["jkt"]?.string == thief.jkt)
    }

    @Test("§5.2, FAPI 2.0 §5.3.2.1: a client whose tokens must be bound gets none without a proof; metadata names the algorithms (§5.1)")
    func demanded() async throws {
        let client = try ProvingClient()
        let test = try await TestNode.proving(client)
        let claims = JSONObject([
            ("iss", .string("strict")), ("sub", .string("strict")), ("aud", .string("http://localhost:8080")), ("jti", .string("1")),
            ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
        ])
        #expect(await test.asserted(try client.signed(claims)).error == "invalid_dpop_proof")
        let metadata = await test.send("GET", "/.well-known/oauth-authorization-server")
        #expect(metadata.json["dpop_signing_alg_values_supported"]?.strings?.contains("ES256") == true)
        #expect(metadata.json["dpop_signing_alg_values_supported"]?.strings?.contains("HS256") == false)
    }

    @Test("§10.1: a proof at the pushed request endpoint binds the code")
    func pushed() async throws {
        let (client, thief) = (try ProvingClient(), try ProvingClient())
        let test = try await TestNode.proving(client)
        let web = TestClient()
        let nonce = try await nonce(test, client, plain)
        let query = web.request().split(separator: "?")[1]
        let form = try FormParameters(Array(query.utf8)).members.map { ($0.name, $0.value) }
        func proof(_ who: ProvingClient, _ path: String, _ id: String) throws -> [(String, String)] {
            [("dpop", try who.proof("POST", "http://localhost:8080\(path)", nonce: nonce, id: id, at: test.clock.now))]
        }
        let answer = await web.post(test, "/par", form, headers: try proof(client, "/par", "1"))
        #expect(answer.status == 201)
        let other = await web.post(test, "/par", form + [("dpop_jkt", thief.jkt)], headers: try proof(client, "/par", "2"))
        #expect(other.status == 400)
        let browser = TestBrowser(test)
        let target = "/authorize?" + FormParameters([("client_id", "web"), ("request_uri", answer.text("request_uri"))]).encoded
        let code = try #require(try await browser.signIn(await browser.get(target)).parameters()["code"])
        let redeem = [
            ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", web.redirectURI), ("code_verifier", web.verifier),
        ]
        #expect(await web.token(test, redeem, headers: try proof(thief, "/token", "3")).error == "invalid_grant")
        #expect(await web.token(test, redeem, headers: try proof(client, "/token", "4")).status == 200)
    }
}
