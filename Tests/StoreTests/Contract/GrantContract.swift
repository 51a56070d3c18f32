import AuthCore
import Store
import Testing

@Suite("Contract: grants and refresh tokens (RFC 6749 §6, RFC 9700 §4.14.2)")
struct GrantContract {
    @Test("the current token advances the counter, and its successor is the next current one", arguments: StoreKind.allCases)
    func rotates(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (_, grant) = try await test.openSession(test.account("alice"))
        for counter in Int64(1)...5 {
            guard case .refreshed(let refreshed) = try await test.refresh(grant, counter) else {
                Issue.record("counter \(counter) was refused")
                return
            }
            #expect(refreshed.successor == counter + 1)
            #expect(refreshed.outcome == .rotated(counter + 1))
        }
    }

    @Test("of 64 racing refreshes one rotates, the others get the same successor, and nobody is logged out", arguments: StoreKind.allCases)
    func race(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (_, grant) = try await test.openSession(test.account("alice"))
        let outcomes = try await withThrowingTaskGroup(of: RefreshOutcome.self) { group in
            for _ in 0..<64 { group.addTask { try await comingAgain { try await test.refresh(grant, 1) } } }
            return try await group.reduce(into: [RefreshOutcome]()) { $0.append($1) }
        }
        var rotated = 0
        for outcome in outcomes {
            guard case .refreshed(let refreshed) = outcome else {
                Issue.record("a racing refresh was refused: \(outcome)")
                continue
            }
            #expect(refreshed.successor == 2)
            if refreshed.outcome == .rotated(2) { rotated += 1 }
        }
        #expect(rotated == 1)
        #expect(test.revoked.isEmpty)
    }

    @Test("a replay revokes the grant, says so in the log of revocations and in the audit", arguments: StoreKind.allCases)
    func replay(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        let (_, grant) = try await test.openSession(account)
        _ = try await test.refresh(grant, 1)
        _ = try await test.refresh(grant, 2)
        guard case .replayed = try await test.refresh(grant, 1) else {
            Issue.record("a token two steps old was accepted")
            return
        }
        #expect(test.revoked.map(\.id) == [grant.id])
        guard case .gone = try await test.refresh(grant, 3) else {
            Issue.record("the grant still works after a replay")
            return
        }
        let events = try await test.store.events(before: nil, limit: 10, account: account.id)
        #expect(events.first?.event.kind == .refreshReplayed)
    }

    @Test("a grant of another client is refused and stays in force", arguments: StoreKind.allCases)
    func otherClient(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (_, grant) = try await test.openSession(test.account("alice"))
        guard case .wrongClient = try await test.refresh(grant, 1, client: "other") else {
            Issue.record("another client was served")
            return
        }
        guard case .refreshed = try await test.refresh(grant, 1) else {
            Issue.record("the grant was harmed")
            return
        }
        #expect(test.revoked.isEmpty)
    }

    private struct Refusal: Error {}

    @Test("who is refused by what stands in the row uses nothing up, and every row in force is judged", arguments: StoreKind.allCases)
    func judged(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (_, grant) = try await test.openSession(test.account("alice"))
        let refused = try await test.store.refresh(grant.id, at: test.now, event: test.event(.refreshReplayed)) {
            (row, account) throws(Refusal) -> RefreshPresentation in
            #expect(row.id == grant.id && row.rotation == grant.rotation && account.id == grant.accountID)
            throw Refusal()
        }
        guard case .failure = refused else {
            Issue.record("a refusal was passed over")
            return
        }
        #expect(try await test.store.grant(grant.id)?.rotation == grant.rotation)
        #expect(test.revoked.isEmpty)
        // Not one that is not in force.
        _ = try await test.store.revoke(grant.id, at: test.now, event: test.event(.tokenRevoked))
        let gone = try await test.store.refresh(grant.id, at: test.now, event: test.event(.refreshReplayed)) {
            (_, _) throws(Refusal) -> RefreshPresentation in throw Refusal()
        }
        guard case .success(.gone) = gone else {
            Issue.record("a revoked grant was judged")
            return
        }
    }

    @Test("a counter ahead of the row means that the store lost writes", arguments: StoreKind.allCases)
    func ahead(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (_, grant) = try await test.openSession(test.account("alice"))
        guard case .aheadOfStore = try await test.refresh(grant, 2) else {
            Issue.record("a counter that was never issued was not noticed")
            return
        }
        #expect(test.revoked.isEmpty)
    }

    @Test("an expired grant is gone", arguments: StoreKind.allCases)
    func expired(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (_, grant) = try await test.openSession(test.account("alice"))
        test.advance(.seconds(30 * 86_400 + 1))
        guard case .gone = try await test.refresh(grant, 1) else {
            Issue.record("an expired grant was refreshed")
            return
        }
        #expect(try await test.store.grant(grant.id)?.isLive(at: test.now) != true)
    }

    @Test("revoke and refresh race: no refresh begins after the revocation was answered", arguments: StoreKind.allCases)
    func revokeRace(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        for _ in 0..<20 {
            let (session, grant) = try await test.openSession(account)
            await withTaskGroup(of: Void.self) { group in
                // Whether these win or lose the race is not the point; what follows the revocation is.
                for _ in 0..<4 { group.addTask { _ = try? await test.refresh(grant, 1) } }
            }
            #expect(try await test.store.end(session.id, owner: account.id, at: test.now, event: test.event(.signOut)))
            for counter in Int64(1)...3 {
                if case .refreshed = try await test.refresh(grant, counter) { Issue.record("refreshed after logout") }
            }
        }
    }

    @Test(
        "use moves the end of a grant, in steps that seldom touch what is indexed, and never beyond its session's",
        arguments: StoreKind.allCases)
    func sliding(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let (session, grant) = try await test.openSession(test.account("alice"))
        func end() async throws -> Instant { try #require(try await test.store.grant(grant.id)).expiresAt }
        var counter: Int64 = 1
        func refresh(after wait: Duration) async throws {
            test.advance(wait)
            guard case .refreshed = try await test.refresh(grant, counter) else {
                Issue.record("refused")
                return
            }
            counter += 1
        }
        let first = test.now + .seconds(30 * 86_400)
        try await refresh(after: .seconds(600))
        #expect(try await end() == first, "the index is left alone")
        try await refresh(after: .seconds(3_600))
        #expect(try await end() == first + .seconds(4_200))
        for _ in 0..<3 { try await refresh(after: .seconds(29 * 86_400)) }
        #expect(try await end() == session.expiresAt)
    }

    @Test("rows do not grow with tokens: 200 refreshes leave one grant and one session", arguments: StoreKind.allCases)
    func noGrowth(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        let (_, grant) = try await test.openSession(account)
        for counter in Int64(1)...200 { _ = try await test.refresh(grant, counter) }
        #expect(try await test.rows("grants") == 1)
        #expect(try await test.rows("sessions") == 1)
        #expect(try await test.rows("revocations") == 0)
    }
}
