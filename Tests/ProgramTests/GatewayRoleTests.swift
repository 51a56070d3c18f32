import AuthCore
import Foundation
import TestSupport
import Testing

/// Real programs: an auth node on SQLite, and a gateway that has neither database nor key.
@Suite("A gateway without a database (roles: [gateway])", .serialized)
struct GatewayRoleTests {
    private static let secret = "0123456789abcdef0123456789abcdef"

    private static func resources(_ service: Int, more: String = "") -> String {
        """
        users:
          - {username: alice, password: correct-horse-battery, roles: [customer]}
        clients:
          - {id: gw, secret: \(secret), grants: [client_credentials], scopes: ["gatehouse:revocations", "gatehouse:gateway"]}
        resources:
          - {id: orders, scopes: ["orders:read"]}
        roles:
          customer: ["orders:read"]
        routes:
          - {name: orders, match: {path: /orders}, upstream: "http://127.0.0.1:\(service)", require: {scope: "orders:read"}}
          - {name: signed, match: {path: /signed}, upstream: "http://127.0.0.1:\(service)", identity: jwt}
        \(more)
        """
    }

    private static func authFolder(_ service: Int) throws -> URL {
        let folder = try Program.newFolder()
        try Data(resources(service).utf8).write(to: folder.appendingPathComponent("resources.yaml"))
        return folder
    }

    /// - Parameter ports: Of the auth nodes, in the order in which they are tried.
    private static func gatewayFolder(_ ports: [Int], secret: String = GatewayRoleTests.secret) throws -> URL {
        let folder = try Program.newFolder()
        let urls = ports.map { "\"http://127.0.0.1:\($0)\"" }.joined(separator: ", ")
        let settings = """
            roles: [gateway]
            listen: {gateway: "127.0.0.1:0", admin: "127.0.0.1:0"}
            control_plane: {urls: [\(urls)], client_id: gw, client_secret: \(secret)}
            revocations: {max_staleness: 3s}
            log: {format: json, level: debug}
            """
        try Data(settings.utf8).write(to: folder.appendingPathComponent("gatehouse.yaml"))
        return folder
    }

