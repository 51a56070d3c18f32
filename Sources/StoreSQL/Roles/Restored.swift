internal import AuthCore
package import Store

/// What `SQLStore.endEverything` has ended.
package struct EndedEverything: Sendable, Equatable {
    package var keys = 0
    package var grants = 0
    package var sessions = 0

    package init(keys: Int = 0, grants: Int = 0, sessions: Int = 0) {
        self.keys = keys
        self.grants = grants
        self.sessions = sessions
    }
}

extension SQLStore {
    /// The most rows that one transaction of it changes.
    private static let endBatch: Int64 = 1_000

    /// Ends every session and grant and revokes every signing key: for a database that has forgotten what was revoked, because a backup was
    /// restored. Access tokens die with the keys, so no entry for each session is needed. The log gets another epoch.
    ///
    /// Several transactions, the keys first; when it is cut short, it is simply called again. What begins meanwhile stays.
    package func endEverything(event: AuditEvent) async throws(StoreError) -> EndedEverything {
        let start = environment.now()
        var ended = EndedEverything()
        ended.keys = try await revokeEveryKey(event)
        ended.grants = try await inBatches { (transaction, last) throws(StoreError) in
            try transaction.query(
                """
                UPDATE grants SET revoked_ms = ?1, expires_ms = token_until_ms WHERE id IN (
                    SELECT id FROM grants WHERE id > ?2 AND revoked_ms IS NULL AND created_ms <= ?1 ORDER BY id LIMIT ?3) RETURNING id
                """,
                .time(start), .text(last), .int(SQLStore.endBatch))
        }
        ended.sessions = try await inBatches { (transaction, last) throws(StoreError) in
            try transaction.query(
                """
                DELETE FROM sessions WHERE id IN (
                    SELECT id FROM sessions WHERE id > ?2 AND created_ms <= ?1 ORDER BY id LIMIT ?3) RETURNING id
                """,
                .time(start), .text(last), .int(SQLStore.endBatch))
        }
        // A consent that was withdrawn, a device code that was used: who knows? People are asked again.
        _ = try await inBatches { (transaction, last) throws(StoreError) in
            try transaction.query(
                """
                DELETE FROM consents WHERE account_id IN (
                    SELECT account_id FROM consents WHERE account_id > ?2 AND granted_ms <= ?1 ORDER BY account_id LIMIT ?3)
                AND granted_ms <= ?1 RETURNING account_id
                """,
                .time(start), .text(last), .int(SQLStore.endBatch))
        }
        for kind in Parked.Kind.allCases {
            _ = try await inBatches { (transaction, last) throws(StoreError) in
                try transaction.query(
                    """
                    DELETE FROM parked WHERE kind = ?4 AND id IN (
                        SELECT id FROM parked WHERE kind = ?4 AND id > ?2 AND expires_ms > ?1 ORDER BY id LIMIT ?3) RETURNING id
                    """,
                    .time(start), .text(last), .int(SQLStore.endBatch), .text(kind.rawValue))
            }
        }
        return ended
    }

    private func revokeEveryKey(_ event: AuditEvent) async throws(StoreError) -> Int {
        let (limits, epoch) = (limits, newIdentifier())
        return try await write { (transaction) throws(StoreError) in
            let rows = try transaction.query(
                "UPDATE signing_keys SET state = 'revoked', published_until_ms = ?1 WHERE state <> 'revoked' RETURNING id", .time(event.at))
            for row in rows {
                transaction.revoke(RevocationRecord(kind: .key, id: try row.identifier(0), until: Instant(milliseconds: .max)))
            }
            try transaction.append(event, limits: limits)
            try transaction.execute("UPDATE feed SET epoch = ?1 WHERE id = 1", .id(epoch))
            try transaction.raiseKeysVersion()
            return rows.count
        }
    }

    /// Runs `step` until it changes nothing more; each time behind the last id that it answered.
    private func inBatches(
        _ step: @escaping @Sendable (_ transaction: SQLTransaction, _ last: String) throws(StoreError) -> [SQLRow]
    ) async throws(StoreError) -> Int {
        var (count, last) = (0, "")
        while true {
            let behind = last
            let ids = try await write { (transaction) throws(StoreError) -> [Identifier] in
                var ids: [Identifier] = []
                for row in try step(transaction, behind) { ids.append(try row.identifier(0)) }
                return ids
            }
            guard let highest = ids.max() else { return count }
            count += ids.count
            last = highest.text
        }
    }
}
