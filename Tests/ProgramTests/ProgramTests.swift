import AuthCore
import Foundation
import Synchronization
import TestSupport
import Testing

@Suite("The program", .serialized)
struct ProgramTests {
    @Test("starts from nothing, makes its key with mode 0600, and starts again", .timeLimit(.minutes(1)))
    func firstStart() async throws { try await onThread { try self.checkFirstStart() } }

    private func checkFirstStart() throws {
        let folder = try Program.newFolder()
        for _ in 0..<2 {
            let program = try Program(folder: folder)
            #expect(program.send("GET", "/health/ready", port: program.adminPort)?.status == 200)
            #expect(program.send("GET", "/health/live", port: program.adminPort)?.status == 200)
            program.kill(SIGTERM)
        }
        for file in ["master.key", "gatehouse.db.lock"] {
            let mode = try FileManager.default.attributesOfItem(atPath: folder.appendingPathComponent(file).path)[.posixPermissions] as? Int
            #expect(mode == 0o600, "\(file)")
        }
    }

    enum KeyFault: String, CaseIterable, Sendable { case missing, other, readable, short }

    @Test("a store without its master key is never started, and nothing is made anew (JK-08)", arguments: KeyFault.allCases)
    func masterKey(_ fault: KeyFault) async throws { try await onThread { try self.checkMasterKey(fault) } }

    private func checkMasterKey(_ fault: KeyFault) throws {
        let folder = try Program.newFolder()
        try Program(folder: folder).kill(SIGTERM)
        let key = folder.appendingPathComponent("master.key")
        switch fault {
        case .missing: try FileManager.default.removeItem(at: key)
        case .other: try Data((Base64URL.encode([UInt8](repeating: 7, count: 32)) + "\n").utf8).write(to: key)
        case .readable: try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: key.path)
        case .short: try Data("c2hvcnQ\n".utf8).write(to: key)
        }
        let result = try Program.run(["serve", "--config", "gatehouse.yaml"], in: folder)
        #expect(result.status != 0)
        #expect(result.errors.contains("master"), "\(result.errors)")
        if fault == .missing { #expect(!FileManager.default.fileExists(atPath: key.path)) }
    }

    @Test("a faulty resource file changes nothing and is reported; a good one is applied when it changes", .timeLimit(.minutes(1)))
    func reload() async throws { try await onThread { try self.checkReload() } }

