import AuthCore
import Store
import Testing

@Suite("Contract: clients that register themselves (RFC 7591, RFC 7592)")
struct RegistrationContract {
    @Test("a registered client is found with the hash of its token, and works; its id is taken", arguments: StoreKind.allCases)
    func registers(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let before = try await test.store.resources().version
        let client = try await test.registerClient("web")
        #expect(client.managedBy == .api && client.secretHashes == [[1]] && !client.isDisabled)
        let found = try #require(try await test.store.registration("web"))
        #expect(found.client.uid == client.uid && found.client.definition == client.definition && found.tokenHash == [2])
        #expect(try await test.store.client("web")?.uid == client.uid)
        #expect(try await test.store.resources().version > before)
        #expect(try await test.store.resources().document.clients.map(\.id) == ["web"])
        let again = try await test.store.register(
            ClientDefinition(id: "web"), secretHash: nil, tokenHash: [9], at: test.now, event: test.event(.clientChanged))
        #expect(again == nil)
        #expect(try await test.store.registration("web")?.tokenHash == [2])
        let builtIn = try await test.store.register(
            ClientDefinition(id: Client.builtInID), secretHash: nil, tokenHash: [9], at: test.now, event: test.event(.clientChanged))
        #expect(builtIn == nil)
        #expect(try await test.store.registration(Client.builtInID) == nil, "nobody registered it")
        #expect(try await test.rows("registrations") == 1)
    }

    @Test("of 64 registrations under one id one succeeds", arguments: StoreKind.allCases)
    func race(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let uids = try await StoreTests.race { number in
            try await test.store.register(
                ClientDefinition(id: "web"), secretHash: nil, tokenHash: [UInt8(number)], at: test.now, event: test.event(.clientChanged)
            )?.uid
        }
        #expect(uids.compactMap { $0 }.count == 1)
        #expect(try await test.store.client("web")?.uid == uids.compactMap { $0 }.first)
        #expect(try await test.rows("registrations") == 1)
        let events = try await test.store.events(before: nil, limit: 100, account: nil)
        #expect(events.filter { $0.event.kind == .clientChanged }.count == 1)
    }

    @Test("a change replaces definition and token; one that narrows raises the epoch, another does not", arguments: StoreKind.allCases)
    func changes(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let client = try await test.registerClient("web")
        var definition = client.definition
        func change(_ uid: Identifier, _ token: UInt8) async throws -> Bool {
            try await test.store.changeRegistration(definition, uid: uid, tokenHash: [token], event: test.event(.clientChanged))
        }
        definition.redirectURIs.append("https://client.example/other")
        #expect(try await change(client.uid, 3))
        #expect(test.revoked.isEmpty)
        var found = try #require(try await test.store.registration("web"))
        #expect(found.client.definition == definition && found.tokenHash == [3] && found.client.epoch == client.epoch)
        #expect(found.client.uid == client.uid && found.client.secretHashes == [[1]])
        definition.scopes = ScopeSet(["orders:read"])
        let version = try await test.store.resources().version
        #expect(try await change(client.uid, 4))
        #expect(try await test.store.resources().version > version)
        found = try #require(try await test.store.registration("web"))
        #expect(found.client.epoch == client.epoch + 1)
        #expect(test.revoked.map(\.kind) == [.client] && test.revoked.first?.epoch == client.epoch + 1)
        definition.grants = [.authorizationCode]
        #expect(try await change(client.uid, 5))
        #expect(try await test.store.client("web")?.epoch == client.epoch + 2)
        // Of another one under the name, of one that is not registered, of none.
        #expect(try await !change("other", 6))
        definition.id = "none"
        #expect(try await !change(client.uid, 7))
        try await test.applyClients(["file"])
        definition.id = "file"
        let file = try #require(try await test.store.client("file"))
        #expect(try await !change(file.uid, 8))
        #expect(try await test.store.registration("web")?.tokenHash == [5])
    }

