public import AuthCore

/// A DPoP proof that was found good for one request (RFC 9449 §4.3): whoever sent it holds the private key of `jkt`.
///
/// | in the proof | answer |
/// |---|---|
/// | longer than 8 KiB, no JWS in compact form, no JSON object, a member twice, `crit` | `malformed` |
/// | `alg`, `jwk`, `htm`, `htu`, `iat` or `jti` absent or of another type; `nonce`, `ath`, `exp` or `nbf` of another type | `malformed` |
/// | `jti` empty or above 256 bytes | `malformed` |
/// | `typ` is not `dpop+jwt` | `wrongType` |
/// | `alg` is none of `DPoPProof.algorithms` | `unsupportedAlgorithm` |
/// | `jwk` is private or symmetric | `secretKey` |
/// | `jwk` is of another kind or algorithm than `alg`, or unsafe | `unusableKey` |
/// | other members of the header, other claims | ignored |
///
/// The first that applies is the answer, the others in the order of `DPoPProofError`. Whether the proof was used before is not asked
/// here: see `ProofReplay`.
public struct DPoPProof: Sendable, Equatable {
    /// The longest proof that is looked at, in bytes (DP-11).
    public static let bytesMax = 8_192
    /// The longest `jti`, in bytes.
    public static let idBytesMax = 256
    /// How old a proof may be, and how far ahead of us the sender's clock (DP-10).
    public static let ageMax = Duration.seconds(60)
    /// What a proof may be signed with, for `algs` of a challenge and for the metadata. ES384 and ES512 are left out: whoever sends the
    /// proof chooses the key, and they cost ten times as much to verify.
    public static let algorithms: [SignatureAlgorithm] = [.es256, .edDSA, .ps256, .rs256]
    /// `algorithms` as `algs` of a challenge has them (RFC 9449 §7.1).
    public static let algorithmNames = algorithms.map(\.rawValue).joined(separator: " ")
    /// The longest signature, of RSA with 4 096 bits: the cost of a longer one would be the sender's to choose.
    static let signatureBytesMax = 512

    /// The thumbprint of the key (RFC 7638, SHA-256, base64url), 43 characters: what `cnf.jkt` of a bound token says.
    public let jkt: String
    public let algorithm: SignatureAlgorithm
    /// `jti`: one proof of this key.
    public let id: Identifier
    /// `iat`.
    public let issuedAt: Instant

    /// Checks everything of RFC 9449 §4.3 but that it is used once, and that the access token is bound to `jkt`.
    ///
    /// - Parameters:
    ///   - proof: The value of the one `DPoP` header field.
    ///   - now: The wall clock, for `iat`.
    public init(_ proof: UnsafeBufferPointer<UInt8>, for request: DPoPRequest, at now: Instant) throws(DPoPProofError) {
        guard proof.count <= DPoPProof.bytesMax else { throw .malformed }
        let jws: CompactJWS
        let jwk: JSONObject?
        let claims: Claims
        do throws(MalformedToken) {
            jws = try CompactJWS(proof)
            // Read once more, because the header of a token hands out no key (JW-05).
            jwk = try JWSHeader.object(Base64URL.decode(jws.encodedHeader) ?? [], part: "header")["jwk"]?.object
            claims = try Claims(jws.payload)
        } catch {
            throw .malformed
        }
        guard let jwk else { throw .malformed }
        guard JWSHeader.isType(jws.header.type, "dpop+jwt", "application/dpop+jwt") else { throw .wrongType }
        guard let algorithm = jws.header.algorithm, DPoPProof.algorithms.contains(algorithm) else { throw .unsupportedAlgorithm }
        let key = try DPoPProof.key(jwk, algorithm)
        guard jws.signature.count <= DPoPProof.signatureBytesMax, key.isValidSignature(jws.signature, for: jws.signingInput) else {
            throw .badSignature
        }
        try claims.check(for: request, at: now)
        jkt = key.thumbprint
        self.algorithm = algorithm
        id = claims.id
        issuedAt = claims.issuedAt
    }

