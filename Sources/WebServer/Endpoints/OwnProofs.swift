internal import AuthCore
package import TokenVerification

/// The proofs that come to Gatehouse's own API with access tokens (RFC 9449 §7).
package struct OwnProofs: Sendable {
    /// The URL that a proof must have been made for; nothing when none would do.
    package typealias Target = @Sendable (APIRequest) -> DPoPTarget?

    private let desk: ProofDesk
    private let target: Target

    package init(desk: ProofDesk, target: @escaping Target) {
        self.desk = desk
        self.target = target
    }

    func nonce(_ now: Instant) -> String { desk.nonces.nonce(at: now) }

    /// - Throws: 401 with what is wrong with the proof: it is the sender's own, so telling it tells nothing of the token.
    func proof(_ request: APIRequest, accessToken: Secret<[UInt8]>) throws(APIError) -> SenderProof {
        let fields = request.facts.headers.count("dpop")
        guard fields == 1, let field = request.facts.headers.single("dpop") else {
            throw refused(request, "invalid_dpop_proof", reason: fields == 0 ? "proof_missing" : "proof_repeated")
        }
        do throws(DPoPProofError) {
            let proof = try desk.check(
                field, method: request.facts.method, target: target(request), accessToken: accessToken.exposed, at: request.now)
            return SenderProof(
                key: .proven(proof), certificate: request.facts.clientCertificate?.thumbprint, replay: desk.replay)
        } catch {
            throw refused(request, error.asksForNonce ? "use_dpop_nonce" : "invalid_dpop_proof", reason: error.rawValue)
        }
    }

    private func refused(_ request: APIRequest, _ code: String, reason: String) -> APIError {
        let detail =
            code == "use_dpop_nonce"
            ? "The DPoP proof needs the nonce of the header DPoP-Nonce." : "The DPoP proof is not good for this request."
        return APIError(401, code, detail, reason: reason, headers: Challenge.headers(code, nonce: nonce(request.now)))
    }
}

/// Challenges of protected resources (RFC 6750 §3, RFC 9449 §7.1).
enum Challenge {
    /// - Parameters:
    ///   - more: Further parameters, each with its comma.
    ///   - nonce: The next nonce, for a request under the DPoP scheme; nothing for Bearer.
    static func headers(_ error: String, more: String = "", nonce: String?) -> [(name: String, value: String)] {
        guard let nonce else { return [("www-authenticate", "Bearer realm=\"gatehouse\", error=\"\(error)\"\(more)")] }
        let algorithms = DPoPProof.algorithmNames
        return [
            ("www-authenticate", "DPoP realm=\"gatehouse\", error=\"\(error)\"\(more), algs=\"\(algorithms)\""), ("dpop-nonce", nonce),
        ]
    }
}
