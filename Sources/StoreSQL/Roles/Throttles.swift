package import AuthCore
package import Store

extension SQLStore {
    /// A record that nobody touched for this long is forgotten.
    private static let throttleKeep = Duration.seconds(30 * 86_400)

    package func throttle<Verdict: Sendable>(
        _ keys: [Identifier],
        _ decide: @escaping @Sendable (_ records: inout [ThrottleRecord?]) -> Verdict
    ) async throws(StoreError) -> Verdict {
        let now = environment.now()
        return try await write { (transaction) throws(StoreError) in
            var records: [ThrottleRecord?] = []
            for key in keys {
                let rows = try transaction.query(
                    "SELECT failures, window_ms, blocked_ms FROM throttles WHERE name = ?1\(transaction.dialect.lockingClause)",
                    .id(key)
                )
                guard let row = rows.first else {
                    records.append(nil)
                    continue
                }
                records.append(
                    ThrottleRecord(failures: try row.int(0), windowStartedAt: try row.instant(1), blockedUntil: try row.instant(2))
                )
            }
            let before = records
            let verdict = decide(&records)
            for (index, key) in keys.enumerated() where index < records.count && records[index] != before[index] {
                try transaction.put(records[index], under: key, at: now)
            }
            try transaction.execute(
                "DELETE FROM throttles WHERE name IN (SELECT name FROM throttles WHERE touched_ms < ?1 LIMIT ?2)",
                .time(now - SQLStore.throttleKeep), .int(SQLStore.cleanupBatch)
            )
            return verdict
        }
    }
}

extension SQLTransaction {
    fileprivate func put(_ record: ThrottleRecord?, under key: Identifier, at now: Instant) throws(StoreError) {
        guard let record else {
            try execute("DELETE FROM throttles WHERE name = ?1", .id(key))
            return
        }
        try execute(
            """
            INSERT INTO throttles (name, failures, window_ms, blocked_ms, touched_ms) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (name) DO UPDATE SET failures = ?2, window_ms = ?3, blocked_ms = ?4, touched_ms = ?5
            """,
            .id(key), .int(record.failures), .time(record.windowStartedAt), .time(record.blockedUntil), .time(now)
        )
    }
}
