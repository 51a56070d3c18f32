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
        var nextLook = Uptime(nanoseconds: 0)
    }

    /// How often the servers that are not used are asked whether one of them takes writes.
    static let lookEvery = Duration.seconds(2)

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

    /// Asks the servers that are not used. One that was promoted while its primary goes on is found so: the primary's timeline is behind
    /// from then on, and no transaction begins there any more. Does nothing within `lookEvery` of the last time. Blocks as `connect` does.
    func lookAround() {
        let now = uptime()
        let preferred: Int? = state.withLock { state in
            if now < state.nextLook { return nil }
            state.nextLook = Uptime(nanoseconds: now.nanoseconds + UInt64(PostgresServers.lookEvery.wholeMilliseconds) * 1_000_000)
            return state.preferred
        }
        // The location was read before the first connection, and what cannot be reached tells nothing.
        guard let preferred, let servers = try? location.servers() else { return }
        for (index, server) in servers.enumerated() where index != preferred {
            var server = server
            server["application_name"] = "gatehouse-look"
            _ = try? PostgresConnection(server, to: self)  // it notes the timeline; a standby is passed over by libpq
        }
    }

    /// Whether there are others than the one that is used.
    var areSeveral: Bool { ((try? location.servers())?.count ?? 1) > 1 }  // read before
}
