package import AuthCore
package import HTTPEdge
internal import OAuthServer
internal import TokenKeys

/// The auth listener: hot requests are answered on the event loop, everything else goes to the API.
package struct AuthListener: EdgeResponder {
    // Made once: what they hold is not copied with each request.
    private let validate: @Sendable (RequestFacts, [UInt8]) -> ResponseFacts
    private let keyDocument: KeyDocument
    private let metadata: MetadataDocument
    private let introspection: @Sendable (RequestFacts, [UInt8]) -> ResponseFacts?
    private let introspectionBodyMax: Int
    private let later: @Sendable (RequestFacts, [UInt8]) async -> EdgeResponse
    private let events: EventsEndpoint
    private let forwardAuth: @Sendable (RequestFacts) -> EdgeAction
    private let api: API

    package init(
        validate: ValidateEndpoint, keyDocument: KeyDocument, metadata: MetadataDocument, introspection: HotIntrospection,
        events: EventsEndpoint,
        forwardAuth: @escaping @Sendable (RequestFacts) -> EdgeAction, api: API
    ) {
        self.metadata = metadata
        let path = Array(ServerMetadata.Path.introspection.utf8)
        introspectionBodyMax = api.bodyMax(RequestFacts(method: "POST", target: path))
        self.introspection = { facts, body in introspection.respond(to: facts, body: body) }
        later = { facts, body in .complete(await api.respond(to: facts, body: body)) }
        self.events = events
        self.validate = validate.respond
        self.keyDocument = keyDocument
        self.forwardAuth = forwardAuth
        self.api = api
    }

    package static let forwardAuthPath = "/forward-auth"

    package func respond(to request: RequestFacts) -> EdgeAction {
        let path = request.path
        if path.elementsEqual(ValidateEndpoint.path.utf8), request.method == "POST" {
            return .body(limit: ValidateEndpoint.bodyMax, then: validate)
        }
        let isReading = request.method == "GET" || request.method == "HEAD"
        if isReading, path.elementsEqual(AuthListener.forwardAuthPath.utf8) { return forwardAuth(request) }
        if isReading, path.elementsEqual(KeyDocument.path.utf8) { return .answer(keyDocument.respond(to: request)) }
        if isReading, MetadataDocument.isPath(path), let held = metadata.held { return .answer(held) }
        if request.method == "POST", path.elementsEqual(ServerMetadata.Path.introspection.utf8) {
            return .either(limit: introspectionBodyMax, now: introspection, later: later)
        }
        if isReading, path.elementsEqual(EventsEndpoint.path.utf8) {
            return .async(bodyLimit: api.bodyMax(request)) { [api, events] facts, body in
                if let stream = events.stream(for: facts) { return stream }
                return .complete(await api.respond(to: facts, body: body))
            }
        }
        return .async(bodyLimit: api.bodyMax(request), then: later)
    }

    /// Whether the path is of a page, whatever the method.
    func isPage(_ request: RequestFacts) -> Bool {
        switch api.table.match(request) {
        case .found(let endpoint, _): endpoint.isPage
        case .methodNotAllowed(_, let isPage): isPage
        case .notFound: false
        }
    }

    /// The hot endpoints as rows of the table: for methods that they do not take, for /openapi.json and the route matrix.
    package static func hotRows(_ validate: ValidateEndpoint, _ keyDocument: KeyDocument) -> [Endpoint] {
        [
            Endpoint("POST", ValidateEndpoint.path, bodyMax: ValidateEndpoint.bodyMax) { request in
                validate.respond(to: request.facts, body: request.body)
            },
            Endpoint("GET", KeyDocument.path) { request in keyDocument.respond(to: request.facts) },
        ]
    }
}
