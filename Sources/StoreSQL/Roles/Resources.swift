internal import AuthCore
package import Store

/// What stands in `definitions`, by its kind.
private enum DefinitionKind: String, CaseIterable { case resource, role, route }

extension SQLTransaction {
    /// - Parameters:
    ///   - managedBy: Nothing means: whoever made it.
    ///   - disabled: Whether to read what is in force, or what is disabled.
    fileprivate func document(managedBy: ManagedBy?, disabled: Bool = false) throws(StoreError) -> ResourceDocument {
        var document = ResourceDocument()
        let manager: SQLValue = .text(managedBy?.rawValue)
        // What an operator disabled (2) is none of the files' business: to them it is in force.
        let state = disabled ? "disabled = 1" : "disabled <> 1"
        let definitions = try query(
            "SELECT kind, definition FROM definitions WHERE \(state) AND (managed_by = ?1 OR ?1 IS NULL) ORDER BY kind, name", manager
        )
        for row in definitions {
            switch DefinitionKind(rawValue: try row.text(0)) {
            case .resource: document.resources.append(try row.definition(1, ResourceJSON.decodeResource))
            case .role: document.roles.append(try row.definition(1, ResourceJSON.decodeRole))
            case .route: document.routes.append(try row.definition(1, ResourceJSON.decodeRoute))
            case nil: throw .corrupt("definitions.kind")
            }
        }
        let clients = try query(
            """
            SELECT definition FROM clients
            WHERE deleted = 0 AND \(state) AND managed_by <> 'built_in' AND (managed_by = ?1 OR ?1 IS NULL) ORDER BY id
            """,
            manager
        )
        for row in clients { document.clients.append(try row.definition(0, ResourceJSON.decodeClient)) }
        guard managedBy != nil else { return document }
        let accounts = try query(
            "SELECT username, email, roles FROM accounts WHERE \(state) AND managed_by = ?1 ORDER BY canonical_username", manager
        )
        for row in accounts {
            var user = UserDefinition(username: try row.text(0))
            user.email = try row.optionalText(1)
            user.roles = try row.identifiers(2)
            document.users.append(user)
        }
        return document
    }
}

extension ResourceDocument {
    /// The names of everything in it.
    fileprivate var names: Set<ResourceName> {
        var names = Set(resources.map { ResourceName(.resource, $0.id) })
        names.formUnion(roles.map { ResourceName(.role, $0.name) })
        names.formUnion(routes.map { ResourceName(.route, Identifier($0.name)) })
        names.formUnion(clients.map { ResourceName(.client, $0.id) })
        names.formUnion(users.map { ResourceName(.user, Identifier($0.username)) })
        return names
    }

    fileprivate func joined(with other: ResourceDocument) -> ResourceDocument {
        var document = self
        document.resources += other.resources
        document.roles += other.roles
        document.routes += other.routes
        document.clients += other.clients
        document.users += other.users
        return document
    }
}

extension SQLStore {
    /// Users are left out: there may be millions.
    package func resources() async throws(StoreError) -> StoredResources {
        try await read { (transaction) throws(StoreError) in
            StoredResources(document: try transaction.document(managedBy: nil), version: try transaction.resourcesVersion())
        }
    }

    package func difference(to wanted: ResourceDocument, prune: Bool) async throws(StoreError) -> [ResourceChange] {
        try await read { (transaction) throws(StoreError) in try transaction.difference(to: wanted, prune: prune) }
    }

    package func appliedDigest() async throws(StoreError) -> [UInt8]? {
        try await read { (transaction) throws(StoreError) in
            try transaction.query("SELECT value FROM meta WHERE name = 'applied_digest'").first?.blob(0)
        }
    }

