package import AuthCore
package import Store
internal import TokenVerification

/// Request objects (RFC 9101, OpenID Connect Core §6): an authorization request that its client has signed.
package struct RequestObjects: Sendable {
    /// Those that a nested request may not bring along (RFC 9101 §4).
    private static let nested = ["request", "request_uri"]

    private let keys: ClientKeys
    private let issuer: Identifier

    package init(keys: ClientKeys, issuer: Identifier) {
        self.keys = keys
        self.issuer = issuer
    }

    /// The parameters that count: those of the object, and none beside it (RFC 9101 §6.3).
    ///
    /// - Returns: `sent` itself when there is no object.
    /// - Throws: `invalid_request_object`; `request_not_supported` for a client that has no keys.
    package func open(_ sent: FormParameters, of client: Client, at now: Instant) async throws(OAuthError) -> FormParameters {
        guard let text = try sent.optional("request", bytesMax: RequestDocuments.bytesMax) else { return sent }
        guard sent["request_uri"] == nil else {
            throw OAuthError(.invalidRequest, .requestObjectInvalid, "request and request_uri stand together (RFC 9101 §5).")
        }
        return try await open(text, of: client, at: now)
    }

    /// - Parameter text: The object itself.
    /// - Throws: As the other one.
    package func open(_ text: String, of client: Client, at now: Instant) async throws(OAuthError) -> FormParameters {
        let metadata = client.definition.metadata
        guard metadata.jwks != nil || metadata.jwksURI != nil else {
            throw OAuthError(.requestNotSupported, .requestObjectInvalid, "A client without registered keys cannot sign its requests.")
        }
        var algorithms = client.policy.signatureAlgorithms
        if let only = metadata.requestObjectAlgorithm { algorithms = algorithms.filter { $0.isSameBytes(as: only) } }
        var rules = JWTAssertionRules(
            algorithms: Set(algorithms.compactMap { SignatureAlgorithm(rawValue: $0) }), audience: .contains([issuer]))
        rules.issuer = client.id
        rules.types = ["oauth-authz-req+jwt", "JWT"]
        rules.allowsNoType = true
        rules.expiry = client.policy.wantsStrictAudience ? .required : .optional
        rules.lifetimeMax = .seconds(3_600)
        let claims: JSONObject
        do {
            let token = try PresentedJWT(Secret(text))
            claims = try await keys.verify(token, of: client, by: rules, at: now).claims
        } catch {
            let reason = (error as? ClientKeysFailure)?.text ?? "malformed"
            throw OAuthError(.invalidRequestObject, .requestObjectInvalid, "The request object is not good: \(reason).")
        }
        return try RequestObjects.parameters(claims, of: client)
    }

    private static func parameters(_ claims: JSONObject, of client: Client) throws(OAuthError) -> FormParameters {
        let refusal = OAuthError(.invalidRequestObject, .requestObjectInvalid, "The request object has a member that is none of a request.")
        // A token that is about this client could be taken for its own assertion (RFC 9101 §10.8).
        if claims["sub"]?.string?.isSameBytes(as: client.id.text) == true { throw refusal }
        var members: [(name: String, value: String)] = []
        for (name, value) in claims where !["iss", "aud", "exp", "nbf", "iat", "jti", "sub"].contains(name) {
            guard !nested.contains(where: { $0.isSameBytes(as: name) }), members.count < FormParameters.countMax else { throw refusal }
            switch value {
            case .string(let text): members.append((name, text))
            case .number(let number): members.append((name, number.text))
            case .bool(let flag): members.append((name, flag ? "true" : "false"))
            case .array(let elements) where name.isSameBytes(as: "resource"):
                for text in elements.compactMap(\.string) { members.append((name, text)) }
            case .array, .object: members.append((name, String(decoding: value.encoded, as: UTF8.self)))
            case .null: break
            }
        }
        let parameters = FormParameters(members)
        // The object may leave it out; if it names one, then this one (RFC 9101 §5).
        guard let id = parameters["client_id"] else { return FormParameters(members + [("client_id", client.id.text)]) }
        guard id.isSameBytes(as: client.id.text) else { throw refusal }
        return parameters
    }
}
