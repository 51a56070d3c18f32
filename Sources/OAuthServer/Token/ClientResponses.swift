package import AuthCore
package import Store
internal import TokenKeys
internal import TokenVerification

/// Answers that are JWTs for one client: signed with what it has registered, and encrypted to its key if it registered that.
extension TokenIssuer {
    /// UserInfo as a JWT (OpenID Connect Core §5.3.2); nothing when the client has not registered for it.
    package func userInfo(_ members: JSONObject, for client: Client) async throws(OAuthError) -> Secret<String>? {
        let metadata = client.definition.metadata
        guard let algorithm = metadata.userinfoAlgorithm ?? metadata.userinfoEncryption.algorithm.map({ _ in client.policy.usualAlgorithm })
        else { return nil }
        var claims = members
        claims["iss"] = .string(issuer.text)
        claims["aud"] = .string(client.id.text)
        let signed = try sign(JSONValue.object(claims).encoded, as: .userInfo, algorithm: SignatureAlgorithm(rawValue: algorithm))
        return try await encrypted(signed, metadata.userinfoEncryption, for: client)
    }

    /// Introspection as a JWT (RFC 9701 §5).
    package func introspection(_ members: JSONObject, for client: Client, at now: Instant) throws(OAuthError) -> Secret<String> {
        let claims = JSONObject([
            ("iss", .string(issuer.text)), ("aud", .string(client.id.text)), ("iat", .number(JSONNumber(now.seconds))),
            ("token_introspection", .object(members)),
        ])
        let algorithm = SignatureAlgorithm(rawValue: client.definition.metadata.introspectionAlgorithm ?? client.policy.usualAlgorithm)
        return Secret(try sign(JSONValue.object(claims).encoded, as: .introspectionResponse, algorithm: algorithm))
    }

    /// An authorization response as a JWT (JARM §2.1).
    func authorizationResponse(
        _ parameters: [(name: String, value: String)], for client: Client, at now: Instant
    ) throws(OAuthError) -> String {
        var claims = JSONObject([
            ("iss", .string(issuer.text)), ("aud", .string(client.id.text)), ("exp", .number(JSONNumber((now + .seconds(600)).seconds))),
        ])
        for (name, value) in parameters where name != "iss" { claims[name] = .string(value) }
        let algorithm = SignatureAlgorithm(rawValue: client.definition.metadata.authorizationAlgorithm ?? client.policy.usualAlgorithm)
        return try sign(JSONValue.object(claims).encoded, as: .authorizationResponse, algorithm: algorithm)
    }

    /// A signed JWT, in a JWE where the client has registered for it (OpenID Connect Core §10.2).
    func encrypted(_ signed: String, _ choice: EncryptionChoice, for client: Client) async throws(OAuthError) -> Secret<String> {
        guard let name = choice.algorithm else { return Secret(signed) }
        let refusal = OAuthError(
            .invalidClient, .encryptionKeyMissing, "This client registered for encryption and has no key for it.")
        guard let algorithm = KeyManagementAlgorithm.named(name),
            let encryption = ContentEncryption.named(choice.encoding ?? "A128CBC-HS256")
        else { throw refusal }
        do {
            let jwks = try await clientKeys.set(of: client)
            guard let key = try EncryptionKey.selected(from: jwks, for: algorithm) else { throw refusal }
            return Secret(try JWE.encrypt(signed, to: key, with: encryption, environment: environment))
        } catch { throw refusal }
    }
}
