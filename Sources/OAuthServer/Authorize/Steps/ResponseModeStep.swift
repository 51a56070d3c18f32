package import AuthCore

/// `response_mode`. What it was when the request was read stands; here an unknown one is refused.
package struct ResponseModeStep: AuthorizeStep {
    package let parameters = ["response_mode"]

    package init() {}

    package func apply(_ parameters: FormParameters, to request: inout AuthorizationRequest) throws(OAuthError) {
        guard let mode = try parameters.optional("response_mode", bytesMax: 64) else { return }
        guard ResponseMode(rawValue: mode) != nil else {
            throw OAuthError(.invalidRequest, .responseModeUnsupported, "This response_mode is not offered for the response_type.")
        }
    }
}
