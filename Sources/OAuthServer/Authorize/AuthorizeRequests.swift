package import AuthCore
package import Store

/// Reads and checks authorization requests, in two phases (RFC 6749 §4.1.2.1): until client and target are proved, nothing goes anywhere
/// but onto a page.
package struct AuthorizeRequests: Sendable {
    private let clients: any ClientStore
    private let parked: any ParkedStore
    private let steps: [any AuthorizeStep]

    package init(clients: any ClientStore, parked: any ParkedStore, steps: [any AuthorizeStep]) {
        self.clients = clients
        self.parked = parked
        self.steps = steps
    }

    /// What is known before anything may be sent to the client.
    package struct Proved: Sendable {
        fileprivate let parameters: FormParameters
        package var request: AuthorizationRequest
    }

    /// The first phase: which client, and where the answer goes.
    ///
    /// - Parameter isResumed: Whether it has been here before: then a pushed request may have run out meanwhile.
    /// - Throws: What is shown on a page, and never sent to the client.
    package func prove(_ sent: FormParameters, at now: Instant) async throws(OAuthError) -> Proved {
        let id = Identifier(try sent.required("client_id", bytesMax: 2_048))
        let client = try await client(id)
        let (parameters, pushed) = try await self.parameters(sent, client, at: now)
        guard client.definition.grants.contains(.authorizationCode) else {
            throw OAuthError(.unauthorizedClient, .grantNotAllowed, "This client may not send people here.")
        }
        let isOpenID = parameters["scope"].flatMap { ScopeSet(parsing: $0) }?.contains("openid") ?? false
        let target = try RedirectTarget.prove(
            try parameters.optional("redirect_uri", bytesMax: URISyntax.bytesMax), of: client, isOpenID: isOpenID)
        let state = try parameters.optional("state", bytesMax: 4_096)
        let mode = parameters["response_mode"].flatMap { ResponseMode(rawValue: $0) } ?? .query
        return Proved(
            parameters: parameters,
            request: AuthorizationRequest(target: target, state: state, responseMode: mode, pushedRequest: pushed))
    }

    /// The second phase: every step in order. Its refusals go to the proved target.
    package func check(_ proved: Proved) async throws(OAuthError) -> AuthorizationRequest {
        var request = proved.request
        if request.client.policy.needsPushedRequest, request.pushedRequest == nil {
            throw OAuthError(.invalidRequest, .pushedRequestNeeded, "This client must push its requests first (RFC 9126 §5).")
        }
        for step in steps { try await step.apply(proved.parameters, to: &request) }
        return request
    }

    /// A request as a client pushes it: its target and everything else are checked at once (RFC 9126 §2.1).
    package func check(pushed parameters: FormParameters, of client: Client) async throws(OAuthError) {
        let isOpenID = parameters["scope"].flatMap { ScopeSet(parsing: $0) }?.contains("openid") ?? false
        let target = try RedirectTarget.prove(
            try parameters.optional("redirect_uri", bytesMax: URISyntax.bytesMax), of: client, isOpenID: isOpenID)
        let state = try parameters.optional("state", bytesMax: 4_096)
        var request = AuthorizationRequest(target: target, state: state, responseMode: .query, pushedRequest: "")
        for step in steps { try await step.apply(parameters, to: &request) }
    }

    private func client(_ id: Identifier) async throws(OAuthError) -> Client {
        let found: Client?
        do { found = try await clients.client(id) } catch { throw OAuthError(storeError: error) }
        guard let client = found else { throw OAuthError(.invalidClient, .clientUnknown, "There is no such application here.") }
        guard !client.isDisabled else {
            throw OAuthError(.invalidClient, .clientDisabled, "This application is not allowed to sign people in at the moment.")
        }
        return client
    }

    /// The parameters that count: of a pushed request only those that were pushed (RFC 9126 §4).
    private func parameters(
        _ sent: FormParameters, _ client: Client, at now: Instant
    ) async throws(OAuthError) -> (FormParameters, pushed: Identifier?) {
        guard let uri = try sent.optional("request_uri", bytesMax: 512) else { return (sent, nil) }
        guard let id = uri.dropping(prefix: "urn:ietf:params:oauth:request_uri:") else {
            throw OAuthError(.requestURINotSupported, .requestURIUnknown, "This request_uri is not one that was given out here.")
        }
        let found: Parked?
        do { found = try await parked.parked(.pushedRequest, Identifier(id), at: now) } catch { throw OAuthError(storeError: error) }
        // One text for a wrong client too: whoever guesses learns nothing.
        guard let found, found.clientID == client.id, let query = found.value["query"]?.string,
            let pushed = try? FormParameters(query.utf8)  // it was read before it was stored
        else {
            throw OAuthError(
                .invalidRequestURI, .requestURIUnknown, "The request was used before, has expired, or is not this application's.")
        }
        return (pushed, Identifier(id))
    }
}
