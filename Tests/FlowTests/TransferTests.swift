import AuthCore
import Foundation
import PostgresServer
import Settings
import Store
import StorePostgres
import StoreSQL
import StoreSQLite
import TestSupport
import Testing
import TokenKeys

@testable import gatehouse

/// A store that moves from one database to another, and what people notice of it: nothing.
@Suite("Export and import")
struct TransferTests {
    @Test("a node moves from SQLite to PostgreSQL and back with everything: sessions, tokens, revocations, passwords, throttles")
    func roundTrip() async throws {
        let first = try await TestNode.start(["--lockout.free_attempts", "2"])
        var people = try await People(signedInAt: first)
        var authorizations = try await MovingAuthorizations(at: first)
        let exported = try await first.export("first")
        await first.node.database.close()

        let uri = try await onThread { try PostgresServer.shared().newSchema() }
        try await TransferTests.importFile(exported, into: .postgres(uri))
        let second = try await TestNode.start(storage: .postgres(uri), like: first)
        // What came in is what went out, but for the log of revocations, which begins another history.
        let compared = try await second.export("compared")
        #expect(try TransferTests.rows(compared) == TransferTests.rows(exported))
        #expect(try TransferTests.epoch(compared) != TransferTests.epoch(exported))
        try await people.check(at: second)
        try await authorizations.check(at: second)

        let back = try await second.export("back")
        let database = second.folder.appendingPathComponent("back.db").path
        try await TransferTests.importFile(back, into: .sqlite(database))
        let third = try await TestNode.start(storage: .sqlite(database), like: second)
        #expect(try await TransferTests.rows(third.export("third")) == TransferTests.rows(back))
        try await people.check(at: third)
        try await authorizations.check(at: third)
        await third.node.database.close()
    }

    /// Who is signed in, who no more, and what each of them holds.
    private struct People {
        /// Of alice: goes on.
        var refresh: String
        let session: String
        /// Of a session that was ended, of a person who was disabled.
        let ended: [Answer]
        var keys = ""

        init(signedInAt node: TestNode) async throws {
            let login = await node.login()
            session = login.text("sid")
            refresh = await node.refresh(login.text("refresh_token")).text("refresh_token")
            let second = await node.login()
            #expect(await node.logout(second.text("refresh_token")).status == 204)
            let bob = await node.login("bob")
            let id = try #require(try await node.account("bob")).id
            let event = AuditEvent(.accountChanged, at: node.clock.now, source: "test", traceID: "t")
            #expect(try await node.store.change(id, .disabled(by: .operatorsHand), event: event))
            for _ in 0..<3 { _ = await node.login("root", password: "wrong-password-here") }
            ended = [second, bob]
            keys = String(decoding: node.node.keys.published.body, as: UTF8.self)
        }

        mutating func check(at node: TestNode) async throws {
            try await node.node.follow()
            #expect(String(decoding: node.node.keys.published.body, as: UTF8.self) == keys)
            for answer in ended {
                #expect(await node.validate(answer.text("access_token")).text("reason") == "revoked")
                #expect(await node.refresh(answer.text("refresh_token")).error == "invalid_grant")
            }
            // Failures count on.
            #expect(await node.login("root").status == 429)
            let refreshed = await node.refresh(refresh)
            #expect(refreshed.status == 200)
            #expect(refreshed.text("sid") == session || refreshed.text("sid").isEmpty)
            refresh = refreshed.text("refresh_token")
            #expect(await node.isValid(refreshed.text("access_token")))
            #expect(node.gateway("GET", "/orders", headers: node.bearer(refreshed.text("access_token"))) == "forward")
            #expect(await node.login("bob").status == 401)
            let again = await node.login()
            #expect(again.status == 200)
            #expect(await node.logout(again.text("refresh_token")).status == 204)
            #expect(await node.validate(again.text("access_token")).text("reason") == "revoked")
            #expect(try await node.store.events(before: nil, limit: 100, account: nil).count >= 4)
        }
    }

