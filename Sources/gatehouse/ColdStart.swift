import AuthCore
import Settings
import Store
import Synchronization
import WebServer

/// The start of a node whose database may not answer yet: tries until it does. Meanwhile the listeners are open and say so.
final class ColdStart: Sendable {
    /// The shortest and the longest pause between two tries.
    static let pauses = Duration.milliseconds(50)...Duration.seconds(1)
    /// How often the log repeats a problem that is still the same.
    static let repeatInterval = Duration.seconds(30)

    let parts: Server.Parts
    private let problem = Mutex<String?>(nil)

    init(_ settings: ServerSettings, environment: Environment, log: Log) {
        parts = Server.Parts(settings: settings, environment: environment, log: log, metrics: Metrics())
    }

    /// Whether the store is shared with other nodes, and so may come or be mended while this one waits.
    var mayWait: Bool { if case .postgres = parts.settings.storage { true } else { false } }

    /// Not ready, and why.
    var health: Health {
        Health(parts: [Health.Part(name: "store", problem: problem.withLock { $0 } ?? "it was not opened yet")])
    }

    /// What a listener answers meanwhile.
    ///
    /// - Parameter pages: Whether it has health and metrics.
    func listener(pages: Bool = false) -> StartingListener {
        let (settings, metrics) = (parts.settings, parts.metrics)
        return StartingListener(
            environment: parts.environment, trustedProxies: settings.trustedProxies, log: parts.log,
            pages: pages ? HealthPages(health: { [self] in health }, metrics: { metrics.render() }) : nil)
    }

    /// The node, with its store open and its resources applied. Waits for a store that is shared.
    ///
    /// - Throws: What waiting does not mend; where nothing is shared, what the first try met.
    func node() async throws(StartFailure) -> Node {
        var pause = ColdStart.pauses.lowerBound
        var toldAt: Uptime?
        while true {
            do throws(StartFailure) {
                let node = try await attempt()
                if toldAt != nil { parts.log(.info, "storage_reached") }
                return node
            } catch {
                guard mayWait, error.mayPass, !Task.isCancelled else { throw error }
                let text = error.description
                let isNew = problem.withLock { problem in
                    defer { problem = text }
                    return problem.map { !$0.isSameBytes(as: text) } ?? true
                }
                let now = parts.environment.uptime()
                if isNew || toldAt.map({ now - $0 >= ColdStart.repeatInterval }) ?? true {
                    parts.log(isNew ? .error : .warning, "storage_awaited", [("problem", text)])
                    toldAt = now
                }
            }
            try? await Task.sleep(for: pause)  // ends early when cancelled, and the next failure is the last then
            pause = min(pause * 2, ColdStart.pauses.upperBound)
        }
    }

    private func attempt() async throws(StartFailure) -> Node {
        let node = try await Node.open(parts.settings, environment: parts.environment, log: parts.log, metrics: parts.metrics)
        do throws(StartFailure) { try await ServeCommand.applyAtStart(node) } catch {
            await node.abandon()
            throw error
        }
        return node
    }
}
