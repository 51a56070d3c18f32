import AuthCore
import TestSupport
import Testing

/// SECURITY matrix "header variant × kind of route", at the service: what arrives there through real sockets.
///
/// The oracle is one sentence: of every name that only the gateway may say, the service sees exactly what the gateway says on
/// this kind of route, however the client has written it. A new header is a row of `names`, a new way to write one a row of
/// `writings`, a new kind of route a row of `kinds`.
@Suite("Matrix: header variant × kind of route, as it arrives at the service (GW-05, GW-07, GW-08, GW-10, CVE-2026-30851)")
struct HeaderMatrixTests {
    /// A kind of route, and what its service is told.
    struct Kind: Sendable, CustomTestStringConvertible {
        var name: String
        /// In a resource file, behind the match and the upstream.
        var rule: String
        var identity = Identity.headers
        var passesToken = false
        /// Whether a request without a good token passes.
        var isOpen = false

        enum Identity: Sendable { case headers, jwt, nothing }

        var testDescription: String { name }
    }

    static let kinds: [Kind] = [
        Kind(name: "public", rule: "require: none", identity: .nothing, isOpen: true),
        Kind(name: "authenticated", rule: ""),
        Kind(name: "scoped", rule: "require: {scope: 'orders:read'}"),
        Kind(name: "headers", rule: "require: {audience: orders}, identity: headers"),
        Kind(name: "jwt", rule: "require: {scope: 'orders:read'}, identity: jwt", identity: .jwt),
        Kind(name: "none", rule: "require: {scope: 'orders:read'}, identity: none", identity: .nothing),
        Kind(name: "passed", rule: "require: {scope: 'orders:read'}, pass_token: true", passesToken: true),
        Kind(name: "open-passed", rule: "require: none, pass_token: true", identity: .nothing, passesToken: true, isOpen: true),
    ]

    /// What is not the client's to say. Those of the last line are hop-by-hop, or frame the message.
    static let names = [
        "X-Auth-Subject", "X-Auth-Client", "X-Auth-Scope", "X-Auth-Session", "X-Auth-Token", "X-Auth-Roles", "X-Auth-Anything", "Txn-Token",
        "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Uri",
        "X-Forwarded-Method", "X-Forwarded-Server", "X-Forwarded-Client-Cert", "X-Forwarded", "Forwarded", "X-Original-URL",
        "X-Original-URI", "X-Original-Method", "X-Rewrite-URL", "X-Envoy-Original-Path", "X-Envoy-External-Address", "X-Real-IP",
        "X-Client-IP", "True-Client-IP", "X-Cluster-Client-IP", "X-SSL-Client-Cert", "SSL-Client-Verify", "Client-Cert", "Proxy",
        "Proxy-Authorization", "Proxy-Connection", "Keep-Alive", "HTTP2-Settings", "TE", "Trailer", "Upgrade",
    ]

    /// Names whose exact spelling frames the message, and that other spellings must not frame for a service.
    static let framing = ["Content-Length", "Transfer-Encoding"]

    /// Ways to write a header, as bytes of lines; `evil` stands in each value.
    static let writings: [@Sendable (String) -> [String]] = [
        { ["\($0): evil"] }, { ["\($0.lowercased()): evil"] }, { ["\($0.uppercased()): evil"] }, { ["\(swapped($0)): evil"] },
        { ["\($0.replacing("-", with: "_")): evil"] }, { ["\($0.replacing("-", with: ".")): evil"] },
        { ["\($0.replacing("-", with: "_").lowercased()): evil"] }, { ["\(mixed($0)): evil"] },
        { ["\($0): evil", "\($0): evil"] }, { ["\($0):"] }, { ["\($0):evil"] }, { ["\($0): \tevil \t"] }, { ["\($0): \u{FF}\u{FE}evil"] },
        { ["\($0): evil, evil"] }, { ["Connection: \($0)", "\($0): evil"] }, { ["Connection: \($0)"] },
        { ["\($0): evil", "connection: keep-alive, \($0.lowercased())"] }, { ["Connection: \($0.replacing("-", with: "_")), close-not"] },
    ]

