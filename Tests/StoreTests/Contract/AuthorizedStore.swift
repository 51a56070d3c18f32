import AuthCore
import Store
import Testing

/// What an authorization needs: a client that registered itself, somebody signed in in a browser, and a code.
struct Authorized: Sendable {
    static let redirectURI = "https://client.example/callback"
    static let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    static let codeLifetime = Duration.seconds(60)
    static let accessLifetime = Duration.seconds(600)
    static let idleLifetime = Duration.seconds(30 * 86_400)
    static let offlineLifetime = Duration.seconds(365 * 86_400)
    static let sessionLifetime = Duration.seconds(90 * 86_400)

    let account: Account
    let client: Client
    let session: Session
    let grant: Grant
}

extension TestStore {
    func registerClient(_ id: Identifier = "web") async throws -> Client {
        var definition = ClientDefinition(id: id)
        definition.grants = [.authorizationCode, .refreshToken]
        definition.scopes = ScopeSet(["orders:read", "orders:write"])
        definition.redirectURIs = [Authorized.redirectURI]
        return try #require(
            try await store.register(definition, secretHash: [1], tokenHash: [2], at: now, event: event(.clientChanged)))
    }

    func browserOutcome(
        _ account: Account, cookie: String = "cookie", continues: Identifier? = nil, lifetime: Duration = Authorized.sessionLifetime
    ) async throws -> BrowserSessionOutcome {
        let request = OpenBrowserSession(
            account: account, clientID: Client.builtInID, assurance: SessionAssurance(acr: "1", amr: ["pwd"], authenticatedAt: now),
            cookieHash: Array(cookie.utf8), continues: continues, lifetime: lifetime, source: "127.0.0.1", agent: "test")
        return try await store.open(request, at: now, event: event(.signIn))
    }

    func openBrowser(
        _ account: Account, cookie: String = "cookie", continues: Identifier? = nil, lifetime: Duration = Authorized.sessionLifetime
    ) async throws -> Session {
        guard case .opened(let session) = try await browserOutcome(account, cookie: cookie, continues: continues, lifetime: lifetime) else {
            throw StoreError.corrupt("no session")
        }
        return session
    }

    func authorization(_ account: Account, _ session: Session, _ client: Client, offline: Bool = false) -> Authorization {
        var binding = GrantBinding(assurance: session.assurance)
        binding.redirectURI = Authorized.redirectURI
        binding.codeChallenge = Authorized.challenge
        binding.nonce = "n-0S6_WzA2Mj"
        return Authorization(
            accountID: account.id, sessionID: session.id, client: client, access: (ScopeSet(["orders:read"]), ["orders"]), binding: binding,
            isOffline: offline, codeLifetime: Authorized.codeLifetime)
    }

    func authorize(_ authorization: Authorization) async throws -> AuthorizationOutcome {
        try await store.authorize(authorization, at: now, event: event(.authorized))
    }

    /// Somebody new who has agreed that a client gets a code.
    func authorized(
        _ name: String = "alice", client: Client? = nil, offline: Bool = false, _ change: (inout Authorization) -> Void = { _ in }
    ) async throws -> Authorized {
        let account = try await account(name)
        let client = if let client { client } else { try await registerClient() }
        let session = try await openBrowser(account, cookie: name)
        var authorization = authorization(account, session, client, offline: offline)
        change(&authorization)
        guard case .authorized(let grant) = try await authorize(authorization) else { throw StoreError.corrupt("not authorized") }
        return Authorized(account: account, client: client, session: session, grant: grant)
    }

    func presentation(_ grant: Grant, _ change: (inout CodePresentation) -> Void = { _ in }) -> CodePresentation {
        var presentation = CodePresentation(
            grantID: grant.id, clientID: grant.clientID, redirectURI: Authorized.redirectURI, codeChallenge: Authorized.challenge,
            confirmation: nil, bindsRefresh: false, refreshes: true,
            lifetimes: (Authorized.idleLifetime, Authorized.accessLifetime, Authorized.offlineLifetime), hearsOfLogout: true)
        change(&presentation)
        return presentation
    }

    func redeem(_ grant: Grant, _ change: (inout CodePresentation) -> Void = { _ in }) async throws -> CodeOutcome {
        try await store.redeem(presentation(grant, change), at: now, event: event(.codeReplayed))
    }

    func refreshed(_ grant: Grant, _ counter: Int64 = 1, rotates: Bool = true, idle: Duration = Authorized.idleLifetime) async throws
        -> RefreshOutcome
    {
        let presentation = RefreshPresentation(
            counter: counter, clientID: grant.clientID, senderIsProved: true,
            windows: RefreshRotation.Windows(reuse: .seconds(10), retryMax: .seconds(600)), idleLifetime: idle,
            accessLifetime: Authorized.accessLifetime, rotates: rotates, offlineLifetime: Authorized.offlineLifetime)
        return try await store.refresh(grant.id, at: now, event: event(.refreshReplayed)) { _, _ in presentation }.get()
    }
}

extension CodeOutcome {
    /// Its case, without what it carries.
    var word: String { "\(self)".split(separator: "(").first.map(String.init) ?? "" }
    var redeemed: RefreshedGrant? { if case .redeemed(let bought) = self { bought } else { nil } }
}

extension AuthorizationOutcome {
    var word: String { "\(self)".split(separator: "(").first.map(String.init) ?? "" }
    var grant: Grant? { if case .authorized(let grant) = self { grant } else { nil } }
}

extension RefreshOutcome {
    var word: String { "\(self)".split(separator: "(").first.map(String.init) ?? "" }
    var refreshed: RefreshedGrant? { if case .refreshed(let grant) = self { grant } else { nil } }
}

/// Calls 64 times at once, and again whoever was refused because too many waited.
func race<Output: Sendable>(_ call: @escaping @Sendable (Int) async throws -> Output) async throws -> [Output] {
    try await withThrowingTaskGroup(of: Output.self) { group in
        for number in 0..<64 { group.addTask { try await comingAgain { try await call(number) } } }
        return try await group.reduce(into: [Output]()) { $0.append($1) }
    }
}

extension RegistrationStore {
    /// Registers without bounds.
    ///
    /// - Returns: Nothing when the id is taken.
    func register(
        _ client: ClientDefinition, secretHash: [UInt8]?, tokenHash: [UInt8], at now: Instant, event: AuditEvent
    ) async throws(StoreError) -> Client? {
        let outcome = try await register(
            client, secretHash: secretHash, tokenHash: tokenHash, within: RegistrationBounds(), at: now, event: event)
        if case .registered(let client) = outcome { return client }
        return nil
    }
}
