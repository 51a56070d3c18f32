internal import AuthCore

/// The claims of an access token, read and bounded before its signature is checked, and used for nothing until then.
///
/// `iss`, `sub`, `client_id`, `jti`, `exp` and `iat` must be there (RFC 9068 §2.2); a missing or mistyped claim, one that
/// is too long, or `null` is `malformed`. A missing or empty `aud` is not: it is refused later as `wrong_audience`.
struct AccessTokenClaims {
    static let issuerBytesMax = 2_048
    /// Of `sub`, `client_id`, `jti`, `sid`, `gid`, `acr`, and of one `amr` or role.
    static let nameBytesMax = 255
    static let audienceBytesMax = 2_048
    static let audiencesMax = 64
    static let methodsMax = 32
    static let rolesMax = 256

    let issuer: Identifier
    let subject: Identifier
    let clientID: Identifier
    let audiences: [Identifier]
    let expiresAt: Instant
    let issuedAt: Instant
    let notBefore: Instant?
    let id: Identifier
    let scope: ScopeSet
    let sessionID: Identifier?
    let grantID: Identifier?
    let epochs: (account: Int64, client: Int64)
    let authenticatedAt: Instant?
    let acr: String?
    let amr: [String]
    let roles: [Identifier]
    let confirmation: Confirmation?
    let passedOn: [AccessToken.Holder]

    /// `cnf` (RFC 7800 §3.1): thumbprints of a key and of a certificate.
    struct Confirmation {
        let jkt: String?
        let x5t: String?
        /// Whether there is a method that is not known here, or none.
        let isUnknown: Bool
    }

    /// - Parameter lifetimeMax: `exp − iat` above it is malformed; nothing for no limit.
    init(_ payload: [UInt8], lifetimeMax: Duration?) throws(MalformedToken) {
        let claims = ClaimReader(try JWSHeader.object(payload, part: "payload"))
        issuer = Identifier(try claims.text(.issuer, bytesMax: AccessTokenClaims.issuerBytesMax))
        subject = Identifier(try claims.text(.subject, bytesMax: AccessTokenClaims.nameBytesMax))
        clientID = Identifier(try claims.text(.clientID, bytesMax: AccessTokenClaims.nameBytesMax))
        id = Identifier(try claims.text(.id, bytesMax: AccessTokenClaims.nameBytesMax))
        audiences = try claims.audiences()
        expiresAt = try claims.date(.expiry)
        issuedAt = try claims.date(.issuedAt)
        notBefore = try claims.optionalDate(.notBefore)
        authenticatedAt = try claims.optionalDate(.authenticatedAt)
        sessionID = try claims.optionalName(.session)
        grantID = try claims.optionalName(.grant)
        acr = try claims.optionalText(.acr, bytesMax: AccessTokenClaims.nameBytesMax)
        amr = try claims.texts(.amr, countMax: AccessTokenClaims.methodsMax)
        roles = try claims.texts(.roles, countMax: AccessTokenClaims.rolesMax).map { Identifier($0) }
        scope = try claims.scope()
        epochs = try claims.epochs()
        confirmation = try claims.confirmation()
        passedOn = try claims.passedOn()
        if let lifetimeMax, expiresAt - issuedAt > lifetimeMax {
            throw MalformedToken("exp is more than \(lifetimeMax.wholeSeconds) s after iat")
        }
    }
}
