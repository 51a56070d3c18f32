package import Store

/// What the profile of a client, and what it registered, allow it and ask of it.
package struct ClientPolicy: Sendable {
    private let definition: ClientDefinition

    package init(_ definition: ClientDefinition) { self.definition = definition }

    private var metadata: ClientMetadata { definition.metadata }
    private var profile: ClientProfile { metadata.profile }

    /// Whether it may prove itself in this way.
    package func allows(_ method: ClientAuthenticationKind) -> Bool {
        // FAPI 2.0 Security Profile §5.3.2.1.
        if profile == .fapi20, ![.privateKeyJWT, .tls, .selfSignedTLS].contains(method) { return false }
        if let only = metadata.authentication(isPublic: definition.isPublic) { return method == only }
        switch method {
        case .secretBasic, .secretPost: return true
        case .privateKeyJWT: return metadata.jwks != nil || metadata.jwksURI != nil || metadata.workloadIssuer != nil
        case .none, .secretJWT, .tls, .selfSignedTLS: return false
        }
    }

    /// Whether its assertions must name the issuer alone as their audience (FAPI 2.0 Security Profile §5.3.2.1, RFC 7523bis).
    package var wantsStrictAudience: Bool { profile == .fapi20 }

    /// Whether its authorization requests need a code challenge (OAuth 2.1 §4.1.1). Only old confidential clients go without.
    package var needsCodeChallenge: Bool { profile != .legacy || definition.isPublic }

    /// RFC 9126 §6, FAPI 2.0 Security Profile §5.3.2.2.
    package var needsPushedRequest: Bool { metadata.needsPushedRequest || profile == .fapi20 }

    /// Whether its tokens must be bound to a key.
    package var needsSenderConstraint: Bool { metadata.needsDPoP || metadata.needsBoundCertificate || profile == .fapi20 }

    /// Whether it must name its redirect URI in each request, as OpenID Connect and FAPI ask; else one that is the only one may be left
    /// out (RFC 6749 §3.1.2.3).
    package var needsRedirectURI: Bool { profile == .fapi20 }

    /// Whether it must say which resource its tokens are for (Model Context Protocol, Authorization: Resource Parameter Implementation).
    package var needsResource: Bool { profile == .mcp }

    /// Whether a refresh token is used up by its use. Those of confidential clients that prove a key are not, where the profile forbids it
    /// (FAPI 2.0 Security Profile §5.3.2.1); those of public clients always.
    package func rotates(isSenderConstrained: Bool) -> Bool {
        !(profile == .fapi20 && !definition.isPublic && isSenderConstrained)
    }

    /// Whether people are asked before it gets something (OpenID Connect Core §3.1.2.4).
    package var asksForConsent: Bool { !(metadata.isFirstParty || definition.grants.contains(.login)) }

    /// What it gets is signed with this where it registered nothing (OpenID Connect Registration §2; FAPI 2.0 Security Profile §5.4.1).
    package var usualAlgorithm: String { profile == .fapi20 ? "ES256" : "RS256" }

    /// How long its codes live at the most (FAPI 2.0 Security Profile §5.3.2.1); nothing: as the setting says.
    package var codeLifetimeMax: Duration? { profile == .fapi20 ? .seconds(60) : nil }

    /// The algorithms that its assertions, request objects and DPoP proofs may have.
    package var signatureAlgorithms: [String] { profile == .fapi20 ? ["PS256", "ES256", "EdDSA"] : ClientFields.signatures }
}

extension Client {
    package var policy: ClientPolicy { ClientPolicy(definition) }
}
