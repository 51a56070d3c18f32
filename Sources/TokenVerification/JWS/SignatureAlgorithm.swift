internal import AuthCore

/// The signature algorithms that Gatehouse knows (RFC 7518 §3, RFC 8037 §3.1), by their registered names.
///
/// A key has exactly one of them; the header of a token only repeats it (RFC 8725 §3.1). The HMAC ones are here for the
/// `jws` verdict with an `oct` key and for what a client signs with its secret: no key set holds such a key, so no access token is ever
/// accepted under one (JW-03). RSA with SHA-384 and SHA-512 is for what clients sign; no key of a `KeySet` has it.
public enum SignatureAlgorithm: String, Sendable, Hashable, CaseIterable {
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    case rs256 = "RS256"
    case ps256 = "PS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps384 = "PS384"
    case ps512 = "PS512"
    case edDSA = "EdDSA"
    case hs256 = "HS256"
    case hs384 = "HS384"
    case hs512 = "HS512"

    /// Whether who verifies could also sign (HMAC).
    public var isSymmetric: Bool {
        switch self {
        case .hs256, .hs384, .hs512: true
        case .es256, .es384, .es512, .rs256, .rs384, .rs512, .ps256, .ps384, .ps512, .edDSA: false
        }
    }

    /// Whether an access token may have it, and a key of a `KeySet`.
    var isOfKeySets: Bool {
        switch self {
        case .es256, .es384, .es512, .rs256, .ps256, .edDSA: true
        case .rs384, .rs512, .ps384, .ps512, .hs256, .hs384, .hs512: false
        }
    }

    /// The algorithm with exactly these bytes as its name; `none` in any spelling is not one.
    static func named(_ name: String) -> SignatureAlgorithm? {
        allCases.first { $0.rawValue.isSameBytes(as: name) }
    }
}
