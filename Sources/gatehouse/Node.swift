import Accounts
import AuthCore
import Gateway
import OAuthServer
import Outbound
import Settings
import Store
import StorePostgres
import StoreSQL
import StoreSQLite
import Synchronization
import TokenKeys
import TokenVerification
import WebServer

/// One node: everything put together, and nothing of it global.
final class Node: Sendable {
    let settings: ServerSettings
    let environment: Environment
    let log: Log
    let metrics: Metrics
    let database: any SQLDatabase
    /// The connection behind `followed`; on SQLite the same database.
    let followedDatabase: any SQLDatabase
    /// When the log of revocations is to be looked at.
    let wake: FeedWake
    let store: SQLStore
    /// The same store for those who follow the log: on PostgreSQL over a connection of its own, so that a node whose connections are all
    /// held up knows what is revoked all the same.
    let followed: SQLStore
    let masterKeys: MasterKeys
    let clientSecrets: ClientSecrets
    /// Wrong secrets of clients, of all endpoints.
    let guesses: ClientGuesses
    /// What this node keeps for the proofs that come with access tokens, to the gateway and to its own API.
    let proofDesk: ProofDesk
    let verifier: TokenVerifier
    /// What the readers of the event stream are told.
    let events: EventFeed
    let feed: FeedFollower
    let keys: SigningKeys
    var clients: ClientDirectory { snapshots.clients }
    let hashing: PasswordHashing
    let accounts: AccountService
    let firstParty: FirstPartyTokens
    let oauth: OAuthServer
    /// Tells clients of ended sessions, and when there is somebody to tell.
    let logouts: LogoutDelivery
    let logos: ClientLogos
    let logoutWake = LogoutWake()
    var gateway: GatewayState { snapshots.gateway }
    let resources: ResourceLoader
    let signIn: PasswordSignIn
    /// The only way to other servers, but for the database and the services behind the gateway.
    let outbound: Outbound
    /// What is wrong with the store, for the health page.
    let storeProblem = SharedText()
    /// The number of the signing keys that are held.
    private let keysVersion = Mutex<Int64>(-1)
    private let lastEpoch = Mutex<String?>(nil)
    let snapshots: ResourceSnapshots
    /// Among the nodes that share the store, if it can be shared.
    let presence: NodePresence?

    /// The bytes that the cache of verified tokens may hold.
    static let cacheBytesMax = 33_554_432
    /// How far two clocks may differ before a token is refused for its times.
    static let leeway = Duration.seconds(60)

    /// The keys of every target, beside those of the server itself.
    static let moreKeys =
        FirstPartyTokens.settings + SigningKeys.settings + Outbound.settings + RegistrationPolicy.settings
        + IntrospectionEndpoint.settings + PushedRequestEndpoint.settings

    /// Opens the store and reads what must be there before the first request. Nothing is left open when it throws.
    ///
    /// - Parameter calls: In the place of `outbound` where documents of clients are fetched, for tests.
    /// - Throws: `StartFailure` with one sentence for the operator.
    static func open(
        _ settings: ServerSettings, environment: Environment, log: Log, metrics: Metrics = Metrics(), calls: (any OutgoingCalls)? = nil
    ) async throws(StartFailure) -> Node {
        do {
            let opened = try await openDatabase(settings, environment)
            let node: Node
            do { node = try await Node(settings, opened, environment: environment, log: log, metrics: metrics, calls: calls) } catch {
                await opened.close()
                throw error
            }
            do {
                // Before the keys are read: from now on nobody uses a key that this node does not know.
                try await node.presence?.tell(node.store, keysVersion: nil)
                try await node.keys.maintain(makesSlowKeys: false)
                try await node.reload()
                try await node.follow()
            } catch {
                await node.abandon()
                throw error
            }
            return node
        } catch { throw StartFailure(opening: error) }
    }

    /// Ends a node that never served, so that another try can be made in the same process. A store that is a file is left as it is: such
    /// a process ends.
    func abandon() async {
        guard sharesItsStore else { return }
        hashing.stop()
        await leave()
        await close()
    }

    private struct Opened: Sendable {
        let database: any SQLDatabase
        let followed: any SQLDatabase
        let wake: FeedWake
        var isShared = false

        func close() async {
            guard isShared else { return }
            await database.close()
            await followed.close()
        }
    }

    private static func openDatabase(_ settings: ServerSettings, _ environment: Environment) async throws(StoreError) -> Opened {
        switch settings.storage {
        case .sqlite(let path):
            Files.makeFolder(of: path)
            let database = try SQLiteDatabase(path: path, uptime: environment.uptime)
            return Opened(database: database, followed: database, wake: FeedWake(interval: FeedFollower.interval, listener: nil))
        case .postgres(let uri):
            let servers = PostgresServers(PostgresLocation(uri), uptime: environment.uptime)
            // libpq blocks for as long as nobody answers.
            let opened = await SystemThread.value {
                Result { () throws(StoreError) in
                    let database = try PostgresDatabase(servers, connections: settings.storageConnections)
                    do throws(StoreError) { return (database, try PostgresDatabase(servers, connections: 1)) } catch {
                        database.closeSoon()
                        throw error
                    }
                }
            }
            guard let opened else { throw .unavailable("the system gives no threads") }
            let (database, followed) = try opened.get()
            let direct =
                settings.storageListen.map { PostgresServers(PostgresLocation($0), uptime: environment.uptime) }
                ?? (servers.isPooled ? nil : servers)
            let interval = direct == nil ? FeedFollower.pollInterval : FeedFollower.interval
            return Opened(
                database: database, followed: followed, wake: FeedWake(interval: interval, listener: direct), isShared: true)
        }
    }

