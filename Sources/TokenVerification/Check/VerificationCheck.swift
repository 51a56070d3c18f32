internal import AuthCore

/// The checks whose outcome never changes for a token and a key set: what the cache remembers.
struct VerificationCheck {
    enum Outcome {
        case verified(AccessToken)
        case refused(TokenRefusal)
        /// The header's `kid`; nothing when there is none.
        case unknownKey(Identifier?)
    }

    let keys: KeySet
    let rules: TokenRules
    let memo: HeaderMemo

    func verify(_ token: UnsafeBufferPointer<UInt8>, explaining explanation: inout TokenExplanation?) -> Outcome {
        let jws: CompactJWS
        let claims: AccessTokenClaims
        do throws(MalformedToken) {
            jws = try CompactJWS(token, memo: memo)
            claims = try AccessTokenClaims(jws.payload, lifetimeMax: rules.lifetimeMax)
        } catch {
            _ = explanation.check("format", false, expected: "an access token in compact form", found: error.problem)
            return .refused(.malformed)
        }
        _ = explanation.check("format", true, expected: "an access token in compact form", found: "\(token.count) bytes")

        let name = jws.header.algorithmName
        let algorithm = jws.header.algorithm.flatMap { $0.isOfKeySets ? $0 : nil }
        guard explanation.check("algorithm", algorithm != nil, expected: "ES256, ES384, ES512, RS256, PS256 or EdDSA", found: name) else {
            return .refused(.unsupportedAlgorithm)
        }
        let key = keys.key(named: jws.header.keyID)
        guard
            explanation.check(
                "key", key != nil, expected: "one of \(keys.keys.map(\.id.text).joined(separator: ", "))",
                found: jws.header.keyID?.text ?? "no kid"), let key
        else { return .unknownKey(jws.header.keyID) }
        guard explanation.check("key_algorithm", algorithm == key.algorithm, expected: key.algorithm.rawValue, found: name) else {
            return .refused(.unsupportedAlgorithm)
        }
        let isSigned = key.isValidSignature(jws.signature, for: jws.signingInput)
        guard explanation.check("signature", isSigned, expected: "a signature of \(key.id)", found: isSigned ? "valid" : "not valid") else {
            return .refused(.badSignature)
        }
        guard explanation.check("type", jws.header.isAccessToken, expected: "at+jwt", found: jws.header.type ?? "no typ") else {
            return .refused(.wrongType)
        }
        guard explanation.check("issuer", claims.issuer == rules.issuer, expected: rules.issuer.text, found: claims.issuer.text) else {
            return .refused(.wrongIssuer)
        }
        memo.remember(jws.header, jws.encodedHeader)
        return .verified(AccessToken(claims, issuer: rules.issuer, payload: jws.payload, key: key))
    }
}
