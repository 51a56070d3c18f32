internal import AuthCore
internal import Store

extension ResourceReader {
    mutating func user(_ node: YAMLNode, _ path: String) {
        guard let fields = fields(node, ResourceKeys.user, path) else { return }
        let name = name(fields, "username", ResourceSyntax.usernameFault)
        var user = UserDefinition(username: name?.value ?? "")
        user.email = checked(text(fields, "email"), fields.path("email"), ResourceSyntax.emailFault)?.value
        user.password = secret(fields, "password", bytesMax: ResourceLimits.passwordBytesMax)?.value
        user.passwordHash = secret(fields, "password_hash", bytesMax: ResourceLimits.passwordBytesMax)?.value
        if let hash = user.passwordHash,
            !hash.exposed.utf8.allSatisfy({ (0x21...0x7E) ~= $0 }) || !hash.exposed.utf8.contains(UInt8(ascii: "$"))
        {
            problem(fields.node("password_hash")?.place ?? fields.place, fields.path("password_hash"), "is no password hash ($…)")
        }
        if fields.node("password") != nil, let hash = fields.node("password_hash") {
            problem(hash.place, fields.path("password_hash"), "stands beside password; one of them is enough")
        }
        let roles = list(fields, "roles", ResourceSyntax.labelFault)
        for role in roles { names.refer(.role, role, fields.path("roles")) }
        user.roles = roles.map { Identifier($0.value) }
        if let name, declare(.user, name, fields.path("username")) { document.users.append(user) }
    }

    mutating func client(_ node: YAMLNode, _ path: String) {
        guard let fields = fields(node, ResourceKeys.client, path) else { return }
        let id = name(fields, "id", ResourceSyntax.identifierFault)
        var client = ClientDefinition(id: Identifier(id?.value ?? ""))
        client.isPublic = flag(fields, "public") ?? false
        client.secret = clientSecret(fields)
        metadata(fields, &client.metadata)
        let method = client.metadata.authenticationMethod
        let metadata = client.metadata
        let hasKeys = metadata.jwks != nil || metadata.jwksURI != nil || metadata.workloadIssuer != nil || method == .tls
        if client.isPublic, let secret = fields.node("secret") {
            problem(secret.place, fields.path("secret"), "stands beside public: true; a public client has no secret")
        } else if !client.isPublic, fields.node("secret") == nil {
            if let method, method.usesSecret {
                problem(fields.place, fields.path("secret"), "is missing: \(method.rawValue) needs one")
            } else if !hasKeys {
                problem(fields.place, fields.path("secret"), "is missing: a client is public: true, or has a secret, keys or a certificate")
            }
        } else if let method, !method.usesSecret, method != .none, let secret = fields.node("secret") {
            problem(secret.place, fields.path("secret"), "has no use beside token_endpoint_auth_method: \(method.rawValue)")
        } else if method == .secretJWT, let secret = client.secret, secret.exposed.utf8.count < 32 {
            problem(
                fields.node("secret")?.place ?? fields.place, fields.path("secret"),
                "is shorter than 32 bytes, which HS256 needs (RFC 7518 §3.2)")
        }
        grants(fields, &client)
        let redirects = list(fields, "redirect_uris", max: ResourceLimits.redirectURIsMax, URISyntax.redirectFault)
        client.redirectURIs = redirects.map(\.value)
        let needsRedirect = client.grants.contains(.authorizationCode)
        if needsRedirect, client.redirectURIs.isEmpty {
            problem(fields.place, fields.path("redirect_uris"), "is missing: authorization_code needs where to send the code")
        } else if !needsRedirect, let node = fields.node("redirect_uris"), !redirects.isEmpty {
            problem(node.place, fields.path("redirect_uris"), "has no use without the grant authorization_code")
        }
        client.scopes = ScopeSet(scopes(fields, "scopes", orOne: false))
        checkTogether(fields, client)
        if let id, declare(.client, id, fields.path("id")) { document.clients.append(client) }
    }

    private mutating func metadata(_ fields: ResourceFields, _ metadata: inout ClientMetadata) {
        for field in ClientFields.all {
            guard let node = fields.node(field.name) else { continue }
            guard let value = node.json(field.form) else {
                problem(node.place, fields.path(field.name), "is \(node.kindName), where \(field.values) is expected")
                continue
            }
            if let fault = field.write(&metadata, value) { problem(node.place, fields.path(field.name), fault) }
        }
    }

    /// What does not go together, and names in the metadata that something must declare.
    private mutating func checkTogether(_ fields: ResourceFields, _ client: ClientDefinition) {
        for fault in client.faults {
            problem(fields.node(fault.member)?.place ?? fields.place, fields.path(fault.member), fault.message)
        }
        for (name, kind) in [("serves", DeclaredNames.Kind.resource), ("exchange_audiences", .resource), ("exchange_clients", .client)] {
            guard case .sequence(let nodes)? = fields.node(name)?.content else { continue }
            for node in nodes {
                if let text = node.text { names.refer(kind, Located(value: text, place: node.place), fields.path(name)) }
            }
        }
        checkConsent(fields, client)
    }

