package import AuthCore
package import Store

extension SQLTransaction {
    /// How long a logout is tried to be delivered.
    private static let deliverMax = Duration.seconds(2 * 86_400)

    /// Puts the clients that want to hear of it into the queue of logouts. Called before the session's row goes.
    func queueLogouts(ofSession id: Identifier, at now: Instant) throws(StoreError) {
        let rows = try query(
            """
            DELETE FROM session_clients WHERE session_id = ?1
            RETURNING client_id, (SELECT account_id FROM sessions WHERE id = ?1)
            """, .id(id))
        for row in rows {
            guard let account = try row.optionalText(1) else { continue }
            // One row for each client of a session: its id is made of both.
            try execute(
                """
                INSERT INTO logouts (id, session_id, client_id, account_id, attempts, next_ms, expires_ms)
                VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6) ON CONFLICT (id) DO NOTHING
                """,
                .text("\(id.text) \(try row.text(0))"), .id(id), .text(try row.text(0)), .text(account), .time(now),
                .time(now + SQLTransaction.deliverMax))
        }
    }
}

extension SQLStore {
    package func dueLogouts(_ limit: Int, lease: Duration, at now: Instant) async throws(StoreError) -> [PendingLogout] {
        try await write { (transaction) throws(StoreError) in
            let rows = try transaction.query(
                """
                UPDATE logouts SET attempts = attempts + 1, next_ms = ?1 WHERE id IN (
                    SELECT id FROM logouts WHERE next_ms <= ?2 AND expires_ms > ?2 ORDER BY next_ms LIMIT ?3\(transaction.dialect.skipLockedClause))
                RETURNING id, session_id, client_id, account_id, attempts
                """,
                .time(now + lease), .time(now), .int(Int64(min(max(limit, 1), 1_000))))
            var due: [PendingLogout] = []
            for row in rows {
                due.append(
                    PendingLogout(
                        id: try row.identifier(0), sessionID: try row.identifier(1), clientID: try row.identifier(2),
                        accountID: try row.identifier(3), attempts: try row.int(4)))
            }
            return due
        }
    }

    package func logoutDelivered(_ id: Identifier) async throws(StoreError) {
        try await write { (transaction) throws(StoreError) in
            try transaction.execute("DELETE FROM logouts WHERE id = ?1", .id(id))
        }
    }

    package func logoutFailed(_ id: Identifier, next: Instant) async throws(StoreError) {
        try await write { (transaction) throws(StoreError) in
            try transaction.execute("UPDATE logouts SET next_ms = ?1 WHERE id = ?2", .time(next), .id(id))
        }
    }

    package func clients(ofSession id: Identifier) async throws(StoreError) -> [Identifier] {
        let rows = try await database.query(
            "SELECT client_id FROM session_clients WHERE session_id = ?1 ORDER BY client_id LIMIT 200", [.id(id)])
        var clients: [Identifier] = []
        for row in rows { clients.append(try row.identifier(0)) }
        return clients
    }
}
