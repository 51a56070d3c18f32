package import AuthCore
package import Store
internal import TokenKeys

/// Registration of clients by themselves (RFC 7591, OpenID Connect Registration 1.0), and of what they registered (RFC 7592).
package struct ClientRegistration: Sendable {
    package typealias Stores = RegistrationStore & ParkedStore & ThrottleStore & ClientStore

    /// What comes with each request.
    package struct Request: Sendable {
        package var token: Secret<[UInt8]>?
        package var now: Instant
        /// `PeerAddress.throttleKey` of the client.
        package var source: String
        package var traceID: String

        package init(token: Secret<[UInt8]>?, now: Instant, source: String, traceID: String) {
            self.token = token
            self.now = now
            self.source = source
            self.traceID = traceID
        }
    }

    package let policy: RegistrationPolicy
    package let initialTokens: InitialAccessTokens

    private let store: any Stores
    private let secrets: ClientSecrets
    private let sectors: SectorDocuments
    private let issuer: Identifier
    private let environment: Environment
    /// Called after a client has changed, before the answer: from then on this node knows it, and the origins of its pages (CORS).
    let changed: @Sendable () async throws(StoreError) -> Void

    package init(
        policy: RegistrationPolicy, store: any Stores, secrets: ClientSecrets, sectors: SectorDocuments, issuer: Identifier,
        environment: Environment, changed: @escaping @Sendable () async throws(StoreError) -> Void
    ) {
        self.policy = policy
        self.store = store
        self.secrets = secrets
        self.sectors = sectors
        self.issuer = issuer
        self.environment = environment
        self.changed = changed
        initialTokens = InitialAccessTokens(store: store, environment: environment)
    }

    /// Says that there is an endpoint, where there is.
    package func describe(in metadata: inout ServerMetadata) {
        if policy.openness != .off { metadata.text("registration_endpoint", issuer.text + ServerMetadata.Path.registration) }
    }

    // MARK: RFC 7591

    /// `POST /register`: the client information of RFC 7591 §3.2.1, with what is shown this once.
    package func register(_ sent: JSONObject, _ request: Request) async throws(OAuthError) -> JSONObject {
        guard policy.openness != .off else { throw OAuthError(.accessDenied, .registrationOff, "Clients cannot register here.") }
        try await admit(request)
        // An initial access token stands for somebody; without one nobody answers for a client that asks no person.
        let grants = policy.openness == .token ? policy.grants : policy.grants.filter { $0 != .clientCredentials }
        let id = Identifier("dyn-" + Base64URL.encode(environment.randomBytes(16)))
        let client = try RegisteredMetadata(sent, policy: policy, grants: grants, origin: .registration).definition(id)
        try await sectors.check(client)
        // Only now: a mistake in the metadata costs no use.
        if policy.openness == .token {
            guard let token = request.token,
                try await stored({ () async throws(StoreError) in
                    try await initialTokens.spend(token, at: request.now)
                })
            else { throw ClientRegistration.tokenRefusal }
        }
        let secret = client.hasSecret ? Secret("ghs_" + Base64URL.encode(environment.randomBytes(32))) : nil
        let token = Secret("ghm_" + Base64URL.encode(environment.randomBytes(32)))
        var bounds = policy.bounds(at: request.now)
        bounds.staysUnused = client.grants.contains(.clientCredentials)
        let event = event(id, "registered", request)
        let outcome = try await stored { [bounds] () async throws(StoreError) in
            try await store.register(
                client, secretHash: secret.map { secrets.kept($0, of: client) },
                tokenHash: ClientRegistration.hash(Secret(Array(token.exposed.utf8))),
                within: bounds, at: request.now, event: event)
        }
        guard case .registered(let registered) = outcome else {
            throw OAuthError(.temporarilyUnavailable, .registrationFull, "There are as many registered clients as there may be.")
        }
        try await stored { () async throws(StoreError) in try await changed() }
        var members = information(registered.definition, token)
        members["client_id_issued_at"] = .number(JSONNumber(request.now.seconds))
        if let secret {
            members["client_secret"] = .string(secret.exposed)
            // It never does (RFC 7591 §3.2.1).
            members["client_secret_expires_at"] = .number(JSONNumber(Int64(0)))
        }
        return members
    }

    /// Whether this source may register now, and with what it brought.
    private func admit(_ request: Request) async throws(OAuthError) {
        if policy.openness == .token {
            guard let token = request.token else {
                throw OAuthError(.invalidToken, .registrationTokenMissing, "Registering needs an initial access token of the operator.")
            }
            guard try await stored({ () async throws(StoreError) in try await initialTokens.isGood(token, at: request.now) }) else {
                throw ClientRegistration.tokenRefusal
            }
        }
        let (now, most) = (request.now, policy.perSource)
        let mayGoOn = try await stored { () async throws(StoreError) in
            try await store.throttle([Identifier("registration:\(request.source)")]) { records in
                var record = records[0] ?? ThrottleRecord(failures: 0, windowStartedAt: now, blockedUntil: now)
                if now - record.windowStartedAt >= .seconds(3_600) { (record.failures, record.windowStartedAt) = (0, now) }
                if record.failures >= most { return false }
                record.failures += 1
                records[0] = record
                return true
            }
        }
        guard mayGoOn else {
            throw OAuthError(.temporarilyUnavailable, .registrationLimited, "Too many registrations from here. Try again in an hour.")
        }
    }

    private static let tokenRefusal = OAuthError(
        .invalidToken, .registrationTokenInvalid, "The initial access token is unknown, used up or expired.")

    // MARK: RFC 7592

    /// `GET`: what is registered. Whatever the policy is now: who registered when it was another one can look and leave.
    package func read(_ id: Identifier, _ request: Request) async throws(OAuthError) -> JSONObject {
        let (client, token) = try await proved(id, request)
        return information(client.definition, token)
    }

    /// `PUT`: replaces everything that a client may say of itself (RFC 7592 §2.2).
    ///
    /// The token stays the same: RFC 7592 §5 leaves that open, and a client whose answer got lost would have lost its registration with it.
    package func replace(_ id: Identifier, with sent: JSONObject, _ request: Request) async throws(OAuthError) -> JSONObject {
        let (client, token) = try await proved(id, request)
        guard let name = sent["client_id"]?.string, Identifier(name) == id else {
            throw RegisteredMetadata.fault("client_id", "must be there, and be the client's own (RFC 7592 §2.2)")
        }
        for name in ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"]
        where sent[name] != nil {
            throw RegisteredMetadata.fault(name, "is the server's to say (RFC 7592 §2.2)")
        }
        if let value = sent["client_secret"] {
            guard let secret = value.string, secrets.isSecret(Secret(secret), of: client) else {
                throw RegisteredMetadata.fault("client_secret", "is not the one that was issued; a client cannot choose its own")
            }
        }
        // A client that has it keeps it; nobody gets it afterwards.
        let grants =
            client.definition.grants.contains(.clientCredentials) ? policy.grants : policy.grants.filter { $0 != .clientCredentials }
        let changed = try RegisteredMetadata(sent, policy: policy, grants: grants, origin: .registration).definition(
            id, replacing: client.definition)
        // A secret is made, and shown, once: there is none to give to a client that comes to want one, and none may be left behind.
        guard changed.hasSecret == client.definition.hasSecret, changed.signsWithSecret == client.definition.signsWithSecret else {
            throw RegisteredMetadata.fault(
                "token_endpoint_auth_method", "cannot change between a secret, one that signs, and none: register another client")
        }
        try await sectors.check(changed)
        let event = event(id, "registration changed", request)
        let isDone = try await stored { () async throws(StoreError) in
            try await store.changeRegistration(
                changed, uid: client.uid, tokenHash: ClientRegistration.hash(Secret(Array(token.exposed.utf8))), event: event)
        }
        guard isDone else { throw ClientRegistration.accessRefusal }
        try await stored { () async throws(StoreError) in try await self.changed() }
        return information(changed, token)
    }

    /// `DELETE`: the client and everything that it holds end now (RFC 7592 §2.3).
    package func delete(_ id: Identifier, _ request: Request) async throws(OAuthError) {
        let (client, _) = try await proved(id, request)
        let event = event(id, "registration deleted", request)
        let isDone = try await stored { () async throws(StoreError) in
            try await store.deleteRegistration(id, uid: client.uid, at: request.now, event: event)
        }
        guard isDone else { throw ClientRegistration.accessRefusal }
        try await stored { () async throws(StoreError) in try await changed() }
    }

    private static let accessRefusal = accessRefusal(.registrationAccessInvalid)

    /// One text: without a token there is no other answer than with a wrong one, but for the challenge.
    private static func accessRefusal(_ reason: OAuthError.Reason) -> OAuthError {
        OAuthError(.invalidToken, reason, "The client is unknown, or this is not its registration access token.")
    }

    /// The client whose registration access token this is. An unknown one costs a comparison too, and is the same answer (RFC 7592 §2.1).
    private func proved(_ id: Identifier, _ request: Request) async throws(OAuthError) -> (Client, Secret<String>) {
        let found = try await stored { () async throws(StoreError) in try await store.registration(id) }
        // None is as long as a hash for a client that manages nothing here, so no token is its token.
        let expected = found?.tokenHash ?? [UInt8](repeating: 0, count: 32)
        guard let token = request.token else { throw ClientRegistration.accessRefusal(.registrationTokenMissing) }
        guard isEqualInConstantTime(ClientRegistration.hash(token), expected), let client = found?.client,
            let text = String(validating: token.exposed, as: UTF8.self)
        else { throw ClientRegistration.accessRefusal }
        if client.isDisabled {
            throw OAuthError(.accessDenied, .clientDisabled, "An operator has disabled this client (RFC 7592 §2.1).")
        }
        return (client, Secret(text))
    }

    private static func hash(_ token: Secret<[UInt8]>) -> [UInt8] { TokenHash(of: token.exposed).bytes }

    private func information(_ client: ClientDefinition, _ token: Secret<String>) -> JSONObject {
        var members = client.registered
        members["client_id"] = .string(client.id.text)
        members["registration_client_uri"] = .string(issuer.text + ServerMetadata.Path.registration + "/" + client.id.text)
        members["registration_access_token"] = .string(token.exposed)
        return members
    }

    private func event(_ id: Identifier, _ what: String, _ request: Request) -> AuditEvent {
        AuditEvent(.clientChanged, at: request.now, clientID: id, source: request.source, reason: what, traceID: request.traceID)
    }

    private func stored<Output>(_ call: () async throws(StoreError) -> Output) async throws(OAuthError) -> Output {
        do { return try await call() } catch { throw OAuthError(storeError: error) }
    }
}

extension ClientDefinition {
    /// Whether its method needs a secret of ours.
    fileprivate var hasSecret: Bool { !isPublic && (metadata.authenticationMethod?.usesSecret ?? true) }
    /// Then the secret is kept in another way.
    fileprivate var signsWithSecret: Bool { metadata.authenticationMethod == .secretJWT }
}
