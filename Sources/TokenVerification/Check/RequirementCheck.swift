internal import AuthCore

/// The last checks: whether a good token is good enough for here.
struct RequirementCheck {
    /// Why it is not.
    enum Obstacle {
        case refused(TokenRefusal)
        case overloaded
    }

    let token: AccessToken
    let requirements: TokenRequirements
    let now: Instant
    let uptime: Uptime
    let leeway: Duration

    func obstacle(_ explanation: inout TokenExplanation?) -> Obstacle? {
        guard
            explanation.check(
                "audience", isForAudience, expected: expectedAudience, found: token.audiences.isEmpty ? "no aud" : list(token.audiences))
        else { return .refused(.wrongAudience) }
        if requirements.checksSender, token.isSenderConstrained || requirements.proof != nil,
            let obstacle = SenderCheck(token: token, proof: requirements.proof, uptime: uptime).obstacle(&explanation)
        {
            return obstacle
        }
        guard
            explanation.check(
                "authentication", isAuthenticatedWell && isAuthenticatedRecently, expected: expectedAuthentication,
                found: "acr \(token.acr ?? "none"), auth_time \(token.authenticatedAt.map { "\($0.seconds)" } ?? "none")")
        else { return .refused(.insufficientAuthentication) }
        guard
            explanation.check(
                "scope", requirements.scope.isSubset(of: token.scope), expected: requirements.scope.description,
                found: token.scope.description)
        else { return .refused(.insufficientScope) }
        return nil
    }

    private var isForAudience: Bool {
        switch requirements.audience {
        case .any: !token.audiences.isEmpty
        case .anyOf(let allowed): token.audiences.contains { allowed.contains($0) }
        case .anyBut(let excluded): !token.audiences.isEmpty && !token.audiences.contains(excluded)
        }
    }

    private var isAuthenticatedWell: Bool {
        guard !requirements.acrValues.isEmpty else { return true }
        guard let acr = token.acr else { return false }
        return requirements.acrValues.contains { $0.isSameBytes(as: acr) }
    }

    private var isAuthenticatedRecently: Bool {
        guard let maxAge = requirements.maxAge else { return true }
        guard let authenticatedAt = token.authenticatedAt, authenticatedAt <= now + leeway else { return false }
        return now - authenticatedAt <= maxAge
    }

    private var expectedAudience: String {
        switch requirements.audience {
        case .any: "any"
        case .anyOf(let allowed): list(allowed)
        case .anyBut(let excluded): "any but \(excluded)"
        }
    }

    private var expectedAuthentication: String {
        let acr = requirements.acrValues.isEmpty ? "any acr" : requirements.acrValues.joined(separator: " or ")
        return requirements.maxAge.map { "\(acr), auth_time at or after \((now - $0).seconds)" } ?? acr
    }

    private func list(_ identifiers: [Identifier]) -> String { identifiers.map(\.text).joined(separator: ", ") }
}
