package import Accounts
package import AuthCore
package import OAuthServer
internal import Store

/// `POST /login`: a person proves who they are, and a first-party client gets tokens.
package struct LoginEndpoint: Sendable {
    private let signIn: PasswordSignIn
    private let tokens: FirstPartyTokens
    private let log: Log

    package init(signIn: PasswordSignIn, tokens: FirstPartyTokens, log: Log) {
        self.signIn = signIn
        self.tokens = tokens
        self.log = log
    }

    package var endpoint: Endpoint {
        Endpoint("POST", "/login") { (request) throws(APIError) in
            try await request.withNonce(tokens.sender) { () throws(APIError) in try await respond(to: request) }
        }
    }

    private static let members: Set<String> = [
        "username", "password", "mechanism", "credential", "provider", "client_id", "client_secret", "scope", "audience",
    ]

    private func respond(to request: APIRequest) async throws(APIError) -> ResponseFacts {
        let body = try request.json(LoginEndpoint.members)
        if body.object["provider"] != nil {
            throw APIError(400, "unknown_provider", "There is no such identity provider.")
        }
        let credential = try LoginEndpoint.credential(body)
        let scope = try body.scope()
        let audiences = try body.audiences()
        let presented = try request.client(body)
        let (client, confirmation): (ClientAuthentication.Proved, Confirmation?)
        // Before the password: what is wrong with a proof says nothing of it, and counts no guess.
        do { (client, confirmation) = try await tokens.firstPartyClient(presented, request.proving) } catch { throw APIError(error) }
        let attempt = PasswordSignIn.Attempt(
            username: credential.username, password: credential.password, source: request.client, clientID: client.client.id,
            traceID: request.traceID
        )
        let (account, assurance) = try await LoginEndpoint.proved(signIn.attempt(attempt, at: request.now))
        let asked = FirstPartyTokens.Request(
            scope: scope, audiences: audiences, source: request.source, agent: request.agent, confirmation: confirmation,
            bindsRefresh: !client.isProved)
        do {
            let issued = try await tokens.signedIn(
                account, assurance, client: client.client, asked, at: request.now, traceID: request.traceID
            )
            log(
                .info, "tokens_issued",
                [
                    ("by", "login"), ("account", account.id.text), ("client", client.client.id.text),
                    ("sid", issued.sessionID?.text ?? ""), ("trace_id", request.traceID),
                ]
            )
            return TokenResponse.make(issued)
        } catch { throw APIError(error) }
    }

    /// User name and password, at the top or under `mechanism: "password"`.
    private static func credential(_ body: JSONBody) throws(APIError) -> (username: String, password: Secret<String>) {
        var fields = body
        if let mechanism = try body.text("mechanism", bytesMax: 64) {
            guard mechanism.isSameBytes(as: "password") else {
                throw APIError(400, "unsupported_mechanism", "The mechanism \"\(mechanism)\" is not offered here; \"password\" is.")
            }
            guard let credential = body.object["credential"]?.object, body.object["username"] == nil, body.object["password"] == nil else {
                throw .invalidRequest("With \"mechanism\" send its fields in \"credential\".")
            }
            for name in credential.names where name != "username" && name != "password" {
                throw .invalidRequest("The member \"credential.\(name.prefix(64))\" is not known here.")
            }
            fields = JSONBody(object: credential)
        } else if body.object["credential"] != nil {
            throw .invalidRequest("\"credential\" needs a \"mechanism\".")
        }
        let username = try fields.requiredText("username", bytesMax: 1_024)
        let password = try fields.requiredText("password", bytesMax: 4_096)
        return (username, Secret(password))
    }

    private static func proved(_ outcome: PasswordSignIn.Outcome) throws(APIError) -> (Account, SessionAssurance) {
        switch outcome {
        case .proved(let account, let assurance): return (account, assurance)
        case .refused(let reason):
            throw APIError(401, "invalid_credentials", "The user name or the password is wrong.", reason: reason)
        case .throttled(let wait):
            throw APIError(
                429, "too_many_attempts", "Too many attempts. Try again later.", reason: "sign_in_throttled",
                headers: [("retry-after", String(max(1, wait.wholeSeconds)))]
            )
        case .overloaded(let wait): throw .unavailable("password_hashing_overloaded", retryAfterSeconds: max(1, Int(wait.wholeSeconds)))
        case .unavailable(let error): throw APIError(error)
        }
    }
}

/// The body of RFC 6749 §5.1, with `sid`.
enum TokenResponse {
    static func make(_ issued: IssuedTokens) -> ResponseFacts {
        var json = JSONWriter()
        json.object {
            $0.member("access_token", issued.accessToken.exposed)
            $0.member("token_type", issued.tokenType)
            $0.member("expires_in", issued.expiresIn.wholeSeconds)
            $0.member("refresh_token", issued.refreshToken?.exposed)
            $0.member("scope", issued.scope.description)
            $0.member("sid", issued.sessionID?.text)
            $0.member("id_token", issued.idToken?.exposed)
            $0.member("issued_token_type", issued.issuedTokenType)
            if !issued.details.isEmpty { $0.member("authorization_details", .array(issued.details)) }
        }
        return .json(200, headers: [("pragma", "no-cache")], json.bytes)
    }
}
