import AuthCore
import Foundation
import PostgresServer
import Synchronization
import TestSupport
import Testing

/// Two servers, one of them the standby of the other, and real programs on both (RELIABILITY R-4a, R-4c, R-19).
@Suite("PostgreSQL fails over", .serialized)
struct FailoverTests {
    /// A folder of a program that knows the servers in this order.
    private func folder(_ servers: [PostgresServer], key: String, more: String = "") throws -> URL {
        try Program.newFolder(storage: PostgresServer.uri(servers, schema: "t1"), key: key, more: more)
    }

    private struct Tokens {
        let access: String
        let refresh: String

        init?(_ answer: (status: Int, json: JSONObject)?) {
            guard let answer, answer.status == 200, let access = answer.json["access_token"]?.string,
                let refresh = answer.json["refresh_token"]?.string
            else { return nil }
            (self.access, self.refresh) = (access, refresh)
        }
    }

    private func login(_ program: Program) -> Tokens? {
        Tokens(program.send("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#))
    }

    private func refresh(_ token: String, at program: Program) -> (status: Int, json: JSONObject)? {
        program.send("POST", "/token/refresh", "{\"refresh_token\":\"\(token)\"}")
    }

    private func isValid(_ token: String, at program: Program) -> Bool? {
        program.send("POST", "/validate", "{\"token\":\"\(token)\"}")?.json["valid"]?.bool
    }

    /// Asks all the time whether a good token is good: `/validate` on both programs, and the gateway, which would forward to nobody (502).
    private final class Watcher: Sendable {
        private let isStopped = Atomic(false)
        private let wrong = Mutex<[String]>([])
        private let asked = Tally()
        private let ended = DispatchSemaphore(value: 0)

        init(_ programs: [Program], token: String) {
            Thread.detachNewThread { [self] in
                while !isStopped.load(ordering: .relaxed) {
                    for program in programs {
                        let answer = program.send("POST", "/validate", "{\"token\":\"\(token)\"}")
                        if answer?.json["valid"]?.bool != true { note("validate: \(String(describing: answer))") }
                        let passed = program.exchange(
                            "GET", "/orders", headers: ["authorization: Bearer \(token)"], port: program.gatewayPort)
                        let line = String(decoding: (passed ?? []).prefix(12), as: UTF8.self)
                        if line != "HTTP/1.1 502" { note("gateway: \(line)") }
                        asked.add()
                    }
                    usleep(10_000)
                }
                ended.signal()
            }
        }

        private func note(_ text: String) { wrong.withLock { $0.append(text) } }

        func stop() -> (asked: Int, wrong: [String]) {
            isStopped.store(true, ordering: .relaxed)
            _ = ended.wait(timeout: .now() + 30)
            return (asked.value, wrong.withLock { $0 })
        }
    }

    /// The primary and a standby that each commit waits for.
    private func servers(_ port: Int) throws -> [PostgresServer] {
        let primary = try PostgresServer(port: port)
        let standby = try PostgresServer(standbyOf: primary)
        try primary.statement("ALTER SYSTEM SET synchronous_standby_names = '*'")
        try primary.statement("SELECT pg_reload_conf()")
        try wait { (try? primary.statement("SELECT sync_state FROM pg_stat_replication")) == "sync" }
        return [primary, standby]
    }

    @Test(
        "the primary dies and the standby is promoted: nothing answered is lost, checking never stops, the old one is not used again",
        .timeLimit(.minutes(3)))
    func failover() async throws { try await onThread { try self.checkFailover() } }

    private func checkFailover() throws {
        let (servers, key) = (try servers(5_440), Program.newKey())
        let folders = try [folder(servers, key: key), folder(servers, key: key)]
        let programs = try folders.map { try Program(folder: $0) }
        let kept = try #require(login(programs[0]))
        let ended = try #require(login(programs[0]))
        #expect(programs[0].exchange("POST", "/logout", "{\"refresh_token\":\"\(ended.refresh)\"}") != nil)
        try wait { isValid(ended.access, at: programs[1]) == false }
        let watcher = Watcher(programs, token: kept.access)

        // Writers on both, who keep what they were told.
        let isStopped = Atomic(false)
        let answered = Mutex<[Tokens]>([])
        let refused = Mutex<[String]>([])
        let writers = DispatchGroup()
        for program in programs {
            writers.enter()
            Thread.detachNewThread {
                while !isStopped.load(ordering: .relaxed) {
                    let bytes = program.exchange("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#)
                    if let tokens = Tokens(bytes.flatMap(Program.parse)) {
                        answered.withLock { $0.append(tokens) }
                    } else {
                        let text = String(decoding: bytes ?? [], as: UTF8.self)
                        if !text.hasPrefix("HTTP/1.1 503") || !text.contains("retry-after: ") { refused.withLock { $0.append(text) } }
                    }
                }
                writers.leave()
            }
        }
        try wait { answered.withLock { $0.count } > 10 }
        servers[0].kill()
        // What does not work is told, and where.
        try wait {
            programs.allSatisfy { program in
                let ready = program.send("GET", "/health/ready", port: program.adminPort)
                return ready?.status == 503
            }
        }
        let page = programs[0].exchange("GET", "/health/ready", port: programs[0].adminPort)
        #expect(String(decoding: page ?? [], as: UTF8.self).contains("store"))
        try servers[1].promote()
        let promotedAt = DispatchTime.now()
        let before = answered.withLock { $0.count }
        try wait { answered.withLock { $0.count } > before + 4 }
        let seconds = Double(DispatchTime.now().uptimeNanoseconds - promotedAt.uptimeNanoseconds) / 1e9
        #expect(seconds < 8, "\(seconds) s from the promotion to sign-ins")
        isStopped.store(true, ordering: .relaxed)
        writers.wait()
        #expect(refused.withLock { $0 }.isEmpty, "\(refused.withLock { $0.prefix(3) })")

        // Every sign-in that was answered is there, on the other program too.
        let all = answered.withLock { $0 }
        for (number, tokens) in all.enumerated() {
            let answer = refresh(tokens.refresh, at: programs[number % 2])
            #expect(answer?.status == 200, "\(number) of \(all.count): \(String(describing: answer))")
        }
        for program in programs {
            #expect(isValid(ended.access, at: program) == false)
            #expect(refresh(ended.refresh, at: program)?.status == 401)
        }

        // The old primary returns as if nothing had happened, and is the first of the list (R-4c).
        try servers[0].start(["synchronous_standby_names="])
        let sessions = "SELECT count(*) FROM t1.sessions"
        let old = try servers[0].statement(sessions)
        for program in programs { #expect(login(program) != nil) }
        // One that has just started asks both; one that runs meets it when its connections are lost.
        let fresh = try Program(folder: try folder(servers, key: key))
        #expect(login(fresh) != nil)
        try servers[1].statement("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gatehouse'")
        for program in programs + [fresh] { try wait { login(program) != nil } }
        // Nor while it is the only one that answers.
        servers[1].kill()
        for program in programs + [fresh] { #expect(login(program) == nil) }
        #expect(try servers[0].statement(sessions) == old)
        try servers[1].start()
        for program in programs + [fresh] { try wait { login(program) != nil } }
        #expect(try servers[0].statement(sessions) == old)
        #expect(try servers[0].statement("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gatehouse'") == "0")
        for program in programs { #expect(isValid(ended.access, at: program) == false) }

        let seen = watcher.stop()
        #expect(seen.asked > 50 && seen.wrong.isEmpty, "\(seen.asked) asked, \(seen.wrong.count) wrong: \(seen.wrong.prefix(3))")
        print("failover: sign-ins \(seconds) s after the promotion, \(all.count) answered, \(seen.asked) checks")
        for server in servers { server.kill() }
    }

    @Test(
        "a standby that had not received the last commits is promoted: what was revoked stays revoked, newer tokens are told apart",
        .timeLimit(.minutes(3)))
    func lostCommits() async throws { try await onThread { try self.checkLostCommits() } }

    private func checkLostCommits() throws {
        let primary = try PostgresServer(port: 5_441)
        let standby = try PostgresServer(standbyOf: primary)
        let programs = try [0].map { _ in try Program(folder: folder([primary, standby], key: Program.newKey())) }
        let program = programs[0]
        let (first, second) = (try #require(login(program)), try #require(login(program)))
        let position = try primary.statement("SELECT pg_current_wal_insert_lsn()")
        try wait { (try? standby.statement("SELECT pg_last_wal_replay_lsn() >= '\(position)'")) == "t" }
        // From here on the standby hears nothing.
        try standby.statement("ALTER SYSTEM SET primary_conninfo = ''")
        try standby.statement("SELECT pg_reload_conf()")
        try wait { (try? primary.statement("SELECT count(*) FROM pg_stat_replication")) == "0" }
        let next = try #require(Tokens(refresh(first.refresh, at: program)))
        #expect(program.exchange("POST", "/logout", "{\"refresh_token\":\"\(second.refresh)\"}") != nil)
        #expect(isValid(second.access, at: program) == false)
        primary.kill()
        try standby.promote()
        try wait { login(program) != nil }
        // The log of the new history does not have it; this node has.
        #expect(isValid(second.access, at: program) == false)
        try wait { program.log.components(separatedBy: "revocations_snapshot").count > 2 }
        #expect(isValid(second.access, at: program) == false)
        // A refresh token that the store has never heard of is no theft.
        let ahead = refresh(next.refresh, at: program)
        #expect(ahead?.status == 401)
        #expect(program.log.contains("store_rollback_detected"))
        // Nobody is logged out for it: the one before still works.
        #expect(refresh(first.refresh, at: program)?.status == 200)
        for server in [primary, standby] { server.kill() }
    }

    @Test(
        "a standby is promoted while its primary goes on: a node that has not noticed leaves the primary, and refuses what was revoked (R-4c)",
        .timeLimit(.minutes(3)))
    func unfenced() async throws { try await onThread { try self.checkUnfenced() } }

    private func checkUnfenced() throws {
        let (servers, key) = (try servers(5_442), Program.newKey())
        let old = try Program(folder: try folder(servers, key: key))
        let tokens = try #require(login(old))
        try servers[1].promote()
        // One that starts asks both, and takes the one that is further.
        let fresh = try Program(folder: try folder(servers, key: key))
        #expect(fresh.exchange("POST", "/logout", "{\"refresh_token\":\"\(tokens.refresh)\"}") != nil)
        #expect(isValid(tokens.access, at: fresh) == false)
        // Nothing of the first was lost, nobody tells it, and its primary answers every question.
        try wait { isValid(tokens.access, at: old) == false }
        #expect(refresh(tokens.refresh, at: old)?.status == 401)
        let sessions = try servers[0].statement("SELECT count(*) FROM t1.sessions")
        #expect(login(old) != nil)
        #expect(try servers[0].statement("SELECT count(*) FROM t1.sessions") == sessions)
        for server in servers { server.kill() }
    }
}
