package import AuthCore
internal import Store

/// `id_token_hint` (OpenID Connect Core §3.1.2.1): whom the answer must be about.
package struct IDTokenHintStep: AuthorizeStep {
    package let parameters = ["id_token_hint"]
    private let hints: IDTokenHints

    package init(hints: IDTokenHints) { self.hints = hints }

    package func apply(_ parameters: FormParameters, to request: inout AuthorizationRequest) throws(OAuthError) {
        guard let text = try parameters.optional("id_token_hint", bytesMax: IDTokenHints.bytesMax) else { return }
        let hint = try hints.read(text)
        // Another client may know the person by another name (AZ-31).
        guard hint.clientID == request.client.id else {
            throw OAuthError(.loginRequired, .hintOfAnother, "The id_token_hint was issued to another client.")
        }
        try request.narrow(to: [hint.subject])
    }
}
