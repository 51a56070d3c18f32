import Accounts
import AuthCore
import Gateway
import HTTPEdge
import NIOCore
import NIOPosix
import OAuthServer
import ProxyServer
import Settings
import Store
import StoreSQL
import Synchronization
import TokenVerification
import WebServer

/// The listeners of one process, and their life from start to drain.
final class Server: Sendable {
    /// What a server is made of, besides its listeners.
    struct Parts: Sendable {
        let settings: ServerSettings
        let environment: Environment
        let log: Log
        let metrics: Metrics
    }

    private typealias Plan = (name: String, listener: ServerSettings.Listener, responder: any EdgeResponder, limits: EdgeLimits)

    private let parts: Parts
    private let servers: [(name: String, server: EdgeServer, tls: EdgeTLS?)]
    private let fronts: Fronts?
    private let behind: Mutex<Behind>
    private let group: MultiThreadedEventLoopGroup

    private init(
        parts: Parts, servers: [(name: String, server: EdgeServer, tls: EdgeTLS?)], fronts: Fronts? = nil, behind: Behind,
        group: MultiThreadedEventLoopGroup
    ) {
        self.parts = parts
        self.servers = servers
        self.fronts = fronts
        self.behind = Mutex(behind)
        self.group = group
    }

    /// What stands behind the listeners, and is closed after them.
    private struct Behind: Sendable {
        var proxy: ProxyResponder?
        var finish: @Sendable () async -> Void = {}
    }

    /// What the listeners of a node with a database answer with: until there is a node, that there is none.
    private struct Fronts: Sendable {
        let auth: LateResponder
        let authMTLS: LateResponder
        let gateway: LateResponder
        let admin: LateResponder
        let control: LateResponder

        init(_ start: ColdStart) {
            auth = LateResponder(first: start.listener())
            authMTLS = LateResponder(first: start.listener())
            gateway = LateResponder(first: start.listener())
            admin = LateResponder(first: start.listener(pages: true))
            control = LateResponder(first: start.listener(pages: true))
        }

        func install(_ node: Node, _ group: any EventLoopGroup) throws(StartFailure) -> Behind {
            let shells = Shells(node: node)
            var proxy: ProxyResponder?
            if node.settings.roles.contains(.gateway) {
                do { proxy = try shells.gateway(group) } catch { throw StartFailure("\(error)") }
            }
            auth.install(shells.auth)
            authMTLS.install(shells.authMTLS)
            if let proxy { gateway.install(proxy) }
            admin.install(shells.admin)
            control.install(shells.control)
            return Behind(proxy: proxy) {
                node.hashing.stop()
                await node.leave()
                await node.close()
            }
        }
    }

