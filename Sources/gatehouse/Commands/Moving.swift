import AuthCore
import Glibc
import Settings
import Store
import StorePostgres
import StoreSQL
import StoreSQLite
import TokenKeys

/// The store of the settings without a server: for commands that need it to themselves (SQLite), or as one more program (PostgreSQL).
struct OfflineStore {
    let settings: ServerSettings
    let store: SQLStore
    private let database: any SQLDatabase

    /// Opens the store for `body` and closes it behind it.
    ///
    /// - Parameters:
    ///   - mayMake: Whether a database file that is not there is made.
    ///   - isRestored: Whether a database file may be older than what was written last.
    static func with<Output>(
        _ options: Options, mayMake: Bool, isRestored: Bool = false, _ body: (OfflineStore) async throws -> Output
    ) async throws -> Output {
        let settings = try options.settings()
        let environment = Environment.live
        let database: any SQLDatabase
        do throws(StoreError) {
            switch settings.storage {
            case .sqlite(let path):
                if !mayMake, Files.version(path) == nil { throw StoreError.unusable("there is no database \(path)") }
                Files.makeFolder(of: path)
                database = try SQLiteDatabase(path: path, isRestored: isRestored, uptime: environment.uptime)
            case .postgres(let uri):
                database = try PostgresDatabase(PostgresServers(PostgresLocation(uri), uptime: environment.uptime), connections: 1)
            }
        } catch { throw UsageError(error.sentence) }
        let store = SQLStore(database: database, environment: environment) { _ in }
        do {
            let output = try await body(OfflineStore(settings: settings, store: store, database: database))
            await database.close()
            return output
        } catch {
            await database.close()
            throw (error as? StoreError).map { UsageError($0.sentence) } ?? error
        }
    }
}

/// `gatehouse migrate`: what `serve` does at its start, before it.
enum MigrateCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        let options = try Options(arguments, flags: ["--dry-run"])
        let isDry = options.has("--dry-run")
        return try await OfflineStore.with(options, mayMake: !isDry) { offline in
            let steps = isDry ? try await offline.store.pendingMigrations() : try await offline.store.prepare()
            for step in steps {
                Terminal.out("\(isDry ? "pending" : "applied") \(step.number) \(step.name)")
                if !isDry { continue }
                for statement in step.statements {
                    Terminal.out("    " + statement.split(whereSeparator: \.isWhitespace).joined(separator: " ") + ";")
                }
            }
            let number = try await offline.store.schemaNumber()
            if number > Schema.newest {
                Terminal.out("the store has schema \(number), of a newer gatehouse; this one knows \(Schema.newest) and can use it")
            } else {
                Terminal.out("the store has schema \(number)\(steps.isEmpty ? "; nothing to do" : "")")
            }
            return 0
        }
    }
}

/// `gatehouse restored`: after a backup was put in the place of the database.
enum RestoredCommand {
    static let usage = "[--yes]"

    static func run(_ arguments: [String]) async throws -> Int32 {
        let options = try Options(arguments, flags: ["--yes"])
        guard options.has("--yes") else {
            Terminal.out(
                """
                The database does not know what was revoked after the backup was made. This ends every session and every grant that it
                has, and revokes every signing key, so that nothing that was revoked is good again: everybody signs in anew. What else
                changed after the backup (passwords, accounts, roles, clients, routes) is as it was then; look at that yourself.
                Nothing was changed. To do it: gatehouse restored --yes
                """)
            return 2
        }
        return try await OfflineStore.with(options, mayMake: false, isRestored: true) { offline in
            try await offline.store.prepare()
            let environment = Environment.live
            let event = AuditEvent(
                .storeRollback, at: environment.now(), source: "operator", reason: "restored", traceID: TraceID(environment).description)
            let ended = try await offline.store.endEverything(event: event)
            Terminal.out("revoked \(ended.keys) signing keys, ended \(ended.sessions) sessions and \(ended.grants) grants")
            return 0
        }
    }
}

/// `gatehouse export FILE`
enum ExportCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        let options = try Options(arguments, operands: 1)
        guard let path = options.operands.first else { throw UsageError("name the file that is to be made") }
        return try await OfflineStore.with(options, mayMake: false) { offline in
            let rows = try await export(offline.store, to: path, environment: .live)
            Terminal.out("exported \(rows) rows to \(path)")
            Terminal.out("It holds password hashes and sealed keys; keep it as you keep the database. The master key is not in it.")
            return 0
        }
    }

    /// - Returns: How many rows the file has.
    static func export(_ store: SQLStore, to path: String, environment: Environment) async throws -> Int64 {
        let writer = try ExportWriter(path)
        do {
            try await store.export { (identity) throws(StoreError) in
                try writer.begin(ExportFile.header(identity.id, at: environment.now()))
            } row: { (table, values) throws(StoreError) in
                try writer.row(table, values)
            }
            return try writer.finish()
        } catch {
            writer.discard()
            throw error
        }
    }
}

/// `gatehouse import FILE`
enum ImportCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        let options = try Options(arguments, operands: 1)
        guard let path = options.operands.first else { throw UsageError("name the file that `gatehouse export` made") }
        let reader = ExportReader(path: path)
        let summary: ExportReader.Summary
        do { summary = try reader.read() } catch StoreError.unusable(let text) { throw UsageError("\(text). Nothing was changed") }
        try checkKeys(try options.settings().masterKeys, summary)
        return try await OfflineStore.with(options, mayMake: true) { offline in
            try await run(reader, summary, into: offline.store)
            Terminal.out("imported \(summary.rows) rows of the store \(summary.store), exported at \(summary.exportedAt)")
            return 0
        }
    }

    static func run(_ reader: ExportReader, _ summary: ExportReader.Summary, into store: SQLStore) async throws(StoreError) {
        try await store.requireFreshOrNew()
        try await store.prepare()
        try await store.importRows { (put) throws(StoreError) in
            guard try reader.read(put) == summary else { throw StoreError.unusable("\(reader.path) was changed while it was read") }
        }
    }

    /// The store will only work with the key that its own were sealed with.
    static func checkKeys(_ setting: ServerSettings.MasterKeys, _ summary: ExportReader.Summary) throws(UsageError) {
        guard let check = summary.masterKeyCheck else { return }
        switch setting {
        case .makeOnFirstStart(let path):
            throw UsageError(
                "the master key \(path) is missing: put the key of the store that was exported there first. Nothing was changed")
        case .keys(let secrets):
            // A key that is no key made nothing.
            guard let keys = try? MasterKeys(secrets), keys.made(check: check, of: summary.store) else {
                throw UsageError("the export is of a store with another master key than the one in master_keys. Nothing was changed")
            }
        }
    }
}