    private func checkReload() throws {
        let folder = try Program.newFolder()
        let program = try Program(folder: folder)
        let file = folder.appendingPathComponent("resources.yaml")
        let good = try String(contentsOf: file, encoding: .utf8)
        func login(_ name: String) -> Int? {
            program.send("POST", "/login", #"{"username":"\#(name)","password":"correct-horse-battery"}"#)?.status
        }
        try Data((good + "\nnonsense: 1\n").utf8).write(to: file)
        program.signal(SIGHUP)
        try wait { program.log.contains("resources_refused") }
        #expect(login("alice") == 200)
        try Data(good.replacingOccurrences(of: "users:", with: "users:\n  - {username: bob, password: correct-horse-battery}").utf8).write(
            to: file)
        try wait { login("bob") == 200 }
        program.kill(SIGTERM)
    }

    @Test("SIGTERM drains: no request in flight fails (R-14)", .timeLimit(.minutes(1)))
    func drain() async throws { try await onThread { try self.checkDrain() } }

    private func checkDrain() throws {
        for _ in 0..<3 {
            // Hashes that take long enough to be under way when the signal comes.
            let folder = try Program.newFolder()
            let settings = Program.settings.replacingOccurrences(of: "memory_kib: 7168", with: "memory_kib: 131072")
            try Data(settings.utf8).write(to: folder.appendingPathComponent("gatehouse.yaml"))
            let program = try Program(folder: folder)
            let outcomes = Outcomes()
            let threads = (0..<6).map { _ in
                Thread {
                    let answer = program.send("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#)
                    outcomes.add(answer?.status ?? 0)
                }
            }
            for thread in threads { thread.start() }
            // In flight means accepted by the server; the hashes of six sign-ins take a while.
            try wait { program.metric("gatehouse_auth_connections_open") + outcomes.count >= 6 }
            program.signal(SIGTERM)
            #expect(outcomes.count < 6, "nothing was in flight any more")
            #expect(program.waitUntilExit() == 0)
            try wait { outcomes.count == 6 }
            #expect(outcomes.all.allSatisfy { $0 == 200 }, "\(outcomes.all)")
        }
    }

    @Test(
        "a decision late in a drain is as good as any: revocations are followed until the last request is answered", .timeLimit(.minutes(1))
    )
    func lateInDrain() async throws { try await onThread { try self.checkLateInDrain() } }

    private func checkLateInDrain() throws {
        let folder = try Program.newFolder()
        let settings = Program.settings + "\nrevocations: {max_staleness: 1s}\n"
        try Data(settings.utf8).write(to: folder.appendingPathComponent("gatehouse.yaml"))
        let program = try Program(folder: folder)
        let login = program.send("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#)
        let body = "{\"token\":\"\(try #require(login?.json["access_token"]?.string))\"}"
        let connection = try #require(Socket.connected(to: program.authPort))
        let head =
            "POST /validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n\r\n"
        // In hand, but not decided before its last byte is there.
        let (first, rest) = (Array((head + body).utf8.dropLast()), Array(body.utf8.suffix(1)))
        #expect(first.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) } == first.count)
        try wait { program.metric("gatehouse_auth_connections_open") >= 1 }
        program.signal(SIGTERM)
        try wait { program.log.contains(#""event":"draining""#) }
        // What is to be seen is that this time, three times the bound, makes no difference.
        usleep(3_000_000)
        #expect(program.isRunning)
        let answer = Socket.exchange(rest, on: connection)
        #expect(answer.flatMap(Program.parse)?.json["valid"]?.bool == true, "\(String(decoding: answer ?? [], as: UTF8.self))")
        #expect(program.waitUntilExit() == 0)
    }

    @Test("SIGTERM under load: each connection that is made gets its answer (R-14)", .timeLimit(.minutes(5)))
    func drainUnderLoad() async throws { try await onThread { try self.checkDrainUnderLoad() } }

    private func checkDrainUnderLoad() throws {
        let restarts = ProcessInfo.processInfo.environment["GATEHOUSE_SOAK"] == nil ? 3 : 100
        let folder = try Program.newFolder()
        let request = Array("GET /.well-known/jwks.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".utf8)
        for _ in 0..<restarts {
            let program = try Program(folder: folder)
            let port = program.authPort
            let outcomes = Outcomes()
            let ended = Outcomes()
            for _ in 0..<8 {
                Thread {
                    // Until nobody takes a connection any more.
                    while let connection = Socket.connected(to: port) {
                        outcomes.add(Socket.exchange(request, on: connection).flatMap(Program.parse)?.status ?? 0)
                    }
                    ended.add(1)
                }.start()
            }
            try wait { outcomes.count >= 200 }
            program.signal(SIGTERM)
            #expect(program.waitUntilExit() == 0)
            try wait { ended.count == 8 }
            #expect(outcomes.all.allSatisfy { $0 == 200 }, "\(outcomes.all.count { $0 != 200 }) of \(outcomes.count)")
        }
    }

    @Test(
        "connections that use up the open files of one listener keep nobody from the others (R-9a)", .timeLimit(.minutes(1)),
        arguments: ["auth", "gateway"])
    func openFiles(_ listener: String) async throws { try await onThread { try self.checkOpenFiles(listener) } }

    private func checkOpenFiles(_ listener: String) throws {
        let program = try Program(folder: try Program.newFolder(), filesMax: 256)
        let (port, path) = listener == "auth" ? (program.authPort, "/.well-known/jwks.json") : (program.gatewayPort, "/nothing")
        var held = (0..<400).compactMap { _ in Socket.connected(to: port) }
        defer { for descriptor in held { close(descriptor) } }
        #expect(held.count > 256)
        #expect(program.send("GET", "/health/live", port: program.adminPort)?.status == 200)
        #expect(program.send("GET", "/health/ready", port: program.adminPort)?.status == 200)
        #expect(try Program.run(["user", "list", "--config", "gatehouse.yaml"], in: program.folder).output.contains("alice"))
        if listener == "gateway" {
            let login = program.send("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#)
            #expect(login?.status == 200)
        } else {
            #expect(program.send("GET", "/orders", port: program.gatewayPort)?.status == 401)
        }
        // Shed, with or without a word.
        #expect([nil, 503].contains(program.send("GET", path, port: port)?.status))
        for descriptor in held { close(descriptor) }
        held = []
        try wait { [200, 404].contains(program.send("GET", path, port: port)?.status) }
        program.kill(SIGTERM)
        #expect(program.waitUntilExit() == 0)
    }

    @Test("too few open files are a clear refusal to start (R-21)")
    func tooFewFiles() async throws {
        try await onThread {
            let error = #expect(throws: Program.NotReady.self) { _ = try Program(folder: try Program.newFolder(), filesMax: 100) }
            #expect(error?.log.contains("ulimit -n") == true, "\(String(describing: error))")
        }
    }

    @Test("operators' commands go through the control socket", .timeLimit(.minutes(1)))
    func commands() async throws { try await onThread { try self.checkCommands() } }

    private func checkCommands() throws {
        let folder = try Program.newFolder()
        let program = try Program(folder: folder)
        func run(_ arguments: String..., input: String = "") throws -> (status: Int32, output: String, errors: String) {
            try Program.run(arguments + ["--config", "gatehouse.yaml"], in: folder, input: input)
        }
        #expect(try run("user", "list").output.contains("alice"))
        #expect(try run("user", "add", "carol", "--role", "customer", input: "a-long-enough-password\n").status == 0)
        #expect(try run("user", "add", "Carol", input: "a-long-enough-password\n").status == 1)
        #expect(try run("user", "add", "dave", input: "short\n").errors.contains("password_too_short"))
        let login = try #require(program.send("POST", "/login", #"{"username":"carol","password":"a-long-enough-password"}"#))
        let token = try #require(login.json["access_token"]?.string)
        let explained = try run("token", "explain", token)
        #expect(explained.status == 0)
        #expect(explained.output.contains("The token is valid."))
        #expect(try run("session", "list", "carol").output.contains(login.json["sid"]?.string ?? "-"))
        #expect(try run("user", "disable", "carol").status == 0)
        let refused = try run("token", "explain", token)
        #expect(refused.status == 1)
        #expect(refused.output.contains("FAILED"))
        #expect(refused.output.contains("revoked"))
        #expect(try run("audit", "--user", "carol").output.contains("account_changed"))
        #expect(try run("key", "list").output.contains("active"))
        #expect(try run("key", "rotate").errors.contains("published for long enough"))
        let secret = try run("client", "rotate-secret", "nobody")
        #expect(secret.status == 1)
        let leave = try run("client", "registration-token", "--uses", "2", "--ttl", "1h")
        #expect(leave.status == 0 && leave.output.hasPrefix("ghi_") && leave.errors.contains("2 times"))
        #expect(try run("client", "registration-token", "--ttl", "soon").status != 0)
        #expect(try run("client", "disable", "https://nobody.example/c").errors.contains("no such client"))
        let resources = folder.appendingPathComponent("more.yaml")
        try Data("resources:\n  - {id: reports, scopes: [\"reports:read\"]}\n".utf8).write(to: resources)
        let dry = try run("apply", "-f", "resources.yaml", "more.yaml", "--dry-run")
        #expect(dry.output.contains("+ resource reports"))
        #expect(try run("apply", "-f", "resources.yaml", "more.yaml").output.contains("applied 1 changes"))
        #expect(try run("apply", "-f", "resources.yaml", "more.yaml").output.contains("nothing to change"))
        #expect(try run("check-config").status == 0)
        program.kill(SIGTERM)
        #expect(try run("user", "list").errors.contains("no gatehouse listens"))
    }

    @Test("settings: every mistake at once, with the nearest key")
    func mistakes() async throws { try await onThread { try self.checkMistakes() } }

    private func checkMistakes() throws {
        let folder = try Program.newFolder()
        let result = try Program.run(["serve", "--tokens.acces_ttl", "5m", "--tokens.refresh_ttl", "soon"], in: folder)
        #expect(result.status != 0)
        #expect(result.errors.contains("tokens.access_ttl"))
        #expect(result.errors.contains("tokens.refresh_ttl"))
    }

    @Test("a mistake in outbound.allow or outbound.ca is told before anything starts")
    func outbound() async throws {
        try await onThread {
            let folder = try Program.newFolder()
            for (option, value, said) in [
                ("--outbound.allow", "10.0.0.0/33", "outbound.allow"), ("--outbound.allow", "https://idp.internal", "outbound.allow"),
                ("--outbound.ca", "missing.pem", "outbound.ca"), ("--outbound.ca", "resources.yaml", "outbound.ca"),
                ("--outbound.ports", "0", "outbound.ports"),
            ] {
                let result = try Program.run(["check-config", option, value], in: folder)
                #expect(result.status != 0 && result.errors.contains(said), "\(option) \(value): \(result.errors)")
            }
            let good = try Program.run(["check-config", "--outbound.allow", "10.0.0.0/8,idp.internal:9443"], in: folder)
            #expect(good.status == 0, "\(good.errors)")
        }
    }

    @Test("verdicts: one line out for each line in, in order; exit 2 when a line was no case")
    func verdicts() async throws { try await onThread { try self.checkVerdicts() } }

    private func checkVerdicts() throws {
        let folder = try Program.newFolder()
        let good = try Program.run(
            ["verdict", "json"], in: folder, input: "{\"id\":1,\"bytes_b64\":\"e30=\"}\n{\"id\":2,\"bytes_b64\":\"ew==\"}\n")
        let lines = good.output.split(separator: "\n").map { (try? JSONReader.read(String($0)))?.object }
        #expect(lines.map { $0?["verdict"]?.string } == ["accept", "reject"])
        #expect(lines.map { $0?["id"]?.int } == [1, 2])
        #expect(good.status == 0)
        let bad = try Program.run(
            ["verdict", "password"], in: folder,
            input: "nonsense\n{\"id\":\"p\",\"password\":\"correct-horse-battery\",\"username\":\"alice\",\"email\":null}\n")
        #expect(bad.output.split(separator: "\n").count == 2)
        #expect(bad.output.contains("invalid_case"))
        #expect(bad.status == 2)
        let route = try Program.run(
            ["verdict", "route", "--resources", "resources.yaml"], in: folder,
            input:
                "{\"id\":1,\"method\":\"GET\",\"host\":\"x\",\"target_b64\":\"L29yZGVycw==\"}\n{\"id\":2,\"method\":\"GET\",\"host\":\"x\",\"target_b64\":\"L29yZGVycy8uLg==\"}\n"
        )
        #expect(route.output.contains("\"route\":\"orders\""))
        #expect(route.output.contains("malformed"))
        let names = try Program.run(["verdict", "identifier"], in: folder, input: "{\"id\":1,\"kind\":\"username\",\"value\":\"ALICE\"}\n")
        #expect(names.output.contains("\"canonical\":\"alice\""))
        let address = try Program.run(
            ["verdict", "address"], in: folder,
            input: "{\"id\":1,\"url\":\"https://127.0.0.1/\"}\n{\"id\":2,\"url\":\"https://8.8.8.8/jwks\"}\n{\"id\":3}\n")
        #expect(address.output.contains("\"reason\":\"address_loopback\",\"host\":\"127.0.0.1\",\"addresses\":[\"127.0.0.1\"]"))
        #expect(
            address.output.contains("{\"id\":2,\"verdict\":\"accept\",\"reason\":null,\"host\":\"8.8.8.8\",\"addresses\":[\"8.8.8.8\"]}"))
        #expect(address.status == 2)
    }

    @Test("no secret is ever in the log, whatever the level (TK-34)", .timeLimit(.minutes(1)))
    func secrets() async throws { try await onThread { try self.checkSecrets() } }

    private func checkSecrets() throws {
        let folder = try Program.newFolder()
        let program = try Program(folder: folder)
        var secrets = ["correct-horse-battery", "wrong-horse-battery", "another-long-password"]
        let login = try #require(program.send("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#))
        _ = program.send("POST", "/login", #"{"username":"alice","password":"wrong-horse-battery"}"#)
        for name in ["access_token", "refresh_token"] { secrets.append(try #require(login.json[name]?.string)) }
        let refreshed = try #require(program.send("POST", "/token/refresh", #"{"refresh_token":"\#(secrets[4])"}"#))
        for name in ["access_token", "refresh_token"] { secrets.append(try #require(refreshed.json[name]?.string)) }
        _ = program.send("POST", "/token/refresh", #"{"refresh_token":"\#(secrets[4])x"}"#)
        _ = program.send("POST", "/validate", #"{"token":"\#(secrets[3])","scope":"none"}"#)
        _ = program.send(
            "GET", "/orders?access_token=\(secrets[3])", headers: ["authorization: Bearer \(secrets[3])"], port: program.gatewayPort)
        _ = program.send("GET", "/nothing?password=correct-horse-battery")
        _ = try Program.run(["user", "password", "alice", "--config", "gatehouse.yaml"], in: folder, input: "another-long-password\n")
        _ = try Program.run(["token", "explain", secrets[3], "--config", "gatehouse.yaml"], in: folder)
        secrets.append(
            try String(contentsOf: folder.appendingPathComponent("master.key"), encoding: .utf8).trimmingCharacters(
                in: .whitespacesAndNewlines))
        program.kill(SIGTERM)
        let log = program.log
        #expect(log.split(separator: "\n").count > 8)
        for secret in secrets {
            #expect(!log.contains(secret))
            // Nor the part of a token that would be enough to use it.
            #expect(!log.contains(secret.suffix(24)))
        }
        for line in log.split(separator: "\n") {
            #expect((try? JSONReader.read(String(line))) != nil, "one event is one line of JSON: \(line)")
        }
    }
}

/// What threads found.
private final class Outcomes: Sendable {
    private let statuses = Mutex<[Int]>([])
    var all: [Int] { statuses.withLock { $0 } }
    var count: Int { all.count }
    func add(_ status: Int) { statuses.withLock { $0.append(status) } }
}