    /// Whoever can pretend to be a client gets what it gets unasked, and anybody can receive at an address of a device (RFC 8252 §8.6).
    private mutating func checkConsent(_ fields: ResourceFields, _ client: ClientDefinition) {
        // Each of the two alone leaves people unasked (`ClientPolicy.asksForConsent`).
        let reasons = [("first_party", client.metadata.isFirstParty), ("grants", client.grants.contains(.login))]
        guard client.isPublic, client.redirectURIs.contains(where: { $0.dropping(prefix: "https://") == nil }),
            let name = reasons.first(where: \.1)?.0, let node = fields.node(name)
        else { return }
        let what = name.isSameBytes(as: "grants") ? "has login, which leaves people unasked" : "leaves people unasked"
        let message = "\(what), and any program can receive at a redirect URI that is not https (RFC 8252 §8.6)"
        if context.issuer.isLoopback {
            warning(node.place, fields.path(name), message)
        } else {
            problem(node.place, fields.path(name), message)
        }
    }

    private mutating func grants(_ fields: ResourceFields, _ client: inout ClientDefinition) {
        let path = fields.path("grants")
        guard let node = fields.node("grants") else {
            problem(fields.place, path, "is missing: say how the client gets tokens")
            return
        }
        for name in list(fields, "grants", { _ in nil }) {
            if let grant: GrantKind = word(name, path) { client.grants.append(grant) }
        }
        if case .sequence(let elements) = node.content, elements.isEmpty {
            problem(node.place, path, "is empty: say how the client gets tokens")
        }
        let has = Set(client.grants)
        if client.isPublic, has.contains(.clientCredentials) {
            problem(node.place, path, "client_credentials is for clients with a secret (RFC 6749 §4.4)")
        }
        if has.contains(.refreshToken), has.isDisjoint(with: [.authorizationCode, .login, .deviceCode]) {
            problem(
                node.place, path,
                "refresh_token needs authorization_code, device_code or login beside it: nothing else gives refresh tokens")
        }
    }

    private mutating func clientSecret(_ fields: ResourceFields) -> Secret<String>? {
        let path = fields.path("secret")
        guard let (value, isLiteral) = secret(fields, "secret", bytesMax: ResourceLimits.passwordBytesMax) else { return nil }
        let place = fields.node("secret")?.place ?? fields.place
        guard value.exposed.utf8.allSatisfy({ (0x20...0x7E) ~= $0 }) else {
            problem(place, path, "has characters other than printable ASCII (RFC 6749 appendix A.2)")
            return nil
        }
        guard ResourceSyntax.bitsMax(value.exposed) < 128 else { return value }
        if isLiteral, !context.issuer.isLoopback {
            problem(
                place, path, "has less than 128 bits, and stands in clear; use env: or file:, and a random secret (openssl rand -hex 32)"
            )
        } else {
            warning(place, path, "has less than 128 bits; use a random secret (openssl rand -hex 32) for anything but a demonstration")
        }
        return value
    }

    /// A secret, wherever it is kept. No message has any of it.
    private mutating func secret(_ fields: ResourceFields, _ name: String, bytesMax: Int) -> (value: Secret<String>, isLiteral: Bool)? {
        guard let text = text(fields, name) else { return nil }
        let reference = SecretSource.Reference(text.value)
        do {
            let secret = try context.secrets.secret(reference, base: base)
            if secret.exposed.utf8.count <= bytesMax { return (secret, reference.isLiteral) }
            problem(text.place, fields.path(name), "is longer than \(bytesMax) bytes")
        } catch {
            problem(text.place, fields.path(name), error.message)
        }
        return nil
    }
}

extension YAMLNode {
    /// The value as JSON, by what it is to be; nothing when it is something else.
    func json(_ form: ClientField.Form) -> JSONValue? {
        switch (form, content) {
        case (.text, .plain(let text)), (.text, .quoted(let text)): return .string(text)
        case (.flag, .plain("true")): return .bool(true)
        case (.flag, .plain("false")): return .bool(false)
        case (.seconds, .plain(let text)):
            // A number of seconds, as in registration, or a duration, as everywhere else in these files.
            if let duration = DurationText.parse(text) { return .number(JSONNumber(duration.wholeSeconds)) }
            return NumberText.split(text).flatMap { $1.isEmpty ? Int64(exactly: $0).map { .number(JSONNumber($0)) } : nil }
        case (.texts, .sequence(let nodes)):
            let texts = nodes.compactMap(\.text)
            return texts.count == nodes.count ? .array(texts.map { .string($0) }) : nil
        case (.object, .mapping(let members)):
            return .object(JSONObject(members.map { ($0.name, $0.value.anyJSON) }))
        default: return nil
        }
    }

    private var anyJSON: JSONValue {
        switch content {
        case .null: .null
        case .plain("true"): .bool(true)
        case .plain("false"): .bool(false)
        case .plain(let text): Int64(text).map { .number(JSONNumber($0)) } ?? .string(text)
        case .quoted(let text): .string(text)
        case .sequence(let nodes): .array(nodes.map(\.anyJSON))
        case .mapping(let members): .object(JSONObject(members.map { ($0.name, $0.value.anyJSON) }))
        }
    }
}