    package func apply(_ request: ApplyRequest, event: AuditEvent) async throws(StoreError) -> ApplyOutcome {
        let limits = limits
        let (userIDs, clientUIDs) = (request.wanted.users.map { _ in newIdentifier() }, request.wanted.clients.map { _ in newIdentifier() })
        let onResources = onResources
        // What was not ended when they were disabled must not come to life with them.
        for uid in try await disabledClients(of: request.wanted) { while try await !endGrants(ofClient: uid, at: event.at) {} }
        return try await write(committed: { (outcome: (ApplyOutcome, StoredResources?)) in
            if let stored = outcome.1 { onResources(stored) }
        }) { (transaction) throws(StoreError) -> (ApplyOutcome, StoredResources?) in
            // One at a time, on all nodes together: this row is always there, and nobody else locks it.
            _ = try transaction.query("SELECT name FROM meta WHERE name = 'store_id'\(transaction.dialect.lockingClause)")
            let stored = try transaction.document(managedBy: .file)
            let changes = try transaction.difference(to: request.wanted, prune: request.prune)
            let applying = Applying(transaction: transaction, request: request, now: event.at, margin: limits.revocationMargin)
            let conflicts = try applying.conflicts()
            guard conflicts.isEmpty else { return (.conflict(conflicts), nil) }
            try applying.definitions(.resource, stored.resources, request.wanted.resources, name: \.id.text, encode: ResourceJSON.encode)
            try applying.narrowRoles(stored.roles)
            try applying.definitions(.role, stored.roles, request.wanted.roles, name: \.name.text, encode: ResourceJSON.encode)
            try applying.definitions(.route, stored.routes, request.wanted.routes, name: \.name, encode: ResourceJSON.encode)
            try applying.clients(stored.clients, uids: clientUIDs)
            try applying.users(ids: userIDs)
            try transaction.execute(
                "INSERT INTO meta (name, value) VALUES ('applied_digest', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1",
                .blob(request.digest)
            )
            if !changes.isEmpty { try transaction.append(event, limits: limits) }
            let document = try transaction.document(managedBy: nil)
            let version = changes.isEmpty ? try transaction.resourcesVersion() : try transaction.raiseResourcesVersion()
            return (.applied(changes), StoredResources(document: document, version: version))
        }.0
    }

    /// Of the clients that a file wants, those that a file has disabled.
    private func disabledClients(of wanted: ResourceDocument) async throws(StoreError) -> [Identifier] {
        let names = Set(wanted.clients.map(\.id))
        var uids: [Identifier] = []
        for row in try await database.query("SELECT id, uid FROM clients WHERE managed_by = 'file' AND disabled = 1 AND deleted = 0", [])
        where names.contains(try row.identifier(0)) { uids.append(try row.identifier(1)) }
        return uids
    }
}

extension SQLTransaction {
    fileprivate func difference(to wanted: ResourceDocument, prune: Bool) throws(StoreError) -> [ResourceChange] {
        let disabled = try document(managedBy: .file, disabled: true)
        let stored = try document(managedBy: .file).joined(with: disabled)
        return ResourceDifference.between(stored: stored, wanted: wanted, prune: prune, disabled: disabled.names)
    }
}

/// One run of `apply` inside its transaction.
private struct Applying {
    let transaction: SQLTransaction
    let request: ApplyRequest
    let now: Instant
    let margin: Duration

    /// What exists already and was not made by files: `apply` does not take it over.
    func conflicts() throws(StoreError) -> [String] {
        var conflicts: [String] = []
        for user in request.wanted.users {
            guard let canonical = request.canonicalNames[Identifier(user.username)] else { throw .corrupt("no canonical name was given") }
            let rows = try transaction.query(
                "SELECT username, canonical_username FROM accounts WHERE managed_by <> 'file' AND (canonical_username = ?1 OR canonical_email = ?2)",
                .id(canonical.username), .id(canonical.email)
            )
            if !rows.isEmpty { conflicts.append("user \(user.username) exists and was not made by a file") }
        }
        var names: [(DefinitionKind, String)] = request.wanted.resources.map { (.resource, $0.id.text) }
        names += request.wanted.roles.map { (.role, $0.name.text) }
        names += request.wanted.routes.map { (.route, $0.name) }
        for (kind, name) in names {
            let rows = try transaction.query(
                "SELECT 1 FROM definitions WHERE kind = ?1 AND name = ?2 AND managed_by <> 'file'", .text(kind.rawValue), .text(name)
            )
            if !rows.isEmpty { conflicts.append("\(kind.rawValue) \(name) exists and was not made by a file") }
        }
        for client in request.wanted.clients {
            let rows = try transaction.query("SELECT 1 FROM clients WHERE id = ?1 AND deleted = 0 AND managed_by <> 'file'", .id(client.id))
            if !rows.isEmpty { conflicts.append("client \(client.id) exists and was not made by a file") }
        }
        return conflicts
    }

