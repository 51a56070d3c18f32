import AuthCore
import TestSupport
import Testing

/// SECURITY matrix "path variant × policy", at the service: which of them a request reaches through real sockets.
///
/// Each rule has a service of its own, so that who answers shows which rule was applied. A new way to write a target, a host or
/// a method is a row, a new policy a route with its service. Searched further at the level of decisions: `PathReadingTests`.
@Suite("Matrix: path variant × policy, as it arrives at the service (GW-02, GW-03, GW-04, GW-09)")
struct PathMatrixTests {
    /// Hosts keep the policies apart: closed beside open, closed within open, by method, by scope, by host.
    static let resources = """
        users:
          - {username: alice, password: correct-horse-battery, roles: [customer]}
        resources:
          - {id: orders, scopes: ["orders:read", "orders:write"]}
        roles:
          customer: ["orders:read"]
          boss: ["orders:write"]
        routes:
          - {name: a-public, match: {host: a.test, path: /public}, upstream: "http://open.test", require: none}
          - {name: a-admin, match: {host: a.test, path: /admin}, upstream: "http://closed.test", require: {scope: "orders:write"}}
          - {name: b-all, match: {host: b.test, path: /}, upstream: "http://open.test", require: none}
          - {name: b-admin, match: {host: b.test, path: /admin}, upstream: "http://closed.test", require: {scope: "orders:write"}}
          - {name: c-read, match: {host: c.test, path: /admin, methods: [GET]}, upstream: "http://open.test", require: none}
          - {name: c-write, match: {host: c.test, path: /admin, methods: [POST]}, upstream: "http://closed.test", require: {scope: "orders:write"}}
          - {name: c-all, match: {host: c.test, path: /}, upstream: "http://open.test", require: none}
          - {name: d-read, match: {host: d.test, path: /}, upstream: "http://open.test", require: {scope: "orders:read"}}
          - {name: d-admin, match: {host: d.test, path: /admin}, upstream: "http://closed.test", require: {scope: "orders:write"}}
          - {name: e-admin, match: {host: e.test, path: /}, upstream: "http://closed.test", require: {scope: "orders:write"}}
          - {name: public, match: {path: /public}, upstream: "http://open.test", require: none}
          - {name: all, match: {path: /}, upstream: "http://open.test", require: {scope: "orders:read"}}
        """

    private struct Scene {
        let live: LiveGateway
        let token: String

        static func set() async throws -> Scene {
            let live = try await LiveGateway.start(services: ["open", "closed"], resources: PathMatrixTests.resources)
            return Scene(live: live, token: await live.test.login().text("access_token"))
        }

        /// Sends the request line as it stands, on a connection of its own.
        func ask(_ line: [UInt8], host: String?, hasToken: Bool, more: String = "") async throws -> RawClient.Answer {
            let client = try await live.client()
            let fields = (host.map { "Host: \($0)\r\n" } ?? "") + (hasToken ? "Authorization: Bearer \(token)\r\n" : "") + more
            try await client.send(line + Array("\r\n\(fields)\r\n".utf8))
            let answer = try await client.answer(toHead: line.starts(with: Array("HEAD ".utf8)))
            await client.close()
            return answer
        }

        /// What reached each service since the last look; each request line is compared with what was sent.
        func arrived(at name: String) -> [String] { (live.services[name]?.requests ?? []).compactMap(\.lines.first) }
    }

    /// Ways to write `/admin`, or a way there, that some service has read as `/admin`.
    static let around: [String] = [
        "/public/../admin", "/public/./../admin", "/public//../admin", "//admin", "/./admin", "/admin/.", "/admin/..", "/admin//x",
        "/admin;x=1", "/;/admin", "/public/..;/admin", "/public%2f..%2fadmin", "/public%2F..%2Fadmin", "/public/%2e%2e/admin",
        "/public/.%2e/admin", "/public/%2E./admin", "/public%5c..%5cadmin", "/public%5C..%5Cadmin", "/public\\..\\admin", "\\admin",
        "/\\admin", "/%61dmin", "/%41dmin", "/admi%6E", "/%2561dmin", "/%252e%252e/admin", "/public%252f..%252fadmin",
        "/public%25252f..%25252fadmin", "/admin%00", "/admin%00.png", "/%00/admin", "/admin%0a", "/admin%0d%0aX:%20y", "/admin%09",
        "/public/%c0%ae%c0%ae/admin", "/public%c0%af..%c0%afadmin", "/public%e0%80%af..%e0%80%afadmin", "/public%u002f..%u002fadmin",
        "/admin%3fx", "/admin%3Fx", "/admin%23x", "/admin%253fx", "/public/..%3f/admin", "/admin%2f", "/admin%2fx", "/admin%3bx", "/admin%",
        "/admin%2", "/admin%zz", "/admin#/public", "/public#/../admin", "/admin\0", "/admin\t", "/adm\u{E9}n", "/\u{FF41}dmin",
        "/public/\u{301}../admin", "/admin\u{7F}", "http://b.test/admin", "http://b.test/public/../admin", "HTTP://b.test/",
        "//b.test/admin",
        "*", "b.test/admin", "admin", "?/admin", "http:/admin", "http:///admin", "/public/..?/admin", "/public/../admin?x",
        "/admin/../admin",
    ]

