import AuthCore
import Store
import Testing

/// What may end an authorization, and what of it goes on then.
enum Ending: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case none, sessionEnded, loggedOutEverywhere, accountDisabled, accountDisabledAndEnabled, accountDeleted, passwordChanged, roleTaken
    case clientDisabled, clientDisabledAndEnabled, clientDeleted, consentWithdrawn, grantRevoked

    var testDescription: String { rawValue }

    /// Whether a grant of its kind still refreshes.
    func goesOn(offline: Bool) -> Bool {
        switch self {
        case .none, .roleTaken: true
        case .sessionEnded: offline
        default: false
        }
    }

    /// Whether a code from before is still good. One of a session that has ended is not, whatever it was for.
    var leavesCode: Bool { self == .none || self == .roleTaken }

    /// What a further authorization in the same session is told.
    var authorization: String {
        switch self {
        case .none, .roleTaken, .consentWithdrawn, .grantRevoked, .clientDisabledAndEnabled: "authorized"
        case .clientDisabled, .clientDeleted: "clientUnavailable"
        default: "sessionEnded"
        }
    }

    func make(_ test: TestStore, _ one: Authorized) async throws {
        let (store, account, client) = (test.store, one.account.id, one.client.id)
        switch self {
        case .none: break
        case .sessionEnded: #expect(try await store.end(one.session.id, owner: account, at: test.now, event: test.event(.signOut)))
        case .loggedOutEverywhere: try await store.endAll(of: account, at: test.now, event: test.event(.signOut))
        case .accountDisabled: #expect(try await store.change(account, .disabled(by: .operatorsHand), event: test.event()))
        case .accountDisabledAndEnabled:
            #expect(try await store.change(account, .disabled(by: .operatorsHand), event: test.event()))
            #expect(try await store.change(account, .enabled(by: .operatorsHand), event: test.event()))
        case .accountDeleted: #expect(try await store.change(account, .deleted, event: test.event()))
        case .passwordChanged: #expect(try await store.change(account, .password(Secret("new")), event: test.event()))
        case .roleTaken: #expect(try await store.change(account, .roles([]), event: test.event()))
        case .clientDisabled: #expect(try await store.setClientDisabled(client, true, event: test.event(.clientChanged)))
        case .clientDisabledAndEnabled:
            #expect(try await store.setClientDisabled(client, true, event: test.event(.clientChanged)))
            #expect(try await store.setClientDisabled(client, false, event: test.event(.clientChanged)))
        case .clientDeleted:
            #expect(try await store.deleteRegistration(client, uid: one.client.uid, at: test.now, event: test.event(.clientChanged)))
        case .consentWithdrawn:
            #expect(try await store.withdrawConsent(of: account, client: client, at: test.now, event: test.event(.consentWithdrawn)))
        case .grantRevoked: #expect(try await store.revoke(one.grant.id, at: test.now, event: test.event(.tokenRevoked)))
        }
    }
}

@Suite("Contract: what ends an authorization, and what outlives its session")
struct EndingContract {
    /// Somebody new with a client of their own, beside the others in one store.
    private func someone(_ test: TestStore, _ name: String, offline: Bool = false) async throws -> Authorized {
        try await test.authorized(name, client: test.registerClient(Identifier(name)), offline: offline)
    }

