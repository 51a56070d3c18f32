import AuthCore
import Foundation
import Store
import Testing

@testable import StoreSQL

@Suite("Schema: the program of the previous release goes on (R-15)")
struct MigrationTests {
    /// What a later release may add.
    static let expansion = Migration(number: 900, name: "expansion") { dialect in
        [
            "CREATE TABLE later (id \(dialect.textType) PRIMARY KEY, at_ms BIGINT NOT NULL)",
            "CREATE INDEX later_at ON later (at_ms)",
            "ALTER TABLE accounts ADD COLUMN later BIGINT NOT NULL DEFAULT 7",
        ]
    }
    static let secondExpansion = Migration(number: 901, name: "second expansion") { dialect in
        ["ALTER TABLE grants ADD COLUMN later \(dialect.textType)"]
    }
    /// What the release after it may take away.
    static let contraction = Migration(number: 902, name: "contraction", usableFrom: 901) { _ in ["ALTER TABLE accounts DROP COLUMN epoch"]
    }

    static let expanded = Schema.migrations + [expansion, secondExpansion]
    static let contracted = expanded + [contraction]

    @Test("every statement of an earlier release is good on the newest schema", arguments: StoreKind.drivers)
    func statements(_ kind: StoreKind) async throws {
        for release in Release.all {
            let test = try await kind.open()
            let statements = try release.statements(kind)
            #expect(statements.count > 80)
            #expect(try await test.database.refusals(of: statements, kind) == [])
        }
    }

    @Test("a column that is taken away is found by that", arguments: StoreKind.drivers)
    func statementsThatFail(_ kind: StoreKind) async throws {
        let test = try await kind.newPlace().open(migrations: MigrationTests.contracted)
        let refusals = try await test.database.refusals(of: try Release.all[0].statements(kind), kind)
        #expect(refusals.count > 5)
        #expect(refusals.allSatisfy { $0.contains("epoch") })
    }

    @Test("a migration of a release is never edited", arguments: StoreKind.drivers)
    func frozen(_ kind: StoreKind) async throws {
        let release = try #require(Release.all.last)
        let database = try await kind.newPlace().database(connections: 1)
        let statements = Schema.migrations.filter { $0.number <= release.schema }.flatMap { $0.statements(database.dialect) }
        let wanted = try release.schema(kind).dropFirst()
        #expect(statements.map { $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") } == Array(wanted))
        await database.close()
    }

    @Test("a migration adds, and does nothing that others would wait for or miss (decision 0009)", arguments: StoreKind.drivers)
    func rules(_ kind: StoreKind) async throws {
        let database = try await kind.newPlace().database(connections: 1)
        #expect(Schema.migrations.map(\.number) == (1...Schema.newest).map { $0 })
        for migration in MigrationTests.expanded where migration.number > 1 {
            #expect(MigrationTests.problems(of: migration, database.dialect) == [])
        }
        #expect(MigrationTests.problems(of: MigrationTests.contraction, database.dialect).count == 1)
        for statement in [
            "ALTER TABLE grants ADD COLUMN a BIGINT NOT NULL", "CREATE INDEX a ON grants (created_ms)", "DROP TABLE meta",
            "ALTER TABLE grants ADD COLUMN a BIGINT NOT NULL DEFAULT random()", "UPDATE grants SET scope = ''",
            "ALTER TABLE grants ADD COLUMN a TEXT UNIQUE", "ALTER TABLE grants ADD COLUMN a TEXT REFERENCES accounts (id)",
        ] {
            let migration = Migration(number: 9, name: "bad") { _ in [statement] }
            #expect(MigrationTests.problems(of: migration, database.dialect).count == 1, "\(statement)")
        }
        let both = Migration(number: 9, name: "both") { _ in
            ["ALTER TABLE grants ADD COLUMN a BIGINT", "ALTER TABLE accounts ADD COLUMN a BIGINT"]
        }
        #expect(MigrationTests.problems(of: both, database.dialect).count == 1)
        await database.close()
    }

