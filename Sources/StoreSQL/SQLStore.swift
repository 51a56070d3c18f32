package import AuthCore
package import Store

/// How long things are kept; the parts of the settings that the store needs.
package struct StoreLimits: Sendable {
    /// Added to the expiry of the last token when a revocation is kept: leeway and clock bound.
    package var revocationMargin: Duration
    package var auditKeep: Duration
    /// The most rows of the audit table, whatever their age.
    package var auditRowsMax: Int64
    /// How long one call goes on ending the grants of a client that has more than a transaction should touch.
    package var endingTimeMax: Duration

    package init(
        revocationMargin: Duration = .seconds(120), auditKeep: Duration = .seconds(90 * 86_400), auditRowsMax: Int64 = 1_000_000,
        endingTimeMax: Duration = .seconds(2)
    ) {
        self.endingTimeMax = endingTimeMax
        self.revocationMargin = revocationMargin
        self.auditKeep = auditKeep
        self.auditRowsMax = auditRowsMax
    }
}

/// Every role of `Store`, in the SQL that SQLite and PostgreSQL share.
package final class SQLStore: Store {
    package let database: any SQLDatabase
    let environment: Environment
    let limits: StoreLimits
    /// Told of each transaction's revocations after its commit and before the caller is answered. Where several connections write, two
    /// commits may be told in either order.
    let onRevocations: @Sendable (FeedBatch) -> Void
    /// Told of the resources after each commit that changed them and before the caller is answered: nothing is issued from older ones to
    /// whoever read what that commit wrote. Two commits may be told in either order; the number says which is newer.
    let onResources: @Sendable (StoredResources) -> Void

    /// Every step of the schema that this program knows, in order.
    let migrations: [Migration]

    package convenience init(
        database: any SQLDatabase,
        environment: Environment,
        limits: StoreLimits = StoreLimits(),
        onResources: @escaping @Sendable (StoredResources) -> Void = { _ in },
        onRevocations: @escaping @Sendable (FeedBatch) -> Void
    ) {
        self.init(
            database: database, environment: environment, limits: limits, migrations: Schema.migrations, onResources: onResources,
            onRevocations: onRevocations)
    }

    /// - Parameter migrations: Other ones are for tests: the program of another release.
    init(
        database: any SQLDatabase, environment: Environment, limits: StoreLimits, migrations: [Migration],
        onResources: @escaping @Sendable (StoredResources) -> Void, onRevocations: @escaping @Sendable (FeedBatch) -> Void
    ) {
        self.database = database
        self.environment = environment
        self.limits = limits
        self.migrations = migrations
        self.onRevocations = onRevocations
        self.onResources = onResources
    }

    /// The most rows that one ordinary write cleans away beside its own work.
    static let cleanupBatch: Int64 = 8
    /// The most grants of a client that one transaction ends.
    static let grantsAtOnce = 5_000

    /// Runs a transaction that may revoke: its entries get their positions as its last statements.
    @discardableResult
    func write<Output: Sendable>(
        committed: @escaping @Sendable (Output) -> Void = { _ in },
        _ body: @escaping @Sendable (SQLTransaction) throws(StoreError) -> Output
    ) async throws(StoreError) -> Output {
        let (dialect, onRevocations) = (database.dialect, onRevocations)
        let written = try await database.write(
            { (connection: any SQLConnection) throws(StoreError) -> (Output, FeedBatch?) in
                let transaction = SQLTransaction(connection: connection, dialect: dialect)
                let output = try body(transaction)
                return (output, try transaction.appendRevocations())
            },
            committed: { written in
                if let batch = written.1 { onRevocations(batch) }
                committed(written.0)
            }
        )
        return written.0
    }

    func read<Output: Sendable>(_ body: @escaping @Sendable (SQLTransaction) throws(StoreError) -> Output) async throws(StoreError)
        -> Output
    {
        let dialect = database.dialect
        return try await database.read { (connection: any SQLConnection) throws(StoreError) -> Output in
            try body(SQLTransaction(connection: connection, dialect: dialect))
        }
    }

    /// A random identifier of 128 bits.
    func newIdentifier() -> Identifier { Identifier(Base64URL.encode(environment.randomBytes(16))) }
}

/// One transaction: the connection, and what it will append to the log of revocations. Confined to its thread.
final class SQLTransaction {
    let connection: any SQLConnection
    let dialect: SQLDialect
    private var revocations: [RevocationRecord] = []

    init(connection: any SQLConnection, dialect: SQLDialect) {
        self.connection = connection
        self.dialect = dialect
    }

    func query(_ sql: String, _ arguments: SQLValue...) throws(StoreError) -> [SQLRow] { try connection.query(sql, arguments) }

    @discardableResult
    func execute(_ sql: String, _ arguments: SQLValue...) throws(StoreError) -> Int { try connection.execute(sql, arguments) }

    func revoke(_ record: RevocationRecord) { revocations.append(record) }

    /// Takes the positions from the one-row counter and writes the entries: the last statements of the transaction.
    func appendRevocations() throws(StoreError) -> FeedBatch? {
        guard !revocations.isEmpty else { return nil }
        let rows = try query(
            "UPDATE feed SET sequence = sequence + ?1 WHERE id = 1 RETURNING \(dialect.feedEpoch), sequence",
            .int(Int64(revocations.count))
        )
        guard let row = rows.first else { throw .corrupt("the feed has no row") }
        let last = try row.int(1)
        var sequence = last - Int64(revocations.count)
        for record in revocations {
            sequence += 1
            try execute(
                "INSERT INTO revocations (sequence, kind, subject, epoch, until_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
                .int(sequence), .text(record.kind.rawValue), .text(record.id.text), record.epoch.map(SQLValue.int) ?? .null,
                .int(record.until.milliseconds)
            )
        }
        if let wake = dialect.wake { _ = try query(wake) }
        return FeedBatch(position: FeedPosition(epoch: try row.text(0), sequence: last), records: revocations)
    }
}

extension SQLValue {
    static func time(_ instant: Instant) -> SQLValue { .int(instant.milliseconds) }
    static func time(_ instant: Instant?) -> SQLValue { instant.map { .int($0.milliseconds) } ?? .null }
    static func id(_ identifier: Identifier) -> SQLValue { .text(identifier.text) }
    static func id(_ identifier: Identifier?) -> SQLValue { identifier.map { .text($0.text) } ?? .null }
    static func text(_ text: String?) -> SQLValue { text.map { .text($0) } ?? .null }
    static func flag(_ flag: Bool) -> SQLValue { .int(flag ? 1 : 0) }

    /// A list of names as JSON.
    static func list(_ names: some Sequence<String>) -> SQLValue {
        var writer = JSONWriter()
        writer.array { for name in names { $0.value(name) } }
        return .text(writer.text)
    }
}

extension SQLRow {
    func list(_ column: Int) throws(StoreError) -> [String] {
        let text = try text(column)
        guard let value = (try? JSONReader.read(text)), let names = value.strings else {  // the error below says which column
            throw .corrupt("column \(column) is no list")
        }
        return names
    }

    func identifiers(_ column: Int) throws(StoreError) -> [Identifier] { try list(column).map { Identifier($0) } }

    func scope(_ column: Int) throws(StoreError) -> ScopeSet {
        guard let scope = ScopeSet(parsing: try text(column)) else { throw .corrupt("column \(column) is no scope") }
        return scope
    }
}
