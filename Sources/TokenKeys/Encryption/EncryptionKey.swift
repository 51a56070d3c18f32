package import AuthCore
internal import Crypto
internal import CryptoExtras
package import TokenVerification

/// A client's public key that something is encrypted to (RFC 7517 §4, OpenID Connect Core §10.2).
package struct EncryptionKey: Sendable {
    enum Material: Sendable {
        case rsa(modulus: [UInt8], exponent: [UInt8])
        case p256(P256.KeyAgreement.PublicKey)
        case p384(P384.KeyAgreement.PublicKey)
        case p521(P521.KeyAgreement.PublicKey)
    }

    package let algorithm: KeyManagementAlgorithm
    /// `kid`, which goes into the header.
    package let id: Identifier?
    let material: Material

    /// Reads a public JWK for `algorithm`.
    ///
    /// `use` must be `enc` if it is there, `key_ops` must allow it, `alg` must be `algorithm`; the key must be of its kind: RSA from
    /// 2 048 bits, or P-256, P-384, P-521. Private members are refused.
    ///
    /// - Throws: The first problem found; `unsupportedAlgorithm` for a key that is for something else.
    package init(jwk: JSONObject, algorithm: KeyManagementAlgorithm) throws(JWKError) {
        guard let type = jwk["kty"]?.string else { throw .missingMember }
        if type.isSameBytes(as: "oct") { throw .symmetricKey }
        for name in JWKReader.privateMembers where jwk[name] != nil { throw .privateMember }
        try EncryptionKey.checkPurpose(jwk, algorithm)
        id = try JWKReader.keyID(jwk)
        self.algorithm = algorithm
        if algorithm.isRSA {
            guard type.isSameBytes(as: "RSA") else { throw .unsupportedKeyType }
            let numbers = try RSAPublicNumbers(modulus: try JWKReader.bytes(jwk, "n"), exponent: try JWKReader.bytes(jwk, "e"))
            material = .rsa(modulus: numbers.modulus, exponent: numbers.exponent)
        } else {
            guard type.isSameBytes(as: "EC") else { throw .unsupportedKeyType }
            material = try EncryptionKey.point(jwk)
        }
    }

    /// The key of a client's set to use for `algorithm` (OpenID Connect Core §10.2.1): the first that says `use: enc`, else the first
    /// that does not say what it is for. Keys that cannot be used are passed over.
    ///
    /// - Throws: As `ForeignKeys`: a secret in the set refuses all of it.
    package static func selected(
        from jwks: JSONObject, for algorithm: KeyManagementAlgorithm
    ) throws(KeySetError) -> EncryptionKey? {
        _ = try ForeignKeys(jwks: jwks)
        let elements = (jwks["keys"]?.array ?? []).compactMap(\.object)
        for isNamed in [true, false] {
            for jwk in elements where (jwk["use"] != nil) == isNamed {
                // One that cannot be used is none, whatever the reason.
                if let key = try? EncryptionKey(jwk: jwk, algorithm: algorithm) { return key }
            }
        }
        return nil
    }

    private static func checkPurpose(_ jwk: JSONObject, _ algorithm: KeyManagementAlgorithm) throws(JWKError) {
        if let use = jwk["use"] { guard use.string?.isSameBytes(as: "enc") == true else { throw .unsupportedAlgorithm } }
        if let name = jwk["alg"] { guard name.string?.isSameBytes(as: algorithm.rawValue) == true else { throw .unsupportedAlgorithm } }
        if let operations = jwk["key_ops"] {
            guard let names = operations.strings, names.count <= JWKReader.operationsMax else { throw .unsupportedAlgorithm }
            let fitting = algorithm.isRSA ? ["encrypt", "wrapKey"] : ["deriveKey", "deriveBits"]
            // The private half derives: a public key of an agreement has no operation of its own.
            let isEmptyForAgreement = names.isEmpty && !algorithm.isRSA
            guard isEmptyForAgreement || names.contains(where: { name in fitting.contains { $0.isSameBytes(as: name) } }) else {
                throw .unsupportedAlgorithm
            }
        }
    }

    private static func point(_ jwk: JSONObject) throws(JWKError) -> Material {
        guard let curve = jwk["crv"]?.string else { throw .missingMember }
        let point = (x: try JWKReader.bytes(jwk, "x"), y: try JWKReader.bytes(jwk, "y"))
        let sizes: [Identifier: Int] = ["P-256": 32, "P-384": 48, "P-521": 66]
        guard let size = sizes[Identifier(curve)] else { throw .unsupportedCurve }
        guard point.x.count == size, point.y.count == size else { throw .invalidEncoding }
        do {
            // The library refuses coordinates above the prime and points that are not on the curve: no invalid curve attack.
            switch size {
            case 32: return .p256(try P256.KeyAgreement.PublicKey(rawRepresentation: point.x + point.y))
            case 48: return .p384(try P384.KeyAgreement.PublicKey(rawRepresentation: point.x + point.y))
            default: return .p521(try P521.KeyAgreement.PublicKey(rawRepresentation: point.x + point.y))
            }
        } catch { throw .invalidPoint }
    }
}
