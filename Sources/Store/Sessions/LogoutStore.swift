package import AuthCore

/// A client that has not been told yet that a session ended (OpenID Connect Back-Channel Logout §2.5).
package struct PendingLogout: Sendable, Equatable {
    package let id: Identifier
    package let sessionID: Identifier
    package let clientID: Identifier
    package let accountID: Identifier
    package let attempts: Int64

    package init(id: Identifier, sessionID: Identifier, clientID: Identifier, accountID: Identifier, attempts: Int64) {
        self.id = id
        self.sessionID = sessionID
        self.clientID = clientID
        self.accountID = accountID
        self.attempts = attempts
    }
}

/// The queue of logouts to deliver. What ends a session puts them there, in its transaction.
package protocol LogoutStore: Sendable {
    /// Takes up to `limit` (1…1 000) that are due, for `lease`: until then no other node gets them, after that they are due again.
    func dueLogouts(_ limit: Int, lease: Duration, at now: Instant) async throws(StoreError) -> [PendingLogout]
    func logoutDelivered(_ id: Identifier) async throws(StoreError)
    /// Comes again at `next`.
    func logoutFailed(_ id: Identifier, next: Instant) async throws(StoreError)
    /// The clients that want to hear of the end of a session.
    func clients(ofSession id: Identifier) async throws(StoreError) -> [Identifier]
}
