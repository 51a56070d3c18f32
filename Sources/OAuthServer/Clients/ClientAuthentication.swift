package import AuthCore
package import Store
internal import Synchronization
package import TokenVerification

/// The clients that a node has in memory.
package protocol HeldClients: Sendable {
    /// Nothing for one that it does not know.
    func client(_ id: Identifier) -> Client?
    /// Another number, never 0, whenever one of them may be another; read before them.
    func state() -> UInt64
}

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
    private let guesses: ClientGuesses
    /// Nothing: the store alone. What a token request names is never fetched (CVE-2026-4874).
    private var source: (any ClientSource)?

    /// How clients can prove themselves here, for metadata and for registration.
    ///
    /// - Parameter certificates: Which of theirs can arrive: verified ones (RFC 8705 §2.1), and unverified ones (§2.2).
    package static func methods(_ certificates: (verified: Bool, unverified: Bool)) -> [ClientAuthenticationKind] {
        [.none, .secretBasic, .secretPost, .secretJWT, .privateKeyJWT] + (certificates.verified ? [.tls] : [])
            + (certificates.unverified ? [.selfSignedTLS] : [])
    }

    private let held: any HeldClients

    /// - Parameter held: The clients that this node has in memory.
    package init(
        store: any ClientStore, secrets: ClientSecrets, assertions: ClientAssertions, guesses: ClientGuesses,
        held: any HeldClients
    ) {
        self.held = held
        self.store = store
        self.secrets = secrets
        self.assertions = assertions
        self.guesses = guesses
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
            guard guesses.wait(id, from: request.address, at: request.now) == nil, let known = held.client(id), !known.definition.isPublic,
                secrets.matches(secret, known.secretHashes)
            else { return nil }
            guesses.right(id, from: request.address)
            (client, method) = (known, way)
        case .named(let id):
            guard let known = held.client(id ?? Client.builtInID), known.definition.isPublic else { return nil }
            (client, method) = (known, .none)
        case .assertion: return nil
        }
        return client.isDisabled || !client.policy.allows(method) ? nil : Proved(client: client, method: method)
    }

    /// Whether a client that proved itself by a secret would do so again with the same one: this node still has it with the same secrets and
    /// rights, and nobody guesses at them from there.
    ///
    /// - Parameter seen: The state of the clients in memory in which it was so before; the one in which it is so now afterwards.
    func isUnchanged(_ client: Client, since seen: borrowing Atomic<UInt64>, from address: PeerAddress, at now: Instant) -> Bool {
        guard guesses.wait(client.id, from: address, at: now) == nil else { return false }
        // Read first: what is replaced meanwhile is compared again the next time.
        let state = held.state()
        if seen.load(ordering: .relaxed) == state { return true }
        guard let known = held.client(client.id), known.uid == client.uid, known.epoch == client.epoch, !known.isDisabled,
            known.secretHashes == client.secretHashes, known.definition == client.definition
        else { return false }
        seen.store(state, ordering: .relaxed)
        return true
    }

    /// The client behind a request of an OAuth endpoint.
    package func authenticate(_ request: OAuthRequest) async throws(OAuthError) -> Proved {
        if let proved = quick(request) { return proved }
        return try await authenticate(
            PresentedClient(request), from: (request.address, request.now), (path: request.path, certificate: request.certificate))
    }

    private static let refusal = "The client is unknown, or did not prove who it is."

    /// What is known of a request besides its credentials.
    package typealias Facts = (path: String, certificate: ClientCertificate?)

    /// - Parameters:
    ///   - place: The client's address, and the time.
    ///   - facts: What else is known; nothing where only secrets are taken.
    /// - Throws: `invalid_client` for an unknown, disabled or unproved one; the client is not told which. `too_many_attempts` where guesses
    ///   came before; then the secret was not looked at.
    package func authenticate(
        _ presented: PresentedClient, from place: (address: PeerAddress, now: Instant), _ facts: Facts? = nil
    ) async throws(OAuthError) -> Proved {
        let id: Identifier
        switch presented {
        case .named(let name): id = name ?? Client.builtInID
        case .secret(let name, _, _), .assertion(let name, _): id = name
        }
        let guess = Guess(presented, id, place.address, place.now)
        try refuse(guess)
        let found: Client?
        if let source, facts != nil {
            found = try await source.client(id, keeps: false, at: place.now)
        } else {
            do { found = try await store.client(id) } catch { throw OAuthError(storeError: error) }
        }
        // Others may have guessed meanwhile.
        try refuse(guess)
        let (client, method): (Client, ClientAuthenticationKind)
        do throws(OAuthError) { (client, method) = try await proved(presented, found, facts, at: place.now) } catch {
            if let guess, ClientAuthentication.isWrongSecret(error.reason, found),
                let wait = guesses.wrong(guess.client, guess.secret, from: guess.address, at: guess.now)
            {
                throw OAuthError(limited: .clientGuessesLimited, for: wait)
            }
            throw error
        }
        if let guess { guesses.right(guess.client, from: guess.address) }
        if client.isDisabled { throw OAuthError(.invalidClient, .clientDisabled, ClientAuthentication.refusal) }
        // After the proof: whoever does not have it learns nothing of how it should have been sent.
        guard client.policy.allows(method) else {
            throw OAuthError(
                .invalidClient, .authenticationMethodNotAllowed, "This client does not authenticate with \(method.rawValue).")
        }
        return Proved(client: client, method: method)
    }

    /// A secret, or what was signed with one, that may be a guess.
    private struct Guess {
        let client: Identifier
        let secret: Secret<String>?
        let address: PeerAddress
        let now: Instant

        init?(_ presented: PresentedClient, _ client: Identifier, _ address: PeerAddress, _ now: Instant) {
            switch presented {
            case .secret(_, let secret, _): self.secret = secret
            case .assertion(_, let token) where token.isMAC: secret = nil
            case .assertion, .named: return nil
            }
            (self.client, self.address, self.now) = (client, address, now)
        }
    }

    private func refuse(_ guess: Guess?) throws(OAuthError) {
        guard let guess, let wait = guesses.wait(guess.client, from: guess.address, at: guess.now) else { return }
        throw OAuthError(limited: .clientGuessesLimited, for: wait)
    }

    /// Whether what was sent is counted: all that did not fit, so that an unknown client and one of another method look like one with a
    /// secret. A MAC by the right secret that is refused for its times is none.
    private static func isWrongSecret(_ reason: OAuthError.Reason, _ client: Client?) -> Bool {
        switch reason {
        case .clientUnknown, .clientSecretWrong: true
        case .assertionInvalid: client?.definition.metadata.authenticationMethod != .secretJWT
        default: false
        }
    }

    private func proved(
        _ presented: PresentedClient, _ found: Client?, _ facts: Facts?, at now: Instant
    ) async throws(OAuthError) -> (Client, ClientAuthenticationKind) {
        switch presented {
        case .secret(_, let secret, let way):
            // An unknown client costs the same HMAC as a known one (CA-13).
            let matches = secrets.matches(secret, found?.secretHashes ?? [[UInt8](repeating: 0, count: 32)])
            let client = try known(found)
            guard matches, !client.definition.isPublic else {
                throw OAuthError(.invalidClient, .clientSecretWrong, ClientAuthentication.refusal)
            }
            return (client, way)
        case .assertion(_, let token):
            let client = try known(found)
            guard let facts else { throw OAuthError(.invalidClient, .authenticationMethodNotAllowed, ClientAuthentication.refusal) }
            if client.isDisabled { throw OAuthError(.invalidClient, .clientDisabled, ClientAuthentication.refusal) }
            try await assertions.verify(token, of: client, path: facts.path, at: now)
            return (client, client.definition.metadata.authenticationMethod == .secretJWT ? .secretJWT : .privateKeyJWT)
        case .named:
            let client = try known(found)
            return (client, try await named(client, facts, at: now))
        }
    }

    private func known(_ client: Client?) throws(OAuthError) -> Client {
        guard let client else { throw OAuthError(.invalidClient, .clientUnknown, ClientAuthentication.refusal) }
        return client
    }

    /// One that sends no credentials: public, or proved by the connection that it came over (RFC 8705 §2).
    private func named(
        _ client: Client, _ facts: Facts?, at now: Instant
    ) async throws(OAuthError) -> ClientAuthenticationKind {
        if client.definition.isPublic { return .none }
        guard let method = client.definition.metadata.authenticationMethod, [.tls, .selfSignedTLS].contains(method) else {
            throw OAuthError(.invalidClient, .clientSecretMissing, ClientAuthentication.refusal)
        }
        guard let facts, let certificate = facts.certificate else {
            throw OAuthError(.invalidClient, .certificateMissing, ClientAuthentication.refusal)
        }
        guard try await isProved(client, by: certificate, method, at: now) else {
            throw OAuthError(.invalidClient, .certificateMismatch, ClientAuthentication.refusal)
        }
        return method
    }

    private func isProved(
        _ client: Client, by certificate: ClientCertificate, _ method: ClientAuthenticationKind, at now: Instant
    ) async throws(OAuthError) -> Bool {
        if method == .tls { return client.isNamed(by: certificate, at: now) }
        // Before its keys are asked for, which may be elsewhere.
        guard certificate.isValid(at: now), !client.isDisabled else { return false }
        do { return try await assertions.keys.have(certificate, of: client) } catch {
            throw OAuthError(.invalidClient, .certificateMismatch, ClientAuthentication.refusal)
        }
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
