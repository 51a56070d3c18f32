package import AuthCore
package import Store

extension SQLTransaction {
    /// Writes the event and cleans a few old ones away, so that the table stays bounded without a janitor.
    func append(_ event: AuditEvent, limits: StoreLimits) throws(StoreError) {
        let rows = try query(
            """
            INSERT INTO audit (at_ms, kind, account_id, client_id, session_id, source, reason, trace_id)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING number
            """,
            .time(event.at), .text(event.kind.rawValue), .id(event.accountID), .id(event.clientID), .id(event.sessionID),
            .text(event.source), .text(event.reason), .text(event.traceID)
        )
        guard let number = try rows.first?.int(0) else { throw .corrupt("audit gives no number") }
        // Not each time: transactions that clean at once wait for one another.
        guard number % SQLStore.cleanupBatch == 0 else { return }
        try execute(
            // Only the oldest few are looked at: ages follow numbers, and a search for old ones would read the whole table.
            """
            DELETE FROM audit WHERE number IN (
                SELECT number FROM (SELECT number, at_ms FROM audit ORDER BY number LIMIT ?3) AS oldest WHERE at_ms < ?1 OR number <= ?2)
            """,
            .time(event.at - limits.auditKeep), .int(number - limits.auditRowsMax), .int(2 * SQLStore.cleanupBatch)
        )
    }
}

extension SQLStore {
    package func append(_ event: AuditEvent) async throws(StoreError) {
        let limits = limits
        try await write { (transaction) throws(StoreError) in try transaction.append(event, limits: limits) }
    }

    package func events(before: Int64?, limit: Int, account: Identifier?) async throws(StoreError) -> [(number: Int64, event: AuditEvent)] {
        try await read { (transaction) throws(StoreError) in
            let rows = try transaction.query(
                """
                SELECT number, at_ms, kind, account_id, client_id, session_id, source, reason, trace_id FROM audit
                WHERE number < ?1 AND (account_id = ?2 OR ?2 IS NULL) ORDER BY number DESC LIMIT ?3
                """,
                .int(before ?? .max), .id(account), .int(Int64(min(max(limit, 1), 1_000)))
            )
            var events: [(number: Int64, event: AuditEvent)] = []
            for row in rows {
                guard let kind = AuditEvent.Kind(rawValue: try row.text(2)) else { throw .corrupt("audit.kind") }
                let event = AuditEvent(
                    kind, at: try row.instant(1), accountID: try row.optionalText(3).map { Identifier($0) },
                    clientID: try row.optionalText(4).map { Identifier($0) }, sessionID: try row.optionalText(5).map { Identifier($0) },
                    source: try row.text(6), reason: try row.optionalText(7), traceID: try row.text(8)
                )
                events.append((try row.int(0), event))
            }
            return events
        }
    }
}
