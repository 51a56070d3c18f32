package import AuthCore
package import Store

extension ClaimRules {
    /// The claims that come out for an account; without one, those that are the same for everybody.
    package func claims(of account: Account?, scope: ScopeSet) -> [(name: String, value: JSONValue)] {
        rules.compactMap { rule in
            if let wanted = rule.scope, !scope.contains(wanted) { return nil }
            let texts: [String]
            switch (rule.source, account) {
            case (nil, _): texts = []
            case (_, nil): return nil
            case (.username, let account?): texts = [account.username]
            case (.email, let account?): texts = account.email.map { [$0] } ?? []
            case (.roles, let account?): texts = account.roles.map(\.text)
            }
            return rule.applied(to: texts, isList: rule.source == .roles).map { (rule.name, $0) }
        }
    }
}