    private init(
        _ settings: ServerSettings, _ opened: Opened, environment: Environment, log: Log, metrics: Metrics, calls: (any OutgoingCalls)?
    ) async throws {
        let database = opened.database
        outbound = try Outbound.open(settings, environment: environment)
        let calls: any OutgoingCalls = calls ?? outbound
        wake = opened.wake
        let issuerID = Identifier(settings.issuer.text)
        let accessTTL = settings.tokens.accessTTL
        verifier = TokenVerifier(
            rules: TokenRules(issuer: issuerID, leeway: Node.leeway, lifetimeMax: .seconds(86_400)), cacheBytesMax: Node.cacheBytesMax,
            maxStaleness: settings.revocations.maxStaleness
        )
        events = EventFeed(replica: verifier.revocations)
        feed = FeedFollower(replica: verifier.revocations, events: events, wake: wake, environment: environment, log: log)
        let limits = StoreLimits(revocationMargin: Node.leeway + .seconds(60), auditKeep: settings.auditKeep)
        let later = SnapshotsLater()
        store = SQLStore(
            database: database, environment: environment, limits: limits, onResources: { later.value?.install($0) },
            onRevocations: { [feed, logoutWake] in
                feed.committed($0)
                logoutWake.committed($0)
            }
        )
        followedDatabase = opened.followed
        followed = SQLStore(database: followedDatabase, environment: environment, limits: limits) { _ in }
        try await store.prepare()
        masterKeys = try await MasterKeyFile.open(settings.masterKeys, store: store, environment: environment, log: log)
        clientSecrets = ClientSecrets(keys: masterKeys)
        proofDesk = ProofDesk(
            nonces: DPoPNonces(keys: (0..<masterKeys.count).map { [masterKeys] in masterKeys.subkey(.proofNonces, of: $0) }))
        let rotation = KeyRotation(
            algorithm: try settings.resolved.text("keys.algorithm"),
            idTokenAlgorithms: settings.resolved.texts("keys.id_token_algorithms"), rotateEvery: settings.keys.rotateEvery,
            jwksMaxAge: settings.keys.jwksMaxAge, tokenLifetimeMax: accessTTL + Node.leeway
        )
        keys = SigningKeys(store: store, masterKeys: masterKeys, rotation: rotation, environment: environment) {
            [verifier, events] in
            verifier.setKeys($0)
            events.setKeys($0, issuer: issuerID.text)
        }
        hashing = try Node.hashing(settings, environment)
        accounts = AccountService(store: store, hashing: hashing)
        guesses = ClientGuesses(
            freeAttempts: settings.lockout.freeAttempts, delay: settings.lockout.delay, delayMax: settings.lockout.delayMax, log: log)
        let directory = ClientDirectory(secrets: clientSecrets, guesses: guesses, trustedProxies: settings.trustedProxies)
        let snapshots = ResourceSnapshots(clients: directory, events: events, log: log)
        self.snapshots = snapshots
        later.value = snapshots
        let clientKeys = ClientKeys(calls: calls, environment: environment, log: log)
        let issuer = TokenIssuer(
            issuer: issuerID, accessLifetime: accessTTL,
            subjects: SubjectIdentifiers(salt: Secret(try await store.lastingSecret("pairwise_salt"))), keys: keys, masterKeys: masterKeys,
            clientKeys: clientKeys, environment: environment)
        let refreshTokens = RefreshTokens(
            store: store, issuer: issuer, masterKeys: masterKeys,
            lifetimes: TokenLifetimes(
                refreshIdle: settings.tokens.refreshTTL, session: try settings.resolved.duration("tokens.session_ttl"),
                offline: try settings.resolved.duration("tokens.offline_ttl"), code: try settings.resolved.duration("tokens.code_ttl"),
                windows: RefreshRotation.Windows(reuse: settings.tokens.refreshReuseWindow, retryMax: settings.tokens.refreshRetryMax)
            ),
            policies: ScopePolicies(
                issuer: issuerID,
                catalogue: { [store] (version) throws(StoreError) in try await snapshots.catalogue(atLeast: version, from: store) }
            ))
        let mutualTLSOrigin = settings.mutualTLSOrigin.map { Identifier($0.text) }
        let clients = ClientAuthentication(
            store: store, secrets: clientSecrets,
            assertions: ClientAssertions(
                keys: clientKeys, store: store, issuer: issuerID, secrets: clientSecrets, mutualTLSOrigin: mutualTLSOrigin),
            guesses: guesses,
            held: snapshots.clients)
        var policy = try RegistrationPolicy(settings.resolved)
        policy.authenticationMethods = ClientAuthentication.methods(settings.arrivingCertificates)
        let registration = ClientRegistration(
            policy: policy, store: store, secrets: clientSecrets, sectors: SectorDocuments(calls: calls, environment: environment),
            issuer: issuerID, environment: environment,
            changed: { [store] () async throws(StoreError) in try await snapshots.reload(from: store) })
        oauth = OAuthServer(
            OAuthServer.Parts(
                store: store, clients: clients, tokens: refreshTokens, masterKeys: masterKeys, verifier: verifier,
                nonces: proofDesk.nonces, environment: environment, registration: registration,
                documents: ClientDocuments(policy: policy, calls: calls, environment: environment, log: log),
                requestDocuments: RequestDocuments(calls: calls, environment: environment, log: log),
                perMinute: (
                    inactive: try settings.resolved.integer("introspection.inactive_per_minute"),
                    pushed: try settings.resolved.integer("par.per_minute")
                ), mutualTLSOrigin: mutualTLSOrigin))
        firstParty = FirstPartyTokens(store: store, clients: clients, refreshTokens: refreshTokens, sender: oauth.sender)
        logouts = oauth.logoutDelivery(through: outbound, log: log)
        logos = oauth.logos(through: calls, log: log)
        resources = ResourceLoader(settings: settings, store: store, hashing: hashing, secrets: clientSecrets, environment: environment)
        let lockout = LockoutPolicy(
            freeAttempts: settings.lockout.freeAttempts, delay: settings.lockout.delay, delayMax: settings.lockout.delayMax,
            failuresMax: settings.lockout.failuresMax
        )
        signIn = PasswordSignIn(store: store, hashing: hashing, lockout: lockout, log: log)
        presence = opened.isShared ? NodePresence(settings, environment: environment, log: log) : nil
        self.settings = settings
        self.environment = environment
        self.log = log
        self.metrics = metrics
        self.database = database
    }

