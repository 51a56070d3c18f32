internal import AuthCore
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
/// | connection lost before COMMIT was sent | nothing was written; the transaction runs again once, on another connection |
/// | connection lost after COMMIT was sent | the outcome is read on another connection; where that cannot be, `.outcomeUnknown` |
package final class PostgresDatabase: SQLDatabase {
    /// How long a caller waits for a connection.
    package static let waitMax = Duration.seconds(2)
    /// The most callers that wait.
    static let waitingMax = 2_048
    static let attemptsMax = 3
    /// The longest pause between two tries to reach a server.
    static let pauseMax = Duration.seconds(1)
    /// How long a commit may take, the search for its outcome included.
    static let outcomeTimeMax = Duration.seconds(8)

    package let dialect = PostgresDialect.value
    package let servers: PostgresServers
    let uptime: @Sendable () -> Uptime
    private let waitMax: Duration
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
    /// - Parameters:
    ///   - connections: How many, and so how many transactions run at once: 1…256.
    ///   - waitMax: How long a caller waits for one of them.
    /// - Throws: `.unavailable` with what libpq says.
    package init(
        _ servers: PostgresServers, connections: Int, waitMax: Duration = PostgresDatabase.waitMax
    ) throws(StoreError) {
        self.servers = servers
        self.waitMax = waitMax
        uptime = servers.uptime
        reach = Reachability(uptime: uptime)
        let first = try servers.connect()
        let given = Handover(first)
        for number in 0..<max(1, connections) {
            queue.withLock { $0.threads += 1 }
            if SystemThread.start({ [self] in serve(number == 0 ? given : nil) }) { continue }
            queue.withLock { $0.threads -= 1 }
            if number == 0 { throw .unavailable("the system gives no threads") }
            break
        }
        _ = SystemThread.start { [self] in watch() }
        if servers.areSeveral { _ = SystemThread.start { [self] in look() } }
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

    package func query(_ sql: String, _ arguments: [SQLValue]) async throws(StoreError) -> [SQLRow] {
        try await perform { (worker) throws(StoreError) in try worker.query(sql, arguments) }
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

    /// The life of the thread that finds a server that was promoted while the one that is used goes on.
    private func look() {
        while !queue.withLock({ $0.isClosed }) {
            _ = poll(nil, 0, 250)
            servers.lookAround()
        }
    }

    private func refuseLate() {
        let now = uptime()
        let late: [any PostgresJob] = queue.withLock { queue in
            var late: [any PostgresJob] = []
            while queue.first < queue.waiting.count, now - queue.waiting[queue.first].since > waitMax {
                if let job = queue.pop() { late.append(job) }
            }
            return late
        }
        for job in late { job.fail(.overloaded) }
    }

    /// The life of one thread.
    private func serve(_ given: Handover?) {
        // Nobody else keeps the connection: what holds a lock at the server ends when the worker lets go of it.
        let worker = PostgresWorker(self, reach, given)
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
final class Handover: @unchecked Sendable {
    private var connection: PostgresConnection?

    init(_ connection: PostgresConnection) { self.connection = connection }

    func take() -> PostgresConnection? {
        defer { connection = nil }
        return connection
    }
}
