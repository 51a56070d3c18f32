package import AuthCore
internal import Store

/// `dpop_jkt` (RFC 9449 §10): the key that the code is bound to.
package struct DPoPKeyStep: AuthorizeStep {
    package let parameters = ["dpop_jkt"]

    package init() {}

    package func apply(_ parameters: FormParameters, to request: inout AuthorizationRequest) throws(OAuthError) {
        guard let thumbprint = try parameters.optional("dpop_jkt", bytesMax: 128) else { return }
        guard Base64URL.decode(thumbprint)?.count == 32 else {
            throw OAuthError(.invalidRequest, .parameterInvalid, "dpop_jkt is no thumbprint of a key (RFC 9449 §10).")
        }
        request.confirmation = Confirmation(.jkt, thumbprint)
    }
}
