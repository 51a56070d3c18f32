package import Store

/// Finds out which key the sender of a request proves, so that its tokens are bound to it (RFC 9449, RFC 8705 §3).
package struct SenderConstraint: Sendable {
    package init() {}

    /// - Throws: `invalid_dpop_proof` for a proof that is not good; `invalid_request` when the client must be bound to a key and proves none.
    package func confirmation(of request: OAuthRequest, client: Client) async throws(OAuthError) -> Confirmation? {
        if client.policy.needsSenderConstraint {
            throw OAuthError(.invalidRequest, .senderProofMissing, "This client's tokens must be bound to a key: send a proof of one.")
        }
        return nil
    }
}
