package import AuthCore

/// A JWT that somebody else has signed, read and not yet believed: a client's assertion, a request object, a subject token, a hint.
///
/// What it claims is needed before it is verified, to find whose keys it must be signed with; nothing else may be done with that.
/// The parts are bounded as those of an access token are (`CompactJWS`): 16 KiB, no extension, `none` in no spelling.
package struct PresentedJWT: Sendable {
    private let token: [UInt8]
    private let header: JWSHeader
    private let signature: [UInt8]
    private let signedBytes: Int
    private let claims: JSONObject

    /// - Throws: `malformed`.
    package init(_ token: Secret<String>) throws(JWTAssertionRefusal) {
        let bytes = Array(token.exposed.utf8)
        let parsed = bytes.withUnsafeBufferPointer { buffer in
            // What is wrong with it is for nobody to know who cannot see it.
            (try? CompactJWS(buffer)).map { ($0.header, $0.payload, $0.signature, $0.signingInput.count) }
        }
        // The same here.
        guard let (header, payload, signature, signedBytes) = parsed, let claims = try? JWSHeader.object(payload, part: "payload") else {
            throw .malformed
        }
        self.token = bytes
        self.header = header
        self.signature = signature
        self.signedBytes = signedBytes
        self.claims = claims
    }

    /// `iss`, as somebody says it is.
    package var claimedIssuer: Identifier? { claims["iss"]?.string.map { Identifier($0) } }
    /// `sub`, as somebody says it is.
    package var claimedSubject: Identifier? { claims["sub"]?.string.map { Identifier($0) } }
    /// `client_id` (RFC 9101 §4), as somebody says it is.
    package var claimedClient: Identifier? { claims["client_id"]?.string.map { Identifier($0) } }
    /// Whether it says that it is made with a secret (`HS256`) rather than with a key.
    package var isMAC: Bool { header.algorithm == .hs256 }
    /// `kid`: opaque, for a look into a set of keys alone (JW-06).
    package var keyID: Identifier? { header.keyID }

    /// Verifies signature and claims, in this order.
    ///
    /// - Throws: The first that applies, in the order of the cases of `JWTAssertionRefusal`.
    package func verified(
        with keys: JWTAssertionKeys, by rules: JWTAssertionRules, at now: Instant
    ) throws(JWTAssertionRefusal) -> JWTAssertion {
        guard let algorithm = header.algorithm, rules.algorithms.contains(algorithm) else { throw .unsupportedAlgorithm }
        try checkType(rules)
        let keyID = try verifySignature(algorithm, keys)
        let assertion = try JWTAssertion(claims: claims, algorithm: algorithm, keyID: keyID)
        try assertion.check(rules, at: now)
        return assertion
    }

    private func checkType(_ rules: JWTAssertionRules) throws(JWTAssertionRefusal) {
        guard let types = rules.types else { return }
        guard let type = header.type else {
            if rules.allowsNoType { return }
            throw .wrongType
        }
        guard types.contains(where: { JWSHeader.isSameType(type, $0) }) else { throw .wrongType }
    }

    private func verifySignature(
        _ algorithm: SignatureAlgorithm, _ keys: JWTAssertionKeys
    ) throws(JWTAssertionRefusal) -> Identifier? {
        switch keys {
        case .secret(let secret):
            // Too short for the hash, or an algorithm of public keys.
            guard let key = try? MACKey(secret: secret, algorithm: algorithm) else { throw .unsupportedAlgorithm }
            let isValid = token.withUnsafeBufferPointer {
                key.isValidCode(signature, for: UnsafeBufferPointer(rebasing: $0[..<signedBytes]))
            }
            guard isValid else { throw .badSignature }
            return nil
        case .keySet(let set):
            guard !algorithm.isSymmetric else { throw .unsupportedAlgorithm }
            let candidates = set.candidates(header.keyID, algorithm)
            guard !candidates.isEmpty else { throw .unknownKey }
            let key = token.withUnsafeBufferPointer { buffer in
                let message = UnsafeBufferPointer(rebasing: buffer[..<signedBytes])
                return candidates.first { $0.isValidSignature(signature, for: message) }
            }
            guard let key else { throw .badSignature }
            return key.id
        }
    }
}

/// A foreign JWT that is signed by whom it must be and says what it must.
package struct JWTAssertion: Sendable {
    package let claims: JSONObject
    package let algorithm: SignatureAlgorithm
    /// Of the key that has signed it: its `kid`, or its thumbprint without one; nothing for a shared secret.
    package let keyID: Identifier?
    package let issuer: Identifier?
    package let subject: Identifier?
    /// Empty without `aud`.
    package let audience: [Identifier]
    /// `jti`.
    package let id: String?
    package let expiresAt: Instant?
    package let notBefore: Instant?
    package let issuedAt: Instant?
    private let isSingleAudience: Bool

    fileprivate init(claims: JSONObject, algorithm: SignatureAlgorithm, keyID: Identifier?) throws(JWTAssertionRefusal) {
        let reader = ClaimReader(claims)
        do throws(MalformedToken) {
            issuer = try reader.optionalText(.issuer, bytesMax: AccessTokenClaims.audienceBytesMax).map { Identifier($0) }
            subject = try reader.optionalName(.subject)
            audience = try reader.audiences()
            id = try reader.optionalText(.id, bytesMax: AccessTokenClaims.nameBytesMax)
            expiresAt = try reader.optionalDate(.expiry)
            notBefore = try reader.optionalDate(.notBefore)
            issuedAt = try reader.optionalDate(.issuedAt)
        } catch { throw .malformed }
        isSingleAudience = claims["aud"]?.string != nil
        self.claims = claims
        self.algorithm = algorithm
        self.keyID = keyID
    }

    fileprivate func check(_ rules: JWTAssertionRules, at now: Instant) throws(JWTAssertionRefusal) {
        for claim in rules.required where !has(claim) { throw .malformed }
        if expiresAt == nil, case .required = rules.expiry { throw .malformed }
        if let expected = rules.issuer, issuer != expected { throw .wrongIssuer }
        if let expected = rules.subject, subject != expected { throw .wrongSubject }
        switch rules.audience {
        case .any: break
        case .contains(let accepted): guard audience.contains(where: accepted.contains) else { throw .wrongAudience }
        case .only(let accepted): guard isSingleAudience, audience == [accepted] else { throw .wrongAudience }
        }
        for start in [notBefore, issuedAt] { if let start, start > now + rules.leeway { throw .notYetValid } }
        if let expiresAt {
            if case .ignored = rules.expiry {} else if now >= expiresAt + rules.leeway { throw .expired }
        }
        try checkLifetime(rules, at: now)
    }

    private func checkLifetime(_ rules: JWTAssertionRules, at now: Instant) throws(JWTAssertionRefusal) {
        if let lifetimeMax = rules.lifetimeMax, let expiresAt {
            for start in [notBefore, issuedAt] { if let start, expiresAt - start > lifetimeMax { throw .lifetimeTooLong } }
            if expiresAt - now > lifetimeMax + rules.leeway { throw .lifetimeTooLong }
        }
        if let ageMax = rules.ageMax {
            for start in [notBefore, issuedAt] { if let start, now - start > ageMax + rules.leeway { throw .lifetimeTooLong } }
        }
    }

    private func has(_ claim: JWTAssertionRules.Claim) -> Bool {
        switch claim {
        case .issuer: issuer != nil
        case .subject: subject != nil
        case .id: id != nil
        case .issuedAt: issuedAt != nil
        case .notBefore: notBefore != nil
        }
    }
}
