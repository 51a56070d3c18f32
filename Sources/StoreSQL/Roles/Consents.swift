package import AuthCore
package import Store

private let columns = "account_id, client_uid, client_id, scope, details, granted_ms"

extension SQLRow {
    fileprivate func consent() throws(StoreError) -> Consent {
        guard let details = (try? JSONReader.read(try text(4)))?.array else { throw .corrupt("consents.details") }  // said here
        return Consent(
            accountID: try identifier(0), clientUID: try identifier(1), clientID: try identifier(2), scope: try scope(3), details: details,
            grantedAt: try instant(5))
    }
}

extension SQLTransaction {
    func remember(_ consent: Consent) throws(StoreError) {
        try execute(
            """
            INSERT INTO consents (\(columns)) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT (account_id, client_uid) DO UPDATE SET scope = ?4, details = ?5, granted_ms = ?6
            """,
            .id(consent.accountID), .id(consent.clientUID), .id(consent.clientID), .text(consent.scope.description),
            .json(.array(consent.details)), .time(consent.grantedAt))
    }
}

extension SQLStore {
    package func consent(of account: Identifier, clientUID: Identifier) async throws(StoreError) -> Consent? {
        let sql = "SELECT \(columns) FROM consents WHERE account_id = ?1 AND client_uid = ?2"
        return try await database.query(sql, [.id(account), .id(clientUID)]).first?.consent()
    }

    package func consents(of account: Identifier) async throws(StoreError) -> [Consent] {
        let sql = "SELECT \(columns) FROM consents WHERE account_id = ?1 ORDER BY granted_ms DESC, client_id LIMIT 200"
        var consents: [Consent] = []
        for row in try await database.query(sql, [.id(account)]) { consents.append(try row.consent()) }
        return consents
    }

    package func withdrawConsent(
        of account: Identifier, client: Identifier, at now: Instant, event: AuditEvent
    ) async throws(StoreError) -> Bool {
        let limits = limits
        return try await write { (transaction) throws(StoreError) in
            guard try transaction.lockedAccount(account) != nil else { return false }
            let forgotten = try transaction.execute(
                "DELETE FROM consents WHERE account_id = ?1 AND client_id = ?2", .id(account), .id(client))
            let rows = try transaction.query(
                "SELECT id FROM grants WHERE account_id = ?1 AND client_id = ?2 AND revoked_ms IS NULL AND binding IS NOT NULL",
                .id(account), .id(client))
            for row in rows { try transaction.revokeGrants("id", try row.identifier(0), at: now, margin: limits.revocationMargin) }
            if forgotten == 0, rows.isEmpty { return false }
            try transaction.append(event, limits: limits)
            return true
        }
    }
}
