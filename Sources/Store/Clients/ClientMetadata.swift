package import AuthCore

/// What a client is beside its name, grants and scopes: the metadata of RFC 7591 §2 and OpenID Connect Registration §2, and what only an
/// operator may say of it. `ClientFields` names, reads and writes each member.
package struct ClientMetadata: Sendable, Equatable {
    // What people see.
    package var name: String?
    package var uri: String?
    package var policyURI: String?
    package var termsURI: String?
    package var logoURI: String?
    package var applicationType = ApplicationType.web
    /// Part of the same product as Gatehouse: nobody is asked for consent.
    package var isFirstParty = false
    package var profile = ClientProfile.oauth21

    // How it proves itself.
    package var authenticationMethod: ClientAuthenticationKind?
    package var authenticationAlgorithm: String?
    /// A JWK set (RFC 7517 §5) with public keys only.
    package var jwks: JSONObject?
    package var jwksURI: String?
    package var tlsSubject: String?
    package var tlsDNSName: String?
    package var tlsURI: String?
    package var tlsAddress: String?
    package var tlsEmail: String?

    /// A platform whose tokens about `workloadSubject` are taken as this client's assertions; never by registration.
    package var workloadIssuer: String?
    package var workloadSubject: String?
    package var workloadKeysURI: String?

    // Where people go afterwards.
    package var postLogoutRedirectURIs: [String] = []
    package var backchannelLogoutURI: String?
    package var backchannelNeedsSession = false
    package var frontchannelLogoutURI: String?
    package var frontchannelNeedsSession = false

    // What is asked for.
    package var requestURIs: [String] = []
    package var requestObjectAlgorithm: String?
    package var needsSignedRequest = false
    package var needsPushedRequest = false
    package var defaultMaxAge: Duration?
    package var needsAuthTime = false
    package var defaultACRValues: [String] = []
    package var authorizationDetailsTypes: [String] = []

    // What it gets.
    package var subjectType = SubjectType.public
    package var sectorIdentifierURI: String?
    package var idTokenAlgorithm: String?
    package var idTokenEncryption = EncryptionChoice()
    package var userinfoAlgorithm: String?
    package var userinfoEncryption = EncryptionChoice()
    package var introspectionAlgorithm: String?
    package var authorizationAlgorithm: String?
    package var needsDPoP = false
    package var needsBoundCertificate = false

    // Policy; never by registration.
    /// The resources that this client is: it may look into their tokens (RFC 7662).
    package var servedResources: [String] = []
    /// The resources for which it may exchange tokens of others (RFC 8693); empty: for none.
    package var exchangeAudiences: [String] = []
    /// The clients whose tokens it may exchange; empty: only its own.
    package var exchangeClients: [String] = []
    /// Whether an exchanged token names this client as the actor (delegation) or hides it (impersonation).
    package var exchangeImpersonates = false
    /// Further claims of its ID tokens and UserInfo.
    package var claims = ClaimRules()
    /// Whose assertions about people this client may turn into tokens (RFC 7523 §2.1), and where that issuer publishes its keys.
    package var assertionIssuer: String?
    package var assertionKeysURI: String?

    package init() {}

    /// What the method is when nothing is said (RFC 7591 §2).
    package func authentication(isPublic: Bool) -> ClientAuthenticationKind? {
        if let authenticationMethod { return authenticationMethod }
        return isPublic ? ClientAuthenticationKind.none : nil
    }
}

/// OpenID Connect Registration §2.
package enum ApplicationType: String, Sendable, CaseIterable { case web, native }

/// OpenID Connect Core §8.
package enum SubjectType: String, Sendable, CaseIterable { case `public`, pairwise }

/// A named set of rules that binds a class of clients.
package enum ClientProfile: String, Sendable, CaseIterable {
    /// OAuth 2.1 with RFC 9700.
    case oauth21 = "oauth-2.1"
    /// The FAPI 2.0 Security Profile.
    case fapi20 = "fapi-2.0"
    /// What the authorization specification of the Model Context Protocol asks for.
    case mcp
    /// What RFC 9700 advises against and old clients need: chosen by name, never by default.
    case legacy
}

/// How a client proves itself at the token endpoint (`token_endpoint_auth_method`, RFC 7591 §2, RFC 8705 §2).
package enum ClientAuthenticationKind: String, Sendable, CaseIterable {
    case none
    case secretBasic = "client_secret_basic"
    case secretPost = "client_secret_post"
    case secretJWT = "client_secret_jwt"
    case privateKeyJWT = "private_key_jwt"
    case tls = "tls_client_auth"
    case selfSignedTLS = "self_signed_tls_client_auth"

    package var usesSecret: Bool { self == .secretBasic || self == .secretPost || self == .secretJWT }
}

/// `…_encrypted_response_alg` and `…_encrypted_response_enc`.
package struct EncryptionChoice: Sendable, Equatable {
    package var algorithm: String?
    package var encoding: String?

    package init() {}
}
