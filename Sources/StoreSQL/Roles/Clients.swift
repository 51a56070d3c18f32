package import AuthCore
package import Store
internal import Synchronization

/// Definitions as they were read last, by their text: each refresh reads its client's, which seldom changes.
private let readDefinitions = Mutex<[Identifier: ClientDefinition]>([:])
private let readDefinitionsMax = 256

let clientColumns = "uid, id, definition, secrets, disabled, epoch, managed_by"

extension SQLRow {
    func client() throws(StoreError) -> Client {
        guard let managedBy = ManagedBy(rawValue: try text(6)) else { throw .corrupt("clients.managed_by") }
        var secrets: [[UInt8]] = []
        for secret in try list(3) {
            guard let bytes = Base64URL.decode(secret) else { throw .corrupt("clients.secrets") }
            secrets.append(bytes)
        }
        return Client(
            uid: try identifier(0), id: try identifier(1), definition: try clientDefinition(2), secretHashes: secrets,
            isDisabled: try flag(4), epoch: try int(5), managedBy: managedBy
        )
    }

    private func clientDefinition(_ column: Int) throws(StoreError) -> ClientDefinition {
        let text = try identifier(column)
        if let definition = readDefinitions.withLock({ $0[text] }) { return definition }
        let definition = try definition(column, ResourceJSON.decodeClient)
        readDefinitions.withLock { read in
            if read.count >= readDefinitionsMax { read = [:] }
            read[text] = definition
        }
        return definition
    }

    /// A definition that was stored as JSON.
    func definition<Definition>(_ column: Int, _ decode: (JSONValue) -> Definition?) throws(StoreError) -> Definition {
        guard let value = (try? JSONReader.read(try text(column))), let definition = decode(value) else {  // said below
            throw .corrupt("column \(column) is no definition")
        }
        return definition
    }
}

extension SQLTransaction {
    /// The client when it exists and is neither disabled nor deleted.
    func liveClient(_ id: Identifier) throws(StoreError) -> Client? {
        try query("SELECT \(clientColumns) FROM clients WHERE id = ?1 AND deleted = 0 AND disabled = 0", .id(id)).first?.client()
    }

    /// Raises the client's epoch and says so in the log.
    func raiseEpoch(ofClient id: Identifier, at now: Instant, margin: Duration) throws(StoreError) {
        guard let row = try query("UPDATE clients SET epoch = epoch + 1 WHERE id = ?1 RETURNING epoch", .id(id)).first else { return }
        // No access token lives longer than a day. Nobody looks at the client's grants for it: there may be millions.
        revoke(RevocationRecord(kind: .client, id: id, epoch: try row.int(0), until: now + .seconds(86_400) + margin))
    }

    /// Revokes what the client holds: each of its tokens, and as many of its grants as one transaction should.
    ///
    /// - Returns: Whether that were all. Nobody can use the others while the client is disabled or deleted; before it works again,
    ///   `SQLStore.endGrants` ends them.
    @discardableResult
    func endEverything(ofClient id: Identifier, uid: Identifier, at now: Instant, margin: Duration) throws(StoreError) -> Bool {
        try raiseEpoch(ofClient: id, at: now, margin: margin)
        let most = SQLStore.grantsAtOnce
        return try revokeGrants("client_uid", uid, atMost: most, at: now, margin: margin) < most
    }

    /// Ends some of the grants of a client that does not work. Nothing of them stands in the log of revocations: that the client has ended
    /// does. A grant that this sees began before the client was seen to be disabled: both are of one state.
    ///
    /// - Returns: How many.
    fileprivate func endGrants(ofClient uid: Identifier, at now: Instant) throws(StoreError) -> Int {
        try execute(
            """
            UPDATE grants SET revoked_ms = ?1, expires_ms = token_until_ms WHERE id IN (
                SELECT id FROM grants WHERE client_uid = ?2 AND revoked_ms IS NULL LIMIT ?3\(dialect.lockingClause))
                AND NOT EXISTS (SELECT 1 FROM clients WHERE uid = ?2 AND disabled = 0 AND deleted = 0)
            """,
            .time(now), .id(uid), .int(Int64(SQLStore.grantsAtOnce)))
    }

    func client(_ id: Identifier) throws(StoreError) -> Client? {
        try query("SELECT \(clientColumns) FROM clients WHERE id = ?1 AND deleted = 0\(dialect.lockingClause)", .id(id)).first?.client()
    }
}

extension SQLStore {
    package func client(_ id: Identifier) async throws(StoreError) -> Client? {
        try await database.query("SELECT \(clientColumns) FROM clients WHERE id = ?1 AND deleted = 0", [.id(id)]).first?.client()
    }

    package func clients() async throws(StoreError) -> [Client] {
        try await read { (transaction) throws(StoreError) in
            var clients: [Client] = []
            for row in try transaction.query("SELECT \(clientColumns) FROM clients WHERE deleted = 0 ORDER BY id LIMIT 10000") {
                clients.append(try row.client())
            }
            return clients
        }
    }

    package func setClientDisabled(_ id: Identifier, _ isDisabled: Bool, event: AuditEvent) async throws(StoreError) -> Bool {
        let limits = limits
        // What was not ended when it was disabled must not come to life with it.
        if !isDisabled, let client = try await client(id), client.isDisabled, try await !endGrants(ofClient: client.uid, at: event.at) {
            throw .overloaded
        }
        return try await write { (transaction) throws(StoreError) in
            guard let client = try transaction.client(id) else { return false }
            try transaction.execute(
                "UPDATE clients SET disabled = ?1 WHERE id = ?2", .int(isDisabled ? DisabledBy.operatorsHand.rawValue : 0), .id(id))
            // Also when it is enabled again: a sign-in that was under way when it was disabled may have left a grant.
            if isDisabled != client.isDisabled,
                try !transaction.endEverything(ofClient: id, uid: client.uid, at: event.at, margin: limits.revocationMargin), !isDisabled
            {
                throw .overloaded
            }
            try transaction.append(event, limits: limits)
            try transaction.raiseResourcesVersion()
            return true
        }
    }

    /// Ends what is left of the grants of a client that does not work, some in each transaction, for `StoreLimits.endingTimeMax`.
    ///
    /// - Returns: Whether none is left.
    func endGrants(ofClient uid: Identifier, at now: Instant) async throws(StoreError) -> Bool {
        let start = environment.uptime()
        repeat {
            let count = try await write { (transaction) throws(StoreError) in try transaction.endGrants(ofClient: uid, at: now) }
            if count < SQLStore.grantsAtOnce { return true }
        } while environment.uptime() - start < limits.endingTimeMax
        return false
    }

    package func addClientSecret(_ id: Identifier, hash: [UInt8], event: AuditEvent) async throws(StoreError) -> Bool {
        let limits = limits
        return try await write { (transaction) throws(StoreError) in
            guard let client = try transaction.client(id), !client.definition.isPublic else { return false }
            let kept = ([hash] + client.secretHashes.prefix(1)).map { Base64URL.encode($0) }
            try transaction.execute("UPDATE clients SET secrets = ?1 WHERE id = ?2", .list(kept), .id(id))
            try transaction.append(event, limits: limits)
            try transaction.raiseResourcesVersion()
            return true
        }
    }
}
