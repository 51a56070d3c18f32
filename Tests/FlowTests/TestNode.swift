import Accounts
import AuthCore
import Foundation
import Gateway
import HTTPEdge
import OAuthServer
import PostgresServer
import Settings
import Store
import StorePostgres
import Synchronization
import TestSupport
import Testing

@testable import gatehouse

/// A whole node with a chosen clock, called without sockets.
final class TestNode: Sendable {
    let node: Node
    let shells: Shells
    let clock: TestClock
    let folder: URL

    static let password = "correct-horse-battery"

    /// - Parameters:
    ///   - settings: Further settings, as on the command line.
    ///   - calls: In the place of the way to other servers.
    static func start(
        _ settings: [String] = [], resources: String = TestNode.resources, calls: (any OutgoingCalls)? = nil
    ) async throws -> TestNode {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gatehouse-flow-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return try await TestNode(
            folder: folder, storage: "sqlite:\(folder.path)/gatehouse.db", settings: settings, resources: resources, calls: calls)
    }

    /// Several nodes on one PostgreSQL, with one clock and one master key; the first has applied the resources.
    ///
    /// - Parameters:
    ///   - settings: Of all of them.
    ///   - last: Further ones, of the last.
    ///   - log: Of the last.
    static func cluster(
        _ count: Int, settings: [String] = [], last: [String] = [], log: Log = .silent
    ) async throws -> [TestNode] {
        let uri = try await onThread { try PostgresServer.shared().newSchema() }
        let (clock, key) = (TestClock(), Base64URL.encode(Environment.live.randomBytes(32)))
        var nodes: [TestNode] = []
        for number in 0..<count {
            let isLast = number == count - 1
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gatehouse-flow-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try Data(uri.utf8).write(to: folder.appendingPathComponent("storage"))
            try Data(key.utf8).write(to: folder.appendingPathComponent("master.key"))
            nodes.append(
                try await TestNode(
                    folder: folder, storage: "file:\(folder.path)/storage",
                    settings: ["--storage_connections", "4"] + settings + (isLast ? last : []),
                    resources: nodes.isEmpty ? resources : nil, clock: clock, log: isLast ? log : .silent))
        }
        return nodes
    }

    init(
        folder: URL, storage: String, settings: [String], resources: String?, clock: TestClock = TestClock(), log: Log = .silent,
        calls: (any OutgoingCalls)? = nil
    ) async throws {
        self.folder = folder
        let file = folder.appendingPathComponent("resources.yaml").path
        try Data((resources ?? "").utf8).write(to: URL(fileURLWithPath: file))
        let arguments =
            [
                "--storage", storage, "--master_keys", "file:\(folder.path)/master.key", "--apply", file,
                "--passwords.memory_kib", "7168", "--passwords.iterations", "5", "--passwords.threads", "2",
            ] + settings
        let loaded = try SettingsLoading.load(arguments).settings
        self.clock = clock
        var environment = Environment.live
        environment.now = { [clock] in clock.now }
        environment.uptime = { [clock] in clock.uptime }
        node = try await Node.open(loaded, environment: environment, log: log, calls: calls)
        if resources != nil { _ = try await node.resources.apply(try node.resources.files(), prune: false, dryRun: false, traceID: "t") }
        try await node.reload()
        shells = Shells(node: node)
    }

    deinit {
        for database in [node.database, node.followedDatabase] { (database as? PostgresDatabase)?.closeSoon() }
        // In the temporary directory: what cannot be removed is the system's to clean.
        try? FileManager.default.removeItem(at: folder)
    }

