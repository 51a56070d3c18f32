import AuthCore
import Foundation
import Store
import Testing
import TokenKeys
import WebServer

@testable import gatehouse

/// What a review found, each as a test.
@Suite("Found in review")
struct ReviewFlowTests {
    @Test("what an operator disabled stays disabled when the files are applied again")
    func operatorsHand() async throws {
        let test = try await TestNode.start()
        _ = await test.send("PATCH", "/admin/users/alice", Array(#"{"disabled":true}"#.utf8), to: .control)
        _ = await test.send("PATCH", "/admin/clients/till", Array(#"{"disabled":true}"#.utf8), to: .control)
        #expect(await test.apply(TestNode.resources + "\n# a comment\n").json["changes"]?.int == 0)
        #expect(await test.login().status == 401)
        #expect(await test.login("bob", more: #","client_id":"till","client_secret":"0123456789abcdef0123456789abcdef""#).status == 401)
        _ = await test.send("PATCH", "/admin/users/alice", Array(#"{"disabled":false}"#.utf8), to: .control)
        #expect(await test.login().status == 200)
    }

    @Test("logging out with a token that is spent ends its session all the same (LO-05)")
    func spentToken() async throws {
        let test = try await TestNode.start()
        let tokens = await test.login()
        _ = await test.send("PATCH", "/admin/users/alice", Array(#"{"roles":[]}"#.utf8), to: .control)
        #expect(await test.validate(tokens.text("access_token")).text("reason") == "revoked")
        #expect(await test.send("POST", "/logout", headers: test.bearer(tokens.text("access_token"))).status == 204)
        #expect(await test.refresh(tokens.text("refresh_token")).status == 401)
        let expired = await test.login("bob")
        try await test.advance(.seconds(700))
        #expect(await test.send("POST", "/logout", headers: test.bearer(expired.text("access_token"))).status == 204)
        #expect(await test.refresh(expired.text("refresh_token")).status == 401)
    }

    @Test("no token outlives its session, and its revocation is kept as long as it lives")
    func lifetime() async throws {
        let test = try await TestNode.start(["--tokens.session_ttl", "300s"])
        let tokens = await test.login()
        #expect(tokens.json["expires_in"]?.int == 300)
        try await test.advance(.seconds(200))
        let refreshed = await test.refresh(tokens.text("refresh_token"))
        #expect(refreshed.json["expires_in"]?.int == 100)
        try await test.advance(.seconds(90))
        _ = await test.send("DELETE", "/admin/users/alice/sessions", to: .control)
        try await test.advance(.seconds(60))
        #expect(await !test.isValid(refreshed.text("access_token")))
    }

    @Test("a refresh token that was used up is no proof of who is asking, once its window is over")
    func usedUp() async throws {
        let test = try await TestNode.start()
        let old = await test.login().text("refresh_token")
        _ = await test.refresh(old)
        #expect(await test.send("GET", "/sessions", headers: test.bearer(old)).status == 200)
        try await test.advance(.seconds(601))
        #expect(await test.send("GET", "/sessions", headers: test.bearer(old)).status == 401)
    }

    @Test("an audience of which nothing is granted is refused (TK-24)")
    func audience() async throws {
        let test = try await TestNode.start()
        #expect(await test.login(more: #","audience":"reports""#).error == "invalid_target")
        #expect(await test.login(more: #","audience":"orders""#).status == 200)
        #expect(await test.login(more: #","audience":["orders","reports"]"#).error == "invalid_target")
    }

    @Test("behind a trusted proxy each client is a source of its own; a stranger's word is not believed (BF-02, GW-06)")
    func sources() async throws {
        let test = try await TestNode.start(["--trusted_proxies", "127.0.0.1/32", "--lockout.free_attempts", "2"])
        func attempt(_ forwarded: String, from peer: PeerAddress = .loopback) async -> Int {
            let body = Array(#"{"username":"nobody","password":"wrong-wrong-wrong"}"#.utf8)
            return await test.send(
                "POST", "/login", body, headers: [("content-type", "application/json"), ("x-forwarded-for", forwarded)], from: peer
            ).status
        }
        _ = await attempt("192.0.2.7")
        let events = await test.send("GET", "/admin/audit", to: .control).json["events"]?.array ?? []
        #expect(events.first?.object?["source"]?.string == "192.0.2.7")
        _ = await attempt("192.0.2.7", from: try #require(PeerAddress("198.51.100.1")))
        let more = await test.send("GET", "/admin/audit", to: .control).json["events"]?.array ?? []
        #expect(more.first?.object?["source"]?.string == "198.51.100.1")
        let headers = Headers([("x-forwarded-for", "6.6.6.6, 192.0.2.7"), ("x-forwarded-for", "127.0.0.1")])
        let range = try #require(AddressRange("127.0.0.0/8"))
        #expect(ClientAddress.resolve(peer: .loopback, headers: headers, trusted: [range]).description == "192.0.2.7")
    }

    @Test("a change with one bad member changes nothing")
    func allOrNothing() async throws {
        let test = try await TestNode.start()
        let answer = await test.send(
            "PATCH", "/admin/users/alice", Array(#"{"password":"another-long-password","disabled":"yes"}"#.utf8), to: .control)
        #expect(answer.status == 400)
        #expect(await test.login().status == 200)
    }

    @Test("a rotation that cannot be yet is said, not silently left out; an administrator is named in the audit")
    func rotation() async throws {
        let test = try await TestNode.start()
        let early = await test.send("POST", "/admin/keys/rotate", Array("{}".utf8), to: .control)
        #expect(early.status == 409)
        #expect(early.header("retry-after").flatMap { Int($0) } == 302)
        let admin = test.bearer(await test.login("root", more: #","scope":"gatehouse:admin""#).text("access_token"))
        _ = await test.send(
            "PATCH", "/admin/users/bob", Array(#"{"disabled":true}"#.utf8), headers: admin + [("content-type", "application/json")],
            to: .admin)
        let event = await test.send("GET", "/admin/audit?user=bob", to: .control).json["events"]?.array?.first?.object
        #expect(event?["source"]?.string?.hasPrefix("admin ") == true)
    }

    @Test("a new password ends the lockout of the old one")
    func unlock() async throws {
        let test = try await TestNode.start()
        for _ in 0..<6 { _ = await test.login(password: "wrong-wrong-wrong") }
        #expect(await test.login().status == 429)
        _ = await test.send("PATCH", "/admin/users/alice", Array(#"{"password":"another-long-password"}"#.utf8), to: .control)
        #expect(await test.login(password: "another-long-password").status == 200)
    }

    @Test("narrowing a role while tokens are refreshed: none is left that has the scope", .timeLimit(.minutes(1)))
    func narrowingRace() async throws {
        let test = try await TestNode.start()
        let narrow = TestNode.resources.replacing(#"customer: ["orders:read", "orders:write"]"#, with: #"customer: ["orders:read"]"#)
        for _ in 0..<5 {
            #expect(await test.apply(TestNode.resources).status == 200)
            let first = await test.login().text("refresh_token")
            let tokens = await withTaskGroup(of: [String].self) { group in
                group.addTask {
                    var (token, issued) = (first, [String]())
                    for _ in 0..<40 {
                        let answer = await test.refresh(token)
                        token = answer.text("refresh_token")
                        issued.append(answer.text("access_token"))
                    }
                    return issued
                }
                group.addTask {
                    #expect(await test.apply(narrow).status == 200)
                    return []
                }
                return await group.reduce(into: []) { $0 += $1 }
            }
            for token in tokens { #expect(await test.validate(token, more: #","scope":"orders:write""#).json["valid"]?.bool != true) }
        }
    }
}
