import AuthCore
import Foundation
import PostgresServer
import Synchronization
import TestSupport
import Testing

/// Real programs whose PostgreSQL does not answer when they start (RELIABILITY R-20).
@Suite("A start without the database", .serialized)
struct ColdStartTests {
    private static let password = #"{"username":"alice","password":"correct-horse-battery"}"#

    private func login(_ program: Program) -> Int? { program.send("POST", "/login", ColdStartTests.password)?.status }

    /// `/health/ready`: its status, and what it says of the store.
    private func readiness(_ program: Program) -> (status: Int, store: String) {
        let answer = program.send("GET", "/health/ready", port: program.adminPort)
        return (answer?.status ?? 0, answer?.json["parts"]?.object?["store"]?.string ?? "")
    }

    /// One request to each listener and kind of endpoint.
    private static let requests: [(method: String, path: String, listener: @Sendable (Program) -> Int)] = [
        ("POST", "/login", { $0.authPort }), ("POST", "/token/refresh", { $0.authPort }), ("POST", "/logout", { $0.authPort }),
        ("POST", "/validate", { $0.authPort }), ("GET", "/sessions", { $0.authPort }), ("GET", "/.well-known/jwks.json", { $0.authPort }),
        ("GET", "/forward-auth", { $0.authPort }), ("GET", "/events/revocations", { $0.authPort }), ("GET", "/nothing", { $0.authPort }),
        ("GET", "/orders", { $0.gatewayPort }), ("DELETE", "/nothing", { $0.gatewayPort }), ("GET", "/admin/v1/users", { $0.adminPort }),
    ]

    /// What is not answered 503 with `Retry-After` and an error of the contract.
    private func notRefused(_ program: Program) -> [String] {
        ColdStartTests.requests.compactMap { request in
            let body = request.method == "POST" ? ColdStartTests.password : ""
            let bytes = program.exchange(request.method, request.path, body, port: request.listener(program))
            let (answer, text) = (bytes.flatMap(Program.parse), String(decoding: bytes ?? [], as: UTF8.self))
            let isRefused =
                answer?.status == 503 && text.contains("\r\nretry-after: 1\r\n")
                && answer?.json["error"]?.string == "temporarily_unavailable" && answer?.json["trace_id"]?.string?.utf8.count == 32
                && answer?.json["error_description"]?.string != nil
            return isRefused ? nil : "\(request.method) \(request.path): \(text)"
        }
    }

