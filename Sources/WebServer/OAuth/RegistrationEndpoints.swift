internal import AuthCore
package import OAuthServer
internal import Store

/// `/register` (RFC 7591) and `/register/{client_id}` (RFC 7592) over HTTP.
package struct RegistrationEndpoints: Sendable {
    private let registration: ClientRegistration

    package init(registration: ClientRegistration) { self.registration = registration }

    package var endpoints: [Endpoint] {
        let path = ServerMetadata.Path.registration
        return [
            Endpoint("POST", path, reads: .json, bodyMax: RegistrationPolicy.bodyMax) { (request) throws(APIError) in
                let sent = try request.anyJSON()
                return try await answer(201, request) { (asked) async throws(OAuthError) in
                    try await registration.register(sent, asked)
                }
            },
            Endpoint("GET", path + "/{client_id}") { (request) throws(APIError) in
                try await answer(200, request) { (asked) async throws(OAuthError) in
                    try await registration.read(Identifier(request.parameters[0]), asked)
                }
            },
            Endpoint("PUT", path + "/{client_id}", reads: .json, bodyMax: RegistrationPolicy.bodyMax) { (request) throws(APIError) in
                let sent = try request.anyJSON()
                return try await answer(200, request) { (asked) async throws(OAuthError) in
                    try await registration.replace(Identifier(request.parameters[0]), with: sent, asked)
                }
            },
            Endpoint("DELETE", path + "/{client_id}") { (request) throws(APIError) in
                _ = try await answer(204, request) { (asked) async throws(OAuthError) in
                    try await registration.delete(Identifier(request.parameters[0]), asked)
                    return JSONObject()
                }
                return ResponseFacts(status: 204, headers: [("cache-control", "no-store")])
            },
        ]
    }

    private func answer(
        _ status: Int, _ request: APIRequest, _ body: (ClientRegistration.Request) async throws(OAuthError) -> JSONObject
    ) async throws(APIError) -> ResponseFacts {
        let credential = try request.credential()
        // A proof has no meaning here, and a token that asks for one is none of ours.
        let token = credential.flatMap { $0.isDPoP ? nil : $0.token }
        let asked = ClientRegistration.Request(
            token: token, now: request.now, source: request.client.throttleKey, traceID: request.traceID)
        do { return .json(status, JSONValue.object(try await body(asked)).encoded) } catch { throw RegistrationEndpoints.error(error) }
    }

    private static func error(_ error: OAuthError) -> APIError {
        switch error.reason {
        case .registrationOff: APIError(404, "not_found", error.detail, reason: error.reason.rawValue)
        case .registrationLimited:
            APIError(429, "too_many_attempts", error.detail, reason: error.reason.rawValue, headers: [("retry-after", "3600")])
        case .registrationTokenMissing:
            // Nothing was sent, so nothing is called invalid (RFC 6750 §3.1).
            APIError(
                401, error.code.rawValue, error.detail, reason: error.reason.rawValue,
                headers: [("www-authenticate", "Bearer realm=\"gatehouse\"")])
        case .clientDisabled: APIError(403, error.code.rawValue, error.detail, reason: error.reason.rawValue)
        default: APIError(error)
        }
    }
}
