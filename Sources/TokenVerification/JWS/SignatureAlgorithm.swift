internal import AuthCore

/// The signature algorithms that Gatehouse knows (RFC 7518 §3, RFC 8037 §3.1), by their registered names.
///
/// A key has exactly one of them; the header of a token only repeats it (RFC 8725 §3.1). The HMAC ones are here for the
/// `jws` verdict with an `oct` key: no key set holds such a key, so no access token is ever accepted under one (JW-03).
public enum SignatureAlgorithm: String, Sendable, Hashable, CaseIterable {
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    case rs256 = "RS256"
    case ps256 = "PS256"
    case edDSA = "EdDSA"
    case hs256 = "HS256"
    case hs384 = "HS384"
    case hs512 = "HS512"

    /// Whether who verifies could also sign (HMAC).
    public var isSymmetric: Bool {
        switch self {
        case .hs256, .hs384, .hs512: true
        case .es256, .es384, .es512, .rs256, .ps256, .edDSA: false
        }
    }

    /// The algorithm with exactly these bytes as its name; `none` in any spelling is not one.
    static func named(_ name: String) -> SignatureAlgorithm? {
        allCases.first { $0.rawValue.isSameBytes(as: name) }
    }
}
