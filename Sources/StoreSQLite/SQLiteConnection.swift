internal import AuthCore
internal import GRDB
internal import Store
internal import StoreSQL

internal import struct Foundation.Data

/// Runs statements on the connection that GRDB lends. Confined to the thread of the transaction.
struct SQLiteConnection: SQLConnection {
    let database: Database
    var fault: (@Sendable (String) throws(StoreError) -> Void)?

    func query(_ sql: String, _ arguments: [SQLValue]) throws(StoreError) -> [SQLRow] {
        try fault?(sql)
        do {
            let statement = try prepare(sql, arguments)
            var rows: [SQLRow] = []
            let cursor = try Row.fetchCursor(statement)
            while let row = try cursor.next() {
                rows.append(SQLRow((0..<row.count).map { SQLiteConnection.value(row[$0]) }))
            }
            return rows
        } catch {
            throw SQLiteConnection.storeError(error)
        }
    }

    func execute(_ sql: String, _ arguments: [SQLValue]) throws(StoreError) -> Int {
        try fault?(sql)
        do {
            try prepare(sql, arguments).execute()
            return database.changesCount
        } catch {
            throw SQLiteConnection.storeError(error)
        }
    }

    private func prepare(_ sql: String, _ arguments: [SQLValue]) throws -> Statement {
        let statement = try database.cachedStatement(sql: sql)
        statement.arguments = StatementArguments(arguments.map(SQLiteConnection.argument))
        return statement
    }

    private static func argument(_ value: SQLValue) -> DatabaseValue {
        switch value {
        case .null: .null
        case .int(let number): number.databaseValue
        case .text(let text): text.databaseValue
        case .blob(let bytes): Data(bytes).databaseValue
        }
    }

    private static func value(_ value: DatabaseValue) -> SQLValue {
        switch value.storage {
        case .null: .null
        case .int64(let number): .int(number)
        case .double(let number): .int(Int64(exactly: number.rounded()) ?? 0)
        case .string(let text): .text(text)
        case .blob(let data): .blob([UInt8](data))
        }
    }

    static func storeError(_ error: any Error) -> StoreError {
        if let error = error as? StoreError { return error }
        guard let error = error as? DatabaseError else { return .unavailable(String(describing: error)) }
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: return .corrupt("SQLite says: \(error.message ?? "damaged")")
        case .SQLITE_CONSTRAINT, .SQLITE_MISMATCH, .SQLITE_ERROR, .SQLITE_RANGE:
            return .corrupt("SQLite says: \(error.message ?? "refused")")
        default: return .unavailable("SQLite says: \(error.message ?? "unavailable") (\(error.resultCode.rawValue))")
        }
    }
}
