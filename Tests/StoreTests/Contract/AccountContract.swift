import AuthCore
import Store
import StoreSQL
import StoreSQLite
import Testing

extension TestStore {
    func rows(_ table: String) async throws(StoreError) -> Int64 {
        try await database.read { (connection: any SQLConnection) throws(StoreError) in
            try connection.query("SELECT COUNT(*) FROM \(table)", [])[0].int(0)
        }
    }
}

/// What may change about an account, a client or a session, and whether a grant still works then.
enum AccountState: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case unchanged, roleTaken, disabled, deleted, passwordChanged, loggedOutEverywhere, sessionEnded, clientDisabled

    var testDescription: String { rawValue }
    var grantWorks: Bool { self == .unchanged || self == .roleTaken }
    /// Whether the access tokens that are out are revoked.
    var tokensRevoked: Bool { self != .unchanged }

    func make(in test: TestStore, account: Account, session: Session) async throws {
        switch self {
        case .unchanged: break
        case .roleTaken: _ = try await test.store.change(account.id, .roles([]), event: test.event())
        case .disabled: _ = try await test.store.change(account.id, .disabled(by: .operatorsHand), event: test.event())
        case .deleted: _ = try await test.store.change(account.id, .deleted, event: test.event())
        case .passwordChanged: _ = try await test.store.change(account.id, .password(Secret("new")), event: test.event())
        case .loggedOutEverywhere: try await test.store.endAll(of: account.id, at: test.now, event: test.event(.signOut))
        case .sessionEnded: _ = try await test.store.end(session.id, owner: nil, at: test.now, event: test.event(.sessionEnded))
        case .clientDisabled: _ = try await test.store.setClientDisabled(Client.builtInID, true, event: test.event(.clientChanged))
        }
    }
}

@Suite("Contract: accounts, sessions and what ends them")
struct AccountContract {
    @Test("matrix: refresh × state of the account", arguments: AccountState.allCases)
    func matrix(_ state: AccountState) async throws {
        for kind in StoreKind.allCases {
            let test = try await kind.open()
            let account = try await test.account("alice")
            let (session, grant) = try await test.openSession(account)
            try await state.make(in: test, account: account, session: session)
            if case .refreshed = try await test.refresh(grant, 1) {
                #expect(state.grantWorks)
            } else {
                #expect(!state.grantWorks)
            }
            #expect(test.revoked.isEmpty != state.tokensRevoked)
        }
    }

    @Test("matrix: opening a session × state of the account", arguments: AccountState.allCases)
    func openMatrix(_ state: AccountState) async throws {
        for kind in StoreKind.allCases {
            let test = try await kind.open()
            let account = try await test.account("alice")
            let (session, _) = try await test.openSession(account)
            try await state.make(in: test, account: account, session: session)
            // The caller verified the password against the account as it was before.
            let opened = (try? await test.openSession(account)) != nil
            #expect(opened == (state == .unchanged || state == .sessionEnded))
        }
    }

    @Test("ending everything names each session and grant and raises the epoch", arguments: StoreKind.allCases)
    func everything(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        var ids = Set<Identifier>()
        for _ in 0..<3 {
            let (session, grant) = try await test.openSession(account)
            ids.formUnion([session.id, grant.id])
        }
        try await test.store.endAll(of: account.id, at: test.now, event: test.event(.signOut))
        #expect(Set(test.revoked.map(\.id)) == ids.union([account.id]))
        #expect(test.revoked.first { $0.kind == .account }?.epoch == account.epoch + 1)
        #expect(try await test.store.sessions(of: account.id, at: test.now).isEmpty)
        for record in test.revoked { #expect(record.until >= test.now + .seconds(600)) }
    }

    @Test("of 64 racing creations of one name one is created", arguments: StoreKind.allCases)
    func createRace(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let created = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<64 { group.addTask { (try? await test.account("alice")) != nil } }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(created == 1)
    }

    @Test("names that only canonical equivalence makes equal are two accounts")
    func bytes() async throws {
        let test = try await StoreKind.sqlite.open()
        _ = try await test.account("K")
        let other = try await test.account("\u{212A}")
        #expect(try await test.store.account(canonicalName: "\u{212A}", canonicalEmail: nil)?.id == other.id)
    }

    @Test("another account's session cannot be ended", arguments: StoreKind.allCases)
    func foreignSession(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (alice, bob) = (try await test.account("alice"), try await test.account("bob"))
        let (session, _) = try await test.openSession(alice)
        #expect(try await test.store.end(session.id, owner: bob.id, at: test.now, event: test.event()) == false)
        #expect(try await test.store.sessions(of: alice.id, at: test.now).count == 1)
    }

    @Test("an upgraded hash replaces only the hash that was verified", arguments: StoreKind.allCases)
    func upgrade(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        try await test.store.upgradePasswordHash(of: account.id, from: Secret("stale"), to: Secret("wrong"))
        #expect(try await test.store.account(id: account.id)?.passwordHash?.exposed == "hash")
        try await test.store.upgradePasswordHash(of: account.id, from: Secret("hash"), to: Secret("better"))
        #expect(try await test.store.account(id: account.id)?.passwordHash?.exposed == "better")
        #expect(test.revoked.isEmpty)
    }

    @Test("64 racing attempts are counted one by one (BF-03)", arguments: StoreKind.allCases)
    func throttleRace(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let now = test.now
        let counts = try await withThrowingTaskGroup(of: Int64.self) { group in
            for _ in 0..<64 {
                group.addTask {
                    try await comingAgain {
                        try await test.store.throttle(["account/alice", "source/1"]) { records in
                            let count = (records[0]?.failures ?? 0) + 1
                            records[0] = ThrottleRecord(failures: count, windowStartedAt: now, blockedUntil: now)
                            return count
                        }
                    }
                }
            }
            return try await group.reduce(into: [Int64]()) { $0.append($1) }
        }
        #expect(Set(counts) == Set(1...64))
    }

    @Test("the audit table stays within its bounds without a janitor", arguments: StoreKind.allCases)
    func auditBound(_ kind: StoreKind) async throws {
        let test = try await kind.open(limits: StoreLimits(auditRowsMax: 20))
        for _ in 0..<100 { try await test.store.append(test.event(.signInRefused)) }
        // Every eighth event cleans up.
        #expect((20..<28).contains(try await test.rows("audit")))
        test.advance(.seconds(91 * 86_400))
        for _ in 0..<16 { try await test.store.append(test.event(.signInRefused)) }
        #expect(try await test.rows("audit") == 16)
    }
}
