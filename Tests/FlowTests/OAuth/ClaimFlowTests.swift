import AuthCore
import OAuthServer
import Store
import Testing
import TokenKeys

@testable import gatehouse

@Suite("Claims by rule, of clients and of resources", .timeLimit(.minutes(1)))
struct ClaimFlowTests {
    private static let resources = """
        users:
          - {username: alice, email: alice@example.com, password: correct-horse-battery, roles: [customer, "team:blue", "team:red"]}
          - {username: bob, password: correct-horse-battery, roles: [customer]}
        clients:
          - id: web
            public: true
            first_party: true
            grants: [authorization_code, refresh_token]
            redirect_uris: ["http://127.0.0.1:9000/callback"]
            scopes: [openid, email, "orders:read", "reports:read"]
            claims:
              teams: {from: roles, prefix: "team:"}
              level: {from: roles, map: {"team:red": Admin, customer: Viewer}, first: true}
              login: {from: username}
              mail: {from: email, scope: email, default: none}
              tenant: {value: {id: acme, trial: true, seats: 5}}
          - {id: billing, secret: fedcba9876543210fedcba9876543210, grants: [client_credentials], scopes: ["orders:read"]}
        resources:
          - id: orders
            scopes: ["orders:read"]
            include_roles: true
            claims:
              tenant: {value: acme}
              login: {from: username, scope: "orders:read"}
          - {id: reports, scopes: ["reports:read"], claims: {tenant: {value: other}, "https://reports.example/teams": {from: roles, prefix: "team:"}}}
        roles:
          customer: ["orders:read", "reports:read"]
          "team:blue": []
          "team:red": []
        """

    private func tokens(_ test: TestNode, _ username: String, _ scope: String) async throws -> Answer {
        let (browser, web) = (TestBrowser(test), TestClient())
        let seen = await browser.signIn(await browser.get(web.request([("scope", scope)])), username)
        return await web.exchange(try #require(try seen.parameters()["code"]), test)
    }

    @Test("a client's rules are in its ID tokens and in UserInfo, and not in access tokens")
    func client() async throws {
        let test = try await TestNode.start(resources: Self.resources)
        try await test.node.keys.maintain()
        let answer = try await tokens(test, "alice", "openid email orders:read")
        let info = await test.send("GET", "/userinfo", headers: test.bearer(answer.text("access_token"))).json
        for claims in [try await test.verified(answer.text("id_token"), for: "web"), info] {
            #expect(claims["teams"]?.strings == ["blue", "red"])
            #expect(claims["level"]?.string == "Admin")
            #expect(claims["login"]?.string == "alice" && claims["mail"]?.string == "alice@example.com")
            let tenant = try #require(claims["tenant"]?.object)
            #expect(tenant["id"]?.string == "acme" && tenant["trial"]?.bool == true && tenant["seats"]?.int == 5)
        }
        #expect(try answer.claims()["teams"] == nil && answer.claims()["level"] == nil)
        // Without the scope, without a role, without an address.
        let bob = try await test.verified(try await tokens(test, "bob", "openid orders:read").text("id_token"), for: "web")
        #expect(bob["teams"] == nil && bob["mail"] == nil && bob["level"]?.string == "Viewer" && bob["login"]?.string == "bob")
        let mail = try await test.verified(try await tokens(test, "bob", "openid email").text("id_token"), for: "web")
        #expect(mail["mail"]?.string == "none")
    }

    @Test("a resource's rules are in the access tokens for it alone; what changes is in the next token; programs get what is constant")
    func resource() async throws {
        let test = try await TestNode.start(resources: Self.resources)
        try await test.node.keys.maintain()
        let answer = try await tokens(test, "alice", "openid orders:read")
        let claims = try answer.claims()
        #expect(claims["tenant"]?.string == "acme" && claims["login"]?.string == "alice")
        #expect(claims["roles"]?.strings == ["customer", "team:blue", "team:red"] && claims["https://reports.example/teams"] == nil)
        let both = try await tokens(test, "alice", "openid orders:read reports:read").claims()
        #expect(both["aud"]?.strings?.count == 2 && both["https://reports.example/teams"]?.strings == ["blue", "red"])
        #expect(["acme", "other"].contains(both["tenant"]?.string))
        let program = await TestClient(id: "billing", secret: "fedcba9876543210fedcba9876543210")
            .token(test, [("grant_type", "client_credentials")])
        #expect(try program.claims()["tenant"]?.string == "acme" && program.claims()["login"] == nil && program.claims()["roles"] == nil)
        #expect(await test.isValid(answer.text("access_token")))
        // A role is taken away: the next token says so.
        let changed = await test.send(
            "PATCH", "/admin/users/alice", Array(#"{"roles":["customer","team:red"]}"#.utf8),
            headers: [("content-type", "application/json")], to: .control)
        #expect(changed.status == 200)
        let next = await TestClient().token(test, [("grant_type", "refresh_token"), ("refresh_token", answer.text("refresh_token"))])
        if next.status == 200 { #expect(try next.claims()["roles"]?.strings == ["customer", "team:red"]) }
        let again = try await tokens(test, "alice", "openid orders:read")
        #expect(try await test.verified(again.text("id_token"), for: "web")["teams"]?.strings == ["red"])
    }

    @Test(
        "a rule that could say who somebody is, or makes no sense, is a mistake in the file",
        arguments: [
            "sub: {value: root}", "iss: {value: x}", "aud: {value: x}", "scope: {value: admin}", "exp: {value: 9999999999}",
            "cnf: {value: {jkt: x}}", "act: {value: x}", "sid: {value: x}", "ver: {value: [0, 0]}", "email_verified: {value: true}",
            "gid: {value: x}", "client_id: {value: x}", "a: {}", "a: {from: password}", "a: {from: roles, value: x}",
            "a: {value: x, first: true}",
            "a: x", "a: {from: roles, map: {}}", "a: {from: roles, unknown: x}", "a: {from: roles, first: yes}",
            "a: {from: roles, prefix: ''}",
            "'a b': {value: x}", "'': {value: x}", "a: {value: null}", "'\\u00e9': {value: x}",
        ])
    func faults(_ rule: String) async throws {
        let base = "resources:\n  - {id: r, scopes: [r], claims: {\(rule)}}\n"
        await #expect(throws: (any Error).self) { _ = try await TestNode.start(resources: base) }
        let client = "clients:\n  - {id: c, public: true, grants: [login], claims: {\(rule)}}\n"
        await #expect(throws: (any Error).self) { _ = try await TestNode.start(resources: client) }
    }

    @Test("rules are stored and read again as they were written")
    func kept() throws {
        let text = #"{"a":{"from":"roles","prefix":"p","map":{"x":"y"},"first":true,"default":[1],"scope":"s"},"b":{"value":{"c":null}}}"#
        let object = try #require(try JSONReader.read(text).object)
        let rules = try ClaimRules(object)
        let again = try ClaimRules(try #require(rules.written))
        #expect(rules.written == object && again == rules)
        #expect(ClaimRules().written == nil)
        #expect(throws: ClaimRules.Fault.self) {
            try ClaimRules(JSONObject((0..<33).map { ("c\($0)", .object(JSONObject([("value", .bool(true))]))) }))
        }
    }
}