    func definitions<Definition: Equatable>(
        _ kind: DefinitionKind, _ stored: [Definition], _ wanted: [Definition], name: KeyPath<Definition, String>,
        encode: (Definition) -> JSONValue
    ) throws(StoreError) {
        let names = Set(wanted.map { Identifier($0[keyPath: name]) })
        if request.prune {
            for row in try transaction.query("SELECT name FROM definitions WHERE kind = ?1 AND managed_by = 'file'", .text(kind.rawValue)) {
                let stored = try row.text(0)
                if names.contains(Identifier(stored)) { continue }
                try transaction.execute("DELETE FROM definitions WHERE kind = ?1 AND name = ?2", .text(kind.rawValue), .text(stored))
            }
        }
        for definition in stored where !names.contains(Identifier(definition[keyPath: name])) {
            try transaction.execute(
                "UPDATE definitions SET disabled = 1 WHERE kind = ?1 AND name = ?2 AND managed_by = 'file'",
                .text(kind.rawValue), .text(definition[keyPath: name])
            )
        }
        for definition in wanted where !stored.contains(definition) {
            try transaction.execute(
                """
                INSERT INTO definitions (kind, name, definition, disabled, managed_by) VALUES (?1, ?2, ?3, 0, 'file')
                ON CONFLICT (kind, name) DO UPDATE SET definition = ?3, disabled = 0, managed_by = 'file'
                """,
                .text(kind.rawValue), .text(definition[keyPath: name]), .text(String(decoding: encode(definition).encoded, as: UTF8.self))
            )
        }
    }

    /// A role that loses a scope, or goes, narrows what its accounts' tokens rest on.
    func narrowRoles(_ stored: [RoleDefinition]) throws(StoreError) {
        for role in stored {
            let left = request.wanted.roles.first { $0.name == role.name }?.scopes ?? .none
            if role.scopes.isSubset(of: left) { continue }
            for row in try transaction.query("SELECT id, roles FROM accounts WHERE roles <> '[]'")
            where try row.identifiers(1).contains(role.name) {
                try transaction.raiseEpoch(ofAccount: try row.identifier(0), at: now, margin: margin)
            }
        }
    }

    func clients(_ stored: [ClientDefinition], uids: [Identifier]) throws(StoreError) {
        let wanted = request.wanted.clients
        for client in stored where !wanted.contains(where: { $0.id == client.id }) {
            guard let row = try transaction.client(client.id) else { continue }
            try transaction.endEverything(ofClient: row.id, uid: row.uid, at: now, margin: margin)
            if request.prune { try transaction.execute("DELETE FROM consents WHERE client_uid = ?1", .id(row.uid)) }
            let state = request.prune ? "deleted = 1" : "disabled = CASE WHEN disabled = 2 THEN 2 ELSE 1 END"
            try transaction.execute("UPDATE clients SET \(state) WHERE id = ?1", .id(row.id))
        }
        if request.prune {
            // Those that an earlier apply disabled.
            for row in try transaction.query("SELECT id, uid FROM clients WHERE managed_by = 'file' AND disabled = 1 AND deleted = 0") {
                let id = try row.identifier(0)
                if wanted.contains(where: { $0.id == id }) { continue }
                try transaction.execute("DELETE FROM consents WHERE client_uid = ?1", .id(try row.identifier(1)))
                try transaction.execute("UPDATE clients SET deleted = 1 WHERE id = ?1", .id(id))
            }
        }
        for (client, uid) in zip(wanted, uids) {
            let definition = SQLValue.text(String(decoding: ResourceJSON.encode(client).encoded, as: UTF8.self))
            guard let row = try transaction.client(client.id) else {
                try insert(client, uid: uid, definition: definition)
                continue
            }
            if row.definition == client, !row.isDisabled { continue }
            // Another apply may have disabled it since this one looked: what was left of it must not come to life.
            if row.isDisabled, try !transaction.query("SELECT 1 FROM clients WHERE id = ?1 AND disabled = 1", .id(row.id)).isEmpty,
                try !transaction.endEverything(ofClient: row.id, uid: row.uid, at: now, margin: margin)
            {
                throw .overloaded
            }
            try transaction.execute(
                "UPDATE clients SET definition = ?1, disabled = CASE WHEN disabled = 2 THEN 2 ELSE 0 END WHERE id = ?2", definition,
                .id(client.id))
            let narrows = !row.definition.scopes.isSubset(of: client.scopes) || !Set(row.definition.grants).isSubset(of: client.grants)
            if narrows { try transaction.raiseEpoch(ofClient: row.id, at: now, margin: margin) }
        }
    }

