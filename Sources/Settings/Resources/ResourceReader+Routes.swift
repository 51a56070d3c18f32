internal import AuthCore
internal import Store

extension ResourceReader {
    mutating func route(_ node: YAMLNode, _ path: String) {
        guard let fields = fields(node, ResourceKeys.route, path) else { return }
        let name = name(fields, "name", ResourceSyntax.labelFault)
        let upstreams = list(fields, "upstream", orOne: true, max: ResourceLimits.upstreamsMax, ResourceSyntax.upstreamFault)
        if fields.node("upstream") == nil { problem(fields.place, fields.path("upstream"), "is missing") }
        var route = RouteDefinition(name: name?.value ?? "", path: "", upstreams: upstreams.map(\.value))
        match(fields, &route)
        if let require = fields.node("require") {
            requirement(require, fields.path("require"), &route)
        }
        warnIfWide(route, fields.node("require")?.place ?? fields.place, fields.path("require"))
        if let identity: IdentityHandOver = word(fields, "identity") { route.identity = identity }
        route.passesToken = flag(fields, "pass_token") ?? false
        route.whenStale = word(fields, "when_stale")
        if let name, declare(.route, name, fields.path("name")) { document.routes.append(route) }
    }

    private mutating func match(_ fields: ResourceFields, _ route: inout RouteDefinition) {
        guard let node = fields.node("match") else {
            problem(fields.place, fields.path("match"), "is missing")
            return
        }
        guard let match = self.fields(node, ResourceKeys.match, fields.path("match")) else { return }
        let path = name(match, "path", ResourceSyntax.pathFault)
        let host = checked(text(match, "host"), match.path("host"), ResourceSyntax.hostFault)
        route.host = host?.value
        if let methods = match.node("methods") {
            let names = list(match, "methods", max: ResourceLimits.methodsMax, ResourceSyntax.methodFault)
            route.methods = names.map(\.value)
            if case .sequence(let elements) = methods.content, elements.isEmpty {
                problem(methods.place, match.path("methods"), "is empty; leave it out for all methods")
            }
        }
        guard let path, match.node("host") == nil || host != nil else { return }
        route.path = path.value
        declareMatch(route, path.place, match.path("path"))
    }

    /// Two routes on one host and path must differ in their methods: which of them takes a request would be a guess.
    private mutating func declareMatch(_ route: RouteDefinition, _ place: Place, _ path: String) {
        let key = [Identifier(route.host ?? ""), Identifier(route.path)]
        let methods = MatchedMethods(route.methods)
        for before in names.matches[key, default: []] {
            guard let shared = methods.shared(with: before.methods) else { continue }
            let which = shared.isEmpty ? "any method" : shared.map(\.text).joined(separator: ", ")
            problem(place, path, "another route has the same host and path and takes \(which) too, at \(before.place)")
            return
        }
        names.matches[key, default: []].append((methods, place))
    }

    private mutating func requirement(_ node: YAMLNode, _ path: String, _ route: inout RouteDefinition) {
        switch node.content {
        case .plain(let text), .quoted(let text):
            if text.isSameBytes(as: "none") {
                route.requirement = .open
            } else {
                problem(
                    node.place, path, "\(Quoted.text(text)) is neither none, which opens the route, nor a mapping of what a token needs")
            }
        case .null: problem(node.place, path, "is empty; write none to open the route, say what a token needs, or leave it out")
        case .sequence: problem(node.place, path, "is a list, where none or a mapping is expected")
        case .mapping(let members):
            if members.isEmpty {
                problem(node.place, path, "is empty; write none to open the route, say what a token needs, or leave it out")
            }
            guard let fields = fields(node, ResourceKeys.rule, path) else { return }
            route.requirement = .token(rule(fields))
        }
    }

    private mutating func rule(_ fields: ResourceFields) -> TokenRule {
        var rule = TokenRule()
        rule.scope = ScopeSet(scopes(fields, "scope", orOne: true))
        rule.audiences = references(fields, "audience", .resource) { ScopeSet.isName($0.utf8) ? nil : "is no resource" }
        rule.roles = references(fields, "role", .role, ResourceSyntax.labelFault)
        rule.clients = references(fields, "client", .client) { ScopeSet.isName($0.utf8) ? nil : "is no client" }
        rule.acrValues = list(fields, "acr", orOne: true, ResourceSyntax.acrFault).map(\.value)
        rule.resourceMetadata = checked(text(fields, "resource_metadata"), fields.path("resource_metadata"), URISyntax.webFault)?.value
        if let text = text(fields, "max_age") {
            if let age = DurationText.parse(text.value), (Duration.seconds(1)...Duration.seconds(365 * 86_400)).contains(age) {
                rule.maxAge = age
            } else {
                problem(text.place, fields.path("max_age"), "\(Quoted.text(text.value)) is no duration of 1s…365d, as in 5m")
            }
        }
        return rule
    }

    private mutating func references(
        _ fields: ResourceFields, _ name: String, _ kind: DeclaredNames.Kind, _ fault: (String) -> String?
    ) -> [Identifier] {
        let found = list(fields, name, orOne: true, fault)
        for reference in found { names.refer(kind, reference, fields.path(name)) }
        return found.map { Identifier($0.value) }
    }

    private mutating func warnIfWide(_ route: RouteDefinition, _ place: Place, _ path: String) {
        guard case .token(let rule) = route.requirement, rule.audiences.isEmpty else { return }
        let owned = rule.scope.contains { scope in !ResourceSyntax.builtInScopes.contains { $0.isSameBytes(as: scope.text) } }
        if !owned {
            warning(
                place, path, "neither audience nor a scope of a resource is asked for: a token for any resource passes, but for gatehouse")
        }
    }
}
