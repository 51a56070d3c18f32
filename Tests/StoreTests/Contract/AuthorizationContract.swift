import AuthCore
import Store
import Testing

@Suite("Contract: authorization codes (RFC 6749 §4.1, RFC 7636, RFC 9126 §7.3)")
struct AuthorizationContract {
    @Test("a code buys tokens once, from what was authorized (AZ-13)", arguments: StoreKind.allCases)
    func redeems(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let one = try await test.authorized()
        let bought = try #require(try await test.redeem(one.grant).redeemed)
        #expect(bought.grant.id == one.grant.id && bought.account.id == one.account.id && bought.client.uid == one.client.uid)
        #expect(bought.grant.scope == ScopeSet(["orders:read"]) && bought.grant.audiences == ["orders"])
        #expect(bought.grant.sessionID == one.session.id && bought.assurance == one.session.assurance)
        #expect(bought.grant.binding?.nonce == "n-0S6_WzA2Mj")
        #expect(bought.successor == 1 && bought.tokenExpiresAt == test.now + Authorized.accessLifetime)
        #expect(try await test.refreshed(one.grant, 1).refreshed?.successor == 2)
        #expect(test.revoked.isEmpty)
        let events = try await test.store.events(before: nil, limit: 10, account: one.account.id)
        #expect(events.first?.event.kind == .authorized && events.first?.event.clientID == one.client.id)
        #expect(events.first?.event.sessionID == one.session.id)
    }

    @Test(
        "what somebody vouched for is a grant without a session, which ends with the account (RFC 7523 §2.1)", arguments: StoreKind.allCases
    )
    func vouched(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (account, client) = (try await test.account("alice"), try await test.registerClient())
        let binding = GrantBinding(assurance: SessionAssurance(acr: "", amr: [], authenticatedAt: test.now))
        var asked = VouchedAuthorization(
            account: account, client: client, access: (ScopeSet(["orders:read"]), ["orders"]), binding: binding,
            expiresAt: test.now + Authorized.accessLifetime)
        func authorize(_ asked: VouchedAuthorization) async throws -> Grant? {
            guard case .authorized(let grant) = try await test.store.authorize(asked, at: test.now, event: test.event(.authorized)) else {
                return nil
            }
            return grant
        }
        let made = try #require(try await authorize(asked))
        let stored = try #require(try await test.store.grant(made.id))
        #expect(stored.sessionID == nil && stored.accountID == account.id && stored.clientUID == client.uid && !stored.isOffline)
        #expect(stored.scope == ScopeSet(["orders:read"]) && stored.expiresAt == test.now + Authorized.accessLifetime)
        // It has neither a code nor a refresh token.
        #expect(try await test.redeem(made).word == "gone")
        #expect(try await test.refreshed(made, 1).word == "disabled")
        #expect(try await test.store.events(before: nil, limit: 1, account: account.id).first?.event.kind == .authorized)
        var other = asked
        other.clientUID = "another"
        #expect(try await authorize(other) == nil)
        other = asked
        other.accountEpoch += 1
        #expect(try await authorize(other) == nil)
        _ = try await test.store.change(account.id, .disabled(by: .operatorsHand), event: test.event())
        #expect(test.revoked.contains { $0.id == made.id && $0.until >= test.now + Authorized.accessLifetime })
        let changed = try #require(try await test.store.account(id: account.id))
        asked.accountEpoch = changed.epoch
        #expect(try await authorize(asked) == nil)
    }

    @Test("of 64 redemptions one buys; the others replay it, and so what was bought ends (TK-10, TK-11)", arguments: StoreKind.allCases)
    func race(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        for offline in [false, true] {
            let client = try await test.registerClient(Identifier("web-\(offline)"))
            let one = try await test.authorized("alice-\(offline)", client: client, offline: offline)
            let words = try await StoreTests.race { _ in try await test.redeem(one.grant).word }
            #expect(words.filter { $0 == "redeemed" }.count == 1)
            #expect(words.allSatisfy { ["redeemed", "replayed", "gone"].contains($0) }, "\(Set(words))")
            // The first to come afterwards ends the grant; for the rest it is gone.
            #expect(words.filter { $0 == "replayed" }.count == 1)
            #expect(try await test.store.grant(one.grant.id)?.isRevoked == true)
            #expect(test.revoked.filter { $0.id == one.grant.id }.count == 1)
            #expect(try await test.refreshed(one.grant).word == "gone")
        }
    }

