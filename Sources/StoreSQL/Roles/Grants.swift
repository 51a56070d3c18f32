package import AuthCore
package import Store

let grantColumns = """
    id, session_id, account_id, client_uid, client_id, scope, audiences, secret, refresh_current, refresh_predecessor,
    refresh_advanced_ms, created_ms, expires_ms, revoked_ms, is_offline, binding
    """
private let grantColumnCount = 16
/// Of a grant and what it rests on.
private let heldColumns = [qualified(grantColumns, "g"), qualified(sessionColumns, "s"), qualified(clientColumns, "c")]
    .joined(separator: ", ")

extension SQLRow {
    func grant() throws(StoreError) -> Grant {
        try grant(try binding(15))
    }

    func binding(_ column: Int) throws(StoreError) -> GrantBinding? {
        guard let text = try optionalText(column) else { return nil }
        guard let value = (try? JSONReader.read(text)), let binding = GrantBinding(value) else {  // said below
            throw .corrupt("grants.binding")
        }
        return binding
    }

    private func grant(_ binding: GrantBinding?) throws(StoreError) -> Grant {
        Grant(
            id: try identifier(0), sessionID: try optionalText(1).map { Identifier($0) }, accountID: try identifier(2),
            clientUID: try identifier(3), clientID: try identifier(4), scope: try scope(5), audiences: try identifiers(6),
            secret: Secret(try blob(7)),
            rotation: RefreshRotation(current: try int(8), predecessor: try int(9), advancedAt: try instant(10)),
            createdAt: try instant(11), expiresAt: try instant(12), isRevoked: try optionalInt(13) != nil, isOffline: try flag(14),
            binding: binding
        )
    }
}

extension Grant {
    /// An expiry that would move by less than a 64th of the idle lifetime, an hour at most, stays: what is indexed changes seldom, so that
    /// PostgreSQL can write a refresh without touching any index (heap-only tuples).
    fileprivate func expiryMoved(to later: Instant, idleLifetime: Duration) -> Instant {
        let step = later - expiresAt
        return step >= .zero && step < min(.seconds(3_600), idleLifetime / 64) ? expiresAt : later
    }
}

/// A grant with what a refresh of it needs.
struct HeldGrant {
    let grant: Grant
    let session: Session?
    /// Live ones only.
    let client: Client?
    let resourcesVersion: Int64
    /// Whether it began with an authorization code that was not used yet.
    let waitsForCode: Bool

    /// How long it may live at the most, and what was proved when it began; nothing when its session has ended before it.
    func life(at now: Instant, offline: Duration) -> (end: Instant, assurance: SessionAssurance)? {
        if let session, session.expiresAt > now, !grant.isOffline {
            return (session.expiresAt, grant.binding?.assurance ?? session.assurance)
        }
        guard grant.isOffline, let binding = grant.binding, grant.createdAt + offline > now else { return nil }
        return (grant.createdAt + offline, binding.assurance)
    }
}

extension SQLTransaction {
    /// - Parameter codeUntil: When its authorization code expires, if it begins with one.
    func insert(_ grant: Grant, tokensUntil: Instant, codeUntil: Instant? = nil) throws(StoreError) {
        try execute(
            """
            INSERT INTO grants (\(grantColumns), token_until_ms, code_until_ms)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, NULL, ?14, ?15, ?16, ?17)
            """,
            .id(grant.id), .id(grant.sessionID), .id(grant.accountID), .id(grant.clientUID), .id(grant.clientID),
            .text(grant.scope.description), .list(grant.audiences.map(\.text)), .blob(grant.secret.exposed), .int(grant.rotation.current),
            .int(grant.rotation.predecessor), .time(grant.rotation.advancedAt), .time(grant.createdAt), .time(grant.expiresAt),
            .flag(grant.isOffline), .text(grant.binding.map { String(decoding: $0.json.encoded, as: UTF8.self) }), .time(tokensUntil),
            .time(codeUntil)
        )
    }

    /// A grant in force, locked, and what it rests on. Its account is locked already, so that nothing of it changes but what is written
    /// for clients.
    func held(_ id: Identifier, at now: Instant) throws(StoreError) -> HeldGrant? {
        let rows = try query(
            """
            SELECT \(heldColumns), f.resources_version,
                CASE WHEN g.code_until_ms IS NOT NULL AND g.code_spent = 0 THEN 1 ELSE 0 END
            FROM grants g CROSS JOIN feed f LEFT JOIN sessions s ON s.id = g.session_id
                LEFT JOIN clients c ON c.id = g.client_id AND c.deleted = 0 AND c.disabled = 0
            WHERE f.id = 1 AND g.id = ?1 AND g.revoked_ms IS NULL AND g.expires_ms > ?2\(dialect.locking("g"))
            """,
            .id(id), .time(now)
        )
        guard let row = rows.first else { return nil }
        return HeldGrant(
            grant: try row.grant(), session: try row.part(from: grantColumnCount, count: 11)?.session(),
            client: try row.part(from: grantColumnCount + 11, count: 7)?.client(),
            resourcesVersion: try row.int(grantColumnCount + 18), waitsForCode: try row.flag(grantColumnCount + 19))
    }

