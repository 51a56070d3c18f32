internal import AuthCore
package import Store

/// Where an authorization response may go: a redirect URI that is this client's, and the way that the client wants it there.
///
/// Only `prove` makes one, so that nothing is ever sent to an address that was not registered (RFC 6749 §4.1.2.1, RFC 9700 §4.11).
package struct RedirectTarget: Sendable {
    package let client: Client
    package let uri: String
    /// Whether the request named it: then the token request must name it too (RFC 6749 §4.1.3).
    package let wasSent: Bool

    fileprivate init(client: Client, uri: String, wasSent: Bool) {
        self.client = client
        self.uri = uri
        self.wasSent = wasSent
    }

    /// - Parameter requested: As sent; nothing when absent.
    package static func prove(_ requested: String?, of client: Client, isOpenID: Bool) throws(OAuthError) -> RedirectTarget {
        let definition = client.definition
        guard let requested else {
            // RFC 6749 §3.1.2.3; OpenID Connect Core §3.1.2.1 always wants it.
            guard !isOpenID, !client.policy.needsRedirectURI, definition.redirectURIs.count == 1 else {
                throw OAuthError(.invalidRequest, .redirectURIMissing, "The parameter \"redirect_uri\" is missing.")
            }
            return RedirectTarget(client: client, uri: definition.redirectURIs[0], wasSent: false)
        }
        let matches = RedirectMatch.matches(
            requested, registered: definition.redirectURIs, applicationType: definition.metadata.applicationType)
        guard matches else {
            throw OAuthError(
                .invalidRequest, .redirectURIUnregistered,
                "The redirect_uri is not registered for this client. It is compared character by character.")
        }
        return RedirectTarget(client: client, uri: requested, wasSent: true)
    }

    /// Where people go with it, in what they can compare with what they know.
    package enum Place: Sendable, Equatable {
        /// With the port, unless it is the usual one.
        case host(String)
        /// Loopback, as it stands in the URI: address or name, and port.
        case device(String)
        /// A scheme of an app's own (RFC 8252 §7.1).
        case app(String)
    }

    package var place: Place {
        guard let rest = uri.dropping(prefix: "https://") ?? uri.dropping(prefix: "http://") else {
            return .app(String(Substring(uri.utf8.prefix { $0 != UInt8(ascii: ":") })))
        }
        let authority = String(Substring(rest.utf8.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }))
        if let (host, _) = HostAndPort.split(authority), HostAndPort.isLoopback(host) { return .device(authority) }
        return .host(authority)
    }

    /// The origin, or the scheme of an app's own, as a source of a Content-Security-Policy.
    package var policySource: String { RedirectTarget.policySource(of: uri) }

    /// Where a form of ours may lead, in the end: Chromium checks each redirect that follows a form, also those of the client. Beside the
    /// target this is the origin of `client_uri`, for callbacks that lead on to there.
    package var policySources: [String] { RedirectTarget.policySources(policySource, client) }

    static func policySources(_ target: String, _ client: Client) -> [String] {
        guard let uri = client.definition.metadata.uri else { return [target] }
        let own = policySource(of: uri)
        return own.isSameBytes(as: target) ? [target] : [target, own]
    }

    /// The same of any redirect URI; of `http` and `https` it is the origin as browsers write it.
    package static func policySource(of uri: String) -> String {
        guard let rest = uri.dropping(prefix: "https://") ?? uri.dropping(prefix: "http://") else {
            return String(Substring(uri.utf8.prefix { $0 != UInt8(ascii: ":") })) + ":"
        }
        let scheme = uri.dropping(prefix: "https://") == nil ? "http://" : "https://"
        return scheme + String(Substring(rest.utf8.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }))
    }
}

/// Whether a redirect URI is one of those registered: byte by byte (RFC 9700 §2.1). Of native applications only the port of a loopback
/// address may vary (RFC 8252 §7.3).
package enum RedirectMatch {
    package static func matches(_ requested: String, registered: [String], applicationType: ApplicationType) -> Bool {
        if registered.contains(where: { $0.isSameBytes(as: requested) }) { return true }
        guard applicationType == .native, URISyntax.redirectFault(requested) == nil, let wanted = loopback(requested) else { return false }
        return registered.contains { loopback($0).map { $0.host.isSameBytes(as: wanted.host) && $0.rest == wanted.rest } ?? false }
    }

    /// The address and what follows the port; nothing when it is no `http` URI with a loopback address. `localhost` is a name and may not
    /// vary (RFC 8252 §8.3).
    private static func loopback(_ uri: String) -> (host: String, rest: [UInt8])? {
        guard let rest = uri.dropping(prefix: "http://") else { return nil }
        let authority = rest.utf8.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        guard let (host, _) = HostAndPort.split(String(Substring(authority))), PeerAddress(host)?.isLoopback == true else { return nil }
        return (host, Array(rest.utf8.dropFirst(authority.count)))
    }
}
