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
            var records = [ThrottleRecord?](repeating: nil, count: keys.count)
            // In one order for everybody, so that two attempts with keys in common cannot wait for each other.
            let order = keys.indices.sorted { keys[$0] < keys[$1] }
            for index in order { records[index] = try transaction.lockedThrottle(keys[index], at: now) }
            let before = records
            let verdict = decide(&records)
            let leavesPlaceholders = !transaction.dialect.lockingClause.isEmpty
            for index in order where index < records.count {
                if records[index] == before[index], before[index] != nil || !leavesPlaceholders { continue }
                try transaction.put(records[index], under: keys[index], at: now)
            }
            try transaction.execute(
                "DELETE FROM throttles WHERE name IN (SELECT name FROM throttles WHERE touched_ms < ?1 LIMIT ?2\(transaction.dialect.skipLockedClause))",
                .time(now - SQLStore.throttleKeep), .int(SQLStore.cleanupBatch)
            )
            return verdict
        }
    }
}

extension SQLTransaction {
    /// The record under `key`, locked until the transaction ends, whether there is one or not.
    fileprivate func lockedThrottle(_ key: Identifier, at now: Instant) throws(StoreError) -> ThrottleRecord? {
        let select = "SELECT failures, window_ms, blocked_ms FROM throttles WHERE name = ?1\(dialect.lockingClause)"
        var row = try query(select, .id(key)).first
        if row == nil, !dialect.lockingClause.isEmpty {
            // There is no lock on a row that is not there: two first failures at once would each be the first. `put` or nobody sees this row.
            try execute(
                """
                INSERT INTO throttles (name, failures, window_ms, blocked_ms, touched_ms) VALUES (?1, -1, 0, 0, ?2)
                ON CONFLICT (name) DO NOTHING
                """,
                .id(key), .time(now)
            )
            row = try query(select, .id(key)).first
        }
        guard let row, try row.int(0) >= 0 else { return nil }
        return ThrottleRecord(failures: try row.int(0), windowStartedAt: try row.instant(1), blockedUntil: try row.instant(2))
    }

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