    @Test(
        "of 64 deletions one counts; everything that the client holds ends, and its id may be used again by another",
        arguments: StoreKind.allCases)
    func deletes(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let one = try await test.authorized(offline: true)
        #expect(try await test.redeem(one.grant).word == "redeemed")
        let wrong = try await test.store.deleteRegistration("web", uid: "other", at: test.now, event: test.event(.clientChanged))
        #expect(!wrong && test.revoked.isEmpty)
        let deleted = try await StoreTests.race { _ in
            try await test.store.deleteRegistration("web", uid: one.client.uid, at: test.now, event: test.event(.clientChanged))
        }
        #expect(deleted.filter { $0 }.count == 1)
        #expect(Set(test.revoked.map(\.kind)) == [.client, .grant] && test.revoked.count == 2)
        #expect(try await test.store.registration("web") == nil)
        #expect(try await test.store.client("web") == nil)
        #expect(try await test.refreshed(one.grant).refreshed == nil)
        for table in ["registrations", "consents"] { #expect(try await test.rows(table) == 0) }
        #expect(try await test.rows("clients WHERE managed_by = 'api'") == 0, "what anybody may make leaves nothing behind")
        let again = try await test.registerClient("web")
        #expect(again.uid != one.client.uid)
        #expect(try await test.refreshed(one.grant).refreshed == nil)
    }

    @Test(
        "a client of a file is none that registered itself: nobody changes or deletes it with a registration's token",
        arguments: StoreKind.allCases)
    func files(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        try await test.applyClients(["file"])
        let client = try #require(try await test.store.client("file"))
        #expect(try await test.store.registration("file") == nil)
        #expect(
            try await !test.store.deleteRegistration("file", uid: client.uid, at: test.now, event: test.event(.clientChanged)))
        #expect(try await test.store.client("file")?.uid == client.uid)
        #expect(test.revoked.isEmpty)
    }

    @Test("of 64 registrations under other ids as many succeed as there may be; what is full leaves nothing", arguments: StoreKind.allCases)
    func bounded(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let clientsBefore = try await test.rows("clients")
        let outcomes = try await StoreTests.race { number in
            try await test.store.register(
                ClientDefinition(id: Identifier("c\(number)")), secretHash: nil, tokenHash: [1], within: RegistrationBounds(clientsMax: 3),
                at: test.now, event: test.event(.clientChanged))
        }
        var counts = (registered: 0, full: 0)
        for outcome in outcomes {
            switch outcome {
            case .registered: counts.registered += 1
            case .full: counts.full += 1
            case .taken: Issue.record("no id is there twice")
            }
        }
        #expect(counts == (3, 61))
        #expect(try await test.rows("registrations") == 3)
        #expect(try await test.rows("clients") == clientsBefore + 3)
    }

    @Test(
        "what nobody has used goes when others register: not what is in use or was lately, is disabled, or is to stay",
        arguments: StoreKind.allCases)
    func unused(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        func register(_ id: Identifier, stays: Bool = false, since: Instant? = nil) async throws {
            var bounds = RegistrationBounds(unusedSince: since)
            bounds.staysUnused = stays
            guard
                case .registered = try await test.store.register(
                    ClientDefinition(id: id), secretHash: nil, tokenHash: [1], within: bounds, at: test.now,
                    event: test.event(.clientChanged))
            else {
                Issue.record("\(id) is not registered")
                return
            }
        }
        // It registers "web", and somebody signs in through it.
        let one = try await test.authorized(offline: true)
        #expect(try await test.redeem(one.grant).word == "redeemed")
        try await register("idle")
        try await register("off")
        #expect(try await test.store.setClientDisabled("off", true, event: test.event(.clientChanged)))
        try await register("service", stays: true)
        test.advance(.seconds(60))
        try await register("late", since: test.now)
        #expect(try await test.store.client("idle") == nil)
        for id: Identifier in ["web", "off", "service", "late"] { #expect(try await test.store.client(id) != nil, "\(id)") }
        #expect(try await test.rows("registrations") == 4)
        // The grants of a client end, and it was used less long ago than it may lie unused: it stays. Then it goes.
        #expect(try await test.store.revoke(one.grant.id, at: test.now, event: test.event(.tokenRevoked)))
        test.advance(.seconds(400 * 86_400))
        // Expired grants go with ordinary writes.
        let late = try #require(try await test.store.client("late"))
        for number in 0..<4 { _ = try await test.authorized("other\(number)", client: late) }
        try await register("last", since: test.now)
        #expect(try await test.store.client("web") == nil)
        #expect(try await test.store.client("off") != nil)
    }

    @Test("whoever signs in through a registered client keeps it", arguments: StoreKind.allCases)
    func used(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let one = try await test.authorized()
        test.advance(.seconds(7_200))
        let session = try await test.openBrowser(one.account, cookie: "second")
        let used = test.now
        #expect(try await test.authorize(test.authorization(one.account, session, one.client)).grant != nil)
        #expect(try await test.rows("registrations WHERE created_ms = \(used.milliseconds)") == 1)
    }
}
