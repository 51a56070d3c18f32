import AuthCore
import Crypto
import OAuthServer
import Testing

@testable import gatehouse

// Parameters at their bounds, and those that are left out.
extension CodeFlowTests {
    @Test("RFC 7636 §4.1, TK-14: a verifier is 43 to 128 unreserved characters; any other is invalid_request and uses nothing up")
    func verifiers() async throws {
        let test = try await TestNode.oauth()
        let all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
        let long = String((all + all).prefix(128))
        for verifier in [String(all.prefix(43)), String(all.suffix(43)), long] {
            let client = TestClient(verifier: verifier)
            #expect(await client.exchange(try await test.authorized(client).code, test).status == 200, "\(verifier)")
        }
        let short = String(long.prefix(42))
        for verifier in [short, long + "x", short + "!", short + "+", short + "/", short + "=", short + " ", short + "ä"] {
            // With the right challenge: it is the verifier itself that is refused.
            let challenge = Base64URL.encode(Array(SHA256.hash(data: Array(verifier.utf8))))
            let code = try await test.authorized(TestClient(), "alice", [("code_challenge", challenge)]).code
            let answer = await TestClient(verifier: verifier).exchange(code, test)
            #expect(answer.status == 400 && answer.error == "invalid_request", "\(verifier): \(answer.status) \(answer.error ?? "")")
        }
        let (client, code) = (TestClient(verifier: long), try await test.authorized(TestClient(verifier: long)).code)
        #expect(await client.exchange(code, test, [("code_verifier", long + "x")]).error == "invalid_request")
        #expect(await client.exchange(code, test).status == 200)
    }

    @Test("RFC 6749 §3.1.2.3: a client with one redirect URI may leave it out, and then also with the code; one with two may not")
    func leftOut() async throws {
        let test = try await TestNode.oauth()
        let (client, scope) = (TestClient(), ("scope", "orders:read"))
        let code = try await test.authorized(client, "alice", [scope, ("redirect_uri", "")]).code
        #expect(await client.exchange(code, test, [("redirect_uri", "http://127.0.0.1:9000/other")]).error == "invalid_grant")
        let tokens = await client.exchange(code, test, [("redirect_uri", "")])
        #expect(tokens.status == 200 && tokens.text("scope") == "orders:read", "\(tokens.text("error_description"))")
        // It leads to the registered one.
        let browser = try await test.authorized().browser
        let back = await browser.get(client.request([scope, ("redirect_uri", "")]))
        #expect(back.location?.hasPrefix("http://127.0.0.1:9000/callback?code=") == true)
        for more in [[scope, ("redirect_uri", "")], [("redirect_uri", "")]] {
            let page = await TestBrowser(test).get(TestClient.shop.request(more))
            #expect(page.status == 400 && page.location == nil && page.title == "This did not work")
        }
    }

    @Test("AZ-24, AZ-25: state and nonce come back as they were sent, up to their bounds, and are never cut; Location is all ASCII")
    func states() async throws {
        let test = try await TestNode.oauth()
        let client = TestClient()
        let browser = try await test.authorized().browser
        let states = [
            String(repeating: "s", count: 1_000), String(repeating: "s", count: 4_096), "\r\nset-cookie: a=b", "%0D%0A", "ä\u{1F600}\t&=#?",
            "\"<>\\'", "+ %2B",
        ]
        for state in states {
            let seen = await browser.get(client.request([("state", state)]))
            #expect(try seen.parameters()["state"] == state, "\(state.prefix(20))")
            let location = try #require(seen.location)
            #expect(location.utf8.allSatisfy { (0x21...0x7E).contains($0) }, "\(location.prefix(100))")
            #expect(!seen.answer.headers.contains { $0.name == "set-cookie" && $0.value.hasPrefix("a=") })
        }
        // There is nowhere to send a state back that is not read.
        let long = await browser.get(client.request([("state", String(repeating: "s", count: 4_097))]))
        #expect(long.status == 400 || long.told["error"] == "invalid_request")
        #expect(long.told["state"] == nil && long.told["code"] == nil)
        for nonce in [String(repeating: "n", count: 1_024), "ä\u{1F600} +%0D%0A\r\n"] {
            let code = try #require(try await browser.get(client.request([("nonce", nonce)])).parameters()["code"])
            let token = await client.exchange(code, test).text("id_token")
            #expect(try await test.verified(token, for: "web")["nonce"]?.string == nonce)
        }
        let refused = try await browser.get(client.request([("nonce", String(repeating: "n", count: 1_025))])).parameters()
        #expect(refused["error"] == "invalid_request" && refused["code"] == nil && refused["state"] == "s t/+")
    }
}
