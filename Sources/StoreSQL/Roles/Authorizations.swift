package import AuthCore
package import Store

extension SQLTransaction {
    fileprivate func redeem(
        _ presentation: CodePresentation, at now: Instant, event: AuditEvent, limits: StoreLimits
    ) throws(StoreError) -> CodeOutcome {
        guard let account = try lockedAccount(ofGrant: presentation.grantID) else { return .gone }
        let state = try query("SELECT code_until_ms, code_spent FROM grants WHERE id = ?1", .id(presentation.grantID)).first
        guard let state, let codeUntil = try state.optionalInstant(0) else { return .gone }
        guard let held = try held(presentation.grantID, at: now), let binding = held.grant.binding else {
            return codeUntil <= now ? .expired : .gone
        }
        let grant = held.grant
        guard grant.clientID == presentation.clientID else { return .wrongClient }
        if let fault = binding.fault(presentation) { return fault }
        // Before the key is looked at: a thief's key, which the code was bound to when it was used, must not hide the replay.
        if try state.flag(1) {
            try revokeGrants("id", grant.id, at: now, margin: limits.revocationMargin)
            var event = event
            (event.accountID, event.sessionID) = (account.id, grant.sessionID)
            try append(event, limits: limits)
            return .replayed
        }
        guard codeUntil > now else { return .expired }
        if let confirmation = binding.confirmation, confirmation != presentation.confirmation { return .wrongKey }
        // The session must be there still, whatever outlives it afterwards.
        guard !account.isDisabled, let client = held.client, client.uid == grant.clientUID, let session = held.session,
            session.expiresAt > now
        else { return .disabled }
        guard presentation.isGranted(grant) else { return .notGranted }
        let end = grant.isOffline ? grant.createdAt + presentation.offlineLifetime : session.expiresAt
        let tokenExpiresAt = min(now + presentation.accessLifetime, end)
        var bound = binding
        bound.confirmation = presentation.bindsRefresh ? presentation.confirmation : nil
        let changed = try execute(
            """
            UPDATE grants SET code_spent = 1, expires_ms = ?1, token_until_ms = ?2, binding = ?3, refresh_advanced_ms = ?4
            WHERE id = ?5 AND code_spent = 0 AND revoked_ms IS NULL
            """,
            .time(presentation.refreshes ? min(now + presentation.idleLifetime, end) : tokenExpiresAt), .time(tokenExpiresAt),
            .json(bound.json), .time(now), .id(grant.id))
        guard changed == 1 else { throw .corrupt("a locked grant changed") }
        if presentation.hearsOfLogout {
            try execute(
                """
                INSERT INTO session_clients (session_id, client_id, expires_ms) VALUES (?1, ?2, ?3)
                ON CONFLICT (session_id, client_id) DO UPDATE SET expires_ms = ?3
                """,
                .id(session.id), .id(client.id), .time(session.expiresAt))
        }
        failpoint("code.before_commit")
        return .redeemed(
            RefreshedGrant(
                grant: grant, account: account, client: client, assurance: binding.assurance, successor: grant.rotation.current,
                outcome: .kept(grant.rotation.current), tokenExpiresAt: tokenExpiresAt, resourcesVersion: held.resourcesVersion))
    }
}

extension GrantBinding {
    /// What of the presentation is not what the request was made with. A verifier where there was no challenge is no match either (RFC 9700
    /// §4.8.2), nor is a redirect URI where there was none.
    fileprivate func fault(_ presentation: CodePresentation) -> CodeOutcome? {
        func isSame(_ left: String?, _ right: String?) -> Bool {
            guard let left, let right else { return left == nil && right == nil }
            return isEqualInConstantTime(left.utf8, right.utf8)
        }
        guard isSame(redirectURI, presentation.redirectURI) else { return .wrongRedirectURI }
        guard isSame(codeChallenge, presentation.codeChallenge) else { return .wrongVerifier }
        return nil
    }
}

extension SQLStore {
    package func authorize(
        _ authorization: Authorization, at now: Instant, event: AuditEvent
    ) async throws(StoreError) -> AuthorizationOutcome {
        let (grantID, secret, limits) = (newIdentifier(), environment.randomBytes(32), limits)
        return try await write { (transaction) throws(StoreError) in
            guard let account = try transaction.lockedAccount(authorization.accountID), !account.isDisabled,
                let session = try transaction.liveSession(authorization.sessionID, at: now), session.accountID == account.id
            else { return .sessionEnded }
            guard let client = try transaction.liveClient(authorization.clientID), client.uid == authorization.clientUID else {
                return .clientUnavailable
            }
            if let request = authorization.pushedRequest {
                guard try transaction.takeParked(.pushedRequest, request, of: client.id, at: now) != nil else { return .requestSpent }
            }
            if let consent = authorization.consent { try transaction.remember(consent) }
            try transaction.useRegistration(client.uid, at: now)
            let codeUntil = now + authorization.codeLifetime
            let grant = Grant(
                id: grantID, sessionID: session.id, accountID: account.id, clientUID: client.uid, clientID: client.id,
                scope: authorization.scope, audiences: authorization.audiences, secret: Secret(secret),
                rotation: RefreshRotation(startedAt: now), createdAt: now, expiresAt: codeUntil, isOffline: authorization.isOffline,
                binding: authorization.binding)
            try transaction.insert(grant, tokensUntil: now, codeUntil: codeUntil)
            try transaction.forgetExpired(at: now)
            var event = event
            (event.accountID, event.clientID, event.sessionID) = (account.id, client.id, session.id)
            try transaction.append(event, limits: limits)
            failpoint("authorize.before_commit")
            return .authorized(grant)
        }
    }

    package func authorize(
        _ authorization: VouchedAuthorization, at now: Instant, event: AuditEvent
    ) async throws(StoreError) -> AuthorizationOutcome {
        let (grantID, secret, limits) = (newIdentifier(), environment.randomBytes(32), limits)
        return try await write { (transaction) throws(StoreError) in
            guard let account = try transaction.lockedAccount(authorization.accountID), !account.isDisabled,
                account.epoch == authorization.accountEpoch
            else { return .sessionEnded }
            guard let client = try transaction.liveClient(authorization.clientID), client.uid == authorization.clientUID else {
                return .clientUnavailable
            }
            let grant = Grant(
                id: grantID, sessionID: nil, accountID: account.id, clientUID: client.uid, clientID: client.id,
                scope: authorization.scope, audiences: authorization.audiences, secret: Secret(secret),
                rotation: RefreshRotation(startedAt: now), createdAt: now, expiresAt: authorization.expiresAt,
                binding: authorization.binding)
            try transaction.insert(grant, tokensUntil: authorization.expiresAt)
            try transaction.forgetExpired(at: now)
            var event = event
            (event.accountID, event.clientID) = (account.id, client.id)
            try transaction.append(event, limits: limits)
            return .authorized(grant)
        }
    }

    package func redeem(_ presentation: CodePresentation, at now: Instant, event: AuditEvent) async throws(StoreError) -> CodeOutcome {
        let limits = limits
        return try await write { (transaction) throws(StoreError) in
            try transaction.redeem(presentation, at: now, event: event, limits: limits)
        }
    }
}
