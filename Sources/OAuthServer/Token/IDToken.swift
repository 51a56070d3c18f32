package import AuthCore
internal import Crypto
package import Store
internal import TokenKeys
internal import TokenVerification

/// That an ID token is to go with the tokens.
package struct IDTokenRequest: Sendable {
    package var nonce: String?
    /// The member `id_token` of the parameter `claims` (OpenID Connect Core §5.5).
    package var claims: JSONObject?

    package init(nonce: String?, claims: JSONObject?) {
        self.nonce = nonce
        self.claims = claims
    }
}

extension TokenIssuer {
    /// OpenID Connect Core §2, §3.1.3.6.
    func idToken(
        _ request: IDTokenRequest, _ subject: TokenSubject, accessToken: String, at now: Instant
    ) async throws(OAuthError) -> Secret<String> {
        let client = subject.client
        let asked = RequestedClaims(request.claims)
        var json = JSONWriter()
        json.object {
            $0.member("iss", issuer.text)
            $0.member("sub", subjects.identifier(of: subject.account, for: client, grant: subject.grant).text)
            $0.member("aud", client.id.text)
            $0.member("iat", now.seconds)
            $0.member("exp", (now + accessLifetime).seconds)
            if let assurance = subject.assurance {
                $0.member("auth_time", assurance.authenticatedAt.seconds)
                $0.member("acr", assurance.acr)
                $0.member("amr", assurance.amr)
            }
            $0.member("nonce", request.nonce)
            $0.member("sid", subject.grant?.sessionID?.text)
            // The left half of the hash that goes with the algorithm: SHA-256 for all of ours but EdDSA, whose hash is SHA-512.
            $0.member("at_hash", TokenIssuer.halfHash(of: accessToken, algorithm: client.idTokenAlgorithm))
            if let account = subject.account {
                let mapped = client.definition.metadata.claims.claims(of: account, scope: subject.access.scope)
                for (name, value) in PersonClaims.of(account) where asked.contains(name) {
                    if !mapped.contains(where: { $0.name.isSameBytes(as: name) }) { $0.member(named: name, value) }
                }
                for (name, value) in mapped { $0.member(named: name, value) }
            }
        }
        let signed = try sign(json.bytes, as: .idToken, algorithm: SignatureAlgorithm(rawValue: client.idTokenAlgorithm))
        return try await encrypted(signed, client.definition.metadata.idTokenEncryption, for: client)
    }

    /// §3.1.3.6: base64url of the left half of the hash of the ASCII of the token.
    private static func halfHash(of token: String, algorithm: String) -> String {
        let bytes = Array(token.utf8)
        if algorithm.isSameBytes(as: "EdDSA") { return Base64URL.encode(Array(SHA512.hash(data: bytes)).prefix(32)) }
        return Base64URL.encode(Array(SHA256.hash(data: bytes)).prefix(16))
    }
}

extension Client {
    package var idTokenAlgorithm: String { definition.metadata.idTokenAlgorithm ?? policy.usualAlgorithm }
}

/// The claims that a request names, whatever it says of them: voluntary or essential, they are given when there is a value.
struct RequestedClaims {
    private let names: Set<Identifier>

    init(_ object: JSONObject?) { names = Set((object?.names ?? []).map { Identifier($0) }) }

    func contains(_ name: String) -> Bool { names.contains(Identifier(name)) }
}