    /// A client that was deleted left its row behind: the new one has another uid and a higher epoch, so nothing of the
    /// old one works for it.
    private func insert(_ client: ClientDefinition, uid: Identifier, definition: SQLValue) throws(StoreError) {
        try transaction.execute(
            """
            INSERT INTO clients (id, uid, definition, secrets, disabled, deleted, epoch, managed_by) VALUES (?1, ?2, ?3, ?4, 0, 0, 1, 'file')
            ON CONFLICT (id) DO UPDATE SET uid = ?2, definition = ?3, secrets = ?4, disabled = 0, deleted = 0, epoch = clients.epoch + 1,
                managed_by = 'file'
            """,
            .id(client.id), .id(uid), definition, .list(request.secretHashes[client.id].map { [Base64URL.encode($0)] } ?? [])
        )
    }

    func users(ids: [Identifier]) throws(StoreError) {
        var wantedNames = Set<Identifier>()
        for (user, id) in zip(request.wanted.users, ids) {
            guard let canonical = request.canonicalNames[Identifier(user.username)] else { throw .corrupt("no canonical name was given") }
            wantedNames.insert(canonical.username)
            try put(user, canonical: canonical, id: id)
        }
        let rows = try transaction.query(
            "SELECT id, canonical_username FROM accounts WHERE managed_by = 'file' AND (disabled = 0 OR ?1 = 1)", .flag(request.prune))
        for row in rows where !wantedNames.contains(try row.identifier(1)) {
            let change: AccountChange = request.prune ? .deleted : .disabled(by: .file)
            _ = try transaction.apply(change, to: try row.identifier(0), at: now, margin: margin)
        }
    }

    private func put(_ user: UserDefinition, canonical: (username: Identifier, email: Identifier?), id: Identifier) throws(StoreError) {
        let rows = try transaction.query("SELECT id FROM accounts WHERE canonical_username = ?1", .id(canonical.username))
        guard let existing = try rows.first?.identifier(0) else {
            var account = NewAccount(username: user.username, canonicalUsername: canonical.username)
            account.email = user.email
            account.canonicalEmail = canonical.email
            account.passwordHash = request.passwordHashes[canonical.username]
            account.roles = user.roles
            account.managedBy = .file
            guard try transaction.insert(account, id: id, at: now) != nil else {
                throw .corrupt("two users of the files have the same e-mail address")
            }
            return
        }
        guard let before = try transaction.lockedAccount(existing) else { return }
        if before.isDisabled { _ = try transaction.apply(.enabled(by: .file), to: existing, at: now, margin: margin) }
        if before.roles != user.roles { _ = try transaction.apply(.roles(user.roles), to: existing, at: now, margin: margin) }
        if before.email != user.email {
            try transaction.execute(
                "UPDATE accounts SET email = ?1, canonical_email = ?2 WHERE id = ?3", .text(user.email), .id(canonical.email), .id(existing)
            )
        }
    }
}
