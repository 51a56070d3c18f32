internal import AuthCore
internal import OAuthServer
internal import Store
internal import TokenKeys

extension AdminEndpoints {
    var clients: [Endpoint] {
        [
            Endpoint("GET", "/admin/clients") { (request) throws(APIError) in
                let found = try await stored { () async throws(StoreError) in try await store.clients() }
                var json = JSONWriter()
                json.object {
                    $0.array("clients") { list in for client in found { list.object { AdminEndpoints.write(client, to: &$0) } } }
                }
                return .json(200, json.bytes)
            },
            Endpoint("PATCH", "/admin/clients/{id}") { (request) throws(APIError) in
                try await setDisabled(Identifier(request.parameters[0]), try request.json(["disabled"]), request)
            },
            // For ids that are URLs: no segment of a path has a slash.
            Endpoint("PATCH", "/admin/clients") { (request) throws(APIError) in
                let body = try request.json(["client_id", "disabled"])
                return try await setDisabled(Identifier(try body.requiredText("client_id", bytesMax: 2_048)), body, request)
            },
            Endpoint("POST", "/admin/registration-tokens") { (request) throws(APIError) in try await makeRegistrationToken(request) },
            Endpoint("POST", "/admin/clients/{id}/secrets", reads: .nothing) { (request) throws(APIError) in try await rotateSecret(request)
            },
        ]
    }

    var signingKeys: [Endpoint] {
        [
            Endpoint("GET", "/admin/keys") { _ throws(APIError) in AdminEndpoints.answer(keys.records) },
            Endpoint("POST", "/admin/keys/rotate", reads: .nothing) { (request) throws(APIError) in
                try await maintain(.rotate, event(.keysChanged, request, "rotate"))
            },
            Endpoint("POST", "/admin/keys/{kid}/revoke", reads: .nothing) { (request) throws(APIError) in
                let id = Identifier(request.parameters[0])
                guard keys.records.contains(where: { $0.id == id && $0.state != .revoked }) else {
                    throw APIError(404, "not_found", "There is no such key in force.", reason: "key_unknown")
                }
                return try await maintain(.revoke(id), event(.keysChanged, request, "revoke \(id)"))
            },
        ]
    }

    private func maintain(_ reason: KeyRotation.Reason, _ event: AuditEvent) async throws(APIError) -> ResponseFacts {
        let before = keys.records
        do { try await keys.maintain(for: reason, event: event) } catch { throw .unavailable("signing_unavailable") }
        let after = keys.records
        // Upkeep may have added keys meanwhile; an operator asked for other keys to sign.
        let signsAsBefore = before.allSatisfy { key in key.state != .active || after.contains { $0.id == key.id && $0.state == .active } }
        if reason == .rotate ? signsAsBefore : after == before {
            let wait = max(1, (keys.rotation.nextRotation(before) - environment.now()).wholeSeconds)
            throw APIError(
                409, "too_early",
                "The next key has not been published for long enough yet, or a node has not read it: verifiers may not know it.",
                reason: "key_too_early",
                headers: [("retry-after", String(wait))]
            )
        }
        return AdminEndpoints.answer(after)
    }

    private func setDisabled(_ id: Identifier, _ body: JSONBody, _ request: APIRequest) async throws(APIError) -> ResponseFacts {
        guard let isDisabled = try body.flag("disabled") else { throw .invalidRequest("\"disabled\" is missing.") }
        let event = event(.clientChanged, request, client: id, isDisabled ? "disabled" : "enabled")
        let found = try await stored { () async throws(StoreError) in
            let found = try await store.setClientDisabled(id, isDisabled, event: event)
            try await reload()
            return found
        }
        guard found else { throw APIError(404, "not_found", "There is no such client.", reason: "client_unknown") }
        return ResponseFacts(status: 204)
    }

    /// Makes an initial access token (RFC 7591 §1.2); it is shown in this one answer.
    private func makeRegistrationToken(_ request: APIRequest) async throws(APIError) -> ResponseFacts {
        let body = try request.json(["uses", "expires_in"])
        let uses = try body.wholeNumber("uses", 1...InitialAccessTokens.usesMax) ?? 1
        let lifetime = Duration.seconds(
            try body.wholeNumber("expires_in", 1...InitialAccessTokens.lifetimeMax.wholeSeconds)
                ?? InitialAccessTokens.lifetimeUsual.wholeSeconds)
        let event = event(.clientChanged, request, "registration token for \(uses)")
        let token = try await stored { () async throws(StoreError) in
            let token = try await registrationTokens.make(uses: uses, lifetime: lifetime, at: request.now)
            try await store.append(event)
            return token
        }
        var json = JSONWriter()
        json.object {
            $0.member("registration_token", token.exposed)
            $0.member("uses", uses)
            $0.member("expires_at", (request.now + lifetime).seconds)
        }
        return .json(201, json.bytes)
    }

    /// Makes a new secret; it is shown in this one answer. The one before stays valid until the next rotation.
    private func rotateSecret(_ request: APIRequest) async throws(APIError) -> ResponseFacts {
        let id = Identifier(request.parameters[0])
        let secret = Secret("ghs_" + Base64URL.encode(environment.randomBytes(32)))
        let event = event(.clientChanged, request, client: id, "secret")
        let found = try await stored { () async throws(StoreError) in
            guard let client = try await store.client(id) else { return false }
            let found = try await store.addClientSecret(id, hash: clientSecrets.kept(secret, of: client.definition), event: event)
            try await reload()
            return found
        }
        guard found else { throw APIError(404, "not_found", "There is no such confidential client.", reason: "client_unknown") }
        var json = JSONWriter()
        json.object {
            $0.member("client_id", id.text)
            $0.member("client_secret", secret.exposed)
        }
        return .json(201, json.bytes)
    }

    private static func answer(_ records: [SigningKeyRecord]) -> ResponseFacts {
        var json = JSONWriter()
        json.object {
            $0.array("keys") { list in
                for key in records {
                    list.object {
                        $0.member("kid", key.id.text)
                        $0.member("alg", key.algorithm)
                        $0.member("state", key.state.rawValue)
                        $0.member("published_at", key.publishedAt.seconds)
                        $0.member("activated_at", key.activatedAt?.seconds)
                        $0.member("published_until", key.publishedUntil?.seconds)
                    }
                }
            }
        }
        return .json(200, json.bytes)
    }

    private static func write(_ client: Client, to json: inout JSONWriter) {
        json.member("client_id", client.id.text)
        json.member("disabled", client.isDisabled)
        json.member("managed_by", client.managedBy.rawValue)
        json.member("secrets", client.secretHashes.count)
        json.member("definition", ResourceJSON.encode(client.definition))
    }
}
