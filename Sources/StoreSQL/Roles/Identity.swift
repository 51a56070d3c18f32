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
    package func prepare() async throws(StoreError) {
        let (now, id, epoch, uid) = (environment.now(), newIdentifier(), newIdentifier(), newIdentifier())
        let (dialect, start) = (database.dialect, environment.uptime())
        try await write { [self] (transaction) throws(StoreError) in
            try awaitMigration(transaction, since: start)
            try Schema.migrate(transaction.connection, dialect: dialect, now: now.milliseconds)
            try transaction.execute(
                "INSERT INTO meta (name, value) VALUES ('store_id', ?1) ON CONFLICT (name) DO NOTHING",
                .blob(Array(id.text.utf8))
            )
            try transaction.execute("INSERT INTO feed (id, epoch, sequence) VALUES (1, ?1, 0) ON CONFLICT (id) DO NOTHING", .id(epoch))
            var builtIn = ClientDefinition(id: Client.builtInID)
            builtIn.isPublic = true
            builtIn.grants = [.login, .refreshToken]
            try transaction.execute(
                """
                INSERT INTO clients (id, uid, definition, secrets, disabled, deleted, epoch, managed_by)
                VALUES (?1, ?2, ?3, '[]', 0, 0, 1, 'built_in') ON CONFLICT (id) DO NOTHING
                """,
                .id(builtIn.id), .id(uid), .text(String(decoding: ResourceJSON.encode(builtIn).encoded, as: UTF8.self))
            )
        }
    }

    package func identity() async throws(StoreError) -> StoreIdentity {
        try await read { (transaction) throws(StoreError) in
            var identity = StoreIdentity(id: "", masterKeyCheck: nil)
            for row in try transaction.query("SELECT name, value FROM meta WHERE name IN ('store_id', 'master_check')") {
                let value = try row.blob(1)
                if try row.text(0) == "store_id" {
                    identity.id = Identifier(String(decoding: value, as: UTF8.self))
                } else {
                    identity.masterKeyCheck = value
                }
            }
            if identity.id == "" { throw .corrupt("the store has no id") }
            return identity
        }
    }

    package func claim(masterKeyCheck: [UInt8]) async throws(StoreError) {
        try await write { (transaction) throws(StoreError) in
            try transaction.execute(
                "INSERT INTO meta (name, value) VALUES ('master_check', ?1) ON CONFLICT (name) DO NOTHING",
                .blob(masterKeyCheck)
            )
        }
    }

    package func probe() async throws(StoreError) {
        try await write { (transaction) throws(StoreError) in
            // Writes the row as it is: proves that the database takes writes, and changes nothing.
            try transaction.execute("UPDATE feed SET sequence = sequence WHERE id = 1")
        }
    }
}
