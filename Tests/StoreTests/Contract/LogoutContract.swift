import AuthCore
import Store
import Testing

@Suite("Contract: who is told of the end of a session (OpenID Connect Back-Channel Logout, LO-07)")
struct LogoutContract {
    /// A session with the code of each client redeemed; those of even number want to hear of its end.
    private func session(_ test: TestStore, _ name: String = "alice", clients count: Int, offline: Bool = false) async throws -> (
        Account, Session, [Identifier]
    ) {
        let account = try await test.account(name)
        let session = try await test.openBrowser(account, cookie: name)
        var hearing: [Identifier] = []
        for number in 0..<count {
            let client = try await test.registerClient(Identifier("\(name) \(100 + number)"))
            let grant = try #require(try await test.authorize(test.authorization(account, session, client, offline: offline)).grant)
            let hears = number % 2 == 0
            #expect(try await test.redeem(grant) { $0.hearsOfLogout = hears }.word == "redeemed")
            if hears { hearing.append(client.id) }
        }
        return (account, session, hearing)
    }

    private func due(_ test: TestStore, _ limit: Int = 100) async throws -> [PendingLogout] {
        try await test.store.dueLogouts(limit, lease: .seconds(30), at: test.now)
    }

    @Test("each way for a session to end queues those who want to hear of it, once", arguments: StoreKind.allCases)
    func queues(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        for ending in [Ending.sessionEnded, .loggedOutEverywhere, .accountDisabled, .accountDeleted, .passwordChanged] {
            let (account, session, hearing) = try await session(test, "\(ending)", clients: 4)
            #expect(try await test.store.clients(ofSession: session.id) == hearing)
            #expect(try await due(test).isEmpty, "nothing has ended")
            let client = try #require(try await test.store.client(hearing[0]))
            let grant = try #require(try await test.authorize(test.authorization(account, session, client)).grant)
            try await ending.make(test, Authorized(account: account, client: client, session: session, grant: grant))
            let logouts = try await due(test)
            #expect(logouts.map(\.clientID).sorted() == hearing, "\(ending)")
            #expect(logouts.allSatisfy { $0.sessionID == session.id && $0.accountID == account.id && $0.attempts == 1 })
            #expect(Set(logouts.map(\.id)).count == hearing.count)
            #expect(try await test.store.clients(ofSession: session.id).isEmpty)
        }
    }

    @Test("what ends no session queues nobody", arguments: StoreKind.allCases)
    func queuesNobody(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        for ending in [Ending.none, .roleTaken, .consentWithdrawn, .grantRevoked, .clientDisabledAndEnabled] {
            let one = try await test.authorized("\(ending)", client: test.registerClient(Identifier("\(ending)")))
            #expect(try await test.redeem(one.grant).word == "redeemed")
            try await ending.make(test, one)
            #expect(try await due(test).isEmpty, "\(ending)")
        }
    }

    @Test("a logout is out to one caller until its lease ends; then it comes again, until it is delivered", arguments: StoreKind.allCases)
    func leases(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (_, session, _) = try await session(test, clients: 1)
        #expect(try await test.store.end(session.id, owner: nil, at: test.now, event: test.event(.signOut)))
        let first = try #require(try await due(test).first)
        #expect(try await due(test).isEmpty)
        test.advance(.seconds(30) - .milliseconds(1))
        #expect(try await due(test).isEmpty)
        test.advance(.milliseconds(1))
        let second = try #require(try await due(test).first)
        #expect(second.id == first.id && second.attempts == 2)
        try await test.store.logoutFailed(second.id, next: test.now + .seconds(600))
        test.advance(.seconds(599))
        #expect(try await due(test).isEmpty)
        test.advance(.seconds(1))
        #expect(try await due(test).map(\.attempts) == [3])
        try await test.store.logoutDelivered(first.id)
        try await test.store.logoutDelivered(first.id)
        try await test.store.logoutFailed(first.id, next: test.now)
        test.advance(.seconds(3_600))
        #expect(try await due(test).isEmpty)
        #expect(try await test.rows("logouts") == 0)
    }

    @Test("one that cannot be delivered is given up after two days", arguments: StoreKind.allCases)
    func givesUp(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (_, session, _) = try await session(test, clients: 1)
        #expect(try await test.store.end(session.id, owner: nil, at: test.now, event: test.event(.signOut)))
        test.advance(.seconds(2 * 86_400) - .milliseconds(1))
        #expect(try await due(test).count == 1)
        test.advance(.seconds(60))
        #expect(try await due(test).isEmpty)
    }

    @Test("64 callers share what is due: each logout goes to one of them, as many as were asked for", arguments: StoreKind.allCases)
    func race(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (_, session, hearing) = try await session(test, clients: 24)
        #expect(try await test.store.end(session.id, owner: nil, at: test.now, event: test.event(.signOut)))
        for round in Int64(1)...3 {
            let given = try await StoreTests.race { _ in try await due(test, 2) }
            #expect(given.allSatisfy { $0.count <= 2 })
            let all = given.flatMap { $0 }
            // PostgreSQL leaves what another holds to it: who comes back gets the rest.
            let rest = try await due(test)
            #expect((all + rest).map(\.clientID).sorted() == hearing)
            #expect((all + rest).allSatisfy { $0.attempts == round })
            test.advance(.seconds(30))
        }
    }

    @Test("the oldest come first, and nobody gets more than asked for", arguments: StoreKind.allCases)
    func limits(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (_, session, _) = try await session(test, clients: 8)
        #expect(try await test.store.end(session.id, owner: nil, at: test.now, event: test.event(.signOut)))
        let first = try await due(test, 1)
        #expect(first.count == 1)
        test.advance(.seconds(1))
        #expect(try await due(test, 2).count == 2)
        test.advance(.seconds(60))
        #expect(try await due(test, 1).map(\.attempts) == [1])
        for limit in [0, -1, .min] { #expect(try await due(test, limit).count <= 1) }
        #expect(try await due(test, .max).count <= 4)
    }

    @Test("a client that redeems in a session that is ended meanwhile is told, or gets nothing", arguments: StoreKind.allCases)
    func redeemRace(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let client = try await test.registerClient()
        for round in 0..<8 {
            let one = try await test.authorized("p\(round)", client: client)
            async let bought = test.redeem(one.grant).redeemed
            async let ended = test.store.end(one.session.id, owner: nil, at: test.now, event: test.event(.signOut))
            let (isBought, isEnded) = (try await bought != nil, try await ended)
            #expect(isEnded)
            #expect(try await due(test).count == (isBought ? 1 : 0))
        }
    }
}
