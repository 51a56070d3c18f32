import AuthCore
import OAuthServer
import Store
import Testing

@Suite("Which scopes and audiences a token gets (RFC 6749 §3.3, RFC 8707)")
struct ScopePolicyTests {
    private var policy: ScopePolicy {
        var document = ResourceDocument()
        for (id, scopes) in [("orders", "orders:read orders:write"), ("reports", "reports:read")] {
            var resource = ResourceDefinition(id: Identifier(id))
            resource.scopes = ScopeSet(parsing: scopes) ?? .none
            document.resources.append(resource)
        }
        for (name, scopes) in [
            ("customer", "orders:read orders:write"), ("support", "orders:read reports:read"), ("admin", "gatehouse:admin"),
        ] {
            var role = RoleDefinition(name: Identifier(name))
            role.scopes = ScopeSet(parsing: scopes) ?? .none
            document.roles.append(role)
        }
        return ScopePolicy(issuer: "https://i", catalogue: ScopeCatalogue(document))
    }

    private func client(_ scopes: String?) -> Client {
        var definition = ClientDefinition(id: "app")
        definition.scopes = scopes.flatMap { ScopeSet(parsing: $0) } ?? .none
        return Client(
            uid: "u", id: "app", definition: definition, secretHashes: [], isDisabled: false, epoch: 1,
            managedBy: scopes == nil ? .builtIn : .file
        )
    }

    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        var requested: String?
        var audiences: [Identifier] = []
        var roles: [Identifier] = ["customer"]
        var client: String?
        let scope: String
        let granted: [Identifier]
        var testDescription: String { name }
    }

    static let rows: [Row] = [
        Row(name: "nothing asked: all of the roles", scope: "orders:read orders:write", granted: ["orders"]),
        Row(
            name: "two roles", roles: ["customer", "support"], scope: "orders:read orders:write reports:read",
            granted: ["orders", "reports"]),
        Row(name: "no role: no scope, for the issuer", roles: [], scope: "", granted: ["https://i"]),
        Row(name: "an unknown role grants nothing", roles: ["ghost"], scope: "", granted: ["https://i"]),
        Row(name: "fewer asked", requested: "orders:read", scope: "orders:read", granted: ["orders"]),
        Row(name: "more asked than granted", requested: "orders:read reports:read", scope: "orders:read", granted: ["orders"]),
        Row(
            name: "nothing of Gatehouse's own without asking", roles: ["customer", "admin"], scope: "orders:read orders:write",
            granted: ["orders"]),
        Row(
            name: "everybody may ask for their own account", requested: "gatehouse:account", scope: "gatehouse:account",
            granted: ["gatehouse"]),
        Row(name: "identity scopes have no resource", requested: "openid orders:read", scope: "openid orders:read", granted: ["orders"]),
        Row(name: "an audience narrows", audiences: ["orders"], roles: ["support"], scope: "orders:read", granted: ["orders"]),
        Row(name: "the client limits", client: "orders:read", scope: "orders:read", granted: ["orders"]),
        Row(name: "a client without scopes gets none", client: "", scope: "", granted: ["https://i"]),
    ]

    @Test("table", arguments: rows)
    func table(_ row: Row) throws {
        let access = try policy.grant(
            requested: row.requested.flatMap { ScopeSet(parsing: $0) }, audiences: row.audiences, roles: row.roles,
            client: client(row.client)
        )
        #expect(access.scope == ScopeSet(parsing: row.scope))
        #expect(access.audiences == row.granted)
    }

    @Test(
        "refused",
        arguments: [
            ("moon", [], OAuthError.Reason.scopeUnknown), ("reports:read", [], .scopeNotGranted),
            ("orders:read", ["moon"], .audienceUnknown),
            ("gatehouse:account orders:read", [], .scopeMixesGatehouse), ("gatehouse:account", ["orders"], .scopeNotGranted),
            ("gatehouse:admin", [], .scopeNotGranted),
        ] as [(String, [Identifier], OAuthError.Reason)])
    func refused(_ requested: String, _ audiences: [Identifier], _ reason: OAuthError.Reason) {
        do throws(OAuthError) {
            _ = try policy.grant(requested: ScopeSet(parsing: requested), audiences: audiences, roles: ["customer"], client: client(nil))
            Issue.record("granted")
        } catch { #expect(error.reason == reason) }
    }

    @Test("a refresh narrows with the roles and never widens")
    func refreshed() throws {
        let scope = ScopeSet(["orders:read", "orders:write"])
        let same = try policy.refreshed(scope: scope, roles: ["customer", "support"], client: client(nil))
        #expect(same.scope == scope)
        let narrow = try policy.refreshed(scope: scope, roles: ["support"], client: client(nil))
        #expect(narrow.scope == ScopeSet(["orders:read"]))
        let none = try policy.refreshed(scope: scope, roles: [], client: client(nil))
        #expect(none.scope.isEmpty)
        #expect(none.audiences == ["https://i"])
    }
}
