import AuthCore
import Foundation
import PostgresServer
import Store
import StorePostgres
import Synchronization
import TestSupport
import Testing

/// Connections that are lost at a COMMIT, or anywhere (RELIABILITY R-4b). A second store without a proxy says what is really there.
@Suite("PostgreSQL: connections that are lost", .serialized)
struct LostCommitTests {
    /// A store behind a proxy, and one beside it on the same schema.
    private struct Pair {
        let proxy: PostgresProxy
        let test: TestStore
        let truth: TestStore

        init(on server: PostgresServer? = nil, connections: Int = 4) async throws {
            let (proxy, uri, direct) = try await onThread {
                let server = try server ?? PostgresServer.shared()
                let direct = try server.newSchema()
                let schema = try #require(direct.components(separatedBy: "%3D").last)
                let proxy = try PostgresProxy(to: server.socket)
                return (proxy, proxy.uri(schema: schema), direct)
            }
            self.proxy = proxy
            truth = try await TestStore(uri: direct, connections: 2)
            test = try await TestStore(uri: uri, connections: connections)
        }
    }

    /// What callers were told, counted.
    private final class Told: Sendable {
        let done = Tally()
        let notDone = Tally()
        let unknown = Tally()

        /// - Returns: Whether it was done; nothing when nobody knows.
        func call<Output: Sendable>(_ body: () async throws -> Output) async throws -> (isDone: Bool?, output: Output?) {
            do {
                let output = try await body()
                done.add()
                return (true, output)
            } catch StoreError.outcomeUnknown {
                unknown.add()
                return (nil, nil)
            } catch StoreError.unavailable {
                notDone.add()
                return (false, nil)
            }
        }
    }

    /// The COMMITs of one caller, cut by the seed. Returns what is wrong.
    private func caller(_ pair: Pair, _ name: String, rounds: Int, told: Told) async throws -> [String] {
        var wrong: [String] = []
        let (test, truth) = (pair.test, pair.truth)
        for round in 0..<rounds {
            let account = try await truth.account("\(name)-\(round)")
            // A session: there with its grant, or neither.
            let (isOpen, opened) = try await told.call { try await test.openSession(account) }
            let sessions = try await truth.store.sessions(of: account.id, at: truth.now)
            if isOpen == true, sessions.count != 1 { wrong.append("an answered sign-in is lost") }
            if isOpen == false, !sessions.isEmpty { wrong.append("a refused sign-in is there") }
            var grant: Grant
            if let opened { grant = opened.1 } else { grant = try await truth.openSession(account).1 }
            // Refreshing: the counter moves once for each answer, and the same request again works whatever was told.
            for _ in 0..<2 {
                let before = grant.rotation.current
                let told = try await told.call { try await test.refresh(grant, before) }
                grant = try #require(try await truth.store.grant(grant.id))
                let moved = grant.rotation.current - before
                if let isDone = told.isDone, moved != (isDone ? 1 : 0) { wrong.append("a refresh was told \(isDone) and moved \(moved)") }
                guard case .refreshed(let again) = try await truth.refresh(grant, before), again.successor == before + 1 else {
                    wrong.append("a repeated refresh does not give the successor (I6)")
                    continue
                }
                grant = try #require(try await truth.store.grant(again.grant.id))
            }
            // Revoking: in the row and in the log, or in neither.
            let id = grant.id
            let (isRevoked, _) = try await told.call { try await test.store.revoke(id, at: test.now, event: test.event()) }
            let row = try #require(try await truth.store.grant(id))
            let log = try await truth.store.revocationSnapshot().records.filter { $0.id == id }.count
            if log != (row.isRevoked ? 1 : 0) { wrong.append("row \(row.isRevoked) and log \(log) differ (I4)") }
            if let isRevoked, row.isRevoked != isRevoked { wrong.append("a revocation was told \(isRevoked) and is \(row.isRevoked) (I3)") }
        }
        return wrong
    }

