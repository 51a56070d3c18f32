internal import GRDB
internal import Store
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// The number of the last commit, kept twice: in the database, and in a small file beside it that is written after each commit.
///
/// SQLite takes a write-ahead log that is cut off, damaged or gone for one that ends earlier, and opens the older state without
/// a word: what was revoked would be in force again. A database that is behind the file is refused instead. The file is not
/// synced, so after a power cut it may be older than the database, which says nothing, and never newer.
final class CommitMark: Sendable {
    struct Value: Equatable, Sendable {
        /// Random, made with the database: another database, or another's log, does not pass for this one.
        let database: Int64
        let number: Int64
    }

    static let suffix = ".commits"

    private let descriptor: Mutex<Int32>

    private init(descriptor: Int32) { self.descriptor = Mutex(descriptor) }

    /// - Returns: Nothing when there is no file, or one that was never written.
    static func read(path: String) throws(StoreError) -> Value? {
        guard let file = fopen(path + suffix, "r") else {
            if errno == ENOENT { return nil }
            throw .unusable("\(path)\(suffix) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = fread(&bytes, 1, bytes.count, file)
        // A power cut may leave the file empty, or zeros.
        guard bytes.contains(where: { $0 != 0 }) else { return nil }
        let words = bytes[..<count].split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
        guard words.count == 3, let database = Int64(words[0]), let number = Int64(words[1]) else {
            throw .unusable("\(path)\(suffix) is damaged. If you know that \(path) is whole, remove \(path)\(suffix)")
        }
        return Value(database: database, number: number)
    }

    static func open(path: String) throws(StoreError) -> CommitMark {
        let descriptor = Glibc.open(path + suffix, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .unusable("\(path)\(suffix) cannot be opened: \(String(cString: strerror(errno)))") }
        return CommitMark(descriptor: descriptor)
    }

    static func isCounted(in database: Database) throws -> Bool { try database.tableExists("driver_commits") }

    static func create(in database: Database) throws {
        try database.execute(sql: "CREATE TABLE driver_commits (database BIGINT NOT NULL, number BIGINT NOT NULL)")
        try database.execute(sql: "INSERT INTO driver_commits (database, number) VALUES (random(), 0)")
    }

    /// Counts a commit: a statement of the transaction that is about to commit.
    static func advance(in database: Database) throws -> Value {
        let statement = try database.cachedStatement(sql: "UPDATE driver_commits SET number = number + 1 RETURNING database, number")
        guard let row = try Row.fetchOne(statement) else { throw StoreError.corrupt("driver_commits has no row") }
        return Value(database: row[0], number: row[1])
    }

    /// Called after the commit. A failure only makes the file older than it could be, and the next commit writes it again.
    func write(_ value: Value) {
        // Of the same length always, and within one sector: it is never seen half written.
        var number = String(value.number)
        number = String(repeating: "0", count: 20 - number.utf8.count) + number
        var line = Array("\(value.database) \(number) ".utf8)
        line += [UInt8](repeating: UInt8(ascii: "."), count: 63 - line.count) + [UInt8(ascii: "\n")]
        descriptor.withLock { descriptor in
            if descriptor >= 0 { _ = pwrite(descriptor, line, line.count, 0) }
        }
    }

    static func verify(_ database: Database, path: String, against mark: Value?) throws {
        // From before commits were counted: there is nothing to compare, and the count begins.
        if mark == nil, try !isCounted(in: database) { return }
        let row = try Row.fetchOne(database, sql: "SELECT database, number FROM driver_commits")
        guard let row else { throw StoreError.unusable("\(path) is damaged: it has no count of commits") }
        guard let mark else { return }
        let found = Value(database: row[0], number: row[1])
        guard found.database == mark.database, found.number >= mark.number else {
            let what = found.database == mark.database ? "it ends at commit \(found.number) of \(mark.number)" : "it is another database"
            throw StoreError.unusable(
                """
                \(path) is not what this server wrote last: \(what). Was its write-ahead log lost, or a backup restored? \
                Bring back \(path) and \(path)-wal; to go on with what there is, remove \(path)\(suffix)
                """)
        }
    }

    func close() {
        descriptor.withLock { descriptor in
            if descriptor >= 0 { Glibc.close(descriptor) }
            descriptor = -1
        }
    }

    deinit { close() }
}
