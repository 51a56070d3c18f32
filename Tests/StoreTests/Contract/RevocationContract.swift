import AuthCore
import Dispatch
import Foundation
import Store
import StoreSQL
import Synchronization
import TestSupport
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

    @Test("a reader that was away for longer than entries are kept misses nothing that is still in force", arguments: StoreKind.allCases)
    func awayForLong(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        let start = try await test.store.revocationSnapshot().position
        let (old, _) = try await test.openSession(account)
        _ = try await test.store.end(old.id, owner: nil, at: test.now, event: test.event())
        test.advance(.seconds(86_400))
        let (new, newGrant) = try await test.openSession(account)
        _ = try await test.store.end(new.id, owner: nil, at: test.now, event: test.event())
        _ = try await test.openSession(account)
        let batch = try #require(try await test.store.revocations(after: start, limit: 100))
        #expect(batch.records.map(\.id) == [new.id, newGrant.id], "the old ones were cleaned away: no token of theirs is valid")
        #expect(batch.position.sequence == start.sequence + 4)
        // The same by ones: the place of what is gone is passed over.
        var (position, found) = (start, [Identifier]())
        while let next = try await test.store.revocations(after: position, limit: 1), next.position != position {
            found += next.records.map(\.id)
            position = next.position
        }
        #expect(found == [new.id, newGrant.id] && position == batch.position)
    }

    @Test("an entry that was lost is there again once, and what it ended is ended again", arguments: StoreKind.allCases)
    func reinstated(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        let (session, grant) = try await test.openSession(account)
        let found = try await test.store.revocationSnapshot().position
        let until = test.now + .seconds(3_000)
        let records = [
            RevocationRecord(kind: .session, id: session.id, until: until),
            RevocationRecord(kind: .account, id: account.id, epoch: 7, until: until),
            RevocationRecord(kind: .session, id: "unknown here", until: until),
        ]
        let written = try await withThrowingTaskGroup(of: Bool.self) { group in
            for record in records + records { group.addTask { try await test.store.reinstate(record, lostBefore: found, at: test.now) } }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect((3...6).contains(written), "two that meet may both write: entries say the same twice")
        for record in records { #expect(try await !test.store.reinstate(record, lostBefore: found, at: test.now)) }
        #expect(try await test.store.sessions(of: account.id, at: test.now).isEmpty)
        #expect(try await test.store.grant(grant.id)?.isRevoked == true)
        #expect(try await test.store.account(id: account.id)?.epoch == 7)
        let stored = try await test.store.revocationSnapshot().records
        for record in records { #expect(stored.contains(record)) }
        #expect(
            try await !test.store.reinstate(
                RevocationRecord(kind: .account, id: account.id, epoch: 6, until: until), lostBefore: found, at: test.now))
    }

    @Test("another epoch is given once, and only when the log stands before what was read", arguments: StoreKind.allCases)
    func renewed(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let start = try await test.store.revocationSnapshot().position
        try await test.store.renewEpoch(behind: start)
        #expect(try await test.store.revocationSnapshot().position == start)
        let ahead = FeedPosition(epoch: start.epoch, sequence: 9)
        try await test.store.renewEpoch(behind: ahead)
        let renewed = try await test.store.revocationSnapshot().position
        #expect(renewed.epoch != start.epoch)
        try await test.store.renewEpoch(behind: ahead)
        #expect(try await test.store.revocationSnapshot().position == renewed)
        #expect(try await test.store.revocations(after: start, limit: 1) == nil)
    }

    @Test("after a restored backup everything ends, whatever it was, and everybody may begin anew (R-16)", arguments: StoreKind.allCases)
    func everythingEnds(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let store = try #require(test.store as? SQLStore)
        let account = try await test.account("alice")
        var grants: [Grant] = []
        for _ in 0..<7 { grants.append(try await test.openSession(account).1) }
        let key = SigningKeyRecord(
            id: "k1", algorithm: "ES256", state: .active, publicJWK: "{}", sealedPrivateKey: [1], publishedAt: test.now)
        _ = try await store.changeSigningKeys(event: nil) { _, _ in [key] }
        // A code that was perhaps used, a consent that was perhaps withdrawn, a device code that was perhaps answered.
        let one = try await test.authorized("bob") { authorization in
            authorization.consent = Consent(
                accountID: authorization.accountID, clientUID: authorization.clientUID, clientID: authorization.clientID,
                scope: authorization.scope, details: [], grantedAt: test.now)
        }
        for kind in Parked.Kind.allCases {
            let waiting = Parked(kind: kind, id: "x", clientID: "web", value: JSONObject(), expiresAt: test.now + .seconds(60))
            #expect(try await store.park([waiting], at: test.now))
        }
        let before = try await store.revocationSnapshot()
        #expect(try await store.endEverything(event: test.event(.storeRollback)) == EndedEverything(keys: 1, grants: 8, sessions: 8))
        #expect(try await test.redeem(one.grant).word == "gone")
        #expect(try await store.browserSession(cookieHash: Array("bob".utf8), at: test.now) == nil)
        for table in ["consents", "parked"] { #expect(try await test.rows(table) == 0, "\(table)") }
        #expect(try await store.endEverything(event: test.event(.storeRollback)) == EndedEverything())
        let after = try await store.revocationSnapshot()
        #expect(after.position.epoch != before.position.epoch && after.versions.keys > before.versions.keys)
        #expect(after.records.map(\.id) == ["k1"])
        #expect(try await store.signingKeys().map(\.state) == [.revoked])
        #expect(try await store.sessions(of: account.id, at: test.now).isEmpty)
        for grant in grants {
            guard case .gone = try await test.refresh(grant, 1) else {
                Issue.record("refreshed")
                continue
            }
        }
        test.advance(.seconds(1))
        let (_, next) = try await test.openSession(account)
        guard case .refreshed = try await test.refresh(next, 1) else {
            Issue.record("refused")
            return
        }
    }

    @Test("one token is revoked by its id until it would have expired", arguments: StoreKind.allCases)
    func token(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        try await test.store.revokeToken("jti-1", until: test.now + .seconds(600), event: test.event(.tokenRevoked))
        #expect(test.revoked == [RevocationRecord(kind: .token, id: "jti-1", until: test.now + .seconds(720))])
    }
}

#if Faults
/// On PostgreSQL transactions overlap; SQLite has one writer.
@Suite("The log's order is the order of commits")
struct CommitOrderTests {
    /// Holds back the first transaction that comes to a statement.
    private final class Gate: Sendable {
        let reached = DispatchSemaphore(value: 0)
        let opened = DispatchSemaphore(value: 0)
        /// Whether it opened by itself: the machine was too slow for what was to be seen.
        let isLate = Mutex(false)
        private let isTaken = Mutex(false)
        private let prefix: String

        init(before prefix: String) { self.prefix = prefix }

        func pass(_ sql: String) {
            guard sql.hasPrefix(prefix),
                isTaken.withLock({ taken in
                    defer { taken = true }; return !taken
                })
            else { return }
            reached.signal()
            // Within what the database lets a transaction idle.
            if opened.wait(timeout: .now() + 4) == .timedOut { isLate.withLock { $0 = true } }
        }
    }

    @Test("a transaction that began first and commits last comes last: no reader passes over it")
    func reverse() async throws {
        let test = try await StoreKind.postgres.open()
        let (slow, quick) = (try await test.openSession(test.account("slow")).0, try await test.openSession(test.account("quick")).0)
        let start = try await test.store.revocationSnapshot().position
        let gate = Gate(before: "UPDATE feed SET sequence = sequence +")
        test.database.setFault { sql throws(StoreError) in gate.pass(sql) }
        defer { test.database.setFault(nil) }
        async let slowEnded = test.store.end(slow.id, owner: nil, at: test.now, event: test.event())
        try await onThread { _ = gate.reached.wait(timeout: .now() + 10) }
        #expect(try await test.store.end(quick.id, owner: nil, at: test.now, event: test.event()))
        let first = try #require(try await test.store.revocations(after: start, limit: 100))
        #expect(first.records.first?.id == quick.id && first.position.sequence == start.sequence + 2)
        gate.opened.signal()
        #expect(try await slowEnded)
        let rest = try #require(try await test.store.revocations(after: first.position, limit: 100))
        #expect(rest.records.first?.id == slow.id && rest.position.sequence == start.sequence + 4)
    }

    @Test("whoever has taken a place is waited for: a later place is never seen before it")
    func waits() async throws {
        var wasSeen = false
        for _ in 0..<10 where !wasSeen { wasSeen = try await seesWaiting() }
        #expect(wasSeen)
    }

    /// - Returns: Whether the first transaction was held for as long as somebody looked.
    private func seesWaiting() async throws -> Bool {
        let test = try await StoreKind.postgres.open()
        let (slow, quick) = (try await test.openSession(test.account("slow")).0, try await test.openSession(test.account("quick")).0)
        let start = try await test.store.revocationSnapshot().position
        let gate = Gate(before: "INSERT INTO revocations")
        test.database.setFault { sql throws(StoreError) in gate.pass(sql) }
        defer { test.database.setFault(nil) }
        async let slowEnded = test.store.end(slow.id, owner: nil, at: test.now, event: test.event())
        try await onThread { _ = gate.reached.wait(timeout: .now() + 10) }
        let quickIsDone = Mutex(false)
        async let quickEnded: Bool = {
            let ended = try await test.store.end(quick.id, owner: nil, at: test.now, event: test.event())
            quickIsDone.withLock { $0 = true }
            return ended
        }()
        var (positions, isDone) = ([FeedPosition](), [Bool]())
        for _ in 0..<5 {
            positions.append(try await test.store.revocationSnapshot().position)
            isDone.append(quickIsDone.withLock { $0 })
            try await onThread { _ = usleep(20_000) }
        }
        let wasHeld = gate.isLate.withLock { !$0 }
        gate.opened.signal()
        #expect(try await slowEnded)
        #expect(try await quickEnded)
        if wasHeld { #expect(positions.allSatisfy { $0 == start } && isDone == [false, false, false, false, false]) }
        let all = try #require(try await test.store.revocations(after: start, limit: 100))
        #expect(all.records.filter { $0.kind == .session }.map(\.id) == [slow.id, quick.id])
        return wasHeld
    }
}
#endif