    @Test("a code that comes again, however late, ends what it bought, is told and audited (TK-10)", arguments: StoreKind.allCases)
    func replay(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let one = try await test.authorized()
        #expect(try await test.redeem(one.grant).word == "redeemed")
        _ = try await test.refreshed(one.grant, 1)
        test.advance(.seconds(600))
        _ = try await test.refreshed(one.grant, 2)
        #expect(try await test.redeem(one.grant).word == "replayed")
        let record = try #require(test.revoked.first)
        #expect(test.revoked.count == 1 && record.kind == .grant && record.id == one.grant.id)
        #expect(record.until == test.now + Authorized.accessLifetime + .seconds(120))
        #expect(try await test.refreshed(one.grant, 3).word == "gone")
        let events = try await test.store.events(before: nil, limit: 1, account: one.account.id)
        #expect(events.first?.event.kind == .codeReplayed && events.first?.event.sessionID == one.session.id)
    }

    @Test("whoever proves another key replays a code all the same: the thief's tokens end (TK-10)", arguments: StoreKind.allCases)
    func replayWithKey(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let one = try await test.authorized()
        let (thief, owner) = (Confirmation(.jkt, "thief"), Confirmation(.jkt, "owner"))
        let bought = try await test.redeem(one.grant) { ($0.confirmation, $0.bindsRefresh) = (thief, true) }
        #expect(bought.word == "redeemed")
        #expect(try await test.store.grant(one.grant.id)?.binding?.confirmation == thief)
        #expect(try await test.redeem(one.grant) { ($0.confirmation, $0.bindsRefresh) = (owner, true) }.word == "replayed")
        #expect(test.revoked.map(\.id) == [one.grant.id])
    }

    /// What breaks one binding of a code, and what is said.
    enum Fault: String, CaseIterable, CustomTestStringConvertible {
        case otherClient, otherRedirectURI, noRedirectURI, otherVerifier, noVerifier, otherKey, noKey, unknownGrant
        var testDescription: String { rawValue }

        var word: String {
            switch self {
            case .otherClient: "wrongClient"
            case .otherRedirectURI, .noRedirectURI: "wrongRedirectURI"
            case .otherVerifier, .noVerifier: "wrongVerifier"
            case .otherKey, .noKey: "wrongKey"
            case .unknownGrant: "gone"
            }
        }

        func apply(_ presentation: inout CodePresentation) {
            switch self {
            case .otherClient: presentation.clientID = "other"
            case .otherRedirectURI: presentation.redirectURI = Authorized.redirectURI + "/"
            case .noRedirectURI: presentation.redirectURI = nil
            case .otherVerifier: presentation.codeChallenge = String(Authorized.challenge.dropLast()) + "N"
            case .noVerifier: presentation.codeChallenge = nil
            case .otherKey: presentation.confirmation = Confirmation(.jkt, "other")
            case .noKey: presentation.confirmation = nil
            case .unknownGrant: presentation.grantID = "none"
            }
        }
    }

