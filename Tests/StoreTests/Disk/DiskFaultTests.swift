import AuthCore
import Foundation
import Store
import StoreSQL
import StoreSQLite
import Testing

/// A full disk and I/O errors: no success without durability, reads go on, and nobody has to restart anything.
@Suite("Disk full and I/O errors (R-5)")
struct DiskFaultTests {
    static let seeds: Range<UInt64> = ProcessInfo.processInfo.environment["GATEHOUSE_SOAK"] == nil ? 0..<25 : 0..<2_000

    enum Fault: CaseIterable, Sendable {
        case logFull, logWriteFails, logSyncFails, databaseFull, databaseWriteFails, databaseSyncFails, everythingFails

        func begin(on disk: FaultyDisk, _ generator: inout SeededGenerator) {
            let skip = Int64.random(in: 0...40, using: &generator)
            let count = Bool.random(using: &generator) ? -1 : Int64.random(in: 1...3, using: &generator)
            switch self {
            case .logFull: disk.fail(.write, on: .log, skip: skip, count: count, .full)
            case .logWriteFails: disk.fail(.write, on: .log, skip: skip, count: count, .error)
            case .logSyncFails: disk.fail(.sync, on: .log, skip: skip, count: count, .error)
            case .databaseFull: disk.fail(.write, on: .database, skip: skip, count: count, .full)
            case .databaseWriteFails: disk.fail(.write, on: .database, skip: skip, count: count, .error)
            case .databaseSyncFails: disk.fail(.sync, on: .database, count: count, .error)
            case .everythingFails: disk.fail([.write, .sync, .truncate], skip: skip, count: count, .error)
            }
        }
    }

    @Test("by seed: what failed changed nothing, what was answered survives a power cut, reads and later writes succeed")
    func seeds() async throws {
        var failures: Int64 = 0
        var refusals = 0
        for seed in DiskFaultTests.seeds {
            let run = try await live(seed: seed)
            #expect(run.wrong.isEmpty, "seed \(seed)")
            failures += run.failures
            refusals += run.refusals
        }
        #expect(failures > DiskFaultTests.seeds.count && refusals > DiskFaultTests.seeds.count)
    }

    /// SQLite syncs the database only when a checkpoint has reached the end of the log: what one that a reader held up wrote
    /// before is not written again, and a failed sync in between would lose it without a word.
    @Test("after a failed sync of the database everything is written again, also what a checkpoint beside readers wrote before")
    func databaseSync() async throws {
        var failures: Int64 = 0
        for seed in DiskFaultTests.seeds {
            let run = try await live(seed: seed, faults: [.databaseSyncFails], reading: true)
            #expect(run.wrong.isEmpty, "seed \(seed)")
            failures += run.failures
        }
        #expect(failures > 0)
    }

    @Test("this test can see: a sync that fails and says that it did not is found")
    func sees() async throws {
        var found = 0
        for seed in UInt64(0)..<10 where try await !live(seed: seed, ignoringSyncsOf: .log).wrong.isEmpty { found += 1 }
        #expect(found > 0)
    }

    private func live(
        seed: UInt64, faults: [Fault] = Fault.allCases, reading: Bool = false, ignoringSyncsOf ignored: FaultyDisk.Files = []
    ) async throws -> (wrong: [String], failures: Int64, refusals: Int) {
        var generator = SeededGenerator(seed: seed)
        var ledger = Ledger()
        let disk = try FaultyDisk()
        let test = try await TestStore(folder: disk.folder)
        var wrong: [String] = []
        var refusals = 0
        for _ in 0..<3 {
            faults.randomElement(using: &generator)?.begin(on: disk, &generator)
            // A database is written only when the log is long enough: then there is more to do.
            for _ in 0..<12 where wrong.isEmpty {
                let steps = ledger.chooseSteps(&generator)
                async let read = reading ? test.rows("audit WHERE reason LIKE '%y%'") : 0
                let answers = await test.perform(steps, for: ledger.people)
                _ = try await read
                wrong += ledger.take(answers, told: test.batches)
                refusals += ledger.forgetUnanswered()
                do { wrong += try await ledger.settle(test) } catch { wrong.append("a read failed: \(error)") }
            }
            disk.heal()
            let answers = await test.perform(ledger.chooseSteps(&generator), for: ledger.people)
            wrong += ledger.take(answers, told: test.batches)
            if ledger.forgetUnanswered() > 0 { wrong.append("a write failed on a disk that is whole again") }
            if !wrong.isEmpty { return (wrong, disk.failures, refusals) }
        }
        disk.ignoreSyncs(of: ignored)
        let answers = await test.perform(ledger.chooseSteps(&generator), for: ledger.people)
        wrong += ledger.take(answers, told: test.batches)
        // What a failed sync left behind is not on the disk, whatever the kernel showed.
        disk.cutPower(after: 0)
        let left = try disk.surviving(seed: generator.next())
        await test.database.close()
        do {
            let reopened = try await TestStore(folder: left)
            wrong += try await ledger.settle(reopened)
            await reopened.database.close()
        } catch { wrong.append("the store does not open: \(error)") }
        return (wrong, disk.failures, refusals)
    }

    @Test("a start on a disk that fails leaves nothing behind that stops the next one", arguments: 0..<60)
    func start(skip: Int) async throws {
        let disk = try FaultyDisk()
        disk.fail([.write, .sync, .truncate], skip: Int64(skip), skip.isMultiple(of: 2) ? .full : .error)
        do throws(StoreError) {
            let database = try SQLiteDatabase(
                path: disk.folder.appendingPathComponent("gatehouse.db").path, uptime: Environment.live.uptime)
            do throws(StoreError) {
                try await SQLStore(database: database, environment: .live) { _ in }.prepare()
                // It had everything it needed before the fault.
            } catch {}
            await database.close()
        } catch {}
        disk.heal()
        // A store that could not be opened has let go of its lock and its files.
        let test = try await TestStore(folder: disk.folder)
        let account = try await test.account("alice")
        await test.database.close()
        let reopened = try await TestStore(folder: disk.folder)
        #expect(try await reopened.store.account(id: account.id)?.username == "alice")
        await reopened.database.close()
    }
}
