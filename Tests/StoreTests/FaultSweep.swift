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
        case openBrowser, renewBrowser, authorize, redeem, replayCode, keep, withdrawConsent, park, parkTwice, take, replace, spend
        case dueLogouts, register, changeRegistration, deleteRegistration, deleteAccount
        var testDescription: String { rawValue }
        var isOfAuthorizations: Bool { Write.allCases.drop { $0 != .openBrowser }.contains(self) }
        /// One that is a single statement cannot be half done.
        var statementsMin: Int { [.take, .replace, .dueLogouts].contains(self) ? 1 : 2 }
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
        let one = try await prepare(test, session: session)
        if write == .replayCode || write == .keep { _ = try await test.redeem(one.grant) }
        // So that what keeps the token current has something to write.
        if write == .keep { test.advance(.seconds(60)) }
        var statement = 1
        while true {
            let before = try await fingerprint(test)
            let told = test.batches.count
            let (left, number) = (SharedCount(statement), statement)
            test.database.setFault { _ throws(StoreError) in
                if left.reachesZero() { throw StoreError.unavailable("fault \(number)") }
            }
            let succeeded = await (write.isOfAuthorizations ? run(write, test, one) : run(write, test, account, session, grant))
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
        #expect(statement > write.statementsMin)
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
            default: return false
            }
            return true
        } catch { return false }
    }

    /// Something of everything that an authorization leaves: a code, a session that was ended and is to be told of, a pushed request.
    private func prepare(_ test: TestStore, session: Session) async throws -> Authorized {
        let ended = try await test.authorized("ended")
        _ = try await test.redeem(ended.grant)
        _ = try await test.store.end(ended.session.id, owner: nil, at: test.now, event: test.event(.signOut))
        let one = try await test.authorized("carol", client: ended.client) { authorization in
            authorization.consent = Consent(
                accountID: authorization.accountID, clientUID: authorization.clientUID, clientID: authorization.clientID,
                scope: authorization.scope, details: [], grantedAt: test.now)
        }
        #expect(
            try await test.store.park([parked("pushed", .pushedRequest, one, test), parked("taken", .device, one, test)], at: test.now))
        return one
    }

    private func parked(_ id: Identifier, _ kind: Parked.Kind, _ one: Authorized, _ test: TestStore) -> Parked {
        Parked(kind: kind, id: id, clientID: one.client.id, value: JSONObject(), expiresAt: test.now + .seconds(3_600))
    }

    private func run(_ write: Write, _ test: TestStore, _ one: Authorized) async -> Bool {
        let (store, now, client) = (test.store, test.now, one.client)
        do {
            switch write {
            case .openBrowser: _ = try await test.openBrowser(one.account, cookie: "new")
            case .renewBrowser: _ = try await test.openBrowser(one.account, cookie: "new", continues: one.session.id)
            case .authorize:
                var authorization = test.authorization(one.account, one.session, client)
                authorization.pushedRequest = "pushed"
                return try await test.authorize(authorization).grant != nil
            case .redeem: return try await test.redeem(one.grant).redeemed != nil
            case .replayCode: return try await test.redeem(one.grant).word == "replayed"
            case .keep: return try await test.refreshed(one.grant, rotates: false).refreshed != nil
            case .withdrawConsent:
                return try await store.withdrawConsent(
                    of: one.account.id, client: client.id, at: now, event: test.event(.consentWithdrawn))
            case .park: return try await store.park([parked("a", .device, one, test), parked("b", .userCode, one, test)], at: now)
            case .parkTwice: return try await !store.park([parked("a", .device, one, test), parked("taken", .device, one, test)], at: now)
            case .take: return try await store.take(.device, "taken", at: now) != nil
            case .replace: return try await store.replace(parked("taken", .device, one, test), at: now)
            case .spend: return try await store.spend("jti", until: now + .seconds(60), at: now)
            case .dueLogouts: return try await !store.dueLogouts(10, lease: .seconds(60), at: now).isEmpty
            case .register: _ = try await test.registerClient("other")
            case .changeRegistration:
                var definition = client.definition
                definition.scopes = .none
                return try await store.changeRegistration(
                    definition, uid: client.uid, tokenHash: [7], event: test.event(.clientChanged))
            case .deleteRegistration:
                return try await store.deleteRegistration(client.id, uid: client.uid, at: now, event: test.event(.clientChanged))
            case .deleteAccount: return try await store.change(one.account.id, .deleted, event: test.event())
            default: return false
            }
            return true
        } catch { return false }
    }

    private func fingerprint(_ test: TestStore) async throws -> [Int64] {
        var counts: [Int64] = []
        for table in [
            "accounts", "sessions", "grants", "revocations", "audit", "signing_keys", "throttles", "nodes", "browser_sessions",
            "session_clients", "logouts", "parked", "spent", "consents", "registrations", "clients",
        ] {
            counts.append(try await test.rows(table))
        }
        counts.append(try await test.store.revocationSnapshot().position.sequence)
        counts.append(try await test.rows("accounts WHERE disabled = 1"))
        counts.append(try await test.rows("grants WHERE revoked_ms IS NOT NULL"))
        counts.append(try await test.rows("grants WHERE refresh_current > 1"))
        counts.append(try await test.rows("grants WHERE code_spent = 1"))
        counts.append(try await test.rows("grants WHERE token_until_ms > \((test.now + Authorized.accessLifetime).milliseconds)"))
        counts.append(try await test.rows("parked WHERE version > 0"))
        counts.append(try await test.rows("logouts WHERE attempts > 0"))
        counts.append(try await test.rows("clients WHERE epoch > 1"))
        counts.append(try await test.rows("browser_sessions WHERE length(cookie_hash) = 3"))
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
