import AuthCore
import Gateway
import OAuthServer
import Testing

@testable import gatehouse

/// What may have happened to an account after it signed in. A new way for an account to end is a row here.
enum AccountFate: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case active, disabledByOperator, disabledByFile, deleted, deletedAndMadeAgain, passwordChanged, loggedOutEverywhere, lockedOut
    case enabledAgain, roleTaken

    var testDescription: String { rawValue }

    /// Makes it happen to alice.
    func happen(in test: TestNode) async throws {
        switch self {
        case .active: break
        case .disabledByOperator: try await change(test, "PATCH", #"{"disabled":true}"#)
        case .disabledByFile:
            let without = AccountMatrix.resources.split(separator: "\n").filter { !$0.contains("username: alice") }.joined(separator: "\n")
            #expect(await test.apply(without).json["changes"]?.int == 1)
        case .deleted: try await change(test, "DELETE", "")
        case .deletedAndMadeAgain:
            try await change(test, "DELETE", "")
            let again = #"{"username":"alice","password":"\#(TestNode.password)","roles":["customer","operator"]}"#
            #expect(await test.post("/admin/users", again, to: .control).status == 201)
        case .passwordChanged: try await change(test, "PATCH", #"{"password":"another-long-password"}"#)
        case .loggedOutEverywhere:
            #expect(await test.send("DELETE", "/admin/users/alice/sessions", to: .control).status == 204)
        case .lockedOut:
            for _ in 0..<50 where await test.login(password: "wrong-wrong-wrong").status != 429 {}
        case .enabledAgain:
            try await change(test, "PATCH", #"{"disabled":true}"#)
            try await change(test, "PATCH", #"{"disabled":false}"#)
        case .roleTaken: try await change(test, "PATCH", #"{"roles":["operator"]}"#)
        }
    }

    private func change(_ test: TestNode, _ method: String, _ body: String) async throws {
        let answer = await test.send(method, "/admin/users/alice", Array(body.utf8), to: .control)
        try #require((200..<300).contains(answer.status))
    }
}

/// Every way in which an account gets something, or does something, with what it has. A new grant or endpoint is a row here.
enum AccountUse: String, CaseIterable, Sendable {
    case login, refresh, validate, forwardAuth, gateway, sessionsByAccessToken, sessionsByRefreshToken, endSession, consents, explain,
        adminAPI
    /// Through a client of the code flow: a code that was not redeemed yet, tokens that were bought with another one, and the browser.
    case code, oauthRefresh, offlineRefresh, userinfo, introspection, pairwise, browser
    /// A client's own token, whatever becomes of any account.
    case clientCredentials
}

/// What alice got while she was in force.
struct Holdings: Sendable {
    let orders: Answer
    let account: Answer
    let admin: Answer
    /// A session to end.
    let other: Answer
    /// Of the code flow: a browser that has agreed to `web`, a code, what another code bought, the same with `offline_access`, and of a
    /// client that knows her by a subject of its own.
    let browser: TestBrowser
    let code: String
    let bought: Answer
    let offline: Answer
    let pairwise: Answer

    static func of(_ test: TestNode) async throws -> Holdings {
        let web = TestClient()
        let (browser, first) = try await test.authorized(web)
        let code = try #require(try await browser.get(web.request()).parameters()["code"])
        let (_, offline) = try await test.authorized(web, "alice", [("scope", "openid offline_access orders:read")])
        let (_, pairwise) = try await test.authorized(.pair)
        let holdings = Holdings(
            orders: await test.login(), account: await test.login(more: #","scope":"gatehouse:account""#),
            admin: await test.login(more: #","scope":"gatehouse:admin""#), other: await test.login(), browser: browser, code: code,
            bought: await web.exchange(first, test), offline: await web.exchange(offline, test),
            pairwise: await TestClient.pair.exchange(pairwise, test))
        for answer in [holdings.orders, holdings.account, holdings.admin, holdings.other] { try #require(answer.status == 200) }
        for answer in [holdings.bought, holdings.offline, holdings.pairwise] { try #require(answer.status == 200) }
        return holdings
    }

    /// The status, and what the client's program reads of a refusal.
    func outcome(of use: AccountUse, _ test: TestNode) async -> String {
        let access = orders.text("access_token")
        switch use {
        case .login: return told(await test.login())
        case .refresh: return told(await test.refresh(orders.text("refresh_token")))
        case .validate:
            let answer = await test.validate(access)
            return answer.json["valid"]?.bool == true ? "valid" : answer.text("reason")
        case .forwardAuth: return told(await test.send("GET", "/forward-auth", headers: test.bearer(access)))
        case .gateway: return test.gateway("GET", "/orders", headers: test.bearer(access))
        case .sessionsByAccessToken: return told(await test.send("GET", "/sessions", headers: test.bearer(account.text("access_token"))))
        case .sessionsByRefreshToken: return told(await test.send("GET", "/sessions", headers: test.bearer(orders.text("refresh_token"))))
        case .consents: return told(await test.send("GET", "/consents", headers: test.bearer(account.text("access_token"))))
        case .endSession:
            return told(
                await test.send("DELETE", "/sessions/\(other.text("sid"))", headers: test.bearer(account.text("access_token"))))
        case .explain:
            return told(
                await test.post(
                    "/validate", #"{"token":"x","explain":true}"#, headers: test.bearer(admin.text("access_token"))))
        case .adminAPI: return told(await test.send("GET", "/admin/users", headers: test.bearer(admin.text("access_token")), to: .admin))
        case .code: return told(await TestClient().exchange(code, test))
        // Its own access token dies with the role; the grant goes on with what is left.
        case .oauthRefresh: return told(await TestClient().refresh(bought.text("refresh_token"), test))
        case .offlineRefresh: return told(await TestClient().refresh(offline.text("refresh_token"), test))
        case .userinfo: return told(await test.send("GET", "/userinfo", headers: test.bearer(bought.text("access_token"))))
        case .introspection: return await test.isActive(bought.text("access_token")) ? "active" : "inactive"
        case .pairwise:
            let answer = await test.validate(pairwise.text("access_token"))
            return answer.json["valid"]?.bool == true ? "valid" : answer.text("reason")
        case .browser:
            let seen = await browser.get(TestClient().request([("prompt", "none")]))
            return seen.told["code"] == nil ? seen.told["error"] ?? "a page" : "code"
        case .clientCredentials:
            let token = await TestClient.service.token(test, [("grant_type", "client_credentials")]).text("access_token")
            return await test.isValid(token) ? "valid" : "invalid"
        }
    }

    private func told(_ answer: Answer) -> String {
        answer.status < 300 ? "\(answer.status)" : "\(answer.status) \(answer.error ?? "")"
    }
}

/// Matrix (a) of the security requirements: every grant and use × every state of the account.
///
/// The recurring flaw of the field is a rule that one way in keeps and another forgets (CVE-2026-1609, CVE-2026-43983,
/// CVE-2026-9798). A new way in, or a new fate, does not compile, or fails, until its cells are filled in.
@Suite("Matrix: what an account does × what became of it (TK-21, LO-16, BF-04)")
struct AccountMatrix {
    static let resources = TestNode.matrixResources.replacing("roles: [customer]}", with: "roles: [customer, operator]}")

    private static let inForce: [AccountUse: String] = [
        .login: "200", .refresh: "200", .validate: "valid", .forwardAuth: "200", .gateway: "forward", .sessionsByAccessToken: "200",
        .sessionsByRefreshToken: "200", .endSession: "204", .consents: "200", .explain: "200", .adminAPI: "200", .code: "200",
        .oauthRefresh: "200",
        .offlineRefresh: "200", .userinfo: "200", .introspection: "active", .pairwise: "valid", .browser: "code",
        .clientCredentials: "valid",
    ]

    /// Everything that was issued is dead.
    private static func ended(login: String) -> [AccountUse: String] {
        [
            .login: login, .refresh: "401 invalid_grant", .validate: "revoked", .forwardAuth: "401 invalid_token",
            .gateway: "401 revoked", .sessionsByAccessToken: "401 invalid_token", .sessionsByRefreshToken: "401 invalid_token",
            .endSession: "401 invalid_token", .consents: "401 invalid_token", .explain: "403 insufficient_scope",
            .adminAPI: "401 invalid_token",
            .code: "400 invalid_grant", .oauthRefresh: "400 invalid_grant", .offlineRefresh: "400 invalid_grant",
            .userinfo: "401 invalid_token", .introspection: "inactive", .pairwise: "revoked", .browser: "login_required",
            .clientCredentials: "valid",
        ]
    }

    static func expected(_ fate: AccountFate) -> [AccountUse: String] {
        switch fate {
        case .active: inForce
        case .disabledByOperator, .disabledByFile, .deleted, .passwordChanged: ended(login: "401 invalid_credentials")
        // The same name and password, and nothing of the account before it (CVE-2026-55670).
        case .deletedAndMadeAgain, .loggedOutEverywhere, .enabledAgain: ended(login: "200")
        // Whoever guesses shuts nobody out of what they have (BF-04).
        case .lockedOut: inForce.merging([.login: "429 too_many_attempts"]) { $1 }
        // What was issued with it is dead, under whatever subject; what is issued next has less.
        case .roleTaken:
            ended(login: "200").merging([
                .refresh: "200", .sessionsByRefreshToken: "200", .code: "200", .oauthRefresh: "200", .offlineRefresh: "200",
                .browser: "code",
            ]) { $1 }
        }
    }

    @Test("each use has exactly the answer of the table", arguments: AccountFate.allCases)
    func matrix(_ fate: AccountFate) async throws {
        let test = try await TestNode.matrix(resources: Self.resources)
        let holdings = try await Holdings.of(test)
        let bystander = await test.login("bob")
        try await fate.happen(in: test)
        let expected = Self.expected(fate)
        for use in AccountUse.allCases {
            let wanted = try #require(expected[use], "\(fate) × \(use) is not in the table")
            let outcome = await holdings.outcome(of: use, test)
            #expect(outcome == wanted, "\(fate) × \(use)")
        }
        #expect(await test.isValid(bystander.text("access_token")))
        #expect(await test.refresh(bystander.text("refresh_token")).status == 200)
    }

    @Test("CVE-2026-55670: an account made again under the same name is another one and inherits no session")
    func recycled() async throws {
        let test = try await TestNode.start(resources: Self.resources)
        let before = await test.login()
        var subjects = [try before.claims()["sub"]?.string]
        // Twice, because the first account was made by a file and the others by an operator.
        for _ in 0..<2 {
            try await AccountFate.deletedAndMadeAgain.happen(in: test)
            subjects.append(try await test.login().claims()["sub"]?.string)
        }
        #expect(Set(subjects.compactMap { $0 }).count == 3)
        let after = await test.login()
        let listed = await test.send("GET", "/sessions", headers: test.bearer(after.text("refresh_token")))
        #expect(listed.json["sessions"]?.array?.count == 2)
        #expect(await test.logout(before.text("refresh_token")).status == 204)
        #expect(await test.isValid(after.text("access_token")))
    }
}
