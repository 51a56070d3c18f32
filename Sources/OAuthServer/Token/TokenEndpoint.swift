package import AuthCore
package import Store

/// One way to get tokens: a value of `grant_type` (RFC 6749 §4).
///
/// A grant decides and changes what is stored; it makes no token and knows no HTTP. What all grants share is the endpoint's: the client, its
/// permission, the sender's key.
package protocol TokenGrant<Request>: Sendable {
    associatedtype Request: Sendable
    var kind: GrantKind { get }
    /// Its own parameters; all others are passed over.
    var parameters: Set<Identifier> { get }
    func decode(_ parameters: FormParameters) throws(OAuthError) -> Request
    func authorize(_ request: Request, _ context: TokenContext) async throws(OAuthError) -> TokenAuthorization
}

/// Who is asking, and what is known of the moment.
package struct TokenContext: Sendable {
    package let client: ClientAuthentication.Proved
    /// The key that the sender proved, which the tokens will be bound to.
    package let confirmation: Confirmation?
    package let now: Instant
    package let source: String
    package let traceID: String

    package init(
        client: ClientAuthentication.Proved, confirmation: Confirmation?, now: Instant, source: String, traceID: String
    ) {
        self.client = client
        self.confirmation = confirmation
        self.now = now
        self.source = source
        self.traceID = traceID
    }
}

/// What is to be issued. Everything in it was read under the lock of the transaction that allowed it.
package struct TokenAuthorization: Sendable {
    package var subject: TokenSubject
    /// Of the refresh token that goes with it; nothing when there is none.
    package var refreshCounter: Int64?
    /// Whether an ID token goes with it, and its `nonce`.
    package var idToken: IDTokenRequest?
    /// RFC 8693 §2.2.1.
    package var issuedTokenType: String?

    package init(subject: TokenSubject, refreshCounter: Int64? = nil, idToken: IDTokenRequest? = nil, issuedTokenType: String? = nil) {
        self.subject = subject
        self.refreshCounter = refreshCounter
        self.idToken = idToken
        self.issuedTokenType = issuedTokenType
    }
}

/// The token endpoint (RFC 6749 §3.2), in five phases.
package struct TokenEndpoint: Sendable {
    private let clients: ClientAuthentication
    private let grants: [any TokenGrant]
    private let sender: SenderConstraint
    private let issuer: TokenIssuer

    package init(clients: ClientAuthentication, grants: [any TokenGrant], sender: SenderConstraint, issuer: TokenIssuer) {
        self.clients = clients
        self.grants = grants
        self.sender = sender
        self.issuer = issuer
    }

    /// What metadata says of it.
    package var grantTypes: [String] { grants.compactMap(\.kind.grantType) }

    package func respond(to request: OAuthRequest) async throws(OAuthError) -> IssuedTokens {
        // 1. Who is asking.
        let client = try await clients.authenticate(request)
        // 2. For what, and may it.
        let type = try request.parameters.required("grant_type", bytesMax: 128)
        guard let grant = grants.first(where: { $0.kind.grantType?.isSameBytes(as: type) == true }) else {
            throw OAuthError(.unsupportedGrantType, .grantTypeUnknown, "This grant_type is not offered here.")
        }
        guard client.client.definition.grants.contains(grant.kind) else {
            throw OAuthError(.unauthorizedClient, .grantNotAllowed, "This client may not use this grant_type.")
        }
        // 3. What the tokens are bound to.
        let confirmation = try await sender.confirmation(of: request, client: client.client)
        // 4. The grant itself.
        let context = TokenContext(
            client: client, confirmation: confirmation, now: request.now, source: request.source, traceID: request.traceID)
        let authorization = try await TokenEndpoint.run(grant, request.parameters, context)
        // 5. The tokens.
        return try await issuer.issue(authorization, at: request.now)
    }

    private static func run<G: TokenGrant>(
        _ grant: G, _ parameters: FormParameters, _ context: TokenContext
    ) async throws(OAuthError) -> TokenAuthorization {
        // Never passed over: the client would take its tokens for what it asked for (RFC 9396 §6).
        if parameters["authorization_details"] != nil, !grant.parameters.contains("authorization_details") {
            throw OAuthError.detailsNotTaken
        }
        let request = try grant.decode(parameters.filtered(grant.parameters))
        return try await grant.authorize(request, context)
    }
}
