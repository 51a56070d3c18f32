import AuthCore
import Foundation
import HTTPEdge
import Store
import Testing
import WebServer

@testable import gatehouse

/// What every endpoint of the JSON API holds, walked over the table of endpoints: a new one is in it by being a row.
@Suite("Every endpoint of the JSON API")
struct RequestFlowTests {
    /// A path of the row that names nothing that exists.
    func path(_ endpoint: Endpoint) -> String {
        endpoint.path.split(separator: "/", omittingEmptySubsequences: false).map { $0.hasPrefix("{") ? "nobody" : String($0) }.joined(
            separator: "/")
    }

    func rows(_ test: TestNode) -> [(endpoint: Endpoint, listener: Listener)] {
        test.shells.authRows.map { ($0, .auth) } + test.adminEndpoints.map { ($0, .control) }
    }

    @Test("CK-07: nothing is changed by GET or HEAD: a path that takes no GET says what it takes", arguments: ["GET", "HEAD"])
    func safeMethods(_ method: String) async throws {
        let test = try await TestNode.start()
        let rows = rows(test)
        for (endpoint, listener) in rows where endpoint.method != "GET" {
            let readable = rows.contains { $0.listener == listener && $0.endpoint.method == "GET" && $0.endpoint.path == endpoint.path }
            if readable { continue }
            let answer = await test.send(method, path(endpoint), headers: [], to: listener)
            #expect(answer.status == 405, "\(endpoint.path)")
            #expect(answer.header("allow")?.contains(endpoint.method) == true)
        }
    }

