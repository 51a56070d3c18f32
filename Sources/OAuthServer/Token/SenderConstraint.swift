package import AuthCore
package import Store
package import TokenVerification

/// Finds out which key the sender of a request proves, so that its tokens are bound to it (RFC 9449 §5, RFC 8705 §3).
package struct SenderConstraint: Sendable {
    private let origins: [Identifier]
    private let store: any SpentStore
    private let nonces: DPoPNonces

    /// - Parameter origins: What a proof may name in front of the path: the issuer, and where its endpoints have another name.
    package init(origins: [Identifier], store: any SpentStore, nonces: DPoPNonces) {
        self.origins = origins
        self.store = store
        self.nonces = nonces
    }

    /// The nonce for the proofs that come next (RFC 9449 §8).
    package func nonce(at now: Instant) -> String { nonces.nonce(at: now) }

    /// - Throws: `invalid_dpop_proof` for a proof that is not good, `use_dpop_nonce` for one without our nonce, `invalid_request` when the
    ///   client's tokens must be bound to a key and it proves none.
    package func confirmation(of request: OAuthRequest, client: Client) async throws(OAuthError) -> Confirmation? {
        if !request.proofs.isEmpty { return try await proofKey(request, of: client) }
        let metadata = client.definition.metadata
        if metadata.needsDPoP {
            throw OAuthError(.invalidDPoPProof, .senderProofMissing, "This client must send a DPoP proof (RFC 9449 §5.2).")
        }
        if metadata.needsBoundCertificate || client.policy.needsSenderConstraint {
            guard let certificate = request.certificate, certificate.isValid(at: request.now) else {
                throw OAuthError(.invalidRequest, .senderProofMissing, "This client's tokens must be bound to a key: prove one.")
            }
            return Confirmation(.certificate, certificate.thumbprint)
        }
        return nil
    }

    private func read(_ field: [UInt8], _ method: String, _ targets: [DPoPTarget], at now: Instant) throws(DPoPProofError) -> DPoPProof {
        let nonces = nonces
        var failure = DPoPProofError.wrongTarget
        for target in targets {
            let wanted = DPoPRequest(method: method, target: target) { nonces.isGood($0, at: now) }
            do throws(DPoPProofError) {
                return try field.withUnsafeBufferPointer { (bytes) throws(DPoPProofError) in try DPoPProof(bytes, for: wanted, at: now) }
            } catch {
                failure = error
                if error != .wrongTarget { break }
            }
        }
        throw failure
    }

    private func proofKey(_ request: OAuthRequest, of client: Client) async throws(OAuthError) -> Confirmation {
        guard request.proofs.count == 1 else {
            throw OAuthError(.invalidDPoPProof, .senderProofInvalid, "There is more than one DPoP header (RFC 9449 §4.3).")
        }
        let targets = origins.compactMap { DPoPTarget(url: $0.text + request.path) }
        guard !targets.isEmpty else { throw OAuthError(.invalidDPoPProof, .senderProofInvalid, "No proof fits this address.") }
        let now = request.now
        let proof: DPoPProof
        do throws(DPoPProofError) { proof = try read(request.proofs[0], request.method, targets, at: now) } catch {
            if error.asksForNonce {
                throw OAuthError(.useDPoPNonce, .senderNonceNeeded, "Make a proof with the nonce in the DPoP-Nonce header (RFC 9449 §8).")
            }
            throw OAuthError(.invalidDPoPProof, .senderProofInvalid, "The DPoP proof is not good: \(error.rawValue).")
        }
        guard client.policy.signatureAlgorithms.contains(where: { $0.isSameBytes(as: proof.algorithm.rawValue) }) else {
            throw OAuthError(.invalidDPoPProof, .senderProofInvalid, "The profile of this client does not allow this algorithm.")
        }
        // Once, on all nodes together. Behind the nonce's window no proof with it is good any more.
        let id = Identifier("dpop \(proof.jkt) \(Base64URL.encode(TokenHash(of: proof.id.text.utf8).bytes))")
        let isNew: Bool
        do { isNew = try await store.spend(id, until: now + DPoPNonces.window + DPoPProof.ageMax, at: now) } catch {
            throw OAuthError(storeError: error)
        }
        guard isNew else { throw OAuthError(.invalidDPoPProof, .senderProofReplayed, "The DPoP proof was used before.") }
        return Confirmation(.jkt, proof.jkt)
    }
}
