package import AuthCore
package import Store
package import TokenVerification

/// One route, with everything prepared that a decision needs.
package final class Route: Sendable {
    package let plan: RoutePlan
    package let definition: RouteDefinition
    package let access: RouteAccess
    let methods: MethodRule

    init(_ definition: RouteDefinition, plan: RoutePlan, owners: [Identifier: Identifier]) {
        self.plan = plan
        self.definition = definition
        self.methods = MethodRule(definition.methods.map { $0.map { Identifier($0) } })
        switch definition.requirement {
        case .open: self.access = .open
        case .token(let rule): self.access = .token(TokenAccess(rule, owners: owners))
        }
    }
}

package enum RouteAccess: Sendable {
    /// Everybody; credentials are not looked at, and nobody is identified.
    case open
    case token(TokenAccess)
}

/// What a route asks of a token.
package struct TokenAccess: Sendable {
    package let requirements: TokenRequirements
    /// The audiences that will do; empty for any but `gatehouse`.
    package let audiences: [Identifier]
    let rules: [any AccessRule]
    let credentialMissing: RefusalTemplate
    let invalidToken: RefusalTemplate
    let insufficientScope: RefusalTemplate
    let insufficientAuthentication: RefusalTemplate

    /// The audience of Gatehouse's own API, which never opens a service.
    package static let gatehouse: Identifier = "gatehouse"

    /// - Parameters:
    ///   - rule: What the route says.
    ///   - owners: Each scope's resource.
    init(_ rule: TokenRule, owners: [Identifier: Identifier]) {
        var audiences = rule.audiences
        if audiences.isEmpty {
            for owner in rule.scope.compactMap({ owners[$0] }) where !audiences.contains(owner) { audiences.append(owner) }
        }
        self.audiences = audiences
        requirements = TokenRequirements(
            audience: audiences.isEmpty ? .anyBut(TokenAccess.gatehouse) : .anyOf(audiences),
            scope: rule.scope, acrValues: rule.acrValues, maxAge: rule.maxAge
        )
        rules = AccessRules.all(of: rule)
        // RFC 9728 §5.1: where a client begins that knows nothing yet. What it has to ask for stands beside it.
        let metadata = rule.resourceMetadata.map { ", resource_metadata=\"\($0)\"" } ?? ""
        let scope = metadata.isEmpty || rule.scope.isEmpty ? "" : ", scope=\"\(rule.scope.description)\""
        credentialMissing = metadata.isEmpty ? .credentialMissing : .credentialMissing.challenging(with: metadata + scope)
        invalidToken = metadata.isEmpty ? .invalidToken : .invalidToken.challenging(with: metadata + scope)
        // RFC 6750 §3: the scope that is needed, in one attribute.
        insufficientScope = RefusalTemplate(
            403, "insufficient_scope", reason: TokenRefusal.insufficientScope.rawValue,
            "The access token lacks a scope that this route needs: \(rule.scope.description).",
            challenge: "\(RefusalTemplate.realm), error=\"insufficient_scope\", scope=\"\(rule.scope.description)\"\(metadata)"
        )
        // RFC 9470 §3: what the client asks of the authorization server next.
        var challenge = "\(RefusalTemplate.realm), error=\"insufficient_user_authentication\""
        if !rule.acrValues.isEmpty { challenge += ", acr_values=\"\(rule.acrValues.joined(separator: " "))\"" }
        if let maxAge = rule.maxAge { challenge += ", max_age=\"\(maxAge.wholeSeconds)\"" }
        insufficientAuthentication = RefusalTemplate(
            401, "insufficient_user_authentication", reason: TokenRefusal.insufficientAuthentication.rawValue,
            "This route needs a stronger or a more recent sign-in.", challenge: challenge
        )
    }
}
