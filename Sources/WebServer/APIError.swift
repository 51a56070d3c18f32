package import AuthCore
package import OAuthServer
package import Store

/// A refusal of the JSON API, in the contract's shape. The one place where inner errors become HTTP.
package struct APIError: Error, Sendable {
    package var status: Int
    /// What the client's program reads.
    package var code: String
    /// What the client's developer reads.
    package var detail: String
    /// What the operator reads: a slug of docs/errors.md. Never sent.
    package var reason: String
    package var headers: [(name: String, value: String)] = []
    /// Further members of the body.
    package var members: [(name: String, value: JSONValue)] = []

    package init(_ status: Int, _ code: String, _ detail: String, reason: String? = nil, headers: [(name: String, value: String)] = []) {
        self.status = status
        self.code = code
        self.detail = detail
        self.reason = reason ?? code
        self.headers = headers
    }

    package static func invalidRequest(_ detail: String) -> APIError { APIError(400, "invalid_request", detail) }

    package static func unavailable(_ reason: String, retryAfterSeconds: Int = 1) -> APIError {
        APIError(
            503, "temporarily_unavailable", "This cannot be done now. Try again soon.", reason: reason,
            headers: [("retry-after", String(retryAfterSeconds))]
        )
    }

    package init(_ error: StoreError) {
        self = .unavailable(error == .overloaded ? "store_overloaded" : "store_unavailable")
    }

    /// - Parameter isTokenEndpoint: RFC 6749 §5.2 wants 400 for `invalid_grant`; the first-party endpoints answer 401.
    package init(_ error: OAuthError, isTokenEndpoint: Bool = false) {
        let status =
            switch error.code {
            case .invalidClient, .invalidToken: 401
            case .insufficientScope: 403
            case .invalidGrant: isTokenEndpoint ? 400 : 401
            case .temporarilyUnavailable: 503
            case .tooManyAttempts: 429
            case .serverError: 500
            default: 400
            }
        self.init(status, error.code.rawValue, error.detail, reason: error.reason.rawValue)
        if let wait = error.retryAfter { headers = [("retry-after", String(max(1, (wait + .milliseconds(999)).wholeSeconds)))] }
        if status == 503 { headers = [("retry-after", "1")] }
        if error.code == .invalidToken { headers = [("www-authenticate", "Bearer realm=\"gatehouse\", error=\"invalid_token\"")] }
        if error.code == .invalidClient { headers = [("www-authenticate", "Basic realm=\"gatehouse\"")] }
    }

    package func response(traceID: String) -> ResponseFacts {
        var writer = JSONWriter()
        writer.object {
            $0.member("error", code)
            $0.member("error_description", detail)
            for (name, value) in members { $0.member(named: name, value) }
            $0.member("trace_id", traceID)
        }
        return .json(status, headers: headers, writer.bytes)
    }
}
