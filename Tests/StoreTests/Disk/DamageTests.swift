import AuthCore
import Foundation
import Store
import StoreSQL
import StoreSQLite
import Testing

/// A store is either what was answered, or refused: never an older state, never an empty one.
@Suite("A damaged database is refused, and never replaced (R-1c)")
struct DamageTests {
    /// The files of a store as a crash leaves them (with a log), or as a stop leaves them (without), and what was answered.
    struct Image: Sendable {
        var database: Data
        var log: Data?
        var commits: Data?
        var ledger: Ledger

        static let name = "gatehouse.db"

        /// A store that has lived for a while, and what it was when half of that was over.
        static func make(seed: UInt64, rounds: Int = 10, stopped: Bool) async throws -> (image: Image, older: Image) {
            var generator = SeededGenerator(seed: seed)
            var ledger = Ledger()
            let folder = try FaultyDisk.newFolder()
            let test = try await TestStore(folder: folder)
            var older: Image?
            for round in 0..<rounds {
                if round == rounds / 2 { older = try Image(folder: folder, ledger: ledger) }
                let answers = await test.perform(ledger.chooseSteps(&generator), for: ledger.people)
                #expect(ledger.take(answers, told: test.batches).isEmpty)
            }
            if stopped { await test.database.close() }
            let image = try withExtendedLifetime(test) { try Image(folder: folder, ledger: ledger) }
            if !stopped { await test.database.close() }
            return (image, try #require(older))
        }

        init(folder: URL, ledger: Ledger) throws {
            func content(_ suffix: String) throws -> Data? {
                let url = folder.appendingPathComponent(Image.name + suffix)
                return FileManager.default.fileExists(atPath: url.path) ? try Data(contentsOf: url) : nil
            }
            database = try content("") ?? Data()
            log = try content("-wal")
            commits = try content(".commits")
            self.ledger = ledger
        }

        mutating func flipLog(fromEnd distance: Int) {
            let place = (log?.count ?? 0) - distance
            log?[place] ^= 1
        }

        func write(to folder: URL) throws {
            try database.write(to: folder.appendingPathComponent(Image.name))
            try log?.write(to: folder.appendingPathComponent(Image.name + "-wal"))
            try commits?.write(to: folder.appendingPathComponent(Image.name + ".commits"))
        }
    }

    enum Verdict: Equatable {
        /// Everything answered is there.
        case whole
        case refused(String)
        /// Opened, and not what was answered.
        case different([String])
    }

