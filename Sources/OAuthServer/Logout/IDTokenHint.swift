package import AuthCore
internal import Store
package import TokenKeys
internal import TokenVerification

/// What an ID token of ours says that came back as a hint (`id_token_hint`).
package struct IDTokenHint: Sendable {
    /// The `sub` by which `clientID` knows somebody.
    package let subject: Identifier
    package let clientID: Identifier
    package let sessionID: Identifier?
}

/// Reads hints (OpenID Connect Core §3.1.2.1, RP-Initiated Logout §2): ID tokens that this issuer has signed, however long ago. A hint
/// proves nothing about the browser that brings it; it says only whom the client means.
package struct IDTokenHints: Sendable {
    package static let bytesMax = 16_384

    private let issuer: Identifier
    private let keys: SigningKeys

    package init(issuer: Identifier, keys: SigningKeys) {
        self.issuer = issuer
        self.keys = keys
    }

    /// The time is not asked: an expired one is good (RP-Initiated Logout §2). A key that was retired is, one that was revoked is not.
    ///
    /// - Throws: `id_token_hint_invalid` for anything else than an ID token of ours.
    package func read(_ text: String) throws(OAuthError) -> IDTokenHint {
        let records = keys.records
        let signed = SignedClaims(text) { id in
            guard let record = records.first(where: { $0.id == id && $0.state != .revoked }),
                let jwk = (try? JSONReader.read(record.publicJWK))?.object  // our own row, which was read before
            else { return nil }
            return try? VerificationKey(jwk: jwk)  // as above
        }
        // What else we sign with this type lacks one of these: an authorization response the subject, a userinfo response the times.
        guard let signed, signed.isType("jwt", "application/jwt"), let claimed = signed.claims["iss"]?.string,
            Identifier(claimed) == issuer, let subject = signed.claims["sub"]?.string, let audience = signed.claims["aud"]?.string,
            signed.claims["iat"]?.int != nil, signed.claims["exp"]?.int != nil
        else { throw OAuthError(.invalidRequest, .idTokenHintInvalid, "The id_token_hint is no ID token that was issued here.") }
        return IDTokenHint(
            subject: Identifier(subject), clientID: Identifier(audience), sessionID: signed.claims["sid"]?.string.map { Identifier($0) })
    }
}
