import AuthCore
import Gateway
import Store
import Testing
import TokenVerification

/// SECURITY matrix "header variant × kind of route". A new header is a row, a new kind of route a column.
///
/// A decision must not depend on any header but `Host` and `Authorization`; whether the data plane deletes them is ProxyServer's.
@Suite("Matrix: header variant × kind of route")
struct HeaderByRouteTests {
    static let headers: [(String, String)] = [
        ("X-Auth-Subject", "root"), ("x-auth-subject", "root"), ("X_Auth_Subject", "root"), ("X.Auth.Subject", "root"),
        ("X-Auth-Client", "root"), ("X-Auth-Scope", "admin"), ("X-Auth-Session", "s"), ("X-Auth-Token", "a.b.c"), ("Txn-Token", "a.b.c"),
        ("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Host", "internal.test"), ("X-Forwarded-Uri", "/open"),
        ("X-Forwarded-Method", "GET"), ("X-Forwarded-Prefix", "/open"), ("X-Forwarded-Port", "443"), ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=127.0.0.1;host=internal.test"), ("X-Original-URL", "/open"), ("X-Original-URI", "/open"),
        ("X-Original-Method", "GET"), ("X-Rewrite-URL", "/open"), ("X-Envoy-Original-Path", "/open"), ("X-HTTP-Method-Override", "DELETE"),
        ("X-HTTP-Method", "DELETE"), ("X-Method-Override", "DELETE"), ("X-Real-IP", "127.0.0.1"), ("X-Client-IP", "127.0.0.1"),
        ("X-Host", "internal.test"), ("Host_", "internal.test"), ("X-Forwarded-Client-Cert", "Hash=0"),
        ("Connection", "X-Auth-Subject, Authorization"),
        ("Cookie", "__Host-gatehouse=x"), ("Via", "1.1 gatehouse"), ("Authorization_", "Bearer x"), ("X-Bad", "\u{FF}\u{FE}"), ("", ""),
    ]

    static let routes: [RouteDefinition] = [
        .open("/open"), .to("/headers"), .to("/jwt") { $0.identity = .jwt }, .to("/none") { $0.identity = .none },
        .needing("/scope") { $0.scope = ScopeSet(["orders:write"]) }, .needing("/role") { $0.roles = ["root"] },
        .to("/get") { $0.methods = ["GET"] }, .open("/open", name: "internal") { $0.host = "internal.test" },
    ]

    @Test("no header but Host and Authorization changes a decision", arguments: headers.indices)
    func unchanged(index: Int) throws {
        let header = Self.headers[index]
        let gate = try Gate(
            Self.routes,
            identityToken: { token, _, now in
                IdentityToken(text: "signed-for-\(token.subject)", issuedAt: now, expiresAt: now + .seconds(60))
            })
        let token = try gate.token()
        for path in ["/open", "/headers", "/jwt", "/none", "/scope", "/role", "/get", "/absent"] {
            for method in ["GET", "DELETE"] {
                for credential in [[], [("Authorization", "Bearer \(token)")], [("Authorization", "Bearer bad")]] {
                    let plain = gate.decide(path, method: method, credential)
                    for with in [[header] + credential, credential + [header]] {
                        let seen = gate.decide(path, method: method, with)
                        #expect(seen.outcome == plain.outcome, "\(header) \(method) \(path)")
                        #expect(seen.identity == plain.identity, "\(header) \(method) \(path)")
                    }
                }
            }
        }
    }

    @Test("an open route identifies nobody, whatever the credential (CVE-2021-21378, CVE-2026-30851)")
    func open() throws {
        let gate = try Gate(Self.routes)
        let token = try gate.token()
        let credentials: [[(String, String)]] = [
            [], [("Authorization", "Bearer \(token)")], [("Authorization", "Bearer bad")], [("Authorization", "Basic YTpi")],
            [("Authorization", "Bearer \(token)"), ("Authorization", "Bearer \(token)")], [("Authorization", "")],
            [("X-Auth-Subject", "root")],
        ]
        for credential in credentials {
            let seen = gate.decide("/open", credential)
            #expect(seen.route == "/open")
            #expect(seen.identity == [])
            #expect(seen.plan?.subject == nil)
        }
    }
}
