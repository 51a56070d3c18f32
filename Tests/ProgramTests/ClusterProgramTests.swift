import AuthCore
import Foundation
import PostgresServer
import Synchronization
import TestSupport
import Testing

/// Real programs on one PostgreSQL (RELIABILITY R-23 and the first part of R-19).
@Suite("Several programs on one PostgreSQL", .serialized)
struct ClusterProgramTests {
    /// Folders of nodes that share a database and a master key.
    private func folders(_ count: Int, uri given: String? = nil, more: String = "") throws -> [URL] {
        let uri = try given ?? PostgresServer.shared().newSchema()
        let key = Program.newKey()
        return try (0..<count).map { _ in try Program.newFolder(storage: uri, key: key, more: more) }
    }

    private func login(_ program: Program) -> JSONObject {
        program.send("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#)?.json ?? JSONObject()
    }

    private func isValid(_ token: String, at program: Program) -> Bool? {
        program.send("POST", "/validate", "{\"token\":\"\(token)\"}")?.json["valid"]?.bool
    }

    @Test("what one revokes the other refuses at once: the notification wakes it, not the interval", .timeLimit(.minutes(2)))
    func propagation() async throws { try await onThread { try self.checkPropagation() } }

    private func checkPropagation() throws {
        let milliseconds = try propagation(try folders(2).map { try Program(folder: $0) })
        // By the interval alone it would be 250 in the middle.
        #expect(milliseconds[10] < 100, "\(milliseconds)")
    }

    /// How long after its answer each of twenty revocations was refused by the other program, sorted.
    private func propagation(_ programs: [Program]) throws -> [Double] {
        var milliseconds: [Double] = []
        for _ in 0..<20 {
            let tokens = login(programs[0])
            let access = try #require(tokens["access_token"]?.string)
            #expect(isValid(access, at: programs[1]) == true)
            let refresh = try #require(tokens["refresh_token"]?.string)
            #expect(programs[0].exchange("POST", "/logout", "{\"refresh_token\":\"\(refresh)\"}") != nil)
            let answered = DispatchTime.now()
            while isValid(access, at: programs[1]) == true, milliseconds.count < 1_000 { usleep(200) }
            milliseconds.append(Double(DispatchTime.now().uptimeNanoseconds - answered.uptimeNanoseconds) / 1e6)
            #expect(isValid(access, at: programs[0]) == false)
        }
        return milliseconds.sorted()
    }

    @Test("behind PgBouncer the log is read ten times a second, and with storage_listen a notification wakes it", .timeLimit(.minutes(2)))
    func pooled() async throws { try await onThread { try self.checkPooled() } }

    private func checkPooled() throws {
        var medians: [Double] = []
        for isTold in [false, true] {
            let direct = try PostgresServer.shared().newSchema()
            let uri = try PgBouncer.shared().uri(schema: direct.components(separatedBy: "%3D").last ?? "")
            let folders = try folders(2, uri: uri, more: isTold ? "storage_listen: file:listen\n" : "")
            for folder in folders { try Data(direct.utf8).write(to: folder.appendingPathComponent("listen")) }
            let milliseconds = try propagation(try folders.map { try Program(folder: $0) })
            print("pooled, told \(isTold): median \(milliseconds[10]) ms, most \(milliseconds[19]) ms")
            medians.append(milliseconds[10])
        }
        // Half of the interval is the middle of the first. Against each other: a machine that does other things slows both.
        #expect(medians[0] < 500 && medians[1] < medians[0], "\(medians)")
    }

    @Test(
        "with every connection held up requests are refused with Retry-After, checking goes on, and it ends (R-4d)", .timeLimit(.minutes(2))
    )
    func exhausted() async throws { try await onThread { try self.checkExhausted() } }

    private func checkExhausted() throws {
        let server = try PostgresServer.shared()
        let uri = try server.newSchema()
        let schema = try #require(uri.components(separatedBy: "%3D").last)
        let program = try Program(folder: folders(1, uri: uri, more: "revocations: {max_staleness: 3s}\n")[0])
        let access = try #require(login(program)["access_token"]?.string)
        let holder = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            // It ends by itself; what it prints does not matter.
            _ = try? server.statement("BEGIN; SELECT id FROM \(schema).accounts FOR UPDATE; SELECT pg_sleep(8); COMMIT")
            holder.signal()
        }
        try wait {
            (try? server.statement(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%\(schema).accounts%pg_sleep(8)%' AND wait_event = 'PgSleep'"))
                != "0"
        }
        let answers = Mutex<[String]>([])
        let group = DispatchGroup()
        for _ in 0..<20 {
            group.enter()
            Thread.detachNewThread {
                let answer = program.exchange("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#)
                answers.withLock { $0.append(String(decoding: answer ?? [], as: UTF8.self)) }
                group.leave()
            }
        }
        while group.wait(timeout: .now() + .milliseconds(20)) == .timedOut { #expect(isValid(access, at: program) == true) }
        for answer in answers.withLock({ $0 }) {
            #expect(answer.hasPrefix("HTTP/1.1 503") && answer.contains("retry-after: "), "\(answer.prefix(200))")
        }
        _ = holder.wait(timeout: .now() + 20)
        try wait { login(program)["access_token"] != nil }
    }

    @Test("a node that was frozen refuses what was revoked meanwhile, from its first answer on (R-19)", .timeLimit(.minutes(2)))
    func frozen() async throws { try await onThread { try self.checkFrozen() } }

    private func checkFrozen() throws {
        let programs = try folders(2).map { try Program(folder: $0) }
        for _ in 0..<8 {
            let tokens = login(programs[0])
            let access = try #require(tokens["access_token"]?.string)
            let refresh = try #require(tokens["refresh_token"]?.string)
            #expect(isValid(access, at: programs[0]) == true)
            let body = "{\"token\":\"\(access)\"}"
            let head = "POST /validate HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n"
            let request = Array("\(head)content-length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
            let connection = try #require(Socket.connected(to: programs[0].authPort))
            programs[0].signal(SIGSTOP)
            // One thread takes the signal and stops the others: until then they go on.
            try wait { programs[0].threadStates.allSatisfy { $0 == "T" } }
            #expect(programs[1].exchange("POST", "/logout", "{\"refresh_token\":\"\(refresh)\"}") != nil)
            // The question waits in the socket when the program goes on.
            _ = request.withUnsafeBytes { Foundation.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            // A child that stops or goes on ends a sleep early.
            let frozenAt = DispatchTime.now()
            while DispatchTime.now().uptimeNanoseconds - frozenAt.uptimeNanoseconds < 1_400_000_000 { usleep(50_000) }
            programs[0].signal(SIGCONT)
            let answer = Socket.exchange([], on: connection).flatMap(Program.parse)
            #expect(answer?.json["valid"]?.bool != true, "\(String(describing: answer))")
            try wait { isValid(access, at: programs[0]) == false }
        }
    }

    @Test("a node that is killed is not missed, and knows when it returns what was revoked meanwhile (I3)", .timeLimit(.minutes(2)))
    func killed() async throws { try await onThread { try self.checkKilled() } }

    private func checkKilled() throws {
        let folders = try folders(2)
        let (first, second) = (try Program(folder: folders[0]), try Program(folder: folders[1]))
        let tokens = login(first)
        let (access, refresh) = (tokens["access_token"]?.string ?? "", tokens["refresh_token"]?.string ?? "")
        first.kill(SIGKILL)
        #expect(isValid(access, at: second) == true)
        let refreshed = second.send("POST", "/token/refresh", "{\"refresh_token\":\"\(refresh)\"}")
        #expect(refreshed?.status == 200)
        let next = refreshed?.json["refresh_token"]?.string ?? ""
        #expect(second.exchange("POST", "/logout", "{\"refresh_token\":\"\(next)\"}") != nil)
        let returned = try Program(folder: folders[0])
        #expect(isValid(access, at: returned) == false)
        #expect(returned.send("POST", "/token/refresh", "{\"refresh_token\":\"\(next)\"}")?.status == 401)
    }

    @Test(
        "of 64 callers over three programs one wins what happens once, and failures count together (R-2, I2, I6, I9)",
        .timeLimit(.minutes(3)))
    func races() async throws { try await onThread { try self.checkRaces() } }

    /// 64 calls at once, one after the other on each of the programs; what they answered.
    private func race(_ programs: [Program], _ call: @escaping @Sendable (Program) -> (status: Int, json: JSONObject)?) -> [(
        status: Int, json: JSONObject
    )] {
        let answers = Answers()
        DispatchQueue.concurrentPerform(iterations: 64) { number in
            if let answer = call(programs[number % programs.count]) { answers.add(answer) }
        }
        return answers.all
    }

    private func checkRaces() throws {
        let programs = try folders(3).map { try Program(folder: $0) }
        for _ in 0..<3 {
            let tokens = login(programs[0])
            let refresh = tokens["refresh_token"]?.string ?? ""
            let refreshed = race(programs) { $0.send("POST", "/token/refresh", "{\"refresh_token\":\"\(refresh)\"}") }
            #expect(refreshed.count == 64 && refreshed.allSatisfy { $0.status == 200 })
            #expect(Set(refreshed.map { $0.json["refresh_token"]?.string ?? "" }).count == 1)

            let other = login(programs[1])
            let own = programs[2].send(
                "POST", "/login", #"{"username":"alice","password":"correct-horse-battery","scope":"gatehouse:account"}"#)
            let bearer = "authorization: Bearer \(own?.json["access_token"]?.string ?? "")"
            let ended = race(programs) { program in
                program.exchange("DELETE", "/sessions/\(other["sid"]?.string ?? "")", headers: [bearer]).flatMap { answer in
                    String(decoding: answer.prefix(12), as: UTF8.self).split(separator: " ").last.flatMap { Int($0) }.map {
                        ($0, JSONObject())
                    }
                }
            }
            #expect(ended.filter { $0.status == 204 }.count == 1 && ended.filter { $0.status == 404 }.count == 63, "\(ended.map(\.status))")
        }
        let wrong = #"{"username":"nobody","password":"wrong-password-here"}"#
        var statuses = race(programs) { $0.send("POST", "/login", wrong) }.map(\.status)
        // A try that a program had no time for does not count.
        for number in 0..<64 where statuses.last != 429 || number < 3 {
            statuses.append(programs[number % 3].send("POST", "/login", wrong)?.status ?? 0)
        }
        #expect(statuses.filter { $0 == 401 }.count == 50, "lockout.free_attempts: \(statuses)")
        #expect(statuses.suffix(3) == [429, 429, 429])
    }
}

private final class Answers: Sendable {
    private let answers = Mutex<[(status: Int, json: JSONObject)]>([])
    var all: [(status: Int, json: JSONObject)] { answers.withLock { $0 } }
    func add(_ answer: (status: Int, json: JSONObject)) { answers.withLock { $0.append(answer) } }
}
