public import AuthCore

/// What a verified access token says (RFC 9068 §2.2). Immutable and shared: the cache hands the same object to everyone.
public final class AccessToken: Sendable {
    /// A client as it was when it held a token that this one came from.
    public struct Holder: Sendable, Hashable {
        public let client: Identifier
        /// The version of the client, as the second number of `ver`.
        public let epoch: Int64

        public init(client: Identifier, epoch: Int64) {
            self.client = client
            self.epoch = epoch
        }
    }

    /// The most clients that a token may have been passed on by.
    public static let holdersMax = 16

    public let issuer: Identifier
    public let subject: Identifier
    public let clientID: Identifier
    /// Empty when the token has no `aud`; such a token is refused everywhere.
    public let audiences: [Identifier]
    public let expiresAt: Instant
    public let issuedAt: Instant
    public let notBefore: Instant?
    /// `jti`.
    public let id: Identifier
    public let scope: ScopeSet
    /// `sid`, the sign-in session; absent for client_credentials.
    public let sessionID: Identifier?
    /// `gid`, the grant.
    public let grantID: Identifier?
    /// The first number of `ver`; 0 without `ver`.
    public let accountEpoch: Int64
    /// The second number of `ver`; 0 without it.
    public let clientEpoch: Int64
    /// `via`: who has passed the token on by token exchange (RFC 8693), the latest first; empty for most.
    public let passedOn: [Holder]
    /// `auth_time`.
    public let authenticatedAt: Instant?
    public let acr: String?
    public let amr: [String]
    public let roles: [Identifier]
    /// `cnf.jkt`: the thumbprint of the key that whoever presents the token must prove (RFC 9449 §6).
    public let confirmationJKT: String?
    /// `cnf.x5t#S256`: the SHA-256 of the certificate that whoever presents the token must hold the key of (RFC 8705 §3.1).
    public let confirmationX5T: String?
    /// Whether `cnf` has anything else, or nothing at all (RFC 7800 §3.1): such a token is refused everywhere.
    let hasUnknownConfirmation: Bool
    /// Whether the token has a `cnf` at all, of any kind (RFC 7800).
    public let isSenderConstrained: Bool
    /// Of the key that verified it.
    public let keyID: Identifier

    /// The key that verified it, by material and algorithm.
    let keyFingerprint: TokenHash
    private let payload: [UInt8]

    /// All claims, our own and others. Read anew from the payload on each use: not for the hot path.
    public var claims: JSONObject {
        // These very bytes were read once before, when the token was made.
        (try? JSONReader.read(payload, limits: .token))?.object ?? JSONObject()
    }

    /// - Parameter issuer: What `claims.issuer` has been found equal to: shared, so that the cache does not hold it once for each token.
    init(_ claims: AccessTokenClaims, issuer: Identifier, payload: [UInt8], key: VerificationKey) {
        self.issuer = issuer
        subject = claims.subject
        clientID = claims.clientID
        audiences = claims.audiences
        expiresAt = claims.expiresAt
        issuedAt = claims.issuedAt
        notBefore = claims.notBefore
        id = claims.id
        scope = claims.scope
        sessionID = claims.sessionID
        grantID = claims.grantID
        accountEpoch = claims.epochs.account
        clientEpoch = claims.epochs.client
        passedOn = claims.passedOn
        authenticatedAt = claims.authenticatedAt
        acr = claims.acr
        amr = claims.amr
        roles = claims.roles
        confirmationJKT = claims.confirmation?.jkt
        confirmationX5T = claims.confirmation?.x5t
        hasUnknownConfirmation = claims.confirmation?.isUnknown ?? false
        isSenderConstrained = claims.confirmation != nil
        keyID = key.id
        keyFingerprint = key.fingerprint
        self.payload = payload
    }
}
