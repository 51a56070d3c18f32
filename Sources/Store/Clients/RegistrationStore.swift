package import AuthCore

/// Clients that registered themselves (RFC 7591, RFC 7592).
package protocol RegistrationStore: Sendable {
    /// - Returns: Nothing when the id is taken.
    func register(
        _ client: ClientDefinition, secretHash: [UInt8]?, tokenHash: [UInt8], at now: Instant, event: AuditEvent
    ) async throws(StoreError) -> Client?
    /// The registered client and the hash of its registration access token.
    func registration(_ client: Identifier) async throws(StoreError) -> (client: Client, tokenHash: [UInt8])?
    /// Replaces the definition, and the token. Narrowing raises the client's epoch.
    ///
    /// - Returns: Whether it was still there with `uid`.
    func changeRegistration(
        _ client: ClientDefinition, uid: Identifier, tokenHash: [UInt8], event: AuditEvent
    ) async throws(StoreError) -> Bool
    /// Deletes the client and ends everything that it holds. Another one under its id has another uid; for a day its tokens are refused.
    ///
    /// - Returns: Whether it was there with `uid`. A client that did not register itself never is.
    func deleteRegistration(_ client: Identifier, uid: Identifier, at now: Instant, event: AuditEvent) async throws(StoreError) -> Bool
}
