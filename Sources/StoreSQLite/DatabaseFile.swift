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

/// Tells a database of ours from none, a damaged one and somebody else's.
enum DatabaseFile {
    /// "GATE" in ASCII, in the header of every database that we make.
    static let applicationID: Int64 = 0x4741_5445
    /// The largest file that is checked whole at start; a larger one is checked page by page as it is read.
    static let wholeCheckBytesMax: Int64 = 32 * 1_048_576

    /// Before SQLite touches the file: it would make an empty database out of an empty file.
    static func check(path: String) throws(StoreError) {
        var status = stat()
        guard stat(path, &status) == 0 else {
            if stat(path + "-wal", &status) == 0 {
                throw .unusable(
                    "\(path) is missing but its write-ahead log is there: restore the database, or move \(path)-wal away to begin anew")
            }
            return
        }
        guard status.st_size >= 100 else {
            throw .unusable("\(path) is damaged: it has \(status.st_size) bytes. Restore it, or move it away to begin anew")
        }
        guard let file = fopen(path, "r") else { throw .unusable("\(path) cannot be read") }
        defer { fclose(file) }
        var header = [UInt8](repeating: 0, count: 16)
        guard fread(&header, 1, 16, file) == 16, header.elementsEqual("SQLite format 3\0".utf8) else {
            throw .unusable("\(path) is damaged, or no SQLite database. Restore it, or move it away to begin anew")
        }
    }

    /// Whether there is nothing in the file yet; otherwise it is ours and whole, or this throws.
    static func isNew(path: String) throws -> Bool {
        var status = stat()
        guard stat(path, &status) == 0 else { return true }
        var configuration = GRDB.Configuration()
        configuration.readonly = true
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        return try queue.unsafeRead { database in
            let tables = try Int64.fetchOne(database, sql: "SELECT COUNT(*) FROM sqlite_master") ?? 0
            if tables == 0 { return true }
            guard try Int64.fetchOne(database, sql: "PRAGMA application_id") == applicationID else {
                throw StoreError.unusable("\(path) is the database of another program")
            }
            if Int64(status.st_size) <= wholeCheckBytesMax {
                let answer = try String.fetchOne(database, sql: "PRAGMA quick_check(1)")
                guard answer == "ok" else {
                    throw StoreError.unusable("\(path) is damaged: \(answer ?? "no answer"). Restore it, or move it away to begin anew")
                }
            }
            return false
        }
    }

    /// Writes our mark into the header of a new database.
    static func mark(_ database: Database) throws { try database.execute(sql: "PRAGMA application_id = \(applicationID)") }
}

/// `flock` on a file beside the database: one server a store, and no command writes behind its back. SQLite's own
/// locking mode would shut out our readers and everybody's backups.
final class DatabaseLock: Sendable {
    private let descriptor: Mutex<Int32>

    init(path: String) throws(StoreError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .unusable("\(path) cannot be opened: \(String(cString: strerror(errno)))") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            Glibc.close(descriptor)
            throw .unusable("another gatehouse uses this database (\(path) is locked)")
        }
        self.descriptor = Mutex(descriptor)
    }

    func release() {
        descriptor.withLock { descriptor in
            if descriptor >= 0 { Glibc.close(descriptor) }
            descriptor = -1
        }
    }

    deinit { release() }
}
