package import AuthCore

/// What of a client's members does not go together, whatever each is by itself. Files and registration ask the same.
package struct ClientFault: Sendable, Equatable {
    /// The member that says so, or that is missing.
    package let member: String
    package let message: String

    init(_ member: String, _ message: String) {
        self.member = member
        self.message = message
    }
}

extension ClientDefinition {
    /// Every fault of the whole; empty when the members go together.
    package var faults: [ClientFault] {
        authenticationFaults + certificateFaults + profileFaults + grantFaults + logoutFaults + requestFaults + tokenFaults
    }

    private var hasKeys: Bool { metadata.jwks != nil || metadata.jwksURI != nil }
    private func has(_ grant: GrantKind) -> Bool { grants.contains(grant) }

    /// RFC 7591 §2, RFC 7523 §2.2.
    private var authenticationFaults: [ClientFault] {
        var faults: [ClientFault] = []
        let name = "token_endpoint_auth_method"
        if metadata.jwks != nil, metadata.jwksURI != nil {
            faults.append(ClientFault("jwks_uri", "stands beside jwks; one of them is enough (RFC 7591 §2)"))
        }
        guard let method = metadata.authenticationMethod else { return faults + algorithmFaults }
        if isPublic, method != .none {
            faults.append(ClientFault(name, "is \(method.rawValue); a public client proves nothing and has none"))
        }
        if !isPublic, method == .none {
            faults.append(ClientFault(name, "is none; only a client that is public: true proves nothing"))
        }
        // A workload's assertions are signed by its platform.
        if method == .selfSignedTLS && !hasKeys || method == .privateKeyJWT && !hasKeys && metadata.workloadIssuer == nil {
            let keys = method == .privateKeyJWT ? "jwks, jwks_uri or workload_issuer" : "jwks or jwks_uri"
            faults.append(ClientFault(name, "is \(method.rawValue), which needs \(keys)"))
        }
        return faults + algorithmFaults
    }

    private var algorithmFaults: [ClientFault] {
        guard let algorithm = metadata.authenticationAlgorithm else { return [] }
        let isSymmetric = algorithm.isSameBytes(as: "HS256")
        switch metadata.authenticationMethod {
        case .secretJWT where isSymmetric: return []
        case .privateKeyJWT where !isSymmetric: return []
        // What the default is when there are keys and nothing else is said.
        case nil where hasKeys && !isSymmetric: return []
        default:
            return [
                ClientFault(
                    "token_endpoint_auth_signing_alg",
                    isSymmetric ? "is HS256, which is for client_secret_jwt" : "is for private_key_jwt (RFC 7591 §2)")
            ]
        }
    }

    /// RFC 8705 §2.1.2: exactly one of the five says who the certificate is.
    private var certificateFaults: [ClientFault] {
        let subjects = [
            ("tls_client_auth_subject_dn", metadata.tlsSubject), ("tls_client_auth_san_dns", metadata.tlsDNSName),
            ("tls_client_auth_san_uri", metadata.tlsURI), ("tls_client_auth_san_ip", metadata.tlsAddress),
            ("tls_client_auth_san_email", metadata.tlsEmail),
        ].filter { $0.1 != nil }.map(\.0)
        guard metadata.authenticationMethod == .tls else {
            return subjects.map { ClientFault($0, "has no use without token_endpoint_auth_method: tls_client_auth") }
        }
        if subjects.isEmpty {
            return [
                ClientFault(
                    "token_endpoint_auth_method",
                    "is tls_client_auth, which needs one of tls_client_auth_subject_dn, …_san_dns, …_san_uri, …_san_ip, …_san_email")
            ]
        }
        return subjects.dropFirst().map { ClientFault($0, "stands beside \(subjects[0]); exactly one is meant (RFC 8705 §2.1.2)") }
    }