    static let resources = """
        users:
          - {username: alice, email: alice@example.com, password: correct-horse-battery, roles: [customer]}
          - {username: bob, password: correct-horse-battery, roles: [support]}
          - {username: root, password: correct-horse-battery, roles: [operator]}
        clients:
          - {id: app, public: true, grants: [login, refresh_token], scopes: ["orders:read", "orders:write"]}
          - {id: till, secret: 0123456789abcdef0123456789abcdef, grants: [login, refresh_token], scopes: ["orders:read"]}
          - {id: web, public: true, grants: [authorization_code], redirect_uris: ["http://127.0.0.1:9000/callback"], scopes: ["orders:read"]}
        resources:
          - {id: orders, scopes: ["orders:read", "orders:write"]}
          - {id: reports, scopes: ["reports:read"]}
        roles:
          customer: ["orders:read", "orders:write"]
          support: ["orders:read", "reports:read"]
          operator: ["gatehouse:admin"]
        routes:
          - {name: orders, match: {path: /orders, methods: [GET, POST]}, upstream: "http://127.0.0.1:7001", require: {scope: "orders:read"}}
          - {name: reports, match: {path: /reports}, upstream: "http://127.0.0.1:7001", require: {scope: "reports:read"}}
          - {name: open, match: {path: /public}, upstream: "http://127.0.0.1:7001", require: none}
        """
}

final class TestClock: Sendable {
    private let offset = Mutex(Duration.zero)
    /// What the wall clock was moved by, and the other one was not.
    private let moved = Mutex(Duration.zero)
    private static let start = Instant(seconds: 1_800_000_000)

    var now: Instant { TestClock.start + offset.withLock { $0 } + moved.withLock { $0 } }
    var uptime: Uptime { Uptime(nanoseconds: 1_000_000_000_000 + UInt64(offset.withLock { $0 }.wholeMilliseconds) * 1_000_000) }
    /// The wall clock jumps; zero puts it back.
    func jump(to duration: Duration) { moved.withLock { $0 = duration } }
    func advance(_ duration: Duration) { offset.withLock { $0 += duration } }
}

enum Listener: Sendable { case auth, admin, control }

struct Answer: Sendable {
    let status: Int
    let headers: [(name: String, value: String)]
    let body: [UInt8]

    var json: JSONObject { (try? JSONReader.read(body).object) ?? JSONObject() }
    var error: String? { json["error"]?.string }
    func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
    func text(_ name: String) -> String { json[name]?.string ?? "" }

    /// Whether it has no other characters than `error_description` may have (RFC 6749 §4.1.2.1, §5.2).
    static func isDescription(_ text: String) -> Bool {
        text.utf8.allSatisfy { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    }

    /// The claims of the access token in it, read without checking anything.
    func claims() throws -> JSONObject {
        let parts = text("access_token").split(separator: ".")
        try #require(parts.count == 3)
        return try #require(try JSONReader.read(Base64URL.decode(String(parts[1])) ?? []).object)
    }
}

extension TestNode {
    /// Time passes, and the log of revocations is followed as the server does it.
    func advance(_ duration: Duration) async throws {
        clock.advance(duration)
        try await node.feed.catchUp(node.store)
    }

    func send(
        _ method: String, _ target: String, _ body: [UInt8] = [], headers: [(String, String)] = [("content-type", "application/json")],
        to listener: Listener = .auth, from peer: PeerAddress = .loopback, host: String = "localhost:8080",
        certificate: ClientCertificate? = nil
    ) async -> Answer {
        let facts = RequestFacts(
            method: method, target: Array(target.utf8), headers: Headers([("host", host)] + headers), peer: peer,
            clientCertificate: certificate
        )
        let responder: any EdgeResponder =
            switch listener {
            case .auth: shells.auth
            case .admin: shells.admin
            case .control: shells.control
            }
        let response: ResponseFacts
        switch responder.respond(to: facts) {
        case .answer(let answer): response = answer
        case .body(let limit, let then):
            response = body.count > limit ? ResponseFacts(status: 413) : then(facts, body)
        case .async(let limit, let then):
            if body.count > limit {
                response = ResponseFacts(status: 413)
            } else if case .complete(let answer) = await then(facts, body) {
                response = answer
            } else {
                response = ResponseFacts(status: 599)
            }
        case .either(let limit, let now, let later):
            if body.count > limit {
                response = ResponseFacts(status: 413)
            } else if let answer = now(facts, body) {
                response = answer
            } else if case .complete(let answer) = await later(facts, body) {
                response = answer
            } else {
                response = ResponseFacts(status: 599)
            }
        case .exchange: response = ResponseFacts(status: 598)
        }
        let answer = Answer(status: response.status, headers: response.headers, body: response.body)
        let path = target.prefix { $0 != "?" }
        if TestNode.clientPaths.contains(String(path)) || path.hasPrefix("/register/"), let text = answer.json["error_description"]?.string
        {
            #expect(Answer.isDescription(text), "\(path): \(text)")
        }
        return answer
    }

