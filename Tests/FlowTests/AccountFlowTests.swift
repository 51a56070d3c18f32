import AuthCore
import Foundation
import HTTPEdge
import Store
import Testing
import TokenKeys
import WebServer

@testable import gatehouse

@Suite("Sessions and the operator's API")
struct AccountFlowTests {
    @Test("an account lists and ends its own sessions, by the refresh token or a token for gatehouse:account")
    func sessions() async throws {
        let test = try await TestNode.start()
        let (first, second) = (await test.login(), await test.login())
        let listed = await test.send("GET", "/sessions", headers: test.bearer(first.text("refresh_token")))
        #expect(listed.status == 200)
        let sessions = (listed.json["sessions"]?.array ?? []).compactMap(\.object)
        #expect(Set(sessions.compactMap { $0["sid"]?.string }) == [first.text("sid"), second.text("sid")])
        #expect(sessions.first { $0["current"]?.bool == true }?["sid"]?.string == first.text("sid"))
        let account = await test.login(more: #","scope":"gatehouse:account""#)
        let ended = await test.send("DELETE", "/sessions/\(second.text("sid"))", headers: test.bearer(account.text("access_token")))
        #expect(ended.status == 204)
        #expect(await !test.isValid(second.text("access_token")))
        #expect(await test.isValid(first.text("access_token")))
    }

    @Test("another account's session is not found, and stays (IDOR)")
    func foreign() async throws {
        let test = try await TestNode.start()
        let (alice, bob) = (await test.login(), await test.login("bob"))
        let answer = await test.send("DELETE", "/sessions/\(alice.text("sid"))", headers: test.bearer(bob.text("refresh_token")))
        #expect(answer.status == 404)
        #expect(await test.isValid(alice.text("access_token")))
        #expect(await test.send("DELETE", "/sessions/..%2f..", headers: test.bearer(bob.text("refresh_token"))).status == 404)
    }

    /// What somebody may hold, for the matrices of who may do what.
    enum Credential: String, CaseIterable, Sendable {
        case none, garbage, otherScheme, ordersToken, accountToken, adminToken, expiredAdmin, revokedAdmin, refreshToken, spentRefreshToken,
            otherIssuer

        func headers(_ test: TestNode) async throws -> [(String, String)] {
            switch self {
            case .none: return []
            case .garbage: return test.bearer("garbage")
            case .otherScheme: return [("authorization", "Basic YTpi")]
            case .ordersToken: return test.bearer(await test.login().text("access_token"))
            case .accountToken: return test.bearer(await test.login(more: #","scope":"gatehouse:account""#).text("access_token"))
            case .adminToken: return test.bearer(await test.login("root", more: #","scope":"gatehouse:admin""#).text("access_token"))
            case .expiredAdmin:
                let token = await test.login("root", more: #","scope":"gatehouse:admin""#).text("access_token")
                try await test.advance(.seconds(700))
                return test.bearer(token)
            case .revokedAdmin:
                let tokens = await test.login("root", more: #","scope":"gatehouse:admin""#)
                _ = await test.logout(tokens.text("refresh_token"))
                return test.bearer(tokens.text("access_token"))
            case .refreshToken: return test.bearer(await test.login("root").text("refresh_token"))
            case .spentRefreshToken:
                let token = await test.login().text("refresh_token")
                let next = await test.refresh(token).text("refresh_token")
                _ = await test.refresh(next)
                return test.bearer(token)
            case .otherIssuer:
                let other = try await TestNode.start(["--issuer", "http://127.0.0.1:8080"])
                return test.bearer(await other.login("root", more: #","scope":"gatehouse:admin""#).text("access_token"))
            }
        }
    }

    @Test("matrix: every admin route × credential on the admin listener; only an operator's token passes", arguments: Credential.allCases)
    func adminMatrix(_ credential: Credential) async throws {
        let test = try await TestNode.start()
        let headers = try await credential.headers(test) + [("content-type", "application/json")]
        let endpoints = test.adminEndpoints
        #expect(endpoints.count >= 19)
        for endpoint in endpoints {
            // Harmless: no such thing exists, and no body is good.
            let path = endpoint.path.replacing("{name}", with: "nobody").replacing("{id}", with: "nobody").replacing(
                "{kid}", with: "nobody"
            )
            .replacing("{sid}", with: "nobody")
            if path == "/admin/keys/rotate" { continue }
            let answer = await test.send(endpoint.method, path, Array("[]".utf8), headers: headers, to: .admin)
            if credential == .adminToken {
                #expect(answer.status != 401 && answer.status != 403, "\(endpoint.method) \(endpoint.path): \(answer.status)")
            } else {
                #expect([400, 401, 403].contains(answer.status), "\(endpoint.method) \(endpoint.path): \(answer.status)")
                #expect(answer.status != 400 || credential == .otherScheme)
            }
        }
    }

    @Test("matrix: GET /sessions × credential", arguments: Credential.allCases)
    func sessionMatrix(_ credential: Credential) async throws {
        let test = try await TestNode.start()
        let answer = await test.send("GET", "/sessions", headers: try await credential.headers(test))
        let allowed = credential == .accountToken || credential == .refreshToken
        #expect((answer.status == 200) == allowed, "\(answer.status)")
        if !allowed, answer.status == 401 { #expect(answer.header("www-authenticate")?.hasPrefix("Bearer realm=\"gatehouse\"") == true) }
    }

    @Test("accounts are made, changed and ended; names are unique by their canonical form")
    func accounts() async throws {
        let test = try await TestNode.start()
        let made = await test.post(
            "/admin/users", #"{"username":"carol","password":"a-long-enough-password","roles":["customer"]}"#, to: .control)
        #expect(made.status == 201)
        #expect(made.json["has_password"]?.bool == true)
        #expect(await test.post("/admin/users", #"{"username":"CAROL"}"#, to: .control).status == 409)
        #expect(await test.post("/admin/users", #"{"username":"d","password":"short"}"#, to: .control).status == 422)
        #expect(await test.post("/admin/users", #"{"username":"a b"}"#, to: .control).status == 422)
        #expect(await test.login("carol", password: "a-long-enough-password").status == 200)
        #expect(await test.send("PATCH", "/admin/users/carol", Array(#"{"disabled":true}"#.utf8), to: .control).status == 200)
        let refused = await test.login("carol", password: "a-long-enough-password")
        #expect(refused.error == "invalid_credentials")
        let events = await test.send("GET", "/admin/audit?user=carol", to: .control).json["events"]?.array ?? []
        #expect(events.first?.object?["reason"]?.string == "account_disabled")
    }

    @Test("apply changes only what it made; what vanishes is disabled, and deleted with prune; a client made again is another one")
    func apply() async throws {
        let test = try await TestNode.start()
        _ = await test.post("/admin/users", #"{"username":"carol","password":"a-long-enough-password"}"#, to: .control)
        let tokens = await test.login(more: #","client_id":"app""#)
        let without = TestNode.resources.split(separator: "\n").filter { !$0.contains("id: app") && !$0.contains("username: bob") }.joined(
            separator: "\n")
        #expect(await test.apply(without).json["changes"]?.int == 2)
        #expect(await test.validate(tokens.text("access_token")).text("reason") == "revoked")
        #expect(await test.login("bob").status == 401)
        #expect(await test.login("carol", password: "a-long-enough-password").status == 200)
        #expect(await test.apply(TestNode.resources).json["changes"]?.int == 2)
        #expect(await test.login("bob").status == 200)
        #expect(await test.apply(without, prune: true).json["changes"]?.int == 2)
        #expect(await test.apply(TestNode.resources).status == 200)
        #expect(await test.refresh(tokens.text("refresh_token"), more: #","client_id":"app""#).status == 401)
        #expect(await !test.isValid(tokens.text("access_token")))
        let taken = await test.apply(TestNode.resources.replacing("username: bob", with: "username: carol"))
        #expect(taken.status == 422)
        #expect(taken.json["problems"]?.strings?.first?.contains("carol") == true)
    }

    @Test("a role that loses a scope narrows the tokens that rest on it")
    func narrowing() async throws {
        let test = try await TestNode.start()
        let tokens = await test.login()
        let file = test.folder.appendingPathComponent("resources.yaml").path
        let narrow = TestNode.resources.replacing(#"customer: ["orders:read", "orders:write"]"#, with: #"customer: ["orders:read"]"#)
        let body = JSONValue.object(
            JSONObject([("files", .array([.object(JSONObject([("path", .string(file)), ("content", .string(narrow))]))]))]))
        #expect(await test.post("/admin/apply", String(decoding: body.encoded, as: UTF8.self), to: .control).status == 200)
        #expect(await test.validate(tokens.text("access_token")).text("reason") == "revoked")
        #expect(await test.refresh(tokens.text("refresh_token")).text("scope") == "orders:read")
    }

    @Test("the rotated secret of a client works beside the one before it, and the oldest goes")
    func secrets() async throws {
        let test = try await TestNode.start()
        func works(_ secret: String) async -> Bool {
            await test.login(more: #","client_id":"till","client_secret":"\#(secret)""#).status == 200
        }
        let first = "0123456789abcdef0123456789abcdef"
        let second = await test.post("/admin/clients/till/secrets", "{}", to: .control).text("client_secret")
        #expect(second.count > 40)
        #expect(await works(first))
        #expect(await works(second))
        let third = await test.post("/admin/clients/till/secrets", "{}", to: .control).text("client_secret")
        #expect(await !works(first))
        #expect(await works(second))
        #expect(await works(third))
    }

    @Test("/validate asks for a confidential client where the settings say so")
    func validateClient() async throws {
        let test = try await TestNode.start(["--validate.require_client", "true"])
        let token = await test.login().text("access_token")
        func status(_ credentials: String?) async -> Int {
            await test.post(
                "/validate", #"{"token":"\#(token)"}"#,
                headers: credentials.map { [("authorization", "Basic " + Base64.encode(Array($0.utf8)))] } ?? []
            ).status
        }
        #expect(await status(nil) == 401)
        #expect(await status("till:wrong") == 401)
        #expect(await status("app:") == 401)
        #expect(await status("nobody:0123456789abcdef0123456789abcdef") == 401)
        #expect(await status("till:0123456789abcdef0123456789abcdef") == 200)
        _ = await test.send("PATCH", "/admin/clients/till", Array(#"{"disabled":true}"#.utf8), to: .control)
        #expect(await status("till:0123456789abcdef0123456789abcdef") == 401)
    }

    @Test("metrics have a bounded number of series, whatever strangers send (CVE-2026-16100)")
    func metrics() async throws {
        let test = try await TestNode.start()
        for index in 0..<500 { _ = await test.send("GET", "/no/such/path/\(index)") }
        let text = String(decoding: await test.send("GET", "/metrics", to: .admin).body, as: UTF8.self)
        #expect(text.split(separator: "\n").count < 300)
        #expect(text.contains("gatehouse_requests_total"))
    }
}

extension TestNode {
    /// The rows of the admin API, for the route matrix.
    var adminEndpoints: [Endpoint] { shells.adminRows }
}
