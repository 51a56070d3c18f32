import AuthCore
import Testing
import TokenKeys

@testable import gatehouse

@Suite("RFC 8707 §2.2, RFC 9396 §6: a part of what was granted", .timeLimit(.minutes(2)))
struct RequestedAccessTests {
    private static let details = #"[{"type":"payment","amount":"12"},{"type":"account"}]"#
    private static let account = #"[{"type":"account"}]"#
    private let bank = TestClient(id: "bank")

    private static let resources = """
        users:
          - {username: alice, email: alice@example.com, password: correct-horse-battery, roles: [customer, reader]}
        clients:
          - {id: bank, public: true, client_name: Bank, grants: [authorization_code, refresh_token, device_code],
             scopes: [openid, "orders:read", "reports:read"], redirect_uris: ["http://127.0.0.1:9000/callback"],
             authorization_details_types: [payment, account]}
          - {id: batch, secret: fedcba9876543210fedcba9876543210, grants: [client_credentials], scopes: ["orders:read"]}
        resources:
          - {id: orders, scopes: ["orders:read"]}
          - {id: reports, scopes: ["reports:read"]}
          - {id: other, scopes: ["other:read"]}
        roles:
          customer: ["orders:read"]
          reader: ["reports:read"]
        routes: []
        """

    private func node() async throws -> TestNode {
        let test = try await TestNode.start(resources: Self.resources)
        try await test.node.keys.maintain()
        return test
    }

    private func code(_ test: TestNode) async throws -> String {
        let browser = TestBrowser(test)
        let asked = bank.request([("scope", "openid orders:read reports:read"), ("authorization_details", Self.details)])
        let page = await browser.signIn(await browser.get(asked))
        return try #require(try await browser.submit(page, [("answer", "allow")]).parameters()["code"])
    }

    private func refresh(_ test: TestNode, _ token: String, _ more: [(String, String)] = []) async -> Answer {
        await bank.token(test, [("grant_type", "refresh_token"), ("refresh_token", token)] + more)
    }

    /// What no grant of these tests has.
    private static let wrong: [([(String, String)], String)] = [
        ([("resource", "other")], "invalid_target"), ([("resource", "nowhere")], "invalid_target"),
        ([("authorization_details", #"[{"type":"payment","amount":"99"}]"#)], "invalid_authorization_details"),
        ([("authorization_details", #"[{"type":"account"},{"type":"payment","amount":"12","more":1}]"#)], "invalid_authorization_details"),
        ([("authorization_details", "[]")], "invalid_authorization_details"),
        ([("authorization_details", "x")], "invalid_authorization_details"),
    ]

    @Test("a code that is asked for more than was granted is refused, and good still", arguments: wrong)
    func codes(_ more: [(String, String)], _ error: String) async throws {
        let test = try await node()
        let code = try await code(test)
        #expect(await bank.exchange(code, test, more).error == error)
        // Without the verifier nobody learns what it was granted.
        #expect(await bank.exchange(code, test, more + [("code_verifier", String(repeating: "x", count: 43))]).error != nil)
        let tokens = await bank.exchange(code, test, [("resource", "orders"), ("authorization_details", Self.account)])
        #expect(tokens.status == 200, "\(tokens.text("error_description"))")
        #expect(try tokens.claims()["aud"]?.string == "orders" && tokens.text("scope") == "openid orders:read")
        #expect(try tokens.claims()["authorization_details"] == JSONReader.read(Self.account))
        #expect(tokens.json["authorization_details"] == (try JSONReader.read(Self.account)))
        // The grant is as it was.
        let all = await refresh(test, tokens.text("refresh_token"))
        #expect(try all.claims()["aud"]?.strings == ["orders", "reports"])
        #expect(all.json["authorization_details"] == (try JSONReader.read(Self.details)))
    }

    @Test("a stranger to the code is told the same, whatever part is asked for (TK-15)")
    func strangers() async throws {
        let test = try await node()
        let code = try await code(test)
        for more in [[], [("resource", "orders")], [("resource", "other")]] {
            let answer = await bank.exchange(code, test, more + [("code_verifier", String(repeating: "x", count: 43))])
            #expect(answer.error == "invalid_grant")
        }
        #expect(await bank.exchange(code, test).status == 200)
    }

    @Test("a refresh token that is asked for more is refused, and good still, long after", arguments: wrong)
    func refreshes(_ more: [(String, String)], _ error: String) async throws {
        let test = try await node()
        let first = await bank.exchange(try await code(test), test)
        for _ in 0..<3 {
            #expect(await refresh(test, first.text("refresh_token"), more).error == error)
            // Longer than a rotated one may be tried again.
            try await test.advance(.seconds(660))
        }
        let narrow = await refresh(test, first.text("refresh_token"), [("resource", "reports"), ("authorization_details", Self.account)])
        #expect(narrow.status == 200, "\(narrow.text("error_description"))")
        #expect(try narrow.claims()["aud"]?.string == "reports" && narrow.text("scope") == "openid reports:read")
        #expect(narrow.json["authorization_details"] == (try JSONReader.read(Self.account)))
    }

    @Test("a resource of which the account, or the scope that is asked for, has nothing is invalid_target, and costs nothing")
    func nothingLeft() async throws {
        let test = try await node()
        let first = await bank.exchange(try await code(test), test)
        let apart = await refresh(test, first.text("refresh_token"), [("scope", "openid orders:read"), ("resource", "reports")])
        #expect(apart.error == "invalid_target")
        #expect(await test.apply(Self.resources.replacing("roles: [customer, reader]", with: "roles: [customer]")).status == 200)
        for _ in 0..<2 {
            #expect(await refresh(test, first.text("refresh_token"), [("resource", "reports")]).error == "invalid_target")
            try await test.advance(.seconds(660))
        }
        let left = await refresh(test, first.text("refresh_token"))
        #expect(left.status == 200 && left.text("scope") == "openid orders:read")
    }

    @Test("a device code that is asked for more is refused, and good still", arguments: wrong)
    func devices(_ more: [(String, String)], _ error: String) async throws {
        let test = try await node()
        let begun = try await bank.begin(test, [("scope", "openid orders:read reports:read")])
        let browser = TestBrowser(test)
        let question = await browser.signIn(await browser.enter(begun.text("user_code")))
        #expect(await browser.submit(question, [("answer", "allow")]).title == "Device connected")
        try await test.advance(.seconds(5))
        #expect(await bank.poll(begun, test, more).error == error)
        try await test.advance(.seconds(5))
        let tokens = await bank.poll(begun, test, [("resource", "orders")])
        #expect(tokens.status == 200, "\(tokens.text("error_description"))")
        #expect(try tokens.claims()["aud"]?.string == "orders")
    }

    @Test("RFC 9396 §6: where nobody can have granted details, they are refused and not passed over")
    func nobodyGranted() async throws {
        let test = try await node()
        let batch = TestClient(id: "batch", secret: "fedcba9876543210fedcba9876543210")
        let answer = await batch.token(test, [("grant_type", "client_credentials"), ("authorization_details", Self.account)])
        #expect(answer.error == "invalid_authorization_details")
        let device = await bank.post(test, "/device_authorization", [("authorization_details", Self.account)])
        #expect(device.error == "invalid_authorization_details")
        #expect(await batch.token(test, [("grant_type", "client_credentials")]).status == 200)
    }
}
