package import AuthCore
package import Store

/// Which scopes there are, which resource owns each, and which a role grants. An immutable snapshot of the resources.
package struct ScopeCatalogue: Sendable {
    /// Gatehouse's own API as a resource; it is never combined with another audience.
    package static let ownResource: Identifier = "gatehouse"
    package static let accountScope: Identifier = "gatehouse:account"
    package static let adminScope: Identifier = "gatehouse:admin"
    /// Of clients that read the event stream of revocations.
    package static let revocationsScope: Identifier = "gatehouse:revocations"
    /// Of the gateways that are told keys and routes by the same stream.
    package static let gatewayScope: Identifier = "gatehouse:gateway"
    /// What the resource `gatehouse` owns.
    package static let ownScopes = [accountScope, adminScope, revocationsScope, gatewayScope]
    /// Scopes of OpenID Connect Core §5.4 and §11: no resource owns them.
    package static let identityScopes = ScopeSet(["openid", "profile", "email", "offline_access"])

    private let owners: [Identifier: Identifier]
    private let roleScopes: [Identifier: ScopeSet]
    private let resources: [Identifier: ResourceDefinition]
    /// The number of the stored state that this was made from; −1 for none.
    package let version: Int64

    package init(_ document: ResourceDocument = ResourceDocument(), version: Int64 = -1) {
        self.version = version
        var owners: [Identifier: Identifier] = [:]
        for scope in ScopeCatalogue.ownScopes { owners[scope] = ScopeCatalogue.ownResource }
        var resources: [Identifier: ResourceDefinition] = [:]
        for resource in document.resources {
            resources[resource.id] = resource
            for scope in resource.scopes { owners[scope] = resource.id }
        }
        self.owners = owners
        self.resources = resources
        self.roleScopes = Dictionary(document.roles.map { ($0.name, $0.scopes) }) { first, _ in first }
    }

    package func owner(of scope: Identifier) -> Identifier? { owners[scope] }

    /// For people: what is asked for, by what it belongs to. Scopes that no resource owns come first; the others in the order that they
    /// were asked for in.
    package func asked(_ scope: ScopeSet) -> [AskedScopes] {
        var groups: [AskedScopes] = []
        let ofPerson = scope.filter { owners[$0] == nil }
        if !ofPerson.isEmpty { groups.append(AskedScopes(resource: nil, scopes: ofPerson.map { ($0, nil) })) }
        for name in scope {
            guard let owner = owners[name] else { continue }
            let resource = resources[owner] ?? ResourceDefinition(id: owner)
            let scope = (name, resource.scopeDescriptions[name])
            if let index = groups.firstIndex(where: { $0.resource?.id == owner }) {
                groups[index].scopes.append(scope)
            } else {
                groups.append(AskedScopes(resource: resource, scopes: [scope]))
            }
        }
        return groups
    }

    /// Those of OpenID Connect and of the resources, in the order of their names; not Gatehouse's own.
    package var allScopes: [Identifier] {
        Array(ScopeCatalogue.identityScopes) + owners.filter { $0.value != ScopeCatalogue.ownResource }.map(\.key).sorted()
    }

    package func isKnown(_ scope: Identifier) -> Bool { owners[scope] != nil || ScopeCatalogue.identityScopes.contains(scope) }

    package func isResource(_ id: Identifier) -> Bool { id == ScopeCatalogue.ownResource || resources[id] != nil }

    /// What the resources with these names ask for in their tokens, beside what every token says. Of two rules for one claim that of the
    /// first resource counts.
    package func claims(
        _ audiences: [Identifier], of account: Account?, scope: ScopeSet
    ) -> [(name: String, value: JSONValue)] {
        var claims: [(name: String, value: JSONValue)] = []
        for resource in audiences.compactMap({ resources[$0] }) {
            for claim in resource.claims.claims(of: account, scope: scope) {
                if !claims.contains(where: { $0.name.isSameBytes(as: claim.name) }) { claims.append(claim) }
            }
            if resource.wantsRoles, let account, !claims.contains(where: { $0.name.isSameBytes(as: "roles") }) {
                claims.append(("roles", .array(account.roles.map { .string($0.text) })))
            }
        }
        return claims
    }

    /// Everything that the roles grant, in the order of the roles.
    package func scopes(ofRoles roles: [Identifier]) -> ScopeSet {
        roles.reduce(.none) { $0.union(roleScopes[$1] ?? .none) }
    }
}

/// The scopes of one resource that somebody is asked for, each with what the operator says of it.
package struct AskedScopes: Sendable {
    /// Nothing for the scopes of OpenID Connect.
    package let resource: ResourceDefinition?
    package fileprivate(set) var scopes: [(name: Identifier, description: String?)]
}

/// What a token may carry: the outcome of asking.
package struct GrantedAccess: Sendable, Equatable {
    package var scope: ScopeSet
    /// Never empty: a token without `aud` is refused everywhere, so it is the issuer when no scope was granted.
    package var audiences: [Identifier]

    package init(scope: ScopeSet, audiences: [Identifier]) {
        self.scope = scope
        self.audiences = audiences
    }
}

