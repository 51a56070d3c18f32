import AuthCore
import Foundation
import Store
import StoreSQL
import StoreSQLite
import Testing

/// The power goes at a moment that a seed chooses; of what was written and not yet synced, the disk keeps what the seed chooses.
@Suite("Power loss takes nothing that was answered (R-1b)")
struct PowerLossTests {
    /// How long the operations of one life of a store may be. The first start has about 40, a round of steps about 20.
    static let operationsMax: Int64 = 900

    static let seeds: Range<UInt64> = ProcessInfo.processInfo.environment["GATEHOUSE_SOAK"] == nil ? 0..<120 : 0..<5_000

    @Test("by seed: everything answered is there, nothing is half done, the store opens (I1, I2, I3, I4, I9)")
    func seeds() async throws {
        var answered = 0
        for seed in PowerLossTests.seeds {
            let (wrong, count) = try await live(seed: seed)
            #expect(wrong.isEmpty, "seed \(seed)")
            answered += count
        }
        #expect(answered > PowerLossTests.seeds.count * 20)
    }

    @Test(
        "this test can see: without the syncs of synchronous = NORMAL, or without any, answered writes are missed",
        arguments: [FaultyDisk.Files.log, .all])
    func sees(ignored: FaultyDisk.Files) async throws {
        var found = 0
        for seed in UInt64(0)..<20 where try await !live(seed: seed, ignoringSyncsOf: ignored).wrong.isEmpty { found += 1 }
        #expect(found > 0)
    }

    /// Four lives of one store, three of them ended by a power cut; what one left is where the next begins.
    private func live(seed: UInt64, ignoringSyncsOf ignored: FaultyDisk.Files? = nil) async throws -> (wrong: [String], answered: Int) {
        var generator = SeededGenerator(seed: seed)
        var ledger = Ledger()
        var disk = try FaultyDisk()
        for life in 0..<4 {
            var wrong: [String] = []
            var store: TestStore?
            if let ignored { disk.ignoreSyncs(of: ignored) }
            // While it starts, or later.
            let moment = Int64.random(in: 0...(Bool.random(using: &generator) ? 60 : PowerLossTests.operationsMax), using: &generator)
            if life < 3 { disk.cutPower(after: moment) }
            do throws(StoreError) {
                let test = try await TestStore(folder: disk.folder)
                store = test
                wrong = try await ledger.settle(test)
                while life < 3, !disk.isCut, wrong.isEmpty {
                    let steps = ledger.chooseSteps(&generator)
                    let answers = await test.perform(steps, for: ledger.people)
                    wrong = ledger.take(answers, told: test.batches)
                }
                await test.database.close()
            } catch {
                if !disk.isCut { wrong = ["the store does not open: \(error)"] }
            }
            if !wrong.isEmpty { return (["life \(life)"] + wrong, ledger.answered) }
            // The folder is removed with the store.
            disk = try withExtendedLifetime(store) { try FaultyDisk(folder: try disk.surviving(seed: generator.next())) }
        }
        return ([], ledger.answered)
    }
}
