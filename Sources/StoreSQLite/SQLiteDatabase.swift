package import AuthCore
internal import Dispatch
internal import GRDB
internal import GRDBSQLite
package import Store
package import StoreSQL
internal import Synchronization

/// SQLite through GRDB: WAL, `synchronous = FULL`, one writer, readers beside it.
///
/// Writers that wait are committed together: one fsync for up to `batchMax` of them, each in a savepoint of its own, so
/// each learns its own outcome. A caller is answered after the commit. When the commit fails, or SQLite gives the whole
/// transaction up (disk full, I/O error), every caller of the batch fails and nothing was written.
package final class SQLiteDatabase: SQLDatabase {
    package let dialect = SQLDialect(
        lockingClause: "", skipLockedClause: "", bytesType: "BLOB", textType: "TEXT", serialKey: "INTEGER PRIMARY KEY AUTOINCREMENT",
        feedEpoch: "epoch", migrationLock: nil, migrationLimits: nil, pause: nil,
        // Without the tables of SQLite itself and the one of this driver.
        columns: """
            SELECT tables.name, columns.name FROM sqlite_master AS tables JOIN pragma_table_info(tables.name) AS columns
            WHERE tables.type = 'table' AND substr(tables.name, 1, 7) NOT IN ('sqlite_', 'driver_') ORDER BY tables.name, columns.cid
            """,
        continueSerial: { _, _ in nil }, wake: nil,
        databaseTime: "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
    )

    /// The most writers that share a commit.
    static let batchMax = 64
    /// How long one batch goes on taking writers that are already waiting.
    static let batchTimeMax = Duration.milliseconds(10)
    /// The most writers that may wait; one more is `StoreError.overloaded`.
    static let waitingMax = 4_096
    /// How many pages the log may have before they are moved into the database; SQLite's own number.
    static let logPagesMax: Int32 = 1_000
    /// The most readers at once.
    static let readersMax = 4

    private struct Queue {
        var waiting: [any WriteJob] = []
        var isDraining = false
        var isClosed = false
    }

    private let pool: DatabasePool
    private let lock: DatabaseLock
    private let mark: CommitMark
    private let logPages = LogPages()
    private let uptime: @Sendable () -> Uptime
    private let queue = Mutex(Queue())
    private let writer = DispatchQueue(label: "gatehouse.store.writer")
    private let readers = DispatchQueue(label: "gatehouse.store.readers", attributes: .concurrent)
    private let readersGate = DispatchSemaphore(value: SQLiteDatabase.readersMax)
    #if Faults
    /// Called before each statement of a writer; what it throws is what the statement failed with.
    private let faults = Mutex<(@Sendable (String) throws(StoreError) -> Void)?>(nil)

    package func setFault(_ fault: (@Sendable (String) throws(StoreError) -> Void)?) { faults.withLock { $0 = fault } }
    #endif

    /// Opens the file, or makes it where there is none.
    ///
    /// - Parameter isRestored: The operator says that the file is an older one on purpose: that it is behind what was written last is no
    ///   damage.
    /// - Throws: `.unusable` when another process holds the file, when it is damaged, truncated or not ours. A damaged
    ///   database is never replaced by an empty one.
    package init(path: String, isRestored: Bool = false, uptime: @escaping @Sendable () -> Uptime) throws(StoreError) {
        self.uptime = uptime
        self.lock = try DatabaseLock(path: path + ".lock")
        try DatabaseFile.check(path: path)
        do {
            var configuration = GRDB.Configuration()
            configuration.busyMode = .timeout(5)
            configuration.maximumReaderCount = SQLiteDatabase.readersMax
            configuration.label = "gatehouse"
            try DatabaseFile.make(path: path)
            try DatabaseFile.verify(path: path, mark: isRestored ? nil : try CommitMark.read(path: path))
            mark = try CommitMark.open(path: path)
            pool = try DatabasePool(path: path, configuration: configuration)
            // DatabasePool turns on WAL with synchronous = NORMAL, after prepareDatabase: FULL is set where it stays.
            try pool.writeWithoutTransaction { database in
                try database.execute(sql: "PRAGMA synchronous = FULL")
                if try !CommitMark.isCounted(in: database) {
                    try database.inTransaction {
                        try CommitMark.create(in: database)
                        return .commit
                    }
                }
                // In the place of SQLite's automatic checkpoints: see `moveLog`.
                logPages.follow(database)
            }
        } catch {
            throw SQLiteDatabase.unusable(path, error)
        }
    }

    /// What `PRAGMA synchronous` says on the writer; 2 is FULL.
    package func synchronousLevel() async throws(StoreError) -> Int64 {
        try await write(
            { (connection: any SQLConnection) throws(StoreError) in try connection.query("PRAGMA synchronous", [])[0].int(0) },
            committed: { _ in })
    }

    package func write<Output: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws(StoreError) -> Output,
        committed: @escaping @Sendable (Output) -> Void
    ) async throws(StoreError) -> Output {
        let result: Result<Output, StoreError> = await withCheckedContinuation { continuation in
            let job = WriteJobOf(body: body, committed: committed, continuation: continuation)
            let (accepted, starts) = queue.withLock { queue in
                if queue.isClosed || queue.waiting.count >= SQLiteDatabase.waitingMax { return (false, false) }
                queue.waiting.append(job)
                let starts = !queue.isDraining
                queue.isDraining = true
                return (true, starts)
            }
            if !accepted { continuation.resume(returning: .failure(.overloaded)) }
            if starts { writer.async { self.drain() } }
        }
        return try result.get()
    }

    package func read<Output: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws(StoreError) -> Output
    ) async throws(StoreError) -> Output {
        let result: Result<Output, StoreError> = await withCheckedContinuation { continuation in
            readers.async { [pool, readersGate] in
                readersGate.wait()
                defer { readersGate.signal() }
                let result = Result { () throws(StoreError) in
                    do {
                        return try pool.read { try body(SQLiteConnection(database: $0)) }
                    } catch {
                        throw SQLiteConnection.storeError(error)
                    }
                }
                continuation.resume(returning: result)
            }
        }
        return try result.get()
    }

    /// Finishes what waits, moves the WAL into the database and closes it.
    package func close() async {
        queue.withLock { $0.isClosed = true }
        await withCheckedContinuation { continuation in
            writer.async { [pool, lock, mark] in
                // The pool closes its writer before its readers, and SQLite then leaves the WAL. What is not moved now, on a disk
                // that is full or broken, is read at the next start.
                _ = try? pool.barrierWriteWithoutTransaction { try $0.checkpoint(.truncate) }
                try? pool.close()  // as above
                mark.close()
                lock.release()
                continuation.resume()
            }
        }
    }

    /// On the writer's queue: batch after batch until nobody waits.
    private func drain() {
        while true {
            let batch: [any WriteJob] = queue.withLock { queue in
                let batch = Array(queue.waiting.prefix(SQLiteDatabase.batchMax))
                queue.waiting.removeFirst(batch.count)
                if batch.isEmpty { queue.isDraining = false }
                return batch
            }
            if batch.isEmpty { return }
            let left = run(batch)
            if !left.isEmpty { queue.withLock { $0.waiting.insert(contentsOf: left, at: 0) } }
        }
    }

    /// - Returns: The jobs that the time of the batch did not reach.
    private func run(_ batch: [any WriteJob]) -> ArraySlice<any WriteJob> {
        var reached = 0
        do {
            try pool.writeWithoutTransaction { database in
                #if Faults
                let connection = SQLiteConnection(database: database, fault: faults.withLock { $0 })
                #else
                let connection = SQLiteConnection(database: database)
                #endif
                try database.cachedStatement(sql: "BEGIN IMMEDIATE").execute()
                do {
                    let started = uptime()
                    for job in batch {
                        try runInSavepoint(job, on: connection, database)
                        reached += 1
                        if uptime() - started > SQLiteDatabase.batchTimeMax { break }
                    }
                    let commit = try CommitMark.advance(in: database)
                    failpoint("store.before_commit")
                    try database.cachedStatement(sql: "COMMIT").execute()
                    mark.write(commit)
                    failpoint("store.after_commit")
                } catch {
                    // The connection must not stay inside the transaction; SQLite may have rolled it back already.
                    if database.isInsideTransaction { try? database.execute(sql: "ROLLBACK") }
                    throw error
                }
            }
            for job in batch[..<reached] { job.succeed() }
            if logPages.count >= SQLiteDatabase.logPagesMax { moveLog() }
            return batch[reached...]
        } catch {
            let failure = SQLiteConnection.storeError(error)
            for job in batch { job.fail(failure) }
            return []
        }
    }

    /// Moves the log into the database while nobody reads.
    ///
    /// SQLite syncs the database only at the end of a checkpoint that reached the end of the log. One that a reader holds up
    /// leaves pages that count as moved and are not durable; when the sync after it fails, Linux forgets that they were never
    /// written, the next sync succeeds, the log is begun anew, and a power cut leaves a malformed database. A checkpoint beside
    /// no reader is whole: it fails whole too, and the next one writes everything again. Nothing is lost until then.
    private func moveLog() {
        // On a disk that is full or broken the log goes on growing, and the next commit tries again.
        _ = try? pool.barrierWriteWithoutTransaction { try $0.checkpoint(.passive) }
    }

    private func runInSavepoint(_ job: any WriteJob, on connection: SQLiteConnection, _ database: Database) throws {
        try database.cachedStatement(sql: "SAVEPOINT job").execute()
        job.run(on: connection)
        // Disk full and I/O errors undo the whole transaction, not the savepoint alone.
        guard database.isInsideTransaction else { throw job.failure ?? StoreError.unavailable("the transaction was rolled back") }
        if job.failure != nil { try database.cachedStatement(sql: "ROLLBACK TO job").execute() }
        try database.cachedStatement(sql: "RELEASE job").execute()
    }

    private static func unusable(_ path: String, _ error: any Error) -> StoreError {
        if let error = error as? StoreError { return error }
        return .unusable("\(path): \(error)")
    }
}

