internal import AuthCore

/// How the key of a JWE's content is given to its recipient (RFC 7518 §4), as far as Gatehouse does it.
///
/// Not here, and never to be: `RSA1_5` and `PBES2` (JW-20, RFC 8725 §3.2). `dir` and symmetric wrapping need a secret that both sides
/// have.
package enum KeyManagementAlgorithm: String, Sendable, CaseIterable {
    /// With SHA-1 inside, which is no weakness here; for recipients that know nothing else.
    case rsaOAEP = "RSA-OAEP"
    case rsaOAEP256 = "RSA-OAEP-256"
    case ecdhES = "ECDH-ES"
    case ecdhESA128KW = "ECDH-ES+A128KW"
    case ecdhESA256KW = "ECDH-ES+A256KW"

    /// The algorithm of exactly this name.
    package static func named(_ name: String) -> KeyManagementAlgorithm? { allCases.first { $0.rawValue.isSameBytes(as: name) } }

    var isRSA: Bool { self == .rsaOAEP || self == .rsaOAEP256 }

    /// Of the key that wraps the content's key; nothing when there is none to wrap it.
    var wrappingKeyBytes: Int? {
        switch self {
        case .rsaOAEP, .rsaOAEP256, .ecdhES: nil
        case .ecdhESA128KW: 16
        case .ecdhESA256KW: 32
        }
    }
}

/// How a JWE's content is encrypted (RFC 7518 §5).
package enum ContentEncryption: String, Sendable, CaseIterable {
    /// What a client gets that names no other (OpenID Connect Registration §2).
    case a128CBCHS256 = "A128CBC-HS256"
    case a256CBCHS512 = "A256CBC-HS512"
    case a128GCM = "A128GCM"
    case a256GCM = "A256GCM"

    /// The algorithm of exactly this name.
    package static func named(_ name: String) -> ContentEncryption? { allCases.first { $0.rawValue.isSameBytes(as: name) } }

    /// Of the content's key; both halves together for CBC.
    var keyBytes: Int {
        switch self {
        case .a128GCM: 16
        case .a128CBCHS256, .a256GCM: 32
        case .a256CBCHS512: 64
        }
    }

    /// Of the initialization vector.
    var vectorBytes: Int {
        switch self {
        case .a128GCM, .a256GCM: 12
        case .a128CBCHS256, .a256CBCHS512: 16
        }
    }
}
