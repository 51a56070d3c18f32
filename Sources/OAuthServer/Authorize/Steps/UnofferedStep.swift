package import AuthCore

/// What a server must refuse by name when it does not offer it, rather than pass over (OpenID Connect Core §7.2.1).
package struct UnofferedStep: AuthorizeStep {
    package let parameters = ["registration"]

    package init() {}

    package func apply(_ parameters: FormParameters, to request: inout AuthorizationRequest) throws(OAuthError) {
        if parameters["registration"] != nil {
            throw OAuthError(.registrationNotSupported, .parameterInvalid, "The parameter \"registration\" is not supported here.")
        }
    }
}
