internal import AuthCore
internal import Store
internal import StoreSQL
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// Whether a server can be reached, for all threads together: while it cannot, one of them tries and the others say so at once.
final class Reachability: Sendable {
    private struct State {
        var failure: StoreError?
        var nextTry = Uptime(nanoseconds: 0)
        var pause = Duration.milliseconds(50)
    }

    private let state = Mutex(State())
    private let uptime: @Sendable () -> Uptime

    init(uptime: @escaping @Sendable () -> Uptime) { self.uptime = uptime }

    /// - Throws: What the last try met, while it is too early for another.
    func connect(_ servers: PostgresServers) throws(StoreError) -> PostgresConnection {
        let now = uptime()
        let failure: StoreError? = state.withLock { state in
            guard let failure = state.failure else { return nil }
            if now < state.nextTry { return failure }
            // This caller tries; whoever comes meanwhile is told the last failure.
            state.nextTry = Uptime(nanoseconds: now.nanoseconds + 30_000_000_000)
            return nil
        }
        if let failure { throw failure }
        do throws(StoreError) {
            let connection = try servers.connect()
            state.withLock { $0 = State() }
            return connection
        } catch {
            let pause: Duration = state.withLock { state in
                state.failure = error
                defer { state.pause = min(state.pause * 2, PostgresDatabase.pauseMax) }
                return state.pause
            }
            let nanoseconds = UInt64(clamping: pause.wholeMilliseconds) * 1_000_000
            state.withLock { $0.nextTry = Uptime(nanoseconds: uptime().nanoseconds + nanoseconds) }
            throw error
        }
    }
}

/// What one thread has: its connection, opened when it is needed and given up when it is broken.
final class PostgresWorker {
    private let database: PostgresDatabase
    private let reach: Reachability
    private var connection: PostgresConnection?
    #if Faults
    var fault: (@Sendable (String) throws(StoreError) -> Void)?
    #endif

    init(_ database: PostgresDatabase, _ reach: Reachability, _ given: Handover?) {
        self.database = database
        self.reach = reach
        self.connection = given?.take()
    }

    func read<Output>(_ body: (any SQLConnection) throws(StoreError) -> Output) throws(StoreError) -> Output {
        var isAgain = false
        while true {
            let (connection, _) = try begin { (connection) throws(StoreError) in try connection.beginRead() }
            do throws(StoreError) {
                let output = try body(connection)
                // What was read stands, whatever becomes of the end of the transaction.
                if case .unknown = connection.commit() { drop() }
                return output
            } catch {
                giveUp(connection)
                guard connection.isLost, !isAgain else { throw error }
                isAgain = true
            }
        }
    }

    func query(_ sql: String, _ arguments: [SQLValue]) throws(StoreError) -> [SQLRow] {
        if database.servers.isPooled { return try read { (connection) throws(StoreError) in try connection.query(sql, arguments) } }
        return try begin { (connection) throws(StoreError) in try connection.queryAlone(sql, arguments) }.1
    }

    func write<Output>(
        _ body: (any SQLConnection) throws(StoreError) -> Output, committed: (Output) -> Void
    ) throws(StoreError) -> Output {
        var (attempt, isAgain) = (1, false)
        while true {
            let (connection, _) = try begin { (connection) throws(StoreError) in try connection.beginWrite() }
            var isAsked = false
            do throws(StoreError) {
                #if Faults
                connection.fault = fault
                defer { connection.fault = nil }
                #endif
                let output = try body(connection)
                failpoint("store.before_commit")
                isAsked = true
                let askedAt = database.uptime()
                switch connection.commit() {
                case .committed: break
                case .failed(let error): throw error
                case .unknown:
                    let (number, history) = (connection.number, connection.history)
                    drop()
                    try resolve(number, history, since: askedAt)
                }
                failpoint("store.after_commit")
                committed(output)
                return output
            } catch {
                let hasLost = connection.lostAgainstAnother && attempt < PostgresDatabase.attemptsMax
                // A transaction whose connection was lost before anybody asked for its commit has left nothing behind.
                let isLost = !isAsked && connection.isLost && !isAgain
                giveUp(connection)
                guard hasLost || isLost else { throw error }
                attempt += 1
                isAgain = isAgain || isLost
            }
        }
    }

    /// A connection with a transaction begun on it. One that has died while it lay idle is replaced once: nothing was lost with it.
    private func begin<Output>(
        _ body: (PostgresConnection) throws(StoreError) -> Output
    ) throws(StoreError) -> (PostgresConnection, Output) {
        if let connection {
            do { return (connection, try body(connection)) } catch {
                guard connection.isBroken else {
                    connection.rollback()
                    throw error
                }
                drop()
                // Whoever has waited for a silent server is told; the next one looks for another.
                if connection.isSilent { throw error }
            }
        }
        let opened = try reach.connect(database.servers)
        connection = opened
        do { return (opened, try body(opened)) } catch {
            giveUp(opened)
            throw error
        }
    }

    private func giveUp(_ connection: PostgresConnection) {
        connection.rollback()
        if connection.isBroken { drop() }
    }

    private func drop() { connection = nil }

    /// Finds out what became of a commit whose answer was lost. Returns when it was committed.
    ///
    /// By reading, never by repeating: the same transaction again could succeed a second time.
    ///
    /// - Throws: `.unavailable` when it was rolled back; `.outcomeUnknown` when nobody can tell, for one because the cluster has another
    ///   history now, in which the number may be another transaction's.
    private func resolve(_ number: String, _ history: PostgresHistory, since askedAt: Uptime) throws(StoreError) {
        var pause: Int32 = 5
        repeat {
            switch fate(of: number, history) {
            case .committed: return
            case .rolledBack: throw .unavailable("PostgreSQL rolled the transaction back when the connection was lost")
            case .unknown: throw .outcomeUnknown
            case .notYetKnown: break
            }
            _ = poll(nil, 0, pause)
            pause = 100
        } while database.uptime() - askedAt < PostgresDatabase.outcomeTimeMax
        // Answered as unknown, it need not wait for a standby any longer; each that does holds a connection of the server.
        if let connection { connection.stopWaiting(transaction: number) }
        throw .outcomeUnknown
    }

    private enum Fate { case committed, rolledBack, notYetKnown, unknown }

    private func fate(of number: String, _ history: PostgresHistory) -> Fate {
        do throws(StoreError) {
            let connection: PostgresConnection
            if let open = self.connection { connection = open } else { connection = try database.servers.connect() }
            self.connection = connection
            guard let outcome = try connection.outcome(ofTransaction: number, in: history) else { return .unknown }
            switch outcome {
            case "committed": return .committed
            case "aborted": return .rolledBack
            // The server has not noticed yet that we are gone.
            case "in progress": return .notYetKnown
            default: return .unknown
            }
        } catch {
            drop()
            return .notYetKnown
        }
    }
}
