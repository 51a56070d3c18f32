import AuthCore
import HTTPEdge
import NIOPosix
import ProxyServer
import TestSupport

@testable import gatehouse

/// A whole node on real sockets: its gateway and its auth listener, in front of recording services.
final class LiveGateway: Sendable {
    static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    let test: TestNode
    /// By the name that the resources give them.
    let services: [String: Backend]
    private let proxy: ProxyResponder
    private let gateway: EdgeServer
    private let auth: EdgeServer

    private init(test: TestNode, services: [String: Backend], proxy: ProxyResponder, gateway: EdgeServer, auth: EdgeServer) {
        (self.test, self.services, self.proxy, self.gateway, self.auth) = (test, services, proxy, gateway, auth)
    }

    /// - Parameters:
    ///   - services: Names; `http://NAME.test` in the resources is replaced by the address of that service.
    ///   - settings: Further settings, as on the command line.
    static func start(services names: [String], resources: String, settings: [String] = []) async throws -> LiveGateway {
        var services: [String: Backend] = [:]
        var text = resources
        for name in names {
            // Each answers with its name and with the head as it came.
            let service = try await Backend.start { .ok("\(name)\r\n\($0.head)") }
            services[name] = service
            text = text.replacing("http://\(name).test", with: "http://127.0.0.1:\(service.port)")
        }
        let test = try await TestNode.start(settings, resources: text)
        let proxy = try test.shells.gateway(group)
        func listen(_ responder: any EdgeResponder) async throws -> EdgeServer {
            let core = EdgeCore(responder: responder, limits: EdgeLimits(), environment: test.node.environment)
            return try await EdgeServer.start(.tcp(host: "127.0.0.1", port: 0), core: core, group: group)
        }
        return LiveGateway(
            test: test, services: services, proxy: proxy, gateway: try await listen(proxy), auth: try await listen(test.shells.auth))
    }

    var authPort: Int { auth.port ?? 0 }
    func client() async throws -> RawClient { try await RawClient.connect(gateway.port ?? 0) }
    func authClient() async throws -> RawClient { try await RawClient.connect(auth.port ?? 0) }

    /// How many requests have reached any service.
    var requestCount: Int { services.values.reduce(0) { $0 + $1.requests.count } }

    func stop() async {
        await gateway.shutdown(within: .seconds(2))
        await auth.shutdown(within: .seconds(2))
        await proxy.close()
        for service in services.values { await service.stop() }
    }
}
