import AuthCore
import Crypto
import Glibc
import Store
import StoreSQL
import Synchronization

/// An export: a store as lines of JSON, for `gatehouse import` of the same release, on whatever database.
///
///     {"format":"gatehouse export","version":1,"schema":2,"store_id":"…","exported_at":"…"}
///     {"table":"accounts","row":{"id":"…","username":"…",…}}
///     …
///     {"rows":{"accounts":1,…},"sha256":"…"}
///
/// Bytes are base64url. The last line counts the rows and has the SHA-256 of all lines before it: what is damaged, cut off or put
/// together from two files is noticed. It is no signature; who can write the file can write another.
enum ExportFile {
    static let format = "gatehouse export"
    static let version: Int64 = 1
    /// The longest line, in bytes.
    static let lineBytesMax = 16_777_216
    static let lineLimits = JSONReader.Limits(bytesMax: lineBytesMax, depthMax: 4, valuesMax: 1_000)

    static func header(_ store: Identifier, at now: Instant) -> [UInt8] {
        var json = JSONWriter()
        json.object {
            $0.member("format", format)
            $0.member("version", version)
            $0.member("schema", Schema.newest)
            $0.member("store_id", store.text)
            $0.member("exported_at", LogWriter.timestamp(now))
        }
        return json.bytes
    }

    static func line(_ table: StoredTable, _ values: [SQLValue]) -> [UInt8] {
        var json = JSONWriter()
        json.object {
            $0.member("table", table.name)
            $0.object("row") { for (column, value) in zip(table.columns, values) { $0.member(named: column.name, ExportFile.json(value)) } }
        }
        return json.bytes
    }

    /// The last line: what a reader compares byte by byte with what it has read.
    static func trailer(_ counts: [String: Int64], _ hash: SHA256) -> [UInt8] {
        var json = JSONWriter()
        json.object {
            $0.object("rows") {
                for table in Schema.movedTables { $0.member(named: table.name, .number(JSONNumber(counts[table.name] ?? 0))) }
            }
            $0.member("sha256", hexadecimal(Array(hash.finalize())))
        }
        return json.bytes
    }

    private static func json(_ value: SQLValue) -> JSONValue {
        switch value {
        case .null: .null
        case .int(let number): .number(JSONNumber(number))
        case .text(let text): .string(text)
        case .blob(let bytes): .string(Base64URL.encode(bytes))
        }
    }

    /// - Returns: Nothing when it is no value of the column.
    static func value(_ json: JSONValue, of column: StoredTable.Column) -> SQLValue? {
        let value: SQLValue? =
            switch (json, column.kind) {
            case (.null, _): .null
            case (_, .int): json.int.map { .int($0) }
            case (_, .text): json.string.map { .text($0) }
            case (_, .bytes): json.string.flatMap { Base64URL.decode($0) }.map { .blob($0) }
            }
        return value.flatMap { column.takes($0) ? $0 : nil }
    }
}

/// Writes an export, for its owner alone and never over another file.
final class ExportWriter: Sendable {
    private struct State {
        var buffer: [UInt8] = []
        var hash = SHA256()
        var counts: [String: Int64] = [:]
    }

    private static let bufferBytes = 65_536

    let path: String
    private let descriptor: Int32
    private let state = Mutex(State())

    init(_ path: String) throws(UsageError) {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor >= 0 { return }
        throw UsageError(
            errno == EEXIST ? "\(path) is there already; an export never overwrites" : "\(path): \(String(cString: strerror(errno)))")
    }

    deinit { close(descriptor) }

    /// Whatever was written before counts no more.
    func begin(_ header: [UInt8]) throws(StoreError) {
        guard ftruncate(descriptor, 0) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else { throw problem() }
        state.withLock { $0 = State() }
        try put(header)
    }

    func row(_ table: StoredTable, _ values: [SQLValue]) throws(StoreError) {
        let line = ExportFile.line(table, values)
        guard line.count < ExportFile.lineBytesMax else {
            throw .unusable("a row of \(table.name) has more than \(ExportFile.lineBytesMax) bytes")
        }
        state.withLock { $0.counts[table.name, default: 0] += 1 }
        try put(line)
    }

    /// Ends the file and makes it durable.
    ///
    /// - Returns: How many rows it has.
    func finish() throws(StoreError) -> Int64 {
        let (trailer, count) = state.withLock { state in
            (ExportFile.trailer(state.counts, state.hash), state.counts.values.reduce(0, +))
        }
        try put(trailer)
        let rest = state.withLock { $0.buffer }
        try write(rest)
        guard fsync(descriptor) == 0 else { throw problem() }
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let place = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { if place >= 0 { close(place) } }
        guard place >= 0, fsync(place) == 0 else { throw problem() }
        return count
    }

    /// Removes what is not whole.
    func discard() { unlink(path) }

    private func put(_ line: [UInt8]) throws(StoreError) {
        let full: [UInt8]? = state.withLock { state in
            let start = state.buffer.count
            state.buffer += line
            state.buffer.append(UInt8(ascii: "\n"))
            state.hash.update(data: state.buffer[start...])
            guard state.buffer.count >= ExportWriter.bufferBytes else { return nil }
            defer { state.buffer.removeAll(keepingCapacity: true) }
            return state.buffer
        }
        if let full { try write(full) }
    }

    private func write(_ bytes: [UInt8]) throws(StoreError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard written > 0 else { throw problem() }
            rest = rest.dropFirst(written)
        }
    }

    private func problem() -> StoreError { .unavailable("\(path): \(String(cString: strerror(errno)))") }
}
