package import AuthCore
package import OAuthServer
internal import Store
internal import TokenVerification

/// The endpoints that clients call themselves: token, pushed requests, introspection, revocation, userinfo, metadata.
package struct OAuthEndpoints: Sendable {
    private let server: OAuthServer
    private let own: OwnToken
    private let document: MetadataDocument
    private let log: Log

    package init(server: OAuthServer, own: OwnToken, document: MetadataDocument, log: Log) {
        self.document = document
        self.server = server
        self.own = own
        self.log = log
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint("POST", ServerMetadata.Path.token, reads: .form, isShared: true) { (request) throws(APIError) in
                try await request.withNonce(server.sender) { () throws(APIError) in try await token(request) }
            },
            Endpoint("POST", ServerMetadata.Path.pushedRequests, reads: .form, isShared: true) { (request) throws(APIError) in
                try await request.withNonce(server.sender) { () throws(APIError) in try await push(request) }
            },
            Endpoint("POST", ServerMetadata.Path.deviceAuthorization, reads: .form) { (request) throws(APIError) in
                try await beginDevice(request)
            },
            Endpoint("POST", ServerMetadata.Path.introspection, reads: .form) { (request) throws(APIError) in try await introspect(request)
            },
            Endpoint("POST", ServerMetadata.Path.revocation, reads: .form, isShared: true) { (request) throws(APIError) in
                try await revoke(request)
            },
            Endpoint("GET", ServerMetadata.Path.userinfo, isShared: true) { (request) throws(APIError) in try await userInfo(request) },
            Endpoint("POST", ServerMetadata.Path.userinfo, reads: .nothing, isShared: true) { (request) throws(APIError) in
                try await userInfo(request)
            },
        ] + MetadataDocument.paths.map { path in Endpoint("GET", path) { (_) throws(APIError) in try await metadata() } }
    }

    private func token(_ request: APIRequest) async throws(APIError) -> ResponseFacts {
        do {
            let asked = try request.oauth()
            let issued = try await server.token.respond(to: asked)
            log(
                .info, "tokens_issued",
                [
                    ("by", asked.parameters["grant_type"] ?? ""), ("client", asked.parameters["client_id"] ?? ""),
                    ("sid", issued.sessionID?.text ?? ""), ("trace_id", request.traceID),
                ])
            return TokenResponse.make(issued)
        } catch { throw APIError(error, isTokenEndpoint: true) }
    }

    private func push(_ request: APIRequest) async throws(APIError) -> ResponseFacts {
        do {
            let pushed = try await server.pushedRequests.respond(to: try request.oauth())
            var json = JSONWriter()
            json.object {
                $0.member("request_uri", pushed.requestURI)
                $0.member("expires_in", pushed.expiresIn.wholeSeconds)
            }
            return .json(201, json.bytes)
        } catch { throw APIError(error, isTokenEndpoint: true) }
    }

    /// RFC 8628 §3.2.
    private func beginDevice(_ request: APIRequest) async throws(APIError) -> ResponseFacts {
        do {
            let begun = try await server.deviceAuthorization.respond(to: try request.oauth())
            var json = JSONWriter()
            json.object {
                $0.member("device_code", begun.deviceCode.exposed)
                $0.member("user_code", begun.userCode.shown)
                $0.member("verification_uri", begun.verificationURI)
                $0.member("verification_uri_complete", begun.verificationURIComplete)
                $0.member("expires_in", begun.expiresIn.wholeSeconds)
                $0.member("interval", begun.interval)
            }
            return .json(200, json.bytes)
        } catch { throw APIError(error, isTokenEndpoint: true) }
    }

    private func introspect(_ request: APIRequest) async throws(APIError) -> ResponseFacts {
        do {
            let answer = try await server.introspection.respond(to: try request.oauth())
            if OAuthEndpoints.wantsIntrospectionJWT(request.facts.headers) {
                let signed = try server.responses.introspection(answer.members, for: answer.caller, at: request.now)
                return .jwt("application/token-introspection+jwt", signed)
            }
            return .json(200, JSONValue.object(answer.members).encoded)
        } catch { throw APIError(error, isTokenEndpoint: true) }
    }

    private func revoke(_ request: APIRequest) async throws(APIError) -> ResponseFacts {
        do {
            try await server.revocation.respond(to: try request.oauth())
            return ResponseFacts(status: 200, headers: [("cache-control", "no-store")])
        } catch { throw APIError(error, isTokenEndpoint: true) }
    }

    private func userInfo(_ request: APIRequest) async throws(APIError) -> ResponseFacts {
        guard let presented = try own.presented(request) else {
            throw APIError(
                401, "invalid_token", "Send a bearer token.", reason: "token_missing",
                headers: [("www-authenticate", "Bearer realm=\"gatehouse\"")])
        }
        let token = try own.accessToken(presented, audience: .any, scope: ScopeSet(["openid"]))
        do {
            let (client, members) = try await server.userInfo.claims(of: token)
            if let signed = try await server.responses.userInfo(members, for: client) { return .jwt("application/jwt", signed) }
            return .json(200, JSONValue.object(members).encoded)
        } catch { throw APIError(error) }
    }

    private func metadata() async throws(APIError) -> ResponseFacts {
        do { return try await document.respond() } catch { throw APIError(error) }
    }

    /// RFC 9701 §4.
    static func wantsIntrospectionJWT(_ headers: Headers) -> Bool { accepts(headers, "application/token-introspection+jwt") }

    /// Whether `Accept` names exactly this type.
    private static func accepts(_ headers: Headers, _ type: StaticString) -> Bool {
        guard headers.count("accept") > 0 else { return false }
        let wanted = "\(type)".utf8
        return headers.all("accept").contains { field in
            field.split(separator: UInt8(ascii: ",")).contains { part in
                part.prefix { $0 != UInt8(ascii: ";") }.filter { $0 != 0x20 && $0 != 0x09 }.map(lowercasedASCII).elementsEqual(wanted)
            }
        }
    }
}

