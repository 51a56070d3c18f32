import AuthCore
import Store
import Testing

@testable import StoreSQL

/// A client with more grants than one transaction should touch can be stopped all the same, and at once.
@Suite("Contract: a client with very many grants")
struct ManyGrantsContract {
    private static let copies = SQLStore.grantsAtOnce * 5 / 2

    /// Somebody's grant, many times over.
    private func many(_ test: TestStore) async throws -> Authorized {
        let one = try await test.authorized("alice", client: test.registerClient("popular"), offline: true)
        #expect(try await test.redeem(one.grant).word == "redeemed")
        let columns = grantColumns.split(separator: ",").dropFirst().joined(separator: ",") + ", token_until_ms, code_until_ms, code_spent"
        let sql = """
            WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < \(Self.copies))
            INSERT INTO grants (id, \(columns)) SELECT id || '-' || CAST(n AS TEXT), \(columns) FROM grants CROSS JOIN numbers WHERE id = ?1
            """
        let id = one.grant.id
        _ = try await test.database.write(
            { (connection) throws(StoreError) in try connection.execute(sql, [.text(id.text)]) }, committed: { _ in })
        #expect(try await live(test, one) == Self.copies + 1)
        return one
    }

    private func live(_ test: TestStore, _ one: Authorized) async throws -> Int {
        let sql = "SELECT COUNT(*) FROM grants WHERE client_uid = ?1 AND revoked_ms IS NULL"
        return Int(try await test.database.query(sql, [.text(one.client.uid.text)])[0].int(0))
    }

    private func copy(_ one: Authorized, _ number: Int) -> Grant {
        Grant(
            id: Identifier("\(one.grant.id.text)-\(number)"), sessionID: one.grant.sessionID, accountID: one.grant.accountID,
            clientUID: one.grant.clientUID, clientID: one.grant.clientID, scope: one.grant.scope, audiences: one.grant.audiences,
            secret: one.grant.secret, rotation: one.grant.rotation, createdAt: one.grant.createdAt, expiresAt: one.grant.expiresAt,
            isOffline: one.grant.isOffline, binding: one.grant.binding)
    }

    @Test(
        "disabled, it ends at once; the log names it, and not each of its grants; enabled, none of them is left",
        arguments: StoreKind.allCases)
    func disabled(_ kind: StoreKind) async throws {
        let test = try await kind.open(limits: StoreLimits(endingTimeMax: .seconds(60)))
        let one = try await many(test)
        let before = test.revoked.count
        #expect(try await test.store.setClientDisabled("popular", true, event: test.event(.clientChanged)))
        #expect(try await live(test, one) == Self.copies + 1 - SQLStore.grantsAtOnce)
        for number in [1, Self.copies] { #expect(try await test.refreshed(copy(one, number)).word != "refreshed") }
        let told = test.revoked.dropFirst(before)
        #expect(told.contains { $0.kind == .client && $0.id == "popular" })
        #expect(told.count <= SQLStore.grantsAtOnce + 1)
        #expect(try await test.store.setClientDisabled("popular", false, event: test.event(.clientChanged)))
        #expect(try await live(test, one) == 0)
        for number in [1, Self.copies] { #expect(try await test.refreshed(copy(one, number)).word == "gone") }
    }

    @Test("interrupted, it is disabled, and works again only when all of them have ended", arguments: StoreKind.allCases)
    func interrupted(_ kind: StoreKind) async throws {
        let test = try await kind.open(limits: StoreLimits(endingTimeMax: .zero))
        let one = try await many(test)
        #expect(try await test.store.setClientDisabled("popular", true, event: test.event(.clientChanged)))
        #expect(try await test.refreshed(copy(one, Self.copies)).word != "refreshed")
        // As if there were more.
        _ = try await test.database.write(
            { (connection) throws(StoreError) in try connection.execute("UPDATE grants SET revoked_ms = NULL", []) }, committed: { _ in })
        var refusals = 0
        while true {
            do {
                #expect(try await test.store.setClientDisabled("popular", false, event: test.event(.clientChanged)))
                break
            } catch StoreError.overloaded {
                refusals += 1
                #expect(try await test.store.client("popular")?.isDisabled == true)
            }
        }
        #expect(refusals == 2)
        #expect(try await live(test, one) == 0)
        #expect(try await test.refreshed(copy(one, Self.copies)).word == "gone")
    }

    @Test("deleted, nobody can use what is left", arguments: StoreKind.allCases)
    func deleted(_ kind: StoreKind) async throws {
        let test = try await kind.open(limits: StoreLimits(endingTimeMax: .zero))
        let one = try await many(test)
        #expect(
            try await test.store.deleteRegistration("popular", uid: one.client.uid, at: test.now, event: test.event(.clientChanged)))
        #expect(try await live(test, one) > 0)
        for number in 1...3 { #expect(try await test.refreshed(copy(one, Self.copies - number)).word != "refreshed") }
        // Nor does another client of that name.
        _ = try await test.registerClient("popular")
        #expect(try await test.refreshed(copy(one, Self.copies)).word != "refreshed")
    }
}
