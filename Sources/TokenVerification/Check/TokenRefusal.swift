/// Why a token is refused: the `reason` of `/validate`, in order of precedence. The first that applies is the answer.
public enum TokenRefusal: String, Error, Sendable, CaseIterable {
    /// It cannot be read: see `AccessTokenClaims` and `CompactJWS` for what belongs here.
    case malformed
    case unsupportedAlgorithm = "unsupported_algorithm"
    case unknownKey = "unknown_key"
    case badSignature = "bad_signature"
    /// `typ` is not `at+jwt` (RFC 9068 §4).
    case wrongType = "wrong_type"
    case wrongIssuer = "wrong_issuer"
    /// `nbf` or `iat` is in the future.
    case notYetValid = "not_yet_valid"
    case expired
    case revoked
    case wrongAudience = "wrong_audience"
    /// It is bound to a key (`cnf`) and came without a proof of it.
    case proofRequired = "proof_required"
    /// It is bound to another key than the one that was proven.
    case invalidProof = "invalid_proof"
    /// `acr` or `auth_time` do not suffice (RFC 9470 §3).
    case insufficientAuthentication = "insufficient_authentication"
    case insufficientScope = "insufficient_scope"
}
