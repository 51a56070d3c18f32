package import AuthCore
package import OAuthServer
internal import Store

/// A request that found its endpoint.
package struct APIRequest: Sendable {
    package let facts: RequestFacts
    package let body: [UInt8]
    /// What stood in the place of `{…}` in the path, decoded.
    package let parameters: [String]
    package let traceID: String
    package let now: Instant
    /// The socket's peer, or the client that a trusted proxy names.
    package let client: PeerAddress
    /// The account whose token let this request through, on the admin listener.
    package var actor: Identifier?

    package init(facts: RequestFacts, body: [UInt8], parameters: [String], traceID: String, now: Instant, client: PeerAddress? = nil) {
        self.facts = facts
        self.body = body
        self.parameters = parameters
        self.traceID = traceID
        self.now = now
        self.client = client ?? facts.peer
    }

    /// The longest user agent that is kept, in bytes.
    private static let agentBytesMax = 200

    /// What the client calls itself; shown to the account's owner, believed by nobody.
    package var agent: String {
        guard let value = facts.headers.single("user-agent") else { return "" }
        let printable = value.prefix(APIRequest.agentBytesMax).filter { (0x20...0x7E) ~= $0 }
        return String(decoding: printable, as: UTF8.self)
    }

    package var source: String { client.description }

    /// The body as a JSON object with only these members.
    ///
    /// - Throws: 415 for another media type, 400 for anything that is not strict JSON, no object, or has a member that the
    ///   endpoint does not know: a misspelt or misplaced field must not be passed over in silence.
    package func json(_ members: Set<String>) throws(APIError) -> JSONBody {
        let object = try anyJSON()
        for name in object.names where !members.contains(where: { $0.isSameBytes(as: name) }) {
            throw APIError(400, "invalid_request", "The member \"\(name.prefix(64))\" is not known here.", reason: "unknown_member")
        }
        return JSONBody(object: object)
    }

    /// The body as a JSON object with whatever members. Throws as `json`.
    package func anyJSON() throws(APIError) -> JSONObject {
        guard let type = facts.headers.text("content-type"), APIRequest.isJSON(type) else {
            throw APIError(415, "unsupported_media_type", "Send the request as application/json.")
        }
        let value: JSONValue
        do { value = try JSONReader.read(body) } catch {
            throw APIError(
                400, "invalid_request", "The body is not JSON that can be accepted: \(error.rawValue).", reason: "json_\(error.rawValue)")
        }
        guard let object = value.object else { throw .invalidRequest("The body must be a JSON object.") }
        return object
    }

    private static func isJSON(_ type: String) -> Bool {
        let essence = type.utf8.prefix { $0 != UInt8(ascii: ";") }.map(lowercasedASCII).filter { $0 != 0x20 && $0 != 0x09 }
        return essence.elementsEqual("application/json".utf8)
    }

    /// A token, and the scheme that it came under.
    package struct Credential: Sendable {
        package let token: Secret<[UInt8]>
        /// DPoP, which goes with a proof (RFC 9449 §7.1), rather than Bearer.
        package let isDPoP: Bool
    }

    /// The token behind `Authorization: Bearer` or `DPoP`; nothing when there is no such header, or one of another scheme, which is as none
    /// (RFC 6750 §3.1).
    ///
    /// - Throws: 400 when the header is there twice.
    package func credential() throws(APIError) -> Credential? {
        let count = facts.headers.count("authorization")
        if count == 0 { return nil }
        guard count == 1 else {
            var error = APIError.invalidRequest("Send one Authorization header with one bearer token.")
            error.headers = Challenge.headers(error.code, nonce: nil)
            throw error
        }
        if let header = facts.headers.single("authorization") {
            if let token = AuthorizationScheme.credentials(of: header, scheme: "bearer") {
                return Credential(token: Secret(token), isDPoP: false)
            }
            if let token = AuthorizationScheme.credentials(of: header, scheme: "dpop") {
                return Credential(token: Secret(token), isDPoP: true)
            }
            // The scheme alone is an empty token, which is a bad one, as at the gateway.
            let scheme = header.prefix { $0 != 0x20 }.map(lowercasedASCII)
            if scheme.elementsEqual("bearer".utf8) { return Credential(token: Secret([]), isDPoP: false) }
            if scheme.elementsEqual("dpop".utf8) { return Credential(token: Secret([]), isDPoP: true) }
        }
        return nil
    }

    /// Who the client says it is: HTTP Basic, or `client_id` and `client_secret` in the body, never both (TK-03).
    package func client(_ body: JSONBody) throws(APIError) -> PresentedClient {
        let id = try body.text("client_id", bytesMax: 255)
        let secret = try body.text("client_secret", bytesMax: 1_024)
        let headers = facts.headers.count("authorization")
        if headers > 0 {
            guard headers == 1, secret == nil, let header = facts.headers.single("authorization"),
                let basic = BasicCredentials(header: header), id.map({ Identifier($0) == basic.clientID }) ?? true
            else { throw .invalidRequest("Authenticate the client in one way: HTTP Basic, or client_secret in the body.") }
            return .secret(basic.clientID, basic.secret, .secretBasic)
        }
        if let secret {
            guard let id else { throw .invalidRequest("client_secret needs a client_id.") }
            return .secret(Identifier(id), Secret(secret), .secretPost)
        }
        return .named(id.map { Identifier($0) })
    }
}

