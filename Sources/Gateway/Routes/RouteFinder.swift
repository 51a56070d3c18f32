internal import AuthCore

/// The first phases of a decision: from what was received to a canonical target and its route, or an answer that refuses.
enum RouteFinder {
    enum Result {
        case found(CanonicalTarget, Route)
        case refused(RefusalTemplate)
    }

    static func find(_ wanted: WantedRequest, in table: RouteTable) -> Result {
        let target: CanonicalTarget
        do throws(TargetFault) {
            target = try CanonicalTarget(wanted.target)
        } catch {
            return .refused(.target(error))
        }
        let host: HostName?
        switch wanted.host {
        case .missingAsAllowed: host = nil
        case .missing, .several: return .refused(.malformedHost)
        case .one(let field):
            guard let name = HostName(field) else { return .refused(.malformedHost) }
            host = name
        }
        switch table.match(wanted.method, host, target) {
        case .route(let route): return .found(target, route)
        case .noRoute: return .refused(.noRoute)
        case .ambiguous: return .refused(.ambiguousPath)
        case .methodNotAllowed(let template):
            return .refused(MethodRule.isToken(wanted.method) ? template : .malformedMethod)
        }
    }
}
