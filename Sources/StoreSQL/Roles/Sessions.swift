package import AuthCore
package import Store

let sessionColumns = "id, account_id, client_id, acr, amr, authenticated_ms, created_ms, used_ms, expires_ms, source, agent"

extension SQLRow {
    func session() throws(StoreError) -> Session {
        Session(
            id: try identifier(0), accountID: try identifier(1), clientID: try identifier(2),
            assurance: SessionAssurance(acr: try text(3), amr: try list(4), authenticatedAt: try instant(5)),
            createdAt: try instant(6), lastUsedAt: try instant(7), expiresAt: try instant(8), source: try text(9), agent: try text(10)
        )
    }
}

extension SQLTransaction {
    /// The session when it exists and has not expired.
    func liveSession(_ id: Identifier, at now: Instant) throws(StoreError) -> Session? {
        guard let session = try query("SELECT \(sessionColumns) FROM sessions WHERE id = ?1", .id(id)).first?.session() else { return nil }
        return session.expiresAt > now ? session : nil
    }

    /// Ends one session: its row goes, its grants are revoked, both stand in the log.
    func endSession(_ id: Identifier, at now: Instant, margin: Duration) throws(StoreError) {
        let until = try tokensUntil("session_id", id, at: now) + margin
        try queueLogouts(ofSession: id, at: now)
        try execute("DELETE FROM browser_sessions WHERE session_id = ?1", .id(id))
        try execute("DELETE FROM sessions WHERE id = ?1", .id(id))
        revoke(RevocationRecord(kind: .session, id: id, until: until))
        try revokeGrants("is_offline = 0 AND session_id", id, at: now, margin: margin)
    }

    /// Ends every session and grant of an account and raises its epoch. The ids stand in the log one by one, because a
    /// token with a pairwise subject does not name the account.
    func endEverything(ofAccount id: Identifier, at now: Instant, margin: Duration) throws(StoreError) {
        try raiseEpoch(ofAccount: id, at: now, margin: margin)
        for row in try query("SELECT id FROM sessions WHERE account_id = ?1", .id(id)) {
            try endSession(try row.identifier(0), at: now, margin: margin)
        }
        try revokeGrants("account_id", id, at: now, margin: margin)
    }

    /// Revokes the grants under `column` that are in force. The rows stay until the last token of each has expired.
    ///
    /// - Parameter most: How many, where there may be more than a transaction should touch.
    /// - Returns: How many were.
    @discardableResult
    func revokeGrants(
        _ column: String, _ id: Identifier, atMost most: Int? = nil, at now: Instant, margin: Duration
    ) throws(StoreError) -> Int {
        let live = "\(column) = ?2 AND revoked_ms IS NULL"
        let some = most.map { "id IN (SELECT id FROM grants WHERE \(live) LIMIT \($0)\(dialect.lockingClause))" }
        let rows = try query(
            "UPDATE grants SET revoked_ms = ?1, expires_ms = token_until_ms WHERE \(some ?? live) RETURNING id, token_until_ms",
            .time(now), .id(id)
        )
        for row in rows {
            revoke(RevocationRecord(kind: .grant, id: try row.identifier(0), until: max(now, try row.instant(1)) + margin))
        }
        return rows.count
    }

    /// A few rows that nothing can use any more.
    func forgetExpired(at now: Instant) throws(StoreError) {
        // A grant stays as long as a token of it is out: from it a revocation learns how long it must be kept.
        try execute(
            "DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE expires_ms < ?1 AND token_until_ms < ?1 LIMIT ?2\(dialect.skipLockedClause))",
            .time(now), .int(SQLStore.cleanupBatch)
        )
        try execute(
            "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_ms < ?1 LIMIT ?2\(dialect.skipLockedClause))",
            .time(now), .int(SQLStore.cleanupBatch)
        )
        try forgetParked(at: now)
        try execute(
            """
            DELETE FROM revocations WHERE kind <> 'key' AND sequence IN (
                SELECT sequence FROM revocations WHERE until_ms < ?1 LIMIT ?2\(dialect.skipLockedClause))
            """,
            .time(now), .int(SQLStore.cleanupBatch)
        )
    }
}

