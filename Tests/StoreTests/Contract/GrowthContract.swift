import AuthCore
import Store
import Testing

@Suite("Contract: nothing grows that nobody needs any more")
struct GrowthContract {
    private static let tables = [
        "grants", "sessions", "browser_sessions", "session_clients", "logouts", "parked", "spent", "consents", "registrations", "clients",
        "revocations", "accounts",
    ]

    @Test("200 days of sign-ins, codes, logouts and registrations leave what is in use, without a janitor", arguments: StoreKind.drivers)
    func bounded(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let client = try await test.registerClient()
        let account = try await test.account("alice")
        var highest: [[Int64]] = [[], []]
        for day in 0..<200 {
            try await live(test, account, client, day)
            test.advance(.seconds(86_400))
            var counts: [Int64] = []
            for table in GrowthContract.tables { counts.append(try await test.rows(table)) }
            let half = day < 100 ? 0 : 1
            highest[half] = highest[half].isEmpty ? counts : zip(highest[half], counts).map { max($0, $1) }
        }
        // What is reached in the first half is never exceeded: all of it lives for 20 days at the most.
        for (table, (first, second)) in zip(GrowthContract.tables, zip(highest[0], highest[1])) {
            #expect(second <= first, "\(table)")
            #expect(first < 150, "\(table)")
        }
    }

    /// A day: three sign-ins of which one is ended, codes that are used, unused and offline, things that are parked and left.
    private func live(_ test: TestStore, _ account: Account, _ client: Client, _ day: Int) async throws {
        for number in 0..<3 {
            let session = try await test.openBrowser(account, cookie: "\(day)-\(number)", lifetime: .seconds(10 * 86_400))
            var authorization = test.authorization(account, session, client, offline: number == 1)
            authorization.consent = Consent(
                accountID: account.id, clientUID: client.uid, clientID: client.id, scope: authorization.scope, details: [],
                grantedAt: test.now)
            let grants = [try await test.authorize(authorization).grant, try await test.authorize(authorization).grant]
            let bought = try await test.redeem(try #require(grants[0])) {
                ($0.idleLifetime, $0.offlineLifetime) = (.seconds(5 * 86_400), .seconds(20 * 86_400))
            }
            #expect(bought.redeemed != nil)
            if number == 0 { #expect(try await test.store.end(session.id, owner: nil, at: test.now, event: test.event(.signOut))) }
        }
        let until = test.now + .seconds(60)
        for kind in Parked.Kind.allCases {
            let one = Parked(kind: kind, id: Identifier("\(day)"), clientID: client.id, value: JSONObject(), expiresAt: until)
            #expect(try await test.store.park([one], at: test.now))
        }
        for number in 0..<4 { #expect(try await test.store.spend(Identifier("\(day)-\(number)"), until: until, at: test.now)) }
        let other = try await test.registerClient(Identifier("r\(day)"))
        #expect(try await test.store.deleteRegistration(other.id, uid: other.uid, at: test.now, event: test.event(.clientChanged)))
    }

    @Test("cleaning never meets cleaning: 64 writers at once on expired rows all succeed", arguments: StoreKind.allCases)
    func race(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        var accounts: [Account] = []
        for number in 0..<8 { accounts.append(try await test.account("a\(number)")) }
        var clients: [Client] = []
        for number in 0..<8 { clients.append(try await test.registerClient(Identifier("c\(number)"))) }
        for round in 0..<3 {
            for account in accounts {
                let session = try await test.openBrowser(account, cookie: "\(round) \(account.username)", lifetime: .seconds(900))
                for client in clients {
                    let grant = try #require(try await test.authorize(test.authorization(account, session, client)).grant)
                    #expect(try await test.redeem(grant).word == "redeemed")
                }
            }
            test.advance(.seconds(1_000))
            let all = accounts
            let opened = try await StoreTests.race { number in
                try await test.openBrowser(all[number % all.count], cookie: "race \(round) \(number)", lifetime: .seconds(100)).id
            }
            #expect(Set(opened).count == 64)
        }
    }
}
