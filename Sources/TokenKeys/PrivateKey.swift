internal import AuthCore
internal import Crypto
internal import CryptoExtras
internal import TokenVerification

/// A private key that signs. Held only in memory and, sealed, in the store.
enum PrivateKey: Sendable {
    case es256(P256.Signing.PrivateKey)
    case edDSA(Curve25519.Signing.PrivateKey)
    case rs256(_RSA.Signing.PrivateKey)
    case ps256(_RSA.Signing.PrivateKey)

    /// Of an RSA key. 2 048 bits are 112 of strength (NIST SP 800-57 part 1, table 2), which is good until 2030 for keys that change in
    /// months and tokens that live for minutes; 3 072 would make each signature three times as slow, and every verifier takes 2 048.
    private static let rsaBits = _RSA.Signing.KeySize.bits2048

    /// Whether making such a key takes long enough (RSA: tenths of a second, by chance several) that nobody should wait for it.
    static func isSlow(_ algorithm: SignatureAlgorithm) -> Bool { algorithm == .rs256 || algorithm == .ps256 }

    init(generating algorithm: SignatureAlgorithm) throws {
        switch algorithm {
        case .es256: self = .es256(P256.Signing.PrivateKey())
        case .edDSA: self = .edDSA(Curve25519.Signing.PrivateKey())
        case .rs256: self = .rs256(try _RSA.Signing.PrivateKey(keySize: PrivateKey.rsaBits))
        case .ps256: self = .ps256(try _RSA.Signing.PrivateKey(keySize: PrivateKey.rsaBits))
        default: throw SigningKeysError.unsupportedAlgorithm(algorithm.rawValue)
        }
    }

    init(_ bytes: Secret<[UInt8]>, algorithm: SignatureAlgorithm) throws {
        switch algorithm {
        case .es256: self = .es256(try P256.Signing.PrivateKey(rawRepresentation: bytes.exposed))
        case .edDSA: self = .edDSA(try Curve25519.Signing.PrivateKey(rawRepresentation: bytes.exposed))
        case .rs256: self = .rs256(try _RSA.Signing.PrivateKey(derRepresentation: bytes.exposed))
        case .ps256: self = .ps256(try _RSA.Signing.PrivateKey(derRepresentation: bytes.exposed))
        default: throw SigningKeysError.unsupportedAlgorithm(algorithm.rawValue)
        }
    }

    var bytes: Secret<[UInt8]> {
        switch self {
        case .es256(let key): Secret(Array(key.rawRepresentation))
        case .edDSA(let key): Secret(Array(key.rawRepresentation))
        case .rs256(let key), .ps256(let key): Secret(Array(key.derRepresentation))
        }
    }

    /// The signature in the form of RFC 7518 §3 and RFC 8037 §3.1.
    func signature(for bytes: [UInt8]) throws -> [UInt8] {
        switch self {
        case .es256(let key): Array(try key.signature(for: bytes).rawRepresentation)
        case .edDSA(let key): Array(try key.signature(for: bytes))
        case .rs256(let key): Array(try key.signature(for: SHA256.hash(data: bytes), padding: .insecurePKCS1v1_5).rawRepresentation)
        case .ps256(let key): Array(try key.signature(for: SHA256.hash(data: bytes), padding: .PSS).rawRepresentation)
        }
    }

    func verificationKey(id: Identifier) throws -> VerificationKey {
        switch self {
        case .es256(let key): VerificationKey(id: id, es256: key.publicKey)
        case .edDSA(let key): VerificationKey(id: id, edDSA: key.publicKey)
        case .rs256(let key): try VerificationKey(id: id, rs256: key.publicKey)
        case .ps256(let key): try VerificationKey(id: id, ps256: key.publicKey)
        }
    }
}
