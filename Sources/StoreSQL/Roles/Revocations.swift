package import AuthCore
package import Store

extension SQLRow {
    /// The columns `kind, subject, epoch, until_ms`.
    fileprivate func revocation() throws(StoreError) -> RevocationRecord {
        guard let kind = RevocationRecord.Kind(rawValue: try text(0)) else { throw .corrupt("revocations.kind") }
        return RevocationRecord(kind: kind, id: try identifier(1), epoch: try optionalInt(2), until: try instant(3))
    }
}

extension SQLTransaction {
    fileprivate func position() throws(StoreError) -> (FeedPosition, StoreVersions) {
        let rows = try query("SELECT \(dialect.feedEpoch), sequence, resources_version, keys_version FROM feed WHERE id = 1")
        guard let row = rows.first else { throw .corrupt("the feed has no row") }
        let versions = StoreVersions(resources: try row.int(2), keys: try row.int(3))
        return (FeedPosition(epoch: try row.text(0), sequence: try row.int(1)), versions)
    }

    /// The number of the resources that this transaction sees.
    func resourcesVersion() throws(StoreError) -> Int64 { try position().1.resources }

    /// What nodes hold of clients and resources is out of date after this transaction. Among its last statements, because everybody
    /// needs this row.
    ///
    /// - Returns: The new number.
    @discardableResult
    func raiseResourcesVersion() throws(StoreError) -> Int64 {
        let rows = try query("UPDATE feed SET resources_version = resources_version + 1 WHERE id = 1 RETURNING resources_version")
        guard let row = rows.first else { throw .corrupt("the feed has no row") }
        if let wake = dialect.wake { _ = try query(wake) }
        return try row.int(0)
    }

    func raiseKeysVersion() throws(StoreError) {
        try execute("UPDATE feed SET keys_version = keys_version + 1 WHERE id = 1")
        if let wake = dialect.wake { _ = try query(wake) }
    }
}

extension SQLStore {
    package func revocationSnapshot() async throws(StoreError) -> FeedBatch {
        try await read { (transaction) throws(StoreError) in
            let (position, versions) = try transaction.position()
            var records: [RevocationRecord] = []
            let rows = try transaction.query(
                "SELECT kind, subject, epoch, until_ms FROM revocations WHERE sequence <= ?1 ORDER BY sequence",
                .int(position.sequence)
            )
            for row in rows { records.append(try row.revocation()) }
            return FeedBatch(position: position, records: records, versions: versions)
        }
    }

    package func revocations(after position: FeedPosition, limit: Int) async throws(StoreError) -> FeedBatch? {
        try await read { (transaction) throws(StoreError) in
            let (newest, versions) = try transaction.position()
            guard newest.epoch.isSameBytes(as: position.epoch), position.sequence <= newest.sequence, position.sequence >= 0 else {
                return nil
            }
            // Rows that were cleaned away behind `position` are past their `until`: nobody can miss them.
            let rows = try transaction.query(
                "SELECT kind, subject, epoch, until_ms, sequence FROM revocations WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
                .int(position.sequence), .int(Int64(min(max(limit, 1), 10_000)))
            )
            var records: [RevocationRecord] = []
            var sequences: [Int64] = []
            for row in rows {
                records.append(try row.revocation())
                sequences.append(try row.int(4))
            }
            let through = rows.count == limit ? sequences.last ?? newest.sequence : newest.sequence
            let position = FeedPosition(epoch: newest.epoch, sequence: through)
            return FeedBatch(position: position, records: records, sequences: sequences, versions: versions)
        }
    }

    package func revokeToken(_ id: Identifier, until expiry: Instant, event: AuditEvent) async throws(StoreError) {
        let limits = limits
        try await write { (transaction) throws(StoreError) in
            transaction.revoke(RevocationRecord(kind: .token, id: id, until: expiry + limits.revocationMargin))
            try transaction.append(event, limits: limits)
        }
    }
}
