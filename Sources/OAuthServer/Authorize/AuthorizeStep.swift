package import AuthCore

/// One check of an authorization request whose target is proved. Its refusal goes to that target.
package protocol AuthorizeStep: Sendable {
    /// The parameters that it reads; all others of a request are passed over (RFC 6749 §3.1).
    var parameters: [String] { get }
    func apply(_ parameters: FormParameters, to request: inout AuthorizationRequest) async throws(OAuthError)
}
