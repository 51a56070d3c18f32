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
    /// It is bound to a key or a certificate (`cnf`) and came without a proof of it, or is bound in a way that is not known here.
    case proofRequired = "proof_required"
    /// The proof is not good for this request or was used before, or the token is bound to another key or certificate, or to none.
    case invalidProof = "invalid_proof"
    /// `acr` or `auth_time` do not suffice (RFC 9470 §3).
    case insufficientAuthentication = "insufficient_authentication"
    case insufficientScope = "insufficient_scope"
}