    /// Opens every listener of a node with a database, or none.
    ///
    /// - Parameter node: What they answer with; without one they say that they wait for it, until `install`.
    static func start(_ start: ColdStart, files: FileBudget, node: Node?) async throws(StartFailure) -> Server {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: ProcessEnvironment.processorCount)
        let (parts, fronts) = (start.parts, Fronts(start))
        let behind = try node.map { (node) throws(StartFailure) in try fronts.install(node, group) } ?? Behind()
        let listeners = parts.settings.listeners
        let files = listeners.authMTLS == nil ? files : files.withAnotherListener
        var plan: [Plan] = [("auth", listeners.auth, fronts.auth, files.wide)]
        if let programs = listeners.authMTLS { plan.append(("auth_mtls", programs, fronts.authMTLS, files.wide)) }
        if parts.settings.roles.contains(.gateway) { plan.append(("gateway", listeners.gateway, fronts.gateway, files.wide)) }
        plan.append(("admin", listeners.admin, fronts.admin, files.narrow))
        var servers = try await open(plan, parts, group)
        Files.makeFolder(of: listeners.controlPath)
        do {
            let core = EdgeCore(responder: fronts.control, limits: files.narrow, environment: parts.environment)
            let control = try await EdgeServer.start(.unix(path: listeners.controlPath), core: core, group: group)
            servers.append(("control", control, nil))
        } catch {
            for (_, server, _) in servers { await server.shutdown(within: .zero) }
            throw StartFailure("\(error)")
        }
        tell(servers, parts)
        return Server(parts: parts, servers: servers, fronts: fronts, behind: behind, group: group)
    }

    /// Answers with `node` from now on.
    func install(_ node: Node) throws(StartFailure) {
        guard let behind = try fronts?.install(node, group) else { return }
        self.behind.withLock { $0 = behind }
    }

    /// Opens every listener of a gateway without a database, or none.
    static func start(
        _ node: GatewayNode, files: FileBudget, group: MultiThreadedEventLoopGroup
    ) async throws(StartFailure) -> Server {
        let parts = Parts(settings: node.settings, environment: node.environment, log: node.log, metrics: node.metrics)
        let listeners = node.settings.listeners
        let proxy: ProxyResponder
        do { proxy = try node.responder(group) } catch { throw StartFailure("\(error)") }
        let plan: [Plan] = [
            ("gateway", listeners.gateway, proxy, files.wide), ("admin", listeners.admin, node.admin, files.narrow),
        ]
        let servers = try await open(plan, parts, group)
        tell(servers, parts)
        return Server(parts: parts, servers: servers, behind: Behind(proxy: proxy) { await node.stop() }, group: group)
    }

    private static func open(
        _ plan: [Plan], _ parts: Parts, _ group: MultiThreadedEventLoopGroup
    ) async throws(StartFailure) -> [(name: String, server: EdgeServer, tls: EdgeTLS?)] {
        var servers: [(name: String, server: EdgeServer, tls: EdgeTLS?)] = []
        do {
            for (name, listener, responder, limits) in plan {
                var limits = limits
                // A proxy brings the connections of many clients from one address.
                limits.unlimitedAddresses += parts.settings.trustedProxies
                let tls = try listener.tls.map { try Server.tls($0, name, parts.log) }
                let address = try Server.address(listener.address)
                let core = EdgeCore(
                    responder: responder, limits: limits, environment: parts.environment,
                    forwardedCertificates: Server.forwardedCertificates(parts.settings))
                let server = try await EdgeServer.start(address, tls: tls, core: core, group: group)
                servers.append((name, server, tls))
            }
        } catch {
            for (_, server, _) in servers { await server.shutdown(within: .zero) }
            throw StartFailure("\(error)")
        }
        return servers
    }

    private static func tls(_ settings: ServerSettings.TLS, _ name: String, _ log: Log) throws(EdgeServerError) -> EdgeTLS {
        let files = EdgeTLS.Files(certificate: settings.certificate, key: settings.key, clientCA: settings.clientCA)
        let mode: ClientCertificateMode =
            switch settings.clientCertificates {
            case .none: .none
            case .verified: .verified
            case .any: .any
            }
        return try EdgeTLS(files, clients: mode) { error, peer in
            log(
                .info, "client_certificate_refused",
                [("listener", name), ("reason", error.rawValue), ("source", peer.description)])
        }
    }

    private static func forwardedCertificates(_ settings: ServerSettings) -> ForwardedCertificates? {
        switch settings.clientCertHeader {
        case .none: nil
        case .verified: ForwardedCertificates(trusted: settings.trustedProxies, isVerified: true)
        case .any: ForwardedCertificates(trusted: settings.trustedProxies, isVerified: false)
        }
    }

    private static func tell(_ servers: [(name: String, server: EdgeServer, tls: EdgeTLS?)], _ parts: Parts) {
        for (name, server, _) in servers {
            parts.log(.info, "listening", [("listener", "\(name)"), ("address", server.bound.map(\.description).joined(separator: ","))])
            let counters = server.counters
            parts.metrics.gauge("gatehouse_\(name)_connections_open", "Connections now open.") { Int64(counters.snapshot.connectionsOpen) }
            parts.metrics.gauge("gatehouse_\(name)_requests", "Requests since the start.") { Int64(counters.snapshot.requests) }
            parts.metrics.gauge(
                "gatehouse_\(name)_client_certificates_refused", "Handshakes that failed for the client's certificate, since the start."
            ) { Int64(counters.snapshot.certificatesRefused.reduce(0) { $0 + $1.count }) }
        }
    }

    private static func address(_ address: ListenAddress) throws(StartFailure) -> EdgeAddress {
        switch address {
        case .tcp(let host, let port): return .tcp(host: host, port: Int(port))
        case .unix(let path): return .unix(path: path)
        }
    }

    /// The address that clients use, with the real port.
    func address(of name: String) -> String? { servers.first { $0.name == name }?.server.bound.first?.description }

    /// Reads certificates again; a faulty one leaves the old one in force.
    func reloadCertificates() {
        for (name, _, tls) in servers {
            guard let tls else { continue }
            do {
                try tls.reload()
                parts.log(.info, "certificate_reloaded", [("listener", name)])
            } catch { parts.log(.error, "certificate_refused", [("listener", name), ("reason", "\(error)")]) }
        }
    }

    /// Reads certificates again whenever their files change, until the task is cancelled.
    func watchCertificates() async {
        let files = parts.settings.listeners.certificateFiles
        var versions = files.map(Files.version)
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(1))  // ends early when cancelled
            let newVersions = files.map(Files.version)
            if newVersions != versions { reloadCertificates() }
            versions = newVersions
        }
    }

    /// Stops accepting and lets requests in hand finish.
    func drain() async {
        await withTaskGroup(of: Void.self) { tasks in
            for (_, server, _) in servers { tasks.addTask { [parts] in await server.shutdown(within: parts.settings.drain) } }
        }
        await behind.withLock { $0.proxy }?.close()
    }

    /// Closes what the listeners worked with: the store, if there is one. After `drain`.
    func close() async {
        await behind.withLock { $0.finish }()
        // Nothing is left to fail: every connection is closed.
        try? await group.shutdownGracefully()
    }
}
