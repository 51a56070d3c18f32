package import AuthCore

/// What somebody allowed a client, remembered so that they are not asked again.
package struct Consent: Sendable, Equatable {
    package let accountID: Identifier
    package let clientUID: Identifier
    package let clientID: Identifier
    package let scope: ScopeSet
    /// What was granted of `authorization_details` (RFC 9396).
    package let details: [JSONValue]
    package let grantedAt: Instant

    package init(
        accountID: Identifier, clientUID: Identifier, clientID: Identifier, scope: ScopeSet, details: [JSONValue], grantedAt: Instant
    ) {
        self.accountID = accountID
        self.clientUID = clientUID
        self.clientID = clientID
        self.scope = scope
        self.details = details
        self.grantedAt = grantedAt
    }
}

package protocol ConsentStore: Sendable {
    func consent(of account: Identifier, clientUID: Identifier) async throws(StoreError) -> Consent?
    /// Newest first, at most 200.
    func consents(of account: Identifier) async throws(StoreError) -> [Consent]
    /// Takes the consent back and revokes what the client holds of this account.
    ///
    /// - Returns: Whether there was a consent or a grant.
    func withdrawConsent(
        of account: Identifier, client: Identifier, at now: Instant, event: AuditEvent
    ) async throws(StoreError) -> Bool
}
