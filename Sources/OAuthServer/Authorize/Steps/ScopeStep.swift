package import AuthCore
internal import Store

/// `scope` (RFC 6749 §3.3) and `resource` (RFC 8707 §2). What is granted of them is decided when it is known who signs in.
package struct ScopeStep: AuthorizeStep {
    package let parameters = ["scope", "resource"]
    private let policies: ScopePolicies

    package init(policies: ScopePolicies) { self.policies = policies }

    package func apply(_ parameters: FormParameters, to request: inout AuthorizationRequest) async throws(OAuthError) {
        request.scope = try parameters.scope()
        request.resources = try parameters.resources()
        let catalogue = try await policies.policy(atLeast: 0).catalogue
        for resource in request.resources where !catalogue.isResource(resource) {
            throw OAuthError(.invalidTarget, .audienceUnknown, "The resource \"\(resource)\" does not exist.")
        }
        if request.client.policy.needsResource, request.resources.isEmpty {
            throw OAuthError(.invalidTarget, .audienceUnknown, "This client must say which resource it means (RFC 8707 §2).")
        }
        guard var scope = request.scope else { return }
        if scope.contains("openid") {
            // Passed over, and missing in what was granted (OpenID Connect Core §3.1.2.1).
            scope = ScopeSet(scope.values.filter { catalogue.isKnown($0) })
            request.scope = scope
        }
        for name in scope where !catalogue.isKnown(name) {
            throw OAuthError(.invalidScope, .scopeUnknown, "The scope \"\(name)\" does not exist.")
        }
        if !scope.isEmpty, scope.intersection(request.client.definition.scopes).isEmpty {
            throw OAuthError(.invalidScope, .scopeNotGranted, "This client may have none of these scopes.")
        }
    }
}
