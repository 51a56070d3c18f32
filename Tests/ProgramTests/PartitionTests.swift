import AuthCore
import Foundation
import PostgresServer
import Synchronization
import TestSupport
import Testing

/// Real programs whose database cannot be reached, for some of them or for all (RELIABILITY R-19, and R-4d's bounded waits).
@Suite("Programs that are cut off from their PostgreSQL", .serialized)
struct PartitionTests {
    private static let password = #"{"username":"alice","password":"correct-horse-battery"}"#

    private struct Tokens {
        let access: String
        let refresh: String
    }

    private func login(_ program: Program) -> Tokens? {
        guard let answer = program.send("POST", "/login", PartitionTests.password), answer.status == 200,
            let access = answer.json["access_token"]?.string, let refresh = answer.json["refresh_token"]?.string
        else { return nil }
        return Tokens(access: access, refresh: refresh)
    }

    /// What every shell says of a token: `/validate`, `/forward-auth`, and the gateway, which would forward to nobody.
    private struct Decision: Equatable, CustomStringConvertible {
        /// `valid`, `not valid`, or the status and error.
        let validate: String
        let forwardAuth: String
        /// 502 where the request was let through.
        let gateway: String

        var description: String { "validate \(validate), forward-auth \(forwardAuth), gateway \(gateway)" }

        static let good = Decision(validate: "valid", forwardAuth: "200", gateway: "502 bad_gateway")
        static let ended = Decision(validate: "not valid", forwardAuth: "401 invalid_token", gateway: "401 invalid_token")
        static let stale = Decision(validate: "503 stale", forwardAuth: "503 stale", gateway: "503 stale")
        static let served = Decision(validate: "503 stale", forwardAuth: "200", gateway: "502 bad_gateway")
    }

    private func decision(_ token: String, at program: Program) -> Decision {
        let bearer = ["authorization: Bearer \(token)"]
        func told(_ bytes: [UInt8]?) -> String {
            guard let bytes, let answer = Program.parse(bytes) else { return "no answer" }
            if let isValid = answer.json["valid"]?.bool { return isValid ? "valid" : "not valid" }
            return ([String(answer.status)] + [answer.json["error"]?.string].compactMap { $0 }).joined(separator: " ")
        }
        return Decision(
            validate: told(program.exchange("POST", "/validate", "{\"token\":\"\(token)\"}")),
            forwardAuth: told(program.exchange("GET", "/forward-auth", headers: bearer)),
            gateway: told(program.exchange("GET", "/orders", headers: bearer, port: program.gatewayPort)))
    }

    private func seconds(since start: DispatchTime) -> Double {
        Double(DispatchTime.now().uptimeNanoseconds - start.uptimeNanoseconds) / 1e9
    }

    /// What `/health/ready` says: its status, and the parts that are not well.
    private struct Readiness: Equatable {
        let status: Int
        let broken: Set<String>

        init(_ status: Int, _ broken: Set<String> = []) { (self.status, self.broken) = (status, broken) }

        static let ready = Readiness(200)
    }

    private func readiness(_ program: Program) -> Readiness {
        let answer = program.send("GET", "/health/ready", port: program.adminPort)
        let parts = answer?.json["parts"]?.object ?? JSONObject()
        let names = ["store", "revocations", "keys", "clock"]
        return Readiness(answer?.status ?? 0, Set(names.filter { parts[$0]?.string.map { $0 != "ok" } ?? true }))
    }

    /// Somebody who signs in, refreshes, signs out and asks for decisions without a pause, and notes what is not as it should be.
    private final class Person: Sendable {
        private let isStopped = Atomic(false)
        private let wrong = Mutex<[String]>([])
        private let rounds = Tally()
        private let ended = DispatchSemaphore(value: 0)

        init(_ round: @escaping @Sendable () -> [String]) {
            Thread.detachNewThread { [self] in
                while !isStopped.load(ordering: .relaxed) {
                    let found = round()
                    wrong.withLock { $0 += found }
                    rounds.add()
                }
                ended.signal()
            }
        }

        func stop() -> (rounds: Int, wrong: [String]) {
            isStopped.store(true, ordering: .relaxed)
            _ = ended.wait(timeout: .now() + 60)
            return (rounds.value, wrong.withLock { $0 })
        }
    }

