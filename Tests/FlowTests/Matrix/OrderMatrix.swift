import AuthCore
import OAuthServer
import Settings
import Store
import Testing
import TokenKeys

@testable import gatehouse

/// A step of what a client does with one sign-in, in whatever order. A new step is a row here and in `Expected`.
enum Step: String, CaseIterable, Sendable {
    /// With the newest refresh token, the one before it, and the first of all.
    case refresh, refreshPrevious, refreshFirst
    case validate, list, logout, endSession
    /// More time than the reuse window, less than the retry window; and more than that.
    case waitBeyondReuse, waitBeyondRetry
}

/// What the contract says about one sign-in: the other half of the matrix, written from the documents and not from the code.
private struct Expected {
    private var isLive = true
    /// Of the tokens, by the order in which they were given: the newest, and the one that it came from.
    private(set) var newest = 0
    private var previous: Int?
    private var advancedAt = 0
    private var clock = 0

    mutating func take(_ step: Step) -> String {
        switch step {
        case .waitBeyondReuse:
            clock += 11
            return ""
        case .waitBeyondRetry:
            clock += 601
            return ""
        case .refresh: return refresh(newest)
        case .refreshPrevious: return refresh(max(0, newest - 1))
        case .refreshFirst: return refresh(0)
        // The replica knows of an ending before its answer; a token of ten minutes does not outlive the longer wait by the leeway.
        case .validate: return isLive ? "valid" : "revoked"
        case .list: return isLive ? "200" : "401"
        case .logout:
            isLive = false
            return "204"
        case .endSession:
            // By the newest refresh token, of its own session.
            defer { isLive = false }
            return isLive ? "204" : "401"
        }
    }

    private mutating func refresh(_ token: Int) -> String {
        guard isLive else { return "401" }
        if token == newest {
            previous = newest
            newest += 1
            advancedAt = clock
            return "200 new"
        }
        let age = clock - advancedAt
        if token == previous, age <= 10 { return "200 same" }
        if token == previous, age <= 600 {
            // A public client whose answer was lost: another successor, and the lost one is dead.
            newest += 1
            return "200 new"
        }
        isLive = false
        return "401"
    }
}

/// Matrix (f) of the security requirements: the steps of a flow, skipped, repeated and in any order.
@Suite("Matrix: step of a flow × out of order")
struct OrderMatrix {
    /// One sign-in as its client sees it.
    private struct Client {
        let test: TestNode
        var tokens: [String]
        var access: String
        let sid: String

        mutating func take(_ step: Step) async throws -> String {
            let newest = tokens[tokens.count - 1]
            switch step {
            case .waitBeyondReuse:
                try await test.advance(.seconds(11))
                return ""
            case .waitBeyondRetry:
                try await test.advance(.seconds(601))
                return ""
            case .refresh: return await refresh(newest)
            case .refreshPrevious: return await refresh(tokens[max(0, tokens.count - 2)])
            case .refreshFirst: return await refresh(tokens[0])
            case .validate:
                let answer = await test.validate(access)
                return answer.json["valid"]?.bool == true ? "valid" : answer.text("reason")
            case .list: return "\(await test.send("GET", "/sessions", headers: test.bearer(newest)).status)"
            case .logout: return "\(await test.logout(newest).status)"
            case .endSession: return "\(await test.send("DELETE", "/sessions/\(sid)", headers: test.bearer(newest)).status)"
            }
        }

        private mutating func refresh(_ token: String) async -> String {
            let answer = await test.refresh(token)
            guard answer.status == 200 else { return "\(answer.status)" }
            access = answer.text("access_token")
            let successor = answer.text("refresh_token")
            if successor == tokens[tokens.count - 1] { return "200 same" }
            tokens.append(successor)
            return "200 new"
        }
    }

