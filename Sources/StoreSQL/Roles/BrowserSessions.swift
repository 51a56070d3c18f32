package import AuthCore
package import Store

private let browserColumns = qualified(sessionColumns, "s") + ", " + qualified(accountColumns, "a")

extension SQLStore {
    package func open(
        _ request: OpenBrowserSession, at now: Instant, event: AuditEvent
    ) async throws(StoreError) -> BrowserSessionOutcome {
        let (sessionID, limits) = (newIdentifier(), limits)
        return try await write { (transaction) throws(StoreError) in
            guard let account = try transaction.lockedAccount(request.accountID), !account.isDisabled, account.epoch == request.accountEpoch
            else { return .accountChanged }
            var renewed = try transaction.renewed(request, at: now)
            if renewed == nil { renewed = try transaction.opened(request, id: sessionID, at: now) }
            guard let session = renewed else { throw .corrupt("a session that was just opened is not there") }
            try transaction.execute("DELETE FROM browser_sessions WHERE session_id = ?1", .id(session.id))
            try transaction.execute(
                "INSERT INTO browser_sessions (cookie_hash, session_id, account_id, expires_ms) VALUES (?1, ?2, ?3, ?4)",
                .blob(request.cookieHash), .id(session.id), .id(account.id), .time(session.expiresAt))
            try transaction.forgetExpired(at: now)
            var event = event
            (event.accountID, event.sessionID) = (account.id, session.id)
            try transaction.append(event, limits: limits)
            return .opened(session)
        }
    }

    package func browserSession(cookieHash: [UInt8], at now: Instant) async throws(StoreError) -> BrowserSession? {
        let rows = try await database.query(
            """
            SELECT \(browserColumns) FROM browser_sessions b
                JOIN sessions s ON s.id = b.session_id JOIN accounts a ON a.id = s.account_id
            WHERE b.cookie_hash = ?1 AND b.expires_ms > ?2 AND s.expires_ms > ?2 AND a.disabled = 0
            """, [.blob(cookieHash), .time(now)])
        guard let row = rows.first, let account = try row.part(from: 11, count: 9)?.account() else { return nil }
        return BrowserSession(session: try row.session(), account: account)
    }
}

extension SQLTransaction {
    fileprivate func opened(_ request: OpenBrowserSession, id: Identifier, at now: Instant) throws(StoreError) -> Session {
        let session = Session(
            id: id, accountID: request.accountID, clientID: request.clientID, assurance: request.assurance, createdAt: now,
            lastUsedAt: now, expiresAt: now + request.lifetime, source: request.source, agent: request.agent)
        try insert(session)
        return session
    }

    /// Nothing when there is no such session of this account any more.
    fileprivate func renewed(_ request: OpenBrowserSession, at now: Instant) throws(StoreError) -> Session? {
        guard let id = request.continues, let session = try liveSession(id, at: now), session.accountID == request.accountID else {
            return nil
        }
        let expiresAt = max(session.expiresAt, now + request.lifetime)
        try execute(
            "UPDATE sessions SET acr = ?1, amr = ?2, authenticated_ms = ?3, used_ms = ?4, expires_ms = ?5 WHERE id = ?6",
            .text(request.assurance.acr), .list(request.assurance.amr), .time(request.assurance.authenticatedAt), .time(now),
            .time(expiresAt), .id(id))
        // Who wants to hear of its end wants to hear of the later one.
        try execute("UPDATE session_clients SET expires_ms = ?1 WHERE session_id = ?2", .time(expiresAt), .id(id))
        return try liveSession(id, at: now)
    }
}
