import AuthCore
import OAuthServer
import Store
import TestSupport
import Testing
import TokenVerification

@testable import TokenKeys
@testable import gatehouse

@Suite("OpenID Connect Core §3.1.2.1 id_token_hint")
struct IDTokenHintTests {
    @Test("AZ-31: the answer is about the person of the hint, or there is none")
    func hinted() async throws {
        let test = try await TestNode.logout()
        let browser = TestBrowser(test)
        let alices = try await browser.tokens()
        func silent(_ browser: TestBrowser, _ hint: String, _ more: [(String, String)] = []) async throws -> String? {
            let back = await browser.get(TestClient().request([("prompt", "none"), ("id_token_hint", hint)] + more))
            let parameters = try back.parameters()
            return parameters["error"] ?? parameters["code"].map { _ in "code" }
        }
        let hint = alices.text("id_token")
        #expect(try await silent(browser, hint) == "code")
        let other = TestBrowser(test)
        _ = try await other.tokens(TestClient(), "bob")
        #expect(try await silent(other, hint) == "login_required")
        #expect(try await silent(TestBrowser(test), hint) == "login_required")
        // Who signs in is not who was meant: the client hears of nobody.
        let page = await TestBrowser(test).get(TestClient().request([("id_token_hint", hint)]))
        #expect(page.title == "Sign in")
        // Two people in one browser, and no question which.
        _ = try await browser.tokens(TestClient(), "bob", [("prompt", "login")])
        #expect(try await silent(browser, hint) == "code")
        try await test.advance(.seconds(86_400))
        #expect(try await silent(browser, hint) == "code")
    }

    @Test("AZ-31: who signs in is not who the hint names: login_required")
    func anotherSignsIn() async throws {
        let test = try await TestNode.logout()
        let hint = try await TestBrowser(test).tokens().text("id_token")
        let browser = TestBrowser(test)
        let back = await browser.signIn(await browser.get(TestClient().request([("id_token_hint", hint)])), "bob")
        #expect(try back.parameters()["error"] == "login_required")
        #expect(try back.parameters()["code"] == nil)
    }

    @Test("a hint that is not ours is invalid_request; one of another client, or beside another sub in claims, login_required")
    func refused() async throws {
        let test = try await TestNode.logout()
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens()
        let shops = try await browser.tokens(.shop)
        let hint = tokens.text("id_token")
        func error(_ hint: String, _ more: [(String, String)] = []) async throws -> String? {
            try await browser.get(TestClient().request([("id_token_hint", hint)] + more)).parameters()["error"]
        }
        #expect(try await error("garbage") == "invalid_request")
        #expect(try await error(String(hint.dropLast(2))) == "invalid_request")
        #expect(try await error(tokens.text("access_token")) == "invalid_request")
        #expect(try await error(shops.text("id_token")) == "login_required")
        #expect(try await error(hint, [("claims", #"{"id_token":{"sub":{"value":"somebody"}}}"#)]) == "login_required")
        #expect(try await error(hint) == nil)
    }

    @Test("Core §3.1.2.2, §5.5.1: a subject that `claims` names must be the one; of two members none takes back what the other asks")
    func claimed() async throws {
        let test = try await TestNode.logout()
        let (alice, bob) = (TestBrowser(test), TestBrowser(test))
        let subject = try await test.verified(alice.tokens().text("id_token"), for: "web")["sub"]?.string ?? ""
        _ = await bob.signIn(await bob.get(TestClient().request()), "bob")
        func error(_ browser: TestBrowser, _ claims: String) async throws -> String? {
            try await browser.get(TestClient().request([("claims", claims), ("prompt", "none")])).parameters()["error"]
        }
        let asked = [
            #"{"id_token":{"sub":{"value":"\#(subject)"}}}"#, #"{"id_token":{"sub":{"values":["x","\#(subject)"]}}}"#,
            #"{"userinfo":{"sub":{"value":"\#(subject)"}}}"#,
            #"{"id_token":{"sub":{"value":"\#(subject)"}},"userinfo":{"sub":{"value":"\#(subject)"}}}"#,
        ]
        for claims in asked {
            #expect(try await error(alice, claims) == nil, "\(claims)")
            #expect(try await error(bob, claims) == "login_required", "\(claims)")
        }
        for claims in [
            #"{"id_token":{"sub":{"value":"\#(subject)"}},"userinfo":{"sub":{"value":"x"}}}"#,
            #"{"id_token":{"sub":{"value":"x"}},"userinfo":{"sub":{"value":"\#(subject)"}}}"#, #"{"id_token":{"sub":{"values":["x"]}}}"#,
        ] { #expect(try await error(alice, claims) == "login_required", "\(claims)") }
    }
}

extension Identifier {
    /// The `kid` of a JWS.
    static func ofKey(in token: String) -> Identifier? {
        let header = token.split(separator: ".").first.flatMap { Base64URL.decode(String($0)) } ?? []
        return (try? JSONReader.read(header).object?["kid"]?.string).flatMap { $0.map { Identifier($0) } }
    }
}
