internal import AuthCore
package import Store

/// The routes of a gateway: immutable, swapped as a whole.
///
/// A request belongs to a *place*: a host and a path. A place of the request's own host comes before one of every host;
/// among those, the longest path by whole segments wins, and that is final. The routes of a place differ in their methods;
/// a method that none of them takes is 405, never a shorter route. Paths compare byte by byte.
package final class RouteTable: Sendable {
    /// The most routes of one table.
    package static let routesMax = 10_000
    /// The most segments of a route's path.
    package static let segmentsMax = 64

    package static let empty = RouteTable()

    /// In the order of their definitions.
    package let routes: [Route]
    /// By name: first by length, then by bytes.
    private let hosts: [(name: [UInt8], places: HostPlaces)]
    private let everyHost: HostPlaces

    private init() {
        routes = []
        hosts = []
        everyHost = HostPlaces()
    }

    /// - Parameters:
    ///   - definitions: The routes.
    ///   - resources: Whose scopes say which audience a route without one asks for.
    /// - Throws: The first fault that is found.
    package init(routes definitions: [RouteDefinition], resources: [ResourceDefinition]) throws(RouteTableError) {
        guard definitions.count <= RouteTable.routesMax else { throw RouteTableError(route: "", fault: .tooManyRoutes) }
        var owners: [Identifier: Identifier] = [:]
        for resource in resources {
            for scope in resource.scopes {
                guard owners.updateValue(resource.id, forKey: scope) == nil else {
                    throw RouteTableError(route: "", fault: .scopeHasTwoOwners(scope.text))
                }
            }
        }
        var names: Set<Identifier> = []
        var routes: [Route] = []
        var byHost: [Identifier: [Route]] = [:]
        for definition in definitions {
            let plan = try RouteCheck(definition).plan()
            guard names.insert(Identifier(definition.name)).inserted else {
                throw RouteTableError(route: definition.name, fault: .nameRepeated)
            }
            let route = Route(definition, plan: plan, owners: owners)
            routes.append(route)
            // No host can be named by the empty text.
            byHost[Identifier(definition.host ?? ""), default: []].append(route)
        }
        self.routes = routes
        everyHost = try HostPlaces(byHost.removeValue(forKey: "") ?? [])
        var hosts: [(name: [UInt8], places: HostPlaces)] = []
        for (name, routes) in byHost { hosts.append((Array(name.text.utf8), try HostPlaces(routes))) }
        self.hosts = hosts.sorted { left, right in
            left.name.count == right.name.count ? left.name.lexicographicallyPrecedes(right.name) : left.name.count < right.name.count
        }
    }

    enum Match {
        case route(Route)
        case noRoute
        /// The path leads elsewhere once it is decoded.
        case ambiguous
        case methodNotAllowed(RefusalTemplate)
    }

    /// - Parameters:
    ///   - host: Nothing matches the routes of every host only.
    func match(_ method: String, _ host: HostName?, _ target: CanonicalTarget) -> Match {
        if RouteTable.isReserved(target.path) { return .noRoute }
        let found = place(host, target.path, isDecoded: false)
        if let decoded = target.decodedPath {
            // GW-02: if a service that decodes would see a path of another route, this request gets by that route's rule.
            if RouteTable.isReserved(decoded[...]) { return .noRoute }
            guard place(host, decoded[...], isDecoded: true) === found else { return .ambiguous }
            // A service that decodes before it looks for the query, or a proxy in front of it, ends the path there.
            for mark in "?#".utf8 {
                guard let end = decoded.firstIndex(of: mark) else { continue }
                if RouteTable.isReserved(decoded[..<end]) { return .noRoute }
                guard place(host, decoded[..<end], isDecoded: true) === found else { return .ambiguous }
            }
        }
        guard let found else { return .noRoute }
        for route in found.routes where route.methods.allows(method) { return .route(route) }
        return .methodNotAllowed(found.methodNotAllowed)
    }

    private func place(_ host: HostName?, _ path: ArraySlice<UInt8>, isDecoded: Bool) -> RoutePlace? {
        if let host, !hosts.isEmpty, let found = places(of: host)?.place(path, isDecoded: isDecoded) { return found }
        return everyHost.place(path, isDecoded: isDecoded)
    }

    private func places(of host: HostName) -> HostPlaces? {
        var low = 0
        var high = hosts.count
        while low < high {
            let middle = low + (high - low) / 2
            let order = host.order(against: hosts[middle].name)
            if order == 0 { return hosts[middle].places }
            if order < 0 { high = middle } else { low = middle + 1 }
        }
        return nil
    }

    /// `/.gatehouse` and what is below: the gateway's own, whatever the routes say.
    static func isReserved(_ path: ArraySlice<UInt8>) -> Bool {
        path.count >= reserved.count && path[path.startIndex + 1] == UInt8(ascii: ".") && path.starts(with: reserved)
            && (path.count == reserved.count || path[path.startIndex + reserved.count] == UInt8(ascii: "/"))
    }

    private static let reserved = Array("/.gatehouse".utf8)
}

/// The routes of one host.
final class HostPlaces: Sendable {
    private let places: [RoutePlace]
    private let tree: PathTree
    /// Paths as they read once decoded; the same tree when no path has an escape.
    private let decodedTree: PathTree

    init() {
        places = []
        tree = PathTree([])
        decodedTree = tree
    }

    init(_ routes: [Route]) throws(RouteTableError) {
        var order: [[UInt8]] = []
        var byPath: [[UInt8]: [Route]] = [:]
        var paths: [[UInt8]] = []
        for route in routes {
            let path = Array(route.definition.path.utf8)
            let decoded: [UInt8]
            do throws(TargetFault) {
                decoded = try CanonicalTarget(path).decodedPath ?? path
            } catch {
                throw RouteTableError(route: route.plan.name, fault: .path(error))
            }
            if let others = byPath[decoded] {
                // Two spellings of one path are one match too.
                let same = others.first {
                    $0.methods.overlaps(route.methods) || !$0.definition.path.isSameBytes(as: route.definition.path)
                }
                if let same { throw RouteTableError(route: route.plan.name, fault: .equalMatch(other: same.plan.name)) }
            } else {
                order.append(decoded)
                paths.append(path)
            }
            byPath[decoded, default: []].append(route)
        }
        places = order.map { RoutePlace(byPath[$0] ?? []) }
        tree = PathTree(paths.enumerated().map { ($1[...], $0) })
        decodedTree = paths == order ? tree : PathTree(order.enumerated().map { ($1[...], $0) })
    }

    func place(_ path: ArraySlice<UInt8>, isDecoded: Bool) -> RoutePlace? {
        (isDecoded ? decodedTree : tree).longestMatch(path).map { places[$0] }
    }
}

/// What is registered at one host and path: routes that differ in their methods.
final class RoutePlace: Sendable {
    let routes: [Route]
    let methodNotAllowed: RefusalTemplate

    init(_ routes: [Route]) {
        self.routes = routes
        var methods: [Identifier] = []
        for method in routes.flatMap(\.methods.advertised) where !methods.contains(method) { methods.append(method) }
        // RFC 9110 §15.5.6: the answer must say what is allowed.
        methodNotAllowed = RefusalTemplate(
            405, "method_not_allowed", reason: "method_not_allowed", "The route does not take this method.",
            headers: [("allow", methods.map(\.text).joined(separator: ", "))]
        )
    }
}
