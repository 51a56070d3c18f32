internal import AuthCore
internal import Store
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// Says when another node may have changed something: a connection of its own that listens for notifications.
///
/// A notification only wakes. What has happened is read from the tables, so a lost one costs time and nothing else; after each
/// reconnection the listener wakes once, because it may have missed some.
package final class PostgresListener: Sendable {
    private let servers: PostgresServers
    private let onWake: @Sendable () -> Void
    private let isStopped = Atomic(false)

    /// The longest wait at a time, and so how long a stop may take.
    private static let patience = Duration.milliseconds(500)

    /// - Parameters:
    ///   - servers: Reached directly: a pooler that lends connections for one transaction delivers no notification.
    ///   - onWake: Called on the listener's thread.
    package init(_ servers: PostgresServers, onWake: @escaping @Sendable () -> Void) {
        self.servers = servers
        self.onWake = onWake
    }

    /// Starts the thread. It ends after `stop`.
    package func start() { _ = SystemThread.start { [self] in run() } }

    package func stop() { isStopped.store(true, ordering: .relaxed) }

    private func run() {
        var pause: Int32 = 50
        while !isStopped.load(ordering: .relaxed) {
            do {
                let connection = try servers.connect()
                try connection.run("LISTEN \(PostgresDialect.channel)")
                pause = 50
                onWake()
                while !isStopped.load(ordering: .relaxed), connection.isCurrent {
                    if try connection.waitForNotification(PostgresListener.patience) { onWake() }
                }
            } catch {
                // The followers read on their own meanwhile; whether the database answers at all is theirs to tell.
                _ = poll(nil, 0, pause)
                pause = min(pause * 2, 1_000)
            }
        }
    }
}
