import CFaultyDisk
import Foundation

/// A folder of its own on a disk that can lose power, fill up and fail (Tests/CFaultyDisk).
///
/// Only SQLite's files are on it: everything that goes through the product's own driver.
final class FaultyDisk: @unchecked Sendable {
    // Confined to the C side, which locks: the pointer is set once.
    private let disk: OpaquePointer
    let folder: URL

    struct Files: OptionSet, Sendable {
        let rawValue: Int32
        static let database = Files(rawValue: Int32(FAULTY_DATABASE))
        static let log = Files(rawValue: Int32(FAULTY_LOG))
        static let all = Files(rawValue: Int32(FAULTY_DATABASE | FAULTY_LOG | FAULTY_OTHER))
    }

    struct Operations: OptionSet, Sendable {
        let rawValue: Int32
        static let write = Operations(rawValue: Int32(FAULTY_WRITE))
        static let sync = Operations(rawValue: Int32(FAULTY_SYNC))
        static let truncate = Operations(rawValue: Int32(FAULTY_TRUNCATE))
        static let read = Operations(rawValue: Int32(FAULTY_READ))
    }

    enum Answer: Int32, Sendable { case full = 13, error = 10 }

    /// A disk of `folder`, or of a new one.
    init(folder: URL? = nil) throws {
        self.folder = try folder ?? FaultyDisk.newFolder()
        disk = faulty_disk_new(self.folder.path)
    }

    deinit {
        faulty_disk_free(disk)
        // The folder is in the temporary directory; what cannot be removed is the system's to clean.
        try? FileManager.default.removeItem(at: folder)
    }

    static func newFolder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gatehouse-disk-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }

    /// Writes, syncs, truncations and deletions so far.
    var operations: Int64 { faulty_disk_operations(disk) }
    var failures: Int64 { faulty_disk_failures(disk) }
    var isCut: Bool { faulty_disk_is_cut(disk) != 0 }

    /// The power goes after so many more operations; whatever follows fails.
    func cutPower(after more: Int64) { faulty_disk_cut_at(disk, operations + more) }

    /// Syncs of these files succeed and do nothing.
    func ignoreSyncs(of files: Files) { faulty_disk_ignore_syncs(disk, files.rawValue) }

    /// After `skip` more of them succeed, operations fail: `count` of them, or all until `heal`.
    func fail(_ operations: Operations, on files: Files = .all, skip: Int64 = 0, count: Int64 = -1, _ answer: Answer) {
        faulty_disk_fail(disk, operations.rawValue, files.rawValue, skip, count, answer.rawValue)
    }

    func heal() { faulty_disk_fail(disk, 0, 0, 0, 0, 0) }

    /// What is found after the power cut, in a new folder.
    func surviving(seed: UInt64) throws -> URL {
        let folder = try FaultyDisk.newFolder()
        guard faulty_disk_survive(disk, seed, folder.path) == 0 else { throw CocoaError(.fileWriteUnknown) }
        // The count of commits goes past SQLite, and is never synced: the disk has the newest, or none.
        let mark = "gatehouse.db.commits"
        let source = self.folder.appendingPathComponent(mark)
        if seed & 3 != 0, FileManager.default.fileExists(atPath: source.path) {
            try FileManager.default.copyItem(at: source, to: folder.appendingPathComponent(mark))
        }
        return folder
    }
}

/// Every choice of a test comes from one of these, so that a failure is a seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 { faulty_disk_random(&state) }
}
