package import AuthCore
package import Store

/// What a client says of itself (RFC 7591 §2, OpenID Connect Registration §2), read into a definition within a policy, and written back.
///
/// Of the members that only an operator may set, and of those that nobody here knows, nothing is read: RFC 7591 §2 has a server ignore what
/// it does not understand, clients send their whole description to every server, and an ignored `first_party` gives nothing. The answer
/// says what was registered. What is *refused* is what would leave a client with less safety, or other grants, than it believes to have.
package struct RegisteredMetadata: Sendable {
    /// Where it was said.
    package enum Origin: Sendable, Equatable {
        /// At `/register`.
        case registration
        /// In the document that the id of the client names.
        case document
    }

    private let sent: JSONObject
    private let policy: RegistrationPolicy
    private let origin: Origin
    /// What it may have; narrower than `policy.grants` where nobody stands for the client.
    private let grants: [GrantKind]

    package init(_ sent: JSONObject, policy: RegistrationPolicy, grants: [GrantKind], origin: Origin) {
        // RFC 7592 §2.2: null is as if it were not there.
        self.sent = JSONObject(sent.members.filter { $0.value != .null })
        self.policy = policy
        self.grants = grants
        self.origin = origin
    }

    /// - Parameter before: The definition that is replaced; what an operator said of it stays.
    /// - Throws: `invalid_redirect_uri` or `invalid_client_metadata` with the member's name, `unapproved_software_statement`.
    package func definition(_ id: Identifier, replacing before: ClientDefinition? = nil) throws(OAuthError) -> ClientDefinition {
        if sent["software_statement"] != nil {
            // There is nobody whose statements are trusted; passed over, it would look as if its claims had been taken (RFC 7591 §2.3).
            throw OAuthError(.unapprovedSoftwareStatement, .softwareStatementUntrusted, "No issuer of software statements is trusted here.")
        }
        var client = ClientDefinition(id: id)
        try readFields(into: &client.metadata)
        // Model Context Protocol, client registration: people would be asked about a URL.
        if origin == .document, client.metadata.name == nil { throw RegisteredMetadata.fault("client_name", "is missing") }
        try readMethod(into: &client)
        readType(into: &client)
        client.grants = try readGrants()
        client.redirectURIs = try readRedirectURIs(client)
        try checkLogoutTargets(client.metadata)
        leaveOutForeignLinks(&client)
        client.scopes = try readScope()
        for field in ClientFields.all where !field.isRegistrable {
            if let value = before.flatMap({ field.read($0.metadata) }) { _ = field.write(&client.metadata, value) }
        }
        if client.isPublic, client.grants.contains(.clientCredentials) {
            throw RegisteredMetadata.fault(
                "grant_types", "has client_credentials, which is for clients that prove themselves (RFC 6749 §4.4)")
        }
        if let fault = client.faults.first { throw RegisteredMetadata.fault(fault.member, fault.message) }
        return client
    }

    static func fault(_ member: String, _ message: String) -> OAuthError {
        OAuthError(.invalidClientMetadata, .clientMetadataInvalid, "\"\(member)\" \(message).")
    }

    private func readFields(into metadata: inout ClientMetadata) throws(OAuthError) {
        for field in ClientFields.all where field.isRegistrable {
            guard let value = sent[field.name] else { continue }
            // "" and [] are nothing as well (RFC 7592 §2.2).
            if value.string?.isEmpty == true || value.array?.isEmpty == true { continue }
            if let message = field.write(&metadata, value) { throw RegisteredMetadata.fault(field.name, message) }
        }
        for (name, algorithm) in [
            ("id_token_signed_response_alg", metadata.idTokenAlgorithm), ("userinfo_signed_response_alg", metadata.userinfoAlgorithm),
            ("introspection_signed_response_alg", metadata.introspectionAlgorithm),
            ("authorization_signed_response_alg", metadata.authorizationAlgorithm),
        ] {
            // Whoever asks a file for it gets a server that cannot sign; here nobody would notice.
            guard let algorithm, !policy.tokenAlgorithms.contains(where: { $0.isSameBytes(as: algorithm) }) else { continue }
            throw RegisteredMetadata.fault(name, "is \(algorithm), which nothing is signed with here")
        }
    }

    /// `application_type` is of OpenID Connect Registration; whoever registers by RFC 7591, or is a document, cannot know of it, and is native
    /// where only a native client could be: public, and with `http` on loopback (RFC 8252 §7.3, §8.4).
    private func readType(into client: inout ClientDefinition) {
        guard client.isPublic, sent["application_type"] == nil else { return }
        let uris = sent["redirect_uris"]?.strings ?? []
        // What is no loopback address is refused as what it is, later.
        if uris.contains(where: { $0.dropping(prefix: "http://") != nil }) { client.metadata.applicationType = .native }
    }

    private func checkLogoutTargets(_ metadata: ClientMetadata) throws(OAuthError) {
        guard metadata.applicationType != .native else { return }
        for uri in metadata.postLogoutRedirectURIs {
            if let message = RegisteredMetadata.webOnlyFault(uri) { throw RegisteredMetadata.fault("post_logout_redirect_uris", message) }
        }
    }

    /// People see these beside a name that nobody has checked, so they lead where the client is at home: to the scheme and host of one of its
    /// redirect URIs (RFC 7591 §5), or of its document. Others are left out, and the answer shows it: refused, a client whose pages are
    /// somewhere else could not be registered anywhere with the metadata that it has.
    private func leaveOutForeignLinks(_ client: inout ClientDefinition) {
        let homes = (client.redirectURIs + (origin == .document ? [client.id.text] : [])).compactMap(RegisteredMetadata.home)
        func kept(_ link: String?) -> String? {
            let home = link.flatMap(RegisteredMetadata.home)
            return homes.contains { home?.isSameBytes(as: $0) ?? false } ? link : nil
        }
        client.metadata.uri = kept(client.metadata.uri)
        client.metadata.policyURI = kept(client.metadata.policyURI)
        client.metadata.termsURI = kept(client.metadata.termsURI)
        client.metadata.logoURI = kept(client.metadata.logoURI)
    }

    /// Scheme and host, without the port; nothing of a URI that has no host.
    private static func home(_ uri: String) -> String? {
        let isSecure = uri.dropping(prefix: "https://") != nil
        guard let rest = uri.dropping(prefix: "https://") ?? uri.dropping(prefix: "http://") else { return nil }
        let authority = String(Substring(rest.utf8.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }))
        return HostAndPort.split(authority).map { (isSecure ? "https://" : "http://") + $0.host }
    }

    private func readMethod(into client: inout ClientDefinition) throws(OAuthError) {
        let name = "token_endpoint_auth_method"
        let method: ClientAuthenticationKind
        if let asked = client.metadata.authenticationMethod {
            method = asked
        } else if origin == .document {
            // A document cannot hold a secret, so the default of RFC 7591 §2 cannot be meant.
            method = client.metadata.jwks == nil && client.metadata.jwksURI == nil ? .none : .privateKeyJWT
        } else {
            method = .secretBasic
        }
        guard policy.authenticationMethods.contains(method) else {
            throw RegisteredMetadata.fault(name, "is \(method.rawValue), which is not offered here")
        }
        if client.metadata.needsBoundCertificate, !policy.seesCertificates {
            throw RegisteredMetadata.fault("tls_client_certificate_bound_access_tokens", "is true, and no certificate can arrive here")
        }
        if origin == .document {
            for member in ["client_secret", "client_secret_expires_at"] where sent[member] != nil {
                throw RegisteredMetadata.fault(member, "cannot be in a document that everybody may read")
            }
            guard method == .none || method == .privateKeyJWT else {
                throw RegisteredMetadata.fault(name, "is \(method.rawValue); with a document it is none or private_key_jwt")
            }
        }
        client.metadata.authenticationMethod = method
        client.isPublic = method == .none
    }

    private func readGrants() throws(OAuthError) -> [GrantKind] {
        let asked = try texts("grant_types") ?? ["authorization_code"]
        var found: [GrantKind] = []
        for name in asked {
            // Refused rather than left out: a client that was answered 201 does not look whether it got less.
            guard let grant = grants.first(where: { $0.grantType.map { $0.isSameBytes(as: name) } ?? false }) else {
                // The document is the same for every server: what is not offered here it does without.
                if origin == .document { continue }
                throw RegisteredMetadata.fault("grant_types", "has \"\(name.prefix(64))\", which a client cannot register here")
            }
            if !found.contains(grant) { found.append(grant) }
        }
        let responses = try texts("response_types") ?? (found.contains(.authorizationCode) ? ["code"] : [])
        if origin == .registration, let other = responses.first(where: { !$0.isSameBytes(as: "code") }) {
            throw RegisteredMetadata.fault("response_types", "has \"\(other.prefix(64))\"; only code is offered")
        }
        // RFC 7591 §2.1.
        guard responses.contains(where: { $0.isSameBytes(as: "code") }) == found.contains(.authorizationCode) else {
            throw RegisteredMetadata.fault("response_types", "and grant_types do not go together: code is of authorization_code")
        }
        if found.isEmpty { throw RegisteredMetadata.fault("grant_types", "has nothing that is offered here") }
        if found.contains(.refreshToken), !found.contains(.authorizationCode) {
            throw RegisteredMetadata.fault("grant_types", "has refresh_token without authorization_code, which gives refresh tokens")
        }
        return found
    }

    private func readRedirectURIs(_ client: ClientDefinition) throws(OAuthError) -> [String] {
        func refused(_ message: String) -> OAuthError { OAuthError(.invalidRedirectURI, .redirectURIInvalid, message) }
        guard sent["redirect_uris"] == nil || sent["redirect_uris"]?.strings != nil else {
            throw refused("\"redirect_uris\" is no list of texts.")
        }
        let uris = sent["redirect_uris"]?.strings ?? []
        guard uris.count <= RegistrationPolicy.redirectURIsMax else {
            throw refused("There are more than \(RegistrationPolicy.redirectURIsMax) redirect URIs.")
        }
        let isNative = client.metadata.applicationType == .native
        for uri in uris {
            if let message = URISyntax.redirectFault(uri) ?? (isNative ? nil : RegisteredMetadata.webOnlyFault(uri)) {
                throw refused("The redirect URI \"\(uri.prefix(128))\" \(message).")
            }
        }
        guard client.grants.contains(.authorizationCode) else { return [] }
        if uris.isEmpty { throw refused("\"redirect_uris\" is missing: authorization_code needs where to send the code.") }
        return uris
    }

    /// Schemes of an app's own are for apps (RFC 8252 §7.1, OpenID Connect Registration §2), and so is `http`, on loopback (RFC 9700 §2.6).
    private static func webOnlyFault(_ uri: String) -> String? {
        if uri.dropping(prefix: "https://") != nil { return nil }
        return uri.dropping(prefix: "http://") == nil
            ? "is of a scheme of an app's own, which is for application_type native" : "is http, which is for application_type native"
    }

    /// What it asks for and the policy has; without `scope` all of that. The answer says what became of it (RFC 7591 §2).
    private func readScope() throws(OAuthError) -> ScopeSet {
        guard let value = sent["scope"] else { return policy.scopes }
        guard let text = value.string, text.utf8.count <= 4_096, let asked = ScopeSet(parsing: text) else {
            throw RegisteredMetadata.fault("scope", "is no list of scopes (RFC 6749 §3.3)")
        }
        let granted = asked.intersection(policy.scopes)
        if granted.isEmpty, !asked.isEmpty, origin == .registration {
            throw RegisteredMetadata.fault("scope", "has nothing that a registered client may have")
        }
        return granted
    }

    private func texts(_ name: String) throws(OAuthError) -> [String]? {
        guard let value = sent[name] else { return nil }
        guard let texts = value.strings, texts.count <= ClientFields.listMax else {
            throw RegisteredMetadata.fault(name, "is no list of at most \(ClientFields.listMax) texts")
        }
        return texts.isEmpty ? nil : texts
    }
}

extension ClientDefinition {
    /// All registered metadata, the server's own choices among them (RFC 7591 §3.2.1).
    package var registered: JSONObject {
        func texts(_ texts: some Sequence<String>) -> JSONValue { .array(texts.map { .string($0) }) }
        var members = JSONObject()
        if !redirectURIs.isEmpty { members["redirect_uris"] = texts(redirectURIs) }
        members["grant_types"] = texts(grants.compactMap(\.grantType))
        members["response_types"] = texts(grants.contains(.authorizationCode) ? ["code"] : [])
        members["scope"] = .string(scopes.description)
        // Defaults that a client would otherwise have to know.
        members["application_type"] = .string(metadata.applicationType.rawValue)
        members["subject_type"] = .string(metadata.subjectType.rawValue)
        members["id_token_signed_response_alg"] = .string("RS256")
        for field in ClientFields.all where field.isRegistrable {
            if let value = field.read(metadata) { members[field.name] = value }
        }
        return members
    }
}
