package import AuthCore

/// Definitions as JSON: the shapes of the resource files, without initial secrets.
///
/// This is what a store keeps and what the admin API returns. Decoding is strict: an unknown member is a failure, because
/// leaving out a restriction that a newer version wrote would open what it closes. Values are not checked again here.
package enum ResourceJSON {
    package static func encode(_ document: ResourceDocument) -> JSONValue {
        var roles = JSONObject()
        for role in document.roles { roles[role.name.text] = names(role.scopes.values) }
        return .object(
            JSONObject([
                ("users", .array(document.users.map(encode))),
                ("clients", .array(document.clients.map(encode))),
                ("resources", .array(document.resources.map(encode))),
                ("roles", .object(roles)),
                ("routes", .array(document.routes.map(encode))),
            ])
        )
    }

    /// What a gateway needs of it: the routes, and the resources that own their scopes. `decodeDocument` reads it.
    package static func encodeRouting(_ document: ResourceDocument) -> JSONValue {
        .object(
            JSONObject([
                ("resources", .array(document.resources.map(encode))), ("routes", .array(document.routes.map(encode))),
            ])
        )
    }

    package static func encode(_ user: UserDefinition) -> JSONValue {
        var object = JSONObject([("username", .string(user.username))])
        object["email"] = user.email.map { .string($0) }
        object["roles"] = names(user.roles)
        return .object(object)
    }

    package static func encode(_ client: ClientDefinition) -> JSONValue {
        var object = JSONObject([
            ("id", .string(client.id.text)),
            ("public", .bool(client.isPublic)),
            ("grants", texts(client.grants.map(\.rawValue))),
            ("redirect_uris", texts(client.redirectURIs)),
            ("scopes", names(client.scopes.values)),
        ])
        for field in ClientFields.all { object[field.name] = field.read(client.metadata) }
        return .object(object)
    }

    package static func encode(_ resource: ResourceDefinition) -> JSONValue {
        var object = JSONObject([
            ("id", .string(resource.id.text)),
            ("scopes", names(resource.scopes.values)),
            ("include_roles", .bool(resource.wantsRoles)),
        ])
        object["claims"] = resource.claims.written.map { .object($0) }
        // Only what is there, so that what an earlier release stored is the same still.
        object["name"] = resource.name.map { .string($0) }
        if !resource.scopeDescriptions.isEmpty {
            let described = resource.scopeDescriptions.sorted { $0.key < $1.key }
            object["scope_descriptions"] = .object(JSONObject(described.map { ($0.key.text, .string($0.value)) }))
        }
        return .object(object)
    }

    package static func encode(_ role: RoleDefinition) -> JSONValue {
        .object(JSONObject([("name", .string(role.name.text)), ("scopes", names(role.scopes.values))]))
    }

    package static func encode(_ route: RouteDefinition) -> JSONValue {
        var match = JSONObject()
        match["host"] = route.host.map { .string($0) }
        match["path"] = .string(route.path)
        match["methods"] = route.methods.map(texts)
        var object = JSONObject([("name", .string(route.name)), ("match", .object(match)), ("upstream", texts(route.upstreams))])
        switch route.requirement {
        case .open: object["require"] = .string("none")
        case .token(let rule):
            // A rule that asks for nothing but a token is written by leaving `require` out, as in a file.
            if rule != TokenRule() { object["require"] = encode(rule) }
        }
        object["identity"] = .string(route.identity.rawValue)
        object["pass_token"] = .bool(route.passesToken)
        object["when_stale"] = route.whenStale.map { .string($0.rawValue) }
        return .object(object)
    }

    private static func encode(_ rule: TokenRule) -> JSONValue {
        var object = JSONObject()
        if !rule.scope.isEmpty { object["scope"] = names(rule.scope.values) }
        if !rule.audiences.isEmpty { object["audience"] = names(rule.audiences) }
        if !rule.roles.isEmpty { object["role"] = names(rule.roles) }
        if !rule.clients.isEmpty { object["client"] = names(rule.clients) }
        if !rule.acrValues.isEmpty { object["acr"] = texts(rule.acrValues) }
        object["max_age"] = rule.maxAge.map { .string(DurationText.format($0)) }
        object["resource_metadata"] = rule.resourceMetadata.map { .string($0) }
        return .object(object)
    }

    private static func names(_ names: [Identifier]) -> JSONValue { texts(names.map(\.text)) }
    private static func texts(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
}

extension ResourceJSON {
    package static func decodeDocument(_ value: JSONValue) -> ResourceDocument? {
        read(value) { (value) throws(Malformed) in
            let members = try Members(value, known: ["users", "clients", "resources", "roles", "routes"])
            var document = ResourceDocument()
            document.users = try members.all("users", user)
            document.clients = try members.all("clients", client)
            document.resources = try members.all("resources", resource)
            document.routes = try members.all("routes", route)
            if let roles = members.object["roles"] {
                guard let roles = roles.object else { throw Malformed() }
                for (name, scopes) in roles {
                    var role = RoleDefinition(name: Identifier(name))
                    role.scopes = ScopeSet(try identifiers(scopes))
                    document.roles.append(role)
                }
            }
            return document
        }
    }

    package static func decodeUser(_ value: JSONValue) -> UserDefinition? { read(value, user) }
    package static func decodeClient(_ value: JSONValue) -> ClientDefinition? { read(value, client) }
    package static func decodeResource(_ value: JSONValue) -> ResourceDefinition? { read(value, resource) }
    package static func decodeRole(_ value: JSONValue) -> RoleDefinition? { read(value, role) }
    package static func decodeRoute(_ value: JSONValue) -> RouteDefinition? { read(value, route) }

    /// The value is of another shape than `encode` makes.
    private struct Malformed: Error {}

    private static func read<Value>(_ value: JSONValue, _ body: (JSONValue) throws(Malformed) -> Value) -> Value? {
        do { return try body(value) } catch { return nil }
    }

    private static func user(_ value: JSONValue) throws(Malformed) -> UserDefinition {
        let members = try Members(value, known: ["username", "email", "roles"])
        var user = UserDefinition(username: try members.text("username"))
        user.email = try members.optionalText("email")
        user.roles = try members.identifiers("roles")
        return user
    }

    private static func client(_ value: JSONValue) throws(Malformed) -> ClientDefinition {
        let members = try Members(value, known: ["id", "public", "grants", "redirect_uris", "scopes"] + ClientFields.all.map(\.name))
        var client = ClientDefinition(id: Identifier(try members.text("id")))
        client.isPublic = try members.flag("public")
        for name in try members.texts("grants") {
            guard let grant = GrantKind(rawValue: name) else { throw Malformed() }
            client.grants.append(grant)
        }
        client.redirectURIs = try members.texts("redirect_uris")
        client.scopes = ScopeSet(try members.identifiers("scopes"))
        for field in ClientFields.all {
            if let value = members.object[field.name], field.write(&client.metadata, value) != nil { throw Malformed() }
        }
        return client
    }

    private static func resource(_ value: JSONValue) throws(Malformed) -> ResourceDefinition {
        let members = try Members(value, known: ["id", "name", "scopes", "scope_descriptions", "include_roles", "claims"])
        var resource = ResourceDefinition(id: Identifier(try members.text("id")))
        resource.scopes = ScopeSet(try members.identifiers("scopes"))
        resource.wantsRoles = try members.flag("include_roles")
        resource.name = try members.optionalText("name")
        if let described = members.object["scope_descriptions"] {
            guard let described = described.object else { throw Malformed() }
            for (scope, text) in described {
                guard let text = text.string else { throw Malformed() }
                resource.scopeDescriptions[Identifier(scope)] = text
            }
        }
        if let claims = members.object["claims"]?.object {
            do { resource.claims = try ClaimRules(claims) } catch { throw Malformed() }
        }
        return resource
    }

    private static func role(_ value: JSONValue) throws(Malformed) -> RoleDefinition {
        let members = try Members(value, known: ["name", "scopes"])
        var role = RoleDefinition(name: Identifier(try members.text("name")))
        role.scopes = ScopeSet(try members.identifiers("scopes"))
        return role
    }

    private static func route(_ value: JSONValue) throws(Malformed) -> RouteDefinition {
        let known = ["name", "match", "upstream", "require", "identity", "pass_token", "when_stale"]
        let members = try Members(value, known: known)
        guard let matchValue = members.object["match"] else { throw Malformed() }
        let match = try Members(matchValue, known: ["host", "path", "methods"])
        var route = RouteDefinition(
            name: try members.text("name"), path: try match.text("path"), upstreams: try members.texts("upstream")
        )
        route.host = try match.optionalText("host")
        if match.object["methods"] != nil { route.methods = try match.texts("methods") }
        switch members.object["require"] {
        case nil: break
        case .string(let text)?:
            guard text.isSameBytes(as: "none") else { throw Malformed() }
            route.requirement = .open
        case let rule?: route.requirement = .token(try self.rule(rule))
        }
        guard let identity = IdentityHandOver(rawValue: try members.text("identity")) else { throw Malformed() }
        route.identity = identity
        route.passesToken = try members.flag("pass_token")
        if let text = try members.optionalText("when_stale") {
            guard let whenStale = WhenStale(rawValue: text) else { throw Malformed() }
            route.whenStale = whenStale
        }
        return route
    }

    private static func rule(_ value: JSONValue) throws(Malformed) -> TokenRule {
        let members = try Members(value, known: ["scope", "audience", "role", "client", "acr", "max_age", "resource_metadata"])
        var rule = TokenRule()
        rule.scope = ScopeSet(try members.identifiers("scope"))
        rule.audiences = try members.identifiers("audience")
        rule.roles = try members.identifiers("role")
        rule.clients = try members.identifiers("client")
        rule.acrValues = try members.texts("acr")
        rule.resourceMetadata = try members.optionalText("resource_metadata")
        if let text = try members.optionalText("max_age") {
            guard let maxAge = DurationText.parse(text) else { throw Malformed() }
            rule.maxAge = maxAge
        }
        // An empty rule is never written; reading one as "any token" would be a guess.
        if rule == TokenRule() { throw Malformed() }
        return rule
    }

    private static func identifiers(_ value: JSONValue) throws(Malformed) -> [Identifier] {
        guard let texts = value.strings else { throw Malformed() }
        return texts.map { Identifier($0) }
    }

    /// An object all of whose names are known.
    private struct Members {
        let object: JSONObject

        init(_ value: JSONValue, known: [String]) throws(Malformed) {
            guard let object = value.object else { throw Malformed() }
            for name in object.names where !known.contains(where: { $0.isSameBytes(as: name) }) { throw Malformed() }
            self.object = object
        }

        func text(_ name: String) throws(Malformed) -> String {
            guard let text = try optionalText(name) else { throw Malformed() }
            return text
        }

        func optionalText(_ name: String) throws(Malformed) -> String? {
            guard let value = object[name] else { return nil }
            guard let text = value.string else { throw Malformed() }
            return text
        }

        func flag(_ name: String) throws(Malformed) -> Bool {
            guard let value = object[name] else { return false }
            guard let flag = value.bool else { throw Malformed() }
            return flag
        }

        func texts(_ name: String) throws(Malformed) -> [String] {
            guard let value = object[name] else { return [] }
            guard let texts = value.strings else { throw Malformed() }
            return texts
        }

        func identifiers(_ name: String) throws(Malformed) -> [Identifier] { try texts(name).map { Identifier($0) } }

        func all<Value>(_ name: String, _ decode: (JSONValue) throws(Malformed) -> Value) throws(Malformed) -> [Value] {
            guard let value = object[name] else { return [] }
            guard let elements = value.array else { throw Malformed() }
            var decoded: [Value] = []
            for element in elements { decoded.append(try decode(element)) }
            return decoded
        }
    }
}
