package import AuthCore
package import Store
package import TokenKeys
package import TokenVerification

/// The OAuth server's table of contents: what each endpoint is made of, in order, with the RFC of each line. What is not in a list is not
/// offered, and metadata is computed from the same lists.
package struct OAuthServer: Sendable {
    package typealias Stores = AccountStore & ClientStore & GrantStore & AuthorizationStore & ConsentStore & ParkedStore & SpentStore
        & RevocationStore & AuditStore & SessionStore & LogoutStore & RegistrationStore

    /// What the server needs from outside.
    package struct Parts: Sendable {
        package var store: any Stores
        package var clients: ClientAuthentication
        package var tokens: RefreshTokens
        package var masterKeys: MasterKeys
        package var verifier: TokenVerifier
        package var nonces: DPoPNonces
        package var environment: Environment
        package var registration: ClientRegistration
        package var documents: ClientDocuments
        package var requestDocuments: RequestDocuments
        /// `introspection.inactive_per_minute` and `par.per_minute`.
        package var perMinute: (inactive: Int64, pushed: Int64)
        /// `mtls_url`.
        package var mutualTLSOrigin: Identifier?

        package init(
            store: any Stores, clients: ClientAuthentication, tokens: RefreshTokens, masterKeys: MasterKeys, verifier: TokenVerifier,
            nonces: DPoPNonces, environment: Environment, registration: ClientRegistration, documents: ClientDocuments,
            requestDocuments: RequestDocuments, perMinute: (inactive: Int64, pushed: Int64), mutualTLSOrigin: Identifier?
        ) {
            self.requestDocuments = requestDocuments
            self.mutualTLSOrigin = mutualTLSOrigin
            self.perMinute = perMinute
            self.registration = registration
            self.documents = documents
            self.nonces = nonces
            self.store = store
            self.clients = clients
            self.tokens = tokens
            self.masterKeys = masterKeys
            self.verifier = verifier
            self.environment = environment
        }
    }

    package let authorize: AuthorizeEndpoint
    package let token: TokenEndpoint
    package let pushedRequests: PushedRequestEndpoint
    package let deviceAuthorization: DeviceAuthorizationEndpoint
    package let devices: DeviceVerification
    package let introspection: IntrospectionEndpoint
    package let revocation: RevocationEndpoint
    package let userInfo: UserInfo
    package let logout: LogoutEndpoint
    /// RFC 7591, RFC 7592, OpenID Connect Registration.
    package let registration: ClientRegistration
    package let forms: FormTokens
    package let sender: SenderConstraint
    /// Signs what clients get as JWTs.
    package let responses: TokenIssuer

    private let store: any Stores
    private let documents: ClientDocuments
    private let issuer: Identifier
    private let mutualTLSOrigin: Identifier?
    private let keys: SigningKeys
    private let steps: [any AuthorizeStep]
    private let policies: ScopePolicies

    package init(_ parts: Parts) {
        let (store, clients, tokens, environment) = (parts.store, parts.clients, parts.tokens, parts.environment)
        mutualTLSOrigin = parts.mutualTLSOrigin
        sender = SenderConstraint(
            origins: [tokens.issuer.issuer] + (mutualTLSOrigin.map { [$0] } ?? []), store: store, nonces: parts.nonces)
        let hints = IDTokenHints(issuer: tokens.issuer.issuer, keys: tokens.issuer.keys)
        self.store = store
        policies = tokens.policies
        issuer = tokens.issuer.issuer
        keys = tokens.issuer.keys

        steps = [
            UnofferedStep(),  // OpenID Connect Core §7.2
            ResponseTypeStep(),  // RFC 6749 §3.1.1, OAuth 2.1
            ResponseModeStep(),  // OAuth 2.0 Multiple Response Types, Form Post
            CodeChallengeStep(),  // RFC 7636
            ScopeStep(policies: policies),  // RFC 6749 §3.3, RFC 8707
            PromptStep(),  // OpenID Connect Core §3.1.2.1
            MaxAgeStep(),
            HintsStep(),
            ClaimsStep(),  // OpenID Connect Core §5.5
            DPoPKeyStep(),  // RFC 9449 §10
            AuthorizationDetailsStep(),  // RFC 9396
            IDTokenHintStep(hints: hints),  // OpenID Connect Core §3.1.2.1; after what `claims` says of the subject
        ]
        let grants: [any TokenGrant] = [
            AuthorizationCodeGrant(store: store, tokens: tokens, masterKeys: parts.masterKeys),  // RFC 6749 §4.1.3
            RefreshTokenGrant(tokens: tokens),  // RFC 6749 §6
            ClientCredentialsGrant(policies: policies, lifetime: tokens.issuer.accessLifetime),  // RFC 6749 §4.4
            DeviceCodeGrant(store: store, tokens: tokens),  // RFC 8628 §3.4
            TokenExchangeGrant(store: store, verifier: parts.verifier, policies: policies, issuer: tokens.issuer),  // RFC 8693
            JWTBearerGrant(store: store, policies: policies, issuer: tokens.issuer),  // RFC 7523 §2.1
        ]

        (registration, documents) = (parts.registration, parts.documents)
        let known = KnownClients(store: store, documents: documents, policy: registration.policy, changed: registration.changed)
        let requests = AuthorizeRequests(
            clients: known, parked: store,
            objects: RequestObjects(keys: tokens.issuer.clientKeys, issuer: issuer), documents: parts.requestDocuments, steps: steps)
        authorize = AuthorizeEndpoint(
            requests: requests, store: store, policies: policies, issuer: tokens.issuer, masterKeys: parts.masterKeys,
            lifetimes: tokens.lifetimes)
        token = TokenEndpoint(clients: clients, grants: grants, sender: sender, issuer: tokens.issuer)
        pushedRequests = PushedRequestEndpoint(
            clients: clients.finding(in: known), requests: requests, sender: sender, store: store,
            perMinute: parts.perMinute.pushed, environment: environment)
        deviceAuthorization = DeviceAuthorizationEndpoint(clients: clients, policies: policies, store: store, issuer: tokens.issuer)
        devices = DeviceVerification(store: store, policies: policies, issuer: tokens.issuer)
        introspection = IntrospectionEndpoint(
            clients: clients, verifier: parts.verifier, tokens: tokens, inactivePerMinute: parts.perMinute.inactive,
            environment: environment)
        revocation = RevocationEndpoint(
            clients: clients, verifier: parts.verifier, tokens: tokens, store: store, environment: environment)
        userInfo = UserInfo(store: store, subjects: tokens.issuer.subjects)
        responses = tokens.issuer
        logout = LogoutEndpoint(store: store, issuer: tokens.issuer, hints: hints)  // OpenID Connect RP-Initiated, Front-Channel Logout
        forms = FormTokens(keys: parts.masterKeys)
    }

    /// What tells clients of ended sessions (OpenID Connect Back-Channel Logout).
    package func logoutDelivery(through calls: any OutgoingCalls, log: Log) -> LogoutDelivery {
        LogoutDelivery(store: store, issuer: responses, calls: calls, log: log)
    }

    /// What pages show of clients.
    package func logos(through calls: any OutgoingCalls, log: Log) -> ClientLogos {
        let known = KnownClients(store: store, documents: documents, policy: registration.policy, changed: registration.changed)
        return ClientLogos(clients: known, calls: calls, environment: responses.environment, log: log)
    }

    /// Changes with the published keys.
    package var keysTag: String { keys.published.entityTag }

    /// RFC 8414 §3.2 and OpenID Connect Discovery §4.2.
    package func metadata() async throws(OAuthError) -> JSONObject {
        var metadata = ServerMetadata(issuer: issuer)
        let catalogue = try await policies.policy(atLeast: 0).catalogue
        metadata.list("scopes_supported", catalogue.allScopes.map(\.text))
        metadata.list("response_types_supported", ResponseTypeStep.types)
        metadata.list("response_modes_supported", ResponseMode.allCases.map(\.rawValue))
        metadata.list("grant_types_supported", token.grantTypes)
        metadata.list("subject_types_supported", SubjectType.allCases.map(\.rawValue))
        metadata.list("id_token_signing_alg_values_supported", tokenAlgorithms)
        for endpoint in ["token", "introspection", "revocation"] {
            // Whoever asks about tokens proves itself.
            let methods = registration.policy.authenticationMethods.filter { $0 != .none || endpoint != "introspection" }
            metadata.list("\(endpoint)_endpoint_auth_methods_supported", methods.map(\.rawValue))
            metadata.list("\(endpoint)_endpoint_auth_signing_alg_values_supported", ClientFields.signatures + ["HS256"])
        }
        metadata.list("dpop_signing_alg_values_supported", DPoPProof.algorithms.map(\.rawValue))
        metadata.flag("tls_client_certificate_bound_access_tokens", registration.policy.seesCertificates)
        metadata.list("code_challenge_methods_supported", CodeChallengeStep.methods)
        metadata.list("prompt_values_supported", Prompt.allCases.map(\.rawValue))
        metadata.list("claim_types_supported", ["normal"])
        metadata.list(
            "claims_supported", ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid"] + PersonClaims.names)
        metadata.flag("claims_parameter_supported", true)
        metadata.flag("request_parameter_supported", true)
        for name in ["request_object", "introspection", "authorization", "userinfo"] {
            metadata.list("\(name)_signing_alg_values_supported", name == "request_object" ? ClientFields.signatures : tokenAlgorithms)
        }
        for name in ["id_token", "userinfo"] {
            metadata.list("\(name)_encryption_alg_values_supported", ClientFields.keyEncryptions)
            metadata.list("\(name)_encryption_enc_values_supported", ClientFields.contentEncryptions)
        }
        metadata.flag("request_uri_parameter_supported", true)
        metadata.flag("require_request_uri_registration", true)
        metadata.flag("require_pushed_authorization_requests", false)
        logout.describe(in: &metadata)
        registration.describe(in: &metadata)
        if documents.isOn { metadata.flag("client_id_metadata_document_supported", true) }
        if token.grantTypes.contains(where: { GrantKind.deviceCode.grantType?.isSameBytes(as: $0) == true }) {
            metadata.text("device_authorization_endpoint", issuer.text + ServerMetadata.Path.deviceAuthorization)
        }
        if let mutualTLSOrigin { metadata.aliases(at: mutualTLSOrigin) }
        return metadata.members
    }

    /// What can be signed with now.
    private var tokenAlgorithms: [String] { keys.idTokenAlgorithms.map(\.rawValue) }
}
