package import AuthCore
package import Store

/// An authorization request whose client and target are proved, and which the steps fill in and check (RFC 6749 §4.1.1).
package struct AuthorizationRequest: Sendable {
    package let target: RedirectTarget
    package let state: String?
    package var responseMode: ResponseMode
    /// The pushed request that it came from (RFC 9126).
    package let pushedRequest: Identifier?

    package var scope: ScopeSet?
    package var resources: [Identifier] = []
    package var codeChallenge: String?
    package var nonce: String?
    package var prompt: Set<Prompt> = []
    package var maxAge: Duration?
    package var acrValues: [String] = []
    /// One of these is needed, not only wished for (OpenID Connect Core §5.5.1.1).
    package var essentialACRValues: [String]?
    package var claims: JSONObject?
    package var loginHint: String?
    package var uiLocales: [String] = []
    /// Whom the answer must be about, as `claims` and `id_token_hint` say it; nothing: whoever signs in.
    package private(set) var subjects: [Identifier]?
    /// Of the DPoP key that the code is bound to (RFC 9449 §10).
    package var confirmation: Confirmation?
    package var details: [JSONValue] = []

    package init(target: RedirectTarget, state: String?, responseMode: ResponseMode, pushedRequest: Identifier?) {
        self.target = target
        self.state = state
        self.responseMode = responseMode
        self.pushedRequest = pushedRequest
    }

    package var client: Client { target.client }

    /// Asks for one of these people, beside whom was asked for before (OpenID Connect Core §3.1.2.2).
    ///
    /// - Throws: `login_required`, when nobody is both.
    mutating func narrow(to named: [Identifier]) throws(OAuthError) {
        let left = subjects.map { $0.filter(named.contains) } ?? named
        guard !left.isEmpty else { throw OAuthError(.loginRequired, .hintOfAnother, "The request asks for two people at once.") }
        subjects = left
    }

    /// Whether somebody else than the one that people have agreed to could be behind it: any program on their device under this client's
    /// name (RFC 8252 §8.6), or a client that came by itself, whose name and redirect URIs are its own to change. Then they are asked each
    /// time, and see where they go.
    var mayBeAnybody: Bool {
        if client.managedBy == .api { return true }
        guard client.definition.isPublic, client.definition.metadata.applicationType == .native else { return false }
        // An address of the web belongs to whoever holds the name; the system gives it to no other app.
        if case .host = target.place { return false }
        return true
    }
    package var isOpenID: Bool { scope?.contains("openid") ?? false }
}

/// OpenID Connect Core §3.1.2.1.
package enum Prompt: String, Sendable, CaseIterable {
    case none, login, consent
    case selectAccount = "select_account"
}

/// How an authorization response gets to the client.
package enum ResponseMode: String, Sendable, CaseIterable {
    /// OAuth 2.0 Multiple Response Types §2.1.
    case query
    /// OAuth 2.0 Form Post Response Mode.
    case formPost = "form_post"
    /// JWT Secured Authorization Response Mode (JARM) §2.3.
    case jwt
    case queryJWT = "query.jwt"
    case formPostJWT = "form_post.jwt"

    package var isJWT: Bool { [.jwt, .queryJWT, .formPostJWT].contains(self) }
    package var isForm: Bool { [.formPost, .formPostJWT].contains(self) }
}

/// What goes back to the client (RFC 6749 §4.1.2, RFC 9207 §2).
package struct AuthorizationResponse: Sendable {
    package let target: RedirectTarget
    package let mode: ResponseMode
    package private(set) var parameters: [(name: String, value: String)]
    /// Why it is a refusal; nothing when it is none.
    package let refusal: OAuthError?

    init(code: Secret<String>, to request: AuthorizationRequest, issuer: Identifier) {
        target = request.target
        mode = request.responseMode
        refusal = nil
        parameters = [("code", code.exposed)] + AuthorizationResponse.common(request, issuer)
    }

    init(_ error: OAuthError, to request: AuthorizationRequest, issuer: Identifier) {
        target = request.target
        mode = request.responseMode
        refusal = error
        parameters =
            [("error", error.code.rawValue), ("error_description", error.detail)] + AuthorizationResponse.common(request, issuer)
    }

    private static func common(_ request: AuthorizationRequest, _ issuer: Identifier) -> [(name: String, value: String)] {
        (request.state.map { [("state", $0)] } ?? []) + [("iss", issuer.text)]
    }

    /// The same as one JWT, where the client asked for that (JARM §2.3).
    func secured(by issuer: TokenIssuer, at now: Instant) throws(OAuthError) -> AuthorizationResponse {
        guard mode.isJWT else { return self }
        var response = self
        response.parameters = [("response", try issuer.authorizationResponse(parameters, for: target.client, at: now))]
        return response
    }

    /// The redirect URI with the parameters behind its own query, which stays as it is (RFC 6749 §3.1.2).
    package var location: String {
        let query = FormParameters(parameters).encoded
        return target.uri + (target.uri.utf8.contains(UInt8(ascii: "?")) ? "&" : "?") + query
    }
}
