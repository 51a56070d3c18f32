import AuthCore
import Gateway
import Store
import Testing
import TokenVerification

@Suite("Routes: what is asked of a token")
struct RuleTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let rule: @Sendable (inout TokenRule) -> Void
        let claims: @Sendable (inout JSONObject) -> Void
        let outcome: String

        init(
            _ name: String, _ outcome: String, _ rule: @escaping @Sendable (inout TokenRule) -> Void,
            _ claims: @escaping @Sendable (inout JSONObject) -> Void = { _ in }
        ) {
            testDescription = name
            self.rule = rule
            self.claims = claims
            self.outcome = outcome
        }
    }

    static func list(_ texts: String...) -> JSONValue { .array(texts.map { .string($0) }) }

    static let rows: [Row] = [
        Row("scope that is there", "/x", { $0.scope = ScopeSet(["orders:read"]) }),
        Row("scope that is not there", "403 insufficient_scope", { $0.scope = ScopeSet(["orders:write"]) }),
        Row("all scopes are needed", "403 insufficient_scope", { $0.scope = ScopeSet(["orders:read", "orders:write"]) }),
        Row(
            "a scope is no substring (GW-23)", "403 insufficient_scope",
            {
                $0.scope = ScopeSet(["orders:rea"]); $0.audiences = ["orders"]
            }),
        Row(
            "a scope has a case (GW-23)", "403 insufficient_scope",
            {
                $0.scope = ScopeSet(["Orders:read"]); $0.audiences = ["orders"]
            }),
        Row("the audience that is named", "/x", { $0.audiences = ["billing", "orders"] }),
        Row("another audience", "401 wrong_audience", { $0.audiences = ["billing"] }),
        Row(
            "no audience named: the resource that owns the scope", "401 wrong_audience", { $0.scope = ScopeSet(["orders:read"]) },
            { $0["aud"] = .string("billing") }),
        Row(
            "the named one goes before the owner", "/x",
            {
                $0.scope = ScopeSet(["orders:read"]); $0.audiences = ["shop"]
            }, { $0["aud"] = .string("shop") }),
        Row(
            "a scope without an owner: any audience", "/x", { $0.scope = ScopeSet(["free"]) },
            {
                $0["aud"] = .string("shop"); $0["scope"] = .string("free")
            }),
        Row("nothing asked: any audience", "/x", { _ in }, { $0["aud"] = .string("shop") }),
        Row("nothing asked: not gatehouse", "401 wrong_audience", { _ in }, { $0["aud"] = .string("gatehouse") }),
        Row("nothing asked: not gatehouse among others", "401 wrong_audience", { _ in }, { $0["aud"] = list("shop", "gatehouse") }),
        Row("nothing asked: no audience at all", "401 wrong_audience", { _ in }, { $0["aud"] = nil }),
        Row("one of the roles", "/x", { $0.roles = ["admin", "clerk"] }, { $0["roles"] = list("guest", "clerk") }),
        Row("none of the roles", "403 role_required", { $0.roles = ["admin", "clerk"] }, { $0["roles"] = list("guest") }),
        Row("no roles", "403 role_required", { $0.roles = ["admin"] }),
        Row("a role has a case", "403 role_required", { $0.roles = ["admin"] }, { $0["roles"] = list("Admin") }),
        Row("a role compares by bytes", "403 role_required", { $0.roles = ["\u{4B}"] }, { $0["roles"] = list("\u{212A}") }),
        Row("one of the clients", "/x", { $0.clients = ["app", "web"] }),
        Row("another client", "403 client_not_allowed", { $0.clients = ["app"] }),
        Row(
            "client before role", "403 client_not_allowed",
            {
                $0.clients = ["app"]; $0.roles = ["admin"]
            }),
        Row("one of the acr values", "/x", { $0.acrValues = ["2", "1"] }),
        Row("another acr", "401 insufficient_authentication", { $0.acrValues = ["2"] }),
        Row("no acr", "401 insufficient_authentication", { $0.acrValues = ["1"] }, { $0["acr"] = nil }),
        Row("signed in recently enough", "/x", { $0.maxAge = .seconds(100) }),
        Row("signed in too long ago", "401 insufficient_authentication", { $0.maxAge = .seconds(99) }),
        Row("no auth_time", "401 insufficient_authentication", { $0.maxAge = .seconds(1_000) }, { $0["auth_time"] = nil }),
        Row(
            "authentication before scope", "401 insufficient_authentication",
            {
                $0.acrValues = ["2"]; $0.scope = ScopeSet(["orders:write"])
            }),
        Row("a good token before the rules", "401 expired", { $0.roles = ["admin"] }, { $0["exp"] = .number(JSONNumber(0)) }),
    ]

    @Test("each rule, met and not met", arguments: rows)
    func rule(row: Row) throws {
        let gate = try Gate([.needing("/x", row.rule)])
        #expect(gate.decide("/x", bearer: try gate.token(row.claims)).outcome == row.outcome)
    }

    @Test("RFC 9728 §5.1: who has no token, a bad one or too little is told where the resource describes itself, and what to ask for")
    func resourceMetadata() throws {
        let gate = try Gate([
            .needing("/mcp") {
                $0.scope = ScopeSet(["orders:read", "orders:write"])
                $0.resourceMetadata = "https://api.test/.well-known/oauth-protected-resource/mcp"
            }, .needing("/plain") { $0.scope = ScopeSet(["orders:read"]) },
        ])
        let told = "resource_metadata=\"https://api.test/.well-known/oauth-protected-resource/mcp\""
        let scope = "scope=\"orders:read orders:write\""
        #expect(gate.decide("/mcp").challenge == "Bearer realm=\"gatehouse\", \(told), \(scope)")
        #expect(gate.decide("/mcp", bearer: "x").challenge == "Bearer realm=\"gatehouse\", error=\"invalid_token\", \(told), \(scope)")
        let narrow = gate.decide("/mcp", bearer: try gate.token())
        #expect(narrow.status == 403)
        #expect(narrow.challenge == "Bearer realm=\"gatehouse\", error=\"insufficient_scope\", \(scope), \(told)")
        #expect(gate.decide("/plain").challenge == "Bearer realm=\"gatehouse\"")
    }

    @Test("a token of one route is judged anew on another (CVE-2026-33496, CVE-2021-32701)")
    func perRoute() throws {
        let gate = try Gate([
            .needing("/a") { $0.scope = ScopeSet(["orders:read"]) }, .needing("/b") { $0.scope = ScopeSet(["orders:write"]) },
            .needing("/c") { $0.audiences = ["billing"] },
        ])
        let token = try gate.token()
        for _ in 0..<2 {
            #expect(gate.decide("/a", bearer: token).route == "/a")
            #expect(gate.decide("/b", bearer: token).reason == "insufficient_scope")
            #expect(gate.decide("/c", bearer: token).reason == "wrong_audience")
        }
        gate.time.pass(.seconds(661))
        gate.verifier.revocations.confirm(sentAt: gate.time.uptime)
        #expect(gate.decide("/a", bearer: token).reason == "expired")
    }

    @Test("the challenges of RFC 6750 §3 and RFC 9470 §3, to the letter (GW-24)")
    func challenges() throws {
        let gate = try Gate([
            .needing("/scope") { $0.scope = ScopeSet(["orders:write", "orders:read"]) },
            .needing("/acr") { $0.acrValues = ["urn:x:2", "3"] },
            .needing("/age") { $0.maxAge = .milliseconds(60_500) },
            .needing("/both") {
                $0.acrValues = ["2"]
                $0.maxAge = .seconds(300)
            },
            .needing("/role") { $0.roles = ["admin"] }, .needing("/client") { $0.clients = ["app"] },
        ])
        let token = try gate.token()
        let realm = "Bearer realm=\"gatehouse\""
        let rows = [
            ("/scope", 403, "insufficient_scope", "\(realm), error=\"insufficient_scope\", scope=\"orders:write orders:read\""),
            (
                "/acr", 401, "insufficient_user_authentication",
                "\(realm), error=\"insufficient_user_authentication\", acr_values=\"urn:x:2 3\""
            ),
            ("/age", 401, "insufficient_user_authentication", "\(realm), error=\"insufficient_user_authentication\", max_age=\"60\""),
            (
                "/both", 401, "insufficient_user_authentication",
                "\(realm), error=\"insufficient_user_authentication\", acr_values=\"2\", max_age=\"300\""
            ),
            ("/role", 403, "insufficient_scope", "\(realm), error=\"insufficient_scope\""),
            ("/client", 403, "insufficient_scope", "\(realm), error=\"insufficient_scope\""),
        ]
        for (path, status, error, challenge) in rows {
            let seen = gate.decide(path, bearer: token)
            #expect(seen.status == status, "\(path)")
            #expect(seen.challenge == challenge, "\(path)")
            #expect(try seen.body()?["error"] == .string(error), "\(path)")
        }
    }
}
