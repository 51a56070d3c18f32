import AuthCore
import Gateway
import OAuthServer
import Store
import Synchronization
import WebServer

/// What this node holds of clients, scopes, roles and routes: snapshots of one stored state, swapped together, and never for an older one.
final class ResourceSnapshots: Sendable {
    let gateway = GatewayState()
    let clients: ClientDirectory
    private let catalogue = Mutex(ScopeCatalogue())
    private let events: EventFeed
    private let log: Log

    init(clients: ClientDirectory, events: EventFeed, log: Log) {
        self.clients = clients
        self.events = events
        self.log = log
    }

    /// The number of the state that is held; −1 before the first.
    var version: Int64 { catalogue.withLock { $0.version } }

    /// Scopes and roles from a state that is at least as new as `version`; read anew where what is held is older, because another node
    /// changed something.
    func catalogue(atLeast version: Int64, from store: any Store) async throws(StoreError) -> ScopeCatalogue {
        let held = catalogue.withLock { $0 }
        if held.version >= version { return held }
        try await reload(from: store)
        return catalogue.withLock { $0 }
    }

    /// Reads everything anew.
    func reload(from store: any Store) async throws(StoreError) {
        let stored = try await store.resources()
        let clients = try await store.clients()
        install(stored) { self.clients.replace(clients) }
    }

    /// Puts a state in force, unless a newer one is.
    ///
    /// - Parameter also: Run together with it.
    func install(_ stored: StoredResources, also: () -> Void = {}) {
        let next = ScopeCatalogue(stored.document, version: stored.version)
        catalogue.withLock { current in
            guard next.version >= current.version else { return }
            current = next
            do {
                gateway.replaceRoutes(try RouteTable(routes: stored.document.routes, resources: stored.document.resources))
                events.setRoutes(ResourceJSON.encodeRouting(stored.document))
            } catch {
                // The files were checked before they were applied; the routes before these stay in force.
                log(.error, "routes_refused", [("problem", "\(error)")])
            }
            also()
        }
    }
}

/// The snapshots, for the store that is made before them.
final class SnapshotsLater: Sendable {
    private let snapshots = Mutex<ResourceSnapshots?>(nil)

    var value: ResourceSnapshots? {
        get { snapshots.withLock { $0 } }
        set { snapshots.withLock { $0 = newValue } }
    }
}
