package import AuthCore
package import Store

private let columns = "kind, id, client_id, value, version, expires_ms"

extension SQLRow {
    fileprivate func parked() throws(StoreError) -> Parked {
        guard let kind = Parked.Kind(rawValue: try text(0)) else { throw .corrupt("parked.kind") }
        return Parked(
            kind: kind, id: try identifier(1), clientID: try identifier(2), value: try object(3), version: try int(4),
            expiresAt: try instant(5))
    }

    func object(_ column: Int) throws(StoreError) -> JSONObject {
        guard let object = (try? JSONReader.read(try text(column)))?.object else {  // said here
            throw .corrupt("column \(column) is no object")
        }
        return object
    }
}

extension SQLValue {
    static func json(_ value: JSONValue) -> SQLValue { .text(String(decoding: value.encoded, as: UTF8.self)) }
}

extension SQLTransaction {
    /// A few rows of the short-lived tables that nothing can use any more.
    func forgetParked(at now: Instant) throws(StoreError) {
        // By the whole key: a row beside the locked ones may be another's, who waits for one of these.
        for (table, key) in [
            ("parked", "kind, id"), ("spent", "id"), ("browser_sessions", "cookie_hash"), ("logouts", "id"),
            ("session_clients", "session_id, client_id"),
        ] {
            try execute(
                """
                DELETE FROM \(table) WHERE (\(key)) IN (
                    SELECT \(key) FROM \(table) WHERE expires_ms < ?1 LIMIT ?2\(dialect.skipLockedClause))
                """,
                .time(now), .int(SQLStore.cleanupBatch)
            )
        }
    }

    /// - Parameter client: Whose it must be; another's stays.
    /// - Returns: Nothing when it was not there, or has expired.
    func takeParked(
        _ kind: Parked.Kind, _ id: Identifier, of client: Identifier? = nil, at now: Instant
    ) throws(StoreError) -> Parked? {
        let rows = try query(
            "DELETE FROM parked WHERE kind = ?1 AND id = ?2 AND client_id = COALESCE(?3, client_id) RETURNING \(columns)",
            .text(kind.rawValue), .id(id), .id(client))
        guard let parked = try rows.first?.parked(), parked.expiresAt > now else { return nil }
        return parked
    }
}

extension SQLTransaction {
    /// - Returns: Whether its id was free. One that has expired is.
    fileprivate func insert(_ record: Parked, at now: Instant) throws(StoreError) -> Bool {
        let inserted = try execute(
            """
            INSERT INTO parked (\(columns)) VALUES (?1, ?2, ?3, ?4, 0, ?5)
            ON CONFLICT (kind, id) DO UPDATE SET client_id = ?3, value = ?4, version = 0, expires_ms = ?5 WHERE parked.expires_ms <= ?6
            """,
            .text(record.kind.rawValue), .id(record.id), .id(record.clientID), .json(.object(record.value)), .time(record.expiresAt),
            .time(now))
        return inserted == 1
    }
}

extension SQLStore {
    package func park(_ records: [Parked], at now: Instant) async throws(StoreError) -> Bool {
        // In one order, so that two callers with the same ids do not wait for each other.
        let ordered = records.sorted { ($0.kind.rawValue, $0.id) < ($1.kind.rawValue, $1.id) }
        return try await write { (transaction) throws(StoreError) in
            for (index, record) in ordered.enumerated() {
                if try transaction.insert(record, at: now) { continue }
                for earlier in ordered[..<index] {
                    try transaction.execute(
                        "DELETE FROM parked WHERE kind = ?1 AND id = ?2", .text(earlier.kind.rawValue), .id(earlier.id))
                }
                return false
            }
            try transaction.forgetParked(at: now)
            return true
        }
    }

    package func parked(_ kind: Parked.Kind, _ id: Identifier, at now: Instant) async throws(StoreError) -> Parked? {
        let sql = "SELECT \(columns) FROM parked WHERE kind = ?1 AND id = ?2 AND expires_ms > ?3"
        return try await database.query(sql, [.text(kind.rawValue), .id(id), .time(now)]).first?.parked()
    }

    package func replace(_ record: Parked, at now: Instant) async throws(StoreError) -> Bool {
        try await write { (transaction) throws(StoreError) in
            let changed = try transaction.execute(
                """
                UPDATE parked SET value = ?1, expires_ms = ?2, version = version + 1
                WHERE kind = ?3 AND id = ?4 AND version = ?5 AND expires_ms > ?6
                """,
                .json(.object(record.value)), .time(record.expiresAt), .text(record.kind.rawValue), .id(record.id), .int(record.version),
                .time(now))
            return changed == 1
        }
    }

    package func take(_ kind: Parked.Kind, _ id: Identifier, at now: Instant) async throws(StoreError) -> Parked? {
        try await write { (transaction) throws(StoreError) in try transaction.takeParked(kind, id, at: now) }
    }

    package func spend(_ id: Identifier, until expiresAt: Instant, at now: Instant) async throws(StoreError) -> Bool {
        try await write { (transaction) throws(StoreError) in
            let inserted = try transaction.execute(
                "INSERT INTO spent (id, expires_ms) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING", .id(id), .time(expiresAt))
            try transaction.execute(
                "DELETE FROM spent WHERE id IN (SELECT id FROM spent WHERE expires_ms < ?1 LIMIT ?2\(transaction.dialect.skipLockedClause))",
                .time(now), .int(SQLStore.cleanupBatch))
            return inserted == 1
        }
    }
}
