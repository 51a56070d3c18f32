import AuthCore
import Store
import Testing

@testable import Settings

@Suite("Resource files")
struct ResourceFileTests {
    static let good = """
        users:
          - {username: alice, email: alice@example.com, password: env:ALICE, roles: [customer]}
          - {username: bob, password_hash: $6$salt$hash}
        clients:
          - id: web
            public: true
            grants: [authorization_code, refresh_token]
            redirect_uris: [http://127.0.0.1:9000/callback, https://app.example.com/cb, com.example.app:/cb]
            scopes: [openid, profile, email, offline_access, orders:read]
          - {id: billing, secret: env:BILLING, grants: [client_credentials], scopes: [orders:read, gatehouse:revocations]}
          - {id: first, secret: env:BILLING, grants: [login, refresh_token]}
        resources:
          - {id: orders, scopes: [orders:read, orders:write]}
          - {id: 'https://reports.example.com', scopes: [reports:read], include_roles: true}
        roles:
          customer: [orders:read]
          empty: []
        routes:
          - name: orders
            match: {path: /orders, methods: [GET, POST], host: api.example.com}
            upstream: http://127.0.0.1:7001
            require: {scope: orders:read, audience: orders}
          - name: reports
            match: {path: /reports}
            upstream: ['http://a:1', 'https://b:2', 'http://[::1]:3']
            require: {scope: [reports:read, orders:read], audience: [orders, 'https://reports.example.com'], role: customer, client: [web, billing], acr: '2', max_age: 5m}
            identity: jwt
            pass_token: true
            when_stale: ask
          - {name: public, match: {path: /}, upstream: http://127.0.0.1:7001, require: none, identity: none}
          - {name: any, match: {path: /any}, upstream: http://127.0.0.1:7001}
        providers: []
        """
    static let world = World(environment: ["ALICE": "correct-horse-battery", "BILLING": "0123456789abcdef0123456789abcdef"])

    func read(_ texts: String..., issuer: String = "https://id.example.com") throws -> Result<ResourceReading, ResourceProblems> {
        try Self.world.resources(texts, issuer: issuer)
    }

