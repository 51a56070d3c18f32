package import AuthCore
package import OAuthServer
internal import Store

/// `POST /token/refresh`: the same grant as `grant_type=refresh_token`, for first-party clients.
package struct RefreshEndpoint: Sendable {
    private let tokens: FirstPartyTokens
    private let log: Log

    package init(tokens: FirstPartyTokens, log: Log) {
        self.tokens = tokens
        self.log = log
    }

    package var endpoint: Endpoint {
        Endpoint("POST", "/token/refresh") { (request) throws(APIError) in
            try await request.withNonce(tokens.sender) { () throws(APIError) in try await respond(to: request) }
        }
    }

    private func respond(to request: APIRequest) async throws(APIError) -> ResponseFacts {
        let body = try request.json(["refresh_token", "client_id", "client_secret"])
        let token = Secret(try body.requiredText("refresh_token", bytesMax: 4_096))
        let presented = try request.client(body)
        do {
            let (client, confirmation) = try await tokens.firstPartyClient(presented, request.proving)
            let context = TokenContext(
                client: client, confirmation: confirmation, now: request.now, source: request.source, traceID: request.traceID)
            let issued = try await tokens.refresh(token, context)
            log(
                .info, "tokens_issued",
                [
                    ("by", "refresh"), ("client", client.client.id.text), ("sid", issued.sessionID?.text ?? ""),
                    ("trace_id", request.traceID),
                ]
            )
            return TokenResponse.make(issued)
        } catch { throw APIError(error) }
    }
}
