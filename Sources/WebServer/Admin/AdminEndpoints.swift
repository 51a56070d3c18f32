package import Accounts
package import AuthCore
package import OAuthServer
package import Store
package import TokenKeys
package import TokenVerification

/// The operator's API: what the commands of `gatehouse` call through the control socket, and a token with the scope
/// `gatehouse:admin` through the admin listener.
package struct AdminEndpoints: Sendable {
    let store: any Store
    let accounts: AccountService
    let keys: SigningKeys
    let clientSecrets: ClientSecrets
    let registrationTokens: InitialAccessTokens
    let verifier: TokenVerifier
    let environment: Environment
    /// Called after clients or resources have changed, before the answer.
    let reload: @Sendable () async throws(StoreError) -> Void
    /// Brings the store to what files say; nothing is written for a dry run.
    let apply:
        @Sendable (_ files: [(path: String, content: [UInt8])], _ prune: Bool, _ dryRun: Bool, _ traceID: String) async -> ApplyAnswer

    /// What came of an apply.
    package enum ApplyAnswer: Sendable {
        case applied([ResourceChange])
        case faulty([String])
        case failed(StoreError)
    }

    package init(
        store: any Store, accounts: AccountService, keys: SigningKeys, clientSecrets: ClientSecrets,
        registrationTokens: InitialAccessTokens,
        verifier: TokenVerifier, environment: Environment, reload: @escaping @Sendable () async throws(StoreError) -> Void,
        apply:
            @escaping @Sendable (
                _ files: [(path: String, content: [UInt8])], _ prune: Bool, _ dryRun: Bool, _ traceID: String
            ) async -> ApplyAnswer
    ) {
        self.store = store
        self.accounts = accounts
        self.keys = keys
        self.clientSecrets = clientSecrets
        self.registrationTokens = registrationTokens
        self.verifier = verifier
        self.environment = environment
        self.reload = reload
        self.apply = apply
    }

    package var endpoints: [Endpoint] { users + clients + signingKeys + sessions + audit + tokens + resources + nodes }

    /// The largest apply: all files together, in bytes.
    static let applyBytesMax = 4_194_304

    func event(_ kind: AuditEvent.Kind, _ request: APIRequest, account: Identifier? = nil, client: Identifier? = nil, _ reason: String)
        -> AuditEvent
    {
        AuditEvent(
            kind, at: request.now, accountID: account, clientID: client,
            source: request.actor.map { "admin \($0) from \(request.source)" } ?? "operator", reason: reason, traceID: request.traceID
        )
    }

    /// Runs a store call and turns its failure into the API's.
    func stored<Output>(_ call: () async throws(StoreError) -> Output) async throws(APIError) -> Output {
        do { return try await call() } catch { throw APIError(error) }
    }

    func account(named name: String) async throws(APIError) -> Account {
        guard let found = try await stored({ () async throws(StoreError) in try await accounts.find(name) }) else {
            throw APIError(404, "not_found", "There is no user \"\(name.prefix(64))\".", reason: "user_unknown")
        }
        return found
    }
}

extension AdminEndpoints {
    private var resources: [Endpoint] {
        [
            Endpoint("POST", "/admin/apply", bodyMax: AdminEndpoints.applyBytesMax) { (request) throws(APIError) in
                let body = try request.json(["files", "prune", "dry_run"])
                guard let entries = body.object["files"]?.array, (1...100).contains(entries.count) else {
                    throw .invalidRequest("\"files\" must be a list of 1 to 100 files.")
                }
                var files: [(path: String, content: [UInt8])] = []
                for entry in entries {
                    guard let path = entry.object?["path"]?.string, let content = entry.object?["content"]?.string else {
                        throw .invalidRequest("Each file needs \"path\" and \"content\".")
                    }
                    files.append((path, Array(content.utf8)))
                }
                let answer = await apply(files, try body.flag("prune") ?? false, try body.flag("dry_run") ?? false, request.traceID)
                switch answer {
                case .applied(let changes):
                    var json = JSONWriter()
                    json.object {
                        $0.member("changes", changes.count)
                        $0.member("text", ResourceDifference.render(changes))
                    }
                    return .json(200, json.bytes)
                case .faulty(let problems):
                    var error = APIError(422, "faulty_resources", "The files have mistakes; nothing was changed.")
                    error.members = [("problems", .array(problems.map { .string($0) }))]
                    throw error
                case .failed(let error): throw APIError(error)
                }
            },
            Endpoint("GET", "/admin/resources") { (request) throws(APIError) in
                let stored = try await stored { () async throws(StoreError) in try await store.resources() }
                return .json(200, ResourceJSON.encode(stored.document).encoded)
            },
        ]
    }

