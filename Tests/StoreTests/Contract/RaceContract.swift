import AuthCore
import Store
import Testing

/// What 64 callers at once get of something that happens once. `RaceMatrix` of the flow tests asks the same of whole requests.
@Suite("Contract: races with one winner")
struct RaceContract {
    private func race(_ call: @escaping @Sendable () async throws -> Bool) async throws -> Int {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<64 { group.addTask { try await comingAgain(call) } }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
    }

    @Test("of 64 callers that end one session one ends it, and its revocations are told once (LO-05)", arguments: StoreKind.allCases)
    func endSession(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (session, grant) = try await test.openSession(test.account("alice"))
        let ended = try await race { try await test.store.end(session.id, owner: nil, at: test.now, event: test.event(.sessionEnded)) }
        #expect(ended == 1)
        #expect(test.revoked.map(\.id).sorted() == [session.id, grant.id].sorted())
        #expect(try await test.store.events(before: nil, limit: 100, account: nil).filter { $0.event.kind == .sessionEnded }.count == 1)
    }

    @Test("of 64 callers that revoke one grant one revokes it (TK-11)", arguments: StoreKind.allCases)
    func revokeGrant(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (_, grant) = try await test.openSession(test.account("alice"))
        let revoked = try await race { try await test.store.revoke(grant.id, at: test.now, event: test.event(.signOut)) }
        #expect(revoked == 1)
        #expect(test.revoked.map(\.id) == [grant.id])
    }

    @Test("of 64 callers that delete one account one finds it (LO-16)", arguments: StoreKind.allCases)
    func deleteAccount(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        _ = try await test.openSession(account)
        let deleted = try await race { try await test.store.change(account.id, .deleted, event: test.event()) }
        #expect(deleted == 1)
        #expect(test.revoked.filter { $0.kind == .account }.count == 1)
    }

    @Test("each of 64 changes of the keys sees the one before it, and none is lost (JK-06)", arguments: StoreKind.allCases)
    func changeKeys(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let now = test.now
        let first = try await race {
            try await test.store.changeSigningKeys(event: nil) { keys, _ in
                // Whoever finds nothing makes the active key; the others come after it.
                keys + [
                    SigningKeyRecord(
                        id: Identifier("k\(keys.count)"), algorithm: "ES256", state: keys.isEmpty ? .active : .next, publicJWK: "{}",
                        sealedPrivateKey: [1], publishedAt: now)
                ]
            }.count == 1
        }
        #expect(first == 1)
        let stored = try await test.store.signingKeys()
        #expect(Set(stored.map(\.id)) == Set((0..<64).map { Identifier("k\($0)") }))
        #expect(stored.filter { $0.state == .active }.map(\.id) == ["k0"])
    }
}
