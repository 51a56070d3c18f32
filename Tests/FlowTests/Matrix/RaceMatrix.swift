import AuthCore
import OAuthServer
import Store
import Testing
import TokenKeys

@testable import gatehouse

/// Something that can be had, ended or changed once, and what 64 callers at once may get of it. A new single-use thing is a row here,
/// and a case of its store method in Tests/StoreTests/Contract.
enum RacedArtefact: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case refreshToken, replayedToken, sessionEnd, logout, logoutEverywhere, lockoutCount, keyRotation, keyRevocation, accountName, apply
    case code, pushedRequest, signInForm, consent, deviceCode, deviceAnswer

    var testDescription: String { rawValue }

    /// How many callers get which answer; `*` stands for every other number.
    var answers: [String: Int] {
        switch self {
        // Tabs of one browser: all get the same successor, and one of them made it.
        case .refreshToken: ["200": 64]
        case .replayedToken: ["401 invalid_grant": 64]
        case .sessionEnd, .consent: ["204": 1, "404 not_found": 63]
        case .logout, .logoutEverywhere: ["204": 64]
        // As many as are free, and not one more is evaluated (BF-03, CVE-2024-4629).
        case .lockoutCount: ["401 invalid_credentials": 5, "429 too_many_attempts": 59]
        // Whoever asks while it happens is told of it too; what counts is that it happened once.
        case .keyRotation, .keyRevocation: [:]
        case .accountName: ["201": 1, "409 already_exists": 63]
        case .apply: ["200 1": 1, "200 0": 63]
        case .code: ["200": 1, "400 invalid_grant": 63]
        // Whoever comes when it is used up is not told from whom it never was.
        case .pushedRequest: [:]
        case .deviceCode: ["200": 1, "400 invalid_grant": 63]
        // Half of the answers are no; who comes later is told that the code was used.
        case .deviceAnswer: [:]
        // The form and `POST /login` count the same failures.
        case .signInForm: ["wrong": 5, "too many": 59]
        }
    }
}

/// Matrix (c) of the security requirements: each artefact × a race of 64 callers, with exactly one winner
/// (CVE-2026-1035, CVE-2026-90997, CVE-2024-4629).
@Suite("Matrix: artefact × race (TK-11, TK-19, BF-03, JK-06)", .timeLimit(.minutes(5)))
struct RaceMatrix {
    private static let callers = 64

