internal import AuthCore

/// Why a table of routes cannot be built. A faulty one changes nothing: the table in force stays.
package struct RouteTableError: Error, Sendable, CustomStringConvertible {
    package enum Fault: Sendable, Equatable {
        case tooManyRoutes
        case nameMissing
        case nameRepeated
        case path(TargetFault)
        /// `?` in a path.
        case pathHasQuery
        /// A path is written without it, `/` excepted; it matches with and without.
        case pathHasTrailingSlash
        case pathTooDeep
        /// Below `/.gatehouse`, which belongs to the gateway itself.
        case pathReserved
        /// Not a name in ASCII lower case without port and trailing dot.
        case host
        case methodsEmpty
        case method(String)
        case upstreamsEmpty
        case upstream(String)
        case scope(String)
        case acr(String)
        case maxAge
        /// The scope belongs to two resources.
        case scopeHasTwoOwners(String)
        /// Same host, same path, and a method that both take.
        case equalMatch(other: String)
    }

    /// The route's name; empty when it is not about one route.
    package let route: String
    package let fault: Fault

    package var description: String { route.isEmpty ? sentence : "route \(route): \(sentence)" }

    private var sentence: String {
        switch fault {
        case .tooManyRoutes: "more than \(RouteTable.routesMax) routes"
        case .nameMissing: "a route has no name"
        case .nameRepeated: "two routes have this name"
        case .path(let fault): "its path could never match: \(fault.sentence)"
        case .pathHasQuery: "its path has a question mark"
        case .pathHasTrailingSlash: "its path ends with a slash; leave it out, it matches with and without"
        case .pathTooDeep: "its path has more than \(RouteTable.segmentsMax) segments"
        case .pathReserved: "/.gatehouse is reserved"
        case .host: "its host is not a name in lower case without a port"
        case .methodsEmpty: "its list of methods is empty; leave it out for all but CONNECT and TRACE"
        case .method(let method): "the method \(method) cannot be routed"
        case .upstreamsEmpty: "it has no upstream"
        case .upstream(let text): "the upstream \(text) is not http://host[:port] or https://host[:port]"
        case .scope(let name): "\(name) is no scope"
        case .acr(let value): "\(value) is no acr value"
        case .maxAge: "its max_age is negative"
        case .scopeHasTwoOwners(let name): "the scope \(name) belongs to two resources"
        case .equalMatch(let other): "it matches the same requests as the route \(other)"
        }
    }
}
