package import AuthCore
package import Store

let accountColumns = "id, username, email, password_hash, disabled, epoch, roles, managed_by, created_ms"

extension SQLRow {
    /// The columns of `accounts` from `first` on.
    func account() throws(StoreError) -> Account {
        guard let managedBy = ManagedBy(rawValue: try text(7)) else { throw .corrupt("accounts.managed_by") }
        return Account(
            id: try identifier(0), username: try text(1), email: try optionalText(2), passwordHash: try optionalText(3).map { Secret($0) },
            isDisabled: try flag(4), epoch: try int(5), roles: try identifiers(6), managedBy: managedBy, createdAt: try instant(8)
        )
    }
}

extension SQLTransaction {
    /// The account, locked until the transaction ends: an invariant over several rows of an account first takes this.
    func lockedAccount(_ id: Identifier) throws(StoreError) -> Account? {
        try query("SELECT \(accountColumns) FROM accounts WHERE id = ?1\(dialect.lockingClause)", .id(id)).first?.account()
    }

    /// The account of a grant, locked as by `lockedAccount`.
    func lockedAccount(ofGrant id: Identifier) throws(StoreError) -> Account? {
        try query(
            "SELECT \(accountColumns) FROM accounts WHERE id = (SELECT account_id FROM grants WHERE id = ?1)\(dialect.lockingClause)",
            .id(id)
        ).first?.account()
    }

    /// Raises the account's epoch and says so in the log: every token that carries a lower one is revoked.
    func raiseEpoch(ofAccount id: Identifier, at now: Instant, margin: Duration) throws(StoreError) {
        let rows = try query("UPDATE accounts SET epoch = epoch + 1 WHERE id = ?1 RETURNING epoch", .id(id))
        guard let row = rows.first else { return }
        let until = try tokensUntil("account_id", id, at: now) + margin
        for subject in [id] + (try pairwiseSubjects(ofAccount: id, at: now, margin: margin)) {
            revoke(RevocationRecord(kind: .account, id: subject, epoch: try row.int(0), until: until))
        }
    }

    /// The other subjects in tokens of the account that may be valid still.
    private func pairwiseSubjects(ofAccount id: Identifier, at now: Instant, margin: Duration) throws(StoreError) -> [Identifier] {
        let rows = try query(
            "SELECT binding FROM grants WHERE account_id = ?1 AND token_until_ms > ?2 AND binding IS NOT NULL", .id(id), .time(now - margin)
        )
        var subjects = Set<Identifier>()
        for row in rows { if let subject = try row.binding(0)?.subject { subjects.insert(subject) } }
        return subjects.sorted()
    }

    /// When the last access token of the grants under `column` expires.
    func tokensUntil(_ column: String, _ id: Identifier, at now: Instant) throws(StoreError) -> Instant {
        let rows = try query("SELECT MAX(token_until_ms) FROM grants WHERE \(column) = ?1", .id(id))
        return max(now, try rows.first?.optionalInstant(0) ?? now)
    }

    func insert(_ account: NewAccount, id: Identifier, at now: Instant) throws(StoreError) -> Account? {
        let inserted = try execute(
            """
            INSERT INTO accounts (id, username, canonical_username, email, canonical_email, password_hash, disabled, epoch, roles,
                managed_by, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 1, ?7, ?8, ?9) ON CONFLICT DO NOTHING
            """,
            .id(id), .text(account.username), .id(account.canonicalUsername), .text(account.email), .id(account.canonicalEmail),
            .text(account.passwordHash?.exposed), .list(account.roles.map(\.text)), .text(account.managedBy.rawValue), .time(now)
        )
        return inserted == 0 ? nil : try lockedAccount(id)
    }