    /// The statements of a migration that decision 0009 does not allow in a release before which others run.
    static func problems(of migration: Migration, _ dialect: SQLDialect) -> [String] {
        let statements = migration.statements(dialect).map { $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
        let made = statements.compactMap { try? /CREATE TABLE (\w+) \(.*\)/.wholeMatch(in: $0)?.1 }
        // Two tables in one transaction wait for those who hold them in the other order.
        let altered = Set(statements.compactMap { try? /ALTER TABLE (\w+) .*/.wholeMatch(in: $0)?.1 })
        if altered.count > 1 { return ["it alters \(altered.sorted())"] }
        return statements.filter { statement in
            // A pattern that does not match is what is looked for; these patterns throw nothing.
            if (try? /CREATE TABLE (\w+) \(.*\)/.wholeMatch(in: statement)) != nil { return false }
            // Shares its lock with all that reads and writes (SHARE UPDATE EXCLUSIVE), and moves no row.
            if (try? /ALTER TABLE \w+ SET \(fillfactor = [0-9]+\)/.wholeMatch(in: statement)) != nil { return false }
            if let index = try? /CREATE (UNIQUE )?INDEX \w+ ON (\w+) \([\w, ]+\)/.wholeMatch(in: statement) {
                return !made.contains(index.2)
            }
            let column =
                #/ALTER TABLE \w+ ADD COLUMN \w+ (BIGINT|TEXT|BLOB|BYTEA|TEXT COLLATE "C")( NOT NULL DEFAULT ([0-9]+|'[^']*'))?/#
            return (try? column.wholeMatch(in: statement)) == nil
        }
    }

    @Test(
        "the previous program starts on a store that was added to, and works; on one that lost something it says so and changes nothing",
        arguments: StoreKind.drivers)
    func previousProgram(_ kind: StoreKind) async throws {
        let place = try await kind.newPlace()
        let before = try await place.open()
        try await before.walk("alice")
        await before.database.close()

        let newer = try await place.open(migrations: MigrationTests.expanded)
        try await newer.walk("bob")
        await newer.database.close()
        // Rolled back.
        let previous = try await place.open()
        try await previous.walk("carol")
        await previous.database.close()
        // And forward again: nothing is left to do.
        let again = try place.database()
        let store = self.store(again, MigrationTests.contracted)
        #expect(try await store.pendingMigrations().map(\.number) == [902])
        #expect(try await store.prepare().map(\.name) == ["contraction"])
        let rows = try await again.allRows("number, usable_from", "schema_migrations")
        #expect(rows.prefix(2) == [[.int(1), .int(0)], [.int(2), .int(2)]])
        // What only adds leaves it as it was.
        let usableFrom = try #require(Schema.migrations.map(\.usableFrom).max())
        #expect(rows.suffix(3) == [[.int(900), .int(usableFrom)], [.int(901), .int(usableFrom)], [.int(902), .int(901)]])
        let refusal = """
            the store has schema 902, newer than \(Schema.newest), which this program knows; start a newer gatehouse \
            (one that knows schema 901 or more)
            """
        let tooOld = self.store(again, Schema.migrations)
        await #expect(throws: StoreError.unusable(refusal)) { try await tooOld.prepare() }
        // The release that it was made for goes on.
        let fitting = self.store(again, MigrationTests.expanded)
        #expect(try await fitting.prepare() == [])
        #expect(try await again.allRows("number, usable_from", "schema_migrations") == rows)
        await again.close()
    }

    private func store(_ database: any SQLDatabase, _ migrations: [Migration]) -> SQLStore {
        SQLStore(
            database: database, environment: .live, limits: StoreLimits(), migrations: migrations, onResources: { _ in },
            onRevocations: { _ in })
    }

    @Test("stores of every earlier schema keep their rows and work on", arguments: StoreKind.drivers, [Int64(1), 2])
    func earlier(_ kind: StoreKind, _ schema: Int64) async throws {
        let place = try await kind.newPlace()
        let old = try place.database()
        let made = try Release.all[0].schema(kind)
        let end = schema == 1 ? (made.firstIndex { $0.hasPrefix("ALTER TABLE feed") } ?? 0) : made.count
        try await old.run(Array(made[..<end]))
        try await old.run((1...schema).map { "INSERT INTO schema_migrations (number, name, at_ms) VALUES (\($0), 'old', 1)" })
        try await old.run(MigrationTests.oldRows(kind))
        let tables = [
            "meta", "revocations", "accounts", "clients", "definitions", "sessions", "grants", "throttles", "signing_keys", "audit",
        ]
        var before: [[[SQLValue]]] = []
        for table in tables { before.append(try await old.allRows("*", table)) }
        await old.close()

        let test = try await place.open()
        for (table, rows) in zip(tables, before) {
            let found = try await test.database.allRows("*", table)
            #expect(rows.count == 1 || table == "meta")
            // What a migration adds stands behind.
            #expect(zip(rows, found).allSatisfy { Array($1.prefix($0.count)) == $0 } && rows.count <= found.count, "\(table)")
        }
        #expect(try await test.store.identity().id == "old-store")
        let account = try #require(try await test.store.account(canonicalName: "old", canonicalEmail: nil))
        let grant = try #require(try await test.store.grant("g"))
        guard case .refreshed(let refreshed) = try await test.refresh(grant, 4) else { throw StoreError.corrupt("no refresh") }
        #expect(refreshed.successor == 5)
        let position = try await test.store.revocationSnapshot()
        #expect(position.records.map(\.id) == ["gone"] && position.position.sequence == 3)
        #expect(try await test.store.end("s", owner: account.id, at: test.now, event: test.event(.sessionEnded)))
        #expect(try await test.store.revocations(after: position.position, limit: 9)?.records.count == 2)
        try await test.walk("new")
        await test.database.close()
    }

    /// One row in each table, in the words of the first schema.
    private static func oldRows(_ kind: StoreKind) -> [String] {
        let bytes = kind == .postgres ? #"'\x6f6c642d73746f7265'::bytea"# : "X'6f6c642d73746f7265'"
        let (start, end) = (1_799_999_000_000, 1_900_000_000_000)
        return [
            "INSERT INTO meta (name, value) VALUES ('store_id', \(bytes))",
            "INSERT INTO feed (id, epoch, sequence) VALUES (1, 'old-epoch', 3)",
            "INSERT INTO revocations (sequence, kind, subject, epoch, until_ms) VALUES (3, 'token', 'gone', NULL, \(end))",
            """
            INSERT INTO accounts (id, username, canonical_username, email, canonical_email, password_hash, disabled, epoch, roles, managed_by,
                created_ms) VALUES ('a', 'Old', 'old', NULL, NULL, 'hash', 0, 5, '["customer"]', 'api', \(start))
            """,
            """
            INSERT INTO clients (id, uid, definition, secrets, disabled, deleted, epoch, managed_by)
            VALUES ('gatehouse', 'u', '{"id":"gatehouse","public":true,"grants":["login","refresh_token"]}', '[]', 0, 0, 1, 'built_in')
            """,
            "INSERT INTO definitions (kind, name, definition, disabled, managed_by) VALUES ('role', 'customer', '{\"name\":\"customer\"}', 0, 'file')",
            """
            INSERT INTO sessions (id, account_id, client_id, acr, amr, authenticated_ms, created_ms, used_ms, expires_ms, source, agent)
            VALUES ('s', 'a', 'gatehouse', '1', '["pwd"]', \(start), \(start), \(start), \(end), '127.0.0.1', 'Käse')
            """,
            """
            INSERT INTO grants (id, session_id, account_id, client_uid, client_id, scope, audiences, secret, refresh_current,
                refresh_predecessor, refresh_advanced_ms, created_ms, expires_ms, token_until_ms, revoked_ms)
            VALUES ('g', 's', 'a', 'u', 'gatehouse', 'orders:read', '["orders"]', \(bytes), 4, 3, \(start), \(start), \(end), \(start), NULL)
            """,
            "INSERT INTO throttles (name, failures, window_ms, blocked_ms, touched_ms) VALUES ('account:a', 2, 1, 1, \(start))",
            """
            INSERT INTO signing_keys (id, algorithm, state, public_jwk, sealed_private, published_ms, activated_ms, published_until_ms)
            VALUES ('k', 'ES256', 'active', '{}', \(bytes), 1, 1, NULL)
            """,
            "INSERT INTO audit (at_ms, kind, account_id, source, trace_id) VALUES (\(start), 'sign_in', 'a', 'old', 't')",
        ]
    }
}