    @Test("no way around reaches a service, with or without a token", arguments: ["a.test", "b.test", "c.test", "d.test"])
    func around(host: String) async throws {
        let scene = try await Scene.set()
        for target in Self.around {
            for method in ["GET", "POST", "OPTIONS"] {
                for hasToken in [false, true] {
                    let answer = try await scene.ask(Array("\(method) \(target) HTTP/1.1".utf8), host: host, hasToken: hasToken)
                    // On a.test nothing is at `/`, so that what would be another path there is no route.
                    let isElsewhere = answer.status == 404 && host == "a.test"
                    #expect(answer.status == 400 || isElsewhere, "\(method) \(target) at \(host): \(answer.status) \(answer.text)")
                }
            }
        }
        #expect(scene.live.requestCount == 0, "\(scene.arrived(at: "open")) \(scene.arrived(at: "closed"))")
        await scene.live.stop()
    }

    /// What a request without the closed rule's scope gets: the service that answers, or the status.
    static let plain: [(target: String, host: String, method: String, outcome: String)] = [
        ("/public", "a.test", "GET", "open"), ("/public/admin", "a.test", "GET", "open"), ("/admin", "a.test", "GET", "403"),
        ("/admin/", "a.test", "GET", "403"), ("/admin/x/y", "a.test", "GET", "403"), ("/admin?x=/public", "a.test", "GET", "403"),
        ("/admin?/../public", "a.test", "GET", "403"), ("/admins", "a.test", "GET", "open of every host"),
        ("/public?q=/../admin%2f..;//", "a.test", "GET", "open"), ("/", "b.test", "GET", "open"), ("/admin", "b.test", "GET", "403"),
        ("/ADMIN", "b.test", "GET", "open"), ("/admin%20", "b.test", "GET", "open"), ("/public/caf%C3%A9", "a.test", "GET", "open"),
        ("/public/caf%c3%a9", "a.test", "GET", "open"), ("/public/a%40b", "a.test", "GET", "open"), ("/public/%7E", "a.test", "GET", "400"),
        ("/public/100%25", "a.test", "GET", "open"), ("/public/What%3F", "a.test", "GET", "open"),
        // Methods.
        ("/admin", "c.test", "GET", "open"), ("/admin", "c.test", "HEAD", "open"), ("/admin", "c.test", "POST", "403"),
        ("/admin", "c.test", "PUT", "405"), ("/admin", "c.test", "DELETE", "405"), ("/admin", "c.test", "get", "405"),
        ("/admin", "c.test", "Post", "405"), ("/admin", "c.test", "OPTIONS", "405"), ("/admin", "c.test", "TRACE", "405"),
        ("/admin", "c.test", "CONNECT", "405"), ("/admin", "c.test", "PRI", "405"), ("/admin", "c.test", "X", "405"),
        ("/admin", "c.test", "GET\tPOST", "400"), ("/admin", "c.test", "G(T", "400"), ("/other", "c.test", "PUT", "open"),
        ("/other", "c.test", "TRACE", "405"), ("/other", "c.test", "CONNECT", "405"), ("/other", "c.test", "trace", "405"),
        ("/other", "c.test", "put", "405"), ("c.test:80", "c.test", "CONNECT", "400"), ("*", "c.test", "OPTIONS", "400"),
        // Scopes.
        ("/", "d.test", "GET", "open"), ("/admin", "d.test", "GET", "403"), ("/admin/x", "d.test", "DELETE", "403"),
        // Hosts: each way to write e.test is e.test, and its rule holds.
        ("/public", "e.test", "GET", "403"), ("/public", "E.TEST", "GET", "403"), ("/public", "e.Test", "GET", "403"),
        ("/public", "e.test.", "GET", "403"), ("/public", "E.test.:443", "GET", "403"), ("/public", "e.test:80", "GET", "403"),
        ("/public", "e.test:8000", "GET", "403"), ("/public", "e.test:65535", "GET", "403"), ("/public", "e.test:0", "GET", "400"),
        ("/public", "e.test:65536", "GET", "400"), ("/public", "e.test:", "GET", "400"), ("/public", "e.test:80:80", "GET", "400"),
        ("/public", "e.test:+80", "GET", "400"), ("/public", "e.test..", "GET", "400"), ("/public", ".e.test", "GET", "400"),
        ("/public", "e..test", "GET", "400"), ("/public", "e.test/", "GET", "400"), ("/public", "e.test?", "GET", "400"),
        ("/public", "u@e.test", "GET", "400"), ("/public", "e%2Etest", "GET", "400"), ("/public", "e.test,b.test", "GET", "400"),
        ("/public", "e.test b.test", "GET", "400"), ("/public", "e.test\tb", "GET", "400"), ("/public", "\u{FF45}.test", "GET", "400"),
        ("/public", "", "GET", "400"), ("/public", "[::1", "GET", "400"), ("/public", "[e.test]", "GET", "400"),
        // Other hosts are other hosts: the routes of every host.
        ("/public", "e.test.evil.test", "GET", "open of every host"), ("/public", "xe.test", "GET", "open of every host"),
        ("/public", "e-test", "GET", "open of every host"), ("/public", "[::1]:80", "GET", "open of every host"),
        ("/public", "127.0.0.1", "GET", "open of every host"),
    ]

