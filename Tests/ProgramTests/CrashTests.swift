import AuthCore
import Foundation
import Synchronization
import TestSupport
import Testing

/// What a client was told, to be held against the server after a crash.
private struct Told {
    var refreshToken: String
    var accessToken: String
    /// Tokens that were used up by an answered refresh.
    var usedUp: [String] = []
    var loggedOut: [(refresh: String, access: String)] = []
}

@Suite("kill -9 loses nothing that was answered (R-1a)", .serialized)
struct CrashTests {
    private func login(_ program: Program) throws -> Told {
        let answer = try #require(program.send("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#))
        #expect(answer.status == 200)
        return Told(
            refreshToken: try #require(answer.json["refresh_token"]?.string), accessToken: try #require(answer.json["access_token"]?.string)
        )
    }

    private func refresh(_ program: Program, _ token: String) -> (status: Int, json: JSONObject)? {
        program.send("POST", "/token/refresh", #"{"refresh_token":"\#(token)"}"#)
    }

    private func isValid(_ program: Program, _ token: String) -> Bool? {
        program.send("POST", "/validate", #"{"token":"\#(token)"}"#)?.json["valid"]?.bool
    }

    /// After a crash: the last answered token works (or its lost successor is given again), nothing that was logged out does.
    private func check(_ program: Program, _ told: inout Told) {
        for ended in told.loggedOut {
            #expect(isValid(program, ended.access) == false, "a session came back after a crash")
            #expect(refresh(program, ended.refresh)?.status == 401)
        }
        #expect(isValid(program, told.accessToken) == true, "an answered access token was lost")
        // The predecessor of an unanswered refresh gets the same successor: the honest client goes on (I1, I6).
        let answer = refresh(program, told.refreshToken)
        #expect(answer?.status == 200, "an answered refresh token was lost: \(String(describing: answer))")
        if let next = answer?.json["refresh_token"]?.string, let access = answer?.json["access_token"]?.string {
            told.refreshToken = next
            told.accessToken = access
        }
    }

    @Test("a loaded server killed at random moments", .timeLimit(.minutes(5)))
    func loop() async throws { try await onThread { try self.killLoop() } }

    private func killLoop() throws {
        let folder = try Program.newFolder()
        let rounds = ProcessInfo.processInfo.environment["GATEHOUSE_SOAK"] == nil ? 12 : 500
        var generator = SeededGenerator(seed: 42)
        var program = try Program(folder: folder)
        let keys = Set(try publishedKeys(program))
        var clients = try (0..<4).map { _ in try login(program) }
        // Under load a round may end before anybody signed out: then there are a few more.
        for round in 0..<(rounds + 60) where round < rounds || clients.allSatisfy({ $0.loggedOut.isEmpty }) {
            let wait = UInt32.random(in: 1_000...400_000, using: &generator)
            let victim = program
            let killer = Thread {
                usleep(wait)
                victim.signal(SIGKILL)
            }
            killer.start()
            // Threads, not tasks: they block, and the pool of tasks is small.
            let finished = Mutex([Int: Told]())
            for (index, client) in clients.enumerated() {
                Thread {
                    let told = self.load(victim, client)
                    finished.withLock { $0[index] = told }
                }.start()
            }
            while finished.withLock({ $0.count }) < clients.count { usleep(5_000) }
            for (index, told) in finished.withLock({ $0 }) { clients[index] = told }
            _ = victim.waitUntilExit()
            program = try Program(folder: folder)
            // Our own keys come back, and the published set still verifies what they signed (I5).
            #expect(keys.isSubset(of: try publishedKeys(program)))
            for index in clients.indices { check(program, &clients[index]) }
        }
        #expect(clients.map(\.usedUp.count).reduce(0, +) > 0)
        #expect(clients.map(\.loggedOut.count).reduce(0, +) > 0)
        program.kill(SIGTERM)
    }

    /// Refreshes and signs out until the server is gone.
    private func load(_ program: Program, _ client: Told) -> Told {
        var told = client
        for step in 1... {
            guard let answer = refresh(program, told.refreshToken) else { return told }
            guard answer.status == 200, let next = answer.json["refresh_token"]?.string, let access = answer.json["access_token"]?.string
            else {
                Issue.record("an honest refresh was refused: \(answer)")
                return told
            }
            if next != told.refreshToken { told.usedUp.append(told.refreshToken) }
            told.refreshToken = next
            told.accessToken = access
            guard step % 3 == 0 else { continue }
            // A second session, signed out again: once that is answered it must never come back.
            guard let login = program.send("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#),
                login.status == 200,
                let token = login.json["refresh_token"]?.string, let other = login.json["access_token"]?.string,
                program.send("POST", "/logout", #"{"refresh_token":"\#(token)"}"#)?.status == 204
            else { return told }
            told.loggedOut.append((token, other))
        }
        return told
    }

    private func publishedKeys(_ program: Program) throws -> [String] {
        let answer = try #require(program.send("GET", "/.well-known/jwks.json"))
        return (answer.json["keys"]?.array ?? []).compactMap { $0.object?["kid"]?.string }
    }

    @Test(
        "killed at a named point of a refresh", .timeLimit(.minutes(1)),
        arguments: ["refresh.before_commit:1", "store.before_commit:4", "store.after_commit:4", "refresh.after_commit:1"]
    )
    func failpoints(_ failpoint: String) async throws { try await onThread { try self.killAt(failpoint) } }

    private func killAt(_ failpoint: String) throws {
        let folder = try Program.newFolder()
        var told: Told
        do {
            let program = try Program(folder: folder)
            told = try login(program)
            program.kill(SIGTERM)
        }
        let armed = try Program(folder: folder, environment: ["GATEHOUSE_FAILPOINT": failpoint])
        // The server dies before it answers; a point that counts commits may need another request to be reached.
        for _ in 0..<8 {
            guard let answer = refresh(armed, told.refreshToken) else { break }
            told.usedUp.append(told.refreshToken)
            told.refreshToken = answer.json["refresh_token"]?.string ?? told.refreshToken
            told.accessToken = answer.json["access_token"]?.string ?? told.accessToken
        }
        _ = armed.waitUntilExit()
        #expect(!armed.isRunning)
        let program = try Program(folder: folder)
        check(program, &told)
        program.kill(SIGTERM)
    }

    @Test(
        "a logout that was answered holds, one that was not is all or nothing", .timeLimit(.minutes(1)),
        arguments: ["store.before_commit:2", "store.after_commit:2"])
    func logout(_ failpoint: String) async throws { try await onThread { try self.killLogout(failpoint) } }

    /// Also the RSA key of ID tokens, which takes a while.
    private func hasEveryKey(_ program: Program) -> Bool {
        let keys = program.send("GET", "/.well-known/jwks.json")?.json["keys"]?.array ?? []
        return keys.contains { $0.object?["kty"]?.string == "RSA" }
    }

    private func killLogout(_ failpoint: String) throws {
        let folder = try Program.newFolder()
        var program = try Program(folder: folder)
        let told = try login(program)
        // What a first start makes in the background is a commit too, and would be counted after the next start.
        let deadline = DispatchTime.now().uptimeNanoseconds + 30_000_000_000
        while !hasEveryKey(program), DispatchTime.now().uptimeNanoseconds < deadline { usleep(50_000) }
        #expect(hasEveryKey(program))
        program.kill(SIGTERM)
        program = try Program(folder: folder, environment: ["GATEHOUSE_FAILPOINT": failpoint])
        let answer = program.send("POST", "/logout", #"{"refresh_token":"\#(told.refreshToken)"}"#)
        if answer == nil { _ = program.waitUntilExit() } else { program.kill(SIGKILL) }
        program = try Program(folder: folder)
        let isAccepted = self.isValid(program, told.accessToken) == true
        let refreshes = refresh(program, told.refreshToken)?.status == 200
        #expect(isAccepted == refreshes, "half a logout")
        if answer?.status == 204 { #expect(!isAccepted) }
        program.kill(SIGTERM)
    }
}

/// A generator that gives the same numbers for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
