public import AuthCore
public import Crypto
public import CryptoExtras

/// A public key that verifies signatures under exactly one algorithm (RFC 8725 §3.1).
///
/// The key is parsed once, when this value is made; copies share it.
public struct VerificationKey: Sendable {
    /// The `kid`. A JWK without one is named by its RFC 7638 thumbprint.
    public let id: Identifier
    public let algorithm: SignatureAlgorithm
    /// Which key this is, by its material and algorithm: two sets that were read apart hold the same key if this is equal.
    let fingerprint: TokenHash
    private let material: Material

    enum Material: Sendable {
        case p256(P256.Signing.PublicKey)
        case p384(P384.Signing.PublicKey)
        case p521(P521.Signing.PublicKey)
        case ed25519(Curve25519.Signing.PublicKey)
        case rsa(_RSA.Signing.PublicKey, modulus: [UInt8], exponent: [UInt8])
    }

    /// - Parameter id: Nothing to name the key by its thumbprint.
    init(id: Identifier?, algorithm: SignatureAlgorithm, material: Material) {
        // Once: what a point's coordinates are takes the library an inversion.
        canonical = VerificationKey.canonicalMembers(material)
        let canonical = canonical.encoded
        thumbprint = Base64URL.encode(TokenHash(of: canonical).bytes)
        self.id = id ?? Identifier(thumbprint)
        self.algorithm = algorithm
        self.fingerprint = TokenHash(of: Array(algorithm.rawValue.utf8) + [0] + canonical)
        self.material = material
    }

    public init(id: Identifier, es256 key: P256.Signing.PublicKey) { self.init(id: id, algorithm: .es256, material: .p256(key)) }
    public init(id: Identifier, es384 key: P384.Signing.PublicKey) { self.init(id: id, algorithm: .es384, material: .p384(key)) }
    public init(id: Identifier, es512 key: P521.Signing.PublicKey) { self.init(id: id, algorithm: .es512, material: .p521(key)) }
    public init(id: Identifier, edDSA key: Curve25519.Signing.PublicKey) {
        self.init(id: id, algorithm: .edDSA, material: .ed25519(key))
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256.
    ///
    /// - Throws: `JWKError.weakKey` for a size that is not accepted.
    public init(id: Identifier, rs256 key: _RSA.Signing.PublicKey) throws(JWKError) {
        self.init(id: id, algorithm: .rs256, material: try VerificationKey.rsa(key))
    }

    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    ///
    /// - Throws: `JWKError.weakKey` for a size that is not accepted.
    public init(id: Identifier, ps256 key: _RSA.Signing.PublicKey) throws(JWKError) {
        self.init(id: id, algorithm: .ps256, material: try VerificationKey.rsa(key))
    }

    private static func rsa(_ key: _RSA.Signing.PublicKey) throws(JWKError) -> Material {
        // The library has no key without them; an error would say only that it is no RSA key.
        guard let numbers = try? key.getKeyPrimitives() else { throw .weakKey }
        return try RSAPublicNumbers(modulus: Array(numbers.modulus), exponent: Array(numbers.publicExponent)).material()
    }

    /// Whether `signature`, in the form of RFC 7518 §3 or RFC 8037 §3.1, is this key's over `message`.
    ///
    /// A signature of another length than the algorithm's is none.
    public func isValidSignature(_ signature: [UInt8], for message: UnsafeBufferPointer<UInt8>) -> Bool {
        switch material {
        case .p256(let key):
            // Whatever cannot be parsed is no signature.
            guard signature.count == 64, let parsed = try? P256.Signing.ECDSASignature(rawRepresentation: signature) else {
                return false
            }
            return key.isValidSignature(parsed, for: digest(SHA256.self, message))
        case .p384(let key):
            // Whatever cannot be parsed is no signature.
            guard signature.count == 96, let parsed = try? P384.Signing.ECDSASignature(rawRepresentation: signature) else {
                return false
            }
            return key.isValidSignature(parsed, for: digest(SHA384.self, message))
        case .p521(let key):
            // Whatever cannot be parsed is no signature.
            guard signature.count == 132, let parsed = try? P521.Signing.ECDSASignature(rawRepresentation: signature) else {
                return false
            }
            return key.isValidSignature(parsed, for: digest(SHA512.self, message))
        case .ed25519(let key):
            return signature.count == 64 && key.isValidSignature(signature, for: message)
        case .rsa(let key, let modulus, _):
            guard signature.count == modulus.count else { return false }
            let parsed = _RSA.Signing.RSASignature(rawRepresentation: signature)
            return switch algorithm {
            case .ps256: key.isValidSignature(parsed, for: digest(SHA256.self, message), padding: .PSS)
            case .ps384: key.isValidSignature(parsed, for: digest(SHA384.self, message), padding: .PSS)
            case .ps512: key.isValidSignature(parsed, for: digest(SHA512.self, message), padding: .PSS)
            case .rs384: key.isValidSignature(parsed, for: digest(SHA384.self, message), padding: .insecurePKCS1v1_5)
            case .rs512: key.isValidSignature(parsed, for: digest(SHA512.self, message), padding: .insecurePKCS1v1_5)
            default: key.isValidSignature(parsed, for: digest(SHA256.self, message), padding: .insecurePKCS1v1_5)
            }
        }
    }

    public func isValidSignature(_ signature: [UInt8], for message: [UInt8]) -> Bool {
        message.withUnsafeBufferPointer { isValidSignature(signature, for: $0) }
    }

    private func digest<Hash: HashFunction>(_: Hash.Type, _ message: UnsafeBufferPointer<UInt8>) -> Hash.Digest {
        var hash = Hash()
        hash.update(bufferPointer: UnsafeRawBufferPointer(message))
        return hash.finalize()
    }

    /// The JWK as it is published (RFC 7517 §4): `kty`, the public numbers, `kid`, `alg` and `use: sig`.
    public var publicJWK: JSONObject {
        var members = canonical.members
        members.append(("kid", .string(id.text)))
        members.append(("alg", .string(algorithm.rawValue)))
        members.append(("use", .string("sig")))
        return JSONObject(members)
    }

    /// The SHA-256 thumbprint of RFC 7638 §3 in base64url, 43 characters; what `cnf.jkt` holds (RFC 7800, RFC 9449 §6.1).
    public let thumbprint: String
    private let canonical: JSONObject

    /// The required members in the order of RFC 7638 §3.3.
    private static func canonicalMembers(_ material: Material) -> JSONObject {
        func ellipticCurve(_ curve: String, _ point: some Collection<UInt8>) -> JSONObject {
            let half = point.count / 2
            return JSONObject([
                ("crv", .string(curve)), ("kty", .string("EC")), ("x", .string(Base64URL.encode(point.prefix(half)))),
                ("y", .string(Base64URL.encode(point.suffix(half)))),
            ])
        }
        return switch material {
        case .p256(let key): ellipticCurve("P-256", key.rawRepresentation)
        case .p384(let key): ellipticCurve("P-384", key.rawRepresentation)
        case .p521(let key): ellipticCurve("P-521", key.rawRepresentation)
        case .ed25519(let key):
            JSONObject([
                ("crv", .string("Ed25519")), ("kty", .string("OKP")), ("x", .string(Base64URL.encode(Array(key.rawRepresentation)))),
            ])
        case .rsa(_, let modulus, let exponent):
            JSONObject([
                ("e", .string(Base64URL.encode(exponent))), ("kty", .string("RSA")), ("n", .string(Base64URL.encode(modulus))),
            ])
        }
    }
}

extension JSONObject {
    fileprivate var encoded: [UInt8] { JSONValue.object(self).encoded }
}
