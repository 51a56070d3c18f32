import AuthCore
import Store
import Testing

@Suite("Contract: the ordered log of revocations")
struct RevocationContract {
    @Test("positions have no gap, and each is told before its caller is answered", arguments: StoreKind.allCases)
    func order(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        var sessions: [Session] = []
        for _ in 0..<32 { sessions.append(try await test.openSession(account).0) }
        await withTaskGroup(of: Void.self) { group in
            for session in sessions {
                group.addTask {
                    // A failure shows in the counts below.
                    _ = try? await test.store.end(session.id, owner: nil, at: test.now, event: test.event())
                    #expect(test.revoked.contains { $0.id == session.id })
                }
            }
        }
        var last: Int64 = 0
        for batch in test.batches.sorted(by: { $0.position.sequence < $1.position.sequence }) {
            #expect(batch.position.sequence == last + Int64(batch.records.count))
            last = batch.position.sequence
        }
        #expect(last == 64)
        #expect(test.toldApart == 0)
    }

    @Test("what comes after a position is what a reader missed; an unknown position means a snapshot", arguments: StoreKind.allCases)
    func reading(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        let start = try await test.store.revocationSnapshot().position
        let (session, grant) = try await test.openSession(account)
        _ = try await test.store.end(session.id, owner: nil, at: test.now, event: test.event())
        let batch = try #require(try await test.store.revocations(after: start, limit: 100))
        #expect(Set(batch.records.map(\.id)) == [session.id, grant.id])
        #expect(try await test.store.revocations(after: batch.position, limit: 100)?.records.isEmpty == true)
        #expect(try await test.store.revocations(after: FeedPosition(epoch: "other", sequence: 0), limit: 100) == nil)
        #expect(try await test.store.revocations(after: FeedPosition(epoch: start.epoch, sequence: 99), limit: 100) == nil)
        #expect(try await test.store.revocationSnapshot().records.count == 2)
    }

    @Test("entries go once no token can need them, keys never", arguments: StoreKind.allCases)
    func cleanup(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        let (session, _) = try await test.openSession(account)
        _ = try await test.store.end(session.id, owner: nil, at: test.now, event: test.event())
        let record = SigningKeyRecord(
            id: "k1", algorithm: "ES256", state: .revoked, publicJWK: "{}", sealedPrivateKey: [1], publishedAt: test.now
        )
        _ = try await test.store.changeSigningKeys(event: nil) { _, _ in [record] }
        #expect(try await test.rows("revocations") == 3)
        test.advance(.seconds(3_600))
        _ = try await test.openSession(account)
        #expect(try await test.store.revocationSnapshot().records.map(\.kind) == [.key])
    }

    @Test("an entry is kept for as long as leeway may let the last token pass (R-7)", arguments: StoreKind.allCases)
    func margin(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (session, grant) = try await test.openSession(try await test.account("alice"))
        _ = try await test.store.end(session.id, owner: nil, at: test.now, event: test.event())
        let ids = test.revoked.map { $0.id }
        #expect(ids == [session.id, grant.id])
        for record in test.revoked { #expect(record.until == test.now + .seconds(600 + 120)) }
    }

    @Test("one token is revoked by its id until it would have expired", arguments: StoreKind.allCases)
    func token(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        try await test.store.revokeToken("jti-1", until: test.now + .seconds(600), event: test.event(.tokenRevoked))
        #expect(test.revoked == [RevocationRecord(kind: .token, id: "jti-1", until: test.now + .seconds(720))])
    }
}
