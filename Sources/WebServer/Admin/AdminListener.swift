package import AuthCore
package import HTTPEdge
internal import OAuthServer

/// Whether the server can do its work, part by part.
package struct Health: Sendable {
    package struct Part: Sendable {
        package let name: String
        /// Nothing is well; text says what is wrong.
        package let problem: String?

        package init(name: String, problem: String?) {
            self.name = name
            self.problem = problem
        }
    }

    package let parts: [Part]

    package init(parts: [Part]) { self.parts = parts }

    package var isReady: Bool { parts.allSatisfy { $0.problem == nil } }
}

/// Health and metrics, which need no store.
package struct HealthPages: Sendable {
    private let health: @Sendable () -> Health
    private let metrics: @Sendable () -> String

    package init(health: @escaping @Sendable () -> Health, metrics: @escaping @Sendable () -> String) {
        self.health = health
        self.metrics = metrics
    }

    /// The page that is asked for; nothing when it is none of these.
    package func answer(to request: RequestFacts) -> ResponseFacts? {
        let path = request.path
        guard request.method == "GET" || request.method == "HEAD" else { return nil }
        if path.elementsEqual("/health/live".utf8) { return ResponseFacts.json(200, Array("{\"status\":\"ok\"}".utf8)) }
        if path.elementsEqual("/health/ready".utf8) { return ready() }
        guard path.elementsEqual("/metrics".utf8) else { return nil }
        let headers = [
            (name: "content-type", value: "text/plain; version=0.0.4; charset=utf-8"), (name: "cache-control", value: "no-store"),
        ]
        return ResponseFacts(status: 200, headers: headers, body: Array(metrics().utf8))
    }

    private func ready() -> ResponseFacts {
        let health = health()
        var json = JSONWriter()
        json.object {
            $0.member("status", health.isReady ? "ready" : "unavailable")
            $0.object("parts") { for part in health.parts { $0.member(named: part.name, .string(part.problem ?? "ok")) } }
        }
        return .json(health.isReady ? 200 : 503, json.bytes)
    }
}

/// Health, metrics and the admin API: on the control socket for whoever may open it, on the admin listener with a token.
package struct AdminListener: EdgeResponder {
    /// Who may use the admin API here.
    package enum Access: Sendable {
        /// The control socket: its file mode is the credential.
        case everybody
        /// A token with the audience `gatehouse` alone and the scope `gatehouse:admin`.
        case bearer(OwnToken)
    }

    private let access: Access
    private let api: API
    private let pages: HealthPages

    package init(
        access: Access, api: API, health: @escaping @Sendable () -> Health, metrics: @escaping @Sendable () -> String
    ) {
        self.access = access
        self.api = api
        pages = HealthPages(health: health, metrics: metrics)
    }

    package func respond(to request: RequestFacts) -> EdgeAction {
        if let page = pages.answer(to: request) { return .answer(page) }
        return .async(bodyLimit: api.bodyMax(request)) { [api] facts, body in .complete(await api.respond(to: facts, body: body)) }
    }

    /// The same endpoints, each behind the check of `access`.
    package static func guarded(_ endpoints: [Endpoint], by access: Access) -> [Endpoint] {
        guard case .bearer(let own) = access else { return endpoints }
        return endpoints.map { endpoint in
            Endpoint(endpoint.method, endpoint.path, reads: endpoint.reads, bodyMax: endpoint.bodyMax) { (request) throws(APIError) in
                var request = request
                request.actor = try await own.holder(request, scope: ScopeCatalogue.adminScope, allowsRefreshToken: false).accountID
                return try await endpoint.handle(request)
            }
        }
    }
}
