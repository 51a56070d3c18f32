import AuthCore
import HTTPEdge
import Testing
import WebServer

@testable import gatehouse

/// One event of a stream, as it was sent.
struct SentEvent: Sendable, CustomStringConvertible {
    var name = ""
    var id: String?
    var data = ""

    var json: JSONObject { (try? JSONReader.read(data).object) ?? JSONObject() }
    /// The ids in the entries of a snapshot.
    var entries: [String] { json["entries"]?.array?.compactMap { $0.object?["id"]?.string } ?? [] }
    var description: String { "\(name) \(id ?? "") \(data)" }

    static func read(_ text: String) -> [SentEvent] {
        text.split(separator: "\n\n").map { block in
            var event = SentEvent()
            for line in block.split(separator: "\n") {
                let parts = line.split(separator: ":", maxSplits: 1)
                let value = String(parts.last?.dropFirst() ?? "")
                switch parts.first {
                case "event": event.name = value
                case "id": event.id = value
                case "data": event.data = value
                default: break
                }
            }
            return event
        }
    }
}

/// Reads `GET /events/revocations` of a node without sockets.
struct EventReader {
    private var parts: any AsyncIteratorProtocol<[UInt8], Never>

    /// - Returns: The reader, or the status of the refusal.
    static func open(_ test: TestNode, _ credentials: String = EventReader.gateway, lastEventID: String? = nil) async throws -> EventReader
    {
        let stream = try #require(await response(test, credentials, lastEventID: lastEventID))
        guard case .stream(let head, let body) = stream else { throw Refused() }
        #expect(head.status == 200)
        #expect(head.headers.contains { $0 == ("content-type", "text/event-stream") })
        return EventReader(parts: body.makeAsyncIterator())
    }

    struct Refused: Error {}

    static let gateway = "gw:0123456789abcdef0123456789abcdef"
    static let service = "svc:0123456789abcdef0123456789abcdef"

    static let resources =
        TestNode.resources.replacing(
            "resources:\n",
            with: """
                  - {id: gw, secret: 0123456789abcdef0123456789abcdef, grants: [client_credentials], scopes: ["gatehouse:revocations", "gatehouse:gateway"]}
                  - {id: svc, secret: 0123456789abcdef0123456789abcdef, grants: [client_credentials], scopes: ["gatehouse:revocations"]}
                  - {id: other, secret: 0123456789abcdef0123456789abcdef, grants: [client_credentials], scopes: ["orders:read"]}
                resources:

                """, maxReplacements: 1)

    static func response(_ test: TestNode, _ credentials: String?, lastEventID: String? = nil) async -> EdgeResponse? {
        var headers = [("host", "localhost:8080")]
        if let credentials { headers.append(("authorization", "Basic " + Base64Text.encode(credentials))) }
        if let lastEventID { headers.append(("last-event-id", lastEventID)) }
        let facts = RequestFacts(method: "GET", target: Array("/events/revocations".utf8), headers: Headers(headers))
        guard case .async(_, let then) = test.shells.auth.respond(to: facts) else { return nil }
        return await then(facts, [])
    }

    /// The events of the next part, which is there or comes; nothing when the stream is over.
    mutating func next() async -> [SentEvent]? {
        let part = await parts.next(isolation: nil)
        return part.map { SentEvent.read(String(decoding: $0, as: UTF8.self)) }
    }

    /// The next part with one of these events in it.
    mutating func next(_ name: String) async -> SentEvent? {
        while let events = await next() {
            if let event = events.first(where: { $0.name == name }) { return event }
        }
        return nil
    }
}

/// Base64 with padding, for HTTP Basic.
enum Base64Text {
    static func encode(_ text: String) -> String {
        let plain = Base64URL.encode(Array(text.utf8)).map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }
        return String(plain) + String(repeating: "=", count: (4 - plain.count % 4) % 4)
    }
}
