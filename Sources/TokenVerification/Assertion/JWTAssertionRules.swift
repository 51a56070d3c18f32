package import AuthCore

/// Why a JWT that somebody else has signed is not taken.
package enum JWTAssertionRefusal: String, Error, Sendable, CaseIterable {
    /// No JWS in compact form, an extension that must be understood, a claim of a wrong type, or one that is missing.
    case malformed
    /// Not among the algorithms that the caller allows, or of another kind than the keys.
    case unsupportedAlgorithm = "unsupported_algorithm"
    /// `typ` is not what it has to be (RFC 8725 §3.11).
    case wrongType = "wrong_type"
    /// No key of the set has this `kid` and fits the algorithm.
    case unknownKey = "unknown_key"
    case badSignature = "bad_signature"
    case wrongIssuer = "wrong_issuer"
    case wrongSubject = "wrong_subject"
    case wrongAudience = "wrong_audience"
    case notYetValid = "not_yet_valid"
    case expired
    /// It lives longer than is accepted, or is older.
    case lifetimeTooLong = "lifetime_too_long"
}

/// With what a foreign JWT may be signed.
package enum JWTAssertionKeys: Sendable {
    /// Public keys; never with HMAC (JW-03).
    case keySet(ForeignKeys)
    /// A secret that both sides have; with HMAC alone. It must be as long as the hash (RFC 7518 §3.2).
    case secret(Secret<[UInt8]>)
}

/// What a foreign JWT must say, and may be signed with. Nothing of it is taken from the token (JW-01).
///
/// | for | rules |
/// |---|---|
/// | `private_key_jwt`, `client_secret_jwt` (RFC 7523 §3) | `issuer` = `subject` = the client, `id` required, a short `lifetimeMax` |
/// | FAPI 2.0 and RFC 7523bis | the same, and `audience: .only(issuer)` |
/// | an authorization grant (RFC 7523 §3) | `issuer` of the trusted party, `audience`, `id` |
/// | a request object (RFC 9101) | `issuer` = the client, `types`, `audience: .contains([issuer])`; `expiry` as the profile says |
/// | `id_token_hint` | `issuer` = ourselves, our own keys, `expiry: .ignored`, `audience: .any` |
package struct JWTAssertionRules: Sendable {
    package enum Audience: Sendable {
        /// `aud` is not looked at, and may be absent.
        case any
        /// `aud` is one of these or a list with one of these.
        case contains([Identifier])
        /// `aud` is exactly this string, and no list.
        case only(Identifier)
    }

    package enum Expiry: Sendable {
        /// `exp` must be there and ahead (JW-11).
        case required
        /// `exp` must be ahead if it is there.
        case optional
        /// `exp` must be a date if it is there; it may have passed.
        case ignored
    }

    package enum Claim: Sendable { case issuer, subject, id, issuedAt, notBefore }

    /// The longest `leeway`.
    package static let leewayMax = Duration.seconds(60)

    package var algorithms: Set<SignatureAlgorithm>
    /// What `typ` may be, without `application/`; nothing to leave it unchecked.
    package var types: [String]?
    /// Whether a token without `typ` is taken too, when `types` are named.
    package var allowsNoType = false
    /// What `iss` must be; nothing when the caller compares it.
    package var issuer: Identifier?
    package var subject: Identifier?
    package var audience: Audience
    package var expiry = Expiry.required
    /// What must be there besides what is compared.
    package var required: Set<Claim> = []
    /// How far `exp` may lie after `nbf` or `iat`, and after now.
    package var lifetimeMax: Duration?
    /// How long ago `nbf` and `iat` may be.
    package var ageMax: Duration?
    /// For clocks that differ; at most `leewayMax`.
    package let leeway: Duration

    package init(algorithms: Set<SignatureAlgorithm>, audience: Audience, leeway: Duration = .seconds(10)) {
        self.algorithms = algorithms
        self.audience = audience
        self.leeway = min(max(leeway, .zero), JWTAssertionRules.leewayMax)
    }
}
