package import AuthCore
package import Store

/// A value in SQL: 64-bit integers, text without NUL, bytes.
package enum SQLValue: Sendable, Equatable {
    case null
    case int(Int64)
    case text(String)
    case blob([UInt8])
}

/// One row of an answer; columns by their place in the `SELECT`.
package struct SQLRow: Sendable {
    package let values: [SQLValue]

    package init(_ values: [SQLValue]) { self.values = values }

    package func int(_ column: Int) throws(StoreError) -> Int64 {
        if case .int(let value) = values[column] { return value }
        throw .corrupt("column \(column) is no integer")
    }

    package func text(_ column: Int) throws(StoreError) -> String {
        if case .text(let value) = values[column] { return value }
        throw .corrupt("column \(column) is no text")
    }

    package func blob(_ column: Int) throws(StoreError) -> [UInt8] {
        if case .blob(let value) = values[column] { return value }
        throw .corrupt("column \(column) is no blob")
    }

    package func optionalInt(_ column: Int) throws(StoreError) -> Int64? { values[column] == .null ? nil : try int(column) }
    package func optionalText(_ column: Int) throws(StoreError) -> String? { values[column] == .null ? nil : try text(column) }
    package func instant(_ column: Int) throws(StoreError) -> Instant { Instant(milliseconds: try int(column)) }
    package func optionalInstant(_ column: Int) throws(StoreError) -> Instant? { try optionalInt(column).map(Instant.init(milliseconds:)) }
    package func identifier(_ column: Int) throws(StoreError) -> Identifier { Identifier(try text(column)) }
    /// Some of the columns as a row of their own; nothing when the first is NULL, as where an outer join found nothing.
    package func part(from first: Int, count: Int) -> SQLRow? {
        values[first] == .null ? nil : SQLRow(Array(values[first..<first + count]))
    }
    package func flag(_ column: Int) throws(StoreError) -> Bool { try int(column) != 0 }
}

/// What a driver does: run one statement. Confined to the thread that runs the transaction.
package protocol SQLConnection {
    /// Runs a statement that answers rows. Arguments are bound to `?1`, `?2`, ….
    func query(_ sql: String, _ arguments: [SQLValue]) throws(StoreError) -> [SQLRow]
    /// Runs a statement and says how many rows it changed.
    @discardableResult
    func execute(_ sql: String, _ arguments: [SQLValue]) throws(StoreError) -> Int
}

/// What the dialects truly differ in.
package struct SQLDialect: Sendable {
    /// Behind a `SELECT` whose rows the transaction will decide by: ` FOR UPDATE`, or nothing where one writer is the rule.
    package let lockingClause: String
    /// Behind the inner `SELECT` of a clean-up: rows that another transaction cleans away at this moment are left to it.
    package let skipLockedClause: String
    package let bytesType: String
    package let textType: String
    /// A primary key that counts up by itself.
    package let serialKey: String
    /// The epoch of the log of revocations, over the columns of `feed`: another value where the history may be another one.
    package let feedEpoch: String
    /// Asks for the right to make or change the schema until the end of the transaction, where several programs may try at once. Answers
    /// at once whether it was given.
    package let migrationLock: String?
    /// Run behind that lock: bounds how long a statement of a migration waits for a lock, because whoever comes later waits behind it.
    package let migrationLimits: String?
    /// Run between two tries of a migration, where one may have to wait for others: waits a moment.
    package let pause: String?
    /// Answers the tables of the store and their columns, in order.
    package let columns: String
    /// Makes the numbers that a table gives by itself go on behind the highest that it has; nothing where they do so anyway.
    package let continueSerial: @Sendable (_ table: String, _ column: String) -> String?
    /// Run in each transaction that revokes or changes what other nodes hold: tells them, after the commit, to look.
    package let wake: String?
    /// The database's own clock, as it is at that moment: milliseconds since 1970.
    package let databaseTime: String
    /// Behind `ALTER TABLE name`: leaves room in each page for new versions of its rows, where a database keeps those.
    package let updateRoom: String?

    package init(
        lockingClause: String, skipLockedClause: String, bytesType: String, textType: String, serialKey: String, feedEpoch: String,
        migrationLock: String?, migrationLimits: String?, pause: String?, columns: String,
        continueSerial: @escaping @Sendable (_ table: String, _ column: String) -> String?, wake: String?, databaseTime: String,
        updateRoom: String? = nil
    ) {
        self.lockingClause = lockingClause
        self.skipLockedClause = skipLockedClause
        self.bytesType = bytesType
        self.textType = textType
        self.serialKey = serialKey
        self.feedEpoch = feedEpoch
        self.migrationLock = migrationLock
        self.migrationLimits = migrationLimits
        self.pause = pause
        self.columns = columns
        self.continueSerial = continueSerial
        self.wake = wake
        self.databaseTime = databaseTime
        self.updateRoom = updateRoom
    }
}

extension SQLDialect {
    /// `lockingClause` for the rows of one table of a join.
    func locking(_ table: String) -> String { lockingClause.isEmpty ? "" : "\(lockingClause) OF \(table)" }
}

/// Column names with the table's name before each.
func qualified(_ columns: String, _ table: String) -> String {
    columns.split(separator: ",").map { "\(table)." + $0.drop(while: \.isWhitespace) }.joined(separator: ", ")
}

/// A database: transactions are synchronous closures on a thread that owns its connection, so nothing can suspend
/// inside one. A closure has no effect outside the database and may run again.
package protocol SQLDatabase: Sendable {
    var dialect: SQLDialect { get }

    /// Runs `body` in a transaction of its own outcome. When this returns, what it wrote is durable.
    ///
    /// - Parameter committed: Called once after the commit and before this returns; in commit order where one connection writes.
    func write<Output: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws(StoreError) -> Output,
        committed: @escaping @Sendable (Output) -> Void
    ) async throws(StoreError) -> Output

    func read<Output: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws(StoreError) -> Output) async throws(StoreError)
        -> Output

    /// Runs one statement that reads: what `read` does with a single one, where that costs less without a transaction.
    func query(_ sql: String, _ arguments: [SQLValue]) async throws(StoreError) -> [SQLRow]

    /// Finishes what waits and lets go of everything. Called once, last.
    func close() async

    #if Faults
    /// Called before each statement of a writer; what it throws is what the statement failed with.
    func setFault(_ fault: (@Sendable (String) throws(StoreError) -> Void)?)
    #endif
}

extension SQLDatabase {
    package func query(_ sql: String, _ arguments: [SQLValue]) async throws(StoreError) -> [SQLRow] {
        try await read { (connection: any SQLConnection) throws(StoreError) in try connection.query(sql, arguments) }
    }
}
