package import AuthCore
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// Why a job did not run.
package enum HashPoolError: Error, Sendable, Equatable {
    /// As many wait as may wait: answer 503 with `Retry-After` (PW-10).
    case full
    /// The pool has ended.
    case stopped
    /// The caller was cancelled while the job waited.
    case cancelled
    /// The machine gave no threads when the pool was made.
    case noThreads
}

/// The threads that hash passwords, and the queue before them: both bounded, so that a storm of sign-ins can neither take the
/// memory (threads × the memory of one hash) nor the threads that serve everything else (PW-10).
///
/// First come, first served. A waiting job whose caller is cancelled leaves the queue at once; a running one runs to its end.
/// Letting go of the pool stops it.
package final class HashPool: Sendable {
    private let core: Core
    package let threads: Int
    package let queueMax: Int

    /// - Parameters:
    ///   - threads: Jobs at a time, at least 1. One for each core is right, because hashing does nothing but compute.
    ///   - queueMax: Jobs that may wait, at least 0.
    /// - Throws: `.noThreads` when not even one thread could be started; with some, the pool is smaller than asked.
    package init(threads: Int, queueMax: Int, environment: Environment) throws(HashPoolError) {
        let core = Core(queueMax: max(0, queueMax), uptime: environment.uptime)
        var started = 0
        for _ in 0..<max(1, threads) where SystemThread.start({ core.work() }) { started += 1 }
        guard started > 0 else { throw .noThreads }
        self.core = core
        self.threads = started
        self.queueMax = max(0, queueMax)
        core.setThreads(started)
    }

    deinit { core.stop() }

    /// Runs `body` on one of the threads and returns what it returned.
    ///
    /// Never blocks the calling thread. `body` runs at most once, and not at all when this throws.
    package func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async throws(HashPoolError) -> Value {
        let core = core
        let number = core.nextNumber()
        let outcome: Result<Value, HashPoolError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let job = Job(
                    number: number,
                    run: {
                        let value = body()
                        return { continuation.resume(returning: .success(value)) }
                    },
                    drop: { continuation.resume(returning: .failure($0)) }
                )
                // The handler below may have run before the job was here to be found.
                if let error = Task.isCancelled ? .cancelled : core.enqueue(job) { job.drop(error) }
                if Task.isCancelled { core.cancel(number) }
            }
        } onCancel: {
            core.cancel(number)
        }
        return try outcome.get()
    }

    /// How long a new job would wait for a thread, by the mean time of the recent ones; at least a second, in whole seconds, for
    /// `Retry-After`.
    package var estimatedWait: Duration { core.estimatedWait() }

    /// Jobs that wait now.
    package var queued: Int { core.queued() }

    /// Refuses new jobs and drops the waiting ones with `.stopped`. Running jobs end; the threads then go.
    package func stop() { core.stop() }
}

private struct Job: Sendable {
    let number: UInt64
    /// Does the work, and returns what hands the result to the caller.
    let run: @Sendable () -> @Sendable () -> Void
    let drop: @Sendable (HashPoolError) -> Void
}

/// What the threads and the callers share.
// Confined to `mutex`: every property but the immutable ones is read and written while it is held.
private final class Core: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let arrived = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let queueMax: Int
    private let uptime: @Sendable () -> Uptime
    private let numbers = Atomic<UInt64>(0)

    private var queue: [Job] = []
    private var running = 0
    private var threads = 1
    private var isStopped = false
    /// A moving mean over the last ten jobs or so; nothing before the first.
    private var meanNanoseconds: Int64 = 0

    init(queueMax: Int, uptime: @escaping @Sendable () -> Uptime) {
        self.queueMax = queueMax
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
    func setThreads(_ count: Int) { locked { threads = count } }
    func queued() -> Int { locked { queue.count } }

    func enqueue(_ job: Job) -> HashPoolError? {
        locked {
            if isStopped { return .stopped }
            // Threads that are idle, or about to be woken for a job in the queue, do not count against the queue.
            guard running + queue.count < threads + queueMax else { return .full }
            queue.append(job)
            pthread_cond_signal(arrived)
            return nil
        }
    }

    func cancel(_ number: UInt64) {
        let job = locked { queue.firstIndex { $0.number == number }.map { queue.remove(at: $0) } }
        job?.drop(.cancelled)
    }

    func stop() {
        let dropped = locked {
            isStopped = true
            defer { queue = [] }
            pthread_cond_broadcast(arrived)
            return queue
        }
        for job in dropped { job.drop(.stopped) }
    }

    func estimatedWait() -> Duration {
        locked {
            let turns = Int64(queue.count / threads + 1)
            let (nanoseconds, overflow) = meanNanoseconds.multipliedReportingOverflow(by: turns)
            let seconds = overflow ? 3_600 : min(nanoseconds / 1_000_000_000 + 1, 3_600)
            return .seconds(seconds)
        }
    }

    /// The life of one thread.
    func work() {
        while let job = next() {
            let started = uptime()
            let answer = job.run()
            finished(after: uptime() - started)
            answer()
        }
    }

    /// Waits for a job; nothing when the pool has stopped.
    private func next() -> Job? {
        locked {
            while queue.isEmpty {
                if isStopped { return nil }
                pthread_cond_wait(arrived, mutex)
            }
            running += 1
            return queue.removeFirst()
        }
    }

    private func finished(after duration: Duration) {
        let (seconds, attoseconds) = duration.components
        // A job above an hour is one whose machine slept.
        let nanoseconds = min(max(0, seconds), 3_600) * 1_000_000_000 + attoseconds / 1_000_000_000
        locked {
            running -= 1
            meanNanoseconds = meanNanoseconds == 0 ? nanoseconds : (meanNanoseconds * 9 + nanoseconds) / 10
        }
    }
}
