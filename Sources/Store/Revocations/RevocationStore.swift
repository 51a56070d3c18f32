package import AuthCore

/// One entry of the ordered log of revocations (docs/map.md, "A revocation").
package struct RevocationRecord: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable { case session, grant, account, client, token, key }
    package var kind: Kind
    package var id: Identifier
    /// For accounts and clients: tokens with a lower one are revoked.
    package var epoch: Int64?
    /// No token that it could concern is valid after this.
    package var until: Instant

    package init(kind: Kind, id: Identifier, epoch: Int64? = nil, until: Instant) {
        self.kind = kind
        self.id = id
        self.epoch = epoch
        self.until = until
    }
}

/// A place in the log: another epoch means that positions cannot be compared, and a snapshot is due.
package struct FeedPosition: Sendable, Equatable {
    package var epoch: String
    package var sequence: Int64

    package init(epoch: String, sequence: Int64) {
        self.epoch = epoch
        self.sequence = sequence
    }
}

/// The numbers of what nodes hold in memory, read with the log: each change of it raises one in the same transaction.
package struct StoreVersions: Sendable, Equatable {
    /// Of clients, resources, roles and routes.
    package var resources: Int64
    /// Of the signing keys.
    package var keys: Int64

    package init(resources: Int64 = 0, keys: Int64 = 0) {
        self.resources = resources
        self.keys = keys
    }
}

package struct FeedBatch: Sendable {
    package var position: FeedPosition
    package var records: [RevocationRecord]
    /// The place of each record, ascending, where they were read behind a position; else empty.
    package var sequences: [Int64]
    package var versions: StoreVersions

    package init(
        position: FeedPosition, records: [RevocationRecord], sequences: [Int64] = [], versions: StoreVersions = StoreVersions()
    ) {
        self.position = position
        self.records = records
        self.sequences = sequences
        self.versions = versions
    }
}

/// Reads the log. Nothing is appended here: each method that ends something appends in its own transaction.
package protocol RevocationStore: Sendable {
    /// Everything in force, and the position it is complete up to.
    func revocationSnapshot() async throws(StoreError) -> FeedBatch
    /// What was committed behind `position`; nothing when the position is unknown or of another epoch.
    func revocations(after position: FeedPosition, limit: Int) async throws(StoreError) -> FeedBatch?
    /// The log stands before a position that was read from it: the database has lost its last commits and goes on with numbers that mean
    /// something else to who read them. A new epoch tells the two apart; nothing happens when somebody has given it one already.
    func renewEpoch(behind position: FeedPosition) async throws(StoreError)
    /// Raises the numbers of what nodes hold above these, unless they are already: after a loss they would stand for something else
    /// a second time.
    func raiseVersions(above versions: StoreVersions) async throws(StoreError)
    /// Brings back an entry that the database has lost: it stands in the log again, and what it ended is ended again.
    ///
    /// - Parameter position: Where the log stood when the loss was found. Nothing happens when the entry stands behind it.
    /// - Returns: Whether anything was written.
    func reinstate(_ record: RevocationRecord, lostBefore position: FeedPosition, at now: Instant) async throws(StoreError) -> Bool
    /// Revokes one access token by its `jti`, until `expiry`.
    func revokeToken(_ id: Identifier, until expiry: Instant, event: AuditEvent) async throws(StoreError)
}
