import Accounts
import AuthCore
import Store
import Testing

@testable import gatehouse

@Suite("POST /login")
struct LoginFlowTests {
    @Test("user name and password give an access token for what the roles grant, and a refresh token")
    func login() async throws {
        let test = try await TestNode.start()
        let answer = await test.login()
        #expect(answer.status == 200)
        #expect(answer.text("token_type") == "Bearer")
        #expect(answer.json["expires_in"]?.int == 600)
        #expect(Set(answer.text("scope").split(separator: " ")) == ["orders:read", "orders:write"])
        #expect(answer.header("cache-control") == "no-store")
        let verdict = await test.validate(answer.text("access_token"), more: ",\"audience\":\"orders\",\"scope\":\"orders:read\"")
        #expect(verdict.json["valid"]?.bool == true)
        #expect(verdict.text("sid") == answer.text("sid"))
        #expect(verdict.text("client_id") == "gatehouse")
        #expect(verdict.json["amr"]?.strings == ["pwd"])
    }

    @Test("the claims are those of RFC 9068 §2.2 and ours")
    func claims() async throws {
        let test = try await TestNode.start()
        let token = await test.login().text("access_token")
        let parts = token.split(separator: ".").map { Base64URL.decode(String($0)) ?? [] }
        try #require(parts.count == 3)
        let header = try #require(try JSONReader.read(parts[0]).object)
        let claims = try #require(try JSONReader.read(parts[1]).object)
        #expect(header["typ"]?.string == "at+jwt")
        #expect(header["alg"]?.string == "ES256")
        for name in ["iss", "sub", "aud", "client_id", "iat", "exp", "jti", "scope", "auth_time", "acr", "amr", "sid", "gid", "ver"] {
            #expect(claims[name] != nil, "\(name) is missing")
        }
        #expect(claims["iss"]?.string == "http://localhost:8080")
        #expect(claims["iat"]?.int == test.clock.now.seconds)
        #expect(claims["exp"]?.int == test.clock.now.seconds + 600)
    }

    @Test("a wrong password and an unknown user get the same answer (BF-05)")
    func sameAnswer() async throws {
        let test = try await TestNode.start()
        let wrong = await test.login(password: "wrong-wrong-wrong")
        let unknown = await test.login("nobody-here")
        for answer in [wrong, unknown] {
            #expect(answer.status == 401)
            #expect(answer.error == "invalid_credentials")
        }
        #expect(wrong.text("error_description") == unknown.text("error_description"))
        #expect(wrong.headers.map(\.name) == unknown.headers.map(\.name))
        #expect(wrong.body.count == unknown.body.count)
    }

    @Test("every spelling of a user name is one account")
    func spellings() async throws {
        let test = try await TestNode.start()
        var subjects = Set<String>()
        for name in ["alice", "Alice", "ALICE", "alice@example.com"] {
            let answer = await test.login(name)
            #expect(answer.status == 200, "\(name)")
            subjects.insert(await test.validate(answer.text("access_token")).text("sub"))
        }
        #expect(subjects.count == 1)
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let name: String
        let body: String
        let status: Int
        let error: String
        var contentType = "application/json"
        var testDescription: String { name }
    }

