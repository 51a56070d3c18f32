import AuthCore
import Foundation
import Synchronization
import TestSupport
import Testing

@Suite("The log never holds up the server (R-6)", .serialized)
struct LogTests {
    @Test(
        "whoever reads the log may stall, or go: requests are answered, what was dropped is counted and told", .timeLimit(.minutes(3)),
        arguments: [false, true])
    func stalledReader(_ isNonBlocking: Bool) async throws { try await onThread { try self.checkStalledReader(isNonBlocking) } }

    /// Refusals are logged with a line each. Together they are more than a pipe and the writer hold.
    private static let batches = 40
    private static let batchSize = 200

    private func checkStalledReader(_ isNonBlocking: Bool) throws {
        let folder = try Program.newFolder()
        let settings = folder.appendingPathComponent("gatehouse.yaml")
        try Data(Program.settings.replacingOccurrences(of: "level: debug", with: "level: info").utf8).write(to: settings)
        let pipe = Pipe()
        if isNonBlocking { _ = fcntl(pipe.fileHandleForWriting.fileDescriptor, F_SETFL, O_NONBLOCK) }
        let program = try Program(folder: folder, log: pipe)
        let login = try #require(program.send("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#))
        let token = try #require(login.json["access_token"]?.string)

        // Nobody reads from here on. Few answers at a time, so that neither side waits for the other to read.
        let one = "GET /nothing HTTP/1.1\r\nhost: localhost\r\n"
        let batch = String(repeating: one + "\r\n", count: LogTests.batchSize - 1) + one + "connection: close\r\n\r\n"
        for _ in 0..<LogTests.batches {
            let answers = String(decoding: Socket.exchange(Array(batch.utf8), port: program.authPort) ?? [], as: UTF8.self)
            try #require(answers.components(separatedBy: "HTTP/1.1 404").count - 1 == LogTests.batchSize)
        }
        #expect(program.metric("gatehouse_log_lines_dropped") > 0, "the log is stalled, so the metrics have to tell it")
        answersEverywhere(program, token)

        // Read again, the log has what waited and says how much is missing; nothing is lost without being counted.
        let sent = LogTests.batches * LogTests.batchSize
        let (told, dropped) = try readOn(pipe, until: sent)
        #expect(dropped > 0)
        // The requests of `answersEverywhere` may be among the dropped ones.
        #expect((sent...sent + 10).contains(told + dropped), "\(told) told, \(dropped) dropped of \(sent)")

        let before = program.metric("gatehouse_log_lines_dropped")
        try pipe.fileHandleForReading.close()
        answersEverywhere(program, token)
        // Each line is tried once, and counted once.
        #expect((before + 1...before + 20).contains(program.metric("gatehouse_log_lines_dropped")))
        program.kill(SIGTERM)
        #expect(program.waitUntilExit() == 0)
    }

    @Test("a stalled log does not keep the server from ending", .timeLimit(.minutes(1)))
    func stalledEnd() async throws { try await onThread { try self.checkStalledEnd() } }

    private func checkStalledEnd() throws {
        let pipe = Pipe()
        let program = try Program(folder: try Program.newFolder(), log: pipe)
        // As full as a pipe that nobody reads: what the server says from now on waits.
        let descriptor = pipe.fileHandleForReading.fileDescriptor
        let filler = open("/proc/self/fd/\(descriptor)", O_WRONLY | O_NONBLOCK)
        defer { close(filler) }
        let byte: [UInt8] = [0x0A]
        while write(filler, byte, 1) == 1 {}
        program.kill(SIGTERM)
        #expect(program.waitUntilExit() == 0)
    }

    /// The hot paths, the API with the store, the gateway and the admin listener.
    private func answersEverywhere(_ program: Program, _ token: String) {
        #expect(program.send("POST", "/validate", #"{"token":"\#(token)"}"#)?.json["valid"]?.bool == true)
        #expect(program.send("POST", "/login", #"{"username":"alice","password":"wrong-horse-battery"}"#)?.status == 401)
        #expect(program.send("GET", "/orders", port: program.gatewayPort)?.status == 401)
        // Nothing listens behind the route.
        let header = "authorization: Bearer \(token)"
        #expect(program.send("GET", "/orders", headers: [header], port: program.gatewayPort)?.status == 502)
        #expect(program.send("GET", "/health/ready", port: program.adminPort)?.status == 200)
    }

    /// The lines about refused requests, and how many lines were dropped, once both together are `count`.
    private func readOn(_ pipe: Pipe, until count: Int) throws -> (told: Int, dropped: Int) {
        var text = Data()
        var (told, dropped) = (0, 0)
        while told + dropped < count {
            var waiting = pollfd(fd: pipe.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
            try #require(poll(&waiting, 1, 30_000) == 1, "\(told) told, \(dropped) dropped of \(count), and no more comes")
            let more = pipe.fileHandleForReading.availableData
            try #require(!more.isEmpty, "the log ended")
            text += more
            guard let end = text.lastIndex(of: 0x0A) else { continue }
            for line in text[..<end].split(separator: 0x0A) {
                // Each is whole, however much was dropped between them.
                let event = try #require(JSONReader.read(Array(line)).object)
                switch event["event"]?.string {
                case "request_refused": told += 1
                case "log_lines_dropped": dropped += try #require(event["count"]?.string.flatMap { Int($0) })
                default: break
                }
            }
            text = Data(text[(end + 1)...])
        }
        return (told, dropped)
    }
}
