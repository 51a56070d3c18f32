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
        guard let elements = try parameters.authorizationDetails() else { return }
        let types = request.client.definition.metadata.authorizationDetailsTypes
        for type in elements.compactMap({ $0.object?["type"]?.string }) where !types.contains(where: { $0.isSameBytes(as: type) }) {
            throw OAuthError(
                .invalidAuthorizationDetails, .detailsUnknown, "The type \"\(type.prefix(64))\" is not one that this client may ask for.")
        }
        request.details = elements
    }
}