    static let bad: [Bad] = [
        Bad(name: "no JSON", body: "username=alice", status: 400, error: "invalid_request"),
        Bad(name: "another media type", body: "{}", status: 415, error: "unsupported_media_type", contentType: "text/plain"),
        Bad(name: "an empty body", body: "", status: 400, error: "invalid_request"),
        Bad(name: "an array", body: "[]", status: 400, error: "invalid_request"),
        Bad(name: "a member twice", body: #"{"username":"alice","username":"bob","password":"x"}"#, status: 400, error: "invalid_request"),
        Bad(name: "a trailing comma", body: #"{"username":"alice","password":"x",}"#, status: 400, error: "invalid_request"),
        Bad(
            name: "100 deep", body: String(repeating: "[", count: 100) + String(repeating: "]", count: 100), status: 400,
            error: "invalid_request"),
        Bad(name: "a wrong type", body: #"{"username":1,"password":"x"}"#, status: 400, error: "invalid_request"),
        Bad(name: "null", body: #"{"username":null,"password":"x"}"#, status: 400, error: "invalid_request"),
        Bad(name: "a NUL", body: #"{"username":"alice\u0000","password":"x"}"#, status: 400, error: "invalid_request"),
        Bad(name: "an unknown member", body: #"{"username":"alice","password":"x","admin":true}"#, status: 400, error: "invalid_request"),
        Bad(name: "no password", body: #"{"username":"alice"}"#, status: 400, error: "invalid_request"),
        Bad(name: "an empty password", body: #"{"username":"alice","password":""}"#, status: 400, error: "invalid_request"),
        Bad(name: "an unknown mechanism", body: #"{"mechanism":"magic","credential":{}}"#, status: 400, error: "unsupported_mechanism"),
        Bad(name: "an unknown provider", body: #"{"provider":"acme"}"#, status: 400, error: "unknown_provider"),
        Bad(
            name: "an unknown scope", body: #"{"username":"alice","password":"correct-horse-battery","scope":"moon"}"#, status: 400,
            error: "invalid_scope"),
        Bad(
            name: "a malformed scope", body: #"{"username":"alice","password":"correct-horse-battery","scope":"a  b"}"#, status: 400,
            error: "invalid_scope"),
        Bad(
            name: "an unknown audience", body: #"{"username":"alice","password":"correct-horse-battery","audience":"moon"}"#, status: 400,
            error: "invalid_target"
        ),
        Bad(
            name: "an unknown client", body: #"{"username":"alice","password":"x","client_id":"nobody"}"#, status: 401,
            error: "invalid_client"),
        Bad(
            name: "a client without login", body: #"{"username":"alice","password":"x","client_id":"web"}"#, status: 400,
            error: "unauthorized_client"),
        Bad(
            name: "a confidential client without its secret", body: #"{"username":"alice","password":"x","client_id":"till"}"#, status: 401,
            error: "invalid_client"),
        Bad(
            name: "a confidential client with a wrong secret",
            body: #"{"username":"alice","password":"x","client_id":"till","client_secret":"no"}"#,
            status: 401, error: "invalid_client"
        ),
    ]

    @Test("bad input gets a clear error in the contract's shape", arguments: bad)
    func refused(_ row: Bad) async throws {
        let test = try await TestNode.start()
        let answer = await test.send("POST", "/login", Array(row.body.utf8), headers: [("content-type", row.contentType)])
        #expect(answer.status == row.status)
        #expect(answer.error == row.error)
        #expect(!answer.text("error_description").isEmpty)
        #expect(answer.text("trace_id").count == 32)
    }

    @Test("invalid UTF-8 and a body of 10 MB are refused")
    func bytes() async throws {
        let test = try await TestNode.start()
        #expect(await test.send("POST", "/login", Array(#"{"username":""#.utf8) + [0xFF] + Array(#"","password":"x"}"#.utf8)).status == 400)
        #expect(await test.send("POST", "/login", [UInt8](repeating: 0x20, count: 10_000_000)).status == 413)
    }

    @Test("a scope that the account does not have is left out; only such scopes is an error, never a grant (AZ-26)")
    func scopes() async throws {
        let test = try await TestNode.start()
        let some = await test.login(more: #","scope":"orders:read reports:read""#)
        #expect(some.text("scope") == "orders:read")
        let none = await test.login(more: #","scope":"reports:read""#)
        #expect(none.status == 400)
        #expect(none.error == "invalid_scope")
        let admin = await test.login(more: #","scope":"gatehouse:admin""#)
        #expect(admin.error == "invalid_scope")
    }

    @Test("a client limits what its tokens can do; Gatehouse's own scopes are never combined with others")
    func clients() async throws {
        let test = try await TestNode.start()
        let till = await test.login(more: #","client_id":"till","client_secret":"0123456789abcdef0123456789abcdef""#)
        #expect(till.text("scope") == "orders:read")
        let basic = await test.post(
            "/login", #"{"username":"alice","password":"correct-horse-battery"}"#,
            headers: [("authorization", "Basic " + Base64.encode(Array("till:0123456789abcdef0123456789abcdef".utf8)))]
        )
        #expect(basic.status == 200)
        let both = await test.login(more: #","scope":"orders:read gatehouse:account""#)
        #expect(both.error == "invalid_scope")
    }

    @Test("an account without roles signs in with no scope; its token is for the issuer alone")
    func noScope() async throws {
        let test = try await TestNode.start()
        let answer = await test.login("root")
        #expect(answer.text("scope") == "")
        #expect(await test.validate(answer.text("access_token")).json["aud"]?.strings == ["http://localhost:8080"])
    }

    @Test("failures are slowed, a right password then waits too, and time heals it", .timeLimit(.minutes(1)))
    func lockout() async throws {
        let test = try await TestNode.start()
        var throttled: Answer?
        for _ in 0..<20 {
            let answer = await test.login(password: "wrong-wrong-wrong")
            if answer.status == 429 {
                throttled = answer
                break
            }
        }
        let wait = try #require(throttled?.header("retry-after").flatMap { Int($0) })
        #expect(wait > 0)
        #expect(await test.login().status == 429)
        try await test.advance(.seconds(wait + 1))
        #expect(await test.login().status == 200)
    }

    @Test("tries that are counted in another order than they began do not block one another")
    func order() async throws {
        let policy = LockoutPolicy.standard
        var records: [ThrottleRecord?] = [nil, nil, nil, nil]
        let now = Instant(seconds: 1_000)
        for offset in [5, 4, 0, 3] {
            guard case .allowed = policy.attempt(&records, at: now + .milliseconds(offset)) else {
                Issue.record("an honest try was held back")
                return
            }
        }
        #expect(records[0]?.failures == 4)
    }

    @Test("roles stand in a token only where a resource of it asks for them (RFC 9068 §2.2.3.1)")
    func roles() async throws {
        let resources = TestNode.resources.replacing("- {id: reports,", with: "- {id: reports, include_roles: true,").replacing(
            "roles: [support]}", with: "roles: [support, operator]}")
        let test = try await TestNode.start(resources: resources)
        let without = await test.login("bob", more: #","audience":"orders""#).text("access_token")
        #expect(await test.validate(without).json["roles"] == nil)
        let with = await test.login("bob", more: #","audience":"reports""#).text("access_token")
        #expect(await test.validate(with).json["roles"]?.strings == ["support", "operator"])
    }

    @Test("more sign-ins than can be hashed are told when to come again, and tokens go on meanwhile (PW-10)")
    func overload() async throws {
        // Tries count until it is known that they were not evaluated: several people from several places, so that nobody is held back.
        let test = try await TestNode.start(["--passwords.queue", "1", "--lockout.free_attempts", "100"])
        let token = await test.login().text("access_token")
        let answers = await withTaskGroup(of: Answer.self) { group in
            for caller in 0..<64 {
                group.addTask {
                    let body = #"{"username":"\#(["alice", "bob", "root"][caller % 3])","password":"\#(TestNode.password)"}"#
                    return await test.send("POST", "/login", Array(body.utf8), from: PeerAddress("192.0.2.\(caller)") ?? .loopback)
                }
            }
            group.addTask { await test.validate(token) }
            return await group.reduce(into: [Answer]()) { $0.append($1) }
        }
        #expect(Set(answers.map(\.status)) == [200, 503])
        for answer in answers where answer.status == 503 {
            #expect(answer.error == "temporarily_unavailable")
            #expect(answer.header("retry-after").flatMap { Int($0) } ?? 0 >= 1)
        }
        #expect(answers.contains { $0.json["valid"]?.bool == true })
    }

    @Test("people who sign in at once never get one another's tokens (CVE-2026-33544)")
    func manyPeople() async throws {
        let test = try await TestNode.start(["--passwords.queue", "64", "--lockout.free_attempts", "100"])
        var subjects: [String: String] = [:]
        for name in ["alice", "bob", "root"] { subjects[name] = try #require(try await test.account(name)).id.text }
        let wanted = subjects
        await withTaskGroup(of: Void.self) { group in
            for caller in 0..<48 {
                group.addTask {
                    let name = ["alice", "bob", "root"][caller % 3]
                    let answer = await test.login(name)
                    let verdict = await test.validate(answer.text("access_token"))
                    #expect(verdict.text("sub") == wanted[name])
                    #expect(verdict.text("sid") == answer.text("sid"))
                }
            }
        }
    }

    @Test("unknown routes and methods have the error shape too")
    func unknown() async throws {
        let test = try await TestNode.start()
        let missing = await test.send("GET", "/nothing/here")
        #expect(missing.status == 404)
        #expect(missing.error == "not_found")
        let method = await test.send("GET", "/login")
        #expect(method.status == 405)
        #expect(method.header("allow") == "POST")
        #expect(method.error == "method_not_allowed")
    }

    @Test("a try whose password was never looked at is not held against anybody (BF-04)")
    func notEvaluated() async throws {
        let test = try await TestNode.start(["--lockout.free_attempts", "3"])
        // From now on no hash is made at all.
        test.node.hashing.stop()
        for _ in 0..<10 { #expect(await test.login().status == 503) }
    }

    @Test("an unknown name goes the same way through the hashing as a known one (PW-11)")
    func unknownHashes() async throws {
        let test = try await TestNode.start()
        test.node.hashing.stop()
        #expect(await test.login("alice").status == 503)
        #expect(await test.login("nobody").status == 503)
    }

    @Test("a try is counted before its password is hashed: one that is held back costs no hash (BF-03, PW-10)")
    func countedFirst() async throws {
        let test = try await TestNode.start(["--lockout.free_attempts", "3"])
        for _ in 0..<3 { #expect(await test.login(password: "wrong-password-here").status == 401) }
        // From now on no hash is made at all.
        test.node.hashing.stop()
        #expect(await test.login().status == 429)
    }
}
