package import AuthCore
package import HTTPEdge

/// Answers for a listener whose node is not there yet, because its database does not answer: 503 to whatever is asked, health and metrics
/// excepted where the listener has them.
package struct StartingListener: EdgeResponder {
    private let environment: Environment
    private let trustedProxies: [AddressRange]
    private let log: Log
    private let pages: HealthPages?

    package init(environment: Environment, trustedProxies: [AddressRange], log: Log, pages: HealthPages? = nil) {
        self.environment = environment
        self.trustedProxies = trustedProxies
        self.log = log
        self.pages = pages
    }

    package func respond(to request: RequestFacts) -> EdgeAction {
        if let page = pages?.answer(to: request) { return .answer(page) }
        let error = APIError.unavailable("not_ready")
        let traceID = TraceID(environment).description
        let client = ClientAddress.resolve(peer: request.peer, headers: request.headers, trusted: trustedProxies)
        log(
            .warning, "request_refused",
            [("status", String(error.status)), ("reason", error.reason), ("source", client.description), ("trace_id", traceID)])
        return .answer(error.response(traceID: traceID))
    }
}
