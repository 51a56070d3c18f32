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
    fileprivate func position() throws(StoreError) -> FeedPosition {
        guard let row = try query("SELECT \(dialect.feedEpoch), sequence FROM feed WHERE id = 1").first else {
            throw .corrupt("the feed has no row")
        }
        return FeedPosition(epoch: try row.text(0), sequence: try row.int(1))
    }
}

extension SQLStore {
    package func revocationSnapshot() async throws(StoreError) -> FeedBatch {
        try await read { (transaction) throws(StoreError) in
            let position = try transaction.position()
            var records: [RevocationRecord] = []
            let rows = try transaction.query(
                "SELECT kind, subject, epoch, until_ms FROM revocations WHERE sequence <= ?1 ORDER BY sequence",
                .int(position.sequence)
            )
            for row in rows { records.append(try row.revocation()) }
            return FeedBatch(position: position, records: records)
        }
    }

    package func revocations(after position: FeedPosition, limit: Int) async throws(StoreError) -> FeedBatch? {
        try await read { (transaction) throws(StoreError) in
            let newest = try transaction.position()
            guard newest.epoch.isSameBytes(as: position.epoch), position.sequence <= newest.sequence, position.sequence >= 0 else {
                return nil
            }
            // Rows that were cleaned away behind `position` are past their `until`: nobody can miss them.
            let rows = try transaction.query(
                "SELECT kind, subject, epoch, until_ms, sequence FROM revocations WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
                .int(position.sequence), .int(Int64(min(max(limit, 1), 10_000)))
            )
            var records: [RevocationRecord] = []
            for row in rows { records.append(try row.revocation()) }
            let through = rows.count == limit ? try rows[rows.count - 1].int(4) : newest.sequence
            return FeedBatch(position: FeedPosition(epoch: newest.epoch, sequence: through), records: records)
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
