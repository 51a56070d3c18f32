package import AuthCore

package struct RefreshPresentation: Sendable {
    package var counter: Int64
    package var clientID: Identifier
    package var senderIsProved: Bool
    package var windows: RefreshRotation.Windows
    /// How long the grant lives on from now when it is not used.
    package var idleLifetime: Duration
    /// How long the access token that follows will live: until then a revocation of this grant is kept.
    package var accessLifetime: Duration
    /// Whether the token is used up. Where a profile forbids that, the same token stays valid and nothing is written but, at most hourly,
    /// that it was used (FAPI 2.0 Security Profile §5.3.2.1).
    package var rotates: Bool
    /// How long a grant that outlives its session may last from its beginning.
    package var offlineLifetime: Duration

    package init(
        counter: Int64, clientID: Identifier, senderIsProved: Bool, windows: RefreshRotation.Windows,
        idleLifetime: Duration, accessLifetime: Duration, rotates: Bool = true, offlineLifetime: Duration = .seconds(365 * 86_400)
    ) {
        self.rotates = rotates
        self.offlineLifetime = offlineLifetime
        self.counter = counter
        self.clientID = clientID
        self.senderIsProved = senderIsProved
        self.windows = windows
        self.idleLifetime = idleLifetime
        self.accessLifetime = accessLifetime
    }
}

/// Everything that a token is issued from, read under the lock of the transaction that allowed it.
package struct RefreshedGrant: Sendable {
    package let grant: Grant
    package let account: Account
    package let client: Client
    package let assurance: SessionAssurance
    /// The counter of the refresh token to hand out.
    package let successor: Int64
    package let outcome: RefreshRotation.Outcome
    /// When the access token that follows ends: not after its session.
    package let tokenExpiresAt: Instant
    /// Of the resources in force when the account was locked: scopes from older ones are not to be issued.
    package let resourcesVersion: Int64

    package init(
        grant: Grant, account: Account, client: Client, assurance: SessionAssurance, successor: Int64,
        outcome: RefreshRotation.Outcome, tokenExpiresAt: Instant, resourcesVersion: Int64
    ) {
        self.resourcesVersion = resourcesVersion
        self.grant = grant
        self.account = account
        self.client = client
        self.assurance = assurance
        self.successor = successor
        self.outcome = outcome
        self.tokenExpiresAt = tokenExpiresAt
    }
}

package enum RefreshOutcome: Sendable {
    /// In a box: it is large, and handed on from the store's thread in several steps.
    indirect case refreshed(RefreshedGrant)
    /// No such grant, or it has expired or was revoked.
    case gone
    /// The grant belongs to another client. Nothing was changed.
    case wrongClient
    /// The account, the client or the session is no longer in force.
    case disabled
    /// The grant was revoked by this call, and its revocation is in force.
    case replayed
    case aheadOfStore
}

/// The grants. The caller has checked the MAC before any of these is called.
package protocol GrantStore: Sendable {
    /// Uses a refresh token (RFC 6749 §6): the one conditional `UPDATE` of `RefreshRotation`, with account, client and
    /// session checked under the same lock, so that nothing is issued after a revocation has committed.
    ///
    /// - Parameter judge: Says from the locked grant and its account what is presented, or refuses; nothing is written then. May run again.
    /// Atomic: of any number of racing callers with the current token one gets `.rotated`, the others `.repeated`.
    func refresh<Refusal: Error>(
        _ id: Identifier, at now: Instant, event: AuditEvent,
        judge: @escaping @Sendable (Grant, Account) throws(Refusal) -> RefreshPresentation
    ) async throws(StoreError) -> Result<RefreshOutcome, Refusal>

    /// The row that the MAC of a credential is checked with; nothing when there is none. Revoked and expired rows count.
    func grant(_ id: Identifier) async throws(StoreError) -> Grant?

    /// Ends one grant. - Returns: Whether it was in force.
    func revoke(_ grant: Identifier, at now: Instant, event: AuditEvent) async throws(StoreError) -> Bool
}