    /// The same for a proof in any collection.
    public init(_ proof: some Collection<UInt8>, for request: DPoPRequest, at now: Instant) throws(DPoPProofError) {
        // Longer than this is refused, whatever follows.
        let bytes = Array(proof.prefix(DPoPProof.bytesMax + 1))
        self = try bytes.withUnsafeBufferPointer { (bytes) throws(DPoPProofError) in try DPoPProof(bytes, for: request, at: now) }
    }

    private static func key(_ jwk: JSONObject, _ algorithm: SignatureAlgorithm) throws(DPoPProofError) -> VerificationKey {
        let key: VerificationKey
        do throws(JWKError) {
            key = try VerificationKey(jwk: jwk, rsaDefault: algorithm == .ps256 ? .ps256 : .rs256)
        } catch {
            throw error == .privateMember || error == .symmetricKey ? .secretKey : .unusableKey
        }
        guard key.algorithm == algorithm else { throw .unusableKey }
        return key
    }
}

extension DPoPProof {
    /// The claims of a proof (RFC 9449 §4.2), read before its signature is checked and used for nothing until then.
    private struct Claims {
        let id: Identifier
        let method: String
        let url: String
        let issuedAt: Instant
        let expiresAt: Instant?
        let notBefore: Instant?
        let nonce: String?
        let accessTokenHash: String?

        init(_ payload: [UInt8]) throws(MalformedToken) {
            let claims = try JWSHeader.object(payload, part: "payload")
            guard let id = try Claims.text(claims, "jti"), (1...DPoPProof.idBytesMax).contains(id.utf8.count),
                let method = try Claims.text(claims, "htm"), let url = try Claims.text(claims, "htu"),
                let issuedAt = try Claims.date(claims, "iat")
            else { throw MalformedToken("jti, htm, htu or iat is missing or too long") }
            self.id = Identifier(id)
            self.method = method
            self.url = url
            self.issuedAt = issuedAt
            expiresAt = try Claims.date(claims, "exp")
            notBefore = try Claims.date(claims, "nbf")
            nonce = try Claims.text(claims, "nonce")
            accessTokenHash = try Claims.text(claims, "ath")
        }

        private static func text(_ claims: JSONObject, _ name: String) throws(MalformedToken) -> String? {
            guard let value = claims[name] else { return nil }
            guard let text = value.string else { throw MalformedToken("\(name) is no string") }
            return text
        }

        private static func date(_ claims: JSONObject, _ name: String) throws(MalformedToken) -> Instant? {
            guard let value = claims[name] else { return nil }
            guard let date = value.number.flatMap(ClaimReader.date) else { throw MalformedToken("\(name) is no date") }
            return date
        }

        /// The checks 8 to 12 of RFC 9449 §4.3, in that order.
        func check(for request: DPoPRequest, at now: Instant) throws(DPoPProofError) {
            guard method.isSameBytes(as: request.method) else { throw .wrongMethod }
            guard DPoPTarget(url: url) == request.target else { throw .wrongTarget }
            if let isGood = request.nonce {
                guard let nonce else { throw .nonceMissing }
                guard isGood(nonce) else { throw .wrongNonce }
            }
            guard now - issuedAt <= DPoPProof.ageMax else { throw .expired }
            guard issuedAt - now <= DPoPProof.ageMax else { throw .notYetValid }
            // No claims of a proof, but of every JWT that has them (RFC 7519 §4.1.4, §4.1.5).
            if let expiresAt, now - expiresAt >= DPoPProof.ageMax { throw .expired }
            if let notBefore, notBefore - now > DPoPProof.ageMax { throw .notYetValid }
            if let expected = request.accessTokenHash {
                guard let accessTokenHash, accessTokenHash.isSameBytes(as: expected) else { throw .wrongToken }
            }
        }
    }
}
