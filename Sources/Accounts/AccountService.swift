package import AuthCore
package import Store

/// The canonical forms of an account's names: its unique keys (IN-01).
package struct AccountNames: Sendable {
    package let username: Identifier
    package let email: Identifier?

    /// - Throws: Why the user name or the e-mail address is not allowed.
    package init(username: String, email: String?) throws(IdentifierRefusal) {
        self.username = try Canonical.username(username)
        var canonicalEmail: Identifier?
        if let email { canonicalEmail = try Canonical.email(email) }
        self.email = canonicalEmail
    }
}

/// Making and changing accounts: names, password policy, hashing, then the store.
package struct AccountService: Sendable {
    private let store: any AccountStore
    private let hashing: PasswordHashing

    package enum Failure: Error, Sendable, Equatable {
        case taken
        /// A slug of docs/errors.md.
        case invalid(String)
        case overloaded
        case store(StoreError)
    }

    package struct New: Sendable {
        package var username: String
        package var email: String?
        package var password: Secret<String>?
        package var roles: [Identifier]

        package init(username: String, email: String?, password: Secret<String>?, roles: [Identifier]) {
            self.username = username
            self.email = email
            self.password = password
            self.roles = roles
        }
    }

    package init(store: any AccountStore, hashing: PasswordHashing) {
        self.store = store
        self.hashing = hashing
    }

    /// The account that somebody means by this name or e-mail address, however it is spelt.
    package func find(_ name: String) async throws(StoreError) -> Account? {
        guard let names = Canonical.signInName(name) else { return nil }
        return try await store.account(canonicalName: names.username, canonicalEmail: names.email)
    }

    package func create(_ new: New, event: AuditEvent) async throws(Failure) -> Account {
        let names: AccountNames
        do { names = try AccountNames(username: new.username, email: new.email) } catch { throw .invalid(error.rawValue) }
        guard Canonical.isUsername(names.username, allowedWith: names.email) else { throw .invalid("username_is_another_email") }
        var account = NewAccount(
            username: new.username, canonicalUsername: names.username, email: new.email, canonicalEmail: names.email, roles: new.roles
        )
        if let password = new.password { account.passwordHash = try await hash(password, new.username, new.email) }
        let outcome: CreateAccountOutcome
        do { outcome = try await store.createAccount(account, event: event) } catch { throw .store(error) }
        switch outcome {
        case .created(let created): return created
        case .taken: throw .taken
        }
    }

    /// Every session of the account ends.
    package func setPassword(_ password: Secret<String>, of account: Account, event: AuditEvent) async throws(Failure) {
        let hash = try await hash(password, account.username, account.email)
        do { _ = try await store.change(account.id, .password(hash), event: event) } catch { throw .store(error) }
    }

    private func hash(_ password: Secret<String>, _ username: String, _ email: String?) async throws(Failure) -> Secret<String> {
        do { return try await hashing.hash(password, username: username, email: email) } catch {
            switch error {
            case .refused(let refusal): throw .invalid(refusal.rawValue)
            case .overloaded, .unavailable: throw .overloaded
            }
        }
    }
}
