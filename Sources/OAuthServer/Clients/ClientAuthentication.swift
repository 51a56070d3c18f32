package import AuthCore
package import Store
package import TokenVerification

/// What a client sent to prove itself.
package enum PresentedClient: Sendable {
    /// Only a name, or none at all.
    case named(Identifier?)
    /// `client_secret_basic` or `client_secret_post` (RFC 6749 §2.3.1).
    case secret(Identifier, Secret<String>, ClientAuthenticationKind)
    /// A client assertion (RFC 7523 §2.2), not verified yet.
    case assertion(Identifier, PresentedJWT)
}

/// Finds out which client is asking (RFC 6749 §2.3, §3.2.1).
package struct ClientAuthentication: Sendable {
    private let store: any ClientStore
    private let secrets: ClientSecrets
    private let assertions: ClientAssertions
    /// Nothing: the store alone. What a token request names is never fetched (CVE-2026-4874).
    private var source: (any ClientSource)?

    /// How clients can prove themselves here, for metadata.
    package static let methods: [ClientAuthenticationKind] = [
        .none, .secretBasic, .secretPost, .secretJWT, .privateKeyJWT, .tls, .selfSignedTLS,
    ]

    private let held: @Sendable (Identifier) -> Client?

    /// - Parameter held: The clients that this node has in memory; nothing for one that it does not know.
    package init(
        store: any ClientStore, secrets: ClientSecrets, assertions: ClientAssertions,
        held: @escaping @Sendable (Identifier) -> Client? = { _ in nil }
    ) {
        self.held = held
        self.store = store
        self.secrets = secrets
        self.assertions = assertions
    }

    /// The same, for clients that are found elsewhere too.
    package func finding(in source: any ClientSource) -> ClientAuthentication {
        var other = self
        other.source = source
        return other
    }

    /// Whether this very client is in force and may sign people in.
    package func isFirstParty(_ id: Identifier, uid: Identifier) async throws(OAuthError) -> Bool {
        do {
            guard let client = try await store.client(id) else { return false }
            return client.uid == uid && !client.isDisabled && client.definition.grants.contains(.login)
        } catch { throw OAuthError(storeError: error) }
    }

    /// A client that is what it says: public, or proved by its secret.
    package struct Proved: Sendable {
        package let client: Client
        /// How; `none` for one that only named itself.
        package let method: ClientAuthenticationKind
        /// Whether it proved itself, rather than only naming itself.
        package var isProved: Bool { method != .none }

        package init(client: Client, method: ClientAuthenticationKind) {
            self.client = client
            self.method = method
        }
    }

    /// A client with a secret, or a public one, from memory alone; nothing when that does not prove it, and the store must be asked.
    ///
    /// What is in memory is behind the store by the milliseconds of the feed. Disabling or narrowing a client raises its epoch, which its
    /// tokens carry: one that was issued meanwhile is refused with the others.
    package func quick(_ request: OAuthRequest) -> Proved? {
        // What is wrong with the request is said where the store is asked.
        guard let presented = try? PresentedClient(request) else { return nil }
        let (client, method): (Client, ClientAuthenticationKind)
        switch presented {
        case .secret(let id, let secret, let way):
            guard let known = held(id), !known.definition.isPublic, secrets.matches(secret, known.secretHashes) else { return nil }
            (client, method) = (known, way)
        case .named(let id):
            guard let known = held(id ?? Client.builtInID), known.definition.isPublic else { return nil }
            (client, method) = (known, .none)
        case .assertion: return nil
        }
        return client.isDisabled || !client.policy.allows(method) ? nil : Proved(client: client, method: method)
    }

    /// The client behind a request of an OAuth endpoint.
    package func authenticate(_ request: OAuthRequest) async throws(OAuthError) -> Proved {
        if let proved = quick(request) { return proved }
        return try await authenticate(
            PresentedClient(request), (path: request.path, certificate: request.certificate, now: request.now))
    }

    private static let refusal = "The client is unknown, or did not prove who it is."

    /// - Parameter facts: What else is known of the request; nothing where only secrets are taken.
    /// - Throws: `invalid_client` for an unknown, disabled or unproved one; the client is not told which.
    package func authenticate(
        _ presented: PresentedClient, _ facts: (path: String, certificate: ClientCertificate?, now: Instant)? = nil
    ) async throws(OAuthError) -> Proved {
        let id: Identifier
        switch presented {
        case .named(let name): id = name ?? Client.builtInID
        case .secret(let name, _, _), .assertion(let name, _): id = name
        }
        let found: Client?
        if let source, let facts {
            found = try await source.client(id, keeps: false, at: facts.now)
        } else {
            do { found = try await store.client(id) } catch { throw OAuthError(storeError: error) }
        }
        let (client, method): (Client, ClientAuthenticationKind)
        switch presented {
        case .secret(_, let secret, let way):
            // An unknown client costs the same HMAC as a known one (CA-13).
            let matches = secrets.matches(secret, found?.secretHashes ?? [[UInt8](repeating: 0, count: 32)])
            (client, method) = (try known(found), way)
            guard matches, !client.definition.isPublic else {
                throw OAuthError(.invalidClient, .clientSecretWrong, ClientAuthentication.refusal)
            }
        case .assertion(_, let token):
            client = try known(found)
            method = client.definition.metadata.authenticationMethod == .secretJWT ? .secretJWT : .privateKeyJWT
            guard let facts else { throw OAuthError(.invalidClient, .authenticationMethodNotAllowed, ClientAuthentication.refusal) }
            if client.isDisabled { throw OAuthError(.invalidClient, .clientDisabled, ClientAuthentication.refusal) }
            try await assertions.verify(token, of: client, path: facts.path, at: facts.now)
        case .named:
            client = try known(found)
            method = try named(client, facts)
        }
        if client.isDisabled { throw OAuthError(.invalidClient, .clientDisabled, ClientAuthentication.refusal) }
        // After the proof: whoever does not have it learns nothing of how it should have been sent.
        guard client.policy.allows(method) else {
            throw OAuthError(
                .invalidClient, .authenticationMethodNotAllowed, "This client does not authenticate with \(method.rawValue).")
        }
        return Proved(client: client, method: method)
    }

    private func known(_ client: Client?) throws(OAuthError) -> Client {
        guard let client else { throw OAuthError(.invalidClient, .clientUnknown, ClientAuthentication.refusal) }
        return client
    }

    /// One that sends no credentials: public, or proved by the connection that it came over (RFC 8705 §2).
    private func named(
        _ client: Client, _ facts: (path: String, certificate: ClientCertificate?, now: Instant)?
    ) throws(OAuthError) -> ClientAuthenticationKind {
        if client.definition.isPublic { return .none }
        guard let method = client.definition.metadata.authenticationMethod, [.tls, .selfSignedTLS].contains(method) else {
            throw OAuthError(.invalidClient, .clientSecretMissing, ClientAuthentication.refusal)
        }
        guard let facts, let certificate = facts.certificate else {
            throw OAuthError(.invalidClient, .certificateMissing, ClientAuthentication.refusal)
        }
        guard client.isProved(by: certificate, method, at: facts.now) else {
            throw OAuthError(.invalidClient, .certificateMismatch, ClientAuthentication.refusal)
        }
        return method
    }
}

extension OAuthError {
    package init(storeError error: StoreError) {
        switch error {
        case .overloaded: self.init(.temporarilyUnavailable, .storeOverloaded, "Too many requests are waiting. Try again soon.")
        case .unavailable, .outcomeUnknown, .corrupt, .unusable:
            self.init(.temporarilyUnavailable, .storeUnavailable, "The store cannot be reached now. Try again soon.")
        }
    }
}