    private static func login(_ auth: Program) throws -> (access: String, refresh: String) {
        let json = auth.send("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#)?.json
        return (try #require(json?["access_token"]?.string), try #require(json?["refresh_token"]?.string))
    }

    private static func status(_ gateway: Program, _ token: String?, path: String = "/orders") -> Int {
        let headers = token.map { ["authorization: Bearer \($0)"] } ?? []
        let answer = gateway.exchange("GET", path, headers: headers, port: gateway.gatewayPort)
        return answer.flatMap { Int(String(decoding: $0, as: UTF8.self).dropFirst(9).prefix(3)) } ?? 0
    }

    private static func readiness(_ gateway: Program) -> Int { gateway.send("GET", "/health/ready", port: gateway.adminPort)?.status ?? 0 }

    private static func revoke(_ auth: Program, _ refresh: String) {
        #expect(auth.exchange("POST", "/logout", "{\"refresh_token\":\"\(refresh)\"}") != nil)
    }

    private static func milliseconds(since start: DispatchTime) -> Double {
        Double(DispatchTime.now().uptimeNanoseconds - start.uptimeNanoseconds) / 1e6
    }

    @Test("it serves routes, refuses at once what is revoked elsewhere, and passes over a node that is down", .timeLimit(.minutes(2)))
    func propagation() async throws {
        let service = try await Backend.start { .ok($0.head) }
        try await onThread { try Self.checkPropagation(service.port) }
        await service.stop()
    }

    private static func checkPropagation(_ service: Int) throws {
        let auth = try Program(folder: authFolder(service))
        // Nothing listens at the first: port 1 is nobody's.
        let gateway = try Program(folder: gatewayFolder([1, auth.authPort]))
        #expect(readiness(gateway) == 200)
        #expect(status(gateway, nil) == 401)
        var times: [Double] = []
        for _ in 0..<20 {
            let (access, refresh) = try login(auth)
            #expect(status(gateway, access) == 200)
            revoke(auth, refresh)
            let answered = DispatchTime.now()
            while status(gateway, access) == 200, milliseconds(since: answered) < 10_000 {}
            times.append(milliseconds(since: answered))
            #expect(status(gateway, access) == 401)
        }
        let sorted = times.sorted()
        print("revocation to refusal at a gateway without a database, ms: median \(sorted[10]), most \(sorted[19])")
        // By an interval it would be 250 in the middle.
        #expect(sorted[10] < 200, "\(sorted)")
        // A key that signs is what it does not have.
        let (access, _) = try login(auth)
        #expect(status(gateway, access, path: "/signed") == 503)
        // The log is written by a thread of its own.
        try wait { gateway.log.contains("route_unserved") && gateway.log.contains("identity_token_unavailable") }
        #expect(!FileManager.default.fileExists(atPath: gateway.folder.appendingPathComponent("data").path))
        let second = try login(auth)
        gateway.kill(SIGTERM)
        #expect(gateway.waitUntilExit() == 0)
        #expect(gateway.log.contains("\"event\":\"stopped\""))
        #expect(second.access != access)
    }

    @Test("without the auth node it goes on until what it knows is too old, and recovers when that returns", .timeLimit(.minutes(3)))
    func outage() async throws {
        let service = try await Backend.start { .ok($0.head) }
        try await onThread { try Self.checkOutage(service.port) }
        await service.stop()
    }

    private static func checkOutage(_ service: Int) throws {
        let folder = try authFolder(service)
        let first = try Program(folder: folder)
        let port = first.authPort
        let gateway = try Program(folder: gatewayFolder([port]))
        let (access, refresh) = try login(first)
        #expect(status(gateway, access) == 200)
        first.kill(SIGKILL)
        let killed = DispatchTime.now()
        if status(gateway, access) != 200 { #expect(milliseconds(since: killed) > 2_000) }
        try wait { status(gateway, access) == 503 }
        // Three seconds, less what the last heartbeat was old.
        #expect(milliseconds(since: killed) > 500)
        #expect(readiness(gateway) == 503)
        try wait { gateway.log.contains("\"reason\":\"stale\"") && gateway.log.contains("control_plane_lost") }

        // It returns where it was.
        let settings = Program.settings.replacingOccurrences(of: "auth: \"127.0.0.1:0\"", with: "auth: \"127.0.0.1:\(port)\"")
        try Data(settings.utf8).write(to: folder.appendingPathComponent("gatehouse.yaml"))
        let auth = try Program(folder: folder)
        try wait { status(gateway, access) == 200 }
        #expect(readiness(gateway) == 200)
        revoke(auth, refresh)
        try wait { status(gateway, access) == 401 }

        // A route that is applied there is served here.
        #expect(status(gateway, nil, path: "/open") == 404)
        let more = "  - {name: open, match: {path: /open}, upstream: \"http://127.0.0.1:\(service)\", require: none}\n"
        try Data(resources(service, more: more).utf8).write(to: folder.appendingPathComponent("resources.yaml"))
        try wait { status(gateway, nil, path: "/open") == 200 }

        // So is a key that is revoked, and the one that is used instead.
        let old = try login(auth).access
        #expect(status(gateway, old) == 200)
        let header = Base64URL.decode(String(old.prefix { $0 != "." })) ?? []
        let id = try #require(try JSONReader.read(header).object?["kid"]?.string)
        #expect(try Program.run(["key", "revoke", id, "--config", "gatehouse.yaml"], in: folder).status == 0)
        try wait { status(gateway, old) == 401 }
        let new = try login(auth).access
        #expect(status(gateway, new) == 200)
    }

    @Test("with a wrong secret it says so, is not ready, and serves nothing", .timeLimit(.minutes(2)))
    func wrongSecret() async throws {
        try await onThread {
            let auth = try Program(folder: Self.authFolder(1))
            let wrong = String(repeating: "f", count: 32)
            let gateway = try Program(folder: Self.gatewayFolder([auth.authPort], secret: wrong), until: "control_plane_lost")
            #expect(gateway.log.contains("control_plane.client_secret is wrong"))
            #expect(!gateway.log.contains(wrong))
            #expect(Self.readiness(gateway) == 503)
            let (access, _) = try Self.login(auth)
            #expect(Self.status(gateway, access) == 503)
        }
    }

    @Test("frozen while something is revoked, it lets nothing pass before it has heard of it (R-19)", .timeLimit(.minutes(2)))
    func frozen() async throws {
        let service = try await Backend.start { .ok($0.head) }
        try await onThread { try Self.checkFrozen(service.port) }
        await service.stop()
    }

    private static func checkFrozen(_ service: Int) throws {
        let auth = try Program(folder: authFolder(service))
        let gateway = try Program(folder: gatewayFolder([auth.authPort]))
        for _ in 0..<5 {
            let (access, refresh) = try login(auth)
            try wait { status(gateway, access) == 200 }
            let request = Array(
                "GET /orders HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer \(access)\r\n\r\n".utf8)
            let connection = try #require(Socket.connected(to: gateway.gatewayPort))
            gateway.signal(SIGSTOP)
            try wait { gateway.threadStates.allSatisfy { $0 == "T" } }
            revoke(auth, refresh)
            // The question waits in the socket when the program goes on, as does what the auth node has sent.
            _ = request.withUnsafeBytes { Foundation.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            let frozenAt = DispatchTime.now()
            while milliseconds(since: frozenAt) < 1_400 { usleep(50_000) }
            gateway.signal(SIGCONT)
            let answer = String(decoding: Socket.exchange([], on: connection) ?? [], as: UTF8.self)
            #expect(answer.hasPrefix("HTTP/1.1 401") || answer.hasPrefix("HTTP/1.1 503"), "\(answer.prefix(200))")
            try wait { status(gateway, access) == 401 }
        }
    }
}