    /// Ways to write a name that no field has: 400, and no service hears of it.
    static let malformed: [@Sendable (String) -> String] = [
        { "\($0) : evil" }, { " \($0): evil" }, { "\t\($0): evil" }, { "\($0)\u{E9}: evil" }, { "\($0)\u{2010}: evil" },
        { "\($0)\0: evil" },
        { "\($0)\u{7F}: evil" }, { "\($0)" }, { "(\($0)): evil" }, { "\($0): evil\u{0}" }, { "\($0): a\rX: evil" }, { "A: b\n\($0): evil" },
    ]

    static func swapped(_ name: String) -> String {
        String(name.map { $0.isUppercase ? Character($0.lowercased()) : Character($0.uppercased()) })
    }

    /// Its first dash as an underscore, its last as a dot.
    static func mixed(_ name: String) -> String {
        let parts = name.split(separator: "-")
        guard parts.count > 2 else { return parts.joined(separator: "_") }
        return parts[0] + "_" + parts[1..<(parts.count - 1)].joined(separator: "-") + "." + parts[parts.count - 1]
    }

    static let resources = """
        users:
          - {username: alice, password: correct-horse-battery, roles: [customer]}
        resources:
          - {id: orders, scopes: ["orders:read"]}
        roles:
          customer: ["orders:read"]
        routes:

        """
        + kinds.map { "  - {name: \($0.name), match: {path: /\($0.name)}, upstream: 'http://service.test', \($0.rule)}" }
        .joined(separator: "\n").replacing(", }", with: "}")

    /// A running gateway and a good token.
    private struct Scene {
        let live: LiveGateway
        let client: RawClient
        let token: String
        let claims: JSONObject

        static func set() async throws -> Scene {
            let live = try await LiveGateway.start(services: ["service"], resources: HeaderMatrixTests.resources)
            let token = await live.test.login().text("access_token")
            return Scene(live: live, client: try await live.client(), token: token, claims: try HeaderMatrixTests.claims(token))
        }

        func ask(_ kind: Kind, _ lines: [String], credential: String? = nil) async throws -> RawClient.Answer {
            let head = ["GET /\(kind.name) HTTP/1.1", "Host: shop.example", "Authorization: \(credential ?? "Bearer \(token)")"] + lines
            return try await client.ask(head.joined(separator: "\r\n") + "\r\n\r\n")
        }

        func end() async {
            await client.close()
            await live.stop()
        }
    }

    static func claims(_ token: String) throws -> JSONObject {
        let part = try #require(token.split(separator: ".").dropFirst().first)
        let bytes = try #require(Base64URL.decode(part.utf8))
        let claims = try JSONReader.read(bytes).object
        return try #require(claims)
    }

