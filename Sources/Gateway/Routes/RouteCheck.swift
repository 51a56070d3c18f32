internal import AuthCore
internal import Store

/// What must hold of one route before it may enter a table.
struct RouteCheck {
    private let definition: RouteDefinition

    init(_ definition: RouteDefinition) { self.definition = definition }

    /// - Throws: The first fault that is found.
    func plan() throws(RouteTableError) -> RoutePlan {
        if definition.name.utf8.isEmpty { throw fault(.nameMissing) }
        try checkPath()
        if let host = definition.host {
            let bytes = Array(host.utf8)
            // An address literal has many spellings; a name in another case or with a port would never match.
            guard let name = HostName(bytes[...]), !name.isAddressLiteral, name.bytes.count == bytes.count,
                bytes.allSatisfy({ lowercasedASCII($0) == $0 })
            else { throw fault(.host) }
        }
        if let methods = definition.methods {
            if methods.isEmpty { throw fault(.methodsEmpty) }
            for method in methods where !MethodRule.isRoutable(method) { throw fault(.method(method)) }
        }
        if case .token(let rule) = definition.requirement { try check(rule) }
        if definition.upstreams.isEmpty { throw fault(.upstreamsEmpty) }
        var upstreams: [UpstreamTarget] = []
        for text in definition.upstreams {
            guard let upstream = UpstreamTarget(text) else { throw fault(.upstream(text)) }
            upstreams.append(upstream)
        }
        return RoutePlan(name: definition.name, upstreams: upstreams, passesToken: definition.passesToken)
    }

    private func checkPath() throws(RouteTableError) {
        let target: CanonicalTarget
        do throws(TargetFault) {
            target = try CanonicalTarget(Array(definition.path.utf8))
        } catch {
            throw fault(.path(error))
        }
        if target.query != nil { throw fault(.pathHasQuery) }
        if target.path.count > 1, target.path.last == UInt8(ascii: "/") { throw fault(.pathHasTrailingSlash) }
        if PathTree.segments(of: target.path).count > RouteTable.segmentsMax { throw fault(.pathTooDeep) }
        if RouteTable.isReserved(target.path) { throw fault(.pathReserved) }
    }

    /// Both lists end up between the quotes of a `WWW-Authenticate` header.
    private func check(_ rule: TokenRule) throws(RouteTableError) {
        for scope in rule.scope where !ScopeSet.isName(scope.text.utf8) { throw fault(.scope(scope.text)) }
        for value in rule.acrValues where !ScopeSet.isName(value.utf8) { throw fault(.acr(value)) }
        if let maxAge = rule.maxAge, maxAge < .zero { throw fault(.maxAge) }
    }

    private func fault(_ fault: RouteTableError.Fault) -> RouteTableError { RouteTableError(route: definition.name, fault: fault) }
}
