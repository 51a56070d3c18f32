internal import Store

/// A key of a resource file, as data: from these tables come the check for unknown keys and docs/configuration.md.
package struct ResourceKey: Sendable {
    package let name: String
    /// What may be written.
    package let form: String
    package let documentation: String

    init(_ name: String, _ form: String, _ documentation: String) {
        self.name = name
        self.form = form
        self.documentation = documentation
    }
}

/// The shapes of the resource files.
package enum ResourceKeys {
    package static let document = [
        ResourceKey("users", "list", "People with an account."),
        ResourceKey("clients", "list", "Programs that get tokens."),
        ResourceKey("resources", "list", "The protected APIs: the audiences of tokens, and the scopes that each owns."),
        ResourceKey("roles", "mapping of name to list of scopes", "What an account may be granted."),
        ResourceKey("routes", "list", "What the gateway passes on, where to, and what it asks for."),
        ResourceKey("providers", "empty list", "Sign-in through other identity providers: none in this version."),
    ]

    package static let user = [
        ResourceKey("username", "text, at most 255 bytes", "Needed. The name to sign in with."),
        ResourceKey("email", "address", "The e-mail address."),
        ResourceKey("password", "secret", "Initial: used when the account is made, never again. Not beside `password_hash`."),
        ResourceKey("password_hash", "secret", "Initial, instead of `password`: a hash in PHC or crypt form, as other systems export it."),
        ResourceKey("roles", "list of role names", "What the account may be granted."),
    ]

    package static let client =
        [
            ResourceKey("id", "printable ASCII, at most 255 bytes", "Needed. The `client_id`. `gatehouse` is taken."),
            ResourceKey("public", "true, false", "A program that cannot keep a secret. Either this or `secret`."),
            ResourceKey(
                "secret", "secret",
                "Initial: used when the client is made, never again. In clear it needs 128 bits, but for a loopback issuer."
            ),
            ResourceKey(
                "grants", "list of \(GrantKind.allCases.map { "`\($0.rawValue)`" }.joined(separator: ", "))",
                "Needed. How the client gets tokens."),
            ResourceKey(
                "redirect_uris", "list of URLs", "Where the authorization code goes, compared byte by byte; `https`, or `http` on loopback."
            ),
            ResourceKey("scopes", "list of scopes", "The most that its tokens may carry."),
        ] + ClientFields.all.map { ResourceKey($0.name, $0.values, $0.documentation) }

    package static let resource = [
        ResourceKey("id", "printable ASCII, at most 255 bytes", "Needed. The audience. `gatehouse` is taken."),
        ResourceKey("name", "text, at most 128 characters", "What people are shown when they are asked to agree. Without it the id."),
        ResourceKey("scopes", "list of scopes", "The scopes that it owns. A scope belongs to one resource only."),
        ResourceKey(
            "scope_descriptions", "mapping of scope to text",
            "What people read when they are asked for one of its scopes, at most 128 characters: `See your orders`. Without it the scope's name."
        ),
        ResourceKey("include_roles", "true, false", "Whether its tokens carry the account's `roles`. Default false."),
        ResourceKey("claims", "mapping of claim to rule", "Further claims of its access tokens; see docs/guides/claims.md."),
    ]

    package static let route = [
        ResourceKey("name", "letters, digits, `.` `_` `-`, at most 64", "Needed. The name in logs and metrics."),
        ResourceKey("match", "mapping", "Needed. Which requests, see below."),
        ResourceKey(
            "upstream", "URL or list of URLs", "Needed. `http://HOST:PORT` or `https://HOST:PORT` without a path; a list is balanced."),
        ResourceKey(
            "require", "`none` or mapping", "What a token needs, see below. Without it any valid token passes; `none` opens the route."),
        ResourceKey("identity", "`headers`, `jwt`, `none`", "How the service learns who is calling. Default `headers`."),
        ResourceKey("pass_token", "true, false", "Whether the service also gets the client's own `Authorization`. Default false."),
        ResourceKey("when_stale", "`refuse`, `ask`, `serve`", "Overrides `revocations.when_stale`."),
    ]

    package static let match = [
        ResourceKey("path", "path", "Needed. A prefix by whole segments: `/orders` also matches `/orders/7`, not `/ordersx`."),
        ResourceKey("host", "host name", "In lower case and without a port. Without it every host matches."),
        ResourceKey("methods", "list of methods", "Others are answered 405. Without it all but CONNECT and TRACE; GET includes HEAD."),
    ]

    package static let rule = [
        ResourceKey("scope", "scope or list", "All of them are needed."),
        ResourceKey("audience", "resource or list", "One of them is needed. Without it the resource that owns the scope."),
        ResourceKey("role", "role or list", "One of them is needed."),
        ResourceKey("client", "client or list", "One of them is needed."),
        ResourceKey("acr", "text or list", "One of these authentication context classes is needed."),
        ResourceKey("max_age", "duration", "How long ago the person may have signed in; `1s…365d`."),
        ResourceKey(
            "resource_metadata", "URL", "Where the resource describes itself (RFC 9728); refusals name it, with the scope that is needed."),
    ]
}

/// How much there may be of everything in resource files.
package enum ResourceLimits {
    package static let filesMax = 64
    package static let definitionsMax = 10_000
    package static let namesMax = 256
    package static let redirectURIsMax = 64
    package static let upstreamsMax = 64
    package static let methodsMax = 32
    package static let nameBytesMax = 255
    package static let passwordBytesMax = 1_024
    package static let problemsMax = 200
}