    @Test(
        "matrix: refreshing × ending × online or offline × kept or rotated; what ends stands in the log until its last token is dead",
        arguments: StoreKind.allCases)
    func refreshing(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        for ending in Ending.allCases {
            for (offline, rotates) in [(false, true), (true, true), (false, false), (true, false)] {
                let row = "\(ending) \(offline) \(rotates)"
                let one = try await someone(test, row, offline: offline)
                #expect(try await test.redeem(one.grant).word == "redeemed")
                test.advance(.seconds(60))
                let bought = try #require(try await test.refreshed(one.grant, 1, rotates: rotates).refreshed)
                #expect(bought.outcome == (rotates ? .rotated(2) : .kept(1)))
                let before = test.revoked.count
                try await ending.make(test, one)
                let refreshed = try await test.refreshed(one.grant, bought.successor, rotates: rotates)
                #expect((refreshed.refreshed != nil) == ending.goesOn(offline: offline), "\(row) \(refreshed.word)")
                let told = test.revoked.dropFirst(before)
                #expect(told.filter { $0.id == one.grant.id }.count == (ending.goesOn(offline: offline) ? 0 : 1), "\(row)")
                for record in told { #expect(record.until >= bought.tokenExpiresAt + .seconds(120), "\(record.kind) \(row)") }
                if ending == .sessionEnded { #expect(told.contains { $0.kind == .session && $0.id == one.session.id }) }
                #expect(try await test.redeem(one.grant).redeemed == nil)
            }
        }
    }

    @Test("matrix: a code from before × ending × online or offline", arguments: StoreKind.allCases)
    func redeeming(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        for ending in Ending.allCases {
            for offline in [false, true] {
                let one = try await someone(test, "\(ending) \(offline)", offline: offline)
                try await ending.make(test, one)
                let outcome = try await test.redeem(one.grant)
                #expect((outcome.redeemed != nil) == ending.leavesCode, "\(ending) \(offline) \(outcome.word)")
                #expect(["redeemed", "gone", "disabled"].contains(outcome.word))
            }
        }
    }

    @Test("matrix: authorizing × ending", arguments: StoreKind.allCases)
    func authorizing(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        for ending in Ending.allCases {
            let one = try await someone(test, "\(ending)")
            try await ending.make(test, one)
            let outcome = try await test.authorize(test.authorization(one.account, one.session, one.client))
            #expect(outcome.word == ending.authorization, "\(ending)")
        }
    }

    @Test("raced by an ending: nothing is bought, authorized or refreshed after it was answered", arguments: StoreKind.allCases)
    func raced(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        for ending in [Ending.sessionEnded, .accountDisabled, .clientDisabled, .consentWithdrawn, .clientDeleted, .accountDeleted] {
            let one = try await someone(test, "\(ending)", offline: true)
            let other = try await test.authorize(test.authorization(one.account, one.session, one.client))
            let code = try #require(other.grant)
            #expect(try await test.redeem(one.grant).word == "redeemed")
            let authorized = try await withThrowingTaskGroup(of: Grant?.self) { group in
                group.addTask {
                    try await ending.make(test, one)
                    return nil
                }
                for number in 0..<24 {
                    group.addTask {
                        switch number % 3 {
                        case 0: _ = try await test.redeem(code)
                        case 1: _ = try await test.refreshed(one.grant, 1)
                        default: return try await test.authorize(test.authorization(one.account, one.session, one.client)).grant
                        }
                        return nil
                    }
                }
                return try await group.reduce(into: [Grant]()) { all, grant in if let grant { all.append(grant) } }
            }
            // Those that came in time ended with the rest, or their codes do.
            for grant in authorized + [code] {
                let word = try await test.redeem(grant).word
                #expect(["gone", "disabled"].contains(word) || ending == .consentWithdrawn, "\(ending) \(kind) \(word)")
            }
            let word = try await test.refreshed(one.grant, 2).word
            if ending != .sessionEnded { #expect(["gone", "disabled"].contains(word), "\(ending) \(word)") }
            if ending == .consentWithdrawn { try await expectWithdrawn(test, authorized, one) }
        }
    }

    /// Of a withdrawal: each code from before it is revoked, and one from after it is a new agreement.
    private func expectWithdrawn(_ test: TestStore, _ authorized: [Grant], _ one: Authorized) async throws {
        let revoked = Set(test.revoked.map(\.id))
        for grant in authorized {
            let found = try #require(try await test.store.grant(grant.id))
            #expect(found.isRevoked == revoked.contains(grant.id))
        }
        #expect(revoked.contains(one.grant.id))
    }

    @Test("a code of a client that was disabled and enabled while it was authorized is worth nothing", arguments: StoreKind.allCases)
    func racedByDisabling(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let one = try await test.authorized()
        for _ in 0..<4 {
            let grants = try await withThrowingTaskGroup(of: Grant?.self) { group in
                group.addTask {
                    _ = try await test.store.setClientDisabled(one.client.id, true, event: test.event(.clientChanged))
                    return nil
                }
                for _ in 0..<12 {
                    group.addTask { try await test.authorize(test.authorization(one.account, one.session, one.client)).grant }
                }
                return try await group.reduce(into: [Grant]()) { all, grant in if let grant { all.append(grant) } }
            }
            #expect(try await test.store.setClientDisabled(one.client.id, false, event: test.event(.clientChanged)))
            for grant in grants { #expect(try await test.redeem(grant).word == "gone") }
        }
    }

    @Test("an offline grant lives from its beginning to its own end, session or not", arguments: StoreKind.allCases)
    func offline(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let one = try await test.authorized(offline: true)
        #expect(try await test.redeem(one.grant).word == "redeemed")
        #expect(try await test.store.end(one.session.id, owner: nil, at: test.now, event: test.event(.signOut)))
        var counter: Int64 = 1
        let begun = test.now
        while test.now + .seconds(25 * 86_400) < begun + Authorized.offlineLifetime {
            test.advance(.seconds(25 * 86_400))
            let bought = try #require(try await test.refreshed(one.grant, counter).refreshed)
            #expect(bought.assurance == one.session.assurance)
            counter = bought.successor
        }
        #expect(try await test.store.grant(one.grant.id)?.expiresAt == begun + Authorized.offlineLifetime)
        test.advance(.seconds(25 * 86_400))
        #expect(try await test.refreshed(one.grant, counter).refreshed == nil)
    }

    @Test(
        "a token that stays current is written when what is stored no longer covers it, and its grant stays alive by use",
        arguments: StoreKind.allCases)
    func kept(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let one = try await test.authorized(offline: true)
        #expect(try await test.redeem(one.grant).word == "redeemed")
        // An idle lifetime shorter than the hour for which nothing need be written.
        let idle = Duration.seconds(1_200)
        for _ in 0..<24 {
            test.advance(.seconds(900))
            let bought = try await test.refreshed(one.grant, 1, rotates: false, idle: idle)
            #expect(bought.refreshed?.outcome == .kept(1))
        }
        let last = test.now + Authorized.accessLifetime
        #expect(try await test.store.revoke(one.grant.id, at: test.now, event: test.event(.tokenRevoked)))
        #expect(test.revoked.allSatisfy { $0.until >= last + .seconds(120) })
        #expect(try await test.refreshed(one.grant, 1, rotates: false, idle: idle).word == "gone")
    }

    @Test("64 uses at once of a token that stays current all succeed", arguments: StoreKind.allCases)
    func keptRace(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let one = try await test.authorized()
        #expect(try await test.redeem(one.grant).word == "redeemed")
        test.advance(.seconds(7_200))
        let outcomes = try await StoreTests.race { _ in try await test.refreshed(one.grant, 1, rotates: false).refreshed?.outcome }
        #expect(outcomes.allSatisfy { $0 == .kept(1) })
    }
}
