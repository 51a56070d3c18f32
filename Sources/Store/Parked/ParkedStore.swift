package import AuthCore

/// Something that waits for its second step, for minutes.
package struct Parked: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        /// A pushed authorization request (RFC 9126).
        case pushedRequest = "pushed_request"
        /// A device authorization (RFC 8628), and the way to it from the code that people type.
        case device
        case userCode = "user_code"
        /// Leave to register a client (RFC 7591 §3), and how many uses it has left.
        case registrationToken = "registration_token"
    }

    package let kind: Kind
    /// Unguessable, or a hash of what is.
    package let id: Identifier
    package let clientID: Identifier
    package var value: JSONObject
    /// Counts the changes.
    package let version: Int64
    package var expiresAt: Instant

    package init(kind: Kind, id: Identifier, clientID: Identifier, value: JSONObject, version: Int64 = 0, expiresAt: Instant) {
        self.kind = kind
        self.id = id
        self.clientID = clientID
        self.value = value
        self.version = version
        self.expiresAt = expiresAt
    }
}

/// Short-lived, single-use things. Expired ones do not exist; they go in small batches inside other writes.
package protocol ParkedStore: Sendable {
    /// All or nothing. - Returns: Whether every id was free. Atomic: of any number of racing callers with an id one gets true.
    func park(_ records: [Parked], at now: Instant) async throws(StoreError) -> Bool
    func parked(_ kind: Parked.Kind, _ id: Identifier, at now: Instant) async throws(StoreError) -> Parked?
    /// Puts `record` in the place of the one with its version. - Returns: Whether it was still there and unchanged.
    func replace(_ record: Parked, at now: Instant) async throws(StoreError) -> Bool
    /// Takes it away. Atomic: of any number of racing callers one gets it.
    func take(_ kind: Parked.Kind, _ id: Identifier, at now: Instant) async throws(StoreError) -> Parked?
}

/// Identifiers that count once: `jti` of assertions and proofs (RFC 7523 §3, RFC 9449 §11.1).
package protocol SpentStore: Sendable {
    /// - Parameters:
    ///   - id: With whatever makes it unique in front: kind, client.
    ///   - expiresAt: Until when it must be remembered.
    /// - Returns: Whether it was new. Atomic: of any number of racing callers one gets true.
    func spend(_ id: Identifier, until expiresAt: Instant, at now: Instant) async throws(StoreError) -> Bool
}
