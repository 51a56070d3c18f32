package import AuthCore
package import Store

extension SQLTransaction {
    /// A few registered clients that nobody has used for long, and that hold nothing. A disabled one stays: it would come back enabled.
    ///
    /// `created_ms` is when a client registered or, to the hour, when somebody last signed in through it.
    fileprivate func forgetUnused(since: Instant) throws(StoreError) {
        let rows = try query(
            """
            SELECT c.id, c.uid FROM registrations r JOIN clients c ON c.uid = r.client_uid
            WHERE r.created_ms < ?1 AND c.disabled = 0 AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.client_uid = r.client_uid)
            ORDER BY c.id LIMIT ?2
            """, .time(since), .int(SQLStore.cleanupBatch))
        for row in rows {
            let (id, uid) = (try row.identifier(0), try row.identifier(1))
            // Locked like for every other change of it; somebody may have signed in meanwhile, or deleted it.
            guard let client = try client(id), client.uid == uid, !client.isDisabled else { continue }
            let gone = try execute("DELETE FROM registrations WHERE client_uid = ?1 AND created_ms < ?2", .id(uid), .time(since))
            guard gone == 1 else { continue }
            try execute("DELETE FROM consents WHERE client_uid = ?1", .id(uid))
            try execute("DELETE FROM clients WHERE id = ?1", .id(id))
        }
    }

    /// Somebody signs in through the client: if it registered itself, it is in use.
    func useRegistration(_ uid: Identifier, at now: Instant) throws(StoreError) {
        try execute(
            "UPDATE registrations SET created_ms = ?1 WHERE client_uid = ?2 AND created_ms < ?3", .time(now), .id(uid),
            .time(now - .seconds(3_600)))
    }
}

extension SQLStore {
    /// What stands for "always in use": the year 9999.
    private static let lasting = Instant(seconds: 253_402_300_799)

    package func register(
        _ client: ClientDefinition, secretHash: [UInt8]?, tokenHash: [UInt8], within bounds: RegistrationBounds, at now: Instant,
        event: AuditEvent
    ) async throws(StoreError) -> RegistrationOutcome {
        let (uid, limits) = (newIdentifier(), limits)
        let definition = SQLValue.json(ResourceJSON.encode(client))
        return try await write { (transaction) throws(StoreError) in
            if let since = bounds.unusedSince { try transaction.forgetUnused(since: since) }
            let inserted = try transaction.execute(
                """
                INSERT INTO clients (id, uid, definition, secrets, disabled, deleted, epoch, managed_by)
                VALUES (?1, ?2, ?3, ?4, 0, 0, 1, 'api') ON CONFLICT DO NOTHING
                """,
                .id(client.id), .id(uid), definition, .list(secretHash.map { [Base64URL.encode($0)] } ?? []))
            guard inserted == 1 else { return .taken }
            // From here on one registration at a time, so that they count one another.
            try transaction.raiseResourcesVersion()
            guard let count = try transaction.query("SELECT COUNT(*) FROM registrations").first?.int(0), count < bounds.clientsMax else {
                try transaction.execute("DELETE FROM clients WHERE id = ?1", .id(client.id))
                return .full
            }
            try transaction.execute(
                "INSERT INTO registrations (client_uid, token_hash, created_ms) VALUES (?1, ?2, ?3)", .id(uid), .blob(tokenHash),
                .time(bounds.staysUnused ? SQLStore.lasting : now))
            try transaction.append(event, limits: limits)
            guard let registered = try transaction.client(client.id) else { throw .corrupt("an inserted client is gone") }
            return .registered(registered)
        }
    }

    package func registration(_ client: Identifier) async throws(StoreError) -> (client: Client, tokenHash: [UInt8])? {
        let rows = try await database.query(
            """
            SELECT \(qualified(clientColumns, "c")), r.token_hash FROM clients c JOIN registrations r ON r.client_uid = c.uid
            WHERE c.id = ?1 AND c.deleted = 0
            """, [.id(client)])
        guard let row = rows.first else { return nil }
        return (try row.client(), try row.blob(7))
    }

    package func changeRegistration(
        _ client: ClientDefinition, uid: Identifier, tokenHash: [UInt8], event: AuditEvent
    ) async throws(StoreError) -> Bool {
        let limits = limits
        let definition = SQLValue.json(ResourceJSON.encode(client))
        return try await write { (transaction) throws(StoreError) in
            guard let before = try transaction.client(client.id), before.uid == uid else { return false }
            let hasChanged = try transaction.execute(
                "UPDATE registrations SET token_hash = ?1 WHERE client_uid = ?2", .blob(tokenHash), .id(uid))
            guard hasChanged == 1 else { return false }
            try transaction.execute("UPDATE clients SET definition = ?1 WHERE id = ?2", definition, .id(client.id))
            let old = before.definition
            if !old.scopes.isSubset(of: client.scopes) || !Set(old.grants).isSubset(of: client.grants) {
                try transaction.raiseEpoch(ofClient: client.id, at: event.at, margin: limits.revocationMargin)
            }
            try transaction.append(event, limits: limits)
            try transaction.raiseResourcesVersion()
            return true
        }
    }

    package func deleteRegistration(
        _ client: Identifier, uid: Identifier, at now: Instant, event: AuditEvent
    ) async throws(StoreError) -> Bool {
        let limits = limits
        return try await write { (transaction) throws(StoreError) in
            guard let before = try transaction.client(client), before.uid == uid else { return false }
            guard try transaction.execute("DELETE FROM registrations WHERE client_uid = ?1", .id(uid)) == 1 else { return false }
            try transaction.endEverything(ofClient: client, uid: uid, at: now, margin: limits.revocationMargin)
            try transaction.execute("DELETE FROM consents WHERE client_uid = ?1", .id(uid))
            // Its row goes too: what anybody may make must leave nothing behind.
            try transaction.execute("DELETE FROM clients WHERE id = ?1", .id(client))
            try transaction.append(event, limits: limits)
            try transaction.raiseResourcesVersion()
            return true
        }
    }
}
