internal import AuthCore
package import OAuthServer
package import Store
internal import TokenVerification

/// `POST /logout`, `GET /sessions`, `DELETE /sessions/{sid}`: a person ends what they began.
package struct SessionEndpoints: Sendable {
    package typealias Stores = SessionStore & GrantStore & ClientStore

    private let store: any Stores
    private let tokens: FirstPartyTokens
    private let own: OwnToken

    package init(store: any Stores, tokens: FirstPartyTokens, own: OwnToken) {
        self.store = store
        self.tokens = tokens
        self.own = own
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint("POST", "/logout") { (request) throws(APIError) in try await logout(request) },
            Endpoint("GET", "/sessions") { (request) throws(APIError) in try await list(request) },
            Endpoint("DELETE", "/sessions/{sid}") { (request) throws(APIError) in try await end(request) },
        ]
    }

    /// What a token that is being logged out belongs to.
    private struct Target {
        var accountID: Identifier
        var clientID: Identifier
        var sessionID: Identifier?
        var grantID: Identifier?
        var mayEndEverything: Bool
        /// The next `DPoP-Nonce`, where the token came under that scheme.
        var nonce: String?
    }

    private func logout(_ request: APIRequest) async throws(APIError) -> ResponseFacts {
        var body = JSONBody(object: JSONObject())
        if !request.body.isEmpty { body = try request.json(["refresh_token", "everywhere"]) }
        let everywhere = try body.flag("everywhere") ?? false
        guard let target = try await logoutTarget(request, body) else { return ResponseFacts(status: 204) }
        let event = AuditEvent(
            .signOut, at: request.now, accountID: target.accountID, clientID: target.clientID, sessionID: target.sessionID,
            source: request.source, reason: everywhere ? "everywhere" : nil, traceID: request.traceID
        )
        do {
            if everywhere {
                guard target.mayEndEverything else {
                    throw APIError(
                        403, "insufficient_scope", "To end all sessions, send the refresh token, or a token for gatehouse:account.",
                        headers: Challenge.headers(
                            "insufficient_scope", more: ", scope=\"\(ScopeCatalogue.accountScope)\"", nonce: target.nonce))
                }
                try await store.endAll(of: target.accountID, at: request.now, event: event)
            } else if try await isFirstParty(target.clientID), let session = target.sessionID {
                _ = try await store.end(session, owner: target.accountID, at: request.now, event: event)
            } else if let grant = target.grantID {
                _ = try await store.revoke(grant, at: request.now, event: event)
            }
        } catch let error as APIError { throw error } catch let error as StoreError { throw APIError(error) } catch {
            throw .unavailable("store_unavailable")
        }
        return ResponseFacts(status: 204)
    }

    /// - Returns: Nothing when what the token belongs to has ended already.
    private func logoutTarget(_ request: APIRequest, _ body: JSONBody) async throws(APIError) -> Target? {
        if let text = try body.text("refresh_token", bytesMax: 4_096) {
            do {
                let grant = try await tokens.liveGrant(of: Secret(text), at: request.now)
                return Target(
                    accountID: grant.accountID, clientID: grant.clientID, sessionID: grant.sessionID, grantID: grant.id,
                    mayEndEverything: try await isFirstPartyOrRefuse(grant.clientID)
                )
            } catch {
                if error.code == .temporarilyUnavailable { throw APIError(error) }
                return nil
            }
        }
        guard let presented = try own.presented(request) else {
            throw .invalidRequest("Send the refresh token in the body, or an access token in the Authorization header.")
        }
        do {
            let token = try own.accessToken(presented, audience: .any, scope: .none)
            return Target(
                accountID: token.subject, clientID: token.clientID, sessionID: token.sessionID, grantID: token.grantID,
                mayEndEverything: token.audiences == [ScopeCatalogue.ownResource] && token.scope.contains(ScopeCatalogue.accountScope),
                nonce: presented.nonce
            )
        } catch {
            // Its signature was found good before either of these: what it says of its session is true, and the session may live on.
            guard error.reason == TokenRefusal.revoked.rawValue || error.reason == TokenRefusal.expired.rawValue else { throw error }
            guard let target = SessionEndpoints.target(ofSpent: presented) else { throw error }
            return target
        }
    }

    /// What an access token of ours belongs to that is valid no more; its holder may end that, and nothing else.
    ///
    /// - Returns: Nothing for a token that is bound to another sender than the one that was proven.
    private static func target(ofSpent presented: OwnToken.Presented) -> Target? {
        let parts = presented.token.exposed.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let payload = Base64URL.decode(parts[1]),
            // The verifier has read the same bytes with the same reader: nothing can fail here.
            let claims = (try? JSONReader.read(payload, limits: .token))?.object,
            let subject = claims["sub"]?.string, let client = claims["client_id"]?.string, presented.isSender(claims["cnf"])
        else { return nil }
        return Target(
            accountID: Identifier(subject), clientID: Identifier(client), sessionID: claims["sid"]?.string.map { Identifier($0) },
            grantID: claims["gid"]?.string.map { Identifier($0) }, mayEndEverything: false, nonce: presented.nonce
        )
    }

    private func isFirstParty(_ client: Identifier) async throws(StoreError) -> Bool {
        try await store.client(client)?.definition.grants.contains(.login) ?? false
    }

    private func isFirstPartyOrRefuse(_ client: Identifier) async throws(OAuthError) -> Bool {
        do { return try await isFirstParty(client) } catch { throw OAuthError(storeError: error) }
    }

    private func list(_ request: APIRequest) async throws(APIError) -> ResponseFacts {
        let holder = try await own.holder(request, scope: ScopeCatalogue.accountScope, allowsRefreshToken: true)
        let sessions: [Session]
        do { sessions = try await store.sessions(of: holder.accountID, at: request.now) } catch { throw APIError(error) }
        var json = JSONWriter()
        json.object {
            $0.array("sessions") { list in
                for session in sessions {
                    list.object { SessionEndpoints.write(session, isCurrent: session.id == holder.sessionID, to: &$0) }
                }
            }
        }
        return .json(200, json.bytes)
    }

    private func end(_ request: APIRequest) async throws(APIError) -> ResponseFacts {
        let holder = try await own.holder(request, scope: ScopeCatalogue.accountScope, allowsRefreshToken: true)
        let sessionID = Identifier(request.parameters[0])
        let event = AuditEvent(.sessionEnded, at: request.now, sessionID: sessionID, source: request.source, traceID: request.traceID)
        let ended: Bool
        do { ended = try await store.end(sessionID, owner: holder.accountID, at: request.now, event: event) } catch {
            throw APIError(error)
        }
        // Another account's session is not found either: ids tell nothing (CVE-2024-39683).
        guard ended else { throw APIError(404, "not_found", "There is no such session.", reason: "session_unknown") }
        return ResponseFacts(status: 204)
    }

    static func write(_ session: Session, isCurrent: Bool?, to json: inout JSONWriter) {
        json.member("sid", session.id.text)
        json.member("client_id", session.clientID.text)
        json.member("created_at", session.createdAt.seconds)
        json.member("last_used_at", session.lastUsedAt.seconds)
        json.member("expires_at", session.expiresAt.seconds)
        json.member("acr", session.assurance.acr)
        json.member("amr", session.assurance.amr)
        json.member("source", session.source)
        json.member("agent", session.agent)
        if let isCurrent { json.member("current", isCurrent) }
    }
}