    @Test("numbers that the database gives go on behind the highest that was imported")
    func serial() async throws {
        let source = try await TestNode.start()
        for _ in 0..<5 { try await source.store.append(AuditEvent(.signIn, at: source.clock.now, source: "test", traceID: "t")) }
        let highest = try #require(try await source.store.events(before: nil, limit: 1, account: nil).first).number
        let file = try await source.export("file")
        for place in [Place.postgres(try await onThread { try PostgresServer.shared().newSchema() }), .sqlite(source.path("new.db"))] {
            let (store, database) = try place.open()
            try await ImportCommand.run(ExportReader(path: file), ExportReader(path: file).read(), into: store)
            try await store.append(AuditEvent(.signIn, at: source.clock.now, source: "test", traceID: "t"))
            #expect(try await store.events(before: nil, limit: 1, account: nil).first?.number == highest + 1)
            await database.close()
        }
    }

    @Test("who followed the log of revocations takes a snapshot after an import")
    func epoch() async throws {
        let source = try await TestNode.start()
        let tokens = await source.login()
        _ = await source.logout(tokens.text("refresh_token"))
        let before = try await source.store.revocationSnapshot()
        let file = try await source.export("file")
        let (store, database) = try Place.sqlite(source.path("new.db")).open()
        try await ImportCommand.run(ExportReader(path: file), ExportReader(path: file).read(), into: store)
        #expect(try await store.revocations(after: before.position, limit: 10) == nil)
        let after = try await store.revocationSnapshot()
        #expect(after.position.epoch != before.position.epoch && after.position.sequence == before.position.sequence)
        #expect(after.records == before.records)
        await database.close()
    }

