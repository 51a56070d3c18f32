internal import AuthCore
internal import TokenVerification

/// What a service says at `/validate` of how a token came to it: `dpop: {proof, method, url, nonce?}`, `client_cert_sha256`.
///
/// The service is the resource server: what it gives out as `DPoP-Nonce`, if anything, is its own, and `nonce` is what it expects. So
/// the age of a proof is told by `iat` here, and a used one is remembered for as long as that allows.
struct ValidateProof {
    /// From `iat` a minute ahead to `iat` a minute ago.
    static let window = DPoPProof.ageMax + DPoPProof.ageMax

    private struct Statement {
        let proof: String
        let method: String
        let target: DPoPTarget
        let nonce: String?
    }

    private let statement: Statement?
    private let certificate: String?

    /// - Returns: Nothing when the body says nothing of the kind.
    init?(_ body: JSONBody) throws(APIError) {
        statement = try ValidateProof.statement(body)
        if let text = try body.text("client_cert_sha256", bytesMax: 64) {
            guard let certificate = SenderProof.certificate(text) else {
                throw .invalidRequest("\"client_cert_sha256\" must be a SHA-256: 43 characters of base64url, or 64 hexadecimal digits.")
            }
            self.certificate = certificate
        } else {
            certificate = nil
        }
        if statement == nil, certificate == nil { return nil }
    }

    private static func statement(_ body: JSONBody) throws(APIError) -> Statement? {
        guard let value = body.object["dpop"] else { return nil }
        guard let object = value.object else { throw .invalidRequest("\"dpop\" must be an object.") }
        for name in object.names where !["proof", "method", "url", "nonce"].contains(where: { name.isSameBytes(as: $0) }) {
            throw APIError(400, "invalid_request", "The member \"\(name.prefix(64))\" is not known in \"dpop\".", reason: "unknown_member")
        }
        let dpop = JSONBody(object: object)
        guard let proof = try dpop.text("proof", bytesMax: ValidateEndpoint.bodyMax) else {
            throw .invalidRequest("\"proof\" is missing in \"dpop\".")
        }
        let method = try dpop.requiredText("method", bytesMax: 64)
        guard let target = DPoPTarget(url: try dpop.requiredText("url", bytesMax: DPoPTarget.bytesMax)) else {
            throw .invalidRequest("\"url\" in \"dpop\" must be the absolute URL of the request, as the client sees it.")
        }
        return Statement(proof: proof, method: method, target: target, nonce: try dpop.text("nonce", bytesMax: 1_024))
    }

    /// - Parameter token: The token that came along.
    func proof(of token: String, at now: Instant, replay: ProofReplay) -> SenderProof {
        guard let statement else { return SenderProof(key: .none, certificate: certificate) }
        let isNonce = statement.nonce.map { expected in { @Sendable (nonce: String) in nonce.isSameBytes(as: expected) } }
        let request = DPoPRequest(method: statement.method, target: statement.target, accessToken: token.utf8, nonce: isNonce)
        do throws(DPoPProofError) {
            let proof = try DPoPProof(statement.proof.utf8, for: request, at: now)
            return SenderProof(key: .proven(proof), certificate: certificate, replay: replay)
        } catch {
            return SenderProof(key: .refused(error), certificate: certificate)
        }
    }
}