    @Test(
        "each binding broken alone refuses the code and harms nothing, before it was used and after (CVE-2026-28513)",
        arguments: StoreKind.allCases)
    func bindings(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (client, key) = (try await test.registerClient(), Confirmation(.jkt, "key"))
        for fault in Fault.allCases {
            let told = test.revoked.count
            let one = try await test.authorized("\(fault)", client: client) { $0.binding.confirmation = key }
            let broken = try await test.redeem(one.grant) {
                $0.confirmation = key
                fault.apply(&$0)
            }
            #expect(broken.word == fault.word)
            let before = try #require(try await test.store.grant(one.grant.id))
            #expect(before.expiresAt == one.grant.expiresAt && !before.isRevoked)
            #expect(try await test.redeem(one.grant) { $0.confirmation = key }.word == "redeemed")
            let again = try await test.redeem(one.grant) {
                $0.confirmation = key
                fault.apply(&$0)
            }
            // The key is what a thief of code and verifier does not have.
            #expect(again.word == (fault.word == "wrongKey" ? "replayed" : fault.word))
            #expect((test.revoked.count == told) == (fault.word != "wrongKey"))
        }
    }

    @Test("a verifier or a redirect URI where none was asked for is no match either (RFC 9700 §4.8.2)", arguments: StoreKind.allCases)
    func unasked(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let one = try await test.authorized { ($0.binding.codeChallenge, $0.binding.redirectURI) = (nil, nil) }
        #expect(try await test.redeem(one.grant).word == "wrongRedirectURI")
        #expect(try await test.redeem(one.grant) { $0.redirectURI = nil }.word == "wrongVerifier")
        #expect(try await test.redeem(one.grant) { ($0.redirectURI, $0.codeChallenge) = (nil, nil) }.word == "redeemed")
    }

    @Test("a code lives to its last millisecond and no longer", arguments: StoreKind.allCases)
    func expires(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (one, client) = (try await test.authorized(), try await test.registerClient("second"))
        let session = one.session
        guard case .authorized(let second) = try await test.authorize(test.authorization(one.account, session, client)) else {
            throw StoreError.corrupt("not authorized")
        }
        test.advance(Authorized.codeLifetime - .milliseconds(1))
        #expect(try await test.redeem(one.grant).word == "redeemed")
        test.advance(.milliseconds(1))
        #expect(try await test.redeem(second).word == "expired")
        #expect(test.revoked.isEmpty)
        #expect(try await test.refreshed(second).word != "refreshed")
    }

    @Test("before its code was used, a grant refreshes nothing", arguments: StoreKind.allCases)
    func unspent(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let one = try await test.authorized()
        // Nobody holds such a token, unless the store has forgotten that the code was used.
        #expect(try await test.refreshed(one.grant).word == "aheadOfStore")
        #expect(try await test.redeem(one.grant).word == "redeemed")
    }

    @Test("without refresh tokens the grant ends with its access token; with them it waits for the next use", arguments: StoreKind.allCases)
    func lives(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        for (refreshes, end) in [(false, Authorized.accessLifetime), (true, Authorized.idleLifetime)] {
            let client = try await test.registerClient(Identifier("c\(refreshes)"))
            let one = try await test.authorized("p\(refreshes)", client: client)
            #expect(try await test.redeem(one.grant) { $0.refreshes = refreshes }.word == "redeemed")
            #expect(try await test.store.grant(one.grant.id)?.expiresAt == test.now + end)
        }
        // Not beyond its session, unless it is offline.
        for (offline, end) in [(false, Duration.seconds(300)), (true, Authorized.idleLifetime)] {
            let (account, client) = (try await test.account("s\(offline)"), try await test.registerClient(Identifier("s\(offline)")))
            let session = try await test.openBrowser(account, cookie: "s\(offline)", lifetime: .seconds(300))
            let outcome = try await test.authorize(test.authorization(account, session, client, offline: offline))
            let grant = try #require(outcome.grant)
            let bought = try #require(try await test.redeem(grant).redeemed)
            #expect(bought.tokenExpiresAt == test.now + min(end, Authorized.accessLifetime))
            #expect(try await test.store.grant(grant.id)?.expiresAt == test.now + end)
        }
    }