/// Decides what an account gets through a client (RFC 6749 §3.3, RFC 8707).
package struct ScopePolicy: Sendable {
    package let issuer: Identifier
    package let catalogue: ScopeCatalogue

    package init(issuer: Identifier, catalogue: ScopeCatalogue) {
        self.issuer = issuer
        self.catalogue = catalogue
    }

    /// - Parameters:
    ///   - requested: Nothing means: all that the account's roles grant, except Gatehouse's own.
    ///   - audiences: The resources asked for; empty means those that own the granted scopes.
    package func grant(
        requested: ScopeSet?, audiences: [Identifier], roles: [Identifier], client: Client
    ) throws(OAuthError) -> GrantedAccess {
        try grant(requested: requested, audiences: audiences, of: allowed(roles: roles, client: client))
    }

    /// What an account may give to a client that asks for it with a browser: without a scope in the request, all that the client may have.
    package func grant(
        asked scope: ScopeSet?, resources: [Identifier], of account: Account, client: Client
    ) throws(OAuthError) -> GrantedAccess {
        var access = try grant(
            requested: scope ?? client.definition.scopes, audiences: resources, roles: account.roles, client: client)
        // Without it in the request a refresh token ends with the session (OpenID Connect Core §11).
        if scope == nil { access.scope = access.scope.subtracting(ScopeSet(["offline_access"])) }
        return access
    }

    /// What a client gets for itself (RFC 6749 §4.4). Scopes of people mean nothing for it.
    ///
    /// - Parameter requested: Nothing means: all that it may have, except Gatehouse's own.
    package func grant(
        requested: ScopeSet?, audiences: [Identifier], toItself client: Client
    ) throws(OAuthError) -> GrantedAccess {
        let people = ScopeCatalogue.identityScopes.union(ScopeSet([ScopeCatalogue.accountScope]))
        let allowed = ScopeSet(client.definition.scopes.filter { catalogue.owner(of: $0) != nil }).subtracting(people)
        return try grant(requested: requested, audiences: audiences, of: allowed)
    }

    private func grant(requested: ScopeSet?, audiences: [Identifier], of allowed: ScopeSet) throws(OAuthError) -> GrantedAccess {
        for audience in audiences where !catalogue.isResource(audience) {
            throw OAuthError(.invalidTarget, .audienceUnknown, "The audience \"\(audience)\" is no resource.")
        }
        var scope: ScopeSet
        if let requested {
            for name in requested where !catalogue.isKnown(name) {
                throw OAuthError(.invalidScope, .scopeUnknown, "The scope \"\(name)\" does not exist.")
            }
            scope = requested.intersection(allowed)
        } else {
            scope = ScopeSet(allowed.filter { catalogue.owner(of: $0).map { $0 != ScopeCatalogue.ownResource } ?? false })
        }
        if !audiences.isEmpty { scope = owned(by: audiences, of: scope) }
        if let requested, !requested.isEmpty, scope.isEmpty {
            throw OAuthError(.invalidScope, .scopeNotGranted, "None of the requested scopes is granted to this account and client.")
        }
        let owners = audiencesOwning(scope)
        for audience in audiences where !owners.contains(audience) {
            throw OAuthError(
                .invalidTarget, .audienceNotGranted, "Nothing of the audience \"\(audience)\" is granted to this account and client."
            )
        }
        return try access(scope: scope)
    }

    /// The scopes that one of these resources owns, and those that none does.
    private func owned(by audiences: [Identifier], of scope: ScopeSet) -> ScopeSet {
        ScopeSet(scope.filter { name in catalogue.owner(of: name).map { audiences.contains($0) } ?? true })
    }

    /// What a refresh gives: what the grant had, as far as it is still allowed. Narrowing shows here, widening never does.
    package func refreshed(scope: ScopeSet, roles: [Identifier], client: Client) throws(OAuthError) -> GrantedAccess {
        try access(scope: scope.intersection(allowed(roles: roles, client: client)))
    }

    /// The same for a part of it that was asked for (RFC 6749 §6, RFC 8707 §2.2).
    ///
    /// - Throws: As `RequestedAccess.check`, and `invalid_target` for a resource of which nothing is left.
    package func refreshed(
        _ grant: Grant, for requested: RequestedAccess, roles: [Identifier], client: Client
    ) throws(OAuthError) -> GrantedAccess {
        try requested.check(against: grant)
        var scope = (requested.scope ?? grant.scope).intersection(allowed(roles: roles, client: client))
        if !requested.resources.isEmpty { scope = owned(by: requested.resources, of: scope) }
        let owners = audiencesOwning(scope)
        for resource in requested.resources where !owners.contains(resource) {
            throw OAuthError(.invalidTarget, .audienceNotGranted, "Nothing of the resource \"\(resource)\" is granted any more.")
        }
        return try access(scope: scope)
    }

    /// What a token becomes when it is exchanged (RFC 8693 §2.1): a part of what it has, for resources that the client's policy names.
    ///
    /// - Parameters:
    ///   - held: What the subject token has.
    ///   - roles: Nothing for a client's own token.
    /// - Throws: `invalid_scope`, `invalid_target` for what it cannot become. Scopes of OpenID Connect and Gatehouse's own never pass on.
    package func exchanged(
        _ held: GrantedAccess, requested: ScopeSet?, audiences: [Identifier], roles: [Identifier]?, client: Client
    ) throws(OAuthError) -> GrantedAccess {
        for audience in audiences where !catalogue.isResource(audience) {
            throw OAuthError(.invalidTarget, .audienceUnknown, "The audience \"\(audience)\" is no resource.")
        }
        let targets = client.definition.metadata.exchangeAudiences.map { Identifier($0) }.filter { $0 != ScopeCatalogue.ownResource }
        for audience in audiences where !targets.contains(audience) {
            throw OAuthError(
                .invalidTarget, .exchangeTargetNotAllowed, "This client may not exchange tokens for the audience \"\(audience)\".")
        }
        let mine = roles.map { allowed(roles: $0, client: client) } ?? client.definition.scopes
        let reachable = ScopeSet(
            held.scope.intersection(mine).filter { name in
                guard let owner = catalogue.owner(of: name), held.audiences.contains(owner) else { return false }
                return (audiences.isEmpty ? targets : audiences).contains(owner)
            })
        if let requested, !requested.isSubset(of: reachable) {
            throw OAuthError(
                .invalidScope, .scopeNotGranted, "A scope was asked for that the subject token, the client or the audience does not have.")
        }
        let scope = requested ?? reachable
        let owners = audiencesOwning(scope)
        guard !owners.isEmpty, audiences.allSatisfy(owners.contains) else {
            throw OAuthError(
                .invalidTarget, .audienceNotGranted, "The subject token has nothing for this audience that the client may have.")
        }
        return GrantedAccess(scope: scope, audiences: owners)
    }

    private func allowed(roles: [Identifier], client: Client) -> ScopeSet {
        let byRoles = catalogue.scopes(ofRoles: roles).union(ScopeCatalogue.identityScopes).union(ScopeSet([ScopeCatalogue.accountScope]))
        return client.managedBy == .builtIn ? byRoles : byRoles.intersection(client.definition.scopes)
    }

    private func audiencesOwning(_ scope: ScopeSet) -> [Identifier] {
        var owners: [Identifier] = []
        for name in scope { if let owner = catalogue.owner(of: name), !owners.contains(owner) { owners.append(owner) } }
        return owners
    }

    private func access(scope: ScopeSet) throws(OAuthError) -> GrantedAccess {
        let owners = audiencesOwning(scope)
        if owners.contains(ScopeCatalogue.ownResource), owners.count > 1 {
            throw OAuthError(
                .invalidScope, .scopeMixesGatehouse,
                "Gatehouse's own scopes cannot be combined with those of another resource in one token."
            )
        }
        return GrantedAccess(scope: scope, audiences: owners.isEmpty ? [issuer] : owners)
    }
}

