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
    /// How long a transaction may take to begin. It waits for nobody, so a server that is silent for as long is gone: whoever asked is
    /// told so as soon as `tcp_user_timeout` would tell it of a network that is.
    static let beginTimeMax = Duration.seconds(3)
    /// A server that spoke within this time is taken to be alive.
    static let silenceMax = Duration.seconds(1)
    /// The most statements that stay prepared; the product has fewer.
    static let preparedMax = 512
    static let isOpen = Int32(CONNECTION_OK)

    private struct Opening {
        let statement: String
        /// Asked for with it.
        let column: String?
    }

    /// A statement and what is bound to it.
    struct Step {
        let sql: String
        let arguments: [SQLValue]
    }

    let connection: OpaquePointer
    private let servers: PostgresServers
    let uptime: @Sendable () -> Uptime
    var prepared: [String: String] = [:]
    /// Counts the names, so that none is given twice where a statement was prepared and nobody heard of it.
    var preparations = 0
    /// What begins the transaction and was not sent yet.
    private var opening: Opening?
    /// What PostgreSQL calls the transaction that writes, by which its outcome can be asked for later; empty before its first statement.
    private(set) var number = ""
    /// When the server said something last.
    var heardAt: Uptime
    /// Sent with each `BEGIN` where the connection is not ours alone.
    private let beginSuffix: String
    /// As of the last transaction that was begun here: a pooler may have lent another server since.
    private(set) var history = PostgresHistory()
    /// The SQLSTATE of the last failure; empty when the server said none.
    var lastState = ""
    var isBroken = false
    /// It was given up because nothing came from the server for too long.
    var isSilent = false
    #if Faults
    var fault: (@Sendable (String) throws(StoreError) -> Void)?
    #endif

    private var isPooled: Bool { servers.location.isPooled }

    private static let timeline = "substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)"
    private static let start = """
        extract(epoch FROM pg_postmaster_start_time())::text || ' '
            || coalesce((SELECT extract(epoch FROM stats_reset)::text FROM pg_stat_bgwriter), '')
        """

    /// Opens a connection. Blocks for at most two seconds, and longer only where a server accepts it and says nothing.
    ///
    /// - Parameters:
    ///   - parameters: One of `PostgresLocation.servers`.
    ///   - servers: What is known of the history of all of them.
    /// - Throws: `.unavailable` with what libpq says, which never holds the password; also for a server that is behind.
    init(_ parameters: [String: String], to servers: PostgresServers) throws(StoreError) {
        let (keys, given) = (Array(parameters.keys), Array(parameters.values))
        let (names, values) = (keys.map { strdup($0) }, given.map { strdup($0) })
        defer { for text in names + values { free(text) } }
        let opened = (names.map { UnsafePointer($0) } + [nil]).withUnsafeBufferPointer { names in
            (values.map { UnsafePointer($0) } + [nil]).withUnsafeBufferPointer { values in
                pq_connectdbParams(names.baseAddress, values.baseAddress, 0)
            }
        }
        guard let opened else { throw .unavailable("out of memory") }
        guard pq_status(opened) == PostgresConnection.isOpen else {
            defer { pq_finish(opened) }
            throw .unavailable("PostgreSQL: " + PostgresConnection.sentence(pq_errorMessage(opened)))
        }
        self.connection = opened
        self.servers = servers
        self.uptime = servers.uptime
        self.heardAt = servers.uptime()
        let limits = [
            "statement_timeout = \(PostgresConnection.serverTimeMax.wholeMilliseconds)",
            "idle_in_transaction_session_timeout = \(PostgresConnection.statementTimeMax.wholeMilliseconds)",
        ]
        // A pooler lends the connection for one transaction: what is set for the session would be set for a stranger.
        self.beginSuffix = servers.location.isPooled ? limits.map { "; SET LOCAL \($0)" }.joined() : ""
        // A server that takes nothing more must not hold the thread in a send, where no time limit holds.
        _ = pq_setnonblocking(opened, 1)
        pq_setNoticeProcessor(opened, { _, _ in }, nil)
        // From here on `deinit` closes it.
        if !isPooled { try run("SET " + limits.joined(separator: "; SET ")) }
        // Answered is durable. What the server is set to stands unless it is less than that.
        let facts = try rows(
            "SELECT current_setting('synchronous_commit'), \(PostgresConnection.timeline), \(PostgresConnection.start)")
        guard facts.count == 1, facts[0].count == 3 else { throw StoreError.unavailable("PostgreSQL gives no timeline") }
        if facts[0][0] == "off" {
            throw StoreError.unusable("PostgreSQL has synchronous_commit off for this user: what is answered would not be durable")
        }
        try take(PostgresHistory(timeline: facts[0][1], start: facts[0][2]))
    }

    /// - Throws: `.unavailable` when the server is behind what this process has seen: it was replaced, and does not know it.
    private func take(_ seen: PostgresHistory) throws(StoreError) {
        history = seen
        guard servers.isCurrent(seen.timeline) else {
            isBroken = true
            throw .unavailable("PostgreSQL: a server on timeline \(seen.timeline) was passed over, for a later one is known")
        }
    }

    deinit { pq_finish(connection) }

    // MARK: transactions

    /// Begins a transaction that may write, at READ COMMITTED (docs/decisions/0008): rows that decide are locked by who reads them.
    /// `number` is known once the first statement has run.
    func beginWrite() throws(StoreError) {
        try begin(Opening(statement: "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", column: "pg_current_xact_id()::text"))
    }

    /// Begins a transaction that reads one state of the database.
    func beginRead() throws(StoreError) {
        try begin(Opening(statement: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", column: nil))
    }

    private func begin(_ opening: Opening) throws(StoreError) {
        number = ""
        if !isPooled {
            // A connection of our own cannot change its server, but what this process knows of servers may have changed.
            try take(history)
            // Sent with the first statement, in one way to the server and back; before it where nobody knows whether the server lives.
            self.opening = opening
            if uptime() - heardAt > PostgresConnection.silenceMax { try open(within: PostgresConnection.beginTimeMax) }
            return
        }
        // A pooler lets it wait until a connection is free.
        let (column, suffix) = (opening.column ?? "''", beginSuffix)
        let answer = try rows(
            "\(opening.statement)\(suffix); SELECT \(column), \(PostgresConnection.timeline), \(PostgresConnection.start)")
        guard let facts = answer.first, facts.count == 3 else { throw .unavailable("PostgreSQL gives no transaction") }
        try take(PostgresHistory(timeline: facts[1], start: facts[2]))
        number = facts[0]
    }

    /// One statement that reads, without a transaction around it: it sees one state, and costs one way to the server and back.
    ///
    /// Not behind a pooler, where each statement could be lent another server, and time limits are set by transaction.
    func queryAlone(_ sql: String, _ arguments: [SQLValue]) throws(StoreError) -> [SQLRow] {
        try take(history)
        return try perform(sql, arguments, within: PostgresConnection.beginTimeMax) { (result) throws(StoreError) in
            try PostgresResult(result).rows()
        }
    }

    enum CommitOutcome {
        case committed
        /// Nothing was written.
        case failed(StoreError)
        /// The connection was lost between the question and the answer.
        case unknown
    }

    func commit() -> CommitOutcome {
        // Nothing was asked of the server.
        if opening != nil {
            opening = nil
            return .committed
        }
        do {
            // Another server may have been found to be further since it began.
            if !isPooled { try take(history) }
        } catch { return .failed(error) }
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
        if opening != nil {
            opening = nil
            return
        }
        do { try run("ROLLBACK") } catch { isBroken = true }
    }

    /// What became of a transaction: `committed`, `aborted`, `in progress`. Nothing when it is too old, or this is another history than
    /// the one it was begun in.
    func outcome(ofTransaction number: String, in begun: PostgresHistory) throws(StoreError) -> String? {
        guard PostgresConnection.isNumber(number) else { return nil }
        // In one statement, which a pooler gives to one server. The status is not asked for in another history, where it may be an error.
        let answer = try rows(
            """
            SELECT timeline, start, CASE WHEN timeline = '\(begun.timeline)' AND start = '\(begun.start)'
                THEN pg_xact_status('\(number)'::xid8) END
            FROM (SELECT \(PostgresConnection.timeline) AS timeline, \(PostgresConnection.start) AS start OFFSET 0) AS history
            """)
        guard let facts = answer.first, facts.count == 3 else { throw .unavailable("PostgreSQL gives no outcome") }
        try take(PostgresHistory(timeline: facts[0], start: facts[1]))
        return facts[2].isEmpty ? nil : facts[2]
    }

    /// Ends the wait of a commit for a standby that does not answer. The transaction is committed on this server then, and takes up no
    /// connection of it. What cannot be done is left: the standby's return does the same.
    func stopWaiting(transaction number: String) {
        guard !isBroken, let whole = UInt64(number) else { return }
        let short = UInt32(truncatingIfNeeded: whole)
        do {
            try run("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_xid::text = '\(short)' AND wait_event = 'SyncRep'")
        } catch { isBroken = true }
    }

    private static func isNumber(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    // MARK: statements

    func query(_ sql: String, _ arguments: [SQLValue]) throws(StoreError) -> [SQLRow] {
        try perform(sql, arguments) { (result) throws(StoreError) in try PostgresResult(result).rows() }
    }

    func execute(_ sql: String, _ arguments: [SQLValue]) throws(StoreError) -> Int {
        try perform(sql, arguments) { (result) throws(StoreError) in Int(String(cString: pq_cmdTuples(result))) ?? 0 }
    }

    private func perform<Output>(
        _ sql: String, _ arguments: [SQLValue], within timeMax: Duration = PostgresConnection.statementTimeMax,
        read: (OpaquePointer) throws(StoreError) -> Output
    ) throws(StoreError) -> Output {
        #if Faults
        try fault?(sql)
        #endif
        if isPooled {
            // Unnamed: a prepared one would stay behind at another server.
            let bound = try PostgresArguments(arguments)
            return try bound.withPointers { (values, lengths, formats) throws(StoreError) in
                try send(PostgresDialect.numbered(sql), within: timeMax) {
                    pq_sendQueryParams(connection, $0, Int32(arguments.count), nil, values, lengths, formats, 1)
                } read: { (result) throws(StoreError) in
                    try read(result)
                }
            }
        }
        let step = Step(sql: sql, arguments: arguments)
        if opening != nil { return try open(with: step, within: timeMax, read: read) }
        guard let name = prepared[sql] else {
            return try together([step], within: timeMax) { (_, result) throws(StoreError) in try read(result) }
        }
        let bound = try PostgresArguments(arguments)
        return try bound.withPointers { (values, lengths, formats) throws(StoreError) in
            try send(name, within: timeMax) {
                pq_sendQueryPrepared(connection, $0, Int32(arguments.count), values, lengths, formats, 1)
            } read: { (result) throws(StoreError) in
                try read(result)
            }
        }
    }

    /// Begins the transaction that waits for its first statement, with that statement.
    private func open<Output>(
        with step: Step, within timeMax: Duration, read: (OpaquePointer) throws(StoreError) -> Output
    ) throws(StoreError) -> Output {
        guard let opening else { throw .corrupt("no transaction is to be begun") }
        self.opening = nil
        let first =
            [Step(sql: opening.statement, arguments: [])] + (opening.column.map { [Step(sql: "SELECT \($0)", arguments: [])] } ?? [])
        return try together(first + [step], within: timeMax) { (place, result) throws(StoreError) in
            if place == first.count { return try read(result) }
            if place == 1 { number = try PostgresResult(result).rows().first?.text(0) ?? "" }
            return nil
        }
    }

    /// Begins it without one.
    private func open(within timeMax: Duration) throws(StoreError) {
        guard let opening else { return }
        self.opening = nil
        let sql = opening.statement + (opening.column.map { "; SELECT \($0)" } ?? "")
        number = try rows(sql, within: timeMax).first?.first ?? ""
    }

    /// Statements without arguments, in the text form; the answer of the last.
    private func rows(_ sql: String, within timeMax: Duration = PostgresConnection.statementTimeMax) throws(StoreError) -> [[String]] {
        try send(sql, within: timeMax) {
            pq_sendQuery(connection, $0)
        } read: { result in
            (0..<pq_ntuples(result)).map { row in
                (0..<pq_nfields(result)).map { pq_getisnull(result, row, $0) == 1 ? "" : String(cString: pq_getvalue(result, row, $0)) }
            }
        }
    }

    func run(_ sql: String) throws(StoreError) { _ = try rows(sql) }

    // MARK: what became of it

    /// Whether the connection broke, and not because the server was silent for too long: whoever has waited for that is told.
    var isLost: Bool { isBroken && !isSilent }

    /// Whether the failed transaction may simply run again: it lost against another one (40001, 40P01) and left nothing behind.
    var lostAgainstAnother: Bool { lastState == "40001" || lastState == "40P01" }

    /// The first line of what libpq says, without its end.
    static func sentence(_ text: UnsafePointer<CChar>?) -> String {
        guard let text else { return "no message" }
        let line = String(cString: text).split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        return line.isEmpty ? "the connection was lost" : line
    }

    // MARK: notifications

    /// Whether this server is not behind what the process has seen meanwhile.
    var isCurrent: Bool { servers.isCurrent(history.timeline) }

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
