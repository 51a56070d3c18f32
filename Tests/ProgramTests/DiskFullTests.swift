import AuthCore
import Foundation
import TestSupport
import Testing

/// How the real program is kept from writing.
enum Shortage: String, CaseIterable, Sendable, CustomTestStringConvertible {
    /// A small file system of its own; needs the right to mount one.
    case fileSystemFull
    /// A limit on the size of files, which any user may set and lift while the program runs.
    case fileSizeLimit

    var testDescription: String { rawValue }
}

@Suite("A full disk under the running program (R-5)", .serialized)
struct DiskFullTests {
    private static let settings = Program.settings.replacingOccurrences(of: "sqlite:gatehouse.db", with: "sqlite:data/gatehouse.db")

    @Test(
        "reads go on, writes are 503 with Retry-After, and work again without a restart", .timeLimit(.minutes(2)),
        arguments: Shortage.allCases)
    func diskFull(_ shortage: Shortage) async throws { try await onThread { try self.check(shortage) } }

    private func check(_ shortage: Shortage) throws {
        let folder = try Program.newFolder()
        let data = folder.appendingPathComponent("data")
        try FileManager.default.createDirectory(at: data, withIntermediateDirectories: true)
        // Two seconds without a confirmed list of revocations would be noticed.
        try Data((DiskFullTests.settings + "\nrevocations: {max_staleness: 5s}\n").utf8).write(
            to: folder.appendingPathComponent("gatehouse.yaml"))
        if shortage == .fileSystemFull {
            // Whoever runs the tests without that right has the other case.
            guard shell("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", data.path) == 0 else { return }
        }
        defer { if shortage == .fileSystemFull { _ = shell("umount", "-l", data.path) } }

        var program = try Program(folder: folder)
        let login = try #require(program.send("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#))
        var refreshToken = try #require(login.json["refresh_token"]?.string)
        var accessToken = try #require(login.json["access_token"]?.string)
        func refresh() throws -> Answer {
            let answer = try #require(Answer(program, "POST", "/token/refresh", #"{"refresh_token":"\#(refreshToken)"}"#))
            if answer.status == 200 {
                refreshToken = try #require(answer.json["refresh_token"]?.string)
                accessToken = try #require(answer.json["access_token"]?.string)
            }
            return answer
        }
        for _ in 0..<5 { #expect(try refresh().status == 200) }

        try begin(shortage, data, program)
        // The last page of the log may have room for one more.
        var refused = try refresh()
        for _ in 0..<20 where refused.status == 200 { refused = try refresh() }
        let began = ContinuousClock.now
        var rounds = 0
        // Longer than what was read before would last.
        while ContinuousClock.now - began < .seconds(7) {
            for answer in [
                try refresh(),
                try #require(Answer(program, "POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#)),
                try #require(Answer(program, "POST", "/logout", #"{"refresh_token":"\#(refreshToken)"}"#)),
            ] {
                #expect(answer.status == 503, "\(answer.text)")
                #expect(answer.text.lowercased().contains("\r\nretry-after: "), "\(answer.text)")
                #expect(answer.took < .seconds(1))
            }
            #expect(Answer(program, "GET", "/.well-known/jwks.json")?.status == 200)
            #expect(Answer(program, "POST", "/validate", #"{"token":"\#(accessToken)"}"#)?.json["valid"]?.bool == true)
            #expect(program.send("GET", "/health/live", port: program.adminPort)?.status == 200)
            rounds += 1
        }
        #expect(rounds > 2)
        // Tokens are still validated, so nobody should send that traffic away.
        #expect(program.send("GET", "/health/ready", port: program.adminPort)?.status == 200)

        try end(shortage, data, program)
        let returned = ContinuousClock.now
        var answer = try refresh()
        while answer.status != 200, ContinuousClock.now - returned < .seconds(5) { answer = try refresh() }
        #expect(answer.status == 200, "\(answer.text)")
        // What was answered then is durable like everything else.
        program.kill(SIGKILL)
        program = try Program(folder: folder)
        #expect(Answer(program, "POST", "/validate", #"{"token":"\#(accessToken)"}"#)?.json["valid"]?.bool == true)
        #expect(try refresh().status == 200)
        #expect(Answer(program, "POST", "/logout", #"{"refresh_token":"\#(refreshToken)"}"#)?.status == 204)
        #expect(Answer(program, "POST", "/validate", #"{"token":"\#(accessToken)"}"#)?.json["valid"]?.bool == false)
        program.kill(SIGTERM)
    }

    private func begin(_ shortage: Shortage, _ data: URL, _ program: Program) throws {
        switch shortage {
        case .fileSystemFull: _ = shell("dd", "if=/dev/zero", "of=\(data.path)/filler", "bs=4096")
        case .fileSizeLimit:
            let log = data.appendingPathComponent("gatehouse.db-wal").path
            let size = try #require(try FileManager.default.attributesOfItem(atPath: log)[.size] as? Int)
            try #require(shell("prlimit", "--pid", String(program.processIdentifier), "--fsize=\(size):unlimited") == 0)
        }
    }

    private func end(_ shortage: Shortage, _ data: URL, _ program: Program) throws {
        switch shortage {
        case .fileSystemFull: try FileManager.default.removeItem(at: data.appendingPathComponent("filler"))
        case .fileSizeLimit:
            try #require(shell("prlimit", "--pid", String(program.processIdentifier), "--fsize=unlimited:unlimited") == 0)
        }
    }

    private func shell(_ words: String...) -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.standardError = FileHandle.nullDevice
        do { try process.run() } catch { return -1 }
        process.waitUntilExit()
        return process.terminationStatus
    }
}

/// One answer whole, and how long it took.
private struct Answer {
    let status: Int
    let json: JSONObject
    let text: String
    let took: Duration

    init?(_ program: Program, _ method: String, _ path: String, _ json: String = "") {
        let began = ContinuousClock.now
        guard let bytes = program.exchange(method, path, json), let parsed = Program.parse(bytes) else { return nil }
        took = ContinuousClock.now - began
        (status, self.json) = parsed
        text = String(decoding: bytes, as: UTF8.self)
    }
}
