import Foundation
import Store
import StoreSQL

/// What an earlier release left behind: `StatementRecorder` made it, nobody edits it.
struct Release: Sendable {
    /// The newest schema that it knew.
    let schema: Int64

    static let all = [Release(schema: 2)]

    private var folder: URL { URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("v\(schema)") }

    /// Every statement that it issued, reads and writes; arguments are `?1`, `?2`, ….
    func statements(_ kind: StoreKind) throws -> [String] { try lines("statements.\(kind.rawValue).sql") }

    /// How it made its tables, in order, the one of the migrations first.
    func schema(_ kind: StoreKind) throws -> [String] { try lines("schema.\(kind.rawValue).sql") }

    private func lines(_ name: String) throws -> [String] {
        try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8).split(separator: "\n").map { String($0.dropLast()) }
    }
}

extension SQLDatabase {
    /// Runs statements without arguments, in one transaction.
    func run(_ statements: [String]) async throws(StoreError) {
        try await write(
            { (connection: any SQLConnection) throws(StoreError) in for statement in statements { try connection.execute(statement, []) } },
            committed: { _ in })
    }

    /// Every row of `table`, by its first column.
    func allRows(_ columns: String, _ table: String) async throws(StoreError) -> [[SQLValue]] {
        try await read { (connection: any SQLConnection) throws(StoreError) in
            try connection.query("SELECT \(columns) FROM \(table) ORDER BY 1, 2", []).map(\.values)
        }
    }

    /// What the database says to each of `statements` without running it; nothing is the answer to a good one.
    func refusals(of statements: [String], _ kind: StoreKind) async throws(StoreError) -> [String] {
        var refusals: [String] = []
        for (number, statement) in statements.enumerated() {
            let arguments = [SQLValue](repeating: .null, count: kind == .postgres ? 0 : argumentsCount(of: statement))
            let sql = kind == .postgres ? "PREPARE release_\(number) AS \(statement)" : "EXPLAIN \(statement)"
            do throws(StoreError) {
                try await write(
                    { (connection: any SQLConnection) throws(StoreError) in _ = try connection.query(sql, arguments) }, committed: { _ in })
            } catch { refusals.append("\(statement): \(error)") }
        }
        return refusals
    }
}

/// The highest `?n` of a statement.
private func argumentsCount(of statement: String) -> Int {
    statement.split(separator: "?").dropFirst().compactMap { Int($0.prefix { $0.isNumber }) }.max() ?? 0
}
