package import AuthCore

/// How many clients may have made themselves, and how long one may lie about that nobody uses.
package struct RegistrationBounds: Sendable {
    package var clientsMax: Int64
    /// Those that nobody used since then and that hold nothing go, a few with each registration; nothing: none goes.
    package var unusedSince: Instant?
    /// Whether this one stays although nobody signs in through it: a service of its own has no grants to show that it is used.
    package var staysUnused = false

    package init(clientsMax: Int64 = .max, unusedSince: Instant? = nil) {
        self.clientsMax = clientsMax
        self.unusedSince = unusedSince
    }
}

package enum RegistrationOutcome: Sendable {
    case registered(Client)
    /// There is a client of that id.
    case taken
    /// There are as many as there may be.
    case full
}

/// Clients that an operator has not made: they registered themselves (RFC 7591, RFC 7592), or publish what they are under the URL that is
/// their id.
package protocol RegistrationStore: Sendable {
    /// Atomic: of any number of racing callers with an id one registers it, and together they do not pass `clientsMax`. Unused ones go
    /// first.
    ///
    /// - Parameter tokenHash: Of the registration access token; empty for one that publishes what it is and manages nothing here.
    func register(
        _ client: ClientDefinition, secretHash: [UInt8]?, tokenHash: [UInt8], within bounds: RegistrationBounds, at now: Instant,
        event: AuditEvent
    ) async throws(StoreError) -> RegistrationOutcome
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
