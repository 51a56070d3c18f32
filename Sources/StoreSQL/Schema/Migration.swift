package import Store

/// One step of the schema. Numbered, never edited after a release.
struct Migration: Sendable {
    let number: Int64
    let name: String
    let statements: @Sendable (SQLDialect) -> [String]
}

package enum Schema {
    static let migrations: [Migration] = [initialSchema, storeVersions, nodes]

    /// The newest schema that this program knows.
    package static var newest: Int64 { migrations.last?.number ?? 0 }

    /// Brings the schema up to date, in one transaction of the caller.
    ///
    /// - Throws: `.unusable` when the store is newer than this program.
    package static func migrate(_ connection: any SQLConnection, dialect: SQLDialect, now milliseconds: Int64) throws(StoreError) {
        try connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT PRIMARY KEY, name \(dialect.textType) NOT NULL, at_ms BIGINT NOT NULL)",
            []
        )
        let done = try connection.query("SELECT COALESCE(MAX(number), 0) FROM schema_migrations", [])[0].int(0)
        if done > newest {
            throw .unusable("the store has schema \(done), newer than \(newest), which this program knows; start a newer gatehouse")
        }
        for migration in migrations where migration.number > done {
            for statement in migration.statements(dialect) { try connection.execute(statement, []) }
            try connection.execute(
                "INSERT INTO schema_migrations (number, name, at_ms) VALUES (?1, ?2, ?3)",
                [.int(migration.number), .text(migration.name), .int(milliseconds)]
            )
        }
    }
}
