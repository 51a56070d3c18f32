package import Store

extension SQLStore {
    /// The rows of one statement of an export.
    private static let exportPage: Int64 = 500

    /// Gives everything that is stored, as of one moment, table by table in the order of `Schema.movedTables` and by their keys.
    ///
    /// One transaction that reads, page by page: nobody waits for it, and only a page is in memory.
    ///
    /// - Parameters:
    ///   - begin: Called first. When it is called again, everything begins anew and what was given counts no more.
    ///   - row: Called for each row, with the values of all columns.
    /// - Throws: `.unusable` unless the store has exactly the schema that this program knows.
    package func export(
        begin: @escaping @Sendable (_ store: StoreIdentity) throws(StoreError) -> Void,
        row: @escaping @Sendable (StoredTable, [SQLValue]) throws(StoreError) -> Void
    ) async throws(StoreError) {
        let identity: StoreIdentity
        do { identity = try await self.identity() } catch {
            // Without tables there is no identity; what is wrong is said better below.
            _ = try await read { (transaction) throws(StoreError) in try transaction.requireNewestSchema() }
            throw error
        }
        try await read { (transaction) throws(StoreError) in
            try transaction.requireNewestSchema()
            try begin(identity)
            for table in Schema.movedTables { try transaction.export(table, page: SQLStore.exportPage, row) }
        }
    }
}

extension SQLTransaction {
    /// Throws unless every column of the store is one that this program would take along.
    func requireNewestSchema() throws(StoreError) {
        let done = try SchemaState(connection, dialect, Schema.migrations).done
        if done == Schema.newest { return }
        throw .unusable(
            done < Schema.newest
                ? "the store has schema \(done), and this program moves \(Schema.newest): run `gatehouse migrate` first"
                : "the store has schema \(done), newer than \(Schema.newest): use the newer gatehouse, which knows all of it")
    }

    fileprivate func export(
        _ table: StoredTable, page: Int64, _ row: (StoredTable, [SQLValue]) throws(StoreError) -> Void
    ) throws(StoreError) {
        let columns = table.columns.map(\.name).joined(separator: ", ")
        let key = table.key.joined(separator: ", ")
        let places = table.key.indices.map { "?\($0 + 1)" }.joined(separator: ", ")
        let keyColumns = table.key.map { name in table.columns.firstIndex { $0.name == name } ?? 0 }
        var last: [SQLValue]?
        while true {
            let behind = last == nil ? "" : " WHERE (\(key)) > (\(places))"
            let rows = try connection.query("SELECT \(columns) FROM \(table.name)\(behind) ORDER BY \(key) LIMIT \(page)", last ?? [])
            for found in rows {
                for (column, value) in zip(table.columns, found.values) where !column.takes(value) {
                    throw .corrupt("\(table.name).\(column.name) holds what it cannot hold")
                }
                try row(table, found.values)
            }
            guard rows.count == page, let final = rows.last else { return }
            last = keyColumns.map { final.values[$0] }
        }
    }
}
