package import AuthCore
package import HTTPEdge

/// The auth listener for clients that show a certificate (`listen.auth_mtls`): everything but the pages, because a browser that came here
/// would ask people for a certificate (RFC 8705 §5), and what they signed in to would have two names.
package struct ProgramListener: EdgeResponder {
    private let auth: AuthListener
    private let environment: Environment

    package init(_ auth: AuthListener, environment: Environment) {
        self.auth = auth
        self.environment = environment
    }

    package func respond(to request: RequestFacts) -> EdgeAction {
        if auth.isPage(request) {
            let error = APIError(404, "not_found", "There is nothing at this path.")
            return .answer(error.response(traceID: TraceID(environment).description))
        }
        return auth.respond(to: request)
    }
}
