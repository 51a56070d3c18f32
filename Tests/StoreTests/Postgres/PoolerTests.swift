import AuthCore
import Foundation
import PostgresServer
import Store
import StorePostgres
import TestSupport
import Testing

/// PgBouncer in transaction mode: what is ours stays within a transaction, and the server behind it may change. The contract runs
/// through it as well (`StoreKind.pooled`).
@Suite("PostgreSQL: behind PgBouncer", .serialized)
struct PoolerTests {
    private func outcome<Output: Sendable>(_ body: () async throws(StoreError) -> Output) async -> StoreError? {
        do throws(StoreError) { _ = try await body() } catch { return error }
        return nil
    }

    @Test("nothing of ours stays on the connection that the next one is lent")
    func nothingStays() async throws {
        let (pooler, schema) = try await onThread {
            let server = try PostgresServer.shared()
            let schema = try #require(try server.newSchema().components(separatedBy: "%3D").last)
            // One connection, which everybody is lent.
            return (try PgBouncer(to: server.folder.path, connections: 1), schema)
        }
        let test = try await TestStore(uri: pooler.uri(schema: schema), connections: 4)
        let account = try await test.account("alice")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    let (_, grant) = try await test.openSession(account)
                    _ = try await test.refresh(grant, 1)
                    _ = try await test.store.revoke(grant.id, at: test.now, event: test.event())
                }
            }
            try await group.waitForAll()
        }
        let left = try await onThread {
            try pooler.statement(
                """
                SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'),
                    (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_locks
                        WHERE locktype = 'advisory' AND pid = pg_backend_pid()), (SELECT count(*) FROM pg_listening_channels())
                """, schema: schema)
        }
        #expect(left == "0|0|0|0|0")
    }

    @Test(
        "when another server stands behind it, an older one is refused, and a commit in between is told as unknown", .timeLimit(.minutes(2))
    )
    func promotionBehind() async throws {
        let (primary, standby, pooler, link) = try await onThread {
            let primary = try PostgresServer(port: 5_436)
            let standby = try PostgresServer(standbyOf: primary)
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gh-pl-\(UUID().uuidString.prefix(8))")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            let link = folder.appendingPathComponent(".s.PGSQL.5432")
            try FileManager.default.createSymbolicLink(atPath: link.path, withDestinationPath: primary.socket)
            return (primary, standby, try PgBouncer(to: folder.path, connections: 2), link)
        }
        let point: @Sendable (PostgresServer) throws -> Void = { server in
            try FileManager.default.removeItem(at: link)
            try FileManager.default.createSymbolicLink(atPath: link.path, withDestinationPath: server.socket)
        }
        let test = try await TestStore(uri: pooler.uri(schema: "t1"), connections: 1)
        let account = try await test.account("alice")
        _ = try await test.openSession(account)
        let received = try await onThread { try primary.statement("SELECT pg_current_wal_insert_lsn()") }
        for _ in 0..<500 {
            if try await onThread({ try standby.statement("SELECT pg_last_wal_replay_lsn() >= '\(received)'") }) == "t" { break }
            _ = try await onThread { usleep(10_000) }
        }
        // The commit is not answered before the other server stands behind the pooler.
        try await onThread {
            primary.kill()
            try primary.start(["synchronous_standby_names=nobody"])
        }
        for _ in 0..<100 {
            if await outcome({ () throws(StoreError) in try await test.store.account(id: account.id) }) == nil { break }
            _ = try await onThread { usleep(100_000) }
        }
        async let inBetween = outcome { () throws(StoreError) in
            try await test.store.endAll(of: account.id, at: test.now, event: test.event())
        }
        try await onThread {
            for _ in 0..<500 {
                if try primary.statement("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1" { break }
                usleep(10_000)
            }
            primary.kill()
            try point(standby)
            try standby.promote()
        }
        #expect(await inBetween == .outcomeUnknown)
        // The same connection of ours, another server behind it.
        for _ in 0..<100 {
            if await outcome({ () throws(StoreError) in try await test.store.probe() }) == nil { break }
            _ = try await onThread { usleep(100_000) }
        }

        // The old one again, and it would take writes.
        try await onThread {
            try primary.start(["synchronous_standby_names="])
            try point(primary)
            try standby.statement(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL")
        }
        let count = try await onThread { try primary.statement("SELECT count(*) FROM t1.audit") }
        for _ in 0..<3 {
            let error = await outcome { () throws(StoreError) in
                try await test.store.endAll(of: account.id, at: test.now, event: test.event())
            }
            #expect(error != nil)
            #expect(await outcome { () throws(StoreError) in try await test.store.revocationSnapshot() } != nil)
        }
        try await onThread {
            #expect(try primary.statement("SELECT count(*) FROM t1.audit") == count)
            try point(standby)
            try primary.statement(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL")
        }
        for _ in 0..<100 {
            if await outcome({ () throws(StoreError) in try await test.store.probe() }) == nil { break }
            _ = try await onThread { usleep(100_000) }
        }
        #expect(try await test.store.account(id: account.id) != nil)
        await onThreadQuietly {
            primary.kill()
            standby.kill()
        }
    }
}
