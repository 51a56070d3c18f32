import AuthCore
// swift-certificates, below HTTPEdge, brings this module, which then counts as the home of `stat`; nothing else is used of it.
import CoreFoundation
import Glibc
import Settings

/// Reading and making files, with limits.
enum Files {
    /// The largest file that is read, in bytes.
    static let bytesMax = 4_194_304

    static func read(_ path: String) throws(FileReadError) -> [UInt8] {
        guard let file = fopen(path, "r") else {
            throw errno == ENOENT ? .notFound : .unreadable(String(cString: strerror(errno)))
        }
        defer { fclose(file) }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { break }
            content.append(contentsOf: buffer[..<count])
            if content.count > bytesMax { throw .unreadable("it is larger than \(bytesMax) bytes") }
        }
        if ferror(file) != 0 { throw .unreadable(String(cString: strerror(errno))) }
        return content
    }

    /// Makes a file that only its owner can read; fails when it is there already.
    static func makePrivate(_ path: String, _ content: [UInt8]) throws(FileReadError) {
        makeFolder(of: path)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .unreadable(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        guard content.withUnsafeBytes({ write(descriptor, $0.baseAddress, $0.count) }) == content.count, fsync(descriptor) == 0 else {
            throw .unreadable(String(cString: strerror(errno)))
        }
    }

    /// Makes the folder that `path` lies in, and those above it, for the owner alone.
    static func makeFolder(of path: String) {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), slash != path.utf8.startIndex else { return }
        let folder = String(path[..<slash])
        makeFolder(of: folder)
        mkdir(folder, 0o700)
    }

    /// Whether group or others may read the file.
    static func isReadableByOthers(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & 0o077 != 0
    }

    /// Changes when the file is written or replaced; nothing when it is not there.
    static func version(_ path: String) -> [Int64]? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return [Int64(status.st_ino), Int64(status.st_size), Int64(status.st_mtim.tv_sec), Int64(status.st_mtim.tv_nsec)]
    }
}