    @Test("a store that has anything is refused and stays as it is; what is there is said")
    func notEmpty() async throws {
        let source = try await TestNode.start()
        let file = try await source.export("file")
        let summary = try ExportReader(path: file).read()
        for target in [try await TestNode.start(), try await TestNode.cluster(1)[0]] {
            let before = try TransferTests.rows(try await target.export("before"))
            let error = await #expect(throws: StoreError.self) {
                try await ImportCommand.run(ExportReader(path: file), summary, into: target.node.store)
            }
            guard case .unusable(let text) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(text.contains("meta has") && text.contains("Nothing was changed"), "\(text)")
            #expect(try TransferTests.rows(try await target.export("after")) == before)
        }
    }

    @Test("a file that changes after it was checked leaves nothing behind")
    func changedMeanwhile() async throws {
        let source = try await TestNode.start()
        let file = try await source.export("file")
        let summary = try ExportReader(path: file).read()
        let whole = try Data(contentsOf: URL(fileURLWithPath: file))
        let other = source.path("other")
        try whole.dropLast(200).write(to: URL(fileURLWithPath: other))
        // As whole as the first, and not the one that was checked.
        try await source.store.append(AuditEvent(.signIn, at: source.clock.now, source: "test", traceID: "t"))
        let later = try await source.export("later")
        for place in [Place.postgres(try await onThread { try PostgresServer.shared().newSchema() }), .sqlite(source.path("new.db"))] {
            let (store, database) = try place.open()
            for path in [other, later] {
                await #expect(throws: StoreError.self) { try await ImportCommand.run(ExportReader(path: path), summary, into: store) }
            }
            // As new as before: the whole one goes in.
            try await ImportCommand.run(ExportReader(path: file), summary, into: store)
            #expect(try await store.clients().count == source.store.clients().count)
            await database.close()
        }
    }

    @Test("an export of another key is refused before anything is written; without a key too")
    func keys() async throws {
        let source = try await TestNode.start()
        let summary = try ExportReader(path: try await source.export("file")).read()
        let other = Secret([UInt8](repeating: 7, count: 32))
        #expect(throws: UsageError.self) { try ImportCommand.checkKeys(.keys([other]), summary) }
        #expect(throws: UsageError.self) { try ImportCommand.checkKeys(.makeOnFirstStart(path: "/none"), summary) }
        // As a node reads it when it starts again.
        let text = Secret(try String(contentsOfFile: source.folder.appendingPathComponent("master.key").path, encoding: .utf8))
        try ImportCommand.checkKeys(.keys([other, try MasterKeys.decode(text)]), summary)
    }

    @Test("what is damaged, cut, reordered or put together is refused: 600 seeds")
    func damaged() async throws {
        let source = try await TestNode.start()
        let tokens = await source.login()
        _ = await source.logout(tokens.text("refresh_token"))
        let whole = Array(try Data(contentsOf: URL(fileURLWithPath: try await source.export("file"))))
        let path = source.path("damaged")
        for seed in UInt64(0)..<600 {
            var generator = SeededGenerator(seed: seed)
            let damaged = TransferTests.damage(whole, &generator)
            if damaged == whole { continue }
            try Data(damaged).write(to: URL(fileURLWithPath: path))
            #expect(throws: StoreError.self, "seed \(seed)") { try ExportReader(path: path).read() }
        }
        for foreign in ["", "\n", "{}\n", "SQLite format 3\0", "{\"rows\":{},\"sha256\":\"\"}\n"] {
            try Data(foreign.utf8).write(to: URL(fileURLWithPath: path))
            #expect(throws: StoreError.self, "\(foreign)") { try ExportReader(path: path).read() }
        }
        #expect(throws: StoreError.self) { try ExportReader(path: source.folder.path).read() }
    }

    private static func damage(_ whole: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = whole
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        var lines = whole.split(separator: UInt8(ascii: "\n")).map { Array($0) }
        let (one, two) = (Int.random(in: 0..<lines.count, using: &generator), Int.random(in: 0..<lines.count, using: &generator))
        switch Int.random(in: 0..<7, using: &generator) {
        case 0, 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 2: return Array(bytes[..<place])
        case 3: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: place)
        case 4: lines.swapAt(one, two)
        case 5: lines.remove(at: one)
        default: lines.insert(lines[one], at: two)
        }
        return bytes == whole ? lines.flatMap { $0 + [UInt8(ascii: "\n")] } : bytes
    }

    @Test("an export is private and never overwrites; one that fails leaves no file")
    func file() async throws {
        let source = try await TestNode.start()
        let path = try await source.export("file")
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        await #expect(throws: UsageError.self) { _ = try await source.export("file") }
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let key = try String(contentsOfFile: source.folder.appendingPathComponent("master.key").path, encoding: .utf8)
        #expect(!text.contains(key.trimmingCharacters(in: .whitespacesAndNewlines)))
        // Not a store yet.
        let (store, database) = try Place.sqlite(source.path("none.db")).open()
        let failed = source.path("failed")
        await #expect(throws: StoreError.self) { _ = try await ExportCommand.export(store, to: failed, environment: .live) }
        #expect(!FileManager.default.fileExists(atPath: failed))
        await database.close()
    }

    // MARK: support

    enum Place {
        case sqlite(String)
        case postgres(String)

        func open() throws(StoreError) -> (SQLStore, any SQLDatabase) {
            let database: any SQLDatabase
            switch self {
            case .sqlite(let path): database = try SQLiteDatabase(path: path, uptime: Environment.live.uptime)
            case .postgres(let uri):
                database = try PostgresDatabase(
                    PostgresServers(PostgresLocation(Secret(uri)), uptime: Environment.live.uptime), connections: 2)
            }
            return (SQLStore(database: database, environment: .live) { _ in }, database)
        }
    }

    private static func importFile(_ path: String, into place: Place) async throws {
        let (store, database) = try place.open()
        let reader = ExportReader(path: path)
        try await ImportCommand.run(reader, try reader.read(), into: store)
        await database.close()
    }

    /// The lines of an export but the first, the last, and the epoch.
    private static func rows(_ path: String) throws -> [Substring] {
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        return lines.dropFirst().dropLast().map { line in
            guard line.hasPrefix(#"{"table":"feed""#) else { return line }
            return Substring(line.replacing(/"epoch":"[^"]*"/, with: ""))
        }
    }

    private static func epoch(_ path: String) throws -> Substring? {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").first { $0.hasPrefix(#"{"table":"feed""#) }
    }
}

extension TestNode {
    func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    /// Writes an export into the folder of the node and returns its path.
    func export(_ name: String) async throws -> String {
        _ = try await ExportCommand.export(node.store, to: path(name), environment: node.environment)
        return path(name)
    }

    /// A node on a store that is there, with the master key and the clock of another.
    static func start(storage: TransferTests.Place, like other: TestNode) async throws -> TestNode {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gatehouse-flow-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            at: other.folder.appendingPathComponent("master.key"), to: folder.appendingPathComponent("master.key"))
        var setting = ""
        switch storage {
        case .sqlite(let path): setting = "sqlite:\(path)"
        case .postgres(let uri):
            try Data(uri.utf8).write(to: folder.appendingPathComponent("storage"))
            setting = "file:\(folder.path)/storage"
        }
        return try await TestNode(
            folder: folder, storage: setting, settings: ["--lockout.free_attempts", "2"], resources: nil, clock: other.clock)
    }
}
