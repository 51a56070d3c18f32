package import AuthCore
package import Store

/// What is known of a person, as claims (OpenID Connect Core §5.1), and which scope asks for each (§5.4).
package enum PersonClaims {
    package static let byScope: [(scope: Identifier, claims: [String])] = [
        ("profile", ["preferred_username"]), ("email", ["email", "email_verified"]),
    ]

    /// Every claim that may be given, for metadata.
    package static let names = byScope.flatMap(\.claims)

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
