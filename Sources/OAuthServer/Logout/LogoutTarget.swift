internal import AuthCore
package import Store

/// Where people go after they signed out (RP-Initiated Logout §3): an address that this client has registered, byte by byte.
///
/// Only `prove` makes one, so that nobody is ever sent anywhere else (AZ-20).
package struct LogoutTarget: Sendable {
    package let client: Client
    private let uri: String
    private let state: String?

    fileprivate init(client: Client, uri: String, state: String?) {
        self.client = client
        self.uri = uri
        self.state = state
    }

    /// - Parameter client: Nothing when neither a hint nor `client_id` names one: then no address can be proved.
    package static func prove(_ requested: String, of client: Client?, state: String?) throws(OAuthError) -> LogoutTarget {
        guard let client else {
            throw OAuthError(
                .invalidRequest, .logoutRedirectUnregistered,
                "A post_logout_redirect_uri needs the id_token_hint or the client_id of an application that is registered here.")
        }
        guard client.definition.metadata.postLogoutRedirectURIs.contains(where: { $0.isSameBytes(as: requested) }) else {
            throw OAuthError(
                .invalidRequest, .logoutRedirectUnregistered,
                "The post_logout_redirect_uri is not registered for this client. It is compared character by character.")
        }
        return LogoutTarget(client: client, uri: requested, state: state)
    }

    /// Where a form may lead on the way there, as sources of a Content-Security-Policy.
    package var policySources: [String] { RedirectTarget.policySources(RedirectTarget.policySource(of: uri), client) }

    /// The address, with `state` behind its own query (§3).
    package var location: String {
        guard let state else { return uri }
        return uri + (uri.utf8.contains(UInt8(ascii: "?")) ? "&" : "?") + FormParameters([("state", state)]).encoded
    }
}
