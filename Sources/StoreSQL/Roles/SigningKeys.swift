internal import AuthCore
package import Store

extension SQLTransaction {
    fileprivate func signingKeys(locked: Bool) throws(StoreError) -> [SigningKeyRecord] {
        var keys: [SigningKeyRecord] = []
        let rows = try query(
            """
            SELECT id, algorithm, state, public_jwk, sealed_private, published_ms, activated_ms, published_until_ms
            FROM signing_keys ORDER BY published_ms, id\(locked ? dialect.lockingClause : "")
            """
        )
        for row in rows {
            guard let state = SigningKeyRecord.State(rawValue: try row.text(2)) else { throw .corrupt("signing_keys.state") }
            keys.append(
                SigningKeyRecord(
                    id: try row.identifier(0), algorithm: try row.text(1), state: state, publicJWK: try row.text(3),
                    sealedPrivateKey: try row.blob(4), publishedAt: try row.instant(5), activatedAt: try row.optionalInstant(6),
                    publishedUntil: try row.optionalInstant(7)
                )
            )
        }
        return keys
    }

    fileprivate func put(_ key: SigningKeyRecord) throws(StoreError) {
        try execute(
            """
            INSERT INTO signing_keys (id, algorithm, state, public_jwk, sealed_private, published_ms, activated_ms, published_until_ms)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
            ON CONFLICT (id) DO UPDATE SET state = ?3, sealed_private = ?5, published_ms = ?6, activated_ms = ?7, published_until_ms = ?8
            """,
            .id(key.id), .text(key.algorithm), .text(key.state.rawValue), .text(key.publicJWK), .blob(key.sealedPrivateKey),
            .time(key.publishedAt), .time(key.activatedAt), .time(key.publishedUntil)
        )
    }
}

extension SQLStore {
    package func signingKeys() async throws(StoreError) -> [SigningKeyRecord] {
        try await read { (transaction) throws(StoreError) in try transaction.signingKeys(locked: false) }
    }

    package func changeSigningKeys(
        event: AuditEvent?,
        _ plan: @escaping @Sendable (_ keys: [SigningKeyRecord], _ areAcknowledged: Bool) -> [SigningKeyRecord]
    ) async throws(StoreError) -> [SigningKeyRecord] {
        let limits = limits
        return try await write { (transaction) throws(StoreError) in
            // One writer at a time plans: the feed's row is the lock, because a table without keys has no row to lock.
            try transaction.execute("UPDATE feed SET sequence = sequence WHERE id = 1")
            let before = try transaction.signingKeys(locked: true)
            let after = plan(before, try transaction.keysAreAcknowledged())
            for key in after { try transaction.put(key) }
            for key in after where key.state == .revoked && before.first(where: { $0.id == key.id })?.state != .revoked {
                // For ever: nothing else tells that a signature by this key means nothing.
                transaction.revoke(RevocationRecord(kind: .key, id: key.id, until: Instant(milliseconds: .max)))
            }
            if after != before { try transaction.raiseKeysVersion() }
            if let event, after != before { try transaction.append(event, limits: limits) }
            return after
        }
    }
}