/// Typed access to the members of a request's body; each accessor says what it wanted.
package struct JSONBody: Sendable {
    package let object: JSONObject

    package init(object: JSONObject) { self.object = object }

    /// Nothing when the member is absent. NUL is refused everywhere.
    package func text(_ name: String, bytesMax: Int) throws(APIError) -> String? {
        guard let value = object[name] else { return nil }
        guard let text = value.string else { throw .invalidRequest("\"\(name)\" must be a string.") }
        guard text.utf8.count <= bytesMax else { throw .invalidRequest("\"\(name)\" is longer than \(bytesMax) bytes.") }
        guard !text.utf8.contains(0) else { throw .invalidRequest("\"\(name)\" contains a NUL.") }
        return text
    }

    package func requiredText(_ name: String, bytesMax: Int) throws(APIError) -> String {
        guard let text = try text(name, bytesMax: bytesMax), !text.isEmpty else { throw .invalidRequest("\"\(name)\" is missing.") }
        return text
    }

    package func flag(_ name: String) throws(APIError) -> Bool? {
        guard let value = object[name] else { return nil }
        guard let flag = value.bool else { throw .invalidRequest("\"\(name)\" must be true or false.") }
        return flag
    }

    package func wholeNumber(_ name: String, _ range: ClosedRange<Int64>) throws(APIError) -> Int64? {
        guard let value = object[name] else { return nil }
        guard let number = value.int, range.contains(number) else {
            throw .invalidRequest("\"\(name)\" must be a whole number from \(range.lowerBound) to \(range.upperBound).")
        }
        return number
    }

    /// One string, or a list of strings.
    package func texts(_ name: String, countMax: Int, bytesMax: Int) throws(APIError) -> [String]? {
        guard let value = object[name] else { return nil }
        if value.string != nil { return try text(name, bytesMax: bytesMax).map { [$0] } }
        guard let texts = value.strings, texts.count <= countMax, texts.allSatisfy({ $0.utf8.count <= bytesMax && !$0.utf8.contains(0) })
        else {
            throw .invalidRequest("\"\(name)\" must be a string, or at most \(countMax) strings of at most \(bytesMax) bytes.")
        }
        return texts
    }

    /// A list of scopes in RFC 6749 §3.3's form; nothing when absent.
    package func scope() throws(APIError) -> ScopeSet? {
        guard let text = try text("scope", bytesMax: 4_096) else { return nil }
        guard let scope = ScopeSet(parsing: text) else {
            throw APIError(400, "invalid_scope", "The scope is malformed.", reason: "scope_malformed")
        }
        return scope
    }

    package func audiences() throws(APIError) -> [Identifier] {
        try texts("audience", countMax: 16, bytesMax: 255)?.map { Identifier($0) } ?? []
    }
}
