import AuthCore
import OAuthServer
import Testing

@testable import gatehouse

@Suite("What is answered from memory says what the store would say", .timeLimit(.minutes(1)))
struct HotAnswerTests {
    private let billing = TestClient(id: "billing", secret: "fedcba9876543210fedcba9876543210")

    @Test("a client that is disabled, or whose secret has gone, gets nothing by the next request; a new secret works at once")
    func clients() async throws {
        let test = try await TestNode.oauth()
        let form = [("grant_type", "client_credentials")]
        let token = await billing.token(test, form).text("access_token")
        #expect(await billing.post(test, "/introspect", [("token", token)]).json["active"]?.bool == true)
        func secret() async -> String {
            await test.send("POST", "/admin/clients/billing/secrets", to: .control).text("client_secret")
        }
        let second = TestClient(id: "billing", secret: await secret())
        #expect(await second.token(test, form).status == 200)
        #expect(await billing.token(test, form).status == 200)
        let third = TestClient(id: "billing", secret: await secret())
        #expect(await third.token(test, form).status == 200)
        #expect(await billing.token(test, form).error == "invalid_client")
        #expect(await billing.post(test, "/introspect", [("token", token)]).error == "invalid_client")
        #expect(await third.post(test, "/introspect", [("token", token)]).json["active"]?.bool == true)
        let disabled = await test.send(
            "PATCH", "/admin/clients/billing", Array(#"{"disabled":true}"#.utf8), headers: [("content-type", "application/json")],
            to: .control)
        #expect(disabled.status == 204)
        #expect(await third.token(test, form).error == "invalid_client")
        #expect(await third.post(test, "/introspect", [("token", token)]).error == "invalid_client")
        #expect(await !test.isValid(token))
    }

    @Test("introspection by Basic and by form, of an access token, a refresh token and none, is one answer either way")
    func introspection() async throws {
        let test = try await TestNode.oauth()
        let token = await billing.token(test, [("grant_type", "client_credentials")]).text("access_token")
        let body = Array(FormParameters([("token", token)]).encoded.utf8)
        let basic = "Basic " + Base64.encode(Array("billing:fedcba9876543210fedcba9876543210".utf8))
        let byHeader = await test.send(
            "POST", "/introspect", body, headers: [("content-type", "application/x-www-form-urlencoded"), ("authorization", basic)])
        let byForm = await billing.post(test, "/introspect", [("token", token)])
        #expect(byHeader.status == 200 && byHeader.body == byForm.body && byHeader.json["active"]?.bool == true)
        for other in ["ghr_x", "x", "a.b.c"] {
            #expect(
                String(decoding: await billing.post(test, "/introspect", [("token", other)]).body, as: UTF8.self) == #"{"active":false}"#)
        }
        #expect(await billing.post(test, "/introspect", []).error == "invalid_request")
        // A public client is in memory too, and proves nothing.
        #expect(await TestClient().post(test, "/introspect", [("token", token)]).error == "invalid_client")
        #expect(await billing.post(test, "/introspect", [("token", token), ("client_secret", "x")]).error == "invalid_client")
        let json = await test.send("POST", "/introspect", body, headers: [("content-type", "application/json"), ("authorization", basic)])
        #expect(json.status == 400)
    }

    @Test("metadata is made once, and anew when resources or keys change")
    func metadata() async throws {
        let test = try await TestNode.oauth()
        let path = "/.well-known/openid-configuration"
        let first = await test.send("GET", path)
        #expect(await test.send("GET", path).body == first.body)
        #expect(await test.send("GET", "/.well-known/oauth-authorization-server").body == first.body)
        #expect(first.json["scopes_supported"]?.strings?.contains("new:scope") == false)
        let resources = TestNode.oauthResources.replacing(
            "- {id: reports,", with: "- {id: more, scopes: [\"new:scope\"]}\n  - {id: reports,")
        #expect(await test.apply(resources).status == 200)
        #expect(await test.send("GET", path).json["scopes_supported"]?.strings?.contains("new:scope") == true)
    }
}
