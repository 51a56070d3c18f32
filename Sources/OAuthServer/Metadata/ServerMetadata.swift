package import AuthCore
internal import Store

/// What the server says of itself (RFC 8414 §2, OpenID Connect Discovery §3): computed from the lists that the server is made of, so that
/// what is advertised and what is served cannot differ.
package struct ServerMetadata: Sendable {
    /// Where each endpoint is, behind the issuer.
    package enum Path {
        package static let authorize = "/authorize"
        package static let token = "/token"
        package static let pushedRequests = "/par"
        package static let deviceAuthorization = "/device_authorization"
        package static let device = "/device"
        package static let introspection = "/introspect"
        package static let revocation = "/revoke"
        package static let userinfo = "/userinfo"
        package static let endSession = "/end-session"
        /// And behind it, with a slash, each client that registered.
        package static let registration = "/register"
        package static let keys = "/.well-known/jwks.json"
    }

    /// Members that a feature adds when it is there.
    package private(set) var members: JSONObject

    private let issuer: Identifier

    package init(issuer: Identifier) {
        self.issuer = issuer
        members = JSONObject([("issuer", .string(issuer.text))])
        for (name, path) in [
            ("authorization_endpoint", Path.authorize), ("token_endpoint", Path.token), ("jwks_uri", Path.keys),
            ("userinfo_endpoint", Path.userinfo), ("introspection_endpoint", Path.introspection), ("revocation_endpoint", Path.revocation),
            ("pushed_authorization_request_endpoint", Path.pushedRequests),
        ] {
            members[name] = .string(issuer.text + path)
        }
        members["authorization_response_iss_parameter_supported"] = .bool(true)
    }

    /// The endpoints that a client shows its certificate to, under the origin where it is asked for one (RFC 8705 §5): those of them that
    /// are there. None that a browser is sent to.
    package mutating func aliases(at origin: Identifier) {
        var aliases = JSONObject()
        for name in [
            "token_endpoint", "pushed_authorization_request_endpoint", "introspection_endpoint", "revocation_endpoint",
            "device_authorization_endpoint", "userinfo_endpoint",
        ] {
            guard let address = members[name]?.string else { continue }
            aliases[name] = .string(origin.text + String(decoding: address.utf8.dropFirst(issuer.utf8Count), as: UTF8.self))
        }
        members["mtls_endpoint_aliases"] = .object(aliases)
    }

    package mutating func list(_ name: String, _ values: some Sequence<String>) {
        members[name] = .array(values.map { .string($0) })
    }

    package mutating func flag(_ name: String, _ value: Bool) { members[name] = .bool(value) }
    package mutating func text(_ name: String, _ value: String) { members[name] = .string(value) }
}
