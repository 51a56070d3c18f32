package import AuthCore

/// Everything that `gatehouse apply` brings into being, as values: what the files say and what the admin API returns.
package struct ResourceDocument: Sendable, Equatable {
    package var users: [UserDefinition] = []
    package var clients: [ClientDefinition] = []
    package var resources: [ResourceDefinition] = []
    package var roles: [RoleDefinition] = []
    package var routes: [RouteDefinition] = []

    package init() {}
}

/// Who brought a stored resource into being; `apply` touches only its own.
package enum ManagedBy: String, Sendable { case file, api, builtIn = "built_in" }

package struct UserDefinition: Sendable, Equatable {
    package var username: String
    package var email: String?
    /// Initial: used when the account is created, never again.
    package var password: Secret<String>?
    /// A PHC string or a crypt(3) hash, instead of `password`.
    package var passwordHash: Secret<String>?
    package var roles: [Identifier] = []

    package init(username: String) { self.username = username }

    /// Initial secrets do not count: they have no effect on what exists.
    package static func == (left: UserDefinition, right: UserDefinition) -> Bool {
        left.username.isSameBytes(as: right.username) && left.email == right.email && left.roles == right.roles
    }
}

package struct ClientDefinition: Sendable, Equatable {
    package var id: Identifier
    /// No credentials of its own (RFC 6749 §2.1).
    package var isPublic = false
    /// Initial: used when the client is created, never again.
    package var secret: Secret<String>?
    package var grants: [GrantKind] = []
    package var redirectURIs: [String] = []
    package var scopes: ScopeSet = .none
    package var metadata = ClientMetadata()

    package init(id: Identifier) { self.id = id }

    /// The initial secret does not count: it has no effect on what exists.
    package static func == (left: ClientDefinition, right: ClientDefinition) -> Bool {
        left.id == right.id && left.isPublic == right.isPublic && left.grants == right.grants
            && left.redirectURIs == right.redirectURIs && left.scopes == right.scopes && left.metadata == right.metadata
    }
}

/// What a client may use to get tokens. `login` is the first-party exception (`POST /login`).
package enum GrantKind: String, Sendable, CaseIterable {
    case login
    case authorizationCode = "authorization_code"
    case refreshToken = "refresh_token"
    case clientCredentials = "client_credentials"
    case deviceCode = "device_code"
    case tokenExchange = "token_exchange"
    case jwtBearer = "jwt_bearer"

    /// The `grant_type` of the token endpoint; nothing for `login`, which is none.
    package var grantType: String? {
        switch self {
        case .login: nil
        case .authorizationCode, .refreshToken, .clientCredentials: rawValue
        case .deviceCode: "urn:ietf:params:oauth:grant-type:device_code"
        case .tokenExchange: "urn:ietf:params:oauth:grant-type:token-exchange"
        case .jwtBearer: "urn:ietf:params:oauth:grant-type:jwt-bearer"
        }
    }
}

/// A protected API: an audience and the scopes that it owns. A scope belongs to exactly one resource.
package struct ResourceDefinition: Sendable, Equatable {
    package var id: Identifier
    /// What people are shown in the place of `id`.
    package var name: String?
    package var scopes: ScopeSet = .none
    /// What people read of a scope before they agree; not of each.
    package var scopeDescriptions: [Identifier: String] = [:]
    /// Whether its tokens carry the account's `roles`.
    package var wantsRoles = false
    /// Further claims of its tokens.
    package var claims = ClaimRules()

    package init(id: Identifier) { self.id = id }
}

package struct RoleDefinition: Sendable, Equatable {
    package var name: Identifier
    package var scopes: ScopeSet = .none

    package init(name: Identifier) { self.name = name }
}

/// One route of the gateway.
package struct RouteDefinition: Sendable, Equatable {
    package var name: String
    /// Lower-case ASCII, no port; nothing matches every host.
    package var host: String?
    /// Canonical, begins with `/`; a prefix by whole segments.
    package var path: String
    /// Nothing is all but CONNECT and TRACE; GET includes HEAD.
    package var methods: [String]?
    /// `http://host:port` or `https://host:port`, no path; several are balanced.
    package var upstreams: [String]
    package var requirement: RouteRequirement = .token(TokenRule())
    package var identity: IdentityHandOver = .headers
    /// Whether the client's own `Authorization` goes on to the service.
    package var passesToken = false
    /// Overrides `revocations.when_stale`.
    package var whenStale: WhenStale?

    package init(name: String, path: String, upstreams: [String]) {
        self.name = name
        self.path = path
        self.upstreams = upstreams
    }
}

package enum RouteRequirement: Sendable, Equatable {
    /// `require: none`, and nothing else, opens a route.
    case open
    case token(TokenRule)
}

/// What a route asks of a token. Of a list, `scope` needs all, the others any.
package struct TokenRule: Sendable, Equatable {
    package var scope: ScopeSet = .none
    /// Empty: the resource that owns its scope or, without one, any audience but `gatehouse`.
    package var audiences: [Identifier] = []
    package var roles: [Identifier] = []
    package var clients: [Identifier] = []
    package var acrValues: [String] = []
    package var maxAge: Duration?
    /// Where clients without a token read about the resource (RFC 9728 §5.1).
    package var resourceMetadata: String?

    package init() {}
}

/// How the service behind a route learns who is calling.
package enum IdentityHandOver: String, Sendable, CaseIterable {
    /// `X-Auth-Subject`, `X-Auth-Client`, `X-Auth-Scope`, `X-Auth-Session`.
    case headers
    /// A short-lived signed token in `X-Auth-Token`.
    case jwt
    case none
}

/// What a decision point does when its replica of the revocations is older than `revocations.max_staleness`.
package enum WhenStale: String, Sendable, CaseIterable { case refuse, ask, serve }
