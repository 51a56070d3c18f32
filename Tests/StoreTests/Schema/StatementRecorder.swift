import Foundation
import Store
import StorePostgres
import StoreSQL
import Synchronization

/// Writes down every SQL statement that the contract makes the program issue: what a release leaves behind for the tests of the next.
///
///     GATEHOUSE_RECORD=Tests/StoreTests/Schema/v3 make test F=StoreTests
///
/// makes `statements.<database>.sql` (reads and writes, sorted) and `schema.<database>.sql` (how tables came into being, in order), one
/// statement a line. They are made once, at the release, and never edited.
final class StatementRecorder: SQLDatabase {
    private struct Seen {
        var statements: Set<String> = []
        var schema: [String] = []
    }

    private static let seen = Mutex<[StoreKind: Seen]>([:])
    static let folder = ProcessInfo.processInfo.environment["GATEHOUSE_RECORD"]

    private let kind: StoreKind
    private let driver: any SQLDatabase

    init(_ driver: any SQLDatabase) {
        self.driver = driver
        kind = driver is PostgresDatabase ? .postgres : .sqlite
    }

    var dialect: SQLDialect { driver.dialect }

    func write<Output: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws(StoreError) -> Output,
        committed: @escaping @Sendable (Output) -> Void
    ) async throws(StoreError) -> Output {
        try await driver.write(
            { [kind] (connection: any SQLConnection) throws(StoreError) in try body(RecordingConnection(connection, kind)) },
            committed: committed)
    }

    func read<Output: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws(StoreError) -> Output
    ) async throws(StoreError) -> Output {
        try await driver.read { [kind] (connection: any SQLConnection) throws(StoreError) in try body(RecordingConnection(connection, kind))
        }
    }

    func close() async { await driver.close() }

    #if Faults
    func setFault(_ fault: (@Sendable (String) throws(StoreError) -> Void)?) { driver.setFault(fault) }
    #endif

    static func record(_ sql: String, _ kind: StoreKind) {
        guard let folder else { return }
        let line = sql.split(whereSeparator: \.isWhitespace).joined(separator: " ") + ";"
        seen.withLock { all in
            var seen = all[kind] ?? Seen()
            defer { all[kind] = seen }
            if line.hasPrefix("CREATE") || line.hasPrefix("ALTER") {
                if seen.schema.contains(line) { return }
                seen.schema.append(line)
            } else if !seen.statements.insert(line).inserted {
                return
            }
            write(seen.schema, to: "\(folder)/schema.\(kind.rawValue).sql")
            write(seen.statements.sorted(), to: "\(folder)/statements.\(kind.rawValue).sql")
        }
    }

    private static func write(_ lines: [String], to path: String) {
        // A recording that cannot be written is seen at once: there is none.
        try? Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(fileURLWithPath: path))
    }
}

private struct RecordingConnection: SQLConnection {
    let connection: any SQLConnection
    let kind: StoreKind

    init(_ connection: any SQLConnection, _ kind: StoreKind) {
        self.connection = connection
        self.kind = kind
    }

    func query(_ sql: String, _ arguments: [SQLValue]) throws(StoreError) -> [SQLRow] {
        StatementRecorder.record(sql, kind)
        return try connection.query(sql, arguments)
    }

    func execute(_ sql: String, _ arguments: [SQLValue]) throws(StoreError) -> Int {
        StatementRecorder.record(sql, kind)
        return try connection.execute(sql, arguments)
    }
}