    @Test("every order of three steps, and of four that begin with a refresh, ends as the contract says", arguments: Step.allCases)
    func orders(_ first: Step) async throws {
        let test = try await TestNode.start(["--tokens.access_ttl", "1h"])
        for second in Step.allCases {
            for third in Step.allCases {
                for fourth in first == .refresh ? Step.allCases : [.validate] {
                    let steps = [first, second, third, fourth]
                    let opened = try await test.opened()
                    var client = Client(
                        test: test, tokens: [try #require(opened.refreshToken).exposed], access: opened.accessToken.exposed,
                        sid: try #require(opened.sessionID).text)
                    var expected = Expected()
                    for (index, step) in steps.enumerated() {
                        let wanted = expected.take(step)
                        let answer = try await client.take(step)
                        #expect(answer == wanted, "\(steps[...index].map(\.rawValue))")
                    }
                }
            }
        }
    }

    /// A step whose time has not come, or has gone. The first that fits is the answer: nothing is half done.
    struct Untimely: Sendable, CustomTestStringConvertible {
        let name: String
        let status: Int
        let error: String
        let call: @Sendable (TestNode) async -> Answer
        var testDescription: String { name }

        init(_ name: String, _ status: Int, _ error: String, _ call: @escaping @Sendable (TestNode) async -> Answer) {
            self.name = name
            self.status = status
            self.error = error
            self.call = call
        }
    }

    static let untimely: [Untimely] = [
        Untimely("the second half of a sign-in that nobody began", 404, "not_found") {
            await $0.post("/login/continue", #"{"login_id":"x"}"#)
        },
        Untimely("a second factor that nobody asked for", 404, "not_found") {
            await $0.post("/login/mfa", #"{"mfa_token":"x","factor":"totp","code":"123456"}"#)
        },
        Untimely("a refresh token that another server will give some day", 401, "invalid_grant") { test in
            // The same store a step further on: this node's row is behind, and says so rather than hand out anything.
            let grant = try? await test.onlyGrant(of: await test.login())
            guard let grant else { return Answer(status: 0, headers: [], body: []) }
            let token = GrantCredentialOfTheFuture.make(grant, test)
            return await test.refresh(token)
        },
        Untimely("a rotation before the next key was published for long enough", 409, "too_early") {
            await $0.send("POST", "/admin/keys/rotate", Array("{}".utf8), to: .control)
        },
        Untimely("revoking a key twice", 404, "not_found") { test in
            let active = test.node.keys.current?.id.text ?? ""
            _ = await test.send("POST", "/admin/keys/\(active)/revoke", Array("{}".utf8), to: .control)
            return await test.send("POST", "/admin/keys/\(active)/revoke", Array("{}".utf8), to: .control)
        },
        Untimely("enabling an account that was deleted", 404, "not_found") { test in
            _ = await test.send("DELETE", "/admin/users/alice", to: .control)
            return await test.send("PATCH", "/admin/users/alice", Array(#"{"disabled":false}"#.utf8), to: .control)
        },
        Untimely("a password for an account that was deleted", 404, "not_found") { test in
            _ = await test.send("DELETE", "/admin/users/alice", to: .control)
            return await test.send("PATCH", "/admin/users/alice", Array(#"{"password":"another-long-password"}"#.utf8), to: .control)
        },
        Untimely("ending a session that has ended", 404, "not_found") { test in
            let tokens = await test.login()
            _ = await test.logout(tokens.text("refresh_token"))
            return await test.send("DELETE", "/admin/sessions/\(tokens.text("sid"))", to: .control)
        },
        Untimely("a secret for a client that has none", 404, "not_found") {
            await $0.post("/admin/clients/app/secrets", "{}", to: .control)
        },
        Untimely("logging out everywhere with a token that has ended already", 204, "") { test in
            let tokens = await test.login()
            _ = await test.logout(tokens.text("refresh_token"))
            let other = await test.login()
            let answer = await test.post("/logout", #"{"refresh_token":"\#(tokens.text("refresh_token"))","everywhere":true}"#)
            // What is over ends nothing any more.
            #expect(await test.isValid(other.text("access_token")))
            return answer
        },
    ]

    @Test("a step that is not its turn is refused, and does nothing", arguments: untimely)
    func untimelySteps(_ row: Untimely) async throws {
        let test = try await TestNode.start()
        let bystander = await test.login("bob")
        let answer = await row.call(test)
        #expect(answer.status == row.status)
        #expect((answer.error ?? "") == row.error)
        if row.name != "revoking a key twice" { #expect(await test.isValid(bystander.text("access_token"))) }
        #expect(await test.login("bob").status == 200)
    }
}

/// A refresh token whose counter the row has not reached.
private enum GrantCredentialOfTheFuture {
    static func make(_ grant: Grant, _ test: TestNode) -> String {
        GrantCredential.make(
            .refreshToken, grant: grant, counter: grant.rotation.current + 1, issuer: Identifier(test.node.settings.issuer.text),
            keys: test.node.masterKeys
        ).exposed
    }
}
