internal import Store

enum AccessRules {
    /// The rules of a route in the order in which they are asked.
    static func all(of rule: TokenRule) -> [any AccessRule] {
        var rules: [any AccessRule] = []
        if !rule.clients.isEmpty { rules.append(ClientRule(clients: rule.clients)) }
        if !rule.roles.isEmpty { rules.append(RoleRule(roles: rule.roles)) }
        return rules
    }
}