    /// What a service that folds names as CGI does sees: by folded name, values in order.
    static func folded(_ answer: RawClient.Answer) -> [String: [String]] {
        var seen: [String: [String]] = [:]
        for line in answer.text.split(separator: "\r\n").dropFirst(2) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let name = String(line[..<colon].map { $0 == "_" || $0 == "." ? "-" : Character($0.lowercased()) })
            seen[name, default: []].append(String(line[line.index(after: colon)...]).trimmed)
        }
        return seen
    }

    /// Compares what arrived with what the gateway says on this kind of route, name by name.
    private func check(_ answer: RawClient.Answer, _ kind: Kind, _ scene: Scene, _ comment: Comment, isListed: Set<String> = []) throws {
        guard answer.status == 200 else {
            Issue.record("\(comment): \(answer.status) \(answer.text)")
            return
        }
        var seen = Self.folded(answer)
        #expect(!answer.text.contains("evil"), comment)
        var ours: [String: [String]] = [
            "x-forwarded-for": ["127.0.0.1"], "x-forwarded-proto": ["http"], "x-forwarded-host": ["shop.example"],
            "x-forwarded-port": ["80"], "forwarded": [#"for=127.0.0.1;host="shop.example";proto=http"#], "via": ["1.1 gatehouse"],
            "host": ["shop.example"],
        ]
        switch kind.identity {
        case .headers:
            for (name, claim) in [("subject", "sub"), ("client", "client_id"), ("scope", "scope"), ("session", "sid")] {
                ours["x-auth-\(name)"] = [try #require(scene.claims[claim]?.string)]
            }
        case .jwt:
            let token = try #require(seen.removeValue(forKey: "x-auth-token")?.first, comment)
            let claims = try Self.claims(token)
            #expect(claims["sub"] == scene.claims["sub"] && claims["aud"] == .string(kind.name), comment)
        case .nothing: break
        }
        if kind.passesToken, !isListed.contains("authorization") { ours["authorization"] = ["Bearer \(scene.token)"] }
        #expect(seen.removeValue(forKey: "traceparent")?.count == 1, comment)
        #expect(seen == ours, comment)
    }

    @Test("of what only the gateway may say, the service sees what the gateway says", arguments: kinds)
    func arrives(_ kind: Kind) async throws {
        let scene = try await Scene.set()
        for name in Self.names {
            for (index, writing) in Self.writings.enumerated() {
                // A Connection field of its own must not stand for the client's wish to keep the connection.
                try check(try await scene.ask(kind, writing(name)), kind, scene, "\(kind.name): \(name), writing \(index)")
            }
        }
        for name in Self.framing {
            let writings = ["_", "."].flatMap { [name.replacing("-", with: $0), name.replacing("-", with: $0).lowercased()] }
            for writing in writings {
                try check(try await scene.ask(kind, ["\(writing): 5evil"]), kind, scene, "\(kind.name): \(writing)")
            }
        }
        // All at once, as far as they go into one head.
        for start in stride(from: 0, to: Self.names.count, by: 20) {
            let lines = Self.names[start...].prefix(20).flatMap { name in [0, 4, 5, 6].flatMap { Self.writings[$0](name) } }
            try check(try await scene.ask(kind, lines), kind, scene, "\(kind.name): from \(Self.names[start]) on")
        }
        await scene.end()
    }

    @Test("Connection cannot remove what the gateway says (GW-07, CVE-2026-29054)", arguments: kinds)
    func listed(_ kind: Kind) async throws {
        let scene = try await Scene.set()
        let ours = [
            "X-Auth-Subject", "x-auth-client", "X_Auth_Scope", "X-Auth-Session", "x-auth-token", "X-Forwarded-For", "X-Forwarded-Proto",
            "X-Forwarded-Host", "X-Forwarded-Port", "Forwarded", "Via", "Host", "Traceparent", "Content-Length",
        ]
        for name in ours { try check(try await scene.ask(kind, ["Connection: \(name)"]), kind, scene, "\(kind.name): \(name)") }
        try check(try await scene.ask(kind, ["Connection: \(ours.joined(separator: ", "))"]), kind, scene, "\(kind.name): all")
        // The client's own fields are its own to name; the decision was made with the credential all the same.
        let answer = try await scene.ask(kind, ["Connection: authorization, x-mine", "X-Mine: evil"])
        try check(answer, kind, scene, "\(kind.name): authorization", isListed: ["authorization"])
        await scene.end()
    }

    @Test("a name that is no name is a 400 on every kind of route, and no service hears of it", arguments: kinds)
    func refused(_ kind: Kind) async throws {
        let scene = try await Scene.set()
        for name in ["X-Auth-Subject", "X-Forwarded-For", "Authorization", "Connection", "Transfer-Encoding", "X-Mine"] {
            for (index, writing) in Self.malformed.enumerated() {
                let client = try await scene.live.client()
                let head = "GET /\(kind.name) HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer \(scene.token)\r\n"
                let answer = try await client.ask(head + writing(name) + "\r\n\r\n")
                #expect(answer.status == 400, "\(kind.name): \(name), writing \(index): \(answer.text)")
                await client.close()
            }
        }
        #expect(scene.live.requestCount == 0)
        await scene.end()
    }

    /// Credentials that are not one good token.
    static let credentials = ["Bearer bad", "Basic YTpi", "Bearer", "", "Bearer \u{FF}", "DPoP x", "Token x"]

    @Test("another credential than a good token identifies nobody, and goes on only where the route says so (GW-10)", arguments: kinds)
    func credentials(_ kind: Kind) async throws {
        let scene = try await Scene.set()
        for credential in Self.credentials {
            let before = scene.live.requestCount
            let answer = try await scene.ask(kind, [], credential: credential)
            guard kind.isOpen else {
                #expect(answer.status == 401 && scene.live.requestCount == before, "\(kind.name): \(credential)")
                continue
            }
            let seen = Self.folded(answer)
            #expect(answer.status == 200 && !seen.keys.contains { $0.hasPrefix("x-auth-") || $0 == "txn-token" }, "\(credential)")
            #expect(seen["authorization"]?.count == (kind.passesToken ? 1 : nil), "\(kind.name): \(credential)")
        }
        let before = scene.live.requestCount
        let twice = try await scene.ask(kind, ["Authorization: Bearer \(scene.token)"])
        #expect(twice.status == (kind.isOpen ? 200 : 400) && scene.live.requestCount == before + (kind.isOpen ? 1 : 0))
        await scene.end()
    }

    // MARK: Forward-auth

    /// What another proxy is told for its service. It copies the fields of the 200; none may be the client's.
    @Test("forward-auth answers with the gateway's own words, whatever the client has written (GW-19, CVE-2026-35051)", arguments: kinds)
    func forwardAuth(_ kind: Kind) async throws {
        let live = try await LiveGateway.start(
            services: ["service"], resources: Self.resources, settings: ["--trusted_proxies", "127.0.0.0/8"])
        let token = await live.test.login().text("access_token")
        let claims = try Self.claims(token)
        let client = try await live.authClient()
        var ours: Set<String> = []
        if kind.identity == .headers {
            for (name, claim) in [("subject", "sub"), ("client", "client_id"), ("scope", "scope"), ("session", "sid")] {
                ours.insert("x-auth-\(name): \(claims[claim]?.string ?? "?")")
            }
        }
        let wanted = [
            "GET /forward-auth HTTP/1.1", "Host: localhost", "Authorization: Bearer \(token)", "X-Forwarded-Method: GET",
            "X-Forwarded-Uri: /\(kind.name)", "X-Forwarded-Host: shop.example",
        ]
        let dialect = ["X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host"]
        for name in Self.names {
            for (index, writing) in Self.writings.enumerated() {
                let lines = writing(name)
                let comment = Comment("\(kind.name): \(name), writing \(index)")
                let answer = try await client.ask((wanted + lines).joined(separator: "\r\n") + "\r\n\r\n")
                // What the proxy says twice is not believed in either form.
                let isTwice = lines.contains { line in
                    dialect.contains { line.lowercased().hasPrefix($0.lowercased() + ":") }
                }
                #expect(answer.status == (isTwice ? 400 : 200), comment)
                let identity = Set(answer.headers.filter { $0.lowercased().hasPrefix("x-auth-") })
                #expect(!answer.headers.contains { $0.contains("evil") }, comment)
                if isTwice {
                    #expect(identity.isEmpty, comment)
                } else if kind.identity == .jwt {
                    #expect(identity.count == 1 && identity.first?.hasPrefix("x-auth-token: ey") == true, comment)
                } else {
                    #expect(identity == ours, comment)
                }
            }
        }
        #expect(live.requestCount == 0)
        await client.close()
        await live.stop()
    }
}
