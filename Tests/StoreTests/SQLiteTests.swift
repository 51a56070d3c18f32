import AuthCore
import CFaultyDisk
import Foundation
import Store
import StoreSQL
import StoreSQLite
import Testing

@Suite("SQLite driver")
struct SQLiteTests {
    private func folder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gatehouse-sqlite-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }

    private func open(_ path: String) throws(StoreError) -> SQLiteDatabase {
        try SQLiteDatabase(path: path, uptime: Environment.live.uptime)
    }

    @Test("commits are durable: synchronous is FULL on the writer")
    func synchronous() async throws {
        let test = try await StoreKind.sqlite.open()
        #expect(try await (#require(test.database as? SQLiteDatabase)).synchronousLevel() == 2)
    }

    @Test("a writer that fails does not harm the ones that share its commit")
    func savepoints() async throws {
        let test = try await StoreKind.sqlite.open()
        let outcomes = await withTaskGroup(of: Bool.self) { group in
            for index in 0..<64 {
                group.addTask {
                    do {
                        _ = try await test.database.write(
                            { (connection: any SQLConnection) throws(StoreError) in
                                try connection.execute("INSERT INTO meta (name, value) VALUES (?1, ?2)", [.text("w\(index)"), .blob([1])])
                                if index % 2 == 1 { throw StoreError.unavailable("on purpose") }
                            }, committed: { _ in })
                        return true
                    } catch { return false }
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(outcomes == 32)
        #expect(try await test.rows("meta WHERE name LIKE 'w%'") == 32)
    }

    @Test("a second server on the same file is refused, and readers of others are not shut out")
    func locked() async throws {
        let test = try await StoreKind.sqlite.open()
        let path = test.folder.appendingPathComponent("gatehouse.db").path
        #expect(throws: StoreError.self) { try open(path) }
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        shell.arguments = [
            "-c", "import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute('select count(*) from feed').fetchone())", path,
        ]
        shell.standardOutput = FileHandle.nullDevice
        try shell.run()
        shell.waitUntilExit()
        #expect(shell.terminationStatus == 0)
    }

    @Test("a store with a newer schema is refused")
    func newer() async throws {
        let test = try await StoreKind.sqlite.open()
        _ = try await test.database.write(
            { (connection: any SQLConnection) throws(StoreError) in
                _ = try connection.execute("INSERT INTO schema_migrations (number, name, at_ms) VALUES (999, 'future', 0)", [])
            }, committed: { _ in })
        let store = SQLStore(database: test.database, environment: .live) { _ in }
        await #expect(throws: StoreError.self) { try await store.prepare() }
    }

    @Test("a stop moves the log into the database, also after reads")
    func stop() async throws {
        let test = try await StoreKind.sqlite.open()
        _ = try await test.account("alice")
        #expect(try await test.rows("accounts") == 1)
        await test.database.close()
        let log = test.folder.appendingPathComponent("gatehouse.db-wal").path
        let size = try? FileManager.default.attributesOfItem(atPath: log)[.size] as? Int  // No file is what is best.
        #expect((size ?? 0) == 0)
    }

    @Test("the log is moved into the database as it grows")
    func logBounded() async throws {
        let test = try await StoreKind.sqlite.open()
        var event = test.event()
        event.reason = String(repeating: "x", count: 200_000)
        for _ in 0..<80 {
            try await test.store.append(event)
            _ = try await test.rows("audit")
        }
        let log = test.folder.appendingPathComponent("gatehouse.db-wal").path
        let size = try #require(try FileManager.default.attributesOfItem(atPath: log)[.size] as? Int)
        // 4 000 pages were written; the log holds 1 000 and the batch that went beyond.
        #expect(size < 1_200 * 4_120)
    }

    @Test("what was answered is there after opening again")
    func reopen() async throws {
        let folder = try folder()
        let path = folder.appendingPathComponent("gatehouse.db").path
        for round in 0..<3 {
            let database = try open(path)
            let store = SQLStore(database: database, environment: .live) { _ in }
            try await store.prepare()
            let events = try await store.events(before: nil, limit: 100, account: nil)
            #expect(events.count == round)
            try await store.append(AuditEvent(.signIn, at: Instant(seconds: 1), source: "test", traceID: "t"))
            await database.close()
        }
    }

    @Test("a database from before commits were counted is opened, and counted from then on")
    func uncounted() async throws {
        let test = try await StoreKind.sqlite.open()
        _ = try await test.account("alice")
        await test.database.close()
        let path = test.folder.appendingPathComponent("gatehouse.db").path
        try FileManager.default.removeItem(atPath: path + ".commits")
        #expect(faulty_execute(path, "DROP TABLE driver_commits") == 0)
        let opened = try await TestStore(folder: test.folder)
        #expect(try await opened.store.account(canonicalName: "alice", canonicalEmail: nil) != nil)
        _ = try await opened.account("bob")
        #expect(FileManager.default.fileExists(atPath: path + ".commits"))
        await opened.database.close()
    }
}
