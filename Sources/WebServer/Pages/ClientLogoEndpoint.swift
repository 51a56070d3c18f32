internal import AuthCore
package import OAuthServer
internal import Store

/// `GET /assets/client-logo?client_id=…`: the logo of a client, from this origin. What came from elsewhere is never taken for anything but a
/// picture: its type is fixed, and opened by itself it is in a sandbox.
package struct ClientLogoEndpoint: Sendable {
    static let path = "/assets/client-logo"

    private let logos: ClientLogos

    package init(logos: ClientLogos) { self.logos = logos }

    package var endpoint: Endpoint {
        Endpoint("GET", ClientLogoEndpoint.path) { (request) throws(APIError) in
            let parameters = try? FormParameters(request.facts.query ?? [])  // whatever cannot be read names no client
            guard let id = parameters?["client_id"], let logo = await logos.logo(of: Identifier(id), at: request.now) else {
                throw APIError(404, "not_found", "There is nothing at this path.")
            }
            let headers = [
                (name: "content-type", value: logo.type), (name: "cache-control", value: "public, max-age=300"),
                (name: "x-content-type-options", value: "nosniff"), (name: "content-security-policy", value: "default-src 'none'; sandbox"),
                (name: "cross-origin-resource-policy", value: "same-origin"),
            ]
            return ResponseFacts(status: 200, headers: headers, body: logo.bytes)
        }
    }
}

extension Client {
    /// Its logo, in a place that is kept also when it cannot be had. It says nothing that the name beside it does not.
    var logo: HTML {
        guard definition.metadata.logoURI != nil else { return "" }
        let query = FormParameters([("client_id", id.text)]).encoded
        return "<div class=\"logo\"><img src=\"\(ClientLogoEndpoint.path)?\(query)\" alt=\"\"></div>\n"
    }

    /// Its policy and terms; nothing when it has neither.
    var links: HTML {
        let metadata = definition.metadata
        let links: [HTML] = [(metadata.policyURI, "Privacy policy"), (metadata.termsURI, "Terms")].compactMap { uri, name in
            uri.map { "<a href=\"\($0)\" target=\"_blank\" rel=\"noopener noreferrer\">\(name)</a>\n" }
        }
        return links.isEmpty ? "" : "\n<p class=\"fine links\">\(links)</p>"
    }
}
