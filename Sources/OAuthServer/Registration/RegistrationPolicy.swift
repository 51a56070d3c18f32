package import AuthCore
package import Store

/// Who may register a client (RFC 7591 §3), and what such a client may be at the most.
package struct RegistrationPolicy: Sendable {
    package enum Openness: String, Sendable, CaseIterable {
        /// Nobody: there is no such endpoint.
        case off
        /// Whoever has an initial access token of an operator.
        case token
        /// Everybody.
        case open
    }

    package var openness: Openness
    /// What clients that an operator has not made may ask people for; none of Gatehouse's own.
    package var scopes: ScopeSet
    package var grants: [GrantKind]
    package var clientsMax: Int64
    /// Registrations of one source within an hour.
    package var perSource: Int64
    package var unusedTTL: Duration
    /// Whether the id of a client may be the URL of its metadata.
    package var takesDocuments: Bool
    /// The hosts of such URLs; empty: any.
    package var documentHosts: [Identifier]

    /// What tokens can be signed with here.
    package var tokenAlgorithms: [String]
    /// How clients can prove themselves here.
    package var authenticationMethods: [ClientAuthenticationKind]
    /// Whether certificates can arrive here, for tokens to be bound to (RFC 8705 §3).
    package var seesCertificates: Bool { authenticationMethods.contains { $0 == .tls || $0 == .selfSignedTLS } }

    /// Redirect URIs and the like, of one client.
    package static let redirectURIsMax = 32
    /// `POST /register` and `PUT`, in bytes.
    package static let bodyMax = 65_536

    package static let settings = [
        SettingKey(
            "registration.policy", .choice(Openness.allCases.map(\.rawValue)), default: "off",
            "Who may register clients at `/register` (RFC 7591): nobody (`off`), whoever has a token of `gatehouse client "
                + "registration-token` (`token`), or everybody who reaches it (`open`)."
        ),
        SettingKey(
            "registration.scopes", .list(.text), default: "openid,profile,email,offline_access",
            "What registered clients, and those of `registration.documents`, may ask people for. More than this they never get, whatever "
                + "they register; scopes of Gatehouse's own (`gatehouse:…`) never."
        ),
        SettingKey(
            "registration.grants", .list(.choice(["authorization_code", "refresh_token", "client_credentials"])),
            default: "authorization_code,refresh_token",
            "The grants that a client may register. `client_credentials`, which asks no person, only with the policy `token`."
        ),
        SettingKey(
            "registration.clients_max", .integer(1...5_000), default: "1000",
            "The most clients that registered themselves or came by `registration.documents`, together."
        ),
        SettingKey(
            "registration.per_source", .integer(1...10_000), default: "20",
            "Registrations within an hour from one address (of IPv6 one /64); more are answered 429."
        ),
        SettingKey(
            "registration.unused_ttl", .duration(.seconds(86_400)...(.seconds(3_650 * 86_400))), default: "30d",
            "After how long a client goes that nobody signed in through and that holds nothing. Services with `client_credentials` stay."
        ),
        SettingKey(
            "registration.documents", .flag, default: "false",
            "Whether a `client_id` may be the `https` URL of a document that says what the client is (Client ID Metadata Documents), as clients "
                + "of the Model Context Protocol have it. Such a client is public or has `private_key_jwt`."
        ),
        SettingKey(
            "registration.document_hosts", .list(.text), default: "",
            "The hosts that these URLs may have, each whole and in lower case. Without a value: any on the public network."
        ),
    ]

    package init(
        openness: Openness = .off, scopes: ScopeSet = ScopeCatalogue.identityScopes,
        grants: [GrantKind] = [.authorizationCode, .refreshToken]
    ) {
        self.openness = openness
        self.scopes = ScopeSet(scopes.filter { !$0.text.utf8.starts(with: "gatehouse:".utf8) })
        self.grants = grants
        clientsMax = 1_000
        perSource = 20
        unusedTTL = .seconds(30 * 86_400)
        tokenAlgorithms = ClientFields.signatures
        authenticationMethods = ClientAuthentication.methods((verified: false, unverified: false))
        takesDocuments = false
        documentHosts = []
    }

    /// The bounds of the store for a client that comes now.
    package func bounds(at now: Instant) -> RegistrationBounds {
        RegistrationBounds(clientsMax: clientsMax, unusedSince: now - unusedTTL)
    }
}
