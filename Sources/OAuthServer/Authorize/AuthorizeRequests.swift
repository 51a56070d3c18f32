package import AuthCore
package import Store

/// Reads and checks authorization requests, in two phases (RFC 6749 §4.1.2.1): until client and target are proved, nothing goes anywhere
/// but onto a page.
package struct AuthorizeRequests: Sendable {
    private let clients: any ClientSource
    private let parked: any ParkedStore
    private let objects: RequestObjects
    private let documents: RequestDocuments
    private let steps: [any AuthorizeStep]

    package init(
        clients: any ClientSource, parked: any ParkedStore, objects: RequestObjects, documents: RequestDocuments,
        steps: [any AuthorizeStep]
    ) {
        self.documents = documents
        self.clients = clients
        self.parked = parked
        self.objects = objects
        self.steps = steps
    }

    /// The parameters that count, after a request object was opened.
    package struct Opened: Sendable {
        package let parameters: FormParameters
        package let isSigned: Bool
        /// Why the object counts for nothing. Told when the target is proved from the parameters beside it.
        fileprivate var fault: OAuthError?
        var isRefused: Bool { fault != nil }

        package init(parameters: FormParameters, isSigned: Bool) {
            self.parameters = parameters
            self.isSigned = isSigned
        }
    }

    /// Opens the request object, if there is one, by value or by a registered reference (RFC 9101 §5, §6.1). Once, when the request comes
    /// in: what was good then is good to the end of the way.
    ///
    /// - Throws: What is shown on a page. What is wrong with the object itself, `check` throws.
    package func open(_ sent: FormParameters, at now: Instant) async throws(OAuthError) -> Opened {
        let uri = try sent.optional("request_uri", bytesMax: URISyntax.bytesMax)
        let reference = uri.flatMap { PushedRequestEndpoint.id($0) == nil ? $0 : nil }
        guard sent["request"] != nil || reference != nil else { return Opened(parameters: sent, isSigned: false) }
        let client = try await client(Identifier(try sent.required("client_id", bytesMax: 2_048)), keeps: false, at: now)
        do throws(OAuthError) {
            guard let reference, sent["request"] == nil else {
                return Opened(parameters: try await objects.open(sent, of: client, at: now), isSigned: true)
            }
            // What would be refused anyway is not fetched.
            if client.policy.needsPushedRequest { throw AuthorizeRequests.notPushed }
            let object = try await documents.object(at: reference, of: client)
            return Opened(parameters: try await objects.open(object, of: client, at: now), isSigned: true)
        } catch {
            var opened = Opened(parameters: sent, isSigned: false)
            opened.fault = error
            return opened
        }
    }

    /// What is known before anything may be sent to the client.
    package struct Proved: Sendable {
        fileprivate let parameters: FormParameters
        fileprivate let isSigned: Bool
        fileprivate let fault: OAuthError?
        package var request: AuthorizationRequest

        /// Whether the client wants no page (`prompt=none`); with anything beside it that is no request of OpenID Connect.
        package var isSilent: Bool { parameters["prompt"]?.isSameBytes(as: "none") ?? false }
    }

    /// The first phase: which client, and where the answer goes.
    ///
    /// - Parameters:
    ///   - begun: When the browser came with the request: a pushed one must have been in time then.
    ///   - keeps: As of `ClientSource`.
    /// - Throws: What is shown on a page, and never sent to the client.
    package func prove(
        _ opened: Opened, begun: Instant, keeps: Bool = false, at now: Instant
    ) async throws(OAuthError) -> Proved {
        let sent = opened.parameters
        let id = Identifier(try sent.required("client_id", bytesMax: 2_048))
        let client = try await client(id, keeps: keeps, at: now)
        // What is wrong with the object is told where the parameters beside it lead, for there are no others.
        let (parameters, pushed, wasSigned) =
            opened.fault == nil ? try await self.parameters(sent, client, begun: begun, at: now) : (sent, nil, false)
        guard client.definition.grants.contains(.authorizationCode) else {
            throw OAuthError(.unauthorizedClient, .grantNotAllowed, "This client may not send people here.")
        }
        let isOpenID = parameters["scope"].flatMap { ScopeSet(parsing: $0) }?.contains("openid") ?? false
        let target = try RedirectTarget.prove(
            try parameters.optional("redirect_uri", bytesMax: URISyntax.bytesMax), of: client, isOpenID: isOpenID)
        let state = try parameters.optional("state", bytesMax: 4_096)
        let mode = parameters["response_mode"].flatMap { ResponseMode(rawValue: $0) } ?? .query
        return Proved(
            parameters: parameters, isSigned: wasSigned || opened.isSigned, fault: opened.fault,
            request: AuthorizationRequest(target: target, state: state, responseMode: mode, pushedRequest: pushed))
    }

    private static let notPushed = OAuthError(
        .invalidRequest, .pushedRequestNeeded, "This client must push its requests first (RFC 9126 §5).")

    /// The second phase: every step in order. Its refusals go to the proved target.
    package func check(_ proved: Proved) async throws(OAuthError) -> AuthorizationRequest {
        if let fault = proved.fault { throw fault }
        var request = proved.request
        if request.client.policy.needsPushedRequest, request.pushedRequest == nil {
            throw AuthorizeRequests.notPushed
        }
        if request.client.definition.metadata.needsSignedRequest, !proved.isSigned {
            throw OAuthError(.invalidRequest, .requestObjectNeeded, "This client must send signed requests (RFC 9101 §10.5).")
        }
        for step in steps { try await step.apply(proved.parameters, to: &request) }
        return request
    }

    /// A request as a client pushes it: its target and everything else are checked at once (RFC 9126 §2.1).
    ///
    /// - Returns: The parameters that count.
    package func check(pushed sent: FormParameters, of client: Client, at now: Instant) async throws(OAuthError) -> Opened {
        let opened = Opened(parameters: try await objects.open(sent, of: client, at: now), isSigned: sent["request"] != nil)
        if client.definition.metadata.needsSignedRequest, !opened.isSigned {
            throw OAuthError(.invalidRequest, .requestObjectNeeded, "This client must send signed requests (RFC 9101 §10.5).")
        }
        let parameters = opened.parameters
        let isOpenID = parameters["scope"].flatMap { ScopeSet(parsing: $0) }?.contains("openid") ?? false
        let target = try RedirectTarget.prove(
            try parameters.optional("redirect_uri", bytesMax: URISyntax.bytesMax), of: client, isOpenID: isOpenID)
        let state = try parameters.optional("state", bytesMax: 4_096)
        var request = AuthorizationRequest(target: target, state: state, responseMode: .query, pushedRequest: "")
        for step in steps { try await step.apply(parameters, to: &request) }
        return opened
    }

    private func client(_ id: Identifier, keeps: Bool, at now: Instant) async throws(OAuthError) -> Client {
        guard let client = try await clients.client(id, keeps: keeps, at: now) else {
            throw OAuthError(.invalidClient, .clientUnknown, "There is no such application here.")
        }
        guard !client.isDisabled else {
            throw OAuthError(.invalidClient, .clientDisabled, "This application is not allowed to sign people in at the moment.")
        }
        return client
    }

    /// The parameters that count: of a pushed request only those that were pushed (RFC 9126 §4).
    private func parameters(
        _ sent: FormParameters, _ client: Client, begun: Instant, at now: Instant
    ) async throws(OAuthError) -> (FormParameters, pushed: Identifier?, isSigned: Bool) {
        guard let id = try sent.optional("request_uri", bytesMax: 512).flatMap(PushedRequestEndpoint.id) else { return (sent, nil, false) }
        let found: Parked?
        do { found = try await parked.parked(.pushedRequest, id, at: now) } catch { throw OAuthError(storeError: error) }
        // One text for a wrong client too: whoever guesses learns nothing.
        guard let found, found.clientID == client.id, begun.milliseconds < found.value["until"]?.int ?? .max,
            let query = found.value["query"]?.string,
            let pushed = try? FormParameters(query.utf8)  // it was read before it was stored
        else {
            throw OAuthError(
                .invalidRequestURI, .requestURIUnknown, "The request was used before, has expired, or is not this application's.")
        }
        return (pushed, id, found.value["signed"]?.bool ?? false)
    }
}
