import AuthCore
import Store
import Testing

@Suite("Contract: sessions that browsers hold (LO-05, LO-12)")
struct BrowserSessionContract {
    private func found(_ test: TestStore, _ cookie: String) async throws -> BrowserSession? {
        try await test.store.browserSession(cookieHash: Array(cookie.utf8), at: test.now)
    }

    @Test("a cookie stands for its session and its account; another stands for nothing", arguments: StoreKind.allCases)
    func opens(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        let session = try await test.openBrowser(account, cookie: "one")
        let browser = try #require(try await found(test, "one"))
        #expect(browser.session.id == session.id && browser.account.id == account.id)
        #expect(browser.session.assurance == session.assurance && session.expiresAt == test.now + Authorized.sessionLifetime)
        for other in ["", "on", "one ", "ONE"] { #expect(try await found(test, other) == nil) }
        let events = try await test.store.events(before: nil, limit: 1, account: account.id)
        #expect(events.first?.event.kind == .signIn && events.first?.event.sessionID == session.id)
        #expect(try await test.store.sessions(of: account.id, at: test.now).map(\.id) == [session.id])
    }

    @Test("a renewed session keeps its sid, its grants and never ends earlier; its old cookie is dead", arguments: StoreKind.allCases)
    func renews(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let one = try await test.authorized("alice")
        #expect(try await test.redeem(one.grant).word == "redeemed")
        test.advance(.seconds(86_400))
        let renewed = try await test.openBrowser(one.account, cookie: "new", continues: one.session.id)
        #expect(renewed.id == one.session.id && renewed.createdAt == one.session.createdAt)
        #expect(renewed.assurance.authenticatedAt == test.now && renewed.lastUsedAt == test.now)
        #expect(renewed.expiresAt == test.now + Authorized.sessionLifetime)
        #expect(try await found(test, "alice") == nil)
        #expect(try await found(test, "new")?.session.id == one.session.id)
        #expect(try await test.refreshed(one.grant, 1).refreshed?.assurance == one.session.assurance, "the code's own sign-in")
        let shorter = try await test.openBrowser(one.account, cookie: "newer", continues: one.session.id, lifetime: .seconds(60))
        #expect(shorter.expiresAt == renewed.expiresAt)
        #expect(try await test.rows("sessions") == 1)
        #expect(try await test.rows("browser_sessions") == 1)
        #expect(test.revoked.isEmpty)
    }

    @Test("who would hear of the end of a session does so after it was renewed (LO-07)", arguments: StoreKind.allCases)
    func renewalKeepsListeners(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let one = try await test.authorized("alice")
        #expect(try await test.redeem(one.grant).word == "redeemed")
        test.advance(.seconds(80 * 86_400))
        _ = try await test.openBrowser(one.account, cookie: "new", continues: one.session.id)
        test.advance(.seconds(20 * 86_400))
        // Whatever else happens meanwhile cleans up.
        for name in ["bob", "carol", "dave"] { _ = try await test.openBrowser(test.account(name), cookie: name) }
        #expect(try await test.store.clients(ofSession: one.session.id) == [one.client.id])
        #expect(try await test.store.end(one.session.id, owner: nil, at: test.now, event: test.event(.signOut)))
        #expect(try await test.store.dueLogouts(10, lease: .seconds(30), at: test.now).map(\.clientID) == [one.client.id])
    }

    @Test("what is continued is a live session of the same account; otherwise a new one begins", arguments: StoreKind.allCases)
    func continues(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (alice, bob) = (try await test.account("alice"), try await test.account("bob"))
        let session = try await test.openBrowser(alice, cookie: "alice")
        let foreign = try await test.openBrowser(bob, cookie: "bob", continues: session.id)
        #expect(foreign.id != session.id && foreign.accountID == bob.id)
        #expect(try await found(test, "alice")?.account.id == alice.id)
        let unknown = try await test.openBrowser(alice, cookie: "unknown", continues: "none")
        #expect(unknown.id != session.id)
        test.advance(Authorized.sessionLifetime)
        let later = try await test.openBrowser(alice, cookie: "later", continues: session.id)
        #expect(later.id != session.id)
    }

    @Test("who was disabled, deleted or changed since is refused, and nothing is opened or renewed", arguments: StoreKind.allCases)
    func changed(_ kind: StoreKind) async throws {
        for change: AccountChange in [.disabled(by: .operatorsHand), .deleted, .password(Secret("new")), .roles([])] {
            let test = try await kind.open()
            let account = try await test.account("alice")
            let session = try await test.openBrowser(account, cookie: "old")
            #expect(try await test.store.change(account.id, change, event: test.event()))
            for continued in [nil, session.id] {
                guard case .accountChanged = try await test.browserOutcome(account, cookie: "new", continues: continued) else {
                    Issue.record("opened after \(change)")
                    return
                }
            }
            #expect(try await found(test, "new") == nil)
            // A role that was taken ends no session.
            if case .roles = change { #expect(try await found(test, "old") != nil) } else { #expect(try await found(test, "old") == nil) }
        }
    }

    @Test("an ended or expired session is found by no cookie", arguments: StoreKind.allCases)
    func ends(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        let (first, second) = (try await test.openBrowser(account, cookie: "one"), try await test.openBrowser(account, cookie: "two"))
        #expect(first.id != second.id)
        #expect(try await test.store.end(first.id, owner: account.id, at: test.now, event: test.event(.signOut)))
        #expect(try await found(test, "one") == nil)
        #expect(try await found(test, "two") != nil)
        #expect(try await test.rows("browser_sessions") == 1)
        test.advance(Authorized.sessionLifetime - .milliseconds(1))
        #expect(try await found(test, "two") != nil)
        test.advance(.milliseconds(1))
        #expect(try await found(test, "two") == nil)
    }

    @Test("of 64 renewals of one session one cookie is left, and it is one session", arguments: StoreKind.allCases)
    func renewalRace(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        let session = try await test.openBrowser(account, cookie: "old")
        let ids = try await race { number in try await test.openBrowser(account, cookie: "c\(number)", continues: session.id).id }
        #expect(Set(ids) == [session.id])
        #expect(try await test.rows("browser_sessions") == 1)
        #expect(try await found(test, "old") == nil)
    }

    @Test("renewing races the end: afterwards either the session is gone, or another has begun", arguments: StoreKind.allCases)
    func endRace(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        for round in 0..<8 {
            let session = try await test.openBrowser(account, cookie: "r\(round)")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    let isEnded = try await test.store.end(session.id, owner: nil, at: test.now, event: test.event(.signOut))
                    #expect(isEnded)
                }
                for number in 0..<6 {
                    group.addTask { _ = try await test.openBrowser(account, cookie: "r\(round)-\(number)", continues: session.id) }
                }
                try await group.waitForAll()
            }
            for number in 0..<6 {
                let left = try await found(test, "r\(round)-\(number)")
                #expect(left?.session.id != session.id)
            }
            #expect(try await found(test, "r\(round)") == nil)
        }
    }
}
