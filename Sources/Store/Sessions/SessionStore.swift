package import AuthCore

/// What somebody proved when signing in (RFC 9068 §2.2.1).
package struct SessionAssurance: Sendable, Equatable {
    package var acr: String
    package var amr: [String]
    package var authenticatedAt: Instant

    package init(acr: String, amr: [String], authenticatedAt: Instant) {
        self.acr = acr
        self.amr = amr
        self.authenticatedAt = authenticatedAt
    }
}

/// A sign-in that lasts.
package struct Session: Sendable {
    /// The `sid` of tokens; random, never reused.
    package let id: Identifier
    package let accountID: Identifier
    package let clientID: Identifier
    package let assurance: SessionAssurance
    package let createdAt: Instant
    /// To the minute.
    package let lastUsedAt: Instant
    package let expiresAt: Instant
    /// Shown to the account's owner: the peer's address and the user agent, as the client said.
    package let source: String
    package let agent: String

    package init(
        id: Identifier, accountID: Identifier, clientID: Identifier, assurance: SessionAssurance, createdAt: Instant,
        lastUsedAt: Instant, expiresAt: Instant, source: String, agent: String
    ) {
        self.id = id
        self.accountID = accountID
        self.clientID = clientID
        self.assurance = assurance
        self.createdAt = createdAt
        self.lastUsedAt = lastUsedAt
        self.expiresAt = expiresAt
        self.source = source
        self.agent = agent
    }
}

package struct OpenSession: Sendable {
    package var accountID: Identifier
    /// The epoch that the caller saw when it verified the factors: another one means that something was revoked meanwhile.
    package var accountEpoch: Int64
    package var clientID: Identifier
    package var assurance: SessionAssurance
    package var scope: ScopeSet
    package var audiences: [Identifier]
    package var idleLifetime: Duration
    package var lifetime: Duration
    package var accessLifetime: Duration
    package var source: String
    package var agent: String
    /// Whose key its refresh tokens need, for clients that prove nothing else; nothing otherwise.
    package var confirmation: Confirmation?

    package init(
        accountID: Identifier, accountEpoch: Int64, clientID: Identifier, assurance: SessionAssurance, scope: ScopeSet,
        audiences: [Identifier], idleLifetime: Duration, lifetime: Duration, accessLifetime: Duration, source: String, agent: String,
        confirmation: Confirmation? = nil
    ) {
        self.confirmation = confirmation
        self.accountID = accountID
        self.accountEpoch = accountEpoch
        self.clientID = clientID
        self.assurance = assurance
        self.scope = scope
        self.audiences = audiences
        self.idleLifetime = idleLifetime
        self.lifetime = lifetime
        self.accessLifetime = accessLifetime
        self.source = source
        self.agent = agent
    }
}

package enum OpenSessionOutcome: Sendable {
    /// With the number of the resources that were in force when the account was locked: scopes from older ones are not to be issued.
    case opened(Session, Grant, resourcesVersion: Int64)
    /// The account was disabled, deleted or changed since its factors were verified.
    case accountChanged
    case clientUnavailable
}

/// The sign-in sessions. Ending one revokes its grants in the same transaction.
package protocol SessionStore: Sendable {
    /// The one way to a session: checks account and client under lock and makes the first grant in the same transaction.
    func open(_ request: OpenSession, at now: Instant, event: AuditEvent) async throws(StoreError) -> OpenSessionOutcome

    /// Newest first, live ones only, at most 100.
    func sessions(of account: Identifier, at now: Instant) async throws(StoreError) -> [Session]

    /// - Parameter owner: When given, a session of another account is not found.
    /// - Returns: Whether there was such a live session.
    func end(_ session: Identifier, owner: Identifier?, at now: Instant, event: AuditEvent) async throws(StoreError) -> Bool

    /// Ends every session and grant of the account and raises its epoch.
    func endAll(of account: Identifier, at now: Instant, event: AuditEvent) async throws(StoreError)
}
