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
        if request.client.policy.needsResource, request.resources.isEmpty {
            throw OAuthError(.invalidTarget, .audienceUnknown, "This client must say which resource it means (RFC 8707 §2).")
        }
        request.scope = try await policies.checked(request.scope, resources: request.resources, for: request.client)
    }
}
