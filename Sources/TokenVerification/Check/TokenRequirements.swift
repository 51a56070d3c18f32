public import AuthCore

/// What the place where a token is presented asks of it.
public struct TokenRequirements: Sendable {
    public var audience: AudienceRequirement
    /// All of these.
    public var scope: ScopeSet
    /// One of these; empty for any.
    public var acrValues: [String]
    /// The longest time since the sign-in (`auth_time`), exact: no leeway is added. A token without `auth_time` fails.
    public var maxAge: Duration?
    /// What came along with the token, for tokens that are bound (RFC 9449, RFC 8705 §3); nothing for a token alone.
    public var proof: SenderProof?
    /// Whether a bound token needs its proof here. It does wherever a token lets somebody in; who only asks about one has none.
    public var checksSender = true

    public init(
        audience: AudienceRequirement = .any, scope: ScopeSet = .none, acrValues: [String] = [], maxAge: Duration? = nil,
        proof: SenderProof? = nil
    ) {
        self.audience = audience
        self.scope = scope
        self.acrValues = acrValues
        self.maxAge = maxAge
        self.proof = proof
    }
}

/// Which `aud` will do. A token without `aud` satisfies none of these, `any` included.
public enum AudienceRequirement: Sendable, Equatable {
    case any
    case anyOf([Identifier])
    /// Any as long as this one is not among them.
    case anyBut(Identifier)
}

/// What to do when the revocations known here are older than they may be.
public enum StalePolicy: String, Sendable, CaseIterable {
    /// `TokenDecision.unavailable`.
    case refuse
    /// `TokenDecision.ask`.
    case ask
    /// Go on with what is known.
    case serve
}

/// What holds for every token of an issuer.
public struct TokenRules: Sendable {
    /// Compared byte by byte with `iss`.
    public let issuer: Identifier
    /// How far two clocks may differ: 0 to 60 s (JW-11); what is given outside is brought to the nearer end.
    public let leeway: Duration
    /// The longest `exp − iat`; nothing for no limit.
    public let lifetimeMax: Duration?

    /// The largest and the default leeway.
    public static let leewayMax = Duration.seconds(60)

    public init(issuer: Identifier, leeway: Duration = TokenRules.leewayMax, lifetimeMax: Duration? = nil) {
        self.issuer = issuer
        self.leeway = min(max(leeway, .zero), TokenRules.leewayMax)
        self.lifetimeMax = lifetimeMax
    }
}