    @Test("what was answered is there, what was refused is not, whatever is cut around COMMIT (R-4b, I2, I6)", .timeLimit(.minutes(20)))
    func aroundCommit() async throws {
        let pair = try await Pair()
        let random = Mutex(SeededGenerator(seed: 41))
        let fates: [PostgresProxy.Fate] = [.cutBefore, .cutAfter, .cutAtAnswer, .cutAfterAnswer]
        pair.proxy.onMessage { isCommit in
            random.withLock { random in
                // Most COMMITs, and now and then anything else.
                let isCut = isCommit ? Int.random(in: 0..<10, using: &random) < 7 : Int.random(in: 0..<100, using: &random) == 0
                return isCut ? fates.randomElement(using: &random) ?? .cutAfter : .forward
            }
        }
        let told = Told()
        let rounds = ProcessInfo.processInfo.environment["GATEHOUSE_SOAK"] == nil ? 12 : 700
        let wrong = try await withThrowingTaskGroup(of: [String].self) { group in
            for name in ["a", "b", "c", "d"] {
                group.addTask { try await self.caller(pair, name, rounds: rounds, told: told) }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        pair.proxy.stop()
        #expect(wrong.isEmpty, "\(wrong.prefix(10))")
        // The server was there all the time: everything can be known.
        #expect(told.unknown.value == 0)
        #expect(told.done.value > rounds * 4 && told.notDone.value > rounds, "\(told.done.value) done, \(told.notDone.value) not")
        #expect(pair.proxy.cuts > rounds * 8, "\(pair.proxy.cuts)")
    }

    @Test(
        "a connection that is lost within a transaction is replaced once, and the caller does not notice (R-4b)",
        arguments: [0, 1, 5, 9, 12])
    func lostWithin(message: Int) async throws {
        let pair = try await Pair(connections: 1)
        let account = try await pair.truth.account("alice")
        _ = try await pair.test.openSession(account)
        let count = Atomic(0)
        pair.proxy.onMessage { _ in count.wrappingAdd(1, ordering: .relaxed).oldValue == message ? .cutAfter : .forward }
        let told = try await Told().call { try await pair.test.openSession(account) }
        #expect(told.isDone == true && pair.proxy.cuts == 1)
        #expect(try await pair.truth.store.sessions(of: account.id, at: pair.truth.now).count == 2)
        // Reading is the same.
        count.store(0, ordering: .relaxed)
        let found = try await pair.test.store.sessions(of: account.id, at: pair.truth.now)
        #expect(found.count == 2 && pair.proxy.cuts == (count.load(ordering: .relaxed) > message ? 2 : 1))
        pair.proxy.stop()
    }

    @Test("where every connection is lost, callers are told so after the second (R-4b, I2)")
    func lostAlways() async throws {
        let pair = try await Pair(connections: 1)
        let account = try await pair.truth.account("alice")
        _ = try await pair.test.openSession(account)
        // What a connection asks when it is opened passes; the rest does not.
        pair.proxy.onMessage { _ in .cutAfter }
        let told = try await Told().call { try await pair.test.openSession(account) }
        #expect(told.isDone == false)
        pair.proxy.onMessage { _ in .forward }
        #expect(try await pair.truth.store.sessions(of: account.id, at: pair.truth.now).count == 1)
        pair.proxy.stop()
    }

    @Test("a transaction begins with its first statement: a refresh is four ways to the server and back, a read two")
    func ways() async throws {
        let pair = try await Pair(connections: 1)
        let (test, account) = (pair.test, try await pair.truth.account("alice"))
        let (_, grant) = try await test.openSession(account)
        var counter = grant.rotation.current
        var ways: [Int] = []
        // The first prepares its statements, in the same ways.
        for _ in 0..<3 {
            let before = pair.proxy.ways
            guard case .refreshed(let refreshed) = try await test.refresh(grant, counter) else {
                Issue.record("it was not refreshed")
                return
            }
            counter = refreshed.successor
            ways.append(pair.proxy.ways - before)
        }
        #expect(ways == [4, 4, 4])
        let before = pair.proxy.ways
        _ = try await test.store.sessions(of: account.id, at: test.now)
        #expect(pair.proxy.ways - before == 2)
        pair.proxy.stop()
    }

    @Test("a COMMIT that the server never saw is known to be undone as soon as the server knows it (R-4b)", .timeLimit(.minutes(1)))
    func neverArrived() async throws {
        let pair = try await Pair(connections: 1)
        let account = try await pair.truth.account("alice")
        let isFirst = Atomic(true)
        // The server waits for more until its own limit for an idle transaction.
        pair.proxy.onMessage { $0 && isFirst.exchange(false, ordering: .relaxed) ? .leaveBefore : .forward }
        let told = try await Told().call { try await pair.test.openSession(account) }
        #expect(told.isDone == false)
        #expect(try await pair.truth.store.sessions(of: account.id, at: pair.truth.now).isEmpty)
        _ = try await pair.test.openSession(account)
        pair.proxy.stop()
    }

    @Test("a number that a crashed server gives to another transaction is not taken for ours (R-4b, I1)", .timeLimit(.minutes(2)))
    func numberAgain() async throws {
        // Nobody writes the log but who commits: what was not committed is lost with the process.
        let server = try await onThread { try PostgresServer(settings: ["wal_writer_delay=10000ms"], port: 5_433) }
        let pair = try await Pair(on: server, connections: 1)
        let account = try await pair.truth.account("alice")
        let isFirst = Atomic(true)
        let (came, go) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        pair.proxy.onMessage { isCommit in
            guard isCommit, isFirst.exchange(false, ordering: .relaxed) else { return .forward }
            came.signal()
            _ = go.wait(timeout: .now() + 30)
            return .cutBefore
        }
        async let told = Told().call { try await pair.test.openSession(account) }
        try await onThread {
            _ = came.wait(timeout: .now() + 30)
            server.kill()
            try server.start(["wal_writer_delay=10000ms"])
            // Others get the numbers that were lost, and commit.
            for _ in 0..<20 { try server.statement("SELECT pg_current_xact_id()") }
            go.signal()
        }
        let isDone = try await told.isDone
        let sessions = try await pair.truth.store.sessions(of: account.id, at: pair.truth.now)
        #expect(isDone != true && sessions.isEmpty, "told \(String(describing: isDone)), there are \(sessions.count)")
        pair.proxy.stop()
        await onThreadQuietly { server.kill() }
    }

    @Test("a commit that waits for a standby that is gone is told as unknown in bounded time, and takes up no connection of the server")
    func noStandby() async throws {
        let server = try await onThread { try PostgresServer(port: 5_434) }
        let test = try await TestStore(uri: try server.newSchema(), connections: 2)
        let account = try await test.account("alice")
        try await onThread {
            // Not by a reload, of which nobody can say when every process has read it.
            server.kill()
            try server.start(["synchronous_standby_names=nobody"])
        }
        let start = ContinuousClock.now
        let told = Told()
        _ = try await told.call { try await test.openSession(account) }
        let elapsed = ContinuousClock.now - start
        #expect(told.unknown.value == 1)
        #expect(elapsed < .seconds(14), "\(elapsed)")
        let waiting = try await onThread { try server.statement("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") }
        #expect(waiting == "0")
        // Reading goes on meanwhile.
        #expect(try await test.store.account(id: account.id) != nil)
        await onThreadQuietly { server.kill() }
    }
}

/// For what cannot fail.
func onThreadQuietly(_ body: @escaping @Sendable () -> Void) async {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread {
            body()
            continuation.resume()
        }
    }
}
