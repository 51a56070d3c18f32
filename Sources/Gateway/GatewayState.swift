internal import Synchronization

// Gateway owns one question: is this request allowed, and as whom? The canonical form of a target, the table of routes, the
// credential, the rules, the identity that a service is given, and the dialects in which other proxies ask. It opens no
// socket and awaits nothing. It does not own what makes a token good (TokenVerification), how bytes travel (HTTPEdge,
// ProxyServer), or what a resource file looks like (Settings, Store).

/// The routes in force. Everything that decides looks here once for each decision.
package final class GatewayState: Sendable {
    private let table: Mutex<RouteTable>

    package init(routes: RouteTable = .empty) { table = Mutex(routes) }

    package var routes: RouteTable { table.withLock { $0 } }

    /// Puts another table in force. A decision that has begun ends by the table it began with.
    package func replaceRoutes(_ routes: RouteTable) {
        // What is replaced may be large: it is freed outside the lock.
        let replaced = table.withLock { table in
            let replaced = table
            table = routes
            return replaced
        }
        withExtendedLifetime(replaced) {}
    }
}
