internal import AuthCore
internal import CLibPQ
internal import Store
internal import StoreSQL

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

// StorePostgres owns how statements reach PostgreSQL: connections and their threads, time limits, lost connections and
// outcomes that nobody has told. It does not own what is stored: not one table is named here.

/// One connection of libpq. Confined to the thread that opened it.
///
/// Every wait has an end: libpq's own blocking calls would wait for ever on a server that is frozen, so statements are
/// sent, and the socket is polled until `statementTimeMax`. Past it the connection is given up, never reused.
final class PostgresConnection: SQLConnection {
    /// How long the server may take over one statement before it cancels it. Below `statementTimeMax`, so that the server, which
    /// knows what happened, speaks first.
    static let serverTimeMax = Duration.seconds(4)
    static let statementTimeMax = Duration.seconds(6)
    /// The most statements that stay prepared; the product has fewer.
    private static let preparedMax = 512
    private static let isOpen = Int32(CONNECTION_OK)

    private let connection: OpaquePointer
    private let isPooled: Bool
    private let uptime: @Sendable () -> Uptime
    private var prepared: [String: String] = [:]
    /// Sent with each `BEGIN` where the connection is not ours alone.
    private let beginSuffix: String
    /// Which history of the cluster this is (the timeline): two histories may give the same number to different transactions.
    private(set) var timeline = ""
    /// The SQLSTATE of the last failure; empty when the server said none.
    private(set) var lastState = ""
    private(set) var isBroken = false
    #if Faults
    var fault: (@Sendable (String) throws(StoreError) -> Void)?
    #endif

    /// Opens a connection. Blocks for at most two seconds a host.
    ///
    /// - Parameter address: A connection URI of libpq. What it says stands before our own defaults: `target_session_attrs=read-write`
    ///   (a server that only reads, as a standby or a returned primary, is passed over), time limits, keep-alive.
    /// - Throws: `.unavailable` with what libpq says, which never holds the password.
    init(_ location: PostgresLocation, uptime: @escaping @Sendable () -> Uptime) throws(StoreError) {
        if let problem = pq_load() { throw .unusable("PostgreSQL: " + String(cString: problem)) }
        let settings: [(String, String)] = [
            ("application_name", "gatehouse"), ("target_session_attrs", "read-write"), ("connect_timeout", "2"),
            ("tcp_user_timeout", "3000"),
            ("keepalives_idle", "5"), ("keepalives_interval", "1"), ("keepalives_count", "3"), ("client_encoding", "UTF8"),
            ("dbname", location.uri.exposed),
        ]
        let (names, values) = (settings.map { strdup($0.0) }, settings.map { strdup($0.1) })
        defer { for text in names + values { free(text) } }
        let opened = (names.map { UnsafePointer($0) } + [nil]).withUnsafeBufferPointer { names in
            (values.map { UnsafePointer($0) } + [nil]).withUnsafeBufferPointer { values in
                // The 1 lets the URI of `dbname` be taken apart; what it says overrides what stands before it.
                pq_connectdbParams(names.baseAddress, values.baseAddress, 1)
            }
        }
        guard let opened else { throw .unavailable("out of memory") }
        guard pq_status(opened) == PostgresConnection.isOpen else {
            defer { pq_finish(opened) }
            throw .unavailable("PostgreSQL: " + PostgresConnection.sentence(pq_errorMessage(opened)))
        }
        self.connection = opened
        self.isPooled = location.isPooled
        self.uptime = uptime
        let limits = [
            "statement_timeout = \(PostgresConnection.serverTimeMax.wholeMilliseconds)",
            "idle_in_transaction_session_timeout = \(PostgresConnection.statementTimeMax.wholeMilliseconds)",
        ]
        // A pooler lends the connection for one transaction: what is set for the session would be set for a stranger.
        self.beginSuffix = location.isPooled ? limits.map { "; SET LOCAL \($0)" }.joined() : ""
        do throws(StoreError) {
            if !location.isPooled { try run("SET " + limits.joined(separator: "; SET ")) }
            // Answered is durable. What the server is set to stands unless it is less than that.
            let facts = try rows("SELECT current_setting('synchronous_commit'), substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)")
            guard facts.count == 1, facts[0].count == 2 else { throw StoreError.unavailable("PostgreSQL gives no timeline") }
            if facts[0][0] == "off" {
                throw StoreError.unusable("PostgreSQL has synchronous_commit off for this user: what is answered would not be durable")
            }
            timeline = facts[0][1]
        } catch {
            pq_finish(opened)
            throw error
        }
        pq_setNoticeProcessor(opened, { _, _ in }, nil)
    }

