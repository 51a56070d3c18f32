import Accounts
import AuthCore
import Gateway
import HTTPEdge
import NIOCore
import OAuthServer
import ProxyServer
import Settings
import Store
import TokenKeys
import TokenVerification
import WebServer

/// The responders of the listeners, made from one node.
struct Shells {
    let auth: AuthListener
    /// The same without pages, where certificates are asked for.
    let authMTLS: ProgramListener
    let admin: AdminListener
    let control: AdminListener
    /// The rows of the API, and of the admin API unguarded: what the matrices of the tests walk.
    let authRows: [Endpoint]
    let adminRows: [Endpoint]
    private let node: Node

    init(node: Node) {
        self.node = node
        let (environment, log, metrics) = (node.environment, node.log, node.metrics)
        Shells.declare(metrics, node)
        let observe: @Sendable (String, Int, String?) -> Void = { endpoint, status, reason in
            metrics.count("gatehouse_requests_total", endpoint, String(status), reason ?? "")
        }
        let valid = metrics.counter("gatehouse_validations_total", ["valid"])
        let own = OwnToken(
            verifier: node.verifier, tokens: node.firstParty, environment: environment, proofs: Shells.proofs(node, isAdmin: false))
        let validate = ValidateEndpoint(
            verifier: node.verifier, clients: node.clients, requiresClient: node.settings.validateRequiresClient,
            cacheMax: node.settings.revocations.maxStaleness, environment: environment
        ) { reason in
            if let reason { metrics.count("gatehouse_validations_total", reason) } else { valid?.add() }
        }
        let events = EventsEndpoint(feed: node.events, clients: node.clients, environment: environment)
        let keyDocument = KeyDocument(keys: node.keys, maxAge: node.settings.keys.jwksMaxAge)
        let metadata = MetadataDocument(server: node.oauth) { [snapshots = node.snapshots] in snapshots.version }
        let introspected = metrics.counter("gatehouse_requests_total", ["POST /introspect", "200", ""])
        let introspection = HotIntrospection(
            endpoint: node.oauth.introspection, trustedProxies: node.settings.trustedProxies, environment: environment
        ) { introspected?.add() }
        let sessions = SessionEndpoints(store: node.store, tokens: node.firstParty, own: own)
        let consents = ConsentEndpoints(store: node.store, clients: node.clients, own: own)
        let api = API(
            [
                LoginEndpoint(signIn: node.signIn, tokens: node.firstParty, log: log).endpoint,
                RefreshEndpoint(tokens: node.firstParty, log: log).endpoint, OpenAPIEndpoint.endpoint,
            ] + OAuthEndpoints(server: node.oauth, own: own, document: metadata, log: log).endpoints
                + RegistrationEndpoints(registration: node.oauth.registration).endpoints + Shells.pages(node) + AssetEndpoints.endpoints + [
                    ClientLogoEndpoint(logos: node.logos).endpoint
                ]
                + sessions.endpoints + consents.endpoints + AuthListener.hotRows(validate, keyDocument) + [events.row],
            environment: environment, trustedProxies: node.settings.trustedProxies, isSecure: node.settings.issuer.isSecure,
            crossOrigin: CrossOrigin { [clients = node.clients] in clients.isOrigin($0) }, log: log, observe: observe
        )
        let forwardAuth = ForwardAuthShell(node: node)
        auth = AuthListener(
            validate: validate, keyDocument: keyDocument, metadata: metadata, introspection: introspection, events: events,
            forwardAuth: { forwardAuth.respond(to: $0) }, api: api)
        authMTLS = ProgramListener(auth, environment: environment)
        let endpoints = AdminEndpoints(
            store: node.store, accounts: node.accounts, keys: node.keys, clientSecrets: node.clientSecrets,
            registrationTokens: node.oauth.registration.initialTokens, verifier: node.verifier, environment: environment,
            reload: { () async throws(StoreError) in try await node.reload() },
            apply: { files, prune, dryRun, traceID in
                let answer = await node.resources.answer(files, prune: prune, dryRun: dryRun, traceID: traceID)
                guard case .applied = answer, !dryRun else { return answer }
                do throws(StoreError) { try await node.reload() } catch { return .failed(error) }
                return answer
            }
        ).endpoints
        func listener(_ access: AdminListener.Access) -> AdminListener {
            let api = API(
                AdminListener.guarded(endpoints, by: access), environment: environment, trustedProxies: node.settings.trustedProxies,
                log: log, observe: observe)
            return AdminListener(access: access, api: api, health: { node.health }, metrics: { metrics.render() })
        }
        authRows = api.table.endpoints
        adminRows = endpoints
        let ownOfAdmin = OwnToken(
            verifier: node.verifier, tokens: node.firstParty, environment: environment, proofs: Shells.proofs(node, isAdmin: true))
        admin = listener(.bearer(ownOfAdmin))
        control = listener(.everybody)
    }

