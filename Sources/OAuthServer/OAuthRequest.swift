package import AuthCore

/// What comes to an endpoint of a client: its parameters and what it proves itself with, once the HTTP is gone.
package struct OAuthRequest: Sendable {
    package var parameters: FormParameters
    /// Where it was sent to, behind the issuer.
    package var path: String
    package var method: String
    /// The values of all `Authorization` headers.
    package var authorizations: [[UInt8]]
    /// The values of all `DPoP` headers.
    package var proofs: [[UInt8]]
    /// Of the connection, or as a believed proxy says.
    package var certificate: ClientCertificate?
    package var now: Instant
    /// The client's address, as far as it is believed.
    package var address: PeerAddress
    package var agent: String
    package var traceID: String

    package init(
        parameters: FormParameters, path: String, method: String = "POST", authorizations: [[UInt8]] = [], proofs: [[UInt8]] = [],
        certificate: ClientCertificate? = nil, now: Instant, address: PeerAddress, agent: String = "", traceID: String
    ) {
        self.path = path
        self.method = method
        self.certificate = certificate
        self.parameters = parameters
        self.authorizations = authorizations
        self.proofs = proofs
        self.now = now
        self.address = address
        self.agent = agent
        self.traceID = traceID
    }

    /// The address for people.
    package var source: String { address.description }
}

extension FormParameters {
    /// - Throws: `invalid_request` when it is missing.
    package func required(_ name: StaticString, bytesMax: Int) throws(OAuthError) -> String {
        guard let text = try optional(name, bytesMax: bytesMax) else {
            throw OAuthError(.invalidRequest, .parameterMissing, "The parameter \"\(name)\" is missing.")
        }
        return text
    }

    package func optional(_ name: StaticString, bytesMax: Int) throws(OAuthError) -> String? {
        guard let text = self[name] else { return nil }
        guard text.utf8.count <= bytesMax else {
            throw OAuthError(.invalidRequest, .parameterInvalid, "The parameter \"\(name)\" is longer than \(bytesMax) bytes.")
        }
        return text
    }

    /// RFC 6749 §3.3.
    package func scope() throws(OAuthError) -> ScopeSet? {
        guard let text = try optional("scope", bytesMax: 4_096) else { return nil }
        guard let scope = ScopeSet(parsing: text) else {
            throw OAuthError(.invalidScope, .scopeMalformed, "The scope is malformed.")
        }
        return scope
    }

    /// The resources that are asked for (RFC 8707 §2).
    package func resources() throws(OAuthError) -> [Identifier] {
        let all = all("resource")
        guard all.count <= 16, all.allSatisfy({ $0.utf8.count <= 2_048 }) else {
            throw OAuthError(.invalidTarget, .audienceUnknown, "There are more than 16 resources, or one is too long.")
        }
        return all.map { Identifier($0) }
    }
}

extension OAuthError {
    package init(_ fault: FormParameters.Fault) {
        switch fault {
        case .repeated(let name):
            self.init(.invalidRequest, .parameterRepeated, "The parameter \"\(name)\" is there more than once.")
        case .tooLong, .tooMany, .malformed:
            self.init(.invalidRequest, .parameterMalformed, "The parameters are malformed, too many or too long.")
        }
    }
}
