package import AuthCore
package import HTTPEdge
internal import OAuthServer
internal import Store
internal import TokenVerification

/// `GET /events/revocations`: what was revoked, as server-sent events, to clients with the scope `gatehouse:revocations`.
///
/// One with `gatehouse:gateway` besides is told the keys and the routes by the same stream, in `keys` and `routes` (docs/spec/events.md).
package struct EventsEndpoint: Sendable {
    package static let path = "/events/revocations"

    private let feed: EventFeed
    private let clients: ClientDirectory
    private let environment: Environment

    package init(feed: EventFeed, clients: ClientDirectory, environment: Environment) {
        self.feed = feed
        self.clients = clients
        self.environment = environment
    }

    /// The row of the table: refusals come from here, in the shape that all have.
    package var row: Endpoint {
        Endpoint("GET", EventsEndpoint.path) { (request) throws(APIError) in
            _ = try admit(request.facts, counts: true)
            // It would have been a stream, had there been room for one more reader.
            throw APIError.unavailable("too_many_readers", retryAfterSeconds: 5)
        }
    }

    /// - Returns: The stream; nothing when the request is refused, as `row` says.
    package func stream(for facts: RequestFacts) -> EdgeResponse? {
        let openedAt = environment.uptime()
        // The reason is found again by `row`.
        guard let (credentials, allowed) = try? admit(facts, counts: false), let reader = feed.join(credentials.clientID) else {
            return nil
        }
        let lastEventID = facts.headers.single("last-event-id").map { String(decoding: $0.prefix(128), as: UTF8.self) }
        let cursor = EventCursor(feed, lastEventID: lastEventID, at: openedAt, allowed) { [self] in permission(credentials) }
        let headers = [
            (name: "content-type", value: "text/event-stream"), (name: "cache-control", value: "no-store"),
            // nginx would hold the events back until its buffer is full.
            (name: "x-accel-buffering", value: "no"),
        ]
        return .stream(
            head: ResponseFacts(status: 200, headers: headers),
            body: EventStream(reader: reader, cursor: cursor, uptime: environment.uptime))
    }

    private func admit(_ facts: RequestFacts, counts: Bool) throws(APIError) -> (BasicCredentials, EventCursor.Permission) {
        let credentials = try clients.credentials(of: facts, at: environment.now(), counts: counts)
        guard let allowed = permission(credentials) else {
            throw APIError(403, "insufficient_scope", "The client lacks the scope gatehouse:revocations.", reason: "insufficient_scope")
        }
        return (credentials, allowed)
    }

    private func permission(_ credentials: BasicCredentials) -> EventCursor.Permission? {
        guard let scopes = clients.proved(credentials)?.definition.scopes, scopes.contains(ScopeCatalogue.revocationsScope) else {
            return nil
        }
        return EventCursor.Permission(isGateway: scopes.contains(ScopeCatalogue.gatewayScope))
    }
}

/// The parts of one answer: each is made when the reader has taken the one before.
struct EventStream: AsyncSequence, Sendable {
    let reader: EventFeed.Reader
    let cursor: EventCursor
    let uptime: @Sendable () -> Uptime

    struct Iterator: AsyncIteratorProtocol {
        // Holds the reader's place.
        let reader: EventFeed.Reader
        var wakes: AsyncStream<Void>.AsyncIterator
        var cursor: EventCursor
        let uptime: @Sendable () -> Uptime

        mutating func next() async -> [UInt8]? {
            while let bytes = cursor.next(uptime()) {
                if !bytes.isEmpty { return bytes }
                // Nothing when the task is cancelled.
                guard await wakes.next() != nil else { return nil }
            }
            return nil
        }
    }

    func makeAsyncIterator() -> Iterator {
        Iterator(reader: reader, wakes: reader.wakes.makeAsyncIterator(), cursor: cursor, uptime: uptime)
    }
}
