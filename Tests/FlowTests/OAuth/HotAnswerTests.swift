import AuthCore
import OAuthServer
import Store
import Testing
import TokenKeys

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

    private static let form = ("content-type", "application/x-www-form-urlencoded")
    private let api = TestClient.ordersAPI

    /// Asks twice about a token of its own, so that the question is known, then changes something and asks a third time.
    private func again(
        _ settings: [String] = [], as caller: TestClient? = nil, after change: (TestNode, _ token: String) async throws -> Void
    ) async throws -> Answer {
        let test = try await TestNode.oauth(settings)
        let (caller, form) = (caller ?? api, [("grant_type", "client_credentials"), ("scope", "orders:read")])
        let token = await billing.token(test, form).text("access_token")
        for _ in 0..<2 { #expect(await caller.post(test, "/introspect", [("token", token)]).json["active"]?.bool == true) }
        try await change(test, token)
        return await caller.post(test, "/introspect", [("token", token)])
    }

    @Test("a question that was answered is answered alike as long as nothing it rests on has changed, and not a moment longer")
    func known() async throws {
        let same = try await again { _, _ in }
        #expect(same.json["active"]?.bool == true && same.json["client_id"]?.string == "billing")
        let revoked = try await again { test, token in _ = await billing.post(test, "/revoke", [("token", token)]) }
        #expect(String(decoding: revoked.body, as: UTF8.self) == #"{"active":false}"#)
        let expired = try await again { test, _ in try await test.advance(.seconds(600)) }
        #expect(expired.json["active"]?.bool == false)
        let unserved = try await again { test, _ in
            #expect(await test.apply(TestNode.oauthResources.replacing("serves: [orders]", with: "serves: [reports]")).status == 200)
        }
        #expect(unserved.json["active"]?.bool == false)
        let keyless = try await again { test, _ in
            for key in test.node.keys.records where key.state != .revoked {
                #expect(await test.send("POST", "/admin/keys/\(key.id.text)/revoke", to: .control).status < 300)
            }
        }
        #expect(keyless.json["active"]?.bool == false)
        let stale = try await again { test, _ in test.clock.advance(.seconds(600)) }
        #expect(stale.status == 503)
        let guessed = try await again { test, _ in
            for number in 0..<6 {
                _ = await TestClient(id: "orders-api", secret: "wrong-\(number)").post(test, "/introspect", [("token", "x")])
            }
        }
        #expect(guessed.status == 429)
    }

    @Test("another question is another: by its body, its credential, its form or its target, whatever one of them shares with a known one")
    func unknown() async throws {
        _ = try await again { test, token in
            let body = Array(FormParameters([("token", token)]).encoded.utf8)
            func ask(_ user: String, _ body: [UInt8], _ more: [(String, String)] = [], target: String = "/introspect") async -> Answer {
                let basic = "Basic " + Base64.encode(Array(user.utf8))
                return await test.send("POST", target, body, headers: [("authorization", basic)] + (more.isEmpty ? [Self.form] : more))
            }
            let (good, other) = ("orders-api:00112233445566778899aabbccddeeff", "shop:0123456789abcdef0123456789abcdef")
            for _ in 0..<2 { #expect(await ask(good, body).json["active"]?.bool == true) }
            #expect(await ask(other, body).json["active"]?.bool == false)
            #expect(await ask("orders-api:00112233445566778899aabbccddeefe", body).status == 401)
            // The last character of a signature is one of four.
            let changed = Array(body.dropLast()) + [UInt8(ascii: body.last == UInt8(ascii: "A") ? "Q" : "A")]
            #expect(await ask(good, changed).json["active"]?.bool == false)
            #expect(await ask(good, body + Array("&token=x".utf8)).status == 400)
            #expect(await ask(good, body, [("content-type", "application/json")]).status == 400)
            #expect(await ask(good, body, [Self.form, Self.form]).status != 200)
            #expect(await ask(good, body, [Self.form, ("authorization", "Basic eDp5")]).status != 200)
            #expect(await ask(good, body, [Self.form, ("accept", "application/token-introspection+jwt")]).json["active"] == nil)
            for _ in 0..<2 { #expect(await ask(good, body).json["active"]?.bool == true) }
        }
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
