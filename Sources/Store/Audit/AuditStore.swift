package import AuthCore

/// One security event: who did what to whom, from where, with which outcome. No field may hold a secret.
package struct AuditEvent: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        case signIn = "sign_in"
        case signInRefused = "sign_in_refused"
        case signOut = "sign_out"
        case authorized
        case consented
        case consentWithdrawn = "consent_withdrawn"
        case codeRefused = "code_refused"
        case codeReplayed = "code_replayed"
        case refreshReplayed = "refresh_replayed"
        case sessionEnded = "session_ended"
        case accountCreated = "account_created"
        case accountChanged = "account_changed"
        case clientChanged = "client_changed"
        case resourcesApplied = "resources_applied"
        case keysChanged = "keys_changed"
        case tokenRevoked = "token_revoked"
        case storeRollback = "store_rollback"
    }

    package var kind: Kind
    package var at: Instant
    package var accountID: Identifier?
    package var clientID: Identifier?
    package var sessionID: Identifier?
    /// The peer's address, or `operator`.
    package var source: String
    /// A slug of docs/errors.md, or a word for the change.
    package var reason: String?
    package var traceID: String

    package init(
        _ kind: Kind, at: Instant, accountID: Identifier? = nil, clientID: Identifier? = nil, sessionID: Identifier? = nil,
        source: String, reason: String? = nil, traceID: String
    ) {
        self.kind = kind
        self.at = at
        self.accountID = accountID
        self.clientID = clientID
        self.sessionID = sessionID
        self.source = source
        self.reason = reason
        self.traceID = traceID
    }
}

/// The bounded table of security events. Changes write their event in their own transaction; this appends the others.
package protocol AuditStore: Sendable {
    func append(_ event: AuditEvent) async throws(StoreError)
    /// Newest first, at most `limit` (1…1 000), older than `before` when given.
    func events(before: Int64?, limit: Int, account: Identifier?) async throws(StoreError) -> [(number: Int64, event: AuditEvent)]
}