    /// What a start makes of the files. A refusal at opening leaves the database and its log as they were.
    private func open(_ image: Image, removing suffix: String? = nil) async throws -> Verdict {
        let folder = try FaultyDisk.newFolder()
        defer { try? FileManager.default.removeItem(at: folder) }  // In the temporary directory.
        try image.write(to: folder)
        if let suffix { try FileManager.default.removeItem(at: folder.appendingPathComponent(Image.name + suffix)) }
        do throws(StoreError) {
            let test = try await TestStore(folder: folder)
            var ledger = image.ledger
            let wrong = try await ledger.settle(test)
            await test.database.close()
            return wrong.isEmpty ? .whole : .different(wrong)
        } catch {
            if case .unusable(let message) = error {
                let after = try Image(folder: folder, ledger: image.ledger)
                #expect(message.contains(folder.appendingPathComponent(Image.name).path), "\(message)")
                if suffix != "" { #expect(after.database == image.database, "a refused database was changed") }
                if suffix != "-wal" { #expect(after.log == image.log, "a refused log was changed") }
            }
            return .refused("\(error)")
        }
    }

    enum Damage: String, CaseIterable, Sendable, CustomTestStringConvertible {
        // To a database that was stopped.
        case empty, truncated, overwritten, foreign, pageInTheMiddle, missing, missingBesideLog, older, another, countOverwritten
        // To one that crashed, with a log beside it.
        case logMissing, logEmpty, logCutBetweenFrames, logCutWithinFrame, logHeaderFlipped, logFirstFrameFlipped, logLastFrameFlipped
        case logOverwritten, logOfAnother, logOlder, databaseMissing

        var testDescription: String { rawValue }
        var isOfCrashed: Bool { rawValue.hasPrefix("log") || self == .databaseMissing }

        /// What the operator is told.
        var message: [String] {
            switch self {
            case .empty: ["it has 0 bytes"]
            case .foreign: ["another program"]
            case .missing: ["its count of commits is there"]
            case .missingBesideLog, .databaseMissing: ["its write-ahead log is there"]
            case .countOverwritten: [".commits is damaged"]
            case .older, .another, .logMissing, .logEmpty, .logCutBetweenFrames, .logCutWithinFrame, .logHeaderFlipped,
                .logFirstFrameFlipped, .logLastFrameFlipped, .logOverwritten, .logOlder:
                ["is not what this server wrote last"]
            case .truncated, .overwritten, .pageInTheMiddle, .logOfAnother: []
            }
        }
    }

    private static let frame = 24 + 4_096

    @Test("each damage is refused with its reason", arguments: Damage.allCases)
    func damaged(_ damage: Damage) async throws {
        var (image, older) = try await Image.make(seed: 1, stopped: !damage.isOfCrashed)
        var removed: String?
        switch damage {
        case .empty: image.database = Data()
        case .truncated: image.database = image.database.prefix(image.database.count / 2)
        case .overwritten: image.database = Data(repeating: 0x55, count: image.database.count)
        case .foreign: image.database.replaceSubrange(68..<72, with: Data([0, 0, 0, 1]))
        case .pageInTheMiddle: image.database.replaceSubrange(8_192..<12_288, with: Data(repeating: 0xAA, count: 4_096))
        case .databaseMissing: removed = ""
        case .missing:
            image.log = nil
            removed = ""
        case .missingBesideLog:
            image.log = Data([1])
            removed = ""
        case .older: (image.database, image.log) = (older.database, older.log)
        case .another: image.database = try await Image.make(seed: 2, stopped: true).image.database
        case .countOverwritten: image.commits = Data(repeating: 0x55, count: 64)
        case .logMissing: removed = "-wal"
        case .logEmpty: image.log = Data()
        case .logCutBetweenFrames: image.log?.removeLast(DamageTests.frame)
        case .logCutWithinFrame: image.log?.removeLast(1_000)
        case .logHeaderFlipped: image.log?[17] ^= 1
        case .logFirstFrameFlipped: image.log?[32 + 24 + 100] ^= 1
        case .logLastFrameFlipped: image.flipLog(fromEnd: 1_000)
        case .logOverwritten: image.log = Data(repeating: 0x55, count: image.log?.count ?? 0)
        case .logOfAnother: image.log = try await Image.make(seed: 2, rounds: 15, stopped: false).image.log
        case .logOlder: image.log = older.log
        }
        guard case .refused(let message) = try await open(image, removing: removed) else {
            Issue.record("\(damage) was not refused")
            return
        }
        #expect(message.contains("unusable"), "\(message)")
        for part in damage.message { #expect(message.contains(part), "\(message)") }
    }

    @Test("what is whole is opened: a control of the table above", arguments: [true, false])
    func whole(stopped: Bool) async throws {
        let (image, older) = try await Image.make(seed: 3, stopped: stopped)
        #expect(try await open(image) == .whole)
        #expect(try await open(older) == .whole)
        // Without the count of commits, nothing can be missed; and an operator may remove it to go on with an older state.
        #expect(try await open(image, removing: ".commits") == .whole)
        var other = image
        other.commits = Data()
        #expect(try await open(other) == .whole)
        other.commits = Data(repeating: 0, count: 64)
        #expect(try await open(other) == .whole)
        other = older
        other.commits = nil
        #expect(try await open(other) == .whole)
        // A transaction that was being written, and the log of one that was begun again.
        guard let log = image.log else { return }
        other = image
        other.log = log + log.suffix(5_000)
        #expect(try await open(other) == .whole)
    }

    @Test("a bit that flips anywhere in the log: what was answered, or a refusal")
    func bitsOfTheLog() async throws {
        let (image, _) = try await Image.make(seed: 4, stopped: false)
        let size = try #require(image.log?.count)
        var generator = SeededGenerator(seed: 4)
        for _ in 0..<150 {
            var damaged = image
            let place = Int.random(in: 0..<size, using: &generator)
            damaged.log?[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            let verdict = try await open(damaged)
            if case .different(let wrong) = verdict { Issue.record("byte \(place): \(wrong)") }
        }
    }

    /// SQLite has no checksums of pages: what lies within a row can change unseen (docs/reliability.md). Its structure cannot.
    @Test("a bit that flips in the header of the file or of a page: what was answered, or a refusal")
    func bitsOfTheStructure() async throws {
        let (image, _) = try await Image.make(seed: 5, stopped: true)
        var generator = SeededGenerator(seed: 5)
        var refused = 0
        for _ in 0..<150 {
            var damaged = image
            let page = Int.random(in: 0..<(image.database.count / 4_096), using: &generator)
            let place = page * 4_096 + (page == 0 ? Int.random(in: 0..<108, using: &generator) : Int.random(in: 0..<8, using: &generator))
            damaged.database[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            let verdict = try await open(damaged)
            if case .different(let wrong) = verdict { Issue.record("byte \(place): \(wrong)") }
            if verdict != .whole { refused += 1 }
        }
        #expect(refused > 50)
    }
}
