internal import AuthCore
internal import CCurl
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// Tells a running fetch that nobody wants its answer any more.
final class FetchSignal: Sendable {
    private let reason = Mutex<OutgoingError?>(nil)

    var stopped: OutgoingError? { reason.withLock { $0 } }

    /// The first reason stands.
    func stop(_ error: OutgoingError) { reason.withLock { $0 = $0 ?? error } }
}

/// The threads that wait for other servers, and the queue before them: both bounded, and each host gets a part of either, so that one
/// that is slow cannot hold up the others (FE-11).
///
/// Threads are started when they are needed and then stay. First come, first served, among those whose host has a thread left.
final class FetchPool: Sendable {
    struct Limits: Sendable {
        /// At a time.
        var threads: Int
        var threadsPerHost: Int
        /// That wait.
        var queue: Int
        var queuePerHost: Int
    }

    private let core: Core

    init(_ limits: Limits, uptime: @escaping @Sendable () -> Uptime) { core = Core(limits, uptime: uptime) }

    deinit { core.stop(nil) }

    /// Runs `body` on one of the threads and returns what it returned.
    ///
    /// Never blocks the calling thread. `body` runs at most once, and not at all when it would begin after `deadline`.
    func run<Value: Sendable>(
        host: Identifier, deadline: Uptime, _ body: @escaping @Sendable (FetchSignal) -> Result<Value, OutgoingError>
    ) async throws(OutgoingError) -> Value {
        let (core, number, signal) = (core, core.nextNumber(), FetchSignal())
        let outcome: Result<Value, OutgoingError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let job = FetchJob(
                    number: number, host: host, deadline: deadline, signal: signal,
                    run: {
                        let value = body(signal)
                        return { continuation.resume(returning: value) }
                    },
                    drop: { continuation.resume(returning: .failure($0)) }
                )
                // The handler below may have run before the job was here to be found.
                if let error = Task.isCancelled ? .cancelled : core.enqueue(job) { job.drop(error) }
                if Task.isCancelled { core.cancel(number) }
            }
        } onCancel: {
            signal.stop(.cancelled)
            core.cancel(number)
        }
        return try outcome.get()
    }

    /// Refuses new calls, drops the waiting ones, ends the running ones (within about a second), and returns when the threads are gone.
    func close() async {
        await withCheckedContinuation { continuation in core.stop { continuation.resume() } }
    }

    /// Calls that wait, and that run.
    var load: (waiting: Int, running: Int) { core.load() }
}

struct FetchJob: Sendable {
    let number: UInt64
    let host: Identifier
    let deadline: Uptime
    let signal: FetchSignal
    /// Does the work, and returns what hands the result to the caller.
    let run: @Sendable () -> @Sendable () -> Void
    let drop: @Sendable (OutgoingError) -> Void
}

/// What the threads and the callers share.
// Confined to `mutex`: every property but the immutable ones is read and written while it is held.
private final class Core: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let arrived = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let limits: FetchPool.Limits
    private let uptime: @Sendable () -> Uptime
    private let numbers = Atomic<UInt64>(0)

    private var queue: [FetchJob] = []
    private var running: [UInt64: FetchJob] = [:]
    private var threads = 0
    private var isStopped = false
    private var waitingForEnd: [@Sendable () -> Void] = []

    init(_ limits: FetchPool.Limits, uptime: @escaping @Sendable () -> Uptime) {
        self.limits = limits
        self.uptime = uptime
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(arrived, nil)
    }

    deinit {
        pthread_cond_destroy(arrived)
        pthread_mutex_destroy(mutex)
        arrived.deallocate()
        mutex.deallocate()
    }

    private func locked<Value>(_ body: () -> Value) -> Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }

    func nextNumber() -> UInt64 { numbers.add(1, ordering: .relaxed).newValue }
    func load() -> (Int, Int) { locked { (queue.count, running.count) } }

    private func runningCount(_ host: Identifier) -> Int { running.values.count { $0.host == host } }

    func enqueue(_ job: FetchJob) -> OutgoingError? {
        let now = uptime()
        let (late, error): ([FetchJob], OutgoingError?) = locked {
            if isStopped { return ([], .stopped) }
            let late = takeLate(now)
            let ofHost = runningCount(job.host) + queue.count { $0.host == job.host }
            guard running.count + queue.count < limits.threads + limits.queue, ofHost < limits.threadsPerHost + limits.queuePerHost else {
                return (late, .overloaded)
            }
            queue.append(job)
            if threads < min(limits.threads, running.count + queue.count), SystemThread.start({ [self] in work() }) { threads += 1 }
            if threads == 0 {
                queue.removeLast()
                return (late, .unavailable)
            }
            pthread_cond_signal(arrived)
            return (late, nil)
        }
        for job in late { job.drop(.timedOut) }
        return error
    }

    /// Those that waited until their time was over.
    private func takeLate(_ now: Uptime) -> [FetchJob] {
        let late = queue.filter { $0.deadline <= now }
        if !late.isEmpty { queue.removeAll { $0.deadline <= now } }
        return late
    }

    func cancel(_ number: UInt64) {
        let job = locked { queue.firstIndex { $0.number == number }.map { queue.remove(at: $0) } }
        job?.drop(.cancelled)
    }

    func stop(_ ended: (@Sendable () -> Void)?) {
        let (dropped, isOver): ([FetchJob], Bool) = locked {
            isStopped = true
            for job in running.values { job.signal.stop(.stopped) }
            pthread_cond_broadcast(arrived)
            if let ended, threads > 0 { waitingForEnd.append(ended) }
            defer { queue = [] }
            return (queue, threads == 0)
        }
        for job in dropped { job.drop(.stopped) }
        if isOver { ended?() }
    }

    /// The life of one thread.
    private func work() {
        cc_block_signals()
        while let job = next() {
            let answer = job.run()
            locked { _ = running.removeValue(forKey: job.number) }
            answer()
        }
        let ended = locked {
            threads -= 1
            defer { if threads == 0 { waitingForEnd = [] } }
            return threads == 0 ? waitingForEnd : []
        }
        for each in ended { each() }
    }

    /// Waits for a job whose host has a thread left; nothing when the pool has stopped.
    private func next() -> FetchJob? {
        while true {
            var late: [FetchJob] = []
            let (job, isOver): (FetchJob?, Bool) = locked {
                late = takeLate(uptime())
                if isStopped { return (nil, true) }
                if let index = queue.firstIndex(where: { runningCount($0.host) < limits.threadsPerHost }) {
                    let job = queue.remove(at: index)
                    running[job.number] = job
                    // What this thread leaves may be for one that sleeps.
                    if !queue.isEmpty { pthread_cond_signal(arrived) }
                    return (job, false)
                }
                if late.isEmpty { pthread_cond_wait(arrived, mutex) }
                return (nil, false)
            }
            for job in late { job.drop(.timedOut) }
            if isOver || job != nil { return job }
        }
    }
}
