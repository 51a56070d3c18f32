import AuthCore
import Foundation
import Store
import Synchronization
import Testing

@testable import StoreSQL

@Suite("Schema: a migration under load (R-15)")
struct MigrationLoadTests {
    @Test(
        "eight writers of the previous release go on while the next one migrates: nobody fails for it",
        .timeLimit(.minutes(5)), arguments: StoreKind.drivers)
    func load(_ kind: StoreKind) async throws {
        let place = try await kind.newPlace()
        let test = try await place.open()
        // SQLite has one program: there the next one migrates in the place of this one, between its writes.
        let next = kind == .postgres ? try place.database(connections: 1) : test.database
        let load = Load()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                let account = try await test.account("writer\(writer)")
                group.addTask { try await load.run(test, account) }
            }
            group.addTask {
                defer { load.stop() }
                try await load.waitForRounds(16, test)
                // Somebody reads for longer than a migration may wait for its lock.
                let held = kind == .postgres ? try place.database(connections: 1) : nil
                let (holding, holds) = AsyncStream<Void>.makeStream()
                async let reading: Void? = held?.read { (connection: any SQLConnection) throws(StoreError) in
                    _ = try connection.query("SELECT id FROM accounts", [])
                    holds.finish()
                    for _ in 0..<2 { _ = try connection.query("SELECT pg_sleep(2.5)", []) }
                }
                if held != nil { for await _ in holding {} }
                let store = SQLStore(
                    database: next, environment: .live, limits: StoreLimits(), migrations: MigrationTests.expanded, onResources: { _ in },
                    onRevocations: { _ in })
                load.begin()
                #expect(try await store.prepare().map(\.number) == [900, 901])
                load.end()
                _ = try await reading
                try await load.waitForRounds(16, test)
            }
            try await group.waitForAll()
        }
        let (rounds, longest, migration) = load.figures
        print("migration under load, \(kind): \(rounds) rounds, longest \(longest) ms, the migration took \(migration) ms")
        // Not judged by time, which is the machine's: who waited behind a migration that waits for the reader would be given up after 4 s.
        #expect(try await test.rows("sessions") == 0)
        try await test.walk("after")
    }

    /// Sign in, refresh, sign out, over and over, and how long the longest step took.
    private final class Load: Sendable {
        private struct State {
            var rounds = 0
            var longest = Duration.zero
            var isStopped = false
            var begun: Uptime?
            var migration = Duration.zero
        }

        private let state = Mutex(State())
        private let uptime = Environment.live.uptime

        var figures: (rounds: Int, longest: Int64, migration: Int64) {
            state.withLock { ($0.rounds, $0.longest.wholeMilliseconds, $0.migration.wholeMilliseconds) }
        }

        func stop() { state.withLock { $0.isStopped = true } }
        func begin() { state.withLock { $0.begun = uptime() } }
        func end() { state.withLock { state in state.migration = uptime() - (state.begun ?? uptime()) } }

        func run(_ test: TestStore, _ account: Account) async throws {
            defer { stop() }
            while !state.withLock({ $0.isStopped }) {
                let (session, grant) = try await timed { try await test.openSession(account) }
                guard case .refreshed = try await timed({ try await test.refresh(grant, 1) }) else {
                    throw StoreError.corrupt("no refresh")
                }
                let ended = try await timed { try await test.store.end(session.id, owner: nil, at: test.now, event: test.event()) }
                guard ended else { throw StoreError.corrupt("no end") }
                state.withLock { $0.rounds += 1 }
            }
        }

        private func timed<Output>(_ body: () async throws -> Output) async throws -> Output {
            let started = uptime()
            let output = try await body()
            let took = uptime() - started
            state.withLock { $0.longest = max($0.longest, took) }
            return output
        }

        /// Until that many more rounds are done, or the load has ended.
        func waitForRounds(_ more: Int, _ test: TestStore) async throws {
            let wanted = state.withLock { $0.rounds } + more
            while state.withLock({ $0.rounds < wanted && !$0.isStopped }) { try await test.store.probe() }
        }
    }
}
