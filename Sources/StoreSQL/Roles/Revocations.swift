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

extension SQLTransaction {
    /// Ends what the entry is about, if the database has it as if it had not been ended. Locks in the order of everybody.
    fileprivate func endAgain(_ record: RevocationRecord, at now: Instant, margin: Duration) throws(StoreError) {
        switch record.kind {
        case .session:
            guard let session = try liveSession(record.id, at: now) else { return }
            _ = try lockedAccount(session.accountID)
            try endSession(record.id, at: now, margin: margin)
        case .grant:
            let rows = try query("SELECT account_id FROM grants WHERE id = ?1 AND revoked_ms IS NULL", .id(record.id))
            guard let owner = try rows.first?.identifier(0) else { return }
            _ = try lockedAccount(owner)
            try revokeGrants("id", record.id, at: now, margin: margin)
        case .account:
            // New tokens must carry a number that the entry does not refuse.
            try execute("UPDATE accounts SET epoch = ?1 WHERE id = ?2 AND epoch < ?1", .int(record.epoch ?? 0), .id(record.id))
        case .client:
            let sql = "UPDATE clients SET epoch = ?1 WHERE id = ?2 AND epoch < ?1"
            if try execute(sql, .int(record.epoch ?? 0), .id(record.id)) > 0 { try raiseResourcesVersion() }
        case .key:
            let sql = "UPDATE signing_keys SET state = 'revoked', published_until_ms = ?1 WHERE id = ?2 AND state <> 'revoked'"
            if try execute(sql, .time(now), .id(record.id)) > 0 { try raiseKeysVersion() }
        case .token: break
        }
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
        let limit = min(max(limit, 1), 10_000)
        // One statement, because each node asks it often: the position and what lies behind the reader's.
        let rows = try await database.query(
            """
            SELECT \(database.dialect.feedEpoch), sequence, resources_version, keys_version, kind, subject, ver, until_ms, place
            FROM feed LEFT JOIN (
                SELECT kind, subject, epoch AS ver, until_ms, sequence AS place FROM revocations WHERE sequence > ?1
                ORDER BY sequence LIMIT ?2) AS behind ON 1 = 1
            WHERE id = 1 ORDER BY place
            """,
            [.int(position.sequence), .int(Int64(limit))]
        )
        guard let first = rows.first else { throw .corrupt("the feed has no row") }
        let newest = FeedPosition(epoch: try first.text(0), sequence: try first.int(1))
        let versions = StoreVersions(resources: try first.int(2), keys: try first.int(3))
        guard newest.epoch.isSameBytes(as: position.epoch), position.sequence <= newest.sequence, position.sequence >= 0 else { return nil }
        // Rows that were cleaned away behind `position` are past their `until`: nobody can miss them.
        var records: [RevocationRecord] = []
        var sequences: [Int64] = []
        for row in rows {
            guard let place = try row.optionalInt(8), let entry = row.part(from: 4, count: 4) else { break }
            records.append(try entry.revocation())
            sequences.append(place)
        }
        let through = records.count == limit ? sequences.last ?? newest.sequence : newest.sequence
        return FeedBatch(
            position: FeedPosition(epoch: newest.epoch, sequence: through), records: records, sequences: sequences, versions: versions)
    }

    package func renewEpoch(behind position: FeedPosition) async throws(StoreError) {
        let epoch = newIdentifier()
        try await write { (transaction) throws(StoreError) in
            let changed = try transaction.execute(
                "UPDATE feed SET epoch = ?1 WHERE id = 1 AND \(transaction.dialect.feedEpoch) = ?2 AND sequence < ?3",
                .id(epoch), .text(position.epoch), .int(position.sequence)
            )
            if changed > 0, let wake = transaction.dialect.wake { _ = try transaction.query(wake) }
        }
    }

    package func raiseVersions(above versions: StoreVersions) async throws(StoreError) {
        try await write { (transaction) throws(StoreError) in
            let rows = try transaction.query(
                "SELECT resources_version, keys_version FROM feed WHERE id = 1\(transaction.dialect.lockingClause)")
            guard let row = rows.first else { throw .corrupt("the feed has no row") }
            let found = StoreVersions(resources: try row.int(0), keys: try row.int(1))
            if found.resources > versions.resources, found.keys > versions.keys { return }
            try transaction.execute(
                "UPDATE feed SET resources_version = ?1, keys_version = ?2 WHERE id = 1",
                .int(max(found.resources, versions.resources + 1)), .int(max(found.keys, versions.keys + 1))
            )
            if let wake = transaction.dialect.wake { _ = try transaction.query(wake) }
        }
    }

    package func reinstate(
        _ record: RevocationRecord, lostBefore position: FeedPosition, at now: Instant
    ) async throws(StoreError) -> Bool {
        let limits = limits
        return try await write { (transaction) throws(StoreError) in
            let isBack = try transaction.query(
                "SELECT sequence FROM revocations WHERE sequence > ?1 AND kind = ?2 AND subject = ?3 AND COALESCE(epoch, 0) >= ?4 LIMIT 1",
                .int(position.sequence), .text(record.kind.rawValue), .id(record.id), .int(record.epoch ?? 0)
            )
            guard isBack.isEmpty else { return false }
            try transaction.endAgain(record, at: now, margin: limits.revocationMargin)
            transaction.revoke(record)
            return true
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