    @Test("CK-09, CVE-2024-41657: no page of another origin may read an answer, but for the public keys and metadata; credentials never")
    func origins() async throws {
        let test = try await TestNode.start()
        for origin in ["https://evil.example", "null", "http://localhost:8080"] {
            for (endpoint, listener) in rows(test) {
                for method in [endpoint.method, "OPTIONS"] {
                    let answer = await test.send(
                        method, path(endpoint), Array("{}".utf8),
                        headers: [("content-type", "application/json"), ("origin", origin), ("access-control-request-method", "POST")],
                        to: listener)
                    let isPublic = endpoint.path.hasPrefix("/.well-known/") && method == "GET"
                    #expect(answer.header("access-control-allow-origin") == (isPublic ? "*" : nil), "\(method) \(endpoint.path)")
                    #expect(answer.header("access-control-allow-credentials") == nil)
                    if method == "OPTIONS" { #expect(answer.status == (endpoint.isShared ? 204 : 405)) }
                }
            }
        }
    }

    @Test("RFC 6750 §2: a token is read from the Authorization header and from nowhere else, and from one")
    func bearerHeader() async throws {
        let test = try await TestNode.start()
        let token = await test.login(more: #","scope":"gatehouse:account""#).text("access_token")
        #expect(await test.send("GET", "/sessions", headers: test.bearer(token)).status == 200)
        #expect(await test.send("GET", "/sessions", headers: [("authorization", "bEaReR  \(token)")]).status == 200)
        #expect(await test.send("GET", "/sessions?access_token=\(token)", headers: []).status == 401)
        #expect(
            await test.send(
                "GET", "/sessions", Array("access_token=\(token)".utf8), headers: [("content-type", "application/x-www-form-urlencoded")]
            ).status == 401)
        #expect(await test.send("GET", "/sessions", headers: [("cookie", "access_token=\(token)")]).status == 401)
        #expect(await test.send("GET", "/sessions", headers: [("authorization", token)]).status == 401)
        #expect(await test.send("GET", "/sessions", headers: test.bearer(token) + test.bearer(token)).status == 400)
        #expect(await test.send("GET", "/sessions", headers: test.bearer(token + " x")).status != 200)
    }

    @Test("RFC 6750 §3: no token is a bare challenge; a bad one says invalid_token; too little scope says which")
    func challenges() async throws {
        let test = try await TestNode.start()
        let none = await test.send("GET", "/sessions", headers: [])
        #expect(none.header("www-authenticate") == #"Bearer realm="gatehouse""#)
        let bad = await test.send("GET", "/sessions", headers: test.bearer("x"))
        #expect(bad.header("www-authenticate") == #"Bearer realm="gatehouse", error="invalid_token""#)
        let account = await test.login(more: #","scope":"gatehouse:account""#).text("access_token")
        let little = await test.send("GET", "/admin/users", headers: test.bearer(account), to: .admin)
        #expect(little.status == 403)
        #expect(
            little.header("www-authenticate") == #"Bearer realm="gatehouse", error="insufficient_scope", scope="gatehouse:admin""#)
    }

    @Test("RFC 6750 §3, §3.1: every refusal has a challenge; another scheme is as no token at all, one token too many is invalid_request")
    func everyChallenge() async throws {
        let test = try await TestNode.registering("token")
        let other = ("authorization", "Basic \(Data("a:b".utf8).base64EncodedString())")
        let rows: [(String, String, Listener)] = [
            ("GET", "/sessions", .auth), ("DELETE", "/sessions/x", .auth), ("GET", "/consents", .auth), ("GET", "/userinfo", .auth),
            ("POST", "/userinfo", .auth), ("POST", "/register", .auth), ("GET", "/register/x", .auth), ("GET", "/admin/users", .admin),
        ]
        for (method, path, listener) in rows {
            func ask(_ more: [(String, String)]) async -> Answer {
                await test.send(method, path, Array("{}".utf8), headers: [("content-type", "application/json")] + more, to: listener)
            }
            for strange in [other, ("authorization", "x"), ("authorization", ""), ("authorization", "Bearerx y")] {
                let answer = await ask([strange])
                #expect(answer.status == 401 && answer.error == "invalid_token", "\(method) \(path) \(strange.1)")
                #expect(answer.header("www-authenticate") == #"Bearer realm="gatehouse""#, "\(method) \(path) \(strange.1)")
            }
            // The scheme alone is a bad token, as at the gateway.
            for empty in ["Bearer", "bearer  "] {
                let answer = await ask([("authorization", empty)])
                #expect(answer.status == 401 && answer.error == "invalid_token", "\(method) \(path)")
                #expect(answer.header("www-authenticate") == #"Bearer realm="gatehouse", error="invalid_token""#, "\(method) \(path)")
            }
            for malformed in [test.bearer("x") + test.bearer("x"), [other, other], test.bearer("x") + [other]] {
                let answer = await ask(malformed)
                #expect(answer.status == 400 && answer.error == "invalid_request", "\(method) \(path) \(malformed)")
                #expect(
                    answer.header("www-authenticate") == #"Bearer realm="gatehouse", error="invalid_request""#,
                    "\(method) \(path) \(malformed)")
            }
        }
    }

    @Test("RFC 6750 §3.1: what too little scope does not allow, beside a good token, says which scope it needs")
    func scopeChallenges() async throws {
        let test = try await TestNode.start()
        let token = await test.login().text("access_token")
        let everywhere = await test.post("/logout", #"{"everywhere":true}"#, headers: test.bearer(token))
        #expect(everywhere.status == 403 && everywhere.error == "insufficient_scope")
        #expect(
            everywhere.header("www-authenticate")
                == #"Bearer realm="gatehouse", error="insufficient_scope", scope="gatehouse:account""#)
        for headers in [test.bearer(token), []] {
            let explained = await test.post("/validate", #"{"token":"x","explain":true}"#, headers: headers)
            #expect(explained.status == 403 && explained.error == "insufficient_scope")
            #expect(
                explained.header("www-authenticate")
                    == #"Bearer realm="gatehouse", error="insufficient_scope", scope="gatehouse:admin""#)
        }
    }

    // MARK: clients

    struct ClientRow: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let more: String
        let basic: String?
        let status: Int
        let error: String?
    }

    private static let secret = "0123456789abcdef0123456789abcdef"

    static let clientRows: [ClientRow] = [
        ClientRow(
            testDescription: "the secret in the body", more: #","client_id":"till","client_secret":"\#(secret)""#, basic: nil, status: 200,
            error: nil),
        ClientRow(testDescription: "HTTP Basic", more: "", basic: "till:\(secret)", status: 200, error: nil),
        ClientRow(
            testDescription: "HTTP Basic and the same client_id", more: #","client_id":"till""#, basic: "till:\(secret)", status: 200,
            error: nil),
        ClientRow(
            testDescription: "HTTP Basic, form-encoded (TK-06)", more: "", basic: "%74ill:%30123456789abcdef0123456789abcdef", status: 200,
            error: nil),
        ClientRow(
            testDescription: "two ways at once (TK-03)", more: #","client_id":"till","client_secret":"\#(secret)""#,
            basic: "till:\(secret)",
            status: 400, error: "invalid_request"),
        ClientRow(
            testDescription: "two names (TK-04)", more: #","client_id":"app""#, basic: "till:\(secret)", status: 400,
            error: "invalid_request"),
        ClientRow(
            testDescription: "a secret without a name", more: #","client_secret":"\#(secret)""#, basic: nil, status: 400,
            error: "invalid_request"),
        ClientRow(
            testDescription: "a wrong secret", more: #","client_id":"till","client_secret":"no""#, basic: nil, status: 401,
            error: "invalid_client"),
        ClientRow(testDescription: "no secret", more: #","client_id":"till""#, basic: nil, status: 401, error: "invalid_client"),
        ClientRow(
            testDescription: "an empty secret", more: #","client_id":"till","client_secret":"""#, basic: nil, status: 401,
            error: "invalid_client"),
        ClientRow(
            testDescription: "part of the secret", more: #","client_id":"till","client_secret":"\#(secret.dropLast())""#, basic: nil,
            status: 401, error: "invalid_client"),
        ClientRow(testDescription: "a wrong secret in Basic (TK-05)", more: "", basic: "till:no", status: 401, error: "invalid_client"),
        ClientRow(testDescription: "an unknown client in Basic", more: "", basic: "nobody:no", status: 401, error: "invalid_client"),
        ClientRow(
            testDescription: "an unknown client", more: #","client_id":"nobody","client_secret":"no""#, basic: nil, status: 401,
            error: "invalid_client"),
        ClientRow(
            testDescription: "a secret of a public client", more: #","client_id":"app","client_secret":"\#(secret)""#, basic: nil,
            status: 401, error: "invalid_client"),
        ClientRow(
            testDescription: "another case of the name", more: #","client_id":"TILL","client_secret":"\#(secret)""#, basic: nil,
            status: 401, error: "invalid_client"),
        ClientRow(
            testDescription: "a client without login (TK-08)", more: #","client_id":"web""#, basic: nil, status: 400,
            error: "unauthorized_client"),
    ]

    @Test("TK-03…TK-08, CVE-2026-53512: the client proves itself in one way, at /login and at /token/refresh alike", arguments: clientRows)
    func clients(_ row: ClientRow) async throws {
        let test = try await TestNode.start()
        let headers = row.basic.map { [("authorization", "Basic " + Base64.encode(Array($0.utf8)))] } ?? []
        let login = await test.post(
            "/login", #"{"username":"alice","password":"\#(TestNode.password)"\#(row.more)}"#, headers: headers)
        #expect(login.status == row.status)
        #expect(login.error == row.error)
        let held = await test.login(more: #","client_id":"till","client_secret":"\#(Self.secret)""#).text("refresh_token")
        let refresh = await test.post("/token/refresh", #"{"refresh_token":"\#(held)"\#(row.more)}"#, headers: headers)
        #expect(refresh.status == row.status)
        #expect(refresh.error == row.error)
        if row.status == 401 {
            for answer in [login, refresh] { #expect(answer.header("www-authenticate") == #"Basic realm="gatehouse""#) }
        }
        // Whatever was refused has harmed nobody.
        #expect(await test.refresh(held, more: #","client_id":"till","client_secret":"\#(Self.secret)""#).status == 200)
    }

    @Test("CA-13, TK-15: an unknown client, a wrong secret, a public and a disabled client are one answer, to the byte")
    func sameClientAnswer() async throws {
        let test = try await TestNode.start()
        let resources = TestNode.resources.replacing(
            "resources:", with: "  - {id: off, secret: \(Self.secret), grants: [login], scopes: [\"orders:read\"]}\nresources:")
        #expect(await test.apply(resources).status == 200)
        _ = await test.send("PATCH", "/admin/clients/off", Array(#"{"disabled":true}"#.utf8), to: .control)
        var seen = Set<String>()
        for more in [
            #","client_id":"nobody","client_secret":"no""#, #","client_id":"till","client_secret":"no""#, #","client_id":"till""#,
            #","client_id":"app","client_secret":"no""#, #","client_id":"off","client_secret":"\#(Self.secret)""#,
            #","client_id":"nobody""#,
        ] {
            for path in ["/login", "/token/refresh"] {
                let first = path == "/login" ? #""username":"alice","password":"x""# : #""refresh_token":"x""#
                let answer = await test.post(path, "{\(first)\(more)}")
                #expect(answer.status == 401)
                let body = String(decoding: answer.body, as: UTF8.self).replacing(answer.text("trace_id"), with: "")
                seen.insert(answer.headers.map { "\($0.name): \($0.value)" }.joined(separator: "\n") + body)
            }
        }
        #expect(seen.count == 1, "\(seen)")
    }

    // MARK: answers

    @Test("TK-09, CK-12: no cache may keep a token, nor anything else but the keys and the description")
    func noStore() async throws {
        let test = try await TestNode.start()
        let login = await test.login()
        for answer in [login, await test.refresh(login.text("refresh_token"))] {
            #expect(answer.status == 200)
            #expect(answer.header("cache-control") == "no-store")
            #expect(answer.header("pragma") == "no-cache")
            #expect(answer.header("content-type") == "application/json")
        }
        for (endpoint, listener) in rows(test) {
            let answer = await test.send(endpoint.method, path(endpoint), Array("{}".utf8), to: listener)
            // A logo that cannot be had now may come.
            let isPublic =
                ["/.well-known/", "/assets/", "/openapi.json"].contains { endpoint.path.hasPrefix($0) } && answer.status != 404
            #expect(answer.header("cache-control")?.contains(isPublic ? "public" : "no-store") ?? answer.body.isEmpty, "\(endpoint.path)")
        }
        for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/assets/gatehouse.css"] {
            #expect(await test.send("GET", path, headers: []).header("cache-control") == "public, max-age=300")
        }
    }

    @Test("TK-09, RFC 6749 §5.1, RFC 9700 §4.2.4: neither a token of the OAuth endpoints nor a page stays in a cache or a referrer")
    func oauthNoStore() async throws {
        let test = try await TestNode.oauth()
        let billing = TestClient(id: "billing", secret: "fedcba9876543210fedcba9876543210")
        let tokens = await billing.token(test, [("grant_type", "client_credentials")])
        let answers = [
            tokens, await billing.post(test, "/introspect", [("token", tokens.text("access_token"))]),
            await billing.post(test, "/revoke", [("token", tokens.text("access_token"))]),
            await TestClient().post(test, "/par", [("response_type", "x")]), await billing.post(test, "/token", [("grant_type", "x")]),
            await test.send("GET", "/userinfo", headers: test.bearer(tokens.text("access_token"))),
        ]
        for answer in answers { #expect(answer.header("cache-control") == "no-store") }
        #expect(tokens.header("pragma") == "no-cache")
        let browser = TestBrowser(test)
        let page = await browser.get(TestClient().request())
        let consent = await browser.signIn(page)
        for seen in [page, consent, await browser.submit(consent, [("answer", "allow")]), await browser.get("/authorize")] {
            #expect(seen.answer.header("cache-control") == "no-store")
            #expect(seen.answer.header("referrer-policy") == "no-referrer")
            #expect(seen.answer.header("x-frame-options") == "DENY")
            if seen.status != 303 { #expect(seen.answer.header("content-security-policy")?.contains("frame-ancestors 'none'") == true) }
        }
    }

    @Test("JK-01: the keys come as application/jwk-set+json, for no longer than a new key waits before it signs")
    func keyDocument() async throws {
        for age in ["5m", "1m"] {
            let test = try await TestNode.start(["--keys.jwks_max_age", age])
            let answer = await test.send("GET", "/.well-known/jwks.json", headers: [])
            #expect(answer.header("content-type") == "application/jwk-set+json")
            let seconds = try #require(answer.header("cache-control").flatMap { Int($0.split(separator: "=").last ?? "") })
            let early = await test.send("POST", "/admin/keys/rotate", Array("{}".utf8), to: .control)
            #expect(early.header("retry-after").flatMap { Int($0) } ?? 0 >= seconds)
        }
    }

    @Test("IN-13: an error names no statement, file, type or version")
    func plainErrors() async throws {
        let test = try await TestNode.start()
        for (endpoint, listener) in rows(test) {
            for body in ["", "{", "[]", #"{"nonsense":1}"#, #"{"username":{}}"#, "a=%", "token=x&token=x", "interaction=AAAA"] {
                let type = endpoint.reads == .form ? "application/x-www-form-urlencoded" : "application/json"
                let answer = await test.send(
                    endpoint.method, path(endpoint), Array(body.utf8), headers: [("content-type", type)], to: listener)
                guard answer.status >= 400 else { continue }
                let text = String(decoding: answer.body, as: UTF8.self)
                for word in ["SELECT", "sqlite", "swift", "Swift", "/tmp", ".swift", "Error(", "Optional(", "0x"] {
                    #expect(!text.contains(word), "\(endpoint.path): \(text)")
                }
                if endpoint.isPage {
                    #expect(text.firstMatch(of: /<code>[a-z_]+<\/code>, <code>[0-9a-f]{32}<\/code>/) != nil, "\(endpoint.path): \(text)")
                } else {
                    #expect(answer.text("trace_id").count == 32)
                    #expect(answer.error != nil)
                }
            }
        }
    }

    @Test("IN-05, IN-04: a body with any one byte changed, gone or doubled, or cut anywhere, is answered in the contract's shape")
    func mutations() async throws {
        let test = try await TestNode.start()
        let tokens = await test.login()
        let bodies = [
            ("/login", #"{"username":"bob","password":"wrong-wrong-wrong","scope":"orders:read","audience":["orders"]}"#),
            ("/token/refresh", #"{"refresh_token":"\#(tokens.text("refresh_token"))","client_id":"app"}"#),
            ("/validate", #"{"tokens":["x",""],"scope":["orders:read"],"max_age":60,"acr_values":["1"],"audience":"orders"}"#),
            ("/logout", #"{"refresh_token":"ghr_AAAA","everywhere":false}"#),
        ]
        // Guesses at bob are held back after the first few, so hardly anything is hashed.
        var statuses = Set<Int>()
        for (path, body) in bodies {
            let bytes = Array(body.utf8)
            var forms: [[UInt8]] = []
            for index in bytes.indices {
                forms.append(Array(bytes[..<index]))
                forms.append(Array(bytes[..<index] + bytes[(index + 1)...]))
                forms.append(Array(bytes[...index] + bytes[index...]))
                for byte: UInt8 in [0x00, 0x0A, 0x22, 0x2D, 0x5C, 0x5B, 0x7B, 0x7D, 0x39, 0x65, 0xC0, 0xFF] {
                    forms.append(Array(bytes[..<index] + [byte] + bytes[(index + 1)...]))
                }
            }
            for form in forms {
                let answer = await test.send("POST", path, form)
                statuses.insert(answer.status)
                if answer.status >= 400 { #expect(answer.error != nil && answer.text("trace_id").count == 32) }
            }
        }
        #expect(statuses.isSubset(of: [200, 204, 400, 401, 403, 429]), "\(statuses)")
        #expect(await test.isValid(tokens.text("access_token")))
    }

    @Test(
        "CVE-2025-48370: what stands in a path is compared as bytes, and leads nowhere else",
        arguments: [
            "..", ".", "..%2f..", "%2e%2e", "%00", "a%", "a%2", "%ff", "%E2%80%AE", String(repeating: "x", count: 2_000), "*",
            "'%20OR%201=1--",
        ])
    func pathIdentifiers(_ id: String) async throws {
        let test = try await TestNode.start()
        let alice = await test.login()
        for (method, path, listener) in [
            ("DELETE", "/sessions/\(id)", Listener.auth), ("DELETE", "/admin/sessions/\(id)", .control),
            ("GET", "/admin/users/\(id)", .control),
            ("DELETE", "/admin/users/\(id)", .control), ("POST", "/admin/keys/\(id)/revoke", .control),
            ("POST", "/admin/clients/\(id)/secrets", .control),
        ] {
            let answer = await test.send(
                method, path, Array("{}".utf8), headers: test.bearer(alice.text("refresh_token")) + [("content-type", "application/json")],
                to: listener)
            #expect(answer.status == 404, "\(method) \(path): \(answer.status)")
        }
        #expect(await test.isValid(alice.text("access_token")))
        #expect(await test.send("GET", "/admin/users", to: .control).json["users"]?.array?.count == 3)
    }
}
