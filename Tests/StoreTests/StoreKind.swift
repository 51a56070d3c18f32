import AuthCore
import Foundation
import PostgresServer
import Store
import StorePostgres
import StoreSQLite
import Synchronization
import TestSupport
import Testing

@testable import StoreSQL

/// The databases that the contract runs on, always all of them.
enum StoreKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case sqlite, postgres
    /// PostgreSQL through PgBouncer, which lends connections for one transaction.
    case pooled

    /// Those that differ in how a failed statement is met.
    static let drivers: [StoreKind] = [.sqlite, .postgres]

    var testDescription: String { rawValue }

    /// A fresh store in a folder or a schema of its own, opened by the product's own code.
    func open(limits: StoreLimits = StoreLimits()) async throws -> TestStore { try await newPlace().open(limits: limits) }

    /// Where nothing is yet.
    func newPlace() async throws -> StorePlace {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gatehouse-store-\(UUID().uuidString)")
        if self != .sqlite {
            let uri = try await onThread { [self] in
                let direct = try PostgresServer.shared().newSchema()
                if self == .postgres { return direct }
                // Fewer connections than ours (PgBouncer.connections), so that each transaction may be lent another.
                return try PgBouncer.shared().uri(schema: direct.components(separatedBy: "%3D").last ?? "")
            }
            return StorePlace(folder: folder, uri: uri, connections: self == .pooled ? 4 : 8)
        }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return StorePlace(folder: folder, uri: nil)
    }
}

/// A folder, or a schema of PostgreSQL, for one store.
struct StorePlace: Sendable {
    /// Of SQLite; elsewhere one that is not there.
    let folder: URL
    let uri: String?
    var connections = 8

    /// The driver alone: nothing is made in the store.
    ///
    /// - Parameter waitMax: Longer than the product's, for the contract is not about it and runs beside everything else.
    func database(connections: Int? = nil, waitMax: Duration = .seconds(60)) throws(StoreError) -> any SQLDatabase {
        if let uri {
            let servers = PostgresServers(PostgresLocation(Secret(uri)), uptime: Environment.live.uptime)
            return try PostgresDatabase(servers, connections: connections ?? self.connections, waitMax: waitMax)
        }
        return try SQLiteDatabase(path: folder.appendingPathComponent("gatehouse.db").path, uptime: Environment.live.uptime)
    }

    func open(limits: StoreLimits = StoreLimits(), migrations: [Migration] = Schema.migrations) async throws -> TestStore {
        try await TestStore(folder: folder, database: database(), limits: limits, migrations: migrations)
    }
}

/// A store with a chosen clock, and the revocations that it told of.
final class TestStore: Sendable {
    /// Of SQLite; elsewhere one that is empty.
    let folder: URL
    let database: any SQLDatabase
    /// As its protocol: the contract knows no driver.
    let store: any Store

    convenience init(folder: URL, limits: StoreLimits = StoreLimits()) async throws(StoreError) {
        let database = try StorePlace(folder: folder, uri: nil).database()
        try await self.init(folder: folder, database: database, limits: limits, migrations: Schema.migrations)
    }

    convenience init(uri: String, connections: Int = 8, waitMax: Duration = .seconds(60)) async throws(StoreError) {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gatehouse-store-\(UUID().uuidString)")
        let database = try StorePlace(folder: folder, uri: uri).database(connections: connections, waitMax: waitMax)
        try await self.init(folder: folder, database: database, limits: StoreLimits(), migrations: Schema.migrations)
    }

    init(folder: URL, database: any SQLDatabase, limits: StoreLimits, migrations: [Migration]) async throws(StoreError) {
        self.folder = folder
        self.database = database
        let clock = SharedClock()
        let told = SharedBatches()
        var environment = Environment.live
        environment.now = { clock.now }
        let recorded: any SQLDatabase = StatementRecorder.folder == nil ? database : StatementRecorder(database)
        let sqlStore = SQLStore(
            database: recorded, environment: environment, limits: limits, migrations: migrations, onResources: { _ in },
            onRevocations: { batch in told.append(batch) })
        self.sharedClock = clock
        self.sharedBatches = told
        store = sqlStore
        try await sqlStore.prepare()
    }

