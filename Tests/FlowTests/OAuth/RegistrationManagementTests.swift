import AuthCore
import OAuthServer
import Store
import Testing

@testable import gatehouse

@Suite("RFC 7592 management of registered clients")
struct RegistrationManagementTests {
    private static let redirect = RegistrationFlowTests.redirect

    private func registered(_ test: TestNode, _ more: String = "") async throws -> (id: String, token: String, answer: Answer) {
        let answer = await test.register(#"{\#(Self.redirect),"grant_types":["authorization_code","refresh_token"]\#(more)}"#)
        try #require(answer.status == 201)
        return (answer.text("client_id"), answer.text("registration_access_token"), answer)
    }

    @Test("§2.1, §3: a client reads what it registered, with its token, and no secret")
    func reads() async throws {
        let test = try await TestNode.registering()
        let (id, token, answer) = try await registered(test, #","client_name":"Shop""#)
        let read = await test.registration("GET", id, token: token)
        #expect(read.status == 200 && read.header("cache-control") == "no-store")
        for name in [
            "client_id", "client_name", "redirect_uris", "grant_types", "scope", "registration_client_uri", "registration_access_token",
        ] {
            #expect(read.json[name] == answer.json[name], "\(name)")
        }
        #expect(read.json["client_secret"] == nil)
    }

    @Test("§2, §2.1, DR-08: without the client's own token, for another client and for none: 401, and one answer")
    func proof() async throws {
        let test = try await TestNode.registering()
        let (id, token, _) = try await registered(test)
        let (other, _, _) = try await registered(test)
        var bodies = Set<String>()
        for method in ["GET", "PUT", "DELETE"] {
            for (target, presented) in [
                (id, nil), (id, "x"), (id, String(token.dropLast())), (id, token + "x"), (other, token), ("nobody", token), ("web", token),
                ("gatehouse", token), (id.uppercased(), token),
            ] {
                let answer = await test.registration(method, target, token: presented, #"{"client_id":"\#(target)",\#(Self.redirect)}"#)
                #expect(answer.status == 401 && answer.error == "invalid_token", "\(method) \(target)")
                // Nothing was sent, so nothing is called invalid (RFC 6750 §3.1).
                let fault = presented == nil ? "" : #", error="invalid_token""#
                #expect(answer.header("www-authenticate") == #"Bearer realm="gatehouse""# + fault, "\(method) \(target)")
                bodies.insert(String(decoding: answer.body, as: UTF8.self).replacing(answer.text("trace_id"), with: ""))
            }
        }
        #expect(bodies.count == 1)
        #expect(await test.registration("GET", id, token: token).status == 200)
    }

    @Test("§2.2: PUT replaces all: what is not in it goes back to its default; the token stays, and so does the secret")
    func replaces() async throws {
        let test = try await TestNode.registering()
        let (id, token, answer) = try await registered(test, #","client_name":"Shop","require_auth_time":true"#)
        let put = await test.registration(
            "PUT", id, token: token, #"{"client_id":"\#(id)","redirect_uris":["https://client.example/new"],"scope":"openid"}"#)
        #expect(put.status == 200)
        #expect(put.json["client_name"] == nil && put.json["require_auth_time"] == nil)
        #expect(put.json["grant_types"]?.strings == ["authorization_code"] && put.text("scope") == "openid")
        #expect(put.json["redirect_uris"]?.strings == ["https://client.example/new"])
        #expect(put.text("registration_access_token") == token && put.json["client_secret"] == nil)
        #expect(await test.registration("GET", id, token: token).json["redirect_uris"] == put.json["redirect_uris"])
        let client = TestClient(id: id, redirectURI: "https://client.example/cb")
        #expect(await TestBrowser(test).get(client.request()).status == 400, "the old redirect URI is gone")
        let secret = answer.text("client_secret")
        let kept = try #require(try await test.store.client(Identifier(id)))
        #expect(test.node.clientSecrets.matches(Secret(secret), kept.secretHashes))
    }

    @Test("§2.2: PUT names its own client, a right secret or none, and nothing that is the server's to say; else nothing changes")
    func badReplacement() async throws {
        let test = try await TestNode.registering()
        let (id, token, answer) = try await registered(test)
        let own = #""client_id":"\#(id)""#
        for body in [
            "{\(Self.redirect)}", #"{\#(Self.redirect),"client_id":"web"}"#, #"{\#(Self.redirect),"client_id":null}"#,
            #"{\#(Self.redirect),\#(own),"registration_access_token":"\#(token)"}"#,
            #"{\#(Self.redirect),\#(own),"registration_client_uri":"https://x.example/"}"#,
            #"{\#(Self.redirect),\#(own),"client_secret_expires_at":0}"#, #"{\#(Self.redirect),\#(own),"client_id_issued_at":0}"#,
            #"{\#(Self.redirect),\#(own),"client_secret":"mine"}"#, #"{\#(Self.redirect),\#(own),"token_endpoint_auth_method":"none"}"#,
            #"{\#(Self.redirect),\#(own),"grant_types":["client_credentials"]}"#, #"{\#(own)}"#,
        ] {
            let put = await test.registration("PUT", id, token: token, body)
            #expect(put.status == 400, "\(body)")
            #expect(put.error == (body == "{\(own)}" ? "invalid_redirect_uri" : "invalid_client_metadata"), "\(body)")
        }
        #expect(await test.registration("GET", id, token: token).json["grant_types"] == answer.json["grant_types"])
        let right = #"{\#(Self.redirect),\#(own),"client_secret":"\#(answer.text("client_secret"))"}"#
        #expect(await test.registration("PUT", id, token: token, right).status == 200)
    }

    @Test("CVE-2026-15572: a replacement changes nothing that only an operator may say, and gives no scope beyond the policy")
    func privileges() async throws {
        let test = try await TestNode.registering()
        let (id, token, _) = try await registered(test)
        let privileged = RegistrationFlowTests.privileged.replacing(#""client_id":"web","client_secret":"mine","#, with: "")
        let put = await test.registration(
            "PUT", id, token: token,
            #"{"client_id":"\#(id)",\#(Self.redirect),\#(privileged),"scope":"openid orders:write gatehouse:admin"}"#)
        #expect(put.status == 200 && put.text("scope") == "openid")
        let metadata = try #require(try await test.store.client(Identifier(id))).definition.metadata
        #expect(
            !metadata.isFirstParty && metadata.profile == .oauth21 && metadata.workloadIssuer == nil && metadata.servedResources.isEmpty)
        // What an operator has said stays.
        let stored = try #require(try await test.store.registration(Identifier(id)))
        var narrowed = stored.client.definition
        narrowed.metadata.profile = .mcp
        #expect(
            try await test.store.changeRegistration(narrowed, uid: stored.client.uid, tokenHash: stored.tokenHash, event: test.event))
        #expect(await test.registration("PUT", id, token: token, #"{"client_id":"\#(id)",\#(Self.redirect)}"#).status == 200)
        #expect(try await test.store.client(Identifier(id))?.definition.metadata.profile == .mcp)
    }

    @Test("narrowing ends the access tokens that are out")
    func narrowing() async throws {
        let test = try await TestNode.registering()
        let (id, token, answer) = try await registered(test, #","token_endpoint_auth_method":"client_secret_post""#)
        let tokens = try await test.agreed(TestClient(answer))
        #expect(await test.isValid(tokens.text("access_token")))
        let body = #"{"client_id":"\#(id)",\#(Self.redirect),"token_endpoint_auth_method":"client_secret_post","scope":"openid"}"#
        #expect(await test.registration("PUT", id, token: token, body).status == 200)
        #expect(await !test.isValid(tokens.text("access_token")))
    }

    @Test("§2.3, DR-08: DELETE ends the client, its grants and its tokens at once; its token is nobody's from then on")
    func deletes() async throws {
        let test = try await TestNode.registering()
        let (id, token, answer) = try await registered(test, #","token_endpoint_auth_method":"client_secret_post""#)
        let client = TestClient(answer)
        let tokens = try await test.agreed(client)
        #expect(await test.isValid(tokens.text("access_token")))
        let gone = await test.registration("DELETE", id, token: token)
        #expect(gone.status == 204 && gone.body.isEmpty)
        #expect(await !test.isValid(tokens.text("access_token")))
        #expect(await client.refresh(tokens.text("refresh_token"), test).error == "invalid_client")
        #expect(await TestBrowser(test).get(client.request()).status == 400)
        for method in ["GET", "PUT", "DELETE"] {
            #expect(await test.registration(method, id, token: token, #"{"client_id":"\#(id)",\#(Self.redirect)}"#).status == 401)
        }
        let events = try await test.store.events(before: nil, limit: 100, account: nil).map(\.event)
        for word in ["registered", "registration deleted"] {
            #expect(events.contains { $0.clientID == Identifier(id) && $0.reason == word }, "\(word)")
        }
    }

    @Test("of 64 deletions at once one is answered 204")
    func race() async throws {
        let test = try await TestNode.registering()
        let (id, token, _) = try await registered(test)
        let statuses = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<64 { group.addTask { await test.registration("DELETE", id, token: token).status } }
            return await group.reduce(into: [Int]()) { $0.append($1) }
        }
        #expect(statuses.filter { $0 == 204 }.count == 1 && statuses.filter { $0 == 401 }.count == 63)
    }

    @Test("§2.1: a client that an operator has disabled may not look or change; nor comes it back by deleting itself")
    func disabled() async throws {
        let test = try await TestNode.registering()
        let (id, token, _) = try await registered(test)
        #expect(
            await test.send("PATCH", "/admin/clients", Array(#"{"client_id":"\#(id)","disabled":true}"#.utf8), to: .control).status == 204)
        for method in ["GET", "PUT", "DELETE"] {
            let answer = await test.registration(method, id, token: token, #"{"client_id":"\#(id)",\#(Self.redirect)}"#)
            #expect(answer.status == 403 && answer.error == "access_denied", "\(method)")
        }
        #expect(await test.registration("GET", id, token: "x").status == 401)
        #expect(try await test.store.client(Identifier(id))?.isDisabled == true)
        #expect(await test.send("PATCH", "/admin/clients", Array(#"{"client_id":"x","disabled":true}"#.utf8), to: .control).status == 404)
    }

    @Test("who registered while it was allowed can look and leave when it no longer is")
    func closed() async throws {
        let test = try await TestNode.oauth()
        let outcome = try await test.store.register(
            ClientDefinition(id: "dyn-old"), secretHash: nil, tokenHash: TokenHash(of: "ghm_old".utf8).bytes, within: RegistrationBounds(),
            at: test.clock.now, event: test.event)
        guard case .registered = outcome else {
            Issue.record("not registered")
            return
        }
        #expect(await test.registration("GET", "dyn-old", token: "ghm_old").status == 200)
        #expect(await test.registration("DELETE", "dyn-old", token: "ghm_old").status == 204)
    }
}
