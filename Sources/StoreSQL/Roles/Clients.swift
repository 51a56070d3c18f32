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
    func raiseEpoch(ofClient id: Identifier, uid: Identifier, at now: Instant, margin: Duration) throws(StoreError) {
        guard let row = try query("UPDATE clients SET epoch = epoch + 1 WHERE id = ?1 RETURNING epoch", .id(id)).first else { return }
        // Tokens of client_credentials have no grant: the longest access token still out is covered by a day.
        let until = max(try tokensUntil("client_uid", uid, at: now), now + .seconds(86_400)) + margin
        revoke(RevocationRecord(kind: .client, id: id, epoch: try row.int(0), until: until))
    }

    /// Revokes what the client holds.
    func endEverything(ofClient id: Identifier, uid: Identifier, at now: Instant, margin: Duration) throws(StoreError) {
        try raiseEpoch(ofClient: id, uid: uid, at: now, margin: margin)
        try revokeGrants("client_uid", uid, at: now, margin: margin)
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
        return try await write { (transaction) throws(StoreError) in
            guard let client = try transaction.client(id) else { return false }
            try transaction.execute(
                "UPDATE clients SET disabled = ?1 WHERE id = ?2", .int(isDisabled ? DisabledBy.operatorsHand.rawValue : 0), .id(id))
            // Also when it is enabled again: a sign-in that was under way when it was disabled may have left a grant.
            if isDisabled != client.isDisabled {
                try transaction.endEverything(ofClient: id, uid: client.uid, at: event.at, margin: limits.revocationMargin)
            }
            try transaction.append(event, limits: limits)
            try transaction.raiseResourcesVersion()
            return true
        }
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