    /// FAPI 2.0 Security Profile §5.3.2.1, §5.4.1.
    private var profileFaults: [ClientFault] {
        guard metadata.profile == .fapi20 else { return [] }
        var faults: [ClientFault] = []
        if isPublic {
            faults.append(ClientFault("profile", "is fapi-2.0, which has no public clients (FAPI 2.0 §5.3.2.1)"))
        } else if metadata.authenticationMethod?.usesSecret ?? !hasKeys {
            faults.append(
                ClientFault("profile", "is fapi-2.0, which wants private_key_jwt or a certificate, not a secret (FAPI 2.0 §5.3.2.1)"))
        }
        for (name, algorithm) in [
            ("token_endpoint_auth_signing_alg", metadata.authenticationAlgorithm),
            ("id_token_signed_response_alg", metadata.idTokenAlgorithm), ("userinfo_signed_response_alg", metadata.userinfoAlgorithm),
            ("request_object_signing_alg", metadata.requestObjectAlgorithm),
            ("introspection_signed_response_alg", metadata.introspectionAlgorithm),
            ("authorization_signed_response_alg", metadata.authorizationAlgorithm),
        ] where algorithm?.isSameBytes(as: "RS256") == true {
            faults.append(ClientFault(name, "is RS256, which the profile fapi-2.0 does not allow (FAPI 2.0 §5.4.1)"))
        }
        if metadata.workloadIssuer != nil {
            faults.append(
                ClientFault("workload_issuer", "is the issuer of a platform; the profile fapi-2.0 wants assertions of the client's own"))
        }
        if metadata.applicationType != .native, redirectURIs.contains(where: { $0.dropping(prefix: "http://") != nil }) {
            faults.append(
                ClientFault("redirect_uris", "has http, which under fapi-2.0 native clients alone may have (FAPI 2.0 §5.3.2.2)"))
        }
        if has(.login) { faults.append(ClientFault("grants", "has login, which the profile fapi-2.0 does not allow")) }
        return faults
    }

    /// RFC 8693 and RFC 7523 leave it open whether a client proves itself; here whoever trades in tokens of others does.
    private var grantFaults: [ClientFault] {
        var faults: [ClientFault] = []
        for grant in [GrantKind.tokenExchange, .jwtBearer] where isPublic && has(grant) {
            faults.append(ClientFault("grants", "\(grant.rawValue) is for clients that prove themselves; a public client cannot"))
        }
        if !has(.tokenExchange) {
            for (name, isSet) in [
                ("exchange_audiences", !metadata.exchangeAudiences.isEmpty), ("exchange_clients", !metadata.exchangeClients.isEmpty),
                ("exchange_impersonates", metadata.exchangeImpersonates),
            ] where isSet {
                faults.append(ClientFault(name, "has no use without the grant token_exchange"))
            }
        }
        for (name, isSet) in [
            ("assertion_issuer", metadata.assertionIssuer != nil), ("assertion_jwks_uri", metadata.assertionKeysURI != nil),
        ] {
            if isSet, !has(.jwtBearer) { faults.append(ClientFault(name, "has no use without the grant jwt_bearer")) }
            if !isSet, has(.jwtBearer), !isPublic {
                faults.append(ClientFault("grants", "jwt_bearer needs \(name): somebody must be trusted"))
            }
        }
        if isPublic, !metadata.servedResources.isEmpty {
            faults.append(ClientFault("serves", "is for clients that prove themselves; a public client may not introspect (RFC 7662 §2.1)"))
        }
        return faults
    }

    /// OpenID Connect Front-Channel Logout §2, Back-Channel Logout §2.2.
    private var logoutFaults: [ClientFault] {
        var faults: [ClientFault] = []
        if metadata.backchannelNeedsSession, metadata.backchannelLogoutURI == nil {
            faults.append(ClientFault("backchannel_logout_session_required", "has no use without backchannel_logout_uri"))
        }
        if metadata.frontchannelNeedsSession, metadata.frontchannelLogoutURI == nil {
            faults.append(ClientFault("frontchannel_logout_session_required", "has no use without frontchannel_logout_uri"))
        }
        if let uri = metadata.frontchannelLogoutURI {
            let origin = URISyntax.origin(of: uri)
            if !redirectURIs.contains(where: { URISyntax.origin(of: $0).map { $0 == origin } ?? false }) {
                faults.append(
                    ClientFault(
                        "frontchannel_logout_uri", "has another scheme, host or port than each redirect URI (Front-Channel Logout §2)"))
            }
        }
        guard !has(.authorizationCode) else { return faults }
        for (name, isSet) in [
            ("backchannel_logout_uri", metadata.backchannelLogoutURI != nil),
            ("frontchannel_logout_uri", metadata.frontchannelLogoutURI != nil),
        ] where isSet {
            faults.append(ClientFault(name, "has no use without the grant authorization_code"))
        }
        return faults
    }

