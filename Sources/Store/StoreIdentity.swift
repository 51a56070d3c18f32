package import AuthCore

/// Which store this is, and which master key it belongs to.
package struct StoreIdentity: Sendable {
    /// Random, made with the store.
    package var id: Identifier
    /// A value that only the right master key computes from `id`; nothing before the first start.
    package var masterKeyCheck: [UInt8]?

    package init(id: Identifier, masterKeyCheck: [UInt8]?) {
        self.id = id
        self.masterKeyCheck = masterKeyCheck
    }
}

/// Everything persisted, as one value for the composition root. Consumers take the roles they need.
package protocol Store: AccountStore, ThrottleStore, ClientStore, ResourceStore, SessionStore, GrantStore, RevocationStore, SigningKeyStore,
    AuditStore, NodeStore, AuthorizationStore, BrowserSessionStore, ConsentStore, ParkedStore, SpentStore, LogoutStore, RegistrationStore
{
    func identity() async throws(StoreError) -> StoreIdentity
    /// Remembers the check value; nothing happens when one is there already.
    func claim(masterKeyCheck: [UInt8]) async throws(StoreError)
    /// 32 random bytes that are made when they are first asked for, and stay as long as the store.
    func lastingSecret(_ name: String) async throws(StoreError) -> [UInt8]
    /// Whether a write would succeed now.
    func probe() async throws(StoreError)
}
