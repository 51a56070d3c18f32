internal import Store

/// One step of the schema. Numbered, never edited after a release; what it may do, and who may go on meanwhile, is decision 0009.
struct Migration: Sendable {
    let number: Int64
    let name: String
    /// The oldest program, by the newest schema that it knows, that works on the store after this step. 0: the step changes nothing
    /// about that, as one that only adds.
    var usableFrom: Int64 = 0
    let statements: @Sendable (SQLDialect) -> [String]
}

/// A migration as it is shown to people.
package struct MigrationStep: Sendable, Equatable {
    package let number: Int64
    package let name: String
    package let statements: [String]
}

package enum Schema {
    static let migrations: [Migration] = [initialSchema, storeVersions, nodes, authorizations]

    /// The newest schema that this program knows.
    package static var newest: Int64 { migrations.last?.number ?? 0 }
}

/// What a store has, as one program sees it.
struct SchemaState {
    /// The tables and columns that are there; nothing of them in a new store.
    let columns: [String: [String]]
    /// The newest migration that was applied; 0 in a new store.
    let done: Int64
    let pending: [Migration]

    /// - Throws: `.unusable` when the store was changed by a newer program in a way that this one cannot work with.
    init(_ connection: any SQLConnection, _ dialect: SQLDialect, _ migrations: [Migration]) throws(StoreError) {
        var columns: [String: [String]] = [:]
        for row in try connection.query(dialect.columns, []) { columns[try row.text(0), default: []].append(try row.text(1)) }
        self.columns = columns
        guard let found = columns["schema_migrations"] else {
            (done, pending) = (0, migrations)
            return
        }
        done = try connection.query("SELECT COALESCE(MAX(number), 0) FROM schema_migrations", [])[0].int(0)
        let (done, newest) = (done, migrations.last?.number ?? 0)
        pending = migrations.filter { $0.number > done }
        if done <= newest { return }
        var usableFrom: Int64?
        if found.contains("usable_from") {
            let rows = try connection.query("SELECT usable_from FROM schema_migrations WHERE number = ?1", [.int(done)])
            usableFrom = try rows.first?.optionalInt(0)
        }
        guard let usableFrom, usableFrom <= newest else {
            throw .unusable(
                """
                the store has schema \(done), newer than \(newest), which this program knows; start a newer gatehouse\
                \(usableFrom.map { " (one that knows schema \($0) or more)" } ?? "")
                """)
        }
    }

    /// Applies one migration and notes it, in the transaction of the caller.
    func apply(
        _ migration: Migration, of migrations: [Migration], _ connection: any SQLConnection, _ dialect: SQLDialect, now milliseconds: Int64
    ) throws(StoreError) {
        for statement in migration.statements(dialect) { try connection.execute(statement, []) }
        let usableFrom = migrations.filter { $0.number <= migration.number }.map(\.usableFrom).max() ?? 0
        try connection.execute(
            "INSERT INTO schema_migrations (number, name, at_ms, usable_from) VALUES (?1, ?2, ?3, ?4)",
            [.int(migration.number), .text(migration.name), .int(milliseconds), .int(usableFrom)]
        )
    }

    /// The table of the migrations itself, and its column of later.
    func prepareTable(_ connection: any SQLConnection, _ dialect: SQLDialect) throws(StoreError) {
        guard let found = columns["schema_migrations"] else {
            try connection.execute(
                """
                CREATE TABLE schema_migrations (
                    number BIGINT PRIMARY KEY, name \(dialect.textType) NOT NULL, at_ms BIGINT NOT NULL, usable_from BIGINT)
                """,
                []
            )
            return
        }
        if found.contains("usable_from") { return }
        try connection.execute("ALTER TABLE schema_migrations ADD COLUMN usable_from BIGINT", [])
    }
}