/// How many pages the log has after the last commit.
private final class LogPages: @unchecked Sendable {
    // Confined to the writer's queue, where its connection commits.
    private(set) var count: Int32 = 0

    /// The connection must not commit after this object is gone.
    func follow(_ database: Database) {
        _ = sqlite3_wal_hook(
            database.sqliteConnection,
            { context, _, _, pages in
                if let context { Unmanaged<LogPages>.fromOpaque(context).takeUnretainedValue().count = pages }
                return SQLITE_OK
            },
            Unmanaged.passUnretained(self).toOpaque()
        )
    }
}

/// A caller that waits for its write.
private protocol WriteJob: AnyObject, Sendable {
    var failure: StoreError? { get }
    func run(on connection: SQLiteConnection)
    func succeed()
    func fail(_ error: StoreError)
}

// Confined to the writer's queue once it was put there.
private final class WriteJobOf<Output: Sendable>: WriteJob, @unchecked Sendable {
    private let body: @Sendable (any SQLConnection) throws(StoreError) -> Output
    private let committed: @Sendable (Output) -> Void
    private let continuation: CheckedContinuation<Result<Output, StoreError>, Never>
    private var result: Result<Output, StoreError>?

    init(
        body: @escaping @Sendable (any SQLConnection) throws(StoreError) -> Output,
        committed: @escaping @Sendable (Output) -> Void,
        continuation: CheckedContinuation<Result<Output, StoreError>, Never>
    ) {
        self.body = body
        self.committed = committed
        self.continuation = continuation
    }

    var failure: StoreError? { if case .failure(let error) = result { error } else { nil } }

    func run(on connection: SQLiteConnection) {
        result = Result { () throws(StoreError) in try body(connection) }
    }

    func succeed() {
        guard let result else { return fail(.unavailable("the write did not run")) }
        if case .success(let output) = result { committed(output) }
        continuation.resume(returning: result)
    }

    func fail(_ error: StoreError) { continuation.resume(returning: .failure(failure ?? error)) }
}
