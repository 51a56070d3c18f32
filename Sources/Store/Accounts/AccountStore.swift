package import AuthCore

/// A person who can sign in.
package struct Account: Sendable {
    /// Random, never reused: the `sub` of tokens (OpenID Connect Core §8).
    package let id: Identifier
    package let username: String
    package let email: String?
    package let passwordHash: Secret<String>?
    package let isDisabled: Bool
    /// Tokens that carry a lower one are revoked.
    package let epoch: Int64
    package let roles: [Identifier]
    package let managedBy: ManagedBy
    package let createdAt: Instant

    package init(
        id: Identifier, username: String, email: String?, passwordHash: Secret<String>?, isDisabled: Bool, epoch: Int64,
        roles: [Identifier], managedBy: ManagedBy, createdAt: Instant
    ) {
        self.id = id
        self.username = username
        self.email = email
        self.passwordHash = passwordHash
        self.isDisabled = isDisabled
        self.epoch = epoch
        self.roles = roles
        self.managedBy = managedBy
        self.createdAt = createdAt
    }
}

/// What is needed to make an account. The canonical forms are the unique keys (IN-01).
package struct NewAccount: Sendable {
    package var username: String
    package var canonicalUsername: Identifier
    package var email: String?
    package var canonicalEmail: Identifier?
    package var passwordHash: Secret<String>?
    package var roles: [Identifier]
    package var managedBy: ManagedBy

    package init(
        username: String, canonicalUsername: Identifier, email: String? = nil, canonicalEmail: Identifier? = nil,
        passwordHash: Secret<String>? = nil, roles: [Identifier] = [], managedBy: ManagedBy = .api
    ) {
        self.username = username
        self.canonicalUsername = canonicalUsername
        self.email = email
        self.canonicalEmail = canonicalEmail
        self.passwordHash = passwordHash
        self.roles = roles
        self.managedBy = managedBy
    }
}

package enum CreateAccountOutcome: Sendable {
    case created(Account)
    /// Another account holds the canonical user name or e-mail address.
    case taken
}

/// Whose hand disabled something. A file does not bring back what an operator has disabled.
package enum DisabledBy: Int64, Sendable { case file = 1, operatorsHand = 2 }

package enum AccountChange: Sendable {
    /// Every session and grant ends.
    case password(Secret<String>)
    case disabled(by: DisabledBy)
    /// Undoes what the same hand, or a weaker one, has disabled.
    case enabled(by: DisabledBy)
    /// Taking a role away raises the epoch; the grants stay and give narrower tokens.
    case roles([Identifier])
    case deleted
}

/// The accounts. Every method is one transaction; each change that narrows or ends something appends its
/// revocations in the same transaction, and the replica of this process knows them before the method returns.
package protocol AccountStore: Sendable {
    /// - Returns: `.taken` when a canonical form exists; of racing callers one gets `.created`.
    func createAccount(_ account: NewAccount, event: AuditEvent) async throws(StoreError) -> CreateAccountOutcome

    /// The account whose canonical user name, or else canonical e-mail address, is one of these.
    func account(canonicalName: Identifier, canonicalEmail: Identifier?) async throws(StoreError) -> Account?

    func account(id: Identifier) async throws(StoreError) -> Account?

    /// In the order of their user names, from `after` on; at most `limit` (1…1 000).
    func accounts(after: Identifier?, limit: Int) async throws(StoreError) -> [Account]

    /// - Returns: Whether the account exists.
    func change(_ account: Identifier, _ change: AccountChange, event: AuditEvent) async throws(StoreError) -> Bool

    /// Puts `new` in the place of `old`, and does nothing when the hash is no longer `old`. Ends no session.
    func upgradePasswordHash(of account: Identifier, from old: Secret<String>, to new: Secret<String>) async throws(StoreError)
}