    private func advance(
        _ grant: Grant, to rotation: RefreshRotation, until expiresAt: Instant, tokensUntil: Instant
    ) throws(StoreError) {
        let changed = try execute(
            """
            UPDATE grants SET refresh_current = ?1, refresh_predecessor = ?2, refresh_advanced_ms = ?3, expires_ms = ?4,
                token_until_ms = CASE WHEN token_until_ms > ?5 THEN token_until_ms ELSE ?5 END
            WHERE id = ?6 AND refresh_current = ?7 AND refresh_predecessor = ?8 AND revoked_ms IS NULL
            """,
            .int(rotation.current), .int(rotation.predecessor), .time(rotation.advancedAt), .time(expiresAt),
            .time(tokensUntil), .id(grant.id), .int(grant.rotation.current), .int(grant.rotation.predecessor)
        )
        guard changed == 1 else { throw .corrupt("a locked grant changed") }
    }

    /// A token that stays the current one: written when what is stored covers its tokens no more, an hour ahead, and when its expiry has
    /// moved by a step, which with a short idle lifetime is less than the hour.
    private func keep(_ grant: Grant, until expiresAt: Instant, tokensUntil: Instant) throws(StoreError) {
        try execute(
            """
            UPDATE grants SET expires_ms = ?1, token_until_ms = CASE WHEN token_until_ms < ?2 THEN ?3 ELSE token_until_ms END
            WHERE id = ?4 AND (token_until_ms < ?2 OR expires_ms <> ?1)
            """,
            .time(expiresAt), .time(tokensUntil), .time(tokensUntil + .seconds(3_600)), .id(grant.id))
    }

    fileprivate func refresh(
        _ held: HeldGrant, of account: Account, _ presentation: RefreshPresentation, at now: Instant, event: AuditEvent,
        limits: StoreLimits
    ) throws(StoreError) -> RefreshOutcome {
        let grant = held.grant
        guard grant.clientID == presentation.clientID else { return .wrongClient }
        guard !account.isDisabled, let client = held.client, client.uid == grant.clientUID else { return .disabled }
        guard let life = held.life(at: now, offline: presentation.offlineLifetime) else { return .disabled }
        // A refresh token exists, so its code was used: the store has forgotten it.
        if held.waitsForCode { return .aheadOfStore }

        var rotation = grant.rotation
        let outcome = rotation.present(
            presentation.counter, at: now, senderIsProved: presentation.senderIsProved, windows: presentation.windows,
            rotates: presentation.rotates
        )
        let successor: Int64
        switch outcome {
        case .rotated(let counter), .repeated(let counter), .replaced(let counter), .kept(let counter): successor = counter
        case .aheadOfStore: return .aheadOfStore
        case .replayed:
            try revokeGrants("id", grant.id, at: now, margin: limits.revocationMargin)
            var event = event
            (event.accountID, event.sessionID) = (account.id, grant.sessionID)
            try append(event, limits: limits)
            return .replayed
        }
        let expiresAt = grant.expiryMoved(
            to: min(now + presentation.idleLifetime, life.end), idleLifetime: presentation.idleLifetime)
        let tokenExpiresAt = min(now + presentation.accessLifetime, life.end)
        if case .kept = outcome {
            try keep(grant, until: expiresAt, tokensUntil: tokenExpiresAt)
        } else {
            try advance(grant, to: rotation, until: expiresAt, tokensUntil: tokenExpiresAt)
        }
        // To the minute is enough for people, and spares most refreshes a write.
        if let session = held.session, now - session.lastUsedAt >= .seconds(60) {
            try execute("UPDATE sessions SET used_ms = ?1 WHERE id = ?2", .time(now), .id(session.id))
        }
        failpoint("refresh.before_commit")
        return .refreshed(
            RefreshedGrant(
                grant: grant, account: account, client: client, assurance: life.assurance, successor: successor,
                outcome: outcome, tokenExpiresAt: tokenExpiresAt, resourcesVersion: held.resourcesVersion
            )
        )
    }
}

extension SQLStore {
    package func refresh<Refusal: Error>(
        _ id: Identifier, at now: Instant, event: AuditEvent,
        judge: @escaping @Sendable (Grant, Account) throws(Refusal) -> RefreshPresentation
    ) async throws(StoreError) -> Result<RefreshOutcome, Refusal> {
        let limits = limits
        return try await write { (transaction) throws(StoreError) in
            // The account's row is locked before the grant's, here as everywhere, so that two transactions cannot wait for each other.
            guard let account = try transaction.lockedAccount(ofGrant: id), let held = try transaction.held(id, at: now) else {
                return .success(.gone)
            }
            let presentation: RefreshPresentation
            do throws(Refusal) { presentation = try judge(held.grant, account) } catch { return .failure(error) }
            return .success(try transaction.refresh(held, of: account, presentation, at: now, event: event, limits: limits))
        }
    }

    package func grant(_ id: Identifier) async throws(StoreError) -> Grant? {
        try await database.query("SELECT \(grantColumns) FROM grants WHERE id = ?1", [.id(id)]).first?.grant()
    }

    package func revoke(_ grant: Identifier, at now: Instant, event: AuditEvent) async throws(StoreError) -> Bool {
        let limits = limits
        return try await write { (transaction) throws(StoreError) in
            let live = "SELECT account_id, session_id FROM grants WHERE id = ?1 AND revoked_ms IS NULL"
            guard let owner = try transaction.query(live, .id(grant)).first?.identifier(0) else { return false }
            _ = try transaction.lockedAccount(owner)
            guard let row = try transaction.query(live, .id(grant)).first else { return false }
            try transaction.revokeGrants("id", grant, at: now, margin: limits.revocationMargin)
            var event = event
            event.accountID = try row.identifier(0)
            event.sessionID = try row.optionalText(1).map { Identifier($0) }
            try transaction.append(event, limits: limits)
            return true
        }
    }
}
