package import AuthCore
package import Store

/// The part of a grant that a token request asks for (RFC 6749 §6, RFC 8707 §2.2, RFC 9396 §6). It can only shrink what was granted, and it is
/// judged before a code or a refresh token is used up: a request that can give nothing costs nothing.
package struct RequestedAccess: Sendable {
    /// Nothing: all of it.
    package var scope: ScopeSet?
    /// Empty: those of the scopes.
    package var resources: [Identifier]
    /// Nothing: all of them.
    package var details: [JSONValue]?

    /// For all of it.
    package static let everything = RequestedAccess(scope: nil, resources: [], details: nil)

    private init(scope: ScopeSet?, resources: [Identifier], details: [JSONValue]?) {
        (self.scope, self.resources, self.details) = (scope, resources, details)
    }

    /// - Parameter hasScope: Whether `scope` is a parameter of this grant type.
    package init(_ parameters: FormParameters, hasScope: Bool) throws(OAuthError) {
        let details = try parameters.authorizationDetails()
        self.init(scope: hasScope ? try parameters.scope() : nil, resources: try parameters.resources(), details: details)
    }

    package static let parameters: Set<Identifier> = ["resource", "authorization_details"]

    func isGranted(by grant: Grant) -> Bool {
        do throws(OAuthError) { try check(against: grant) } catch { return false }
        return true
    }

    /// - Throws: `invalid_scope`, `invalid_target`, `invalid_authorization_details` for what the grant does not have.
    package func check(against grant: Grant) throws(OAuthError) {
        if let scope, !scope.isSubset(of: grant.scope) {
            throw OAuthError(.invalidScope, .scopeNotGranted, "A scope was asked for that was not granted.")
        }
        for resource in resources where !grant.audiences.contains(resource) {
            throw OAuthError(.invalidTarget, .audienceNotGranted, "The resource \"\(resource)\" was not granted.")
        }
        let granted = grant.binding?.details ?? []
        for detail in details ?? [] where !granted.contains(detail) {
            throw OAuthError(.invalidAuthorizationDetails, .detailsNotGranted, "authorization_details has one that was not granted.")
        }
    }
}

extension OAuthError {
    /// Where there is no authorization of a person that could have details (RFC 9396 §6).
    static let detailsNotTaken = OAuthError(
        .invalidAuthorizationDetails, .detailsNotGranted, "Nobody can be granted authorization_details in this way.")
}

extension FormParameters {
    /// `authorization_details` (RFC 9396 §2): objects, each with a `type`.
    func authorizationDetails() throws(OAuthError) -> [JSONValue]? {
        guard let text = try optional("authorization_details", bytesMax: AuthorizationDetailsStep.bytesMax) else { return nil }
        // What is no JSON is said below.
        guard let elements = (try? JSONReader.read(text))?.array, (1...AuthorizationDetailsStep.countMax).contains(elements.count) else {
            throw OAuthError(
                .invalidAuthorizationDetails, .detailsMalformed,
                "authorization_details is no JSON array of 1 to \(AuthorizationDetailsStep.countMax) objects (RFC 9396 §2).")
        }
        for element in elements where element.object?["type"]?.string == nil {
            throw OAuthError(.invalidAuthorizationDetails, .detailsMalformed, "An element of authorization_details has no type.")
        }
        return elements
    }
}
