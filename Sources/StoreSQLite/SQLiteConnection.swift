internal import AuthCore
internal import GRDB
internal import GRDBSQLite
internal import Store
internal import StoreSQL

/// Runs statements on the connection that GRDB lends. Confined to the thread of the transaction.
///
/// GRDB prepares statements and keeps them; they are bound, stepped and read here, because its rows and arguments cost more than SQLite
/// does for statements as small as ours.
struct SQLiteConnection: SQLConnection {
    let database: Database
    var fault: (@Sendable (String) throws(StoreError) -> Void)?

    func query(_ sql: String, _ arguments: [SQLValue]) throws(StoreError) -> [SQLRow] {
        try fault?(sql)
        var rows: [SQLRow] = []
        try run(sql, arguments) { statement in
            let columns = sqlite3_column_count(statement)
            rows.append(SQLRow((0..<columns).map { SQLiteConnection.value(statement, $0) }))
        }
        return rows
    }

    func execute(_ sql: String, _ arguments: [SQLValue]) throws(StoreError) -> Int {
        try fault?(sql)
        try run(sql, arguments) { _ in }
        return database.changesCount
    }

    private func run(_ sql: String, _ arguments: [SQLValue], row: (SQLiteStatement) -> Void) throws(StoreError) {
        do {
            let statement = try database.cachedStatement(sql: sql).sqliteStatement
            defer {
                sqlite3_reset(statement)
                sqlite3_clear_bindings(statement)
            }
            for (place, argument) in arguments.enumerated() {
                try check(SQLiteConnection.bind(argument, to: statement, at: Int32(place + 1)), done: SQLITE_OK)
            }
            while true {
                let code = sqlite3_step(statement)
                if code != SQLITE_ROW { return try check(code, done: SQLITE_DONE) }
                row(statement)
            }
        } catch {
            throw SQLiteConnection.storeError(error)
        }
    }

    private func check(_ code: Int32, done: Int32) throws {
        if code == done { return }
        let message = sqlite3_errmsg(database.sqliteConnection).map { String(cString: $0) }
        throw DatabaseError(resultCode: ResultCode(rawValue: code), message: message)
    }

    /// SQLite copies what is bound before this returns.
    private static func bind(_ value: SQLValue, to statement: SQLiteStatement, at place: Int32) -> Int32 {
        let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)  // SQLITE_TRANSIENT, a macro that Swift does not see
        switch value {
        case .null: return sqlite3_bind_null(statement, place)
        case .int(let number): return sqlite3_bind_int64(statement, place, number)
        case .text(var text):
            return text.withUTF8 { bytes in
                bytes.withMemoryRebound(to: CChar.self) { characters in
                    // No address means NULL to SQLite, which empty text is not.
                    guard let start = characters.baseAddress else { return sqlite3_bind_text(statement, place, "", 0, copied) }
                    return sqlite3_bind_text(statement, place, start, Int32(clamping: characters.count), copied)
                }
            }
        case .blob(let bytes):
            if bytes.isEmpty { return sqlite3_bind_zeroblob(statement, place, 0) }
            return bytes.withUnsafeBytes { sqlite3_bind_blob(statement, place, $0.baseAddress, Int32(clamping: $0.count), copied) }
        }
    }

    /// The result must be read before the next step: SQLite lends the bytes until then.
    private static func value(_ statement: SQLiteStatement, _ column: Int32) -> SQLValue {
        switch sqlite3_column_type(statement, column) {
        case SQLITE_INTEGER: return .int(sqlite3_column_int64(statement, column))
        case SQLITE_FLOAT: return .int(Int64(exactly: sqlite3_column_double(statement, column).rounded()) ?? 0)
        case SQLITE_TEXT:
            // The bytes are counted behind the conversion.
            let start = sqlite3_column_text(statement, column)
            let bytes = UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column)))
            return .text(String(decoding: bytes, as: UTF8.self))
        case SQLITE_BLOB:
            let start = sqlite3_column_blob(statement, column)
            return .blob(Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column)))))
        default: return .null
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
