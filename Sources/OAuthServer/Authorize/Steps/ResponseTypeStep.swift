package import AuthCore

/// `response_type`: the code flow, and no other (OAuth 2.1 §4.1.1, RFC 9700 §2.1.2).
package struct ResponseTypeStep: AuthorizeStep {
    package static let types = ["code"]
    package let parameters = ["response_type"]

    package init() {}

    package func apply(_ parameters: FormParameters, to request: inout AuthorizationRequest) throws(OAuthError) {
        let type = try parameters.required("response_type", bytesMax: 128)
        guard ResponseTypeStep.types.contains(where: { $0.isSameBytes(as: type) }) else {
            throw OAuthError(.unsupportedResponseType, .responseTypeUnsupported, "Only the response_type \"code\" is offered.")
        }
    }
}
