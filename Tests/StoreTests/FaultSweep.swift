#if Faults
import AuthCore
import Store
import StoreSQL
import Synchronization
import Testing

/// Fails the n-th statement for every n, in each method that writes: afterwards the store is as before, and works.
@Suite("Fault sweep: the n-th statement fails")
struct FaultSweep {
    enum Write: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case createAccount, openSession, refresh, replay, endSession, endAll, disable, changeKeys, throttle, reportNode, reinstate
        var testDescription: String { rawValue }
    }

    @Test("every method is all or nothing", arguments: Write.allCases, StoreKind.drivers)
    func sweep(_ write: Write, _ kind: StoreKind) async throws {
        let test = try await kind.open()
        let account = try await test.account("alice")
        let (session, grant) = try await test.openSession(account)
        if write == .replay {
            _ = try await test.refresh(grant, 1)
            _ = try await test.refresh(grant, 2)
        }
        var statement = 1
        while true {
            let before = try await fingerprint(test)
            let told = test.batches.count
            let (left, number) = (SharedCount(statement), statement)
            test.database.setFault { _ throws(StoreError) in
                if left.reachesZero() { throw StoreError.unavailable("fault \(number)") }
            }
            let succeeded = await run(write, test, account, session, grant)
            test.database.setFault(nil)
            if left.value > 0 {
                // The method has fewer statements than that: it ran whole.
                #expect(succeeded)
                break
            }
            #expect(!succeeded, "statement \(statement) failed and the caller was told of success")
            #expect(try await fingerprint(test) == before, "statement \(statement) left something behind")
            #expect(test.batches.count == told, "a revocation was told that was not committed")
            statement += 1
        }
        #expect(statement > 2)
    }

    private func run(_ write: Write, _ test: TestStore, _ account: Account, _ session: Session, _ grant: Grant) async -> Bool {
        do {
            switch write {
            case .createAccount: _ = try await test.account("bob")
            case .openSession: _ = try await test.openSession(account)
            case .refresh: _ = try await test.refresh(grant, 1)
            case .replay: _ = try await test.refresh(grant, 1)
            case .endSession: _ = try await test.store.end(session.id, owner: nil, at: test.now, event: test.event())
            case .endAll: try await test.store.endAll(of: account.id, at: test.now, event: test.event())
            case .disable: _ = try await test.store.change(account.id, .disabled(by: .operatorsHand), event: test.event())
            case .changeKeys:
                let record = SigningKeyRecord(
                    id: "k", algorithm: "ES256", state: .revoked, publicJWK: "{}", sealedPrivateKey: [1], publishedAt: test.now
                )
                _ = try await test.store.changeSigningKeys(event: test.event(.keysChanged)) { _, _ in [record] }
            case .reportNode:
                let report = NodeReport(id: "n", name: "n", version: "1", startedAt: test.now)
                _ = try await test.store.report(report, lifetime: .seconds(60))
            case .reinstate:
                let record = RevocationRecord(kind: .session, id: session.id, until: test.now + .seconds(600))
                let start = try await test.store.revocationSnapshot().position
                return try await test.store.reinstate(record, lostBefore: start, at: test.now)
            case .throttle:
                let now = test.now
                try await test.store.throttle(["a", "b"]) { records in
                    records = records.map { _ in ThrottleRecord(failures: 1, windowStartedAt: now, blockedUntil: now) }
                }
            }
            return true
        } catch { return false }
    }

    private func fingerprint(_ test: TestStore) async throws -> [Int64] {
        var counts: [Int64] = []
        for table in ["accounts", "sessions", "grants", "revocations", "audit", "signing_keys", "throttles", "nodes"] {
            counts.append(try await test.rows(table))
        }
        counts.append(try await test.store.revocationSnapshot().position.sequence)
        counts.append(try await test.rows("accounts WHERE disabled = 1"))
        counts.append(try await test.rows("grants WHERE revoked_ms IS NOT NULL"))
        counts.append(try await test.rows("grants WHERE refresh_current > 1"))
        return counts
    }
}

final class SharedCount: Sendable {
    private let count: Mutex<Int>
    init(_ count: Int) { self.count = Mutex(count) }
    var value: Int { count.withLock { $0 } }
    func reachesZero() -> Bool {
        count.withLock {
            $0 -= 1
            return $0 == 0
        }
    }
}
#endif