    /// Where RFC 6749 §5.2 says how refusals look.
    private static let clientPaths = ["/token", "/par", "/introspect", "/revoke", "/device_authorization", "/register", "/userinfo"]

    func post(_ target: String, _ json: String, headers: [(String, String)] = [], to listener: Listener = .auth) async -> Answer {
        await send("POST", target, Array(json.utf8), headers: [("content-type", "application/json")] + headers, to: listener)
    }

    /// An audit event, for what is called in the store itself.
    var event: AuditEvent { AuditEvent(.tokenRevoked, at: clock.now, source: "test", traceID: "0000") }

    func login(_ username: String = "alice", password: String = TestNode.password, more: String = "") async -> Answer {
        await post("/login", "{\"username\":\"\(username)\",\"password\":\"\(password)\"\(more)}")
    }

    func refresh(_ token: String, more: String = "") async -> Answer {
        await post("/token/refresh", "{\"refresh_token\":\"\(token)\"\(more)}")
    }

    func validate(_ token: String, more: String = "") async -> Answer { await post("/validate", "{\"token\":\"\(token)\"\(more)}") }

    func isValid(_ token: String) async -> Bool { await validate(token).json["valid"]?.bool == true }

    func logout(_ token: String) async -> Answer { await post("/logout", "{\"refresh_token\":\"\(token)\"}") }

    /// Applies one resource file, as `gatehouse apply` does.
    func apply(_ text: String, prune: Bool = false) async -> Answer {
        let file = JSONValue.object(JSONObject([("path", .string("r.yaml")), ("content", .string(text))]))
        let body = JSONValue.object(JSONObject([("files", .array([file])), ("prune", .bool(prune))]))
        return await post("/admin/apply", String(decoding: body.encoded, as: UTF8.self), to: .control)
    }

    /// What the gateway decides: `forward`, or the status and the reason of its refusal.
    func gateway(_ method: String, _ target: String, headers: [(String, String)]) -> String {
        let facts = RequestFacts(method: method, target: Array(target.utf8), headers: Headers([("host", "localhost:8000")] + headers))
        switch node.decider.decide(facts, mayAsk: false) {
        case .forward: return "forward"
        case .refuse(let refusal): return "\(refusal.response.status) \(refusal.reason)"
        case .ask: return "ask"
        }
    }

    func bearer(_ token: String) -> [(String, String)] { [("authorization", "Bearer \(token)")] }
}

extension TestNode {
    /// The grant behind an answer of `/login`.
    func onlyGrant(of answer: Answer) async throws -> Grant? {
        try await store.grant(Identifier(try answer.claims()["gid"]?.string ?? ""))
    }

    /// As its protocol: the flows know no driver.
    var store: any Store { node.store }

    func account(_ name: String) async throws -> Account? { try await node.accounts.find(name) }

    /// A sign-in of alice whose password nobody asked for: what `/login` does after the hash.
    func opened() async throws -> IssuedTokens {
        let account = try #require(try await account("alice"))
        let client = try #require(try await store.client(Client.builtInID))
        let assurance = SessionAssurance(acr: "1", amr: ["pwd"], authenticatedAt: clock.now)
        let request = FirstPartyTokens.Request(scope: nil, audiences: [], source: "127.0.0.1", agent: "")
        return try await node.firstParty.signedIn(account, assurance, client: client, request, at: clock.now, traceID: "t")
    }
}

/// A log that keeps its lines.
final class Lines: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }

    var log: Log {
        Log(minimum: .debug) { [self] level, event, fields in
            let text = "\(level) \(event) " + fields.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
            lines.withLock { $0.append(text) }
        }
    }
}
