package import AuthCore

/// `code_challenge` and `code_challenge_method` (RFC 7636 §4.3, §4.4.1): needed, S256 only.
package struct CodeChallengeStep: AuthorizeStep {
    package static let methods = ["S256"]
    package let parameters = ["code_challenge", "code_challenge_method"]

    package init() {}

    package func apply(_ parameters: FormParameters, to request: inout AuthorizationRequest) throws(OAuthError) {
        let method = try parameters.optional("code_challenge_method", bytesMax: 64)
        guard let challenge = try parameters.optional("code_challenge", bytesMax: 1_024) else {
            guard method == nil, !request.client.policy.needsCodeChallenge else {
                throw OAuthError(.invalidRequest, .challengeMissing, "The parameter \"code_challenge\" is missing (RFC 7636).")
            }
            return
        }
        // Without a method it would be "plain" (§4.3), which protects from nobody who reads the request.
        guard let method, method.isSameBytes(as: "S256") else {
            throw OAuthError(.invalidRequest, .challengeMethodNotS256, "The code_challenge_method must be \"S256\".")
        }
        guard CodeChallenge.isChallenge(challenge) else {
            throw OAuthError(.invalidRequest, .challengeMalformed, "The code_challenge is not the base64url of a SHA-256 (RFC 7636 §4.2).")
        }
        request.codeChallenge = challenge
    }
}