/// The policy in force, from a state of the resources that is at least as new as a transaction has seen.
package struct ScopePolicies: Sendable {
    /// The scopes, roles and resources in force, from a state that is at least as new as this number.
    package typealias CatalogueSource = @Sendable (_ version: Int64) async throws(StoreError) -> ScopeCatalogue

    private let issuer: Identifier
    private let catalogue: CatalogueSource

    package init(issuer: Identifier, catalogue: @escaping CatalogueSource) {
        self.issuer = issuer
        self.catalogue = catalogue
    }

    /// Whether there are such scopes and resources, and some of the scopes are this client's. What is granted of them is decided when it is
    /// known who signs in.
    package func checked(
        _ scope: ScopeSet?, resources: [Identifier], for client: Client
    ) async throws(OAuthError) -> ScopeSet? {
        let catalogue = try await policy(atLeast: 0).catalogue
        for resource in resources where !catalogue.isResource(resource) {
            throw OAuthError(.invalidTarget, .audienceUnknown, "The resource \"\(resource)\" does not exist.")
        }
        guard var scope else { return nil }
        // Passed over, and missing in what was granted (OpenID Connect Core §3.1.2.1).
        if scope.contains("openid") { scope = ScopeSet(scope.values.filter { catalogue.isKnown($0) }) }
        for name in scope where !catalogue.isKnown(name) {
            throw OAuthError(.invalidScope, .scopeUnknown, "The scope \"\(name)\" does not exist.")
        }
        if !scope.isEmpty, scope.intersection(client.definition.scopes).isEmpty {
            throw OAuthError(.invalidScope, .scopeNotGranted, "This client may have none of these scopes.")
        }
        return scope
    }

    package func policy(atLeast version: Int64) async throws(OAuthError) -> ScopePolicy {
        do { return ScopePolicy(issuer: issuer, catalogue: try await catalogue(version)) } catch { throw OAuthError(storeError: error) }
    }
}
