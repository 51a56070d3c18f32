internal import Accounts
internal import AuthCore
internal import Store

extension AdminEndpoints {
    var users: [Endpoint] {
        [
            Endpoint("GET", "/admin/users") { (request) throws(APIError) in
                let query = try AdminQuery(request, names: ["after", "limit"])
                let after = query["after"].map { Identifier($0) }
                let limit = query["limit"].flatMap { Int($0) } ?? 100
                let found = try await stored { () async throws(StoreError) in try await store.accounts(after: after, limit: limit) }
                var json = JSONWriter()
                json.object {
                    $0.array("users") { list in for account in found { list.object { AdminEndpoints.write(account, to: &$0) } } }
                }
                return .json(200, json.bytes)
            },
            Endpoint("POST", "/admin/users") { (request) throws(APIError) in try await createUser(request) },
            Endpoint("GET", "/admin/users/{name}") { (request) throws(APIError) in
                AdminEndpoints.answer(try await account(named: request.parameters[0]))
            },
            Endpoint("PATCH", "/admin/users/{name}") { (request) throws(APIError) in try await changeUser(request) },
            Endpoint("DELETE", "/admin/users/{name}") { (request) throws(APIError) in
                let account = try await account(named: request.parameters[0])
                try await change(account, .deleted, "deleted", request)
                return ResponseFacts(status: 204)
            },
        ]
    }

    var sessions: [Endpoint] {
        [
            Endpoint("GET", "/admin/users/{name}/sessions") { (request) throws(APIError) in
                let account = try await account(named: request.parameters[0])
                let found = try await stored { () async throws(StoreError) in try await store.sessions(of: account.id, at: request.now) }
                var json = JSONWriter()
                json.object {
                    $0.array("sessions") { list in
                        for session in found { list.object { SessionEndpoints.write(session, isCurrent: nil, to: &$0) } }
                    }
                }
                return .json(200, json.bytes)
            },
            Endpoint("DELETE", "/admin/users/{name}/sessions") { (request) throws(APIError) in
                let account = try await account(named: request.parameters[0])
                let event = event(.sessionEnded, request, account: account.id, "everywhere")
                try await stored { () async throws(StoreError) in try await store.endAll(of: account.id, at: request.now, event: event) }
                return ResponseFacts(status: 204)
            },
            Endpoint("DELETE", "/admin/sessions/{sid}") { (request) throws(APIError) in
                let id = Identifier(request.parameters[0])
                var event = event(.sessionEnded, request, "ended")
                event.sessionID = id
                let ending = event
                let ended = try await stored { () async throws(StoreError) in
                    try await store.end(id, owner: nil, at: request.now, event: ending)
                }
                guard ended else { throw APIError(404, "not_found", "There is no such session.", reason: "session_unknown") }
                return ResponseFacts(status: 204)
            },
        ]
    }

    private func createUser(_ request: APIRequest) async throws(APIError) -> ResponseFacts {
        let body = try request.json(["username", "email", "password", "roles"])
        let new = AccountService.New(
            username: try body.requiredText("username", bytesMax: 255), email: try body.text("email", bytesMax: 254),
            password: try body.text("password", bytesMax: 4_096).map { Secret($0) },
            roles: try body.texts("roles", countMax: 100, bytesMax: 255)?.map { Identifier($0) } ?? []
        )
        let event = event(.accountCreated, request, "created")
        let account: Account
        do { account = try await accounts.create(new, event: event) } catch { throw APIError(error) }
        return AdminEndpoints.answer(account, status: 201)
    }

    private func changeUser(_ request: APIRequest) async throws(APIError) -> ResponseFacts {
        let body = try request.json(["password", "disabled", "roles"])
        // Everything is read before anything is changed.
        let password = try body.text("password", bytesMax: 4_096)
        let roles = try body.texts("roles", countMax: 100, bytesMax: 255)
        let isDisabled = try body.flag("disabled")
        let account = try await account(named: request.parameters[0])
        if let password {
            let event = event(.accountChanged, request, account: account.id, "password")
            do { try await accounts.setPassword(Secret(password), of: account, event: event) } catch { throw APIError(error) }
        }
        if let roles { try await change(account, .roles(roles.map { Identifier($0) }), "roles", request) }
        if let isDisabled {
            let change: AccountChange = isDisabled ? .disabled(by: .operatorsHand) : .enabled(by: .operatorsHand)
            try await self.change(account, change, isDisabled ? "disabled" : "enabled", request)
        }
        return AdminEndpoints.answer(try await self.account(named: request.parameters[0]))
    }

    private func change(_ account: Account, _ change: AccountChange, _ word: String, _ request: APIRequest) async throws(APIError) {
        let event = event(.accountChanged, request, account: account.id, word)
        _ = try await stored { () async throws(StoreError) in try await store.change(account.id, change, event: event) }
    }

    private static func answer(_ account: Account, status: Int = 200) -> ResponseFacts {
        var json = JSONWriter()
        json.object { write(account, to: &$0) }
        return .json(status, json.bytes)
    }

    /// No secret: the hash of a password is never shown.
    private static func write(_ account: Account, to json: inout JSONWriter) {
        json.member("id", account.id.text)
        json.member("username", account.username)
        json.member("email", account.email)
        json.member("disabled", account.isDisabled)
        json.member("has_password", account.passwordHash != nil)
        json.member("roles", account.roles.map(\.text))
        json.member("managed_by", account.managedBy.rawValue)
        json.member("created_at", account.createdAt.seconds)
    }
}

extension APIError {
    init(_ error: AccountService.Failure) {
        switch error {
        case .taken: self.init(409, "already_exists", "The user name or e-mail address is in use.", reason: "account_taken")
        case .invalid(let reason): self.init(422, "invalid_account", "The account is refused: \(reason).", reason: reason)
        case .overloaded: self = .unavailable("password_hashing_overloaded")
        case .store(let error): self.init(error)
        }
    }
}
