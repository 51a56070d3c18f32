package import AuthCore

/// Somebody agreed that a client gets a code (RFC 6749 §4.1.2).
package struct Authorization: Sendable {
    package var accountID: Identifier
    package var sessionID: Identifier
    /// The client that was shown: another one under the same name is another one.
    package var clientUID: Identifier
    package var clientID: Identifier
    package var scope: ScopeSet
    package var audiences: [Identifier]
    package var binding: GrantBinding
    package var isOffline: Bool
    package var codeLifetime: Duration
    /// The pushed request that is used up with it (RFC 9126 §7.3).
    package var pushedRequest: Identifier?
    /// What is remembered as consented; nothing when nobody was asked.
    package var consent: Consent?

    package init(
        accountID: Identifier, sessionID: Identifier, client: Client, access: (scope: ScopeSet, audiences: [Identifier]),
        binding: GrantBinding, isOffline: Bool, codeLifetime: Duration
    ) {
        self.accountID = accountID
        self.sessionID = sessionID
        (clientUID, clientID) = (client.uid, client.id)
        (scope, audiences) = access
        self.binding = binding
        self.isOffline = isOffline
        self.codeLifetime = codeLifetime
    }
}

/// Somebody who is trusted vouched for an account (RFC 7523 §2.1): one access token, without a session and without a refresh token.
package struct VouchedAuthorization: Sendable {
    package var accountID: Identifier
    /// The epoch that the caller saw: another one means that something was revoked meanwhile.
    package var accountEpoch: Int64
    package var clientUID: Identifier
    package var clientID: Identifier
    package var scope: ScopeSet
    package var audiences: [Identifier]
    package var binding: GrantBinding
    /// Of the token.
    package var expiresAt: Instant

    package init(
        account: Account, client: Client, access: (scope: ScopeSet, audiences: [Identifier]), binding: GrantBinding, expiresAt: Instant
    ) {
        (accountID, accountEpoch) = (account.id, account.epoch)
        (clientUID, clientID) = (client.uid, client.id)
        (scope, audiences) = access
        self.binding = binding
        self.expiresAt = expiresAt
    }
}

package enum AuthorizationOutcome: Sendable {
    case authorized(Grant)
    /// The session has ended, or the account was disabled or changed.
    case sessionEnded
    case clientUnavailable
    /// The pushed request was used before, or has expired.
    case requestSpent
}

package struct CodePresentation: Sendable {
    package var grantID: Identifier
    package var clientID: Identifier
    /// As sent; nothing when absent.
    package var redirectURI: String?
    /// S256 of the verifier that was sent; nothing when none was.
    package var codeChallenge: String?
    /// What the sender proved.
    package var confirmation: Confirmation?
    /// Whether refresh tokens will be bound to `confirmation`.
    package var bindsRefresh: Bool
    /// Whether the grant lives on for refresh tokens.
    package var refreshes: Bool
    package var idleLifetime: Duration
    package var accessLifetime: Duration
    package var offlineLifetime: Duration
    /// Whether the client wants to be told when the session ends.
    package var hearsOfLogout: Bool
    /// Whether the grant has what is asked for. Asked last of all, so that nobody learns it who could not use the code.
    package var isGranted: @Sendable (Grant) -> Bool = { _ in true }

    package init(
        grantID: Identifier, clientID: Identifier, redirectURI: String?, codeChallenge: String?, confirmation: Confirmation?,
        bindsRefresh: Bool, refreshes: Bool, lifetimes: (idle: Duration, access: Duration, offline: Duration), hearsOfLogout: Bool
    ) {
        self.grantID = grantID
        self.clientID = clientID
        self.redirectURI = redirectURI
        self.codeChallenge = codeChallenge
        self.confirmation = confirmation
        self.bindsRefresh = bindsRefresh
        self.refreshes = refreshes
        (idleLifetime, accessLifetime, offlineLifetime) = lifetimes
        self.hearsOfLogout = hearsOfLogout
    }
}

package enum CodeOutcome: Sendable {
    /// Bought: tokens are issued from this. `successor` is the counter of the refresh token.
    indirect case redeemed(RefreshedGrant)
    /// No such code, or the grant was revoked.
    case gone
    case expired
    /// Another client's, or presented with another redirect URI, verifier or key. Nothing was changed.
    case wrongClient
    case wrongRedirectURI
    case wrongVerifier
    case wrongKey
    /// The code is good, and `CodePresentation.isGranted` said no. Nothing was changed.
    case notGranted
    /// The account, the client or the session is no longer in force.
    case disabled
    /// It was used before, and comes again from the right client with the right verifier, whatever key is proved: the grant is revoked, with
    /// whatever was bought.
    case replayed
}

/// Authorization codes. Each is a state of its grant's row; nothing of a code is stored.
package protocol AuthorizationStore: Sendable {
    /// Makes the grant, uses up the pushed request, and remembers the consent, in one transaction that has checked session, account and
    /// client.
    func authorize(_ authorization: Authorization, at now: Instant, event: AuditEvent) async throws(StoreError) -> AuthorizationOutcome

    /// Makes the grant that a vouched-for token belongs to, so that whatever ends the account's grants ends the token. `.sessionEnded` when
    /// the account was disabled or changed.
    func authorize(
        _ authorization: VouchedAuthorization, at now: Instant, event: AuditEvent
    ) async throws(StoreError) -> AuthorizationOutcome

    /// Buys tokens with a code (RFC 6749 §4.1.3). The caller has checked its MAC.
    ///
    /// Atomic: of any number of racing callers one gets `.redeemed`; the others replay it, and so the grant ends.
    func redeem(_ presentation: CodePresentation, at now: Instant, event: AuditEvent) async throws(StoreError) -> CodeOutcome
}