    /// Everything that a program does, once.
    private func everything(at program: Program) -> [String] {
        guard let tokens = login(program) else { return ["a sign-in failed"] }
        var wrong: [String] = []
        let before = decision(tokens.access, at: program)
        if before != .good { wrong.append("signed in: \(before)") }
        let refreshed = program.send("POST", "/token/refresh", "{\"refresh_token\":\"\(tokens.refresh)\"}")
        if refreshed?.status != 200 { wrong.append("refresh: \(String(describing: refreshed))") }
        let left = program.send("POST", "/logout", "{\"refresh_token\":\"\(tokens.refresh)\"}")
        if left?.status != 204 { wrong.append("logout: \(String(describing: left))") }
        let after = decision(tokens.access, at: program)
        if after != .ended { wrong.append("signed out: \(after)") }
        return wrong
    }

    /// What needs the database: each is refused with 503 and `Retry-After`. Returns how long the longest took.
    private func checkRefused(_ program: Program, _ tokens: Tokens, rounds: Int) -> Double {
        let longest = Mutex(0.0)
        let calls = [
            ("/login", PartitionTests.password), ("/token/refresh", "{\"refresh_token\":\"\(tokens.refresh)\"}"),
            ("/logout", "{\"refresh_token\":\"\(tokens.refresh)\"}"),
        ]
        DispatchQueue.concurrentPerform(iterations: calls.count) { number in
            let (path, body) = calls[number]
            for _ in 0..<rounds {
                let start = DispatchTime.now()
                let answer = String(decoding: program.exchange("POST", path, body) ?? [], as: UTF8.self)
                let taken = seconds(since: start)
                longest.withLock { $0 = max($0, taken) }
                #expect(answer.hasPrefix("HTTP/1.1 503") && answer.contains("retry-after: "), "\(path): \(answer.prefix(300))")
            }
        }
        return longest.withLock { $0 }
    }

    @Test(
        "one that is cut off goes on from memory up to max_staleness, refuses writes soon, and knows when it returns what was revoked (R-19)",
        .timeLimit(.minutes(3)), arguments: [PostgresProxy.Mode.stalled, .refusing])
    func cutOff(mode: PostgresProxy.Mode) async throws { try await onThread { try self.checkCutOff(mode) } }

