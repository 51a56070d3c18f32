import AuthCore
import Foundation
import PostgresServer
import Store
import StorePostgres
import StoreSQL
import Synchronization
import TestSupport
import Testing

/// A server that is slow, full, frozen or locked: every wait has an end, and all goes on afterwards (RELIABILITY R-4d, R-19).
@Suite("PostgreSQL: bounded waits", .serialized)
struct BoundTests {
    /// Ends at the latest when the database's limits end what it holds.
    private final class Gate: Sendable {
        private let semaphore = DispatchSemaphore(value: 0)
        func open() { semaphore.signal() }
        /// Whether it was opened within `milliseconds`.
        func wait(_ milliseconds: Int) -> Bool { semaphore.wait(timeout: .now() + .milliseconds(milliseconds)) == .success }
    }

    private func database(_ uri: String, connections: Int) throws -> PostgresDatabase {
        let servers = PostgresServers(PostgresLocation(Secret(uri)), uptime: Environment.live.uptime)
        return try PostgresDatabase(servers, connections: connections)
    }

    private func outcome<Output: Sendable>(_ body: () async throws(StoreError) -> Output) async -> StoreError? {
        do throws(StoreError) { _ = try await body() } catch { return error }
        return nil
    }

    @Test("with every connection held up callers are told so within two seconds and a bit, and the rest go on after it (R-4d)")
    func exhausted() async throws {
        let uri = try await onThread { try PostgresServer.shared().newSchema() }
        let test = try await TestStore(uri: uri, connections: 3, waitMax: PostgresDatabase.waitMax)
        let (held, other) = (try await test.account("alice"), try await test.account("bob"))
        let holder = try database(uri, connections: 1)
        let (isHeld, release) = (Gate(), Gate())
        async let holding: Void = holder.write(
            { (connection) throws(StoreError) in
                _ = try connection.query("SELECT id FROM accounts WHERE id = ?1 FOR UPDATE", [.text(held.id.text)])
                isHeld.open()
                // The server ends a transaction that says nothing for six seconds.
                for _ in 0..<60 {
                    if release.wait(1_000) { break }
                    _ = try connection.query("SELECT 1", [])
                }
            }, committed: { _ in })
        #expect(
            await withCheckedContinuation { continuation in Thread.detachNewThread { continuation.resume(returning: isHeld.wait(10_000)) } }
        )
        let start = ContinuousClock.now
        let errors = await withTaskGroup(of: (StoreError?, Duration).self) { group in
            for number in 0..<40 {
                group.addTask {
                    let error = await self.outcome { () throws(StoreError) in
                        // The first hold all connections, for the lock is not theirs; the others want nothing but a connection.
                        try await test.store.endAll(of: number < 20 ? held.id : other.id, at: test.now, event: test.event())
                    }
                    return (error, ContinuousClock.now - start)
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(errors.allSatisfy { $0.0 != nil || $0.1 < .seconds(9) })
        #expect(errors.filter { $0.0 == .overloaded }.count >= 20, "\(errors.map(\.0))")
        for (error, elapsed) in errors where error == .overloaded { #expect(elapsed < .seconds(4), "\(elapsed)") }
        // The server itself ended those who waited for the lock.
        #expect(errors.contains { if case .unavailable(let text)? = $0.0 { text.contains("57014") } else { false } })
        #expect(errors.allSatisfy { $0.1 < .seconds(12) })
        release.open()
        try await holding
        try await test.store.endAll(of: held.id, at: test.now, event: test.event())
        holder.closeSoon()
    }

    @Test("a transaction that loses against another runs again, three times at most (R-4d)")
    func attempts() async throws {
        let database = try database(try await onThread { try PostgresServer.shared().newSchema() }, connections: 1)
        for (state, losses, wanted) in [("40001", 2, 3), ("40P01", 2, 3), ("40001", 9, 3), ("55P03", 1, 1), ("23514", 1, 1)] {
            let attempts = Tally()
            let error = await outcome { () throws(StoreError) in
                try await database.write(
                    { (connection) throws(StoreError) in
                        attempts.add()
                        if attempts.value <= losses {
                            _ = try connection.execute("DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '\(state)'; END $$", [])
                        }
                    }, committed: { _ in })
            }
            #expect(attempts.value == wanted, "\(state), \(losses)")
            #expect((error == nil) == (losses < wanted), "\(state), \(losses): \(String(describing: error))")
        }
        database.closeSoon()
    }

    @Test("of two transactions that wait for each other one runs again, and both are done (R-4d)")
    func deadlock() async throws {
        let database = try database(try await onThread { try PostgresServer.shared().newSchema() }, connections: 2)
        try await database.write(
            { (connection) throws(StoreError) in
                _ = try connection.execute("CREATE TABLE rows (id BIGINT PRIMARY KEY, count BIGINT NOT NULL)", [])
                _ = try connection.execute("INSERT INTO rows VALUES (1, 0), (2, 0)", [])
            }, committed: { _ in })
        let gates = [Gate(), Gate()]
        let attempts = Tally()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for own in 0..<2 {
                group.addTask {
                    let isFirst = Atomic(true)
                    try await database.write(
                        { (connection) throws(StoreError) in
                            attempts.add()
                            let add = "UPDATE rows SET count = count + 1 WHERE id = ?1"
                            _ = try connection.execute(add, [.int(Int64(own + 1))])
                            if isFirst.exchange(false, ordering: .relaxed) {
                                gates[own].open()
                                _ = gates[1 - own].wait(5_000)
                            }
                            _ = try connection.execute(add, [.int(Int64(2 - own))])
                        }, committed: { _ in })
                }
            }
            try await group.waitForAll()
        }
        // One more where the one that runs again is the quicker one.
        #expect(attempts.value > 2)
        let rows = try await database.read { (connection) throws(StoreError) in try connection.query("SELECT count FROM rows", []) }
        #expect(rows.map(\.values) == [[.int(2)], [.int(2)]])
        database.closeSoon()
    }

    @Test("a server that is frozen holds nobody for long, and all is well when it goes on (R-19)", .timeLimit(.minutes(2)))
    func frozen() async throws {
        let server = try await onThread { try PostgresServer(port: 5_435) }
        let test = try await TestStore(uri: try server.newSchema(), connections: 3, waitMax: PostgresDatabase.waitMax)
        let account = try await test.account("alice")
        await onThreadQuietly { server.signalAll(SIGSTOP) }
        for (round, bound) in [Duration.seconds(20), .seconds(12)].enumerated() {
            let start = ContinuousClock.now
            let errors = await withTaskGroup(of: StoreError?.self) { group in
                for _ in 0..<12 {
                    group.addTask {
                        await self.outcome { () throws(StoreError) in
                            try await test.store.endAll(of: account.id, at: test.now, event: test.event())
                        }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            let elapsed = ContinuousClock.now - start
            #expect(elapsed < bound, "round \(round): \(elapsed)")
            #expect(errors.allSatisfy { $0 != nil && $0 != .outcomeUnknown }, "\(errors)")
        }
        await onThreadQuietly { server.signalAll(SIGCONT) }
        let start = ContinuousClock.now
        while await outcome({ () throws(StoreError) in try await test.store.probe() }) != nil, ContinuousClock.now - start < .seconds(10) {}
        #expect(ContinuousClock.now - start < .seconds(6))
        try await test.store.endAll(of: account.id, at: test.now, event: test.event())
        await onThreadQuietly { server.kill() }
    }

    @Test("a statement that nobody takes any more ends at its limit, however long it is", .timeLimit(.minutes(1)))
    func stalled() async throws {
        let server = try await onThread { try PostgresServer.shared() }
        let schema = try #require(try server.newSchema().components(separatedBy: "%3D").last)
        let proxy = try PostgresProxy(to: server.socket)
        let database = try database(proxy.uri(schema: schema) + "&tcp_user_timeout=0", connections: 1)
        let start = ContinuousClock.now
        let error = await outcome { () throws(StoreError) in
            try await database.write(
                { (connection) throws(StoreError) in
                    proxy.set(.stalled)
                    _ = try connection.query("SELECT octet_length(?1::bytea)", [.blob([UInt8](repeating: 7, count: 16 << 20))])
                }, committed: { _ in })
        }
        #expect(error == .unavailable("PostgreSQL does not answer"))
        #expect(ContinuousClock.now - start < .seconds(12), "\(ContinuousClock.now - start)")
        proxy.set(.open)
        let read = { () async throws(StoreError) in
            try await database.read { (connection) throws(StoreError) in try connection.query("SELECT 1", []).count }
        }
        #expect(await outcome(read) == nil)
        proxy.set(.refusing)
        // The connection that there is may last for a moment.
        var refused: StoreError?
        for _ in 0..<100 where refused == nil { refused = await outcome(read) }
        #expect(refused != nil)
        proxy.stop()
        database.closeSoon()
    }

    @Test("a program that starts while another one changes the schema waits for it, longer than any statement may take")
    func migration() async throws {
        let server = try await onThread { try PostgresServer.shared() }
        let uri = try server.newSchema()
        let schema = try #require(uri.components(separatedBy: "%3D").last)
        let isHeld = Gate()
        async let held = onThread {
            // Said before it is true, by less than a second of six.
            isHeld.open()
            return try server.statement(
                "SELECT pg_advisory_lock(1195463749, hashtext('\(schema)')); SELECT pg_sleep(6)")
        }
        await onThreadQuietly {
            _ = isHeld.wait(10_000)
            let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1195463749"
            for _ in 0..<500 {
                if (try? server.statement("\(locks) AND objid = (hashtext('\(schema)')::bigint & 4294967295)")) == "1" { break }
            }
        }
        let start = ContinuousClock.now
        let test = try await TestStore(uri: uri, connections: 1)
        #expect(ContinuousClock.now - start > .seconds(4))
        _ = try await test.account("alice")
        _ = try await held
    }
}
