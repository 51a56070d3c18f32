package import AuthCore
package import TokenVerification

/// A signed statement for one service about who is calling: what `identity: jwt` puts into `X-Auth-Token`.
package struct IdentityToken: Sendable {
    /// A compact JWS.
    package let text: String
    package let issuedAt: Instant
    package let expiresAt: Instant

    package init(text: String, issuedAt: Instant, expiresAt: Instant) {
        self.text = text
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
    }

    /// Until half of its life has passed, so that a service never gets one that is about to end.
    func isReusable(at now: Instant) -> Bool {
        let half = expiresAt.milliseconds.subtractingSaturated(issuedAt.milliseconds) / 2
        return now >= issuedAt && now < issuedAt + .milliseconds(half)
    }
}

/// Signs an identity token for the service behind `route`; the composition root joins it to `TokenKeys`.
///
/// The token must not outlive the access token. Synchronous and without I/O. Nothing when no key is at hand: the gateway
/// then answers 503 rather than pass a request on without the identity (GW-20).
package typealias IdentityTokenSigner = @Sendable (_ token: AccessToken, _ route: Route, _ now: Instant) -> IdentityToken?
