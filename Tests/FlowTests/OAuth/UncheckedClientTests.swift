import AuthCore
import OAuthServer
import Testing

@testable import gatehouse

@Suite("Consents of clients that came by themselves", .timeLimit(.minutes(1)))
struct UncheckedConsentTests {
    private static let body =
        #"{"redirect_uris":["https://bank.example/cb","https://evil.example/cb"],"token_endpoint_auth_method":"none","client_name":"Bank"}"#

    private func consent(_ browser: TestBrowser, _ client: TestClient) async -> TestBrowser.Seen {
        let seen = await browser.get(client.request([("scope", "openid")]))
        return seen.title.hasPrefix("Sign in") ? await browser.signIn(seen) : seen
    }

    @Test("what was allowed for one address is not given to another one, nor given unasked at all")
    func otherAddress() async throws {
        let test = try await TestNode.registering("open")
        let registered = await test.register(Self.body)
        let id = registered.text("client_id")
        let (bank, evil) = (
            TestClient(id: id, redirectURI: "https://bank.example/cb"), TestClient(id: id, redirectURI: "https://evil.example/cb")
        )
        let browser = TestBrowser(test)
        let page = await consent(browser, bank)
        #expect(page.html.contains("<bdi>bank.example</bdi>"))
        let back = await browser.submit(page, [("answer", "allow")])
        #expect(try back.parameters()["code"] != nil)
        #expect(await browser.get(evil.request([("scope", "openid"), ("prompt", "none")])).told["error"] == "consent_required")
        #expect(await consent(browser, evil).html.contains("<bdi>evil.example</bdi>"))
        // Nor after the client has changed what it is.
        let changed =
            #"{"client_id":"\#(id)","redirect_uris":["https://evil.example/cb"],"token_endpoint_auth_method":"none","client_name":"Bank"}"#
        #expect(await test.registration("PUT", id, token: registered.text("registration_access_token"), changed).status == 200)
        #expect(await browser.get(evil.request([("scope", "openid"), ("prompt", "none")])).told["error"] == "consent_required")
    }

    @Test("why a client's keys cannot be fetched is told to the operator alone")
    func quietFetches() async throws {
        let calls = Documents([:])
        calls.fail(.addressPrivate)
        let test = try await TestNode.registering("open", calls: calls)
        let registered = await test.register(
            #"{"redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://10.0.0.1/j"}"#)
        #expect(registered.status == 201)
        let id = registered.text("client_id")
        let claims = JSONObject([
            ("iss", .string(id)), ("sub", .string(id)), ("aud", .string("http://localhost:8080")), ("jti", .string("1")),
            ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
        ])
        let answer = await test.asserted(try ProvingClient().signed(claims), [("grant_type", "authorization_code"), ("code", "x")])
        #expect(answer.status == 401 && answer.error == "invalid_client")
        #expect(!answer.text("error_description").contains("address") && !answer.text("error_description").contains("private"))
    }
}