    @Test("each request has the rule of what it names, and arrives as it was decided on", arguments: [false, true])
    func plain(hasToken: Bool) async throws {
        let scene = try await Scene.set()
        for row in Self.plain {
            let before = (scene.arrived(at: "open").count, scene.arrived(at: "closed").count)
            let line = "\(row.method) \(row.target) HTTP/1.1"
            let answer = try await scene.ask(Array(line.utf8), host: row.host, hasToken: hasToken)
            let comment = Comment("\(line) at \(row.host): \(answer.status) \(answer.text)")
            #expect(scene.arrived(at: "closed").count == before.1, comment)
            if row.outcome.hasPrefix("open") {
                // What asks for a token beyond this scope is open to nobody without one.
                let needsToken = row.host == "d.test" || row.outcome == "open of every host" && !row.target.hasPrefix("/public")
                guard hasToken || !needsToken else {
                    #expect(answer.status == 401, comment)
                    continue
                }
                #expect(answer.status == 200, comment)
                #expect(scene.arrived(at: "open").dropFirst(before.0) == [line], comment)
                // The host as well: a service that routes by host must see the one that was decided on.
                #expect(scene.live.services["open"]?.requests.last?.values("host") == [row.host], comment)
            } else {
                let isWithoutToken = row.outcome == "403" && !hasToken
                #expect(answer.status == (isWithoutToken ? 401 : Int(row.outcome)), comment)
                #expect(scene.arrived(at: "open").count == before.0, comment)
            }
        }
        await scene.live.stop()
    }

    @Test("the version of the request line is 1.1 or 1.0 and nothing else, and bytes in it are no way around")
    func requestLines() async throws {
        let scene = try await Scene.set()
        let lines: [[UInt8]] =
            [
                "GET /public", "GET /public HTTP/1.1 ", "GET  /public HTTP/1.1", "GET /public  HTTP/1.1", " GET /public HTTP/1.1",
                "GET\t/public HTTP/1.1", "GET /public\tHTTP/1.1", "GET /public HTTP/1.1\r", "GET /public http/1.1", "GET /public HTTP/1.10",
                "GET /public HTTP/01.1", "GET /public HTTP/1", "GET /public HTTPS/1.1", "GET /public x HTTP/1.1", "/public HTTP/1.1",
            ].map { Array($0.utf8) } + [
                Array("GET /public/".utf8) + [0xFF] + Array(" HTTP/1.1".utf8), Array("GET /public\0 HTTP/1.1".utf8),
            ]
        for line in lines {
            let answer = try await scene.ask(line, host: "a.test", hasToken: true)
            #expect(answer.status == 400, "\(String(decoding: line, as: UTF8.self)): \(answer.status)")
        }
        for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.0"] {
            #expect(try await scene.ask(Array("GET /public \(version)".utf8), host: "a.test", hasToken: true).status == 505, "\(version)")
        }
        #expect(scene.live.requestCount == 0)
        // HTTP/1.0 may lack a Host, and then no rule of a host is meant.
        let old = try await scene.ask(Array("GET /public HTTP/1.0".utf8), host: nil, hasToken: false)
        #expect(old.status == 200 && scene.arrived(at: "open") == ["GET /public HTTP/1.1"])
        await scene.live.stop()
    }

    @Test("headers that name another path, host or method move nothing (CVE-2023-27487)")
    func headers() async throws {
        let scene = try await Scene.set()
        let fields = [
            "X-Original-URL: /public", "X-Rewrite-URL: /public", "X-Forwarded-Uri: /public", "X-Forwarded-Prefix: /public",
            "X-Envoy-Original-Path: /public", "X-Original-URI: /public", "X-Forwarded-Host: a.test", "Forwarded: host=a.test",
            "X-Host: a.test", "X-HTTP-Method-Override: HEAD", "X-Forwarded-Method: GET", "Host_: a.test", "Base-Url: http://a.test/public",
        ]
        for field in fields {
            let read = try await scene.ask(Array("GET /admin HTTP/1.1".utf8), host: "b.test", hasToken: true, more: field + "\r\n")
            #expect(read.status == 403, "\(field)")
            let written = try await scene.ask(
                Array("POST /admin HTTP/1.1".utf8), host: "c.test", hasToken: true, more: field + "\r\nContent-Length: 0\r\n")
            #expect(written.status == 403, "\(field)")
        }
        #expect(scene.live.requestCount == 0)
        await scene.live.stop()
    }
}