    /// RFC 9101 §10.5, RFC 9126 §6.
    private var requestFaults: [ClientFault] {
        var faults: [ClientFault] = []
        for (name, isSet) in [
            ("require_signed_request_object", metadata.needsSignedRequest), ("request_uris", !metadata.requestURIs.isEmpty),
            ("request_object_signing_alg", metadata.requestObjectAlgorithm != nil),
        ] where isSet && !hasKeys {
            faults.append(ClientFault(name, "needs jwks or jwks_uri: request objects are signed with the client's own key"))
        }
        if metadata.needsPushedRequest, !has(.authorizationCode) {
            faults.append(
                ClientFault("require_pushed_authorization_requests", "has no use without the grant authorization_code"))
        }
        return faults
    }

    /// OpenID Connect Registration §2, §5.
    private var tokenFaults: [ClientFault] {
        var faults: [ClientFault] = []
        for (name, choice) in [
            ("id_token_encrypted_response", metadata.idTokenEncryption), ("userinfo_encrypted_response", metadata.userinfoEncryption),
        ] {
            if choice.encoding != nil, choice.algorithm == nil { faults.append(ClientFault("\(name)_enc", "needs \(name)_alg beside it")) }
            if choice.algorithm != nil, !hasKeys {
                faults.append(ClientFault("\(name)_alg", "needs jwks or jwks_uri: it is encrypted to the client's key"))
            }
        }
        if metadata.needsBoundCertificate, metadata.needsDPoP {
            faults.append(
                ClientFault("tls_client_certificate_bound_access_tokens", "stands beside dpop_bound_access_tokens; a token has one key"))
        }
        // Whatever is about people needs one; a client's own tokens are about itself.
        if metadata.subjectType == .pairwise, metadata.sectorIdentifierURI == nil, grants.contains(where: { $0 != .clientCredentials }) {
            let hosts = Set(redirectURIs.map { URISyntax.host(of: $0).map { Identifier($0) } })
            if hosts.count != 1 || hosts == [nil] {
                faults.append(
                    ClientFault(
                        "subject_type",
                        "is pairwise; redirect URIs that are not all on one host need sector_identifier_uri (OpenID Connect Core §8.1)"))
            }
        }
        if metadata.subjectType == .pairwise {
            // There a token stands for an account by the account's own subject.
            if has(.login) { faults.append(ClientFault("subject_type", "is pairwise, which the grant login does not have")) }
            if scopes.contains(where: { $0.text.utf8.starts(with: "gatehouse:".utf8) }) {
                faults.append(ClientFault("subject_type", "is pairwise, and Gatehouse's own API knows nobody by that (scopes gatehouse:…)"))
            }
        }
        if metadata.sectorIdentifierURI != nil, metadata.subjectType != .pairwise {
            faults.append(ClientFault("sector_identifier_uri", "has no use without subject_type: pairwise"))
        }
        return faults
    }
}

extension URISyntax {
    /// The host of a web address; nothing for a scheme of an app's own.
    package static func host(of uri: String) -> String? { authority(of: uri).flatMap { HostAndPort.split($0) }?.host }

    /// Scheme, host and port, the default ones written out; nothing for a scheme of an app's own.
    package static func origin(of uri: String) -> Identifier? {
        guard let authority = authority(of: uri), let (host, port) = HostAndPort.split(authority) else { return nil }
        let isSecure = uri.dropping(prefix: "https://") != nil
        return Identifier("\(isSecure ? "https" : "http")://\(host):\(port ?? (isSecure ? 443 : 80))")
    }

    private static func authority(of uri: String) -> String? {
        guard let rest = uri.dropping(prefix: "https://") ?? uri.dropping(prefix: "http://") else { return nil }
        return String(Substring(rest.utf8.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }))
    }
}