extension ResponseFacts {
    fileprivate static func jwt(_ type: String, _ token: Secret<String>) -> ResponseFacts {
        ResponseFacts(
            status: 200, headers: [("content-type", type), ("cache-control", "no-store")], body: Array(token.exposed.utf8))
    }
}

extension APIRequest {
    /// The parameters of a form in the body, never those of the query (RFC 6749 §3.2).
    package func form() throws(OAuthError) -> FormParameters {
        guard facts.headers.count("content-type") == 1, let type = facts.headers.single("content-type") else {
            throw OAuthError(.invalidRequest, .parameterMalformed, "Send the request as application/x-www-form-urlencoded.")
        }
        let essence = type.prefix { $0 != UInt8(ascii: ";") }.map(lowercasedASCII).filter { $0 != 0x20 && $0 != 0x09 }
        guard essence.elementsEqual("application/x-www-form-urlencoded".utf8) else {
            throw OAuthError(.invalidRequest, .parameterMalformed, "Send the request as application/x-www-form-urlencoded.")
        }
        do { return try FormParameters(body) } catch { throw OAuthError(error) }
    }

    /// The answer, with the nonce for the next proof for whoever sends proofs (RFC 9449 §8.2).
    func withNonce(
        _ sender: SenderConstraint, _ answer: () async throws(APIError) -> ResponseFacts
    ) async throws(APIError) -> ResponseFacts {
        guard facts.headers.count("dpop") > 0 else { return try await answer() }
        let nonce = [(name: "dpop-nonce", value: sender.nonce(at: now))]
        do throws(APIError) {
            var response = try await answer()
            response.headers += nonce
            return response
        } catch {
            var error = error
            error.headers += nonce
            throw error
        }
    }

    /// What of it may prove a key, for an endpoint whose parameters are no form.
    var proving: OAuthRequest {
        OAuthRequest(
            parameters: FormParameters(), path: String(decoding: facts.path, as: UTF8.self), method: facts.method,
            proofs: facts.headers.count("dpop") == 0 ? [] : facts.headers.all("dpop").map { Array($0) },
            certificate: facts.clientCertificate, now: now, address: client, traceID: traceID)
    }

    /// The request as the OAuth server sees it.
    package func oauth() throws(OAuthError) -> OAuthRequest {
        OAuthRequest(
            parameters: try form(), path: String(decoding: facts.path, as: UTF8.self), method: facts.method,
            authorizations: facts.headers.all("authorization").map { Array($0) },
            proofs: facts.headers.all("dpop").map { Array($0) }, certificate: facts.clientCertificate, now: now,
            address: client, agent: agent, traceID: traceID)
    }
}
