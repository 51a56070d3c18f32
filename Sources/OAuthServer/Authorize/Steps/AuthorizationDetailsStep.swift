package import AuthCore
internal import Store

/// `authorization_details` (RFC 9396): a list of objects, each with a `type` that the client has registered.
package struct AuthorizationDetailsStep: AuthorizeStep {
    /// The most of them, and the longest in bytes.
    package static let countMax = 16
    package static let bytesMax = 8_192
    package let parameters = ["authorization_details"]

    package init() {}

    package func apply(_ parameters: FormParameters, to request: inout AuthorizationRequest) throws(OAuthError) {
        guard let text = try parameters.optional("authorization_details", bytesMax: AuthorizationDetailsStep.bytesMax) else { return }
        // What is no JSON is said below.
        guard let elements = (try? JSONReader.read(text))?.array, (1...AuthorizationDetailsStep.countMax).contains(elements.count) else {
            throw OAuthError(
                .invalidAuthorizationDetails, .detailsMalformed,
                "authorization_details is no JSON array of 1 to \(AuthorizationDetailsStep.countMax) objects (RFC 9396 §2).")
        }
        let types = request.client.definition.metadata.authorizationDetailsTypes
        for element in elements {
            guard let type = element.object?["type"]?.string else {
                throw OAuthError(.invalidAuthorizationDetails, .detailsMalformed, "An element of authorization_details has no type.")
            }
            guard types.contains(where: { $0.isSameBytes(as: type) }) else {
                throw OAuthError(
                    .invalidAuthorizationDetails, .detailsUnknown,
                    "The type \"\(type.prefix(64))\" is not one that this client may ask for.")
            }
        }
        request.details = elements
    }
}
