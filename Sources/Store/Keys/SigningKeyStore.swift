package import AuthCore

/// A signing key as it is stored: the private part sealed under the master key.
package struct SigningKeyRecord: Sendable, Equatable {
    /// The life of a key: `next` is published and waits, `active` signs, `retired` is published until its last token has
    /// expired, `revoked` is gone at once.
    package enum State: String, Sendable { case next, active, retired, revoked }

    package var id: Identifier
    package var algorithm: String
    package var state: State
    package var publicJWK: String
    package var sealedPrivateKey: [UInt8]
    package var publishedAt: Instant
    package var activatedAt: Instant?
    /// Published until then.
    package var publishedUntil: Instant?

    package init(
        id: Identifier, algorithm: String, state: State, publicJWK: String, sealedPrivateKey: [UInt8], publishedAt: Instant,
        activatedAt: Instant? = nil, publishedUntil: Instant? = nil
    ) {
        self.id = id
        self.algorithm = algorithm
        self.state = state
        self.publicJWK = publicJWK
        self.sealedPrivateKey = sealedPrivateKey
        self.publishedAt = publishedAt
        self.activatedAt = activatedAt
        self.publishedUntil = publishedUntil
    }
}

package protocol SigningKeyStore: Sendable {
    func signingKeys() async throws(StoreError) -> [SigningKeyRecord]

    /// Reads all keys, lets `plan` say what they should be, and writes that: additions and changed states, in one
    /// transaction. A key that turns `revoked` gets its entry in the log of revocations.
    ///
    /// - Parameter plan: `areAcknowledged` says whether every live node (`NodeStore`) verifies with these keys already.
    func changeSigningKeys(
        event: AuditEvent?,
        _ plan: @escaping @Sendable (_ keys: [SigningKeyRecord], _ areAcknowledged: Bool) -> [SigningKeyRecord]
    ) async throws(StoreError) -> [SigningKeyRecord]
}
