import AuthCore
import Crypto
import OAuthServer
import Testing

@testable import gatehouse

// The refreshed ID token, what a client registered of its requests and answers, and `claims` at its edges.
extension OpenIDTests {
    @Test("§12.2: a refreshed ID token is about the same sign-in, new, of the new access token, and without nonce (ID-12)")
    func refreshedIDToken() async throws {
        let test = try await TestNode.oauth()
        let client = TestClient()
        let tokens = await client.exchange(try await test.authorized(client).code, test)
        let first = try await test.verified(tokens.text("id_token"), for: "web")
        #expect(first["nonce"]?.string == "n-0S6")
        try await test.advance(.seconds(120))
        let refreshed = await client.refresh(tokens.text("refresh_token"), test)
        let again = try await test.verified(refreshed.text("id_token"), for: "web")
        for name in ["iss", "sub", "aud", "auth_time", "sid", "acr", "amr"] {
            #expect(again[name] != nil && again[name] == first[name], "\(name)")
        }
        #expect(again["nonce"] == nil)
        #expect(again["iat"]?.int == test.clock.now.seconds && first["iat"]?.int == test.clock.now.seconds - 120)
        #expect((again["exp"]?.int ?? 0) > test.clock.now.seconds)
        let half = Array(SHA256.hash(data: Array(refreshed.text("access_token").utf8)).prefix(16))
        #expect(again["at_hash"]?.string == Base64URL.encode(half) && again["at_hash"] != first["at_hash"])
        // Without openid there was nobody to tell of, and none comes by refreshing.
        let plain = await client.exchange(try await test.authorized(client, "alice", [("scope", "orders:read")]).code, test)
        #expect(plain.status == 200 && plain.json["id_token"] == nil)
        #expect(await client.refresh(plain.text("refresh_token"), test).json["id_token"] == nil)
    }

    @Test("Registration §2: default_max_age is held where the request says nothing of it, and only there")
    func defaultMaxAge() async throws {
        let test = try await TestNode.proving(
            try ProvingClient(),
            """
              - {id: aged, public: true, first_party: true, grants: [authorization_code], scopes: [openid, "orders:read"],
                 redirect_uris: ["http://127.0.0.1:9000/callback"], default_max_age: 60}
            """)
        let (aged, none) = (TestClient(id: "aged"), ("prompt", "none"))
        let browser = try await test.authorized(aged).browser
        try await test.advance(.seconds(59))
        #expect(await browser.get(aged.request([none])).told["code"] != nil)
        try await test.advance(.seconds(2))
        #expect(await browser.get(aged.request([none])).told["error"] == "login_required")
        #expect(await browser.get(aged.request()).title.hasPrefix("Sign in"))
        #expect(await browser.get(aged.request([none, ("max_age", "1000")])).told["code"] != nil)
        #expect(await browser.get(TestClient().request([none])).told["code"] != nil)
    }

    @Test("§5.5.1.1: an essential acr that is reached is good, and stands in the ID token")
    func reachedACR() async throws {
        let test = try await TestNode.oauth()
        let (client, reached) = (TestClient(), "urn:gatehouse:acr:1")
        let browser = try await test.authorized(client).browser
        for values in [[reached], ["urn:nothing", reached]] {
            let list = values.map { "\"\($0)\"" }.joined(separator: ",")
            let seen = await browser.get(
                client.request([("claims", #"{"id_token":{"acr":{"essential":true,"values":[\#(list)]}}}"#)]))
            let token = await client.exchange(try #require(seen.told["code"], "\(values)"), test).text("id_token")
            #expect(try await test.verified(token, for: "web")["acr"]?.string == reached)
        }
        let single = #"{"id_token":{"acr":{"essential":true,"value":"\#(reached)"}}}"#
        #expect(await browser.get(client.request([("claims", single)])).told["code"] != nil)
    }

    @Test("§5.5: members of claims that are not known are passed over, whatever they are")
    func otherMembers() async throws {
        let test = try await TestNode.oauth()
        let client = TestClient()
        let browser = try await test.authorized(client).browser
        for other in [#"{"x":1}"#, "5", "null", "[]", #"{"acr":{"essential":true,"values":["urn:nothing"]}}"#] {
            let seen = await browser.get(client.request([("claims", #"{"elsewhere":\#(other),"id_token":{"sub":null}}"#)]))
            let answer = await client.exchange(try #require(seen.told["code"], "\(other)"), test)
            let claims = try await test.verified(answer.text("id_token"), for: "web")
            #expect(claims["x"] == nil && claims["elsewhere"] == nil)
        }
    }

    @Test(
        "Registration §2: userinfo that a client registered as signed is signed, RS256 too, and not encrypted",
        arguments: ["RS256", "ES256"])
    func signedUserInfo(_ algorithm: String) async throws {
        let test = try await TestNode.registering()
        let registered = await test.register(
            #"{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"client_secret_post","#
                + #""userinfo_signed_response_alg":"\#(algorithm)","scope":"openid email"}"#)
        #expect(registered.status == 201 && registered.text("userinfo_signed_response_alg") == algorithm)
        let client = TestClient(registered)
        let tokens = try await test.agreed(client, [("scope", "openid email")])
        let info = await test.send("GET", "/userinfo", headers: test.bearer(tokens.text("access_token")))
        #expect(info.status == 200 && info.header("content-type") == "application/jwt")
        let text = String(decoding: info.body, as: UTF8.self)
        let header = try JSONReader.read(Base64URL.decode(String(text.prefix { $0 != "." })) ?? []).object
        #expect(header?["alg"]?.string == algorithm)
        let told = try await test.verified(text, for: client.id)
        #expect(told["email"]?.string == "alice@example.com")
        let idToken = try await test.verified(tokens.text("id_token"), for: client.id)
        #expect(told["sub"] == idToken["sub"])
    }
}
