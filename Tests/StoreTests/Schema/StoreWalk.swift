import AuthCore
import Store
import Testing

extension TestStore {
    /// Calls every method of `Store`, on whatever is stored already, and expects each to do its work.
    ///
    /// - Parameter name: Of the person, client and key that it makes; another one at each walk through one store.
    func walk(_ name: String) async throws {
        try await walkAccounts(name)
        try await walkResources(name)
        try await walkRest(name)
        try await walkAuthorizations(name)
        try await walkParked(name)
    }

    private func walkAccounts(_ name: String) async throws {
        let account = try await account(name)
        #expect(try await store.account(id: account.id)?.username == name)
        #expect(try await store.account(canonicalName: Identifier(name), canonicalEmail: nil)?.id == account.id)
        #expect(try await store.account(canonicalName: "nobody", canonicalEmail: Identifier("\(name)@example.com"))?.id == account.id)
        #expect(try await store.accounts(after: nil, limit: 1_000).contains { $0.id == account.id })
        try await store.upgradePasswordHash(of: account.id, from: Secret("hash"), to: Secret("other"))
        let (first, grant) = try await openSession(account)
        guard case .refreshed = try await refresh(grant, 1) else { throw StoreError.corrupt("no refresh") }
        #expect(try await store.grant(grant.id)?.rotation.current == 2)
        #expect(try await store.sessions(of: account.id, at: now).map(\.id) == [first.id])
        #expect(try await store.end(first.id, owner: account.id, at: now, event: event(.sessionEnded)))
        let (_, second) = try await openSession(account)
        #expect(try await store.revoke(second.id, at: now, event: event(.signOut)))
        _ = try await openSession(account)
        try await store.endAll(of: account.id, at: now, event: event(.signOut))
        for change: AccountChange in [
            .roles([]), .disabled(by: .operatorsHand), .enabled(by: .operatorsHand), .password(Secret("third")), .deleted,
        ] {
            #expect(try await store.change(account.id, change, event: event()))
        }
        #expect(try await store.account(id: account.id) == nil)
    }

    private func walkResources(_ name: String) async throws {
        var document = ResourceDocument()
        var (user, client) = (UserDefinition(username: "file-\(name)"), ClientDefinition(id: Identifier("client-\(name)")))
        (user.email, user.roles) = ("file-\(name)@example.com", [Identifier("role-\(name)")])
        client.grants = [.login, .refreshToken]
        client.scopes = ScopeSet(["orders:read", "orders:write"])
        var (resource, role) = (ResourceDefinition(id: Identifier("api-\(name)")), RoleDefinition(name: Identifier("role-\(name)")))
        resource.scopes = ScopeSet(["orders:read"])
        role.scopes = ScopeSet(["orders:read"])
        (document.users, document.clients, document.resources, document.roles) = ([user], [client], [resource], [role])
        document.routes = [RouteDefinition(name: "route-\(name)", path: "/\(name)", upstreams: ["http://127.0.0.1:1"])]
        try await apply(document)
        #expect(try await store.difference(to: document, prune: false).isEmpty)
        #expect(try await store.appliedDigest() == [1, 2, 3])
        #expect(try await store.resources().document.routes.map(\.name) == ["route-\(name)"])
        let account = try #require(try await store.account(canonicalName: Identifier("file-\(name)"), canonicalEmail: nil))
        _ = try await openSession(account, client: client.id)
        #expect(try await store.addClientSecret(client.id, hash: [9], event: event(.clientChanged)))
        for isDisabled in [true, false] {
            #expect(try await store.setClientDisabled(client.id, isDisabled, event: event(.clientChanged)))
        }
        #expect(try await store.clients().contains { $0.id == client.id })
        // Narrower, other, gone but kept, back, gone for good, back with another uid.
        document.roles[0].scopes = .none
        document.clients[0].scopes = ScopeSet(["orders:read"])
        (document.users[0].roles, document.users[0].email) = ([], nil)
        try await apply(document)
        try await apply(ResourceDocument())
        try await apply(document)
        try await apply(ResourceDocument())
        try await apply(ResourceDocument(), prune: true)
        try await apply(document)
        try await apply(ResourceDocument(), prune: true)
        #expect(try await store.client(client.id) == nil)
    }

    private func apply(_ document: ResourceDocument, prune: Bool = false) async throws {
        var names: [Identifier: (username: Identifier, email: Identifier?)] = [:]
        for user in document.users { names[Identifier(user.username)] = (Identifier(user.username), user.email.map { Identifier($0) }) }
        let request = ApplyRequest(
            wanted: document, prune: prune, passwordHashes: names.mapValues { _ in Secret("hash") }, secretHashes: [:],
            canonicalNames: names,
            digest: [1, 2, 3])
        guard case .applied = try await store.apply(request, event: event(.resourcesApplied)) else {
            throw StoreError.corrupt("a conflict")
        }
    }

    private func walkRest(_ name: String) async throws {
        let identity = try await store.identity()
        try await store.claim(masterKeyCheck: [4, 5])
        try await store.probe()
        let start = try await store.revocationSnapshot().position
        try await store.revokeToken(Identifier("jti-\(name)"), until: now + .seconds(60), event: event(.tokenRevoked))
        let batch = try #require(try await store.revocations(after: start, limit: 10))
        #expect(batch.records.map(\.id) == [Identifier("jti-\(name)")])
        let key = SigningKeyRecord(
            id: Identifier("key-\(name)"), algorithm: "ES256", state: .revoked, publicJWK: "{}", sealedPrivateKey: [1, 0, 255],
            publishedAt: now)
        #expect(try await store.changeSigningKeys(event: event(.keysChanged)) { keys, _ in keys + [key] }.contains { $0.id == key.id })
        #expect(try await store.signingKeys().first { $0.id == key.id }?.sealedPrivateKey == [1, 0, 255])
        let (moment, id) = (now, Identifier("throttle-\(name)"))
        for expected in [nil, Int64(1)] {
            let found = try await store.throttle([id]) { records in
                defer { records[0] = ThrottleRecord(failures: 1, windowStartedAt: moment, blockedUntil: moment) }
                return records[0]?.failures
            }
            #expect(found == expected)
        }
        try await store.throttle([id]) { $0[0] = nil }
        for _ in 0..<8 { try await store.append(event()) }
        #expect(try await store.events(before: nil, limit: 8, account: nil).count == 8)
        _ = try await store.events(before: 1, limit: 8, account: Identifier(name))
        #expect(try await store.identity().id == identity.id)
    }
}

@Suite("Contract: every method, one after the other")
struct WalkContract {
    @Test("each does its work, twice on one store", arguments: StoreKind.drivers)
    func walk(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        try await test.walk("alice")
        try await test.walk("bob")
    }
}
