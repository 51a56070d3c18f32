package import AuthCore
package import Store

/// What is known of a person, as claims (OpenID Connect Core §5.1), and which scope asks for each (§5.4).
package enum PersonClaims {
    package static let byScope: [(scope: Identifier, claims: [String])] = [
        ("profile", ["preferred_username"]), ("email", ["email", "email_verified"]),
    ]

    /// Every claim that may be given, for metadata.
    package static let names = byScope.flatMap(\.claims)

    /// The scopes that would give what the parameter `claims` asks for by name.
    package static func scopes(askedBy claims: JSONObject?) -> ScopeSet {
        guard let claims else { return .none }
        let asked = ["id_token", "userinfo"].flatMap { claims[$0]?.object?.names ?? [] }
        return ScopeSet(
            byScope.filter { row in row.claims.contains { name in asked.contains { $0.isSameBytes(as: name) } } }.map(\.scope))
    }

    /// Without what belongs to a scope that the client may not have.
    static func allowed(_ names: JSONObject, of client: Client) -> JSONObject {
        let denied = byScope.filter { !client.definition.scopes.contains($0.scope) }.flatMap(\.claims)
        return JSONObject(names.filter { name, _ in !denied.contains { $0.isSameBytes(as: name) } }.map { ($0, $1) })
    }

    /// Those that have a value. An address counts as verified only when Gatehouse, or a trusted provider, has verified it.
    package static func of(_ account: Account) -> [(name: String, value: JSONValue)] {
        var claims: [(name: String, value: JSONValue)] = [("preferred_username", .string(account.username))]
        if let email = account.email {
            claims.append(("email", .string(email)))
            claims.append(("email_verified", .bool(false)))
        }
        return claims
    }
}
