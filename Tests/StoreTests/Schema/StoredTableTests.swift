import Store
import Testing

@testable import StoreSQL

@Suite("An export takes everything along")
struct StoredTableTests {
    @Test("every table and column of the real schema is listed, with its type, and nothing else", arguments: StoreKind.drivers)
    func complete(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        #expect(try await differences(test, kind) == [])
    }

    @Test("one that a migration adds and the list does not have is found", arguments: StoreKind.drivers)
    func forgotten(_ kind: StoreKind) async throws {
        let test = try await kind.newPlace().open(migrations: MigrationTests.expanded)
        #expect(
            try await differences(test, kind) == [
                "accounts.later int", "grants.later text optional", "later.at_ms int", "later.id text",
            ])
    }

    /// What is only here or only there.
    private func differences(_ test: TestStore, _ kind: StoreKind) async throws -> [String] {
        let listed = Schema.tables.flatMap { table in
            table.columns.map { "\(table.name).\($0.name) \($0.kind)\($0.isOptional ? " optional" : "")" }
        }
        let sql =
            kind == .postgres
            ? """
            SELECT table_name, column_name, data_type, CASE is_nullable WHEN 'YES' THEN 1 ELSE 0 END
            FROM information_schema.columns WHERE table_schema = current_schema()
            """
            : """
            SELECT t.name, c.name, c.type, CASE WHEN c."notnull" = 1 OR c.pk > 0 THEN 0 ELSE 1 END
            FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c
            WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND t.name <> 'driver_commits'
            """
        let rows = try await test.database.read { (connection: any SQLConnection) throws(StoreError) in try connection.query(sql, []) }
        let kinds = ["bigint": "int", "INTEGER": "int", "BIGINT": "int", "text": "text", "TEXT": "text", "bytea": "bytes", "BLOB": "bytes"]
        let real = try rows.map { row in
            let type = try row.text(2)
            return "\(try row.text(0)).\(try row.text(1)) \(kinds[type] ?? type)\(try row.int(3) == 1 ? " optional" : "")"
        }
        #expect(real.count > 50)
        return Set(real).symmetricDifference(listed).sorted()
    }
}
