import AuthCore
import Glibc
import NIOPosix
import Settings
import WebServer

/// `gatehouse serve` with `roles: [gateway]`: from settings to a running gateway, and from SIGTERM to a clean end.
struct ServeGateway: Sendable {
    let settings: ServerSettings
    let environment: Environment
    let log: Log

    func run(_ files: FileBudget, _ signals: Signals) async throws -> Int32 {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: ProcessEnvironment.processorCount)
        let node = try GatewayNode(settings, environment: environment, log: log, group: group)
        let server = try await Server.start(node, files: files, group: group)
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await node.run() }
            tasks.addTask { await tellWhenReady(node) }
            tasks.addTask { await server.watchCertificates() }
            for await signal in signals.events {
                if signal == SIGHUP {
                    server.reloadCertificates()
                } else {
                    log(.info, "draining", [("signal", String(signal))])
                    break
                }
            }
            // The auth node is followed until the last request is answered.
            await server.drain()
            tasks.cancelAll()
        }
        await server.close()
        log(.info, "stopped")
        LogWriter.flush()
        return 0
    }

    private func tellWhenReady(_ node: GatewayNode) async {
        while !Task.isCancelled, !node.health.isReady {
            try? await Task.sleep(for: .milliseconds(20))  // ends early when cancelled
        }
        if !Task.isCancelled { log(.info, "ready", [("issuer", settings.issuer.text), ("version", VersionCommand.version)]) }
    }
}
