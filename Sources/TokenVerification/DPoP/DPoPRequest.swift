internal import AuthCore

/// The request that a proof must have been made for.
public struct DPoPRequest: Sendable {
    /// As received: `htm` is compared with it byte by byte (RFC 9110 §9.1).
    public let method: String
    public let target: DPoPTarget
    /// Whether a `nonce` is one of the server's own; nothing when none is asked for, and one that comes is not looked at.
    public let nonce: (@Sendable (_ nonce: String) -> Bool)?
    /// What `ath` must say (RFC 9449 §4.2); nothing when no access token goes with the request, and an `ath` is not looked at.
    let accessTokenHash: String?

    /// A request with no access token: to the token endpoint.
    public init(method: String, target: DPoPTarget, nonce: (@Sendable (_ nonce: String) -> Bool)? = nil) {
        self.method = method
        self.target = target
        self.nonce = nonce
        accessTokenHash = nil
    }

    /// A request with an access token: to a protected resource.
    ///
    /// - Parameter accessToken: The token alone, without a scheme.
    public init(
        method: String, target: DPoPTarget, accessToken: some Sequence<UInt8>, nonce: (@Sendable (_ nonce: String) -> Bool)? = nil
    ) {
        self.method = method
        self.target = target
        self.nonce = nonce
        accessTokenHash = Base64URL.encode(TokenHash(of: accessToken).bytes)
    }
}
