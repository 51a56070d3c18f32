import AuthCore
import Gateway
import Store
import Testing

/// SECURITY matrix "path variant × policy". A new variant is a row, a new policy a route.
@Suite("Matrix: path variant × policy")
struct PathByPolicyTests {
    /// Ways to write `/public/../admin` or `/admin` that some service reads as `/admin`.
    static let variants: [String] = [
        "/public/../admin", "/public/./../admin", "/public//../admin", "//admin", "/./admin", "/admin/.", "/admin//", "/public/..;/admin",
        "/admin;x=1", "/;/admin", "/public%2f..%2fadmin", "/public/%2e%2e/admin", "/public/.%2e/admin", "/public%5c..%5cadmin",
        "/public\\..\\admin", "/public/..\\admin", "/%61dmin", "/a%64min", "/%2561dmin", "/admin%00", "/admin%00.png",
        "/public/%00/../admin",
        "/public/%252e%252e/admin", "/public%252f..%252fadmin", "/public/%c0%ae%c0%ae/admin", "/public%c0%af..%c0%afadmin",
        "/public/%u002e%u002e/admin", "/public/..%09/admin", "/admin%0a", "/admin%0d%0a", "/public#/../admin", "/admin#/public",
        "/public/\u{301}../admin", "/public\u{2215}admin", "/admin\u{3B}", "/\u{FF41}dmin", "http://gate.test/admin", "/public/..?/admin",
        "/public/../admin?x", "/%2e/admin", "/%2fadmin", "/admin%2f", "/admin%3bx", "/public/%2e%2e%2fadmin", "\\admin", "/\\admin",
        "/public/%2E%2E/admin", "/public/..%2Fadmin", "/public/%%32%65%%32%65/admin", "/@dmin%2f", "/admin%", "/admin%2",
    ]

    @Test("no variant passes, whether the path is open, closed or unknown, with or without a token", arguments: variants)
    func refused(target: String) throws {
        let policies: [[RouteDefinition]] = [
            [.open("/public"), .needing("/admin") { $0.roles = ["root"] }],
            [.open("/"), .needing("/admin") { $0.roles = ["root"] }],
            [.open("/"), .needing("/admin") { $0.roles = ["root"] }, .open("/public") { $0.methods = ["GET"] }],
            [.to("/"), .open("/admin", name: "other") { $0.host = "other.test" }],
        ]
        for policy in policies {
            let gate = try Gate(policy)
            for credential in [[], [("Authorization", "Bearer \(try gate.token())")]] {
                let seen = gate.decide(target, credential)
                #expect(seen.status == 400, "\(target): \(seen.outcome)")
                #expect(try seen.body()?["error"] == .string("invalid_request"))
            }
        }
    }

    @Test(
        "what is only written like another path gets the rule of the path that it is",
        arguments: [
            ("/admin", "401 credential_missing"), ("/admin/", "401 credential_missing"), ("/admin/x", "401 credential_missing"),
            ("/admin?x=/public", "401 credential_missing"), ("/admin?/../public", "401 credential_missing"), ("/ADMIN", "all"),
            ("/admins", "all"),
            ("/admin.", "all"), ("/admin%20", "all"), ("/admin~", "all"), ("/public/admin", "all"), ("/admin%C2%AD", "all"),
            ("/public?x=/../admin", "all"), ("/public?q=%2e%2e", "all"), ("/%C4%B1dmin", "all"),
        ])
    func taken(target: String, outcome: String) throws {
        let gate = try Gate([.open("/", name: "all"), .needing("/admin") { $0.roles = ["root"] }])
        #expect(gate.decide(target).outcome == outcome)
    }
}