    /// How the API takes proofs: their URL is below the issuer, which is where clients find the API. The admin listener is at no
    /// published URL, and an issuer on loopback has several names: there it is what the request says.
    private static func proofs(_ node: Node, isAdmin: Bool) -> OwnProofs {
        let issuer = node.settings.issuer
        return OwnProofs(desk: node.proofDesk) { request in
            let facts = request.facts
            if let origin = node.settings.mutualTLSOrigin, !isAdmin, facts.headers.single("host").map({ origin.isNamed($0) }) == true {
                return DPoPTarget(url: origin.text + String(decoding: facts.path, as: UTF8.self))
            }
            guard isAdmin || (issuer.isLoopback && facts.peer.isLoopback) else {
                return DPoPTarget(url: issuer.text + String(decoding: facts.path, as: UTF8.self))
            }
            return facts.headers.single("host").flatMap { DPoPTarget(isTLS: facts.isTLS, host: $0, target: facts.target) }
        }
    }

    /// The data plane, on the event loops of `group`.
    func gateway(_ group: any EventLoopGroup) throws -> ProxyResponder {
        let node = node
        let decider = node.decider
        let plane = DataPlane(settings: node.settings, environment: node.environment, log: node.log, metrics: node.metrics)
        return try plane.responder(group, decide: { decider.decide($0, mayAsk: $1) }, resolve: { await node.resolve($0) })
    }

    private static func declare(_ metrics: Metrics, _ node: Node) {
        metrics.declare(
            "gatehouse_requests_total", "Requests of the API, by endpoint, status and reason.", labels: ["endpoint", "status", "reason"])
        metrics.declare("gatehouse_validations_total", "Tokens validated, by outcome.", labels: ["outcome"])
        DataPlane.declare(metrics, node.verifier, node.proofDesk, node.environment)
        metrics.gauge(
            "gatehouse_client_guesses_uncounted", "Wrong secrets of clients that were not counted, because their tables were full."
        ) { node.guesses.uncounted }
        metrics.gauge("gatehouse_event_readers", "Readers of the event stream of revocations.") { Int64(node.events.readerCount) }
        metrics.gauge("gatehouse_password_hashes_waiting", "Password hashes that wait for a thread.") { Int64(node.hashing.queued) }
    }
}

extension Shells {
    fileprivate static func pages(_ node: Node) -> [Endpoint] {
        let lifetime = node.firstParty.sessionLifetime
        let cookies = BrowserCookies(isSecure: node.settings.issuer.isSecure, sessionLifetime: lifetime, environment: node.environment)
        let authorize = AuthorizePages(
            server: node.oauth, signIn: BrowserSignIn(signIn: node.signIn, store: node.store, lifetime: lifetime), store: node.store,
            masterKeys: node.masterKeys, cookies: cookies, guesses: UserCodeGuesses(store: node.store))
        let logout = LogoutPages(server: node.oauth, store: node.store, masterKeys: node.masterKeys, cookies: cookies)
        return authorize.endpoints + logout.endpoints
    }
}
