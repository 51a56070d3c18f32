package import AuthCore

/// What a client holds after somebody signed in: one row, from which its refresh tokens are computed.
package struct Grant: Sendable {
    /// The `gid` of tokens; random, never reused.
    package let id: Identifier
    package let sessionID: Identifier?
    package let accountID: Identifier
    package let clientUID: Identifier
    package let clientID: Identifier
    package let scope: ScopeSet
    package let audiences: [Identifier]
    /// Part of the key of this grant's MACs: without the row a stolen master key forges nothing.
    package let secret: Secret<[UInt8]>
    package let rotation: RefreshRotation
    package let createdAt: Instant
    package let expiresAt: Instant
    package let isRevoked: Bool
    /// Whether it outlives its session (`offline_access`).
    package let isOffline: Bool
    /// What it was authorized for; nothing for a first-party sign-in.
    package let binding: GrantBinding?

    package init(
        id: Identifier, sessionID: Identifier?, accountID: Identifier, clientUID: Identifier, clientID: Identifier, scope: ScopeSet,
        audiences: [Identifier], secret: Secret<[UInt8]>, rotation: RefreshRotation, createdAt: Instant, expiresAt: Instant,
        isRevoked: Bool = false, isOffline: Bool = false, binding: GrantBinding? = nil
    ) {
        self.isOffline = isOffline
        self.binding = binding
        self.id = id
        self.sessionID = sessionID
        self.accountID = accountID
        self.clientUID = clientUID
        self.clientID = clientID
        self.scope = scope
        self.audiences = audiences
        self.secret = secret
        self.rotation = rotation
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.isRevoked = isRevoked
    }

    package func isLive(at now: Instant) -> Bool { !isRevoked && expiresAt > now }
}