    private func race(_ call: @escaping @Sendable (Int) async -> String) async -> [String: Int] {
        await withTaskGroup(of: String.self) { group in
            for caller in 0..<Self.callers { group.addTask { await call(caller) } }
            return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
    }

    private func told(_ answer: Answer) -> String { answer.error.map { "\(answer.status) \($0)" } ?? "\(answer.status)" }

    private func events(_ kind: AuditEvent.Kind, _ test: TestNode) async throws -> Int {
        try await test.store.events(before: nil, limit: 1_000, account: nil).filter { $0.event.kind == kind }.count
    }

    @Test("64 callers at once: each gets an answer of the table, and what can happen once happened once", arguments: RacedArtefact.allCases)
    func matrix(_ artefact: RacedArtefact) async throws {
        let isOAuth = [RacedArtefact.code, .pushedRequest, .signInForm, .consent, .deviceCode, .deviceAnswer].contains(artefact)
        let test = isOAuth ? try await TestNode.matrix() : try await TestNode.start()
        let tokens = await test.login()
        let token = tokens.text("refresh_token")
        let answers: [String: Int]
        switch artefact {
        case .refreshToken:
            answers = await race { _ in told(await test.refresh(token)) }
            let grant = try #require(try await test.onlyGrant(of: tokens))
            #expect(grant.rotation.current == 2)
        case .replayedToken:
            _ = await test.refresh(await test.refresh(token).text("refresh_token"))
            answers = await race { _ in told(await test.refresh(token)) }
            #expect(try await events(.refreshReplayed, test) == 1)
            #expect(await !test.isValid(tokens.text("access_token")))
        case .sessionEnd:
            let other = await test.login()
            let sid = tokens.text("sid")
            answers = await race { _ in
                told(await test.send("DELETE", "/sessions/\(sid)", headers: test.bearer(other.text("refresh_token"))))
            }
            #expect(try await events(.sessionEnded, test) == 1)
        case .consent:
            _ = try await test.authorized()
            answers = await race { _ in told(await test.send("DELETE", "/consents/web", headers: test.bearer(token))) }
            #expect(try await events(.consentWithdrawn, test) == 1)
        case .logout:
            answers = await race { _ in told(await test.logout(token)) }
            #expect(try await events(.signOut, test) == 1)
        case .logoutEverywhere:
            answers = await race { _ in told(await test.post("/logout", #"{"refresh_token":"\#(token)","everywhere":true}"#)) }
            #expect(await !test.isValid(tokens.text("access_token")))
        case .lockoutCount:
            // From as many sources, so that only the account's own counter can hold them.
            answers = await race { caller in
                let body = Array(#"{"username":"\#(caller % 2 == 0 ? "bob" : "BOB")","password":"wrong-wrong-wrong"}"#.utf8)
                return told(await test.send("POST", "/login", body, from: PeerAddress("192.0.2.\(caller)") ?? .loopback))
            }
            #expect(try await events(.signInRefused, test) == 5)
        case .keyRotation:
            try await test.advance(.seconds(303))
            answers = await race { _ in told(await test.send("POST", "/admin/keys/rotate", Array("{}".utf8), to: .control)) }
            #expect(Set(answers.keys).isSubset(of: ["200", "409 too_early"]))
            let retired = try await test.store.signingKeys().filter { $0.state == .retired }
            #expect(retired.map(\.algorithm).sorted() == ["ES256", "EdDSA"])
        case .keyRevocation:
            let active = try #require(test.node.keys.current?.id)
            answers = await race { _ in
                told(await test.send("POST", "/admin/keys/\(active)/revoke", Array("{}".utf8), to: .control))
            }
            #expect(Set(answers.keys).isSubset(of: ["200", "404 not_found", "409 too_early"]))
            #expect(answers["200", default: 0] >= 1)
            let stored = try await test.store.signingKeys()
            #expect(stored.filter { $0.state == .revoked }.map(\.id) == [active])
            #expect(Set(stored.map(\.id)) == Set(test.node.keys.records.map(\.id)))
        case .accountName:
            answers = await race { caller in
                let name = ["dora", "Dora", "DORA", "ｄｏｒａ"][caller % 4]
                return told(await test.post("/admin/users", #"{"username":"\#(name)"}"#, to: .control))
            }
        case .apply:
            let more = TestNode.resources.replacing("clients:", with: "  - {username: dora}\nclients:")
            answers = await race { _ in
                let answer = await test.apply(more)
                return "\(answer.status) \(answer.json["changes"]?.int ?? -1)"
            }
        case .code:
            let code = try await test.authorized().code
            answers = await race { _ in told(await TestClient().exchange(code, test)) }
            // Who came second shows that somebody has copied it: all of it ends, and is told of once.
            #expect(try await events(.codeReplayed, test) == 1)
        case .pushedRequest:
            let browser = try await test.authorized().browser
            let target = try await pushed(test)
            answers = await race { _ in
                let seen = await browser.get(target)
                return seen.told["code"] == nil ? "\(seen.status) \(seen.told["error"] ?? "")" : "code"
            }
            #expect(answers["code"] == 1)
            #expect(Set(answers.keys).isSubset(of: ["code", "303 invalid_request_uri", "400 "]), "\(answers)")
        case .deviceCode:
            let begun = try await TestClient.tv.begin(test)
            try await TestBrowser(test).allow(begun)
            answers = await race { _ in told(await TestClient.tv.poll(begun, test)) }
        case .deviceAnswer:
            let begun = try await TestClient.tv.begin(test)
            let browser = TestBrowser(test)
            let page = try await browser.asked(begun)
            answers = await race { await browser.submit(page, [("answer", $0 % 2 == 0 ? "allow" : "deny")]).title }
            #expect(answers.filter { $0.key.hasPrefix("Device ") }.map(\.value) == [1])
        case .signInForm:
            answers = try await raceOfForms(test)
            #expect(try await events(.signInRefused, test) == 5)
        }
        if !artefact.answers.isEmpty { #expect(answers == artefact.answers) }
        #expect(answers.values.reduce(0, +) == Self.callers)
        for ring in Dictionary(grouping: try await test.store.signingKeys(), by: \.algorithm).values {
            for state in [SigningKeyRecord.State.active, .next] { #expect(ring.filter { $0.state == state }.count == 1) }
        }
    }

    /// A pushed request of `web`.
    private func pushed(_ test: TestNode) async throws -> String {
        let query = TestClient().request().split(separator: "?")[1]
        let form = try FormParameters(Array(query.utf8)).members.map { ($0.name, $0.value) }
        let uri = await TestClient().post(test, "/par", form).text("request_uri")
        try #require(!uri.isEmpty)
        return "/authorize?" + FormParameters([(name: "client_id", value: "web"), (name: "request_uri", value: uri)]).encoded
    }

    /// Wrong passwords for bob through the form of one page, from as many sources.
    private func raceOfForms(_ test: TestNode) async throws -> [String: Int] {
        let browser = TestBrowser(test)
        let page = await browser.get(TestClient().request())
        let cookie = browser.cookies.map { "\($0.name)=\($0.value)" }.joined(separator: "; ")
        let fields = page.fields.filter { ["interaction", "form"].contains($0.name) }
        try #require(fields.count == 2)
        return await race { caller in
            let form = FormParameters(fields + [(name: "username", value: "bob"), (name: "password", value: "wrong-wrong-wrong")])
            let answer = await test.send(
                "POST", "/sign-in", Array(form.encoded.utf8),
                headers: [("content-type", "application/x-www-form-urlencoded"), ("cookie", cookie)],
                from: PeerAddress("192.0.2.\(caller)") ?? .loopback)
            let html = String(decoding: answer.body, as: UTF8.self)
            return html.contains("Too many attempts") ? "too many" : html.contains("is wrong") ? "wrong" : "\(answer.status)"
        }
    }

    /// What gives tokens, and what takes them away.
    enum Giver: String, CaseIterable, Sendable { case login, refresh, code, oauthRefresh, device }
    enum Taker: String, CaseIterable, Sendable { case disabled, deleted, passwordChanged, loggedOutEverywhere, clientDisabled }

    @Test(
        "what ends an account's right, among 32 callers that are given tokens: none of their tokens is left", arguments: Giver.allCases,
        Taker.allCases)
    func endings(_ giver: Giver, _ taker: Taker) async throws {
        let test = try await TestNode.matrix(["--passwords.queue", "64", "--lockout.free_attempts", "100"])
        let client = #","client_id":"app""#
        let tokens = try await holders(giver, test)
        let issued = await withTaskGroup(of: [Answer].self) { group in
            for caller in 0..<32 {
                group.addTask {
                    switch giver {
                    case .login: [await test.login(more: client)]
                    case .refresh: [await test.refresh(tokens[caller % tokens.count], more: client)]
                    case .code: [await TestClient().exchange(tokens[caller], test)]
                    case .oauthRefresh: [await TestClient().refresh(tokens[caller % tokens.count], test)]
                    case .device:
                        [
                            await TestClient.tv.token(
                                test, [("grant_type", TestClient.deviceGrant), ("device_code", tokens[caller])])
                        ]
                    }
                }
                if caller == 16 {
                    group.addTask {
                        #expect((200..<300).contains(await take(taker, giver, test).status))
                        return []
                    }
                }
            }
            return await group.reduce(into: [Answer]()) { $0 += $1 }
        }
        #expect(issued.count == 32)
        let sessions = try await test.store.sessions(of: try await test.account("alice")?.id ?? "gone", at: test.clock.now)
        for answer in issued where answer.status == 200 {
            // Who logged out everywhere may sign in again: a session that was opened afterwards goes on, in the store and in the token alike.
            let isOpen = sessions.contains { $0.id.text == answer.text("sid") }
            #expect(taker == .loggedOutEverywhere || !isOpen || taker == .clientDisabled)
            let isGood = await test.isValid(answer.text("access_token"))
            #expect(isGood == (taker == .loggedOutEverywhere && isOpen), "\(answer.text("sid"))")
            let refresh = answer.text("refresh_token")
            let again =
                [.login, .refresh].contains(giver)
                ? await test.refresh(refresh, more: client)
                : await (giver == .device ? TestClient.tv : TestClient()).refresh(refresh, test)
            #expect((again.status == 200) == isGood)
        }
    }

    /// What the callers have before they are given tokens: refresh tokens of eight sign-ins, or 32 codes of one browser.
    private func holders(_ giver: Giver, _ test: TestNode) async throws -> [String] {
        var holders: [String] = []
        switch giver {
        case .login: break
        case .refresh:
            for _ in 0..<8 { holders.append(await test.login(more: #","client_id":"app""#).text("refresh_token")) }
        case .device:
            let browser = TestBrowser(test)
            for _ in 0..<32 {
                let begun = try await TestClient.tv.begin(test)
                try await browser.allow(begun)
                holders.append(begun.text("device_code"))
            }
        case .code, .oauthRefresh:
            let (browser, _) = try await test.authorized()
            for _ in 0..<(giver == .code ? 32 : 8) {
                let code = try #require(try await browser.get(TestClient().request()).parameters()["code"])
                holders.append(giver == .code ? code : await TestClient().exchange(code, test).text("refresh_token"))
            }
        }
        return holders
    }

    private func take(_ taker: Taker, _ giver: Giver, _ test: TestNode) async -> Answer {
        switch taker {
        case .disabled: return await test.send("PATCH", "/admin/users/alice", Array(#"{"disabled":true}"#.utf8), to: .control)
        case .deleted: return await test.send("DELETE", "/admin/users/alice", to: .control)
        case .passwordChanged:
            return await test.send("PATCH", "/admin/users/alice", Array(#"{"password":"another-long-password"}"#.utf8), to: .control)
        case .loggedOutEverywhere: return await test.send("DELETE", "/admin/users/alice/sessions", to: .control)
        case .clientDisabled:
            let client = [.login, .refresh].contains(giver) ? "app" : giver == .device ? "tv" : "web"
            return await test.send("PATCH", "/admin/clients/\(client)", Array(#"{"disabled":true}"#.utf8), to: .control)
        }
    }
}
