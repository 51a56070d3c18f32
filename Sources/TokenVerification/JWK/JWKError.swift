/// Why a JWK is no key that verifies signatures here (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
public enum JWKError: String, Error, Sendable, CaseIterable {
    /// A required member is absent or of the wrong JSON type.
    case missingMember = "missing_member"
    /// `kty` is none of EC, RSA, OKP.
    case unsupportedKeyType = "unsupported_key_type"
    case unsupportedCurve = "unsupported_curve"
    /// `alg` is not one that is known for this key.
    case unsupportedAlgorithm = "unsupported_algorithm"
    /// `use` or `key_ops` say that it is for something else.
    case notForSignatures = "not_for_signatures"
    /// A private member stands in what should be public.
    case privateMember = "private_member"
    /// An `oct` key stands in what should be public.
    case symmetricKey = "symmetric_key"
    /// A coordinate or number is not canonical base64url of its exact length.
    case invalidEncoding = "invalid_encoding"
    /// Not a point of the curve, or one of small order.
    case invalidPoint = "invalid_point"
    /// RSA below 2 048 or above 8 192 bits, an even modulus, an exponent that is even or below 3, or a modulus of the
    /// faulty generator known as ROCA (CVE-2017-15361); an HMAC key shorter than its hash.
    case weakKey = "weak_key"
    /// `kid` is no string, empty or above 255 bytes.
    case invalidKeyID = "invalid_key_id"
}
