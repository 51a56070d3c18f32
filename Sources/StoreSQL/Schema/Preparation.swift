internal import AuthCore
package import Store

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

extension SQLStore {
    /// How often a migration is begun that does not get its locks in time, with a pause before each further try.
    private static let migrationTriesMax = 40

    /// How long a program waits while another one makes or changes the schema.
    package static let migrationWaitMax = Duration.seconds(60)

    /// Waits for the right to change the schema. By asking again and again: a statement that waits is ended by the server long before
    /// another program's migration is.
    private func awaitMigration(_ transaction: SQLTransaction, since start: Uptime) throws(StoreError) {
        guard let lock = database.dialect.migrationLock else { return }
        while try transaction.query(lock).first?.flag(0) != true {
            guard environment.uptime() - start < SQLStore.migrationWaitMax else {
                throw .unavailable("another program has been changing the schema for \(SQLStore.migrationWaitMax.wholeSeconds) seconds")
            }
            _ = poll(nil, 0, 100)
        }
    }

    /// Brings schema and first rows into being. Called once, before anything else.
    ///
    /// A new store gets every migration in one transaction; one that is in use gets them one by one, so that each holds its locks for a
    /// moment only.
    ///
    /// - Returns: The migrations that it applied.
    /// - Throws: `.unusable` when the store is too new for this program. `.unavailable` when another transaction held what a migration
    ///   needs the whole time; those before it stay applied.
    @discardableResult
    package func prepare() async throws(StoreError) -> [MigrationStep] {
        var applied: [MigrationStep] = []
        var triesLeft = SQLStore.migrationTriesMax
        let start = environment.uptime()
        while true {
            do throws(StoreError) {
                let (steps, isComplete) = try await prepareOnce(since: start)
                applied += steps
                if isComplete { return applied }
                triesLeft = SQLStore.migrationTriesMax
            } catch {
                guard case .unavailable = error, let pause = database.dialect.pause, triesLeft > 1 else { throw error }
                triesLeft -= 1
                // Ends the tries at once where nothing answers any more.
                try await database.read { (connection) throws(StoreError) in _ = try connection.query(pause, []) }
            }
        }
    }

    /// The migrations that `prepare` would apply; nothing is written.
    package func pendingMigrations() async throws(StoreError) -> [MigrationStep] {
        let (dialect, migrations) = (database.dialect, migrations)
        return try await database.read { (connection) throws(StoreError) in
            try SchemaState(connection, dialect, migrations).pending.map { $0.step(dialect) }
        }
    }

    /// The newest migration that the store has; 0 when it is new.
    package func schemaNumber() async throws(StoreError) -> Int64 {
        let (dialect, migrations) = (database.dialect, migrations)
        return try await database.read { (connection) throws(StoreError) in try SchemaState(connection, dialect, migrations).done }
    }

    /// One transaction of it, and whether it was the last one.
    private func prepareOnce(since start: Uptime) async throws(StoreError) -> (steps: [MigrationStep], isComplete: Bool) {
        let (now, id, epoch, uid) = (environment.now(), newIdentifier(), newIdentifier(), newIdentifier())
        let (dialect, migrations) = (database.dialect, migrations)
        return try await write { [self] (transaction) throws(StoreError) in
            try awaitMigration(transaction, since: start)
            if let limits = dialect.migrationLimits { try transaction.execute(limits) }
            let connection = transaction.connection
            let state = try SchemaState(connection, dialect, migrations)
            try state.prepareTable(connection, dialect)
            let now = now.milliseconds
            let next = state.done == 0 ? state.pending[...] : state.pending.prefix(1)
            for migration in next { try state.apply(migration, of: migrations, connection, dialect, now: now) }
            let isComplete = next.count == state.pending.count
            if isComplete { try transaction.insertFirstRows(id: id, epoch: epoch, uid: uid) }
            return (next.map { $0.step(dialect) }, isComplete)
        }
    }
}

extension Migration {
    fileprivate func step(_ dialect: SQLDialect) -> MigrationStep {
        MigrationStep(number: number, name: name, statements: statements(dialect))
    }
}

extension SQLTransaction {
    fileprivate func insertFirstRows(id: Identifier, epoch: Identifier, uid: Identifier) throws(StoreError) {
        try execute(
            "INSERT INTO meta (name, value) VALUES ('store_id', ?1) ON CONFLICT (name) DO NOTHING",
            .blob(Array(id.text.utf8))
        )
        try execute("INSERT INTO feed (id, epoch, sequence) VALUES (1, ?1, 0) ON CONFLICT (id) DO NOTHING", .id(epoch))
        var builtIn = ClientDefinition(id: Client.builtInID)
        builtIn.isPublic = true
        builtIn.grants = [.login, .refreshToken]
        try execute(
            """
            INSERT INTO clients (id, uid, definition, secrets, disabled, deleted, epoch, managed_by)
            VALUES (?1, ?2, ?3, '[]', 0, 0, 1, 'built_in') ON CONFLICT (id) DO NOTHING
            """,
            .id(builtIn.id), .id(uid), .text(String(decoding: ResourceJSON.encode(builtIn).encoded, as: UTF8.self))
        )
    }
}
