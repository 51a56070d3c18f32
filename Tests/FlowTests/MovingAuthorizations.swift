import AuthCore
import Store
import Testing

/// What an authorization server keeps beside sessions: one of each, and how it works after the store has moved.
struct MovingAuthorizations {
    private let account: Account
    private let client: Client
    private let session: Session
    /// Used; its refresh tokens outlive the session.
    private let offline: Grant
    /// A code that is used after the first move, and is a replay after the second.
    private let code: Grant
    private var counter: Int64 = 1
    private var isFirst = true

    init(at node: TestNode) async throws {
        let (store, now) = (node.store, node.clock.now)
        let event = AuditEvent(.authorized, at: now, source: "test", traceID: "t")
        let owner = try #require(try await node.account("alice"))
        var definition = ClientDefinition(id: "registered")
        (definition.grants, definition.redirectURIs) = ([.authorizationCode], ["https://client.example/cb"])
        let outcome = try await store.register(
            definition, secretHash: [1], tokenHash: [0, 255], within: RegistrationBounds(), at: now, event: event)
        guard case .registered(let web) = outcome else { throw StoreError.corrupt("no client") }
        let assurance = SessionAssurance(acr: "1", amr: ["pwd"], authenticatedAt: now)
        func open(_ cookie: UInt8) async throws -> Session {
            let request = OpenBrowserSession(
                account: owner, clientID: web.id, assurance: assurance, cookieHash: [cookie, 0, 255], continues: nil,
                lifetime: .seconds(86_400), source: "127.0.0.1", agent: "Käse")
            guard case .opened(let session) = try await store.open(request, at: now, event: event) else {
                throw StoreError.corrupt("no session")
            }
            return session
        }
        let (lasting, ending) = (try await open(1), try await open(2))
        (account, client, session) = (owner, web, lasting)
        func authorize(_ session: Session, offline: Bool) async throws -> Grant {
            var binding = GrantBinding(assurance: assurance)
            (binding.nonce, binding.confirmation) = ("ü", Confirmation(.jkt, "key"))
            var authorization = Authorization(
                accountID: owner.id, sessionID: session.id, client: web, access: (ScopeSet(["orders:read"]), ["orders"]),
                binding: binding, isOffline: offline, codeLifetime: .seconds(60))
            authorization.consent = Consent(
                accountID: owner.id, clientUID: web.uid, clientID: web.id, scope: authorization.scope,
                details: [.object(JSONObject([("type", .string("ü"))]))], grantedAt: now)
            guard case .authorized(let grant) = try await store.authorize(authorization, at: now, event: event) else {
                throw StoreError.corrupt("no code")
            }
            return grant
        }
        (offline, code) = (try await authorize(ending, offline: true), try await authorize(lasting, offline: false))
        guard case .redeemed = try await redeem(offline, at: node) else { throw StoreError.corrupt("no tokens") }
        #expect(try await store.end(ending.id, owner: nil, at: now, event: event))
        let parked = Parked(
            kind: .device, id: "d", clientID: client.id, value: JSONObject([("a", .null)]), expiresAt: now + .seconds(60))
        #expect(try await store.park([parked], at: now))
        #expect(try await store.replace(parked, at: now))
        #expect(try await store.spend("jti", until: now + .seconds(60), at: now))
    }

    private func redeem(_ grant: Grant, at node: TestNode) async throws -> CodeOutcome {
        let presentation = CodePresentation(
            grantID: grant.id, clientID: client.id, redirectURI: nil, codeChallenge: nil, confirmation: Confirmation(.jkt, "key"),
            bindsRefresh: true, refreshes: true, lifetimes: (.seconds(86_400), .seconds(600), .seconds(86_400)), hearsOfLogout: true)
        let event = AuditEvent(.codeReplayed, at: node.clock.now, source: "test", traceID: "t")
        return try await node.store.redeem(presentation, at: node.clock.now, event: event)
    }

    mutating func check(at node: TestNode) async throws {
        let (store, now) = (node.store, node.clock.now)
        let event = AuditEvent(.refreshReplayed, at: now, source: "test", traceID: "t")
        #expect(try await store.registration("registered")?.tokenHash == [0, 255])
        #expect(try await store.registration("registered")?.client.uid == client.uid)
        #expect(try await store.browserSession(cookieHash: [1, 0, 255], at: now)?.session.id == session.id)
        #expect(try await store.browserSession(cookieHash: [2, 0, 255], at: now) == nil)
        #expect(try await store.consent(of: account.id, clientUID: client.uid)?.details.first?.object?["type"]?.string == "ü")
        #expect(try await store.parked(.device, "d", at: now)?.version == 1)
        #expect(try await !store.spend("jti", until: now + .seconds(60), at: now))
        #expect(try await store.dueLogouts(9, lease: .zero, at: now).map(\.clientID) == ["registered"])
        let presentation = RefreshPresentation(
            counter: counter, clientID: client.id, senderIsProved: true,
            windows: RefreshRotation.Windows(reuse: .seconds(10), retryMax: .seconds(600)), idleLifetime: .seconds(86_400),
            accessLifetime: .seconds(600))
        guard
            case .refreshed(let refreshed) = try await store.refresh(offline.id, at: now, event: event, judge: { _, _ in presentation })
                .get()
        else {
            throw StoreError.corrupt("the offline grant has gone")
        }
        counter = refreshed.successor
        #expect(refreshed.grant.binding?.confirmation == Confirmation(.jkt, "key") && refreshed.grant.binding?.nonce == "ü")
        let outcome = try await redeem(code, at: node)
        if case .redeemed = outcome { #expect(isFirst) } else { #expect(!isFirst) }
        #expect(try await store.clients(ofSession: session.id) == ["registered"])
        if !isFirst { guard case .replayed = outcome else { throw StoreError.corrupt("the move forgot that a code was used") } }
        isFirst = false
    }
}
