import AuthCore
import Crypto
import Glibc
import Store
import StoreSQL

/// Reads an export line by line, and believes nothing of it before its last line.
struct ExportReader {
    /// What the whole file says.
    struct Summary: Equatable {
        var store = Identifier("")
        var exportedAt = ""
        var masterKeyCheck: [UInt8]?
        var rows: Int64 = 0
        /// Its last line.
        fileprivate(set) var trailer: [UInt8] = []
    }

    let path: String

    /// Reads the whole file.
    ///
    /// - Parameter row: Called for each row before the file is known to be whole: what it does must be undone when this throws.
    /// - Throws: `.unusable` with the line that is wrong; whatever `row` throws.
    func read(_ row: (StoredTable, [SQLValue]) throws(StoreError) -> Void = { _, _ in }) throws(StoreError) -> Summary {
        var lines = try Lines(path)
        defer { lines.end() }
        let tables = Schema.movedTables
        guard let first = try lines.next() else { throw problem("it is empty", lines) }
        var summary = try header(first, lines)
        var (hash, counts): (SHA256, [String: Int64]) = (SHA256(), [:])
        Self.add(first, to: &hash)
        var stored: Identifier?
        while let line = try lines.next() {
            if line.starts(with: #"{"rows":"#.utf8) {
                guard line == ExportFile.trailer(counts, hash) else {
                    throw problem("the file is damaged or was changed: its last line does not fit what stands before it", lines)
                }
                guard try lines.next() == nil else { throw problem("something stands behind the end", lines) }
                guard stored == summary.store, counts["feed"] == 1 else { throw problem("it is no export of a whole store", lines) }
                summary.trailer = line
                return summary
            }
            let (table, values) = try parse(line, tables, lines)
            Self.add(line, to: &hash)
            counts[table.name, default: 0] += 1
            summary.rows += 1
            if table.name == "meta", case .text(let name) = values[0], case .blob(let bytes) = values[1] {
                if name == "store_id" { stored = Identifier(String(decoding: bytes, as: UTF8.self)) }
                if name == "master_check" { summary.masterKeyCheck = bytes }
            }
            try row(table, values)
        }
        throw problem("the file is cut off: it has no last line", lines)
    }

    private static func add(_ line: [UInt8], to hash: inout SHA256) {
        hash.update(data: line)
        hash.update(data: [UInt8(ascii: "\n")])
    }

    private func header(_ line: [UInt8], _ lines: Lines) throws(StoreError) -> Summary {
        // What is no JSON is no export either.
        let object = (try? JSONReader.read(line, limits: ExportFile.lineLimits))?.object ?? JSONObject()
        guard object["format"]?.string == ExportFile.format, let version = object["version"]?.int, let schema = object["schema"]?.int,
            let store = object["store_id"]?.string, let exportedAt = object["exported_at"]?.string
        else { throw problem("this is no export of gatehouse", lines) }
        guard version == ExportFile.version else { throw problem("it has version \(version) of the format, and only 1 is known", lines) }
        guard schema == Schema.newest else {
            throw problem("it was made at schema \(schema), and this program has \(Schema.newest): use the release that made it", lines)
        }
        return Summary(store: Identifier(store), exportedAt: exportedAt)
    }

    private func parse(_ line: [UInt8], _ tables: [StoredTable], _ lines: Lines) throws(StoreError) -> (StoredTable, [SQLValue]) {
        // What is no JSON has no table.
        guard let object = (try? JSONReader.read(line, limits: ExportFile.lineLimits))?.object, object.count == 2,
            let name = object["table"]?.string, let row = object["row"]?.object
        else { throw problem("this is no row", lines) }
        guard let table = tables.first(where: { $0.name.isSameBytes(as: name) }) else { throw problem("there is no such table", lines) }
        guard row.count == table.columns.count else { throw problem("a row of \(table.name) has other columns", lines) }
        var values: [SQLValue] = []
        values.reserveCapacity(row.count)
        for (column, member) in zip(table.columns, row) {
            guard member.name.isSameBytes(as: column.name), let value = ExportFile.value(member.value, of: column) else {
                throw problem("\(table.name).\(column.name) is missing or holds what it cannot hold", lines)
            }
            values.append(value)
        }
        return (table, values)
    }

    private func problem(_ text: String, _ lines: Lines) -> StoreError { .unusable("\(path), line \(lines.number): \(text)") }

    /// The lines of a file, one in memory.
    private struct Lines {
        private let path: String
        private let descriptor: Int32
        private var buffer: [UInt8] = []
        private var start = 0
        /// Of the line that was given last, from 1.
        private(set) var number = 0

        init(_ path: String) throws(StoreError) {
            self.path = path
            descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw .unusable("\(path): \(String(cString: strerror(errno)))") }
        }

        func end() { close(descriptor) }

        /// The next line without its end; nothing behind the last.
        mutating func next() throws(StoreError) -> [UInt8]? {
            number += 1
            var looked = start
            while true {
                if let end = buffer[looked...].firstIndex(of: UInt8(ascii: "\n")) {
                    defer { start = end + 1 }
                    return Array(buffer[start..<end])
                }
                looked = buffer.count - start
                buffer.removeFirst(start)
                start = 0
                guard buffer.count < ExportFile.lineBytesMax else { throw .unusable("\(path), line \(number): it is too long") }
                var chunk = [UInt8](repeating: 0, count: 65_536)
                let count = Glibc.read(descriptor, &chunk, chunk.count)
                guard count >= 0 else { throw .unusable("\(path): \(String(cString: strerror(errno)))") }
                if count == 0 {
                    if buffer.isEmpty { return nil }
                    throw .unusable("\(path), line \(number): the file is cut off: the line has no end")
                }
                buffer += chunk[..<count]
            }
        }
    }
}
