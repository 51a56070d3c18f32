internal import AuthCore
internal import TokenVerification

/// `require.role`: the account has one of these roles. A token says so only when its resource asks for `roles`.
struct RoleRule: AccessRule {
    let roles: [Identifier]

    var reason: String { "role_required" }

    func isMet(by token: AccessToken) -> Bool { token.roles.contains { roles.contains($0) } }
}
