import AuthCore
import Foundation
import HTTPEdge
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing
import TokenVerification

@testable import GatehouseClient

/// An auth node that says what a test lets it say.
private final class FakeNode: EdgeResponder {
    let requests = Mutex<[[(name: String, value: String)]]>([])
    let status: Int
    /// The whole of each stream; the last goes on.
    let streams: [String]

    init(status: Int = 200, _ streams: [String] = []) { (self.status, self.streams) = (status, streams) }

    func respond(to request: RequestFacts) -> EdgeAction {
        let found: [(name: String, value: String?)] = [
            ("authorization", request.headers.text("authorization")), ("last-event-id", request.headers.text("last-event-id")),
            ("host", request.headers.text("host")),
        ]
        let fields = found.compactMap { field in field.value.map { (name: field.name, value: $0) } }
        let number = requests.withLock { requests in
            requests.append(fields)
            return requests.count - 1
        }
        guard status == 200 else { return .answer(ResponseFacts(status: status)) }
        let (parts, source) = AsyncStream<[UInt8]>.makeStream()
        source.yield(Array(streams[min(number, streams.count - 1)].utf8))
        if number < streams.count - 1 { source.finish() } else { held.withLock { $0.append(source) } }
        return .async(bodyLimit: 0) { _, _ in .stream(head: ResponseFacts(status: 200), body: parts) }
    }

    private let held = Mutex<[AsyncStream<[UInt8]>.Continuation]>([])

    func header(_ name: String, of number: Int) -> String? {
        requests.withLock { $0.count > number ? $0[number].first { $0.name == name }?.value : nil }
    }

    static func stream(_ epoch: String, _ sequence: Int) -> String {
        "event: snapshot\nid: \(epoch)-\(sequence)\ndata: {\"entries\":[],\"complete\":true}\n\n"
            + "event: heartbeat\nid: \(epoch)-\(sequence)\ndata: {\"age_ms\":0,\"elapsed_ms\":0}\n\n"
    }
}

@Suite("Following an auth node", .timeLimit(.minutes(1)))
struct FeedClientTests {
    private static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let replica = RevocationReplica()
    private let lost = Tally()

    private func listen(_ node: FakeNode, tls: EdgeTLS? = nil) async throws -> EdgeServer {
        let core = EdgeCore(responder: node, limits: EdgeLimits(), environment: .live)
        return try await EdgeServer.start(.tcp(host: "127.0.0.1", port: 0), tls: tls, core: core, group: FeedClientTests.group)
    }

    private func follow(
        _ sources: [FeedSource], authorities: String? = nil, until condition: () -> Bool
    ) async throws {
        var configuration = FeedClient.Configuration(
            sources: sources, clientID: "gw 1", secret: Secret("a:b%"), authorities: authorities)
        configuration.pauseMax = .milliseconds(100)
        let log = Log(minimum: .error) { [lost] _, event, _ in if "\(event)" == "control_plane_lost" { lost.add() } }
        let client = try FeedClient(
            configuration, replica: replica, hooks: .init(keys: { _, _ in true }), group: FeedClientTests.group, environment: .live,
            log: log)
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await client.run() }
            #expect(await TestSupport.until(condition))
            tasks.cancelAll()
        }
        #expect(client.source == nil)
    }

    @Test("a node that is not there or refuses is passed over; the next is followed, with the client's credentials")
    func failover() async throws {
        let (refusing, good) = (FakeNode(status: 401), FakeNode([FakeNode.stream("e", 3)]))
        let (first, second) = (try await listen(refusing), try await listen(good))
        let sources = [1, first.port ?? 0, second.port ?? 0].map { FeedSource(host: "127.0.0.1", port: $0, isTLS: false) }
        try await follow(sources) { replica.position != nil }
        #expect(lost.value == 2)
        let header = try #require(good.header("authorization", of: 0))
        let credentials = try #require(BasicCredentials(header: Array(header.utf8)[...]))
        #expect(credentials.clientID == "gw 1" && credentials.secret.exposed == "a:b%")
        #expect(good.header("last-event-id", of: 0) == nil)
        #expect(good.header("host", of: 0) == sources[2].authority)
        for server in [first, second] { await server.shutdown(within: .zero) }
    }

    @Test("a stream that ends is taken up again where it was, without a pause or a complaint")
    func resumes() async throws {
        let node = FakeNode([FakeNode.stream("e", 3), FakeNode.stream("e", 5)])
        let server = try await listen(node)
        try await follow([FeedSource(host: "localhost", port: server.port ?? 0, isTLS: false)]) { replica.position?.sequence == 5 }
        #expect(node.header("last-event-id", of: 1) == "e-3")
        #expect(lost.value == 0)
        await server.shutdown(within: .zero)
    }

    @Test(
        "what is no event stream is given up, and nothing of it believed",
        arguments: ["event: revoke\ndata: {\n\n", "id: e-1\nevent: heartbeat\ndata: {\"age_ms\":0,\"elapsed_ms\":0}\n\n"])
    func nonsense(_ text: String) async throws {
        let server = try await listen(FakeNode([text]))
        try await follow([FeedSource(host: "127.0.0.1", port: server.port ?? 0, isTLS: false)]) { lost.value > 1 }
        #expect(replica.position == nil && replica.age(at: Environment.live.uptime()) == nil)
        await server.shutdown(within: .zero)
    }

    @Test("over TLS only a certificate of the given authorities, for this name, will do")
    func certificates() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gatehouse-feed-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        func file(_ name: String, _ text: String) throws -> String {
            try Data(text.utf8).write(to: folder.appendingPathComponent(name))
            return folder.appendingPathComponent(name).path
        }
        let one = try file("one.pem", TestCertificates.oneCertificate)
        let tls = try EdgeTLS(certificate: one, key: try file("one.key", TestCertificates.oneKey))
        let other = try file("two.pem", TestCertificates.twoCertificate)
        let node = FakeNode([FakeNode.stream("e", 3)])
        let server = try await listen(node, tls: tls)
        let source = FeedSource(host: "localhost", port: server.port ?? 0, isTLS: true)
        try await follow([source], authorities: other) { lost.value > 1 }
        try await follow([source]) { lost.value > 3 }
        #expect(node.requests.withLock { $0.isEmpty } && replica.position == nil)
        try await follow([source], authorities: one) { replica.position != nil }
        try await follow([FeedSource(host: "127.0.0.1", port: source.port, isTLS: true)], authorities: one) {
            node.requests.withLock { $0.count } == 2
        }
        await server.shutdown(within: .zero)
    }
}
