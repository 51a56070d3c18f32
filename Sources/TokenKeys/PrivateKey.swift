internal import AuthCore
internal import Crypto
internal import CryptoExtras
internal import TokenVerification

/// A private key that signs. Held only in memory and, sealed, in the store.
enum PrivateKey: Sendable {
    case es256(P256.Signing.PrivateKey)
    case edDSA(Curve25519.Signing.PrivateKey)
    case rs256(_RSA.Signing.PrivateKey)

    init(generating algorithm: SignatureAlgorithm) throws {
        switch algorithm {
        case .es256: self = .es256(P256.Signing.PrivateKey())
        case .edDSA: self = .edDSA(Curve25519.Signing.PrivateKey())
        case .rs256: self = .rs256(try _RSA.Signing.PrivateKey(keySize: .bits2048))
        default: throw SigningKeysError.unsupportedAlgorithm(algorithm.rawValue)
        }
    }

    init(_ bytes: Secret<[UInt8]>, algorithm: SignatureAlgorithm) throws {
        switch algorithm {
        case .es256: self = .es256(try P256.Signing.PrivateKey(rawRepresentation: bytes.exposed))
        case .edDSA: self = .edDSA(try Curve25519.Signing.PrivateKey(rawRepresentation: bytes.exposed))
        case .rs256: self = .rs256(try _RSA.Signing.PrivateKey(derRepresentation: bytes.exposed))
        default: throw SigningKeysError.unsupportedAlgorithm(algorithm.rawValue)
        }
    }

    var bytes: Secret<[UInt8]> {
        switch self {
        case .es256(let key): Secret(Array(key.rawRepresentation))
        case .edDSA(let key): Secret(Array(key.rawRepresentation))
        case .rs256(let key): Secret(Array(key.derRepresentation))
        }
    }

    /// The signature in the form of RFC 7518 §3 and RFC 8037 §3.1.
    func signature(for bytes: [UInt8]) throws -> [UInt8] {
        switch self {
        case .es256(let key): Array(try key.signature(for: bytes).rawRepresentation)
        case .edDSA(let key): Array(try key.signature(for: bytes))
        case .rs256(let key): Array(try key.signature(for: SHA256.hash(data: bytes), padding: .insecurePKCS1v1_5).rawRepresentation)
        }
    }

    func verificationKey(id: Identifier) throws -> VerificationKey {
        switch self {
        case .es256(let key): VerificationKey(id: id, es256: key.publicKey)
        case .edDSA(let key): VerificationKey(id: id, edDSA: key.publicKey)
        case .rs256(let key): try VerificationKey(id: id, rs256: key.publicKey)
        }
    }
}
