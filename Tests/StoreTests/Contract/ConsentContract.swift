import AuthCore
import Store
import Testing

@Suite("Contract: what somebody allowed a client")
struct ConsentContract {
    private func consent(_ one: Account, _ client: Client, _ scope: ScopeSet, at now: Instant, details: [JSONValue] = []) -> Consent {
        Consent(accountID: one.id, clientUID: client.uid, clientID: client.id, scope: scope, details: details, grantedAt: now)
    }

    private func allow(_ test: TestStore, _ account: Account, _ session: Session, _ consent: Consent, _ client: Client) async throws
        -> Grant
    {
        var authorization = test.authorization(account, session, client)
        authorization.consent = consent
        return try #require(try await test.authorize(authorization).grant)
    }

    @Test("it is remembered with the authorization, replaced by the next, and listed newest first", arguments: StoreKind.allCases)
    func remembers(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (alice, bob) = (try await test.account("alice"), try await test.account("bob"))
        let (web, app) = (try await test.registerClient("web"), try await test.registerClient("app"))
        let session = try await test.openBrowser(alice)
        #expect(try await test.store.consent(of: alice.id, clientUID: web.uid) == nil)
        let details = [JSONValue.object(JSONObject([("type", .string("payment")), ("amount", .string("1,5 €"))]))]
        let first = consent(alice, web, ScopeSet(["orders:read"]), at: test.now, details: details)
        _ = try await allow(test, alice, session, first, web)
        #expect(try await test.store.consent(of: alice.id, clientUID: web.uid) == first)
        #expect(try await test.store.consent(of: bob.id, clientUID: web.uid) == nil)
        test.advance(.seconds(1))
        let other = consent(alice, app, .none, at: test.now)
        _ = try await allow(test, alice, session, other, app)
        #expect(try await test.store.consents(of: alice.id) == [other, first])
        test.advance(.seconds(1))
        let wider = consent(alice, web, ScopeSet(["orders:read", "orders:write"]), at: test.now)
        _ = try await allow(test, alice, session, wider, web)
        #expect(try await test.store.consents(of: alice.id) == [wider, other])
        #expect(try await test.store.consents(of: bob.id).isEmpty)
        // Nobody was asked: nothing is remembered.
        _ = try await test.authorize(test.authorization(alice, session, app))
        #expect(try await test.rows("consents") == 2)
    }

    @Test("withdrawn, it and every grant of that client and account are gone, offline ones too; others stay", arguments: StoreKind.allCases)
    func withdraws(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (web, app) = (try await test.registerClient("web"), try await test.registerClient("app"))
        let one = try await test.authorized("alice", client: web, offline: true)
        let bobs = try await test.authorized("bob", client: web)
        let (_, own) = try await test.openSession(one.account)
        let given = consent(one.account, web, ScopeSet(["orders:read"]), at: test.now)
        let code = try await allow(test, one.account, one.session, given, web)
        let apps = try await allow(test, one.account, one.session, consent(one.account, app, .none, at: test.now), app)
        for grant in [one.grant, bobs.grant, apps] { #expect(try await test.redeem(grant).word == "redeemed") }
        let event = test.event(.consentWithdrawn)
        #expect(try await test.store.withdrawConsent(of: one.account.id, client: web.id, at: test.now, event: event))
        #expect(Set(test.revoked.map(\.id)) == [one.grant.id, code.id])
        #expect(try await test.store.consents(of: one.account.id).map(\.clientID) == [app.id])
        #expect(try await test.refreshed(one.grant).word == "gone")
        #expect(try await test.redeem(code).word == "gone")
        for grant in [bobs.grant, apps] { #expect(try await test.refreshed(grant).word == "refreshed") }
        #expect(try await test.refreshed(own).word == "refreshed", "a first-party sign-in rests on no consent")
        #expect(try await test.store.events(before: nil, limit: 1, account: nil).first?.event.kind == .consentWithdrawn)
        // Once; and nothing of nobody.
        #expect(try await !test.store.withdrawConsent(of: one.account.id, client: web.id, at: test.now, event: event))
        #expect(try await !test.store.withdrawConsent(of: "nobody", client: web.id, at: test.now, event: event))
        #expect(try await !test.store.withdrawConsent(of: one.account.id, client: "none", at: test.now, event: event))
        #expect(try await test.store.events(before: nil, limit: 100, account: nil).filter { $0.event.kind == .consentWithdrawn }.count == 1)
    }

    @Test("of 64 withdrawals one counts", arguments: StoreKind.allCases)
    func race(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let one = try await test.authorized {
            $0.consent = Consent(
                accountID: $0.accountID, clientUID: $0.clientUID, clientID: $0.clientID, scope: $0.scope, details: [],
                grantedAt: Instant(seconds: 1))
        }
        let withdrawn = try await StoreTests.race { _ in
            try await test.store.withdrawConsent(
                of: one.account.id, client: one.client.id, at: test.now, event: test.event(.consentWithdrawn))
        }
        #expect(withdrawn.filter { $0 }.count == 1)
        #expect(test.revoked.map(\.id) == [one.grant.id])
    }

    @Test("it goes with its account, and with its client however that is deleted", arguments: StoreKind.allCases)
    func goes(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let registered = try await test.registerClient("registered")
        try await test.applyClients(["file"])
        try await test.applyClients(["file", "unlisted"])
        try await test.applyClients(["file"])
        let file = try #require(try await test.store.client("file"))
        try await test.applyClients(["file", "unlisted"])
        let unlisted = try #require(try await test.store.client("unlisted"))
        for name in ["alice", "bob"] {
            let account = try await test.account(name)
            let session = try await test.openBrowser(account, cookie: name)
            for client in [registered, file, unlisted] {
                _ = try await allow(test, account, session, consent(account, client, .none, at: test.now), client)
            }
        }
        let alice = try #require(try await test.store.account(canonicalName: "alice", canonicalEmail: nil))
        #expect(try await test.store.change(alice.id, .deleted, event: test.event()))
        #expect(try await test.rows("consents") == 3)
        #expect(
            try await test.store.deleteRegistration("registered", uid: registered.uid, at: test.now, event: test.event(.clientChanged)))
        #expect(try await test.rows("consents") == 2)
        // Left out: kept, disabled. Pruned: gone, also the one that was disabled before.
        try await test.applyClients(["file"])
        #expect(try await test.rows("consents") == 2)
        try await test.applyClients([], prune: true)
        #expect(try await test.rows("consents") == 0)
    }
}

extension TestStore {
    /// Files that name these clients and nothing else.
    func applyClients(_ ids: [Identifier], prune: Bool = false) async throws {
        var document = ResourceDocument()
        document.clients = ids.map { id in
            var client = ClientDefinition(id: id)
            (client.grants, client.scopes) = ([.authorizationCode, .refreshToken], ScopeSet(["orders:read"]))
            return client
        }
        let request = ApplyRequest(
            wanted: document, prune: prune, passwordHashes: [:], secretHashes: [:], canonicalNames: [:], digest: [1])
        guard case .applied = try await store.apply(request, event: event(.resourcesApplied)) else {
            throw StoreError.corrupt("a conflict")
        }
    }
}