    /// - Returns: Whether the account exists.
    func apply(_ change: AccountChange, to id: Identifier, at now: Instant, margin: Duration) throws(StoreError) -> Bool {
        guard let account = try lockedAccount(id) else { return false }
        switch change {
        case .password(let hash):
            try execute("UPDATE accounts SET password_hash = ?1 WHERE id = ?2", .text(hash.exposed), .id(id))
            // Whoever sets a new password is no longer held back by the failures with the old one.
            try execute(
                "DELETE FROM throttles WHERE name = ?1 OR name = ?2 OR (name >= ?3 AND name < ?4)",
                .text("account:\(id)"), .text("reserve:\(id)"), .text("known:\(id):"), .text("known:\(id);")
            )
            try endEverything(ofAccount: id, at: now, margin: margin)
        case .disabled(let by):
            try execute("UPDATE accounts SET disabled = ?1 WHERE id = ?2 AND disabled < ?1", .int(by.rawValue), .id(id))
            if !account.isDisabled { try endEverything(ofAccount: id, at: now, margin: margin) }
        case .enabled(let by):
            try execute("UPDATE accounts SET disabled = 0 WHERE id = ?1 AND disabled <= ?2", .id(id), .int(by.rawValue))
        case .roles(let roles):
            try execute("UPDATE accounts SET roles = ?1 WHERE id = ?2", .list(roles.map(\.text)), .id(id))
            if !Set(account.roles).isSubset(of: roles) { try raiseEpoch(ofAccount: id, at: now, margin: margin) }
        case .deleted:
            try endEverything(ofAccount: id, at: now, margin: margin)
            try execute("DELETE FROM consents WHERE account_id = ?1", .id(id))
            try execute("DELETE FROM accounts WHERE id = ?1", .id(id))
        }
        return true
    }
}

extension SQLStore {
    package func createAccount(_ account: NewAccount, event: AuditEvent) async throws(StoreError) -> CreateAccountOutcome {
        let id = newIdentifier()
        let limits = limits
        return try await write { (transaction) throws(StoreError) in
            guard let created = try transaction.insert(account, id: id, at: event.at) else { return .taken }
            var event = event
            event.accountID = id
            try transaction.append(event, limits: limits)
            return .created(created)
        }
    }

    package func account(canonicalName: Identifier, canonicalEmail: Identifier?) async throws(StoreError) -> Account? {
        try await read { (transaction) throws(StoreError) in
            if let row = try transaction.query("SELECT \(accountColumns) FROM accounts WHERE canonical_username = ?1", .id(canonicalName))
                .first
            {
                return try row.account()
            }
            guard let canonicalEmail else { return nil }
            return try transaction.query("SELECT \(accountColumns) FROM accounts WHERE canonical_email = ?1", .id(canonicalEmail)).first?
                .account()
        }
    }

    package func account(id: Identifier) async throws(StoreError) -> Account? {
        try await database.query("SELECT \(accountColumns) FROM accounts WHERE id = ?1", [.id(id)]).first?.account()
    }

    package func accounts(after: Identifier?, limit: Int) async throws(StoreError) -> [Account] {
        try await read { (transaction) throws(StoreError) in
            var accounts: [Account] = []
            let rows = try transaction.query(
                "SELECT \(accountColumns) FROM accounts WHERE canonical_username > ?1 ORDER BY canonical_username LIMIT ?2",
                .text(after?.text ?? ""), .int(Int64(min(max(limit, 1), 1_000)))
            )
            for row in rows { accounts.append(try row.account()) }
            return accounts
        }
    }

    package func change(_ account: Identifier, _ change: AccountChange, event: AuditEvent) async throws(StoreError) -> Bool {
        let limits = limits
        return try await write { (transaction) throws(StoreError) in
            guard try transaction.apply(change, to: account, at: event.at, margin: limits.revocationMargin) else { return false }
            try transaction.append(event, limits: limits)
            return true
        }
    }

    package func upgradePasswordHash(of account: Identifier, from old: Secret<String>, to new: Secret<String>) async throws(StoreError) {
        try await write { (transaction) throws(StoreError) in
            try transaction.execute(
                "UPDATE accounts SET password_hash = ?1 WHERE id = ?2 AND password_hash = ?3",
                .text(new.exposed), .id(account), .text(old.exposed)
            )
        }
    }
}