    deinit { pq_finish(connection) }

    // MARK: transactions

    /// Begins a transaction that may write, at READ COMMITTED (docs/decisions/0008): rows that decide are locked by who reads them.
    ///
    /// - Returns: The number that PostgreSQL gave the transaction, by which its outcome can be asked for later.
    func beginWrite() throws(StoreError) -> String {
        let answer = try rows("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE\(beginSuffix); SELECT pg_current_xact_id()::text")
        guard let number = answer.first?.first else { throw .unavailable("PostgreSQL gives no transaction") }
        return number
    }

    /// Begins a transaction that reads one state of the database.
    func beginRead() throws(StoreError) { try run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY\(beginSuffix)") }

    enum CommitOutcome {
        case committed
        /// Nothing was written.
        case failed(StoreError)
        /// The connection was lost between the question and the answer.
        case unknown
    }

    func commit() -> CommitOutcome {
        do {
            return try send("COMMIT") {
                pq_sendQuery(connection, $0)
            } read: { result in
                // The commit of a failed transaction is a rollback, and says so only here.
                String(cString: pq_cmdStatus(result)) == "COMMIT"
                    ? .committed : .failed(.unavailable("PostgreSQL rolled the transaction back"))
            }
        } catch {
            return isBroken ? .unknown : .failed(error)
        }
    }

    /// Ends the transaction without effect; a connection that cannot even do that is given up.
    func rollback() {
        if isBroken { return }
        do { try run("ROLLBACK") } catch { isBroken = true }
    }

    /// What became of a transaction of this cluster: `committed`, `aborted`, `in progress`, or nothing when it is too old.
    func outcome(ofTransaction number: String) throws(StoreError) -> String? {
        guard number.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        return try rows("SELECT pg_xact_status('\(number)'::xid8)").first?.first
    }

    // MARK: statements

    func query(_ sql: String, _ arguments: [SQLValue]) throws(StoreError) -> [SQLRow] {
        try perform(sql, arguments) { (result) throws(StoreError) in try PostgresResult(result).rows() }
    }

    func execute(_ sql: String, _ arguments: [SQLValue]) throws(StoreError) -> Int {
        try perform(sql, arguments) { (result) throws(StoreError) in Int(String(cString: pq_cmdTuples(result))) ?? 0 }
    }

    private func perform<Output>(
        _ sql: String, _ arguments: [SQLValue], read: (OpaquePointer) throws(StoreError) -> Output
    ) throws(StoreError) -> Output {
        #if Faults
        try fault?(sql)
        #endif
        let statement = isPooled ? nil : try prepare(sql)
        let bound = try PostgresArguments(arguments)
        return try bound.withPointers { (values, lengths, formats) throws(StoreError) in
            try send(statement ?? PostgresDialect.numbered(sql)) { text in
                if statement != nil {
                    pq_sendQueryPrepared(connection, text, Int32(arguments.count), values, lengths, formats, 1)
                } else {
                    pq_sendQueryParams(connection, text, Int32(arguments.count), nil, values, lengths, formats, 1)
                }
            } read: { (result) throws(StoreError) in
                try read(result)
            }
        }
    }

    /// The name under which the server knows this statement.
    private func prepare(_ sql: String) throws(StoreError) -> String {
        if let name = prepared[sql] { return name }
        if prepared.count >= PostgresConnection.preparedMax {
            try run("DEALLOCATE ALL")
            prepared = [:]
        }
        let name = "s\(prepared.count)"
        try send(PostgresDialect.numbered(sql)) {
            pq_sendPrepare(connection, name, $0, 0, nil)
        } read: { _ in
            ()
        }
        prepared[sql] = name
        return name
    }

    /// Statements without arguments, in the text form; the answer of the last.
    private func rows(_ sql: String) throws(StoreError) -> [[String]] {
        try send(sql) {
            pq_sendQuery(connection, $0)
        } read: { result in
            (0..<pq_ntuples(result)).map { row in
                (0..<pq_nfields(result)).map { pq_getisnull(result, row, $0) == 1 ? "" : String(cString: pq_getvalue(result, row, $0)) }
            }
        }
    }

    func run(_ sql: String) throws(StoreError) { _ = try rows(sql) }

    // MARK: the wire

    /// Sends, waits, and reads the last result.
    private func send<Output>(
        _ text: String, _ start: (UnsafePointer<CChar>) -> Int32, read: (OpaquePointer) throws(StoreError) -> Output
    ) throws(StoreError) -> Output {
        lastState = ""
        guard text.withCString(start) == 1 else { throw lost() }
        let deadline = uptime()
        var last: Result<Output, StoreError>?
        while true {
            while pq_isBusy(connection) == 1 { try wait(since: deadline) }
            guard let result = pq_getResult(connection) else { break }
            defer { pq_clear(result) }
            if case .failure? = last { continue }
            switch Int(pq_resultStatus(result)) {
            case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
                last = Result { () throws(StoreError) in try read(result) }
            default: last = .failure(failure(result))
            }
        }
        if pq_status(connection) != PostgresConnection.isOpen { throw lost() }
        guard let last else { throw lost() }
        return try last.get()
    }

    private func wait(since start: Uptime) throws(StoreError) {
        let left = PostgresConnection.statementTimeMax - (uptime() - start)
        guard left > .zero else {
            isBroken = true
            throw .unavailable("PostgreSQL does not answer")
        }
        var descriptor = pollfd(fd: pq_socket(connection), events: Int16(POLLIN), revents: 0)
        if descriptor.fd < 0 { throw lost() }
        _ = poll(&descriptor, 1, Int32(clamping: left.wholeMilliseconds + 1))
        if pq_consumeInput(connection) == 0 { throw lost() }
    }

    private func lost() -> StoreError {
        isBroken = true
        return .unavailable("PostgreSQL: " + PostgresConnection.sentence(pq_errorMessage(connection)))
    }

    /// What a failed statement means, by the class of its SQLSTATE (PostgreSQL, appendix A).
    private func failure(_ result: OpaquePointer) -> StoreError {
        let state = pq_resultErrorField(result, Int32(UInt8(ascii: "C"))).map { String(cString: $0) } ?? ""
        let message = PostgresConnection.sentence(pq_resultErrorField(result, Int32(UInt8(ascii: "M"))))
        lastState = state
        if pq_status(connection) != PostgresConnection.isOpen { isBroken = true }
        switch state.prefix(2) {
        // The data, a constraint, the statement: none of these is cured by waiting.
        case "22", "23", "42", "2B", "44": return .corrupt("PostgreSQL says: \(message) (\(state))")
        // Shut down, or become a standby: the next connection may find a server that writes.
        case "57" where state != "57014", "08", "25": isBroken = true
        default: break
        }
        return .unavailable("PostgreSQL says: \(message) (\(state))")
    }

    /// Whether the failed transaction may simply run again: it lost against another one (40001, 40P01) and left nothing behind.
    var lostAgainstAnother: Bool { lastState == "40001" || lastState == "40P01" }

    /// The first line of what libpq says, without its end.
    private static func sentence(_ text: UnsafePointer<CChar>?) -> String {
        guard let text else { return "no message" }
        let line = String(cString: text).split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        return line.isEmpty ? "the connection was lost" : line
    }

    // MARK: notifications

    /// Waits until the server sends a notification, at most `timeout`; whether one came.
    func waitForNotification(_ timeout: Duration) throws(StoreError) -> Bool {
        var came = false
        func collect() {
            while let notification = pq_notifies(connection) {
                came = true
                pq_freemem(notification)
            }
        }
        collect()
        if came { return true }
        var descriptor = pollfd(fd: pq_socket(connection), events: Int16(POLLIN), revents: 0)
        if descriptor.fd < 0 { throw lost() }
        _ = poll(&descriptor, 1, Int32(clamping: timeout.wholeMilliseconds))
        if pq_consumeInput(connection) == 0 { throw lost() }
        collect()
        return came
    }
}
