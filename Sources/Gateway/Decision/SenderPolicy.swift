package import AuthCore
package import TokenVerification

/// How the gateway finds out who sends: what it keeps for proofs, and whom it believes about the URL that the client saw.
package struct SenderPolicy: Sendable {
    let desk: ProofDesk
    let trustedProxies: [AddressRange]

    /// - Parameters:
    ///   - desk: One for a node, with the nonces of all nodes that share its master key.
    ///   - trustedProxies: `trusted_proxies`: whose `X-Forwarded-Proto` and `X-Forwarded-Host` are believed.
    package init(desk: ProofDesk, trustedProxies: [AddressRange]) {
        self.desk = desk
        self.trustedProxies = trustedProxies
    }

    /// The SHA-256 of the certificate that the client proved on this connection (RFC 8705 §3), in base64url.
    ///
    /// The one place where the gateway and forward-auth learn of it.
    func certificate(_ request: RequestFacts) -> String? { request.clientCertificate?.thumbprint }
}