extension SQLStore {
    package func open(_ request: OpenSession, at now: Instant, event: AuditEvent) async throws(StoreError) -> OpenSessionOutcome {
        let (sessionID, grantID) = (newIdentifier(), newIdentifier())
        let secret = environment.randomBytes(32)
        let limits = limits
        return try await write { (transaction) throws(StoreError) in
            guard let account = try transaction.lockedAccount(request.accountID), !account.isDisabled, account.epoch == request.accountEpoch
            else {
                return .accountChanged
            }
            guard let client = try transaction.liveClient(request.clientID) else { return .clientUnavailable }
            let session = Session(
                id: sessionID, accountID: account.id, clientID: client.id, assurance: request.assurance, createdAt: now, lastUsedAt: now,
                expiresAt: now + request.lifetime, source: request.source, agent: request.agent
            )
            var binding: GrantBinding?
            if let confirmation = request.confirmation {
                binding = GrantBinding(assurance: request.assurance)
                binding?.confirmation = confirmation
            }
            let grant = Grant(
                id: grantID, sessionID: sessionID, accountID: account.id, clientUID: client.uid, clientID: client.id, scope: request.scope,
                audiences: request.audiences, secret: Secret(secret), rotation: RefreshRotation(startedAt: now), createdAt: now,
                expiresAt: min(now + request.idleLifetime, session.expiresAt), binding: binding
            )
            try transaction.insert(session)
            try transaction.insert(grant, tokensUntil: min(now + request.accessLifetime, session.expiresAt))
            try transaction.forgetExpired(at: now)
            var event = event
            event.sessionID = sessionID
            try transaction.append(event, limits: limits)
            return .opened(session, grant, resourcesVersion: try transaction.resourcesVersion())
        }
    }

    package func sessions(of account: Identifier, at now: Instant) async throws(StoreError) -> [Session] {
        try await read { (transaction) throws(StoreError) in
            var sessions: [Session] = []
            let rows = try transaction.query(
                "SELECT \(sessionColumns) FROM sessions WHERE account_id = ?1 AND expires_ms > ?2 ORDER BY created_ms DESC, id LIMIT 100",
                .id(account), .time(now)
            )
            for row in rows { sessions.append(try row.session()) }
            return sessions
        }
    }

    package func end(_ session: Identifier, owner: Identifier?, at now: Instant, event: AuditEvent) async throws(StoreError) -> Bool {
        let limits = limits
        return try await write { (transaction) throws(StoreError) in
            guard let found = try transaction.liveSession(session, at: now) else { return false }
            if let owner, found.accountID != owner { return false }
            // A refresh of the session holds the account meanwhile: after it, the session is looked at again.
            _ = try transaction.lockedAccount(found.accountID)
            guard try transaction.liveSession(session, at: now) != nil else { return false }
            try transaction.endSession(session, at: now, margin: limits.revocationMargin)
            var event = event
            event.accountID = found.accountID
            try transaction.append(event, limits: limits)
            return true
        }
    }

    package func endAll(of account: Identifier, at now: Instant, event: AuditEvent) async throws(StoreError) {
        let limits = limits
        try await write { (transaction) throws(StoreError) in
            guard try transaction.lockedAccount(account) != nil else { return }
            try transaction.endEverything(ofAccount: account, at: now, margin: limits.revocationMargin)
            try transaction.append(event, limits: limits)
        }
    }
}

extension SQLTransaction {
    func insert(_ session: Session) throws(StoreError) {
        try execute(
            "INSERT INTO sessions (\(sessionColumns)) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            .id(session.id), .id(session.accountID), .id(session.clientID), .text(session.assurance.acr), .list(session.assurance.amr),
            .time(session.assurance.authenticatedAt), .time(session.createdAt), .time(session.lastUsedAt), .time(session.expiresAt),
            .text(session.source), .text(session.agent)
        )
    }
}