    private var audit: [Endpoint] {
        [
            Endpoint("GET", "/admin/audit") { (request) throws(APIError) in
                let query = try AdminQuery(request, names: ["before", "limit", "user"])
                var account: Identifier?
                if let name = query["user"] { account = try await self.account(named: name).id }
                let before = query["before"].flatMap { Int64($0) }
                let limit = query["limit"].flatMap { Int($0) } ?? 100
                let events = try await stored { () async throws(StoreError) in
                    try await store.events(before: before, limit: limit, account: account)
                }
                var json = JSONWriter()
                json.object {
                    $0.array("events") { list in
                        for (number, event) in events { list.object { AdminEndpoints.write(number, event, to: &$0) } }
                    }
                }
                return .json(200, json.bytes)
            }
        ]
    }

    private var nodes: [Endpoint] {
        [
            Endpoint("GET", "/admin/nodes") { _ throws(APIError) in
                let survey = try await stored { () async throws(StoreError) in try await store.nodes() }
                var json = JSONWriter()
                json.object {
                    $0.array("nodes") { list in
                        for node in survey.nodes {
                            list.object {
                                $0.member("id", node.report.id.text)
                                $0.member("name", node.report.name)
                                $0.member("version", node.report.version)
                                $0.member("live", node.isLive)
                                $0.member("started_at", node.report.startedAt.seconds)
                                $0.member("seen_at", node.seenAt.seconds)
                                $0.member("clock_ahead_ms", node.report.clockAhead.wholeMilliseconds)
                                $0.member("keys_version", node.report.keysVersion)
                            }
                        }
                    }
                }
                return .json(200, json.bytes)
            }
        ]
    }

    private static func write(_ number: Int64, _ event: AuditEvent, to json: inout JSONWriter) {
        json.member("number", number)
        json.member("at", event.at.seconds)
        json.member("event", event.kind.rawValue)
        json.member("account_id", event.accountID?.text)
        json.member("client_id", event.clientID?.text)
        json.member("sid", event.sessionID?.text)
        json.member("source", event.source)
        json.member("reason", event.reason)
        json.member("trace_id", event.traceID)
    }

    private var tokens: [Endpoint] {
        [
            Endpoint("POST", "/admin/token/explain") { (request) throws(APIError) in
                let body = try request.json(["token", "audience", "scope"])
                let token = try body.requiredText("token", bytesMax: 65_536)
                let audiences = try body.audiences()
                let requirements = TokenRequirements(
                    audience: audiences.isEmpty ? .any : .anyOf(audiences), scope: try body.scope() ?? .none
                )
                var explanation: TokenExplanation? = TokenExplanation()
                let decision = verifier.decide(
                    Array(token.utf8), for: requirements, now: request.now, uptime: environment.uptime(), whenStale: .serve,
                    explaining: &explanation
                )
                var json = JSONWriter()
                json.object {
                    switch decision {
                    case .accept(let token):
                        $0.member("valid", true)
                        ValidateEndpoint.write(token, cacheFor: .zero, to: &$0)
                    case .refuse(let reason):
                        $0.member("valid", false)
                        $0.member("reason", reason.rawValue)
                    case .ask(.unknownKey):
                        $0.member("valid", false)
                        $0.member("reason", TokenRefusal.unknownKey.rawValue)
                    case .ask(.staleRevocations), .unavailable, .overloaded:
                        $0.member("valid", false)
                        $0.member("reason", "stale")
                    }
                    explanation?.write(to: &$0)
                }
                return .json(200, json.bytes)
            },
            Endpoint("POST", "/admin/token/revoke") { (request) throws(APIError) in
                let body = try request.json(["jti", "expires_at"])
                let id = try body.requiredText("jti", bytesMax: 255)
                let expiry =
                    try body.wholeNumber("expires_at", 0...253_402_300_799).map { Instant(seconds: $0) } ?? request.now + .seconds(86_400)
                let event = event(.tokenRevoked, request, id)
                try await stored { () async throws(StoreError) in try await store.revokeToken(Identifier(id), until: expiry, event: event) }
                return ResponseFacts(status: 204)
            },
        ]
    }
}

/// The query of an admin request: known names only, each once.
struct AdminQuery {
    private var values: [String: String] = [:]

    init(_ request: APIRequest, names: Set<String>) throws(APIError) {
        guard let query = request.facts.query, !query.isEmpty else { return }
        for pair in query.split(separator: UInt8(ascii: "&")) {
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = FormEncoding.decode(parts[0]), let value = FormEncoding.decode(parts.count > 1 ? parts[1] : []),
                names.contains(name), values.updateValue(value, forKey: name) == nil
            else { throw .invalidRequest("The query may have \(names.sorted().joined(separator: ", ")), each once.") }
        }
    }

    subscript(_ name: String) -> String? { values[name] }
}