    private let sharedClock: SharedClock
    private let sharedBatches: SharedBatches

    var now: Instant { sharedClock.now }
    func advance(_ duration: Duration) { sharedClock.advance(duration) }
    var batches: [FeedBatch] { sharedBatches.all }
    var toldApart: Int { sharedBatches.toldApart }
    var revoked: [RevocationRecord] { batches.flatMap(\.records) }

    deinit {
        if let database = database as? PostgresDatabase { database.closeSoon() }
        // The folder is in the temporary directory; what cannot be removed is the system's to clean.
        try? FileManager.default.removeItem(at: folder)
    }
}

final class SharedClock: Sendable {
    private let value = Mutex(Instant(seconds: 1_800_000_000))
    var now: Instant { value.withLock { $0 } }
    func advance(_ duration: Duration) { value.withLock { $0 = $0 + duration } }
}

final class SharedBatches: Sendable {
    private let value = Mutex<[FeedBatch]>([])
    var all: [FeedBatch] { value.withLock { $0 } }
    func append(_ batch: FeedBatch) {
        // A task of its own would be one that the answer does not wait for, however often it happens to be the quicker one.
        let isInTask = withUnsafeCurrentTask { $0 != nil }
        if isInTask { inTasks.withLock { $0 += 1 } }
        value.withLock { $0.append(batch) }
    }

    private let inTasks = Mutex(0)
    /// Batches that were not told by the writer's own thread, before it answers.
    var toldApart: Int { inTasks.withLock { $0 } }
}

extension TestStore {
    func event(_ kind: AuditEvent.Kind = .accountChanged) -> AuditEvent {
        AuditEvent(kind, at: now, source: "test", traceID: "0000")
    }

    func account(_ name: String, roles: [Identifier] = ["customer"]) async throws -> Account {
        let new = NewAccount(
            username: name, canonicalUsername: Identifier(name), email: "\(name)@example.com",
            canonicalEmail: Identifier("\(name)@example.com"),
            passwordHash: Secret("hash"), roles: roles
        )
        guard case .created(let account) = try await store.createAccount(new, event: event(.accountCreated)) else {
            throw StoreError.corrupt("\(name) is taken")
        }
        return account
    }

    func openSession(_ account: Account, client: Identifier = Client.builtInID) async throws -> (Session, Grant) {
        let request = OpenSession(
            accountID: account.id, accountEpoch: account.epoch, clientID: client,
            assurance: SessionAssurance(acr: "1", amr: ["pwd"], authenticatedAt: now), scope: ScopeSet(["orders:read"]),
            audiences: ["orders"],
            idleLifetime: .seconds(30 * 86_400), lifetime: .seconds(90 * 86_400), accessLifetime: .seconds(600), source: "127.0.0.1",
            agent: "test"
        )
        guard case .opened(let session, let grant, _) = try await store.open(request, at: now, event: event(.signIn)) else {
            throw StoreError.corrupt("no session")
        }
        return (session, grant)
    }

    func refresh(_ grant: Grant, _ counter: Int64, proved: Bool = false, client: Identifier = Client.builtInID) async throws
        -> RefreshOutcome
    {
        let presentation = RefreshPresentation(
            counter: counter, clientID: client, senderIsProved: proved,
            windows: RefreshRotation.Windows(reuse: .seconds(10), retryMax: .seconds(600)), idleLifetime: .seconds(30 * 86_400),
            accessLifetime: .seconds(600)
        )
        return try await store.refresh(grant.id, at: now, event: event(.refreshReplayed)) { _, _ in presentation }.get()
    }
}

/// Comes again when too many callers waited, as callers do: `.overloaded` says that nothing was done. A slow machine is no failure.
func comingAgain<Output: Sendable>(_ call: @Sendable () async throws -> Output) async throws -> Output {
    for _ in 0..<50 {
        do { return try await call() } catch StoreError.overloaded { continue }
    }
    return try await call()
}
