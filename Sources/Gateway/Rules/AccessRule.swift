internal import TokenVerification

/// One thing that a route asks of a good token beyond what `TokenVerification` checks. A new rule is a file and a line in
/// `AccessRules.all`.
protocol AccessRule: Sendable {
    /// The operator's slug when the rule is not met.
    var reason: String { get }

    func isMet(by token: AccessToken) -> Bool
}