    @Test(
        "who is not signed in, or another, gets no code; nor does a client that is not the one that was shown",
        arguments: StoreKind.allCases)
    func refused(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (alice, bob, client) = (try await test.account("alice"), try await test.account("bob"), try await test.registerClient())
        let session = try await test.openBrowser(alice)
        var wrong = test.authorization(bob, session, client)
        #expect(try await test.authorize(wrong).word == "sessionEnded")
        wrong = test.authorization(alice, session, client)
        wrong.sessionID = "none"
        #expect(try await test.authorize(wrong).word == "sessionEnded")
        wrong = test.authorization(alice, session, client)
        wrong.clientUID = "another"
        #expect(try await test.authorize(wrong).word == "clientUnavailable")
        wrong.clientID = "none"
        #expect(try await test.authorize(wrong).word == "clientUnavailable")
        test.advance(Authorized.sessionLifetime)
        #expect(try await test.authorize(test.authorization(alice, session, client)).word == "sessionEnded")
        #expect(try await test.rows("grants") == 0)
    }

    @Test("of 64 authorizations with one pushed request one gets a code (PA-07)", arguments: StoreKind.allCases)
    func pushedRace(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (account, client) = (try await test.account("alice"), try await test.registerClient())
        let session = try await test.openBrowser(account)
        let pushed = Parked(
            kind: .pushedRequest, id: "request", clientID: client.id, value: JSONObject(), expiresAt: test.now + .seconds(60))
        #expect(try await test.store.park([pushed], at: test.now))
        var authorization = test.authorization(account, session, client)
        authorization.pushedRequest = pushed.id
        let wanted = authorization
        let words = try await StoreTests.race { _ in try await test.authorize(wanted).word }
        #expect(words.filter { $0 == "authorized" }.count == 1 && words.filter { $0 == "requestSpent" }.count == 63)
        #expect(try await test.rows("grants") == 1)
    }

    @Test(
        "a pushed request is its client's own, and another's attempt leaves it be; an expired one is none (PA-05, PA-06, PA-08)",
        arguments: StoreKind.allCases)
    func pushedBinding(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (account, client, other) = (
            try await test.account("alice"), try await test.registerClient(), try await test.registerClient("other")
        )
        let session = try await test.openBrowser(account)
        func push(_ id: Identifier) async throws {
            let pushed = Parked(kind: .pushedRequest, id: id, clientID: client.id, value: JSONObject(), expiresAt: test.now + .seconds(60))
            #expect(try await test.store.park([pushed], at: test.now))
        }
        func authorize(_ client: Client, _ id: Identifier) async throws -> String {
            var authorization = test.authorization(account, session, client)
            authorization.pushedRequest = id
            return try await test.authorize(authorization).word
        }
        try await push("one")
        #expect(try await authorize(other, "one") == "requestSpent")
        #expect(try await test.store.parked(.pushedRequest, "one", at: test.now) != nil)
        #expect(try await authorize(client, "one") == "authorized")
        #expect(try await authorize(client, "one") == "requestSpent")
        try await push("two")
        test.advance(.seconds(60))
        #expect(try await authorize(client, "two") == "requestSpent")
        #expect(try await authorize(client, "never") == "requestSpent")
        #expect(try await test.rows("grants") == 1)
    }

    @Test("a refused authorization uses up nothing: the request and the consent stay as they were", arguments: StoreKind.allCases)
    func refusedUsesNothing(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (account, client) = (try await test.account("alice"), try await test.registerClient())
        let session = try await test.openBrowser(account)
        let pushed = Parked(
            kind: .pushedRequest, id: "request", clientID: client.id, value: JSONObject(), expiresAt: test.now + .seconds(60))
        #expect(try await test.store.park([pushed], at: test.now))
        var authorization = test.authorization(account, session, client)
        authorization.pushedRequest = pushed.id
        authorization.consent = Consent(
            accountID: account.id, clientUID: client.uid, clientID: client.id, scope: authorization.scope, details: [], grantedAt: test.now)
        #expect(try await test.store.end(session.id, owner: nil, at: test.now, event: test.event(.signOut)))
        #expect(try await test.authorize(authorization).word == "sessionEnded")
        #expect(try await test.store.parked(.pushedRequest, "request", at: test.now) == pushed)
        #expect(try await test.rows("consents") == 0)
    }
}