    @Test("a good file is read, every field")
    func good() throws {
        let reading = try read(Self.good).get()
        let document = reading.document
        #expect(document.users.map(\.username) == ["alice", "bob"])
        #expect(document.users[0].email == "alice@example.com" && document.users[0].roles == ["customer"])
        #expect(document.users[0].password?.exposed == "correct-horse-battery" && document.users[0].passwordHash == nil)
        #expect(document.users[1].passwordHash?.exposed == "$6$salt$hash" && document.users[1].password == nil)
        #expect(document.clients.map(\.id) == ["web", "billing", "first"])
        #expect(document.clients[0].isPublic && document.clients[0].grants == [.authorizationCode, .refreshToken])
        #expect(document.clients[0].redirectURIs.count == 3 && document.clients[0].scopes.values.count == 5)
        #expect(document.clients[1].secret?.exposed.utf8.count == 32 && !document.clients[1].isPublic)
        #expect(document.resources.map(\.wantsRoles) == [false, true])
        #expect(document.roles.map(\.name) == ["customer", "empty"])
        let orders = document.routes[0]
        #expect(orders.host == "api.example.com" && orders.path == "/orders" && orders.methods == ["GET", "POST"])
        #expect(orders.identity == .headers && !orders.passesToken && orders.whenStale == nil)
        var rule = TokenRule()
        rule.scope = ScopeSet(["orders:read"])
        rule.audiences = ["orders"]
        #expect(orders.requirement == .token(rule))
        let reports = document.routes[1]
        #expect(reports.upstreams.count == 3 && reports.identity == .jwt && reports.passesToken && reports.whenStale == .ask)
        guard case .token(let full) = reports.requirement else { return }
        #expect(
            full.roles == ["customer"] && full.clients == ["web", "billing"] && full.acrValues == ["2"] && full.maxAge == .seconds(300))
        #expect(document.routes[2].requirement == .open && document.routes[3].requirement == .token(TokenRule()))
    }

    @Test("a resource has a name and its scopes have descriptions that people can read; what is not its scope has none")
    func descriptions() throws {
        let text = "resources: [{id: a, name: 'Bücher', scopes: ['a:read', 'a:write'], scope_descriptions: {'a:read': 'Read, %@'}}]"
        let resource = try #require(try read(text).get().document.resources.first)
        #expect(resource.name == "Bücher")
        #expect(resource.scopeDescriptions == ["a:read": "Read, %@"])
        #expect(ResourceJSON.decodeResource(ResourceJSON.encode(resource)) == resource)
        let plain = try #require(try read("resources: [{id: a, scopes: ['a:read']}]").get().document.resources.first)
        #expect(plain.name == nil && plain.scopeDescriptions.isEmpty)
        // What an earlier release has stored has neither member, and is the same still.
        #expect(ResourceJSON.encode(plain).object?.names == ["id", "scopes", "include_roles"])
        for (bad, path) in [
            ("name: ''", "name"), ("name: \"a\\u202Eb\"", "name"), ("name: [a]", "name"),
            ("scope_descriptions: [a]", "scope_descriptions"), ("scope_descriptions: {'a:reed': x}", "scope_descriptions.a:reed"),
            ("scope_descriptions: {'a:read': ''}", "scope_descriptions.a:read"),
            ("scope_descriptions: {'a:read': '\(String(repeating: "x", count: 129))'}", "scope_descriptions.a:read"),
        ] {
            let problems = try read("resources: [{id: a, scopes: ['a:read'], \(bad)}]").problems
            #expect(problems.map(\.path) == ["resources[0].\(path)"], "\(bad)")
        }
    }

    @Test("a route that asks for neither scope nor audience warns, and an open one does not")
    func wideRoute() throws {
        #expect(try read(Self.good).get().warnings.map(\.path) == ["routes[3].require"])
        let builtIn = "routes: [{name: a, match: {path: /a}, upstream: 'http://a', require: {scope: profile}}]"
        #expect(try read(builtIn).get().warnings.map(\.path) == ["routes[0].require"])
    }

    @Test(
        "routes on one host and path may differ in their methods",
        arguments: [
            ("methods: [GET]", "methods: [POST, PUT]"), ("methods: [HEAD]", "methods: [POST]"), ("methods: [GET]", "host: h"),
            ("host: g, methods: [GET]", "host: h, methods: [GET]"),
        ])
    func sameMatch(first: String, second: String) throws {
        let text = [("a", first), ("b", second)].map { "{name: \($0), match: {path: /a, \($1)}, upstream: 'http://a', require: none}" }
        let routes = try read("routes: [\(text.joined(separator: ", "))]").get().document.routes
        #expect(routes.map(\.name) == ["a", "b"] && routes.map(\.path) == ["/a", "/a"])
    }

    @Test("only the scalar none opens a route", arguments: ["none", "'none'", "\"none\""])
    func open(text: String) throws {
        let document = try read("routes: [{name: a, match: {path: /a}, upstream: 'http://a', require: \(text)}]").get().document
        #expect(document.routes.map(\.requirement) == [.open])
    }

    @Test(
        "nothing else does: what is empty or looks like none is an error with line and column",
        arguments: [
            "", "~", "null", "{}", "[]", "[none]", "None", "NONE", "no", "false", "open", "{none: true}", "{scope: }", "{scope: []}",
            "{role: ~}", "n\u{43E}ne", "' none'",
        ]
    )
    func notOpen(text: String) throws {
        let problems = try read("routes:\n  - {name: a, match: {path: /a}, upstream: 'http://a', require: \(text)}").problems
        #expect(!problems.isEmpty)
        for problem in problems {
            #expect(problem.place.line == 2 && problem.place.column > 60 && problem.path.hasPrefix("routes[0].require"), "\(problem)")
        }
    }

    @Test("each mistake is named with its place", arguments: FaultyText.all + FaultyText.clientMembers + FaultyText.clientCombinations)
    func faulty(row: FaultyText) throws {
        let lines = try read(row.text).lines
        #expect(lines.contains { $0.isSameBytes(as: row.line) }, "\(lines)")
    }

    @Test("each member of a client has a row of the table with a value that it does not take")
    func everyMember() {
        for field in ClientFields.all {
            #expect(FaultyText.clientMembers.contains { $0.line.contains(": clients[0].\(field.name): ") }, "\(field.name)")
        }
    }

    @Test(
        "members that go together are taken",
        arguments: [
            "public: true, grants: [authorization_code], redirect_uris: ['https://a/cb', 'https://a:8443/x'], subject_type: pairwise",
            "public: true, grants: [authorization_code], redirect_uris: ['https://a/cb', 'https://b/cb'], subject_type: pairwise, sector_identifier_uri: 'https://a/s'",
            "grants: [client_credentials], token_endpoint_auth_method: tls_client_auth, tls_client_auth_subject_dn: 'CN=a'",
            "grants: [client_credentials], token_endpoint_auth_method: private_key_jwt, jwks_uri: 'https://a', token_endpoint_auth_signing_alg: PS256",
            "grants: [client_credentials], jwks: {keys: [{kty: EC}]}, token_endpoint_auth_signing_alg: ES256",
            "grants: [client_credentials], token_endpoint_auth_method: self_signed_tls_client_auth, jwks: {keys: [{kty: EC}]}",
            "grants: [client_credentials], profile: fapi-2.0, jwks_uri: 'https://a', id_token_signed_response_alg: ES256",
            "public: true, grants: [device_code, refresh_token]", "public: true, token_endpoint_auth_method: none, grants: [login]",
            "secret: env:BILLING, grants: [token_exchange], exchange_audiences: [o], exchange_clients: [a], exchange_impersonates: true, serves: [o]",
            "public: true, grants: [authorization_code], redirect_uris: ['https://a/cb'], frontchannel_logout_uri: 'https://a:443/out', frontchannel_logout_session_required: true",
            "secret: env:BILLING, grants: [jwt_bearer], assertion_issuer: 'https://a', assertion_jwks_uri: 'https://a/keys'",
            "public: true, first_party: true, grants: [authorization_code], redirect_uris: ['https://a/cb']",
            "public: true, grants: [login, authorization_code], redirect_uris: ['https://a/cb']",
            "secret: env:BILLING, first_party: true, grants: [authorization_code], redirect_uris: ['http://127.0.0.1/cb']",
        ])
    func together(members: String) throws {
        let reading = try read("clients: [{id: a, \(members)}]\nresources: [{id: o, scopes: [x]}]").get()
        #expect(reading.warnings.isEmpty, "\(reading.warnings)")
    }

    @Test("RFC 8252 §8.6: a first-party program on a device, or one with login, is a warning on loopback, and nowhere allowed")
    func firstPartyOnDevice() throws {
        let text =
            "clients: [{id: a, public: true, first_party: true, grants: [authorization_code], redirect_uris: ['http://127.0.0.1/cb']}]"
        #expect(try read(text, issuer: "http://localhost:8080").get().warnings.map(\.path) == ["clients[0].first_party"])
        #expect(try read(text).problems.map(\.path) == ["clients[0].first_party"])
        let login = text.replacing("first_party: true, grants: [", with: "grants: [login, ")
        #expect(try read(login, issuer: "http://localhost:8080").get().warnings.map(\.path) == ["clients[0].grants"])
    }

    @Test("all mistakes of all files are reported at once")
    func allAtOnce() throws {
        let problems = try read("users: [{usrname: a}, {username: b, email: x}]\nx: 1", "users: [{username: b}]\nclients: [{}]", "a: [")
            .problems
        #expect(Set(problems.map(\.place.file)) == ["resources.yaml", "more1.yaml", "more2.yaml"])
        #expect(problems.count == 9, "\(problems.map(\.description))")
    }

    @Test("several files are one document; a name in two of them is an error that names both places")
    func merging() throws {
        let document = try read("users: [{username: a, roles: [r]}]", "roles: {r: [x]}", "resources: [{id: o, scopes: [x]}]").get().document
        #expect(document.users.count == 1 && document.roles.count == 1 && document.resources.count == 1)
        let twice = try read("roles: {r: []}\nresources: [{id: o, scopes: [x]}]", "roles: {r: []}\nresources: [{id: o, scopes: [x]}]").lines
        #expect(
            twice == [
                "more1.yaml:2:30: resources[0].scopes: the scope \"x\" belongs to one resource only, and has one at resources.yaml:2:30",
                "more1.yaml:2:18: resources[0].id: the resource \"o\" is there already, at resources.yaml:2:18",
                "more1.yaml:1:9: roles.r: the role \"r\" is there already, at resources.yaml:1:9",
            ]
        )
    }

    @Test("names are compared byte by byte: canonical twins are two names")
    func twins() throws {
        let document = try read("users: [{username: caf\u{E9}}, {username: cafe\u{301}}]").get().document
        #expect(document.users.count == 2)
        let scopes = try read("resources: [{id: a, scopes: ['a\u{212A}']}]").problems
        #expect(scopes.map(\.path) == ["resources[0].scopes"])
    }

    @Test("a client's short secret in clear is for a loopback issuer only, with a warning")
    func shortSecret() throws {
        func read(_ secret: String, issuer: String) throws -> Result<ResourceReading, ResourceProblems> {
            try World(files: ["s": secret], environment: ["S": secret]).resources(
                ["clients: [{id: a, secret: '\(secret)', grants: [client_credentials]}]"], issuer: issuer
            )
        }
        #expect(try read("short-secret", issuer: "https://id.example.com").problems.map(\.path) == ["clients[0].secret"])
        let loopback = try read("short-secret", issuer: "http://localhost:8080").get()
        #expect(loopback.warnings.map(\.path) == ["clients[0].secret"])
        #expect(loopback.document.clients[0].secret?.exposed == "short-secret")
        let long = try read("q7Jt0mXv2LkPz9sRd4WbYc", issuer: "https://id.example.com").get()
        #expect(long.warnings.isEmpty)
        // A short one that is not in clear only warns: where it is kept is the operator's choice.
        let kept = try World(environment: ["S": "short-secret"]).resources([
            "clients: [{id: a, secret: env:S, grants: [client_credentials]}]"
        ]).get()
        #expect(kept.warnings.map(\.path) == ["clients[0].secret"])
    }

    @Test(
        "the bits of a secret are bounded by its length and its alphabet",
        arguments: [
            ("0123456789abcdef0123456789abcdef", true), ("0123456789abcdef0123456789abcde", false), ("q7Jt0mXv2LkPz9sRd4WbYc", true),
            ("q7Jt0mXv2LkPz9sRd4WbY", false), (String(repeating: "a", count: 100), false),
            ("01234567890123456789012345678901234567", false),
            ("012345678901234567890123456789012345678", true), ("", false), ("correct-horse-battery-staple", true),
            ("correct-horse", false),
        ]
    )
    func bits(secret: String, isEnough: Bool) { #expect((ResourceSyntax.bitsMax(secret) >= 128) == isEnough) }

    @Test("files named in a resource file are relative to it")
    func relativeSecret() throws {
        let world = World(files: ["/etc/g/alice": "correct-horse-battery\n"])
        let file = ResourceFile(path: "/etc/g/r.yaml", bytes: Array("users: [{username: a, password: file:alice}]".utf8))
        let context = ResourceContext(issuer: try Issuer("https://a.example"), environment: [:], readFile: world.read)
        #expect(try ResourceFile.read([file], context: context).get().document.users[0].password?.exposed == "correct-horse-battery")
    }

    @Test("no secret is in a problem or a warning")
    func neverShown() throws {
        let secret = "hunter2-hunter2"
        let world = World(files: ["bad": "\(secret)\n\(secret)"], environment: ["BAD": "\(secret)\u{7}"])
        for text in [
            "users: [{username: a, password: '\(secret)', password_hash: '\(secret)'}]", "users: [{username: a, password: ['\(secret)']}]",
            "users: [{username: a, password: {x: '\(secret)'}}]", "users: [{username: a, pasword: '\(secret)'}]",
            "users: [{username: a, password: env:BAD}]",
            "users: [{username: a, password: file:bad}]", "clients: [{id: a, secret: '\(secret)', grants: [login], x: y}]",
            "clients: [{id: a, public: true, secret: '\(secret)', grants: [login]}]",
            "clients: [{id: a, secret: '\(secret)\u{E9}', grants: [login]}]",
            "users: [{username: a, password: '\(secret)}]", "users: [{username: a, password: &a \(secret)}]",
            "users: [{username: a, password_hash: \(secret)}]",
            "users: [{username: a, password: '\(String(repeating: secret, count: 100))'}]",
        ] {
            let result = try world.resources([text])
            #expect(!result.problems.isEmpty, "\(text)")
            #expect(!"\(result.lines)\(result)".contains("hunter2"), "\(result.lines)")
        }
        let fine = try world.resources(["clients: [{id: a, secret: '\(secret)', grants: [login]}]"], issuer: "http://localhost").get()
        #expect(!"\(fine)".contains("hunter2") && !fine.warnings.isEmpty)
    }

    @Test("the number of problems has an end")
    func manyProblems() throws {
        let text = "users: [" + String(repeating: "{},", count: 2_000) + "]"
        #expect(try read(text).problems.count == ResourceLimits.problemsMax + 1)
    }

    @Test("the digest is of the bytes and where one file ends")
    func digest() {
        func digest(_ texts: String...) -> [UInt8] { ResourceFile.digest(texts.map { ResourceFile(path: "x", bytes: Array($0.utf8)) }) }
        #expect(digest("a", "b") == digest("a", "b") && digest("a").count == 32)
        #expect(digest("a", "b") != digest("ab") && digest("a", "b") != digest("b", "a") && digest("") != digest())
    }

    @Test("JSON is read as well")
    func json() throws {
        let text =
            #"{"routes": [{"name": "a", "match": {"path": "/a"}, "upstream": ["http://a:1"], "require": "none", "pass_token": false}]}"#
        #expect(try read(text).get().document.routes[0].requirement == .open)
    }
}
