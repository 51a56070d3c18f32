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
            for (suffix, name) in [("-wal", "write-ahead log"), (CommitMark.suffix, "count of commits")]
            where stat(path + suffix, &status) == 0 {
                throw .unusable(
                    "\(path) is missing but its \(name) is there: restore the database, or move \(path)\(suffix) away to begin anew")
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

    /// Makes an empty database of ours where there is none: whole or not at all, so that a first start that is cut short by a
    /// crash or a power cut is simply begun again.
    static func make(path: String) throws {
        var status = stat()
        guard stat(path, &status) != 0 else { return }
        let new = path + ".new"
        for suffix in ["", "-journal", "-wal", "-shm"] { unlink(new + suffix) }
        let queue = try DatabaseQueue(path: new)
        try queue.inDatabase { database in
            try database.execute(sql: "PRAGMA application_id = \(applicationID)")
            try CommitMark.create(in: database)
            // Kept in the header: there is never a rollback journal beside a database of ours.
            try database.execute(sql: "PRAGMA journal_mode = WAL")
        }
        try queue.close()
        try sync(new, O_RDWR)
        guard rename(new, path) == 0 else { throw StoreError.unusable("\(path) cannot be made: \(String(cString: strerror(errno)))") }
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        try sync(folder.isEmpty ? "/" : folder, O_RDONLY | O_DIRECTORY)
    }

    private static func sync(_ path: String, _ flags: Int32) throws(StoreError) {
        let descriptor = open(path, flags | O_CLOEXEC)
        guard descriptor >= 0, fsync(descriptor) == 0 else {
            let problem = String(cString: strerror(errno))
            if descriptor >= 0 { Glibc.close(descriptor) }
            throw .unusable("\(path) cannot be written: \(problem)")
        }
        Glibc.close(descriptor)
    }

    /// Throws unless the database is ours, whole, and holds every commit that `mark` tells of. Looks through a connection that
    /// cannot write: what is refused stays as it was.
    static func verify(path: String, mark: CommitMark.Value?) throws {
        var status = stat()
        guard stat(path, &status) == 0 else { throw StoreError.unusable("\(path) is missing") }
        var configuration = GRDB.Configuration()
        configuration.readonly = true
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        try queue.unsafeRead { database in
            guard try Int64.fetchOne(database, sql: "PRAGMA application_id") == applicationID else {
                throw StoreError.unusable("\(path) is the database of another program")
            }
            if Int64(status.st_size) <= wholeCheckBytesMax {
                let answer = try String.fetchOne(database, sql: "PRAGMA quick_check(1)")
                guard answer == "ok" else {
                    throw StoreError.unusable("\(path) is damaged: \(answer ?? "no answer"). Restore it, or move it away to begin anew")
                }
            }
            try CommitMark.verify(database, path: path, against: mark)
        }
    }
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