    /// Nobody waits for this node any more; when that cannot be said, its row runs out.
    func leave() async {
        if let presence { try? await store.leave(presence.id) }  // as above
    }

    /// Lets go of the store, last of all.
    func close() async {
        await outbound.close()
        await database.close()
        if sharesItsStore { await followedDatabase.close() }
    }

    /// The decision of the gateway, from the snapshots of this node.
    var decider: AccessDecider {
        AccessDecider(
            state: gateway, verifier: verifier, whenStale: settings.revocations.whenStale, environment: environment,
            senders: SenderPolicy(desk: proofDesk, trustedProxies: settings.trustedProxies),
            identityToken: { [self] in identityToken($0, $1, $2) }
        )
    }

    private static func hashing(_ settings: ServerSettings, _ environment: Environment) throws -> PasswordHashing {
        let wanted = settings.passwords
        guard let parameters = Argon2Parameters(memoryKiB: wanted.memoryKiB, iterations: wanted.iterations, parallelism: wanted.parallelism)
        else {
            throw StartFailure("passwords: these parameters of Argon2id are out of range together")
        }
        let pool = try HashPool(
            threads: wanted.threads ?? ProcessEnvironment.processorCount, queueMax: wanted.queueMax, environment: environment)
        return PasswordHashing(
            hasher: try PasswordHasher(parameters: parameters, environment: environment), pool: pool,
            policy: PasswordPolicy(lengthMin: wanted.lengthMin, issuerHost: settings.issuer.host)
        )
    }

    /// Whether other nodes use the same database.
    var sharesItsStore: Bool { presence != nil }

    /// Reads what has happened in the store since the last time: revocations, and whatever else this node holds of it.
    func follow() async throws {
        defer { events.tick() }
        var versions = try await feed.catchUp(followed)
        if isAnotherHistory() {
            try await store.raiseVersions(above: StoreVersions(resources: snapshots.version, keys: keysVersion.withLock { $0 }))
            versions = try await feed.catchUp(followed)
        }
        if versions.resources > snapshots.version { try await reload() }
        // Always when another node has changed them: what it signs with the next key must be known here.
        if keysVersion.withLock({ $0 }) != versions.keys {
            try await keys.reload()
            keysVersion.withLock { $0 = versions.keys }
            try await report()
        }
    }

    /// Whether the log is another one than when this was last asked: the database may have lost what this node has read.
    private func isAnotherHistory() -> Bool {
        guard let epoch = verifier.revocations.position?.epoch else { return false }
        return lastEpoch.withLock { last in
            defer { last = epoch }
            return last.map { !$0.isSameBytes(as: epoch) } ?? false
        }
    }

    /// Tells the nodes that share the store that this one runs, and which signing keys it verifies with.
    func report() async throws(StoreError) { try await presence?.tell(store, keysVersion: keysVersion.withLock { $0 }) }

    /// Reads clients and resources anew and swaps the snapshots that decisions are made from.
    func reload() async throws(StoreError) { try await snapshots.reload(from: store) }
}
