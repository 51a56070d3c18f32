package import AuthCore

/// A program that gets tokens (RFC 6749 §2).
package struct Client: Sendable {
    /// Random, never reused: a client that is deleted and made again under the same `client_id` is another one.
    package let uid: Identifier
    /// The `client_id`.
    package let id: Identifier
    package let definition: ClientDefinition
    /// HMACs of the secrets in force; several while one is being rotated.
    package let secretHashes: [[UInt8]]
    package let isDisabled: Bool
    /// Tokens that carry a lower one are revoked.
    package let epoch: Int64
    package let managedBy: ManagedBy

    package init(
        uid: Identifier, id: Identifier, definition: ClientDefinition, secretHashes: [[UInt8]], isDisabled: Bool, epoch: Int64,
        managedBy: ManagedBy
    ) {
        self.uid = uid
        self.id = id
        self.definition = definition
        self.secretHashes = secretHashes
        self.isDisabled = isDisabled
        self.epoch = epoch
        self.managedBy = managedBy
    }

    /// The built-in public client of `/login`.
    package static let builtInID: Identifier = "gatehouse"
}

/// The clients. Disabling or deleting one revokes its grants; taking scopes away raises its epoch.
package protocol ClientStore: Sendable {
    func client(_ id: Identifier) async throws(StoreError) -> Client?
    func clients() async throws(StoreError) -> [Client]
    /// - Returns: Whether the client exists.
    func setClientDisabled(_ id: Identifier, _ isDisabled: Bool, event: AuditEvent) async throws(StoreError) -> Bool
    /// Puts `hash` beside the newest secret in force, which stays valid until the next call.
    func addClientSecret(_ id: Identifier, hash: [UInt8], event: AuditEvent) async throws(StoreError) -> Bool
}
