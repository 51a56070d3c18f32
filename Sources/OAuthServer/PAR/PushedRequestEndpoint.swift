package import AuthCore
package import Store

/// Pushed authorization requests (RFC 9126).
package struct PushedRequestEndpoint: Sendable {
    package static let settings = [
        SettingKey(
            "par.per_minute", .integer(10...1_000_000), default: "6000",
            "Authorization requests that one client may push to one node in a minute; more are answered 429 (RFC 9126 §2.3). A public client, "
                + "whose name everybody can use, is counted by address, and there it is a tenth."
        )
    ]

    package struct Pushed: Sendable {
        package let requestURI: String
        package let expiresIn: Duration
    }

    /// §2.2: a short time, for the browser is sent here next.
    package static let lifetime = Duration.seconds(300)
    private static let prefix: StaticString = "urn:ietf:params:oauth:request_uri:"

    /// The id in a `request_uri` that was given out here (or means to be one); nothing for the address of a document.
    static func id(_ uri: String) -> Identifier? { uri.dropping(prefix: prefix).map { Identifier($0) } }

    private let clients: ClientAuthentication
    private let requests: AuthorizeRequests
    private let sender: SenderConstraint
    private let store: any ParkedStore
    private let environment: Environment
    /// By clients that prove themselves.
    private let pushed: MemoryThrottle
    /// By public ones.
    private let pushedInPublic: MemoryThrottle

    /// - Parameter perMinute: `par.per_minute`.
    package init(
        clients: ClientAuthentication, requests: AuthorizeRequests, sender: SenderConstraint, store: any ParkedStore,
        perMinute: Int64, environment: Environment
    ) {
        pushed = MemoryThrottle(.perMinute(perMinute))
        pushedInPublic = MemoryThrottle(.perMinute(max(1, perMinute / 10)))
        self.clients = clients
        self.requests = requests
        self.sender = sender
        self.store = store
        self.environment = environment
    }

    /// What proves the client is no part of the request that is kept.
    private static let credentials: [String] = ["client_secret", "client_assertion", "client_assertion_type"]

    package func respond(to request: OAuthRequest) async throws(OAuthError) -> Pushed {
        let proved = try await clients.authenticate(request)
        let client = proved.client
        try count(proved, request)
        guard request.parameters["request_uri"] == nil else {
            throw OAuthError(.invalidRequest, .parameterInvalid, "A pushed request has no request_uri (RFC 9126 §2.1).")
        }
        guard client.definition.grants.contains(.authorizationCode) else {
            throw OAuthError(.unauthorizedClient, .grantNotAllowed, "This client may not send people here.")
        }
        var kept = FormParameters(
            request.parameters.members.filter { member in
                !PushedRequestEndpoint.credentials.contains { $0.isSameBytes(as: member.name) }
            })
        let opened = try await requests.check(pushed: kept, of: client, at: request.now)
        kept = try await bound(opened.parameters, request, client)
        let id = Identifier(Base64URL.encode(environment.randomBytes(24)))
        let record = Parked(
            kind: .pushedRequest, id: id, clientID: client.id,
            value: JSONObject([
                ("query", .string(kept.encoded)), ("signed", .bool(opened.isSigned)),
                ("until", .number(JSONNumber((request.now + PushedRequestEndpoint.lifetime).milliseconds))),
            ]),
            // A way can begin with it until then. It is used up at the end of the way, so it stays as long as the way may take.
            expiresAt: request.now + PushedRequestEndpoint.lifetime + InteractionState.lifetime)
        do { _ = try await store.park([record], at: request.now) } catch { throw OAuthError(storeError: error) }
        return Pushed(requestURI: "\(PushedRequestEndpoint.prefix)\(id.text)", expiresIn: PushedRequestEndpoint.lifetime)
    }

    /// A request is a row for an hour and five minutes, if nothing comes of it.
    private func count(_ client: ClientAuthentication.Proved, _ request: OAuthRequest) throws(OAuthError) {
        let uid = client.client.uid
        let outcome =
            client.isProved
            ? pushed.failed(MemoryThrottle.Key(uid), at: request.now)
            : pushedInPublic.failed(MemoryThrottle.Key(uid, from: request.address), at: request.now)
        if case .limited(let wait) = outcome { throw OAuthError(limited: .pushedRequestsLimited, for: wait) }
    }

    /// A proof that is sent with the request binds its code as `dpop_jkt` does (RFC 9449 §10.1); both must name one key.
    private func bound(_ parameters: FormParameters, _ request: OAuthRequest, _ client: Client) async throws(OAuthError) -> FormParameters {
        guard !request.proofs.isEmpty, let proved = try await sender.confirmation(of: request, client: client), proved.kind == .jkt else {
            return parameters
        }
        if let named = parameters["dpop_jkt"] {
            guard named.isSameBytes(as: proved.thumbprint) else {
                throw OAuthError(.invalidDPoPProof, .senderKeyMismatch, "dpop_jkt names another key than the proof.")
            }
            return parameters
        }
        return FormParameters(parameters.members + [("dpop_jkt", proved.thumbprint)])
    }
}
