import AuthCore
import Glibc
import Settings
import Synchronization

/// A node with a database, from its open listeners to its end.
final class ServeNode: Sendable {
    private enum Stage {
        case starting
        case running(Node)
        case failed(StartFailure)
    }

    private let start: ColdStart
    private let server: Server
    private let signals: Signals
    private let stage: Mutex<Stage>
    private var log: Log { start.parts.log }

    /// - Parameter node: Where it was opened before the listeners.
    init(start: ColdStart, node: Node?, server: Server, signals: Signals) {
        self.start = start
        self.server = server
        self.signals = signals
        stage = Mutex(node.map { .running($0) } ?? .starting)
    }

    /// Serves until a signal ends it.
    ///
    /// - Throws: `StartFailure` when no waiting gives a node.
    func run() async throws -> Int32 {
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask { [self] in await serve() }
            tasks.addTask { [server] in await server.watchCertificates() }
            for await signal in signals.events {
                if signal == SIGHUP {
                    server.reloadCertificates()
                    if case .running(let node) = stage.withLock({ $0 }) { await ServeCommand.reapply(node) }
                } else {
                    log(.info, "draining", [("signal", String(signal))])
                    break
                }
            }
            // The log of revocations is followed until the last request is answered.
            await server.drain()
            if case .starting = stage.withLock({ $0 }) { endAtOnce() }
            tasks.cancelAll()
        }
        await server.close()
        if case .failed(let failure) = stage.withLock({ $0 }) { throw failure }
        log(.info, "stopped")
        LogWriter.flush()
        return 0
    }

    private func serve() async {
        do throws(StartFailure) {
            let node: Node
            if case .running(let opened) = stage.withLock({ $0 }) {
                node = opened
            } else {
                node = try await start.node()
                stage.withLock { $0 = .running(node) }
                try server.install(node)
            }
            log(.info, "ready", [("issuer", node.settings.issuer.text), ("version", VersionCommand.version)])
            // Whoever started this program waits for the line.
            LogWriter.flush()
            await Upkeep(node: node).run()
        } catch {
            stage.withLock { $0 = .failed(error) }
            signals.end()
        }
    }

    /// Ends the process while a try to open the store is under way, which may wait for a silent server: nothing was answered from it that
    /// could be lost, and the store takes this end as it takes a `kill -9`.
    private func endAtOnce() -> Never {
        log(.info, "stopped")
        LogWriter.flush()
        // Not `exit`: what libpq and its TLS hold must not be torn down under the thread that uses it.
        _exit(0)
    }
}
