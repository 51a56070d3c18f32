package import AuthCore
@preconcurrency internal import Dispatch
package import Store
package import StoreSQL
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// A PostgreSQL database behind `SQLDatabase`: threads that each own one connection, and a bounded queue before them.
///
/// | what happens | what the caller gets |
/// |---|---|
/// | all connections busy for `waitMax`, or `waitingMax` callers wait already | `.overloaded` |
/// | no server answers | `.unavailable` at once, while one thread tries again with growing pauses |
/// | serialization failure or deadlock | the transaction runs again, three times at most |
/// | connection lost before COMMIT was sent | `.unavailable`: nothing was written |
/// | connection lost after COMMIT was sent | the outcome is read on another connection; where that cannot be, `.outcomeUnknown` |
package final class PostgresDatabase: SQLDatabase {
    /// How long a caller waits for a connection.
    static let waitMax = Duration.seconds(2)
    /// The most callers that wait.
    static let waitingMax = 2_048
    static let attemptsMax = 3
    /// The longest pause between two tries to reach a server.
    static let pauseMax = Duration.seconds(1)
    /// How long the outcome of a lost commit is looked for.
    static let outcomeTimeMax = Duration.seconds(8)

    package let dialect = PostgresDialect.value
    let location: PostgresLocation
    let uptime: @Sendable () -> Uptime
    private let queue = Mutex(Queue())
    private let ready = DispatchSemaphore(value: 0)
    private let reach: Reachability
    #if Faults
    private let faults = Mutex<(@Sendable (String) throws(StoreError) -> Void)?>(nil)

    /// Called before each statement of a writer; what it throws is what the statement failed with.
    package func setFault(_ fault: (@Sendable (String) throws(StoreError) -> Void)?) { faults.withLock { $0 = fault } }
    #endif

    private struct Queue {
        var waiting: [Waiting] = []
        /// The first that still waits; what stands before it is taken.
        var first = 0
        var isClosed = false
        var threads = 0
        var closers: [CheckedContinuation<Void, Never>] = []

        var count: Int { waiting.count - first }

        mutating func pop() -> (any PostgresJob)? {
            guard first < waiting.count else { return nil }
            let job = waiting[first].job
            first += 1
            if first == waiting.count || first > 1_024 {
                waiting.removeFirst(first)
                first = 0
            }
            return job
        }
    }

    private struct Waiting {
        let job: any PostgresJob
        let since: Uptime
    }

    /// Opens the first connection, so that a wrong address is found at start; the others when they are needed.
    ///
    /// - Parameter connections: How many, and so how many transactions run at once: 1…256.
    /// - Throws: `.unavailable` with what libpq says.
    package init(_ location: PostgresLocation, connections: Int, uptime: @escaping @Sendable () -> Uptime) throws(StoreError) {
        self.location = location
        self.uptime = uptime
        reach = Reachability(uptime: uptime)
        let first = try PostgresConnection(location, uptime: uptime)
        let given = Handover(first)
        for number in 0..<max(1, connections) {
            queue.withLock { $0.threads += 1 }
            if SystemThread.start({ [self] in serve(number == 0 ? given.take() : nil) }) { continue }
            queue.withLock { $0.threads -= 1 }
            if number == 0 { throw .unavailable("the system gives no threads") }
            break
        }
        _ = SystemThread.start { [self] in watch() }
    }

    package func write<Output: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws(StoreError) -> Output,
        committed: @escaping @Sendable (Output) -> Void
    ) async throws(StoreError) -> Output {
        try await perform { (worker) throws(StoreError) in try worker.write(body, committed: committed) }
    }

    package func read<Output: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws(StoreError) -> Output
    ) async throws(StoreError) -> Output {
        try await perform { (worker) throws(StoreError) in try worker.read(body) }
    }

    /// Finishes what waits and closes every connection.
    package func close() async {
        closeSoon()
        await withCheckedContinuation { continuation in
            let isOver = queue.withLock { queue in
                if queue.threads > 0 { queue.closers.append(continuation) }
                return queue.threads == 0
            }
            if isOver { continuation.resume() }
        }
    }

    /// The same without waiting for the end.
    package func closeSoon() {
        let threads = queue.withLock { queue in
            queue.isClosed = true
            return queue.threads
        }
        for _ in 0..<threads { ready.signal() }
    }

    private func perform<Output: Sendable>(
        _ body: @escaping @Sendable (PostgresWorker) throws(StoreError) -> Output
    ) async throws(StoreError) -> Output {
        let result: Result<Output, StoreError> = await withCheckedContinuation { continuation in
            let job = PostgresJobOf(body, continuation)
            let refusal: StoreError? = queue.withLock { queue in
                if queue.isClosed { return .unavailable("the store is closed") }
                if queue.count >= PostgresDatabase.waitingMax { return .overloaded }
                queue.waiting.append(Waiting(job: job, since: uptime()))
                return nil
            }
            if let refusal { job.fail(refusal) } else { ready.signal() }
        }
        return try result.get()
    }

    /// The life of the thread that tells those who have waited too long, even while every other thread waits for the database.
    private func watch() {
        while !queue.withLock({ $0.isClosed }) {
            _ = poll(nil, 0, 250)
            refuseLate()
        }
    }

    private func refuseLate() {
        let now = uptime()
        let late: [any PostgresJob] = queue.withLock { queue in
            var late: [any PostgresJob] = []
            while queue.first < queue.waiting.count, now - queue.waiting[queue.first].since > PostgresDatabase.waitMax {
                if let job = queue.pop() { late.append(job) }
            }
            return late
        }
        for job in late { job.fail(.overloaded) }
    }

    /// The life of one thread.
    private func serve(_ first: PostgresConnection?) {
        let worker = PostgresWorker(self, reach, first)
        while true {
            ready.wait()
            let (job, isClosed) = queue.withLock { queue in (queue.pop(), queue.isClosed) }
            if let job {
                #if Faults
                worker.fault = faults.withLock { $0 }
                #endif
                job.run(worker)
            } else if isClosed {
                let closers = queue.withLock { queue in
                    queue.threads -= 1
                    return queue.threads == 0 ? queue.closers : []
                }
                for closer in closers { closer.resume() }
                return
            }
        }
    }
}

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
    func connect(_ location: PostgresLocation) throws(StoreError) -> PostgresConnection {
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
            let connection = try PostgresConnection(location, uptime: uptime)
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

    init(_ database: PostgresDatabase, _ reach: Reachability, _ first: PostgresConnection?) {
        self.database = database
        self.reach = reach
        self.connection = first
    }

    func read<Output>(_ body: (any SQLConnection) throws(StoreError) -> Output) throws(StoreError) -> Output {
        let (connection, _) = try begin { (connection) throws(StoreError) in try connection.beginRead() }
        do {
            let output = try body(connection)
            // What was read stands, whatever becomes of the end of the transaction.
            if case .unknown = connection.commit() { drop() }
            return output
        } catch {
            giveUp(connection)
            throw error
        }
    }

    func write<Output>(
        _ body: (any SQLConnection) throws(StoreError) -> Output, committed: (Output) -> Void
    ) throws(StoreError) -> Output {
        var attempt = 1
        while true {
            let (connection, number) = try begin { (connection) throws(StoreError) in try connection.beginWrite() }
            do throws(StoreError) {
                #if Faults
                connection.fault = fault
                defer { connection.fault = nil }
                #endif
                let output = try body(connection)
                failpoint("store.before_commit")
                switch connection.commit() {
                case .committed: break
                case .failed(let error): throw error
                case .unknown:
                    let timeline = connection.timeline
                    drop()
                    try resolve(number, timeline)
                }
                failpoint("store.after_commit")
                committed(output)
                return output
            } catch {
                let mayRunAgain = connection.lostAgainstAnother && attempt < PostgresDatabase.attemptsMax
                giveUp(connection)
                guard mayRunAgain else { throw error }
                attempt += 1
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
            }
        }
        let opened = try reach.connect(database.location)
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
    /// - Throws: `.unavailable` when it was rolled back; `.outcomeUnknown` when nobody can tell, for one because another history of
    ///   the cluster answers now, in which the number may be another transaction's.
    private func resolve(_ number: String, _ timeline: String) throws(StoreError) {
        let started = database.uptime()
        var pause: Int32 = 5
        while database.uptime() - started < PostgresDatabase.outcomeTimeMax {
            switch fate(of: number, timeline) {
            case .committed: return
            case .rolledBack: throw .unavailable("PostgreSQL rolled the transaction back when the connection was lost")
            case .unknown: throw .outcomeUnknown
            case .notYetKnown: break
            }
            _ = poll(nil, 0, pause)
            pause = 100
        }
        throw .outcomeUnknown
    }

    private enum Fate { case committed, rolledBack, notYetKnown, unknown }

    private func fate(of number: String, _ timeline: String) -> Fate {
        do {
            let connection = try PostgresConnection(database.location, uptime: database.uptime)
            self.connection = connection
            guard connection.timeline == timeline else { return .unknown }
            switch try connection.outcome(ofTransaction: number) {
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

/// A caller that waits for its transaction.
private protocol PostgresJob: AnyObject, Sendable {
    func run(_ worker: PostgresWorker)
    func fail(_ error: StoreError)
}

private final class PostgresJobOf<Output: Sendable>: PostgresJob {
    private let body: @Sendable (PostgresWorker) throws(StoreError) -> Output
    private let continuation: CheckedContinuation<Result<Output, StoreError>, Never>

    init(
        _ body: @escaping @Sendable (PostgresWorker) throws(StoreError) -> Output,
        _ continuation: CheckedContinuation<Result<Output, StoreError>, Never>
    ) {
        self.body = body
        self.continuation = continuation
    }

    func run(_ worker: PostgresWorker) { continuation.resume(returning: Result { () throws(StoreError) in try body(worker) }) }

    func fail(_ error: StoreError) { continuation.resume(returning: .failure(error)) }
}

/// Gives a connection to the thread that will own it.
// Confined to that thread after the start: taken there, once.
private final class Handover: @unchecked Sendable {
    private var connection: PostgresConnection?

    init(_ connection: PostgresConnection) { self.connection = connection }

    func take() -> PostgresConnection? {
        defer { connection = nil }
        return connection
    }
}
