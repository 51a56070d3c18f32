public import AuthCore
internal import Crypto

extension VerificationKey {
    /// Reads a public JWK (RFC 7517 §4), strictly.
    ///
    /// `use` must be `sig` if it is there, `key_ops` must hold `verify`, `alg` must be an algorithm of this kind of key.
    /// Without `alg` the kind decides: P-256 ES256, P-384 ES384, P-521 ES512, Ed25519 EdDSA, RSA RS256. Private members
    /// are refused, `oct` is refused. Other members (`x5c`, `ext`, …) are ignored.
    ///
    /// - Throws: The first problem found.
    public init(jwk: JSONObject) throws(JWKError) { try self.init(jwk: jwk, rsaDefault: .rs256) }

    /// - Parameter rsaDefault: The algorithm of an RSA key that names none: `rs256` or `ps256`.
    init(jwk: JSONObject, rsaDefault: SignatureAlgorithm) throws(JWKError) {
        try self.init(jwk: jwk, rsa: [rsaDefault, rsaDefault == .ps256 ? .rs256 : .ps256])
    }

    /// The key under one algorithm, which whoever asks has allowed (RFC 8725 §3.1): what `alg` names, if it is there, and what fits the
    /// kind of key.
    ///
    /// - Parameter algorithm: Not symmetric.
    init(jwk: JSONObject, as algorithm: SignatureAlgorithm) throws(JWKError) {
        let isRSA: Bool =
            switch algorithm {
            case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: true
            case .es256, .es384, .es512, .edDSA, .hs256, .hs384, .hs512: false
            }
        try self.init(jwk: jwk, rsa: isRSA ? [algorithm] : [])
        guard self.algorithm == algorithm else { throw .unsupportedAlgorithm }
    }

    /// - Parameter rsa: What an RSA key may have; the first of them if it names none.
    private init(jwk: JSONObject, rsa: [SignatureAlgorithm]) throws(JWKError) {
        guard let type = jwk["kty"]?.string else { throw .missingMember }
        if type.isSameBytes(as: "oct") { throw .symmetricKey }
        for name in JWKReader.privateMembers where jwk[name] != nil { throw .privateMember }
        try JWKReader.checkPurpose(jwk)
        let id = try JWKReader.keyID(jwk)
        let algorithm: SignatureAlgorithm
        let material: Material
        if type.isSameBytes(as: "EC") {
            (algorithm, material) = try JWKReader.ellipticCurve(jwk)
        } else if type.isSameBytes(as: "OKP") {
            (algorithm, material) = try JWKReader.octetKeyPair(jwk)
        } else if type.isSameBytes(as: "RSA") {
            (algorithm, material) = try JWKReader.rsa(jwk, allowed: rsa)
        } else {
            throw .unsupportedKeyType
        }
        self.init(id: id, algorithm: algorithm, material: material)
    }
}

/// The parts of reading a JWK that its kinds share.
package enum JWKReader {
    /// Of RFC 7518 §6.2.2, §6.3.2, §6.4.1 and RFC 8037 §2.
    package static let privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]

    /// The most operations that `key_ops` may list.
    package static let operationsMax = 16

    /// `use` and `key_ops` (RFC 7517 §4.2, §4.3).
    static func checkPurpose(_ jwk: JSONObject) throws(JWKError) {
        if let use = jwk["use"] {
            guard let text = use.string, text.isSameBytes(as: "sig") else { throw .notForSignatures }
        }
        if let operations = jwk["key_ops"] {
            guard let names = operations.strings, names.count <= operationsMax else { throw .notForSignatures }
            guard Set(names.map { Identifier($0) }).count == names.count, names.contains(where: { $0.isSameBytes(as: "verify") }) else {
                throw .notForSignatures
            }
        }
    }

    package static func keyID(_ jwk: JSONObject) throws(JWKError) -> Identifier? {
        guard let member = jwk["kid"] else { return nil }
        guard let text = member.string, (1...JWSHeader.keyIDBytesMax).contains(text.utf8.count) else { throw .invalidKeyID }
        return Identifier(text)
    }

    /// The bytes of a member; canonical base64url is the only text that is read.
    package static func bytes(_ jwk: JSONObject, _ name: String) throws(JWKError) -> [UInt8] {
        guard let text = jwk[name]?.string else { throw .missingMember }
        guard text.utf8.count <= 4_096, let bytes = Base64URL.decode(text) else { throw .invalidEncoding }
        return bytes
    }

    /// The algorithm: what `alg` says when it is one of `allowed`, the first of `allowed` when there is no `alg`.
    static func algorithm(_ jwk: JSONObject, allowed: [SignatureAlgorithm]) throws(JWKError) -> SignatureAlgorithm {
        guard let member = jwk["alg"] else { return allowed[0] }
        guard let name = member.string, let algorithm = SignatureAlgorithm.named(name), allowed.contains(algorithm) else {
            throw .unsupportedAlgorithm
        }
        return algorithm
    }

    fileprivate static func ellipticCurve(_ jwk: JSONObject) throws(JWKError) -> (SignatureAlgorithm, VerificationKey.Material) {
        guard let curve = jwk["crv"]?.string else { throw .missingMember }
        let expected: (algorithm: SignatureAlgorithm, coordinateBytes: Int)
        switch Identifier(curve) {
        case "P-256": expected = (.es256, 32)
        case "P-384": expected = (.es384, 48)
        case "P-521": expected = (.es512, 66)
        default: throw .unsupportedCurve
        }
        let algorithm = try algorithm(jwk, allowed: [expected.algorithm])
        let x = try bytes(jwk, "x")
        let y = try bytes(jwk, "y")
        guard x.count == expected.coordinateBytes, y.count == expected.coordinateBytes else { throw .invalidEncoding }
        do {
            // The library refuses coordinates above the prime and points that are not on the curve.
            switch expected.algorithm {
            case .es256: return (algorithm, .p256(try P256.Signing.PublicKey(rawRepresentation: x + y)))
            case .es384: return (algorithm, .p384(try P384.Signing.PublicKey(rawRepresentation: x + y)))
            default: return (algorithm, .p521(try P521.Signing.PublicKey(rawRepresentation: x + y)))
            }
        } catch {
            throw .invalidPoint
        }
    }

    fileprivate static func octetKeyPair(_ jwk: JSONObject) throws(JWKError) -> (SignatureAlgorithm, VerificationKey.Material) {
        guard let curve = jwk["crv"]?.string else { throw .missingMember }
        guard curve.isSameBytes(as: "Ed25519") else { throw .unsupportedCurve }
        let algorithm = try algorithm(jwk, allowed: [.edDSA])
        let x = try bytes(jwk, "x")
        guard x.count == 32 else { throw .invalidEncoding }
        // The library fails for another length only.
        guard Ed25519Point.isAcceptable(x), let key = try? Curve25519.Signing.PublicKey(rawRepresentation: x) else { throw .invalidPoint }
        return (algorithm, .ed25519(key))
    }

    fileprivate static func rsa(
        _ jwk: JSONObject, allowed: [SignatureAlgorithm]
    ) throws(JWKError) -> (SignatureAlgorithm, VerificationKey.Material) {
        guard !allowed.isEmpty else { throw .unsupportedAlgorithm }
        let algorithm = try algorithm(jwk, allowed: allowed)
        let numbers = try RSAPublicNumbers(modulus: try bytes(jwk, "n"), exponent: try bytes(jwk, "e"))
        return (algorithm, try numbers.material())
    }
}
