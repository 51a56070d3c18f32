internal import AuthCore
package import Store

extension SQLStore {
    /// Puts everything that an export gave into this store, which must be as `prepare` has left it: in one transaction, so that it is
    /// there whole or not at all.
    ///
    /// The log of revocations gets another epoch: whoever followed it takes a snapshot.
    ///
    /// - Parameter rows: Calls its argument for each row, table by table. Called again when the transaction has to be repeated.
    /// - Throws: `.unusable` with the first thing that is in the store already; whatever `rows` throws.
    package func importRows(
        _ rows: @escaping @Sendable (_ put: (StoredTable, [SQLValue]) throws(StoreError) -> Void) throws(StoreError) -> Void
    ) async throws(StoreError) {
        let epoch = newIdentifier()
        try await write { (transaction) throws(StoreError) in
            let dialect = transaction.dialect
            // A node that starts waits here, or was before and has left something.
            if let lock = dialect.migrationLock { _ = try transaction.query(lock) }
            try transaction.requireNewestSchema()
            for table in ["meta", "feed"] { _ = try transaction.query("SELECT * FROM \(table)\(dialect.lockingClause)") }
            try transaction.requireFresh()
            for table in Schema.movedTables { try transaction.execute("DELETE FROM \(table.name)") }
            let batch = ImportBatch(transaction)
            try rows { (table, values) throws(StoreError) in try batch.put(table, values) }
            try batch.flush()
            guard try transaction.execute("UPDATE feed SET epoch = ?1", .id(epoch)) == 1 else {
                throw .corrupt("the export has no position of the log of revocations")
            }
            for table in Schema.movedTables {
                guard let serial = table.serial, let statement = dialect.continueSerial(table.name, serial) else { continue }
                _ = try transaction.query(statement)
            }
            failpoint("import.before_commit")
        }
    }

    /// Says why an import would refuse this store, before anything is read or written for it: nothing when it is new or empty.
    package func requireFreshOrNew() async throws(StoreError) {
        try await read { (transaction) throws(StoreError) in
            if try SchemaState(transaction.connection, transaction.dialect, Schema.migrations).done == 0 { return }
            try transaction.requireNewestSchema()
            try transaction.requireFresh()
        }
    }
}

extension SQLTransaction {
    /// Throws unless nothing is stored but what `prepare` puts there.
    fileprivate func requireFresh() throws(StoreError) {
        let own = ["meta": "name <> 'store_id'", "feed": "id <> 1 OR sequence <> 0", "clients": "managed_by <> 'built_in'"]
        for table in Schema.movedTables {
            let condition = own[table.name].map { " WHERE \($0)" } ?? ""
            let count = try query("SELECT COUNT(*) FROM \(table.name)\(condition)").first?.int(0) ?? 0
            if count == 0 { continue }
            throw .unusable(
                """
                the store is not empty: \(table.name) has \(count) \(count == 1 ? "row" : "rows") already. An import goes into a new store, \
                which no server has started on: another file, or another schema of PostgreSQL. Nothing was changed
                """)
        }
    }
}

/// Rows that go into their table together. Confined to its transaction.
private final class ImportBatch {
    /// The rows of one statement.
    private static let rowsMax = 32

    private let transaction: SQLTransaction
    private var table: StoredTable?
    private var rows: [[SQLValue]] = []

    init(_ transaction: SQLTransaction) { self.transaction = transaction }

    func put(_ table: StoredTable, _ values: [SQLValue]) throws(StoreError) {
        if self.table?.name != table.name || rows.count == ImportBatch.rowsMax { try flush() }
        self.table = table
        rows.append(values)
    }

    func flush() throws(StoreError) {
        guard let table else { return }
        // Two sizes of statement a table, so that a driver can keep them prepared.
        if rows.count == ImportBatch.rowsMax {
            try insert(rows[...], into: table)
        } else {
            for index in rows.indices { try insert(rows[index...index], into: table) }
        }
        rows.removeAll(keepingCapacity: true)
    }

    private func insert(_ rows: ArraySlice<[SQLValue]>, into table: StoredTable) throws(StoreError) {
        let width = table.columns.count
        let places = (0..<rows.count).map { row in
            "(" + (0..<width).map { "?\(row * width + $0 + 1)" }.joined(separator: ", ") + ")"
        }
        let columns = table.columns.map(\.name).joined(separator: ", ")
        try transaction.connection.execute(
            "INSERT INTO \(table.name) (\(columns)) VALUES \(places.joined(separator: ", "))", rows.flatMap { $0 })
    }
}
