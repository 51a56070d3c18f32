package import AuthCore

/// What `apply` needs beside the document: what takes time is done before the transaction.
package struct ApplyRequest: Sendable {
    package var wanted: ResourceDocument
    package var prune: Bool
    /// Password hashes for accounts that do not exist yet, by canonical user name.
    package var passwordHashes: [Identifier: Secret<String>]
    /// HMACs of initial client secrets, by `client_id`.
    package var secretHashes: [Identifier: [UInt8]]
    /// Canonical forms of every user in `wanted`, by user name as written.
    package var canonicalNames: [Identifier: (username: Identifier, email: Identifier?)]
    /// The digest of the files, remembered so that unchanged files do nothing at start.
    package var digest: [UInt8]

    package init(
        wanted: ResourceDocument, prune: Bool, passwordHashes: [Identifier: Secret<String>], secretHashes: [Identifier: [UInt8]],
        canonicalNames: [Identifier: (username: Identifier, email: Identifier?)], digest: [UInt8]
    ) {
        self.wanted = wanted
        self.prune = prune
        self.passwordHashes = passwordHashes
        self.secretHashes = secretHashes
        self.canonicalNames = canonicalNames
        self.digest = digest
    }
}

package enum ApplyOutcome: Sendable {
    case applied([ResourceChange])
    /// A user or a client of the files exists already and is not managed by files.
    case conflict([String])
}

/// Resources, roles and routes, and the bringing of everything stored to what files say.
/// Resources, roles, routes and clients as they are stored, and the number of this state.
package struct StoredResources: Sendable {
    package var document: ResourceDocument
    package var version: Int64

    package init(document: ResourceDocument, version: Int64) {
        self.document = document
        self.version = version
    }
}

package protocol ResourceStore: Sendable {
    /// Everything in force that `apply` manages and that is not disabled, whoever made it.
    func resources() async throws(StoreError) -> StoredResources
    /// What `apply` would change; nothing is written.
    func difference(to wanted: ResourceDocument, prune: Bool) async throws(StoreError) -> [ResourceChange]
    /// The digest given with the last apply; nothing before the first.
    func appliedDigest() async throws(StoreError) -> [UInt8]?
    /// All or nothing, in one transaction.
    func apply(_ request: ApplyRequest, event: AuditEvent) async throws(StoreError) -> ApplyOutcome
}
