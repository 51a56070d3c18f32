import AuthCore
import Synchronization
import Testing

@testable import Accounts

/// A gate that jobs wait at, as long as a test wants them to run.
private final class Gate: Sendable {
    private let isOpen = Atomic<Bool>(false)
    private let waiting = Atomic<Int>(0)
    let order = Mutex<[Int]>([])

    func pass(_ number: Int) {
        order.withLock { $0.append(number) }
        waiting.add(1, ordering: .sequentiallyConsistent)
        while !isOpen.load(ordering: .sequentiallyConsistent) {}
    }

    func open() { isOpen.store(true, ordering: .sequentiallyConsistent) }

    func arrived(_ count: Int) async {
        while waiting.load(ordering: .sequentiallyConsistent) < count { await Task.yield() }
    }
}

private final class Count: Sendable {
    private let count = Atomic<Int>(0)

    var value: Int { count.load(ordering: .sequentiallyConsistent) }
    func add() { count.add(1, ordering: .sequentiallyConsistent) }
}

@Suite("Hash pool (PW-10)", .timeLimit(.minutes(1)))
struct HashPoolTests {
    private func pool(threads: Int, queueMax: Int) throws -> HashPool {
        try HashPool(threads: threads, queueMax: queueMax, environment: TestEnvironment().environment)
    }

    private func queued(_ pool: HashPool, _ count: Int) async {
        while pool.queued < count { await Task.yield() }
    }

    @Test("as many run as there are threads, as many wait as may wait, and the next is refused at once")
    func bounds() async throws {
        let pool = try pool(threads: 2, queueMax: 3)
        let gate = Gate()
        try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<2 {
                group.addTask {
                    try await pool.run {
                        gate.pass(number); return number
                    }
                }
                await gate.arrived(number + 1)
            }
            for number in 2..<5 {
                group.addTask {
                    try await pool.run {
                        gate.pass(number); return number
                    }
                }
            }
            await queued(pool, 3)
            for _ in 0..<10 { await #expect(throws: HashPoolError.full) { try await pool.run {} } }
            #expect(gate.order.withLock { $0.count } == 2)
            gate.open()
            var results: Set<Int> = []
            for try await number in group { results.insert(number) }
            #expect(results == [0, 1, 2, 3, 4])
        }
        #expect(try await pool.run { 7 } == 7)
    }

    @Test("with no queue a job runs when a thread is free and is refused otherwise")
    func noQueue() async throws {
        let pool = try pool(threads: 1, queueMax: 0)
        let gate = Gate()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run { gate.pass(0) } }
            await gate.arrived(1)
            await #expect(throws: HashPoolError.full) { try await pool.run {} }
            gate.open()
            try await group.waitForAll()
        }
        #expect(try await pool.run { true })
    }

    @Test("first come, first served")
    func fair() async throws {
        let pool = try pool(threads: 1, queueMax: 20)
        let gate = Gate()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run { gate.pass(0) } }
            await gate.arrived(1)
            for number in 1...20 {
                group.addTask { try await pool.run { gate.pass(number) } }
                await queued(pool, number)
            }
            gate.open()
            try await group.waitForAll()
        }
        #expect(gate.order.withLock { $0 } == Array(0...20))
    }

    @Test("a waiting job whose caller is cancelled never runs, and gives its place back")
    func cancelled() async throws {
        let pool = try pool(threads: 1, queueMax: 1)
        let gate = Gate()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run { gate.pass(0) } }
            await gate.arrived(1)
            let waiting = Task { () -> HashPoolError? in
                do throws(HashPoolError) {
                    try await pool.run { gate.pass(1) }
                    return nil
                } catch { return error }
            }
            await queued(pool, 1)
            waiting.cancel()
            #expect(await waiting.value == .cancelled)
            #expect(pool.queued == 0)
            group.addTask { try await pool.run { gate.pass(2) } }
            await queued(pool, 1)
            gate.open()
            try await group.waitForAll()
        }
        #expect(gate.order.withLock { $0 } == [0, 2])
    }

    @Test("a caller that is cancelled before it asks gets no thread")
    func cancelledBefore() async throws {
        let pool = try pool(threads: 1, queueMax: 1)
        let ran = Count()
        await withTaskGroup(of: Void.self) { group in
            group.cancelAll()
            group.addTask {
                await #expect(throws: HashPoolError.cancelled) { try await pool.run { ran.add() } }
            }
        }
        #expect(ran.value == 0)
    }

    @Test("stopping drops what waits, lets what runs end, and refuses what comes")
    func stop() async throws {
        let pool = try pool(threads: 1, queueMax: 5)
        let gate = Gate()
        await withTaskGroup(of: HashPoolError?.self) { group in
            let attempt: @Sendable (Int) async -> HashPoolError? = { number in
                do throws(HashPoolError) {
                    try await pool.run { gate.pass(number) }
                    return nil
                } catch { return error }
            }
            group.addTask { await attempt(0) }
            await gate.arrived(1)
            for number in 1...3 { group.addTask { await attempt(number) } }
            await queued(pool, 3)
            pool.stop()
            pool.stop()
            await #expect(throws: HashPoolError.stopped) { try await pool.run {} }
            gate.open()
            var stopped = 0
            for await error in group {
                #expect(error == nil || error == .stopped)
                if error == .stopped { stopped += 1 }
            }
            #expect(stopped == 3)
        }
        #expect(gate.order.withLock { $0 } == [0])
    }

    @Test("many callers that come, go and cancel all get an answer")
    func storm() async throws {
        let pool = try pool(threads: 2, queueMax: 8)
        let ran = Count()
        let answers = await withTaskGroup(of: HashPoolError?.self, returning: [HashPoolError?].self) { group in
            for number in 0..<2_000 {
                group.addTask {
                    let caller = Task { () -> HashPoolError? in
                        do throws(HashPoolError) {
                            try await pool.run { ran.add() }
                            return nil
                        } catch { return error }
                    }
                    if number % 3 == 0 { caller.cancel() }
                    return await caller.value
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.count == 2_000)
        #expect(answers.count { $0 == nil } == ran.value)
        #expect(pool.queued == 0)
    }

    @Test("the wait that is announced follows from the recent jobs and the queue, and is at least a second")
    func wait() async throws {
        let clock = TestEnvironment()
        let pool = try HashPool(threads: 1, queueMax: 10, environment: clock.environment)
        #expect(pool.estimatedWait == .seconds(1))
        try await pool.run { clock.advance(.milliseconds(1_500)) }
        #expect(pool.estimatedWait == .seconds(2))
        let gate = Gate()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run { gate.pass(0) } }
            await gate.arrived(1)
            for number in 1...3 { group.addTask { try await pool.run { gate.pass(number) } } }
            await queued(pool, 3)
            #expect(pool.estimatedWait == .seconds(7))
            gate.open()
            try await group.waitForAll()
        }
    }
}
