package import AuthCore
package import Store

extension SQLStore {
    package func register(
        _ client: ClientDefinition, secretHash: [UInt8]?, tokenHash: [UInt8], at now: Instant, event: AuditEvent
    ) async throws(StoreError) -> Client? {
        let (uid, limits) = (newIdentifier(), limits)
        let definition = SQLValue.json(ResourceJSON.encode(client))
        return try await write { (transaction) throws(StoreError) in
            let inserted = try transaction.execute(
                """
                INSERT INTO clients (id, uid, definition, secrets, disabled, deleted, epoch, managed_by)
                VALUES (?1, ?2, ?3, ?4, 0, 0, 1, 'api') ON CONFLICT DO NOTHING
                """,
                .id(client.id), .id(uid), definition, .list(secretHash.map { [Base64URL.encode($0)] } ?? []))
            guard inserted == 1 else { return nil }
            try transaction.execute(
                "INSERT INTO registrations (client_uid, token_hash, created_ms) VALUES (?1, ?2, ?3)", .id(uid), .blob(tokenHash), .time(now)
            )
            try transaction.append(event, limits: limits)
            try transaction.raiseResourcesVersion()
            return try transaction.client(client.id)
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
                try transaction.raiseEpoch(ofClient: client.id, uid: uid, at: event.at, margin: limits.revocationMargin)
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
