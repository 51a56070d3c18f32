import AuthCore
import OAuthServer
import Settings
import Store
import StoreSQL
import Testing
import TokenKeys

@testable import gatehouse

@Suite("Refresh, validate, log out")
struct TokenFlowTests {
    @Test("a refresh gives new tokens; both access tokens are good")
    func refresh() async throws {
        let test = try await TestNode.start()
        let first = await test.login()
        let second = await test.refresh(first.text("refresh_token"))
        #expect(second.status == 200)
        #expect(second.text("refresh_token") != first.text("refresh_token"))
        #expect(second.text("sid") == first.text("sid"))
        for answer in [first, second] { #expect(await test.isValid(answer.text("access_token"))) }
    }

    @Test("a lost answer: the same refresh token within the window gives the same successor")
    func lostAnswer() async throws {
        let test = try await TestNode.start()
        let token = await test.login().text("refresh_token")
        let first = await test.refresh(token)
        try await test.advance(.seconds(9))
        let again = await test.refresh(token)
        #expect(again.status == 200)
        #expect(again.text("refresh_token") == first.text("refresh_token"))
    }

    @Test("a replay ends the session's grant: its tokens are refused at once and the account's other sessions go on")
    func replay() async throws {
        let test = try await TestNode.start()
        let other = await test.login()
        let stolen = await test.login()
        let second = await test.refresh(stolen.text("refresh_token"))
        let third = await test.refresh(second.text("refresh_token"))
        let replay = await test.refresh(stolen.text("refresh_token"))
        #expect(replay.status == 401)
        #expect(replay.error == "invalid_grant")
        for answer in [stolen, second, third] {
            #expect(await test.validate(answer.text("access_token")).text("reason") == "revoked")
        }
        #expect(await test.refresh(third.text("refresh_token")).status == 401)
        #expect(await test.isValid(other.text("access_token")))
    }

    @Test("64 tabs refresh at once: nobody is logged out and all get the same successor")
    func tabs() async throws {
        let test = try await TestNode.start()
        let token = await test.login().text("refresh_token")
        let successors = await withTaskGroup(of: String.self) { group in
            for _ in 0..<64 { group.addTask { await test.refresh(token).text("refresh_token") } }
            return await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(successors.count == 1)
        #expect(await test.refresh(try #require(successors.first)).status == 200)
    }

    @Test("every cut, lengthened or altered refresh token is refused and harms nobody (CVE-2026-27840)")
    func altered() async throws {
        let test = try await TestNode.start()
        let token = await test.login().text("refresh_token")
        var forms = (0..<token.count).map { String(token.prefix($0)) }.filter { !$0.isEmpty } + [token + "A", " " + token, token + " "]
        for index in stride(from: 4, to: token.utf8.count, by: 5) {
            var bytes = Array(token.utf8)
            bytes[index] = bytes[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            forms.append(String(decoding: bytes, as: UTF8.self))
        }
        for form in forms {
            let answer = await test.refresh(form)
            #expect(answer.status == 401, "\(form)")
            #expect(answer.error == "invalid_grant")
        }
        #expect(await test.refresh(token).status == 200)
    }

    @Test("a refresh token that somebody made with the master key, without the row's own secret, is refused and harms nobody")
    func forged() async throws {
        let test = try await TestNode.start()
        let token = await test.login().text("refresh_token")
        let (node, keys) = (test.node, test.node.masterKeys)
        let credential = try #require(GrantCredential(Secret(token), keys: keys))
        let row = try #require(try await node.store.grant(credential.grantID))
        let guessed = Grant(
            id: row.id, sessionID: row.sessionID, accountID: row.accountID, clientUID: row.clientUID, clientID: row.clientID,
            scope: row.scope, audiences: row.audiences, secret: Secret([UInt8](repeating: 7, count: 32)), rotation: row.rotation,
            createdAt: row.createdAt, expiresAt: row.expiresAt)
        let issuer = Identifier(node.settings.issuer.text)
        for counter in [credential.counter, credential.counter + 1] {
            let forged = GrantCredential.make(.refreshToken, grant: guessed, counter: counter, issuer: issuer, keys: keys)
            #expect(GrantCredential(forged, keys: keys) != nil, "the tag is good")
            #expect(await test.refresh(forged.exposed).error == "invalid_grant")
            _ = await test.logout(forged.exposed)
        }
        #expect(try await node.store.grant(row.id)?.rotation == row.rotation)
        #expect(await test.refresh(token).status == 200)
    }

    @Test("a refresh token works only for the client that it was issued to (CVE-2026-55672)")
    func otherClient() async throws {
        let test = try await TestNode.start()
        let token = await test.login(more: #","client_id":"app""#).text("refresh_token")
        #expect(await test.refresh(token).status == 401)
        #expect(await test.refresh(token, more: #","client_id":"app""#).status == 200)
    }

    @Test("logging out ends the session: access and refresh tokens are refused by the next request")
    func logout() async throws {
        let test = try await TestNode.start()
        let tokens = await test.login()
        #expect(await test.isValid(tokens.text("access_token")))
        #expect(await test.logout(tokens.text("refresh_token")).status == 204)
        #expect(await test.validate(tokens.text("access_token")).text("reason") == "revoked")
        #expect(await test.refresh(tokens.text("refresh_token")).status == 401)
        #expect(await test.logout(tokens.text("refresh_token")).status == 204)
    }

    @Test("an access token logs out too; everywhere needs the refresh token or gatehouse:account")
    func logoutByAccessToken() async throws {
        let test = try await TestNode.start()
        let (first, second) = (await test.login(), await test.login())
        let everywhere = await test.send(
            "POST", "/logout", Array(#"{"everywhere":true}"#.utf8),
            headers: [("content-type", "application/json")] + test.bearer(first.text("access_token")))
        #expect(everywhere.status == 403)
        #expect(await test.send("POST", "/logout", headers: test.bearer(first.text("access_token"))).status == 204)
        #expect(await !test.isValid(first.text("access_token")))
        #expect(await test.isValid(second.text("access_token")))
        let account = await test.login(more: #","scope":"gatehouse:account""#)
        let all = await test.send(
            "POST", "/logout", Array(#"{"everywhere":true}"#.utf8),
            headers: [("content-type", "application/json")] + test.bearer(account.text("access_token")))
        #expect(all.status == 204)
        for tokens in [second, account] { #expect(await !test.isValid(tokens.text("access_token"))) }
    }

    /// What ends tokens, and through which door.
    enum Ending: String, CaseIterable, Sendable {
        case disabled, passwordChanged, deleted, endedByOperator, everywhere, roleTaken, clientDisabled
    }

    @Test("matrix: whatever ends an account's right is seen by the next validation", arguments: Ending.allCases)
    func endings(_ ending: Ending) async throws {
        let test = try await TestNode.start()
        let tokens = await test.login(more: #","client_id":"app""#)
        let bystander = await test.login("bob")
        let done: Answer
        switch ending {
        case .disabled: done = await test.send("PATCH", "/admin/users/alice", Array(#"{"disabled":true}"#.utf8), to: .control)
        case .passwordChanged:
            done = await test.send("PATCH", "/admin/users/alice", Array(#"{"password":"another-long-password"}"#.utf8), to: .control)
        case .deleted: done = await test.send("DELETE", "/admin/users/alice", to: .control)
        case .endedByOperator: done = await test.send("DELETE", "/admin/sessions/\(tokens.text("sid"))", to: .control)
        case .everywhere: done = await test.send("DELETE", "/admin/users/alice/sessions", to: .control)
        case .roleTaken: done = await test.send("PATCH", "/admin/users/alice", Array(#"{"roles":[]}"#.utf8), to: .control)
        case .clientDisabled: done = await test.send("PATCH", "/admin/clients/app", Array(#"{"disabled":true}"#.utf8), to: .control)
        }
        #expect((200..<300).contains(done.status), "\(done.status) \(done.text("error_description"))")
        #expect(await test.validate(tokens.text("access_token")).text("reason") == "revoked")
        let refreshed = await test.refresh(tokens.text("refresh_token"), more: #","client_id":"app""#)
        if ending == .roleTaken {
            // The grant goes on, narrower.
            #expect(refreshed.status == 200)
            #expect(refreshed.text("scope") == "")
        } else {
            #expect(refreshed.status == 401)
        }
        #expect(await test.isValid(bystander.text("access_token")))
    }

    @Test("tokens expire, with the stated leeway, and nothing revives them")
    func expiry() async throws {
        let test = try await TestNode.start()
        let token = await test.login().text("access_token")
        try await test.advance(.seconds(600 + 59))
        #expect(await test.isValid(token))
        try await test.advance(.seconds(2))
        #expect(await test.validate(token).text("reason") == "expired")
    }

    @Test(
        "what is asked of a token is checked: audience, scope, acr, age",
        arguments: [
            (#","audience":"orders""#, ""), (#","audience":["reports","orders"]"#, ""), (#","audience":"reports""#, "wrong_audience"),
            (#","scope":"orders:read""#, ""), (#","scope":"orders:read reports:read""#, "insufficient_scope"), (#","scope":"orders"#, "-"),
            (#","scope":"orders:rea""#, "insufficient_scope"), (#","acr_values":"99""#, "insufficient_authentication"),
            (#","max_age":0"#, "insufficient_authentication"), (#","max_age":3600"#, ""),
        ])
    func requirements(_ more: String, _ reason: String) async throws {
        let test = try await TestNode.start()
        let token = await test.login().text("access_token")
        try await test.advance(.seconds(61))
        let answer = await test.validate(token, more: more)
        if reason == "-" {
            #expect(answer.status == 400)
        } else {
            #expect(answer.status == 200)
            #expect(answer.text("reason") == reason)
            #expect(answer.json["valid"]?.bool == reason.isEmpty)
        }
    }

    @Test("many tokens are answered in order; a bad one does not harm the others")
    func batch() async throws {
        let test = try await TestNode.start()
        let token = await test.login().text("access_token")
        let answer = await test.post("/validate", #"{"tokens":["x","\#(token)",""]}"#)
        let results = try #require(answer.json["results"]?.array)
        #expect(results.map { $0.object?["valid"]?.bool } == [false, true, false])
        #expect(results[0].object?["reason"]?.string == "malformed")
        #expect(await test.post("/validate", #"{"tokens":[]}"#).status == 400)
        #expect(await test.post("/validate", #"{"token":"a","tokens":["b"]}"#).status == 400)
        #expect(await test.post("/validate", #"{"token":"a","token":"b"}"#).status == 400)
    }

    @Test("explanations are for operators")
    func explain() async throws {
        let test = try await TestNode.start()
        let token = await test.login().text("access_token")
        #expect(await test.validate(token, more: #","explain":true"#).status == 403)
        let operatorToken = await test.login("root", more: #","scope":"gatehouse:admin""#).text("access_token")
        let answer = await test.post("/validate", #"{"token":"\#(token)","explain":true}"#, headers: test.bearer(operatorToken))
        #expect(answer.status == 200)
        #expect((answer.json["checks"]?.array ?? []).count > 5)
        let foreign = await test.post("/validate", #"{"token":"\#(token)","explain":true}"#, headers: test.bearer(token))
        #expect(foreign.status == 403)
    }

    @Test("a replica that is too old refuses to answer rather than guess")
    func stale() async throws {
        let test = try await TestNode.start()
        let token = await test.login().text("access_token")
        test.clock.advance(.seconds(31))
        let answer = await test.validate(token)
        #expect(answer.status == 503)
        #expect(answer.error == "stale")
        try await test.node.feed.catchUp(test.node.store)
        #expect(await test.isValid(token))
    }

    @Test("a key that is revoked takes its tokens with it, and signing goes on under the next key")
    func keyRevoked() async throws {
        let test = try await TestNode.start()
        let token = await test.login().text("access_token")
        let keys = await test.send("GET", "/admin/keys", to: .control).json["keys"]?.array ?? []
        let active = try #require(keys.compactMap(\.object).first { $0["state"]?.string == "active" }?["kid"]?.string)
        #expect(await test.send("POST", "/admin/keys/\(active)/revoke", Array("{}".utf8), to: .control).status == 200)
        #expect(await test.validate(token).text("reason") == "unknown_key")
        #expect(await test.isValid(await test.login().text("access_token")))
        let published = await test.send("GET", "/.well-known/jwks.json")
        #expect(!String(decoding: published.body, as: UTF8.self).contains(active))
    }

    @Test("a rotated key signs only after it was published for longer than caches may keep the set (JK-03)")
    func keyRotation() async throws {
        let test = try await TestNode.start()
        let before = await test.login().text("access_token")
        func active() -> Identifier? { test.node.keys.current?.id }
        let first = active()
        _ = await test.send("POST", "/admin/keys/rotate", Array("{}".utf8), to: .control)
        #expect(active() == first)
        try await test.advance(.seconds(303))
        _ = await test.send("POST", "/admin/keys/rotate", Array("{}".utf8), to: .control)
        #expect(active() != first)
        // The new one is published beside the old one, whose tokens are still about.
        let keys = await test.send("GET", "/.well-known/jwks.json").json["keys"]?.array?.compactMap { $0.object?["kid"]?.string } ?? []
        for key in [first, active()] { #expect(keys.contains(key?.text ?? "none")) }
        #expect(await test.isValid(before))
        #expect(await test.isValid(await test.login().text("access_token")))
        try await test.advance(.seconds(91 * 86_400))
        let second = active()
        try await test.node.keys.maintain()
        #expect(active() != second)
    }

    @Test("the key document has a validator and can be cached")
    func keyDocument() async throws {
        let test = try await TestNode.start()
        let answer = await test.send("GET", "/.well-known/jwks.json")
        #expect(answer.status == 200)
        #expect(answer.header("cache-control") == "public, max-age=300")
        let tag = try #require(answer.header("etag"))
        #expect(await test.send("GET", "/.well-known/jwks.json", headers: [("if-none-match", tag)]).status == 304)
        let keys = answer.json["keys"]?.array ?? []
        // The key in force and the next one, of each ring that costs nothing to make; those of RS256 come after the start.
        #expect(keys.compactMap { $0.object?["alg"]?.string }.sorted() == ["ES256", "ES256", "EdDSA", "EdDSA"])
        for key in keys { for secret in ["d", "p", "q", "k"] { #expect(key.object?[secret] == nil) } }
    }
}