    /// One request on a connection that stays open; its status.
    private func ask(_ path: String, on connection: Int32) -> Int? {
        let request = Array("GET \(path) HTTP/1.1\r\nhost: localhost\r\n\r\n".utf8)
        guard request.withUnsafeBytes({ send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }) == request.count else {
            return nil
        }
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let count = read(connection, &buffer, buffer.count)
        return Int(String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).dropFirst(9).prefix(3))
    }

    @Test("every listener answers before the database does, says why it is not ready, and serves when it can, in the same process (R-20)")
    func start() async throws { try await onThread { try self.checkStart() } }

    private func checkStart() throws {
        let server = try PostgresServer(port: 5_442)
        server.kill()
        let folder = try Program.newFolder(storage: server.uri(schema: "t1"), key: Program.newKey())
        let program = try Program(folder: folder, until: "storage_awaited")
        #expect(program.send("GET", "/health/live", port: program.adminPort)?.status == 200)
        let before = readiness(program)
        #expect(before.status == 503 && before.store.contains(server.folder.path), "\(before)")
        #expect(
            program.exchange("GET", "/metrics", port: program.adminPort).map { String(decoding: $0.prefix(12), as: UTF8.self) }
                == "HTTP/1.1 200")
        #expect(notRefused(program).isEmpty, "\(notRefused(program))")
        // The refusals are in the log, where their trace identifiers lead.
        #expect(program.log.contains(#""reason":"not_ready""#))
        let command = try Program.run(["user", "list", "--config", "gatehouse.yaml"], in: folder)
        #expect(command.status != 0 && command.errors.contains("cannot be done now"), "\(command.errors)")
        let connection = try #require(Socket.connected(to: program.authPort))
        defer { close(connection) }
        #expect(ask("/.well-known/jwks.json", on: connection) == 503)
        // A certificate may be changed meanwhile; that ends nothing.
        program.signal(SIGHUP)
        try server.start()
        try wait { readiness(program).status == 200 }
        #expect(login(program) == 200)
        #expect(ask("/.well-known/jwks.json", on: connection) == 200)
        #expect(program.send("GET", "/orders", port: program.gatewayPort)?.status == 401)
        #expect(try Program.run(["user", "list", "--config", "gatehouse.yaml"], in: folder).output.contains("alice"))
        #expect(program.log.components(separatedBy: #""event":"listening""#).count == 5)
        #expect(program.log.contains("storage_reached"))
        program.kill(SIGTERM)
        #expect(program.waitUntilExit() == 0)
        server.kill()
    }

    @Test("one that waits ends at once when it is told to, also while a server that says nothing holds it up (R-20)")
    func ended() async throws { try await onThread { try self.checkEnded() } }

    private func checkEnded() throws {
        let server = try PostgresServer.shared()
        let proxy = try PostgresProxy(to: server.socket)
        defer { proxy.stop() }
        proxy.set(.stalled)
        let nobody = try PostgresServer.freePort()
        // Two seconds for each of sixteen silent hosts.
        let silent = Array(repeating: "127.0.0.1:\(proxy.port)", count: 16).joined(separator: ",")
        for hosts in ["127.0.0.1:\(nobody)", silent] {
            let folder = try Program.newFolder(storage: "postgres://gatehouse@\(hosts)/postgres", key: Program.newKey())
            let program = try Program(folder: folder, until: "listening")
            program.kill(SIGTERM)
            #expect(program.waitUntilExit() == 0)
            #expect(program.log.contains(#""event":"stopped""#) && !program.log.contains(#""event":"ready""#))
        }
    }

    @Test("a wrong password and an unknown database are told at once, without the password, and can be mended on the other side (R-20)")
    func refused() async throws { try await onThread { try self.checkRefused() } }

    private func checkRefused() throws {
        let server = try PostgresServer(
            settings: ["listen_addresses=127.0.0.1"],
            files: ["pg_hba.conf": "local all gatehouse trust\nhost all all 127.0.0.1/32 scram-sha-256\n"],
            port: try PostgresServer.freePort())
        try server.statement("CREATE ROLE app LOGIN PASSWORD 'another'")
        let folder = try Program.newFolder(
            storage: "postgres://app:lantern-orbit@127.0.0.1:\(server.port)/app?gssencmode=disable", key: Program.newKey())
        // The first try has told it.
        let program = try Program(folder: folder, until: "storage_awaited")
        #expect(program.log.contains(#""level":"error","event":"storage_awaited""#), "\(program.log)")
        #expect(program.log.contains("password authentication failed"))
        let first = readiness(program)
        #expect(first.status == 503 && first.store.contains("password authentication failed"), "\(first)")
        try server.statement("ALTER ROLE app PASSWORD 'lantern-orbit'")
        try wait { readiness(program).store.contains("does not exist") }
        #expect(program.log.contains(#"database \"app\" does not exist"#))
        #expect(login(program) == 503)
        try server.statement("CREATE DATABASE app OWNER app")
        try wait { readiness(program).status == 200 }
        #expect(login(program) == 200)
        #expect(!program.log.contains("lantern-orbit"))
        program.kill(SIGTERM)
        server.kill()
    }

    @Test(
        "what no waiting mends ends the program with a sentence, also when the database came late: another master key, issuer or schema (R-20)"
    )
    func unusable() async throws { try await onThread { try self.checkUnusable() } }

    @Test("a user who may make no tables is told so at once, and that ends the program (R-20)")
    func noRights() async throws { try await onThread { try self.checkNoRights() } }

    private func checkNoRights() throws {
        let server = try PostgresServer.shared()
        let uri = try server.newSchema()
        let schema = try #require(uri.components(separatedBy: "%3D").last)
        let (role, key) = ("nobody_\(schema)", Program.newKey())
        try server.statement("CREATE ROLE \(role) LOGIN")
        for (right, sentence) in [("CONNECT ON DATABASE postgres", "no schema"), ("USAGE ON SCHEMA \(schema)", "permission denied")] {
            try server.statement("GRANT \(right) TO \(role)")
            let folder = try Program.newFolder(storage: uri.replacingOccurrences(of: "user=gatehouse", with: "user=\(role)"), key: key)
            let error = #expect(throws: Program.NotReady.self) { _ = try Program(folder: folder) }
            #expect(error?.log.contains("gatehouse serve: ") == true && error?.log.contains(sentence) == true, "\(error?.log ?? "")")
        }
    }

    private func checkUnusable() throws {
        let server = try PostgresServer(port: 5_443)
        let (key, uri) = (Program.newKey(), server.uri(schema: "t1"))
        let running = try Program(folder: Program.newFolder(storage: uri, key: key))
        let cases = [
            (key: Program.newKey(), more: "", sentence: "another master key", sql: "SELECT 1"),
            (key: key, more: "issuer: \"https://other.example\"\n", sentence: "issuer is", sql: "SELECT 1"),
            (
                key: key, more: "", sentence: "newer",
                sql: "UPDATE t1.schema_migrations SET usable_from = 9999, number = 9999 WHERE number = 1"
            ),
        ]
        for (number, one) in cases.enumerated() {
            let isLast = number == cases.count - 1
            try server.statement(one.sql)
            server.kill()
            let folder = try Program.newFolder(storage: uri, key: one.key, more: one.more)
            let program = try Program(folder: folder, until: "storage_awaited")
            try server.start()
            #expect(program.waitUntilExit() == 1)
            #expect(program.log.contains("gatehouse serve: ") && program.log.contains(one.sentence), "\(program.log)")
            #expect(!program.log.contains(#""event":"ready""#))
            if isLast { continue }
            // The node that is right is not disturbed, and one that is right starts in its place.
            try wait { login(running) == 200 }
        }
        running.kill(SIGKILL)
        server.kill()
        // What is wrong with the settings needs no database to be told.
        let folder = try Program.newFolder(storage: "postgres://gatehouse:secret-password@[::1/db", key: key)
        let refused = try Program.run(["serve", "--config", "gatehouse.yaml"], in: folder)
        #expect(refused.status != 0)
        #expect(refused.errors.contains("storage") && !(refused.errors + refused.output).contains("secret-password"), "\(refused.errors)")
    }

    @Test("a start whose database goes away again in the midst of it begins anew, and leaves nothing open behind (R-20)")
    func interrupted() async throws { try await onThread { try self.checkInterrupted() } }

    private func checkInterrupted() throws {
        let server = try PostgresServer.shared()
        let direct = try server.newSchema()
        let schema = try #require(direct.components(separatedBy: "%3D").last)
        let proxy = try PostgresProxy(to: server.socket)
        defer { proxy.stop() }
        // After some messages nothing passes any more, until it is armed again.
        let messages = Mutex((left: 4, cut: 0))
        proxy.onMessage { _ in
            messages.withLock { state in
                state.left -= 1
                if state.left >= 0 { return .forward }
                state.cut += 1
                return state.cut % 2 == 1 ? .cutAfter : .cutBefore
            }
        }
        // With a schema and keys: a new one takes hundreds of statements.
        let key = Program.newKey()
        try Program(folder: Program.newFolder(storage: direct, key: key)).kill(SIGTERM)
        let program = try Program(folder: Program.newFolder(storage: proxy.uri(schema: schema), key: key), until: "storage_awaited")
        var interrupted: [Int] = []
        // Of nearly two hundred.
        let step = ProcessInfo.processInfo.environment["GATEHOUSE_SOAK"] == nil ? 21 : 1
        for count in stride(from: 10, through: 250, by: step) {
            messages.withLock { $0 = (left: count, cut: 0) }
            // More than one: that the try has gone on as far as it could.
            try wait { messages.withLock { $0.cut > 2 } || readiness(program).status == 200 }
            if readiness(program).status == 200 { break }
            interrupted.append(count)
        }
        messages.withLock { $0 = (left: .max, cut: 0) }
        print("start interrupted after \(interrupted) messages")
        try wait { readiness(program).status == 200 }
        #expect(interrupted.count >= 4, "\(interrupted)")
        // A connection that was cut behind the last check is found out by whoever uses it first.
        try wait { login(program) == 200 }
        #expect(login(program) == 200)
        // The threads of what was begun and given up are gone: connections, hashes.
        let threads = program.threadStates.count
        let plain = try Program(folder: Program.newFolder(storage: try server.newSchema(), key: Program.newKey()))
        #expect(login(plain) == 200)
        #expect(threads <= plain.threadStates.count + 2, "\(threads) threads, \(plain.threadStates.count) after a start without faults")
        for program in [program, plain] { program.kill(SIGTERM) }
    }
}
