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
import TokenVerification
import WebServer

/// The listeners of one node, and their life from start to drain.
final class Server: Sendable {
    private let node: Node
    private let servers: [(name: String, server: EdgeServer, tls: EdgeTLS?)]
    private let proxy: ProxyResponder
    private let group: MultiThreadedEventLoopGroup

    private init(
        node: Node, servers: [(name: String, server: EdgeServer, tls: EdgeTLS?)], proxy: ProxyResponder, group: MultiThreadedEventLoopGroup
    ) {
        self.node = node
        self.servers = servers
        self.proxy = proxy
        self.group = group
    }

    /// Opens every listener, or none.
    static func start(_ node: Node, files: FileBudget) async throws(StartFailure) -> Server {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: ProcessEnvironment.processorCount)
        let shells = Shells(node: node)
        let listeners = node.settings.listeners
        var servers: [(name: String, server: EdgeServer, tls: EdgeTLS?)] = []
        let proxy: ProxyResponder
        do {
            proxy = try shells.gateway(group)
            let plan: [(String, ServerSettings.Listener, any EdgeResponder, EdgeLimits)] = [
                ("auth", listeners.auth, shells.auth, files.wide), ("gateway", listeners.gateway, proxy, files.wide),
                ("admin", listeners.admin, shells.admin, files.narrow),
            ]
            for (name, listener, responder, limits) in plan {
                var limits = limits
                // A proxy brings the connections of many clients from one address.
                limits.unlimitedAddresses += node.settings.trustedProxies
                if listener.tls?.clientCA != nil {
                    throw StartFailure("listen.\(name).tls.client_ca: client certificates are not supported by this version")
                }
                let tls = try listener.tls.map { try EdgeTLS(certificate: $0.certificate, key: $0.key) }
                let address = try Server.address(listener.address)
                let core = EdgeCore(responder: responder, limits: limits, environment: node.environment)
                let server = try await EdgeServer.start(address, tls: tls, core: core, group: group)
                servers.append((name, server, tls))
            }
            Files.makeFolder(of: listeners.controlPath)
            let control = try await EdgeServer.start(
                .unix(path: listeners.controlPath),
                core: EdgeCore(responder: shells.control, limits: files.narrow, environment: node.environment),
                group: group
            )
            servers.append(("control", control, nil))
        } catch {
            for (_, server, _) in servers { await server.shutdown(within: .zero) }
            throw StartFailure("\(error)")
        }
        for (name, server, _) in servers {
            node.log(.info, "listening", [("listener", "\(name)"), ("address", server.bound.map(\.description).joined(separator: ","))])
            let counters = server.counters
            node.metrics.gauge("gatehouse_\(name)_connections_open", "Connections now open.") { Int64(counters.snapshot.connectionsOpen) }
            node.metrics.gauge("gatehouse_\(name)_requests", "Requests since the start.") { Int64(counters.snapshot.requests) }
        }
        return Server(node: node, servers: servers, proxy: proxy, group: group)
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
                node.log(.info, "certificate_reloaded", [("listener", name)])
            } catch { node.log(.error, "certificate_refused", [("listener", name), ("reason", "\(error)")]) }
        }
    }

    /// Stops accepting, lets requests in hand finish, then closes the store.
    func drain() async {
        await withTaskGroup(of: Void.self) { tasks in
            for (_, server, _) in servers { tasks.addTask { [node] in await server.shutdown(within: node.settings.drain) } }
        }
        await proxy.close()
        node.hashing.stop()
        await node.close()
        // Nothing is left to fail: every connection is closed.
        try? await group.shutdownGracefully()
    }
}
