package import AuthCore
package import Store

/// What comes next on the way of an authorization request: one function decides it, from what is stored, at every step. No step knows of
/// another one; a further one is a further case here.
package enum Interaction {
    /// What there is to decide from.
    package struct Facts: Sendable {
        /// The live sessions of this browser, the one used last first.
        package var sessions: [BrowserSession]
        package var state: InteractionState
        /// What the account may have of what is asked for; by account.
        package var now: Instant

        package init(sessions: [BrowserSession], state: InteractionState, now: Instant) {
            self.sessions = sessions
            self.state = state
            self.now = now
        }
    }

    package enum Step: Sendable {
        /// - Parameter again: The session that is to be renewed; nothing when anybody may sign in.
        case signIn(again: BrowserSession?)
        case chooseAccount
        /// Signed in; whether consent is needed is asked next.
        case signedIn(BrowserSession)
    }

    /// Who is it: sign in, choose, or go on (OpenID Connect Core §3.1.2.3).
    ///
    /// - Parameter subjectOf: The `sub` that the client knows an account by.
    package static func step(
        _ request: AuthorizationRequest, _ facts: Facts, subjectOf: (Account) -> Identifier
    ) throws(OAuthError) -> Step {
        let isSilent = request.prompt.contains(.none)
        if facts.state.wantsAnother, facts.state.signedIn == nil { return .signIn(again: nil) }
        guard let session = candidate(request, facts, subjectOf: subjectOf) else {
            if isSilent { throw OAuthError(.loginRequired, .signInNeeded, "Nobody is signed in.") }
            return .signIn(again: nil)
        }
        let taken = facts.state.signedIn ?? facts.state.chosen
        if let taken, !facts.sessions.contains(where: { $0.session.id == taken }) {
            // Who was shown, or chosen, has ended meanwhile: nobody else takes their place unasked.
            if isSilent { throw OAuthError(.loginRequired, .signInNeeded, "The session has ended meanwhile.") }
            return facts.sessions.isEmpty ? .signIn(again: nil) : .chooseAccount
        }
        if request.prompt.contains(.selectAccount), taken == nil { return .chooseAccount }
        if facts.sessions.count > 1, taken == nil, request.subjects == nil, !isSilent { return .chooseAccount }
        if let subjects = request.subjects, !subjects.contains(subjectOf(session.account)) {
            // Whoever signed in is not who the client asked for: that client gets nothing of them.
            throw OAuthError(.loginRequired, .hintOfAnother, "Somebody else is signed in.")
        }
        if needsSignIn(request, session, facts) {
            if isSilent { throw OAuthError(.loginRequired, .signInNeeded, "The sign-in is too old.") }
            return .signIn(again: session)
        }
        if let needed = request.essentialACRValues, !needed.contains(where: { $0.isSameBytes(as: session.session.assurance.acr) }) {
            throw OAuthError(
                .unmetAuthenticationRequirements, .assuranceUnmet, "The sign-in does not reach the assurance that is needed.")
        }
        return .signedIn(session)
    }

    /// The session that the answer would be about.
    private static func candidate(
        _ request: AuthorizationRequest, _ facts: Facts, subjectOf: (Account) -> Identifier
    ) -> BrowserSession? {
        for id in [facts.state.signedIn, facts.state.chosen] {
            if let id, let session = facts.sessions.first(where: { $0.session.id == id }) { return session }
        }
        if let subjects = request.subjects { return facts.sessions.first { subjects.contains(subjectOf($0.account)) } }
        return facts.sessions.first
    }

    private static func needsSignIn(_ request: AuthorizationRequest, _ session: BrowserSession, _ facts: Facts) -> Bool {
        // It was proved on this very way.
        if facts.state.signedIn == session.session.id { return false }
        if request.prompt.contains(.login) { return true }
        guard let maxAge = request.maxAge else { return false }
        return facts.now - session.session.assurance.authenticatedAt > maxAge || maxAge == .zero
    }

    /// Whether people have agreed to all of this before.
    package static func isCovered(_ scope: ScopeSet, _ details: [JSONValue], by consent: Consent?) -> Bool {
        guard let consent else { return false }
        return scope.isSubset(of: consent.scope) && details.allSatisfy { consent.details.contains($0) }
    }
}
