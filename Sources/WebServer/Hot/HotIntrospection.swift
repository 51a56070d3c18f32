package import AuthCore
package import OAuthServer

/// `POST /introspect` of an access token by a client that this node has in memory: as cheap as `/validate`. Everything else about the
/// endpoint, and every refusal, is `OAuthEndpoints`'.
package struct HotIntrospection: Sendable {
    private let endpoint: IntrospectionEndpoint
    private let trustedProxies: [AddressRange]
    private let environment: Environment
    private let observe: @Sendable () -> Void

    package init(
        endpoint: IntrospectionEndpoint, trustedProxies: [AddressRange], environment: Environment, observe: @escaping @Sendable () -> Void
    ) {
        self.endpoint = endpoint
        self.trustedProxies = trustedProxies
        self.environment = environment
        self.observe = observe
    }

    package func respond(to facts: RequestFacts, body: [UInt8]) -> ResponseFacts? {
        // Of those that want a JWT the signature is made elsewhere.
        guard facts.method == "POST", facts.headers.count("dpop") == 0, !OAuthEndpoints.wantsIntrospectionJWT(facts.headers) else {
            return nil
        }
        let client = ClientAddress.resolve(peer: facts.peer, headers: facts.headers, trusted: trustedProxies)
        let request = APIRequest(facts: facts, body: body, parameters: [], traceID: "", now: environment.now(), client: client)
        // What is wrong with it is said by the other way.
        guard let asked = try? request.oauth(), let answer = endpoint.quick(asked) else { return nil }
        observe()
        return .json(200, JSONValue.object(answer.members).encoded)
    }
}
