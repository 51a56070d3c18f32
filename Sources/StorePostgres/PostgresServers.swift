package import AuthCore
internal import Store
internal import Synchronization

/// Which history of the database a server tells.
///
/// A transaction's number means one transaction only within one history: a standby that was promoted, and a server that crashed before it
/// had written everything, give some numbers a second time.
struct PostgresHistory: Sendable, Equatable {
    /// Raised by each promotion and each restored backup; eight hexadecimal digits.
    var timeline = ""
    /// When the server was started, and when it last lost its statistics, which it does when it recovers from a crash.
    var start = ""
}

/// The servers of a location, and how far their history had gone when this process last saw it.
///
/// An old primary that returns after another server was promoted may take writes as if nothing had happened. Its timeline is lower than
/// what was seen, and it is not used; the next one of the list is asked. A process that has just started asks all of them and takes the
/// one that is furthest. What nobody can see from here is a promotion of which this process has reached neither end.
package final class PostgresServers: Sendable {
    private struct State {
        var timeline = ""
        /// The one that answered last: asked first, so that one that is gone costs its time-out once.
        var preferred = 0
    }

    let location: PostgresLocation
    let uptime: @Sendable () -> Uptime
    private let state = Mutex(State())

    package init(_ location: PostgresLocation, uptime: @escaping @Sendable () -> Uptime) {
        self.location = location
        self.uptime = uptime
    }

    package var isPooled: Bool { location.isPooled }

    /// Notes the timeline of a server; whether it is not behind what was seen before.
    func isCurrent(_ timeline: String) -> Bool {
        state.withLock { state in
            if timeline < state.timeline { return false }
            state.timeline = timeline
            return true
        }
    }

    /// Opens a connection to the first server that takes writes and is not behind. Blocks for two seconds a host, and longer only where
    /// one accepts connections and says nothing.
    ///
    /// - Throws: What the servers say, or `.unusable` when one must not be used as it is set.
    func connect() throws(StoreError) -> PostgresConnection {
        let servers = try location.servers()
        let (isFirst, preferred) = state.withLock { ($0.timeline.isEmpty, $0.preferred) }
        var best: PostgresConnection?
        var problems: [String] = []
        for index in servers.indices.map({ (preferred + $0) % servers.count }) {
            do throws(StoreError) {
                let connection = try PostgresConnection(servers[index], to: self)
                if let best, connection.history.timeline <= best.history.timeline { continue }
                state.withLock { $0.preferred = index }
                best = connection
                if !isFirst { break }
            } catch .unavailable(let problem) { problems.append(problem) }
        }
        guard let best else { throw .unavailable(problems.joined(separator: "; ")) }
        return best
    }
}
