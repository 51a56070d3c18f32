/// Why a DPoP proof is refused, in order of precedence: the first that applies is the answer (RFC 9449 §4.3).
///
/// The slugs are in docs/errors.md. `/validate` says `invalid_proof` for all of them, and the checks of an explanation say which.
public enum DPoPProofError: String, Error, Sendable, CaseIterable {
    /// It cannot be read: see `DPoPProof` for what belongs here.
    case malformed = "proof_malformed"
    /// `typ` is not `dpop+jwt`.
    case wrongType = "proof_wrong_type"
    /// `alg` is none of `DPoPProof.algorithms`: `none` and HMAC among them.
    case unsupportedAlgorithm = "proof_unsupported_algorithm"
    /// `jwk` holds a private or a symmetric key, which is public now (CVE-2026-54431).
    case secretKey = "proof_secret_key"
    /// `jwk` is no key of this algorithm, or an unsafe one.
    case unusableKey = "proof_unusable_key"
    case badSignature = "proof_bad_signature"
    /// `htm` is another method.
    case wrongMethod = "proof_wrong_method"
    /// `htu` is another URL, or none.
    case wrongTarget = "proof_wrong_url"
    /// The server asks for a `nonce`, and there is none.
    case nonceMissing = "proof_nonce_missing"
    /// The `nonce` is not of this server, or too old.
    case wrongNonce = "proof_wrong_nonce"
    /// `iat` lies too far back, or an `exp` has passed.
    case expired = "proof_expired"
    /// `iat` or `nbf` lies too far ahead.
    case notYetValid = "proof_not_yet_valid"
    /// `ath` is not the hash of the access token that the proof came with, or is missing.
    case wrongToken = "proof_wrong_token"

    /// Whether another proof of the same request with the server's nonce would do (RFC 9449 §8, §9: `use_dpop_nonce`).
    public var asksForNonce: Bool { self == .nonceMissing || self == .wrongNonce }
}