    private func checkCutOff(_ mode: PostgresProxy.Mode) throws {
        let server = try PostgresServer.shared()
        let direct = try server.newSchema()
        let proxy = try PostgresProxy(to: server.socket)
        defer { proxy.stop() }
        let schema = try #require(direct.components(separatedBy: "%3D").last)
        let cut = proxy.uri(schema: schema)
        let key = Program.newKey()
        let (bound, serve) = ("revocations: {max_staleness: 2s}\n", "revocations: {max_staleness: 2s, when_stale: serve}\n")
        let refusing = try Program(folder: Program.newFolder(storage: cut, key: key, more: bound))
        let serving = try Program(folder: Program.newFolder(storage: cut, key: key, more: serve))
        let other = try Program(folder: Program.newFolder(storage: direct, key: key, more: bound))
        let (kept, ended) = (try #require(login(other)), try #require(login(other)))
        let own = try #require(login(refusing))
        for program in [refusing, serving, other] { try wait { decision(kept.access, at: program) == .good } }
        let person = Person { everything(at: other) }

        proxy.set(mode)
        let cutAt = DispatchTime.now()
        // Within the bound. The log was last read half a second before the cut, or a little longer.
        var fromMemory = 0
        while true {
            let decisions = [refusing, serving].map { decision(kept.access, at: $0) }
            if seconds(since: cutAt) > 1 { break }
            #expect(decisions == [.good, .good], "\(seconds(since: cutAt)) s")
            fromMemory += 1
        }
        #expect(fromMemory > 0)
        var longest = [refusing, serving].map { checkRefused($0, own, rounds: 1) }.max() ?? 0

        // Past it.
        try wait { decision(kept.access, at: refusing) == .stale && decision(kept.access, at: serving) == .served }
        try wait { [refusing, serving].allSatisfy { readiness($0) == Readiness(503, ["store", "revocations"]) } }
        for program in [refusing, serving] {
            #expect(program.send("GET", "/health/live", port: program.adminPort)?.status == 200)
            #expect(program.send("GET", "/.well-known/jwks.json")?.status == 200)
            // Bad without doubt needs no log, and nothing but 401 is said of it.
            #expect(decision("nonsense", at: program).gateway == "401 invalid_token")
        }
        longest = max(longest, [refusing, serving].map { checkRefused($0, own, rounds: 5) }.max() ?? 0)
        // The driver gives up a silent server after 3 s and a connection to it after 2; the rest is for a machine that does other things.
        #expect(longest < 6, "\(longest) s")
        // More than one reading of the log brings, and last of all what is asked for when the node returns.
        try server.statement(
            """
            BEGIN; UPDATE \(schema).feed SET sequence = sequence + 5000;
            INSERT INTO \(schema).revocations (kind, subject, until_ms, sequence)
                SELECT 'token', 'missed-' || n, 4000000000000, sequence - 5000 + n FROM generate_series(1, 5000) AS n, \(schema).feed; COMMIT
            """)
        #expect(other.send("POST", "/logout", "{\"refresh_token\":\"\(ended.refresh)\"}")?.status == 204)
        #expect(decision(ended.access, at: other) == .ended)
        #expect(decision(ended.access, at: refusing) == .stale)
        #expect(readiness(other) == .ready)

        // And back.
        proxy.set(.open)
        let openedAt = DispatchTime.now()
        var seen = Decision.stale
        while seconds(since: openedAt) < 20, seen != .ended {
            seen = decision(ended.access, at: refusing)
            // Each shell is asked at another moment: stale, and then refused for good.
            #expect(seen.validate == "503 stale" || seen.validate == "not valid", "\(seen)")
            for answer in [seen.forwardAuth, seen.gateway] { #expect(answer == "503 stale" || answer == "401 invalid_token", "\(seen)") }
        }
        let decided = seconds(since: openedAt)
        #expect(seen == .ended)
        try wait { decision(ended.access, at: serving) == .ended }
        for program in [refusing, serving] {
            try wait { login(program) != nil && readiness(program) == .ready && decision(kept.access, at: program) == .good }
        }
        let written = seconds(since: openedAt)
        // What was refused was not done.
        #expect(refusing.send("POST", "/token/refresh", "{\"refresh_token\":\"\(own.refresh)\"}")?.status == 200)
        let told = person.stop()
        #expect(told.rounds > 2 && told.wrong.isEmpty, "\(told.rounds) rounds: \(told.wrong.prefix(3))")
        print(
            "cut off, \(mode): \(fromMemory) decisions from memory, 503 after at most \(longest) s, back after \(decided) s, "
                + "both programs whole after \(written) s, \(told.rounds) rounds elsewhere")
    }

    @Test("the database is killed and started again: nothing answered is lost, checking never stops, and all recover by themselves")
    func killed() async throws { try await onThread { try self.checkKilled() } }

    private func checkKilled() throws {
        let server = try PostgresServer(port: 5_443)
        defer { server.kill() }
        let key = Program.newKey()
        let programs = try (0..<2).map { _ in try Program(folder: Program.newFolder(storage: server.uri(schema: "t1"), key: key, more: ""))
        }
        let (kept, ended) = (try #require(login(programs[0])), try #require(login(programs[1])))
        for program in programs { try wait { decision(kept.access, at: program) == .good } }
        let watchers = programs.map { program in
            Person {
                let seen = decision(kept.access, at: program)
                usleep(5_000)
                return seen == .good ? [] : ["\(seen)"]
            }
        }
        var figures: [Double] = []
        for round in 0..<3 {
            if round == 1 { #expect(programs[1].send("POST", "/logout", "{\"refresh_token\":\"\(ended.refresh)\"}")?.status == 204) }
            let last = try programs.map { try #require(login($0)) }
            server.kill()
            for program in programs { #expect(checkRefused(program, kept, rounds: 3) < 6) }
            try wait { programs.allSatisfy { readiness($0) == Readiness(503, ["store"]) } }
            try server.start()
            let startedAt = DispatchTime.now()
            for program in programs { try wait { login(program) != nil } }
            figures.append(seconds(since: startedAt))
            try wait { programs.allSatisfy { readiness($0) == .ready } }
            for (number, tokens) in last.enumerated() {
                let answer = programs[1 - number].send("POST", "/token/refresh", "{\"refresh_token\":\"\(tokens.refresh)\"}")
                #expect(answer?.status == 200, "round \(round): \(String(describing: answer))")
            }
            if round > 0 { for program in programs { #expect(decision(ended.access, at: program) == .ended) } }
        }
        let told = watchers.map { $0.stop() }
        for (rounds, wrong) in told { #expect(rounds > 20 && wrong.isEmpty, "\(rounds): \(wrong.prefix(3))") }
        print("killed: sign-ins on both \(figures) s after the server was back, \(told.map(\.rounds).reduce(0, +)) checks")
    }
}
