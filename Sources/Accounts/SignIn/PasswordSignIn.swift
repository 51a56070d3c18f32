package import AuthCore
package import Store

/// Signing in with user name and password: the try is counted in the store, then hashed on the bounded pool, then handed to
/// the state machine of the sign-in.
package struct PasswordSignIn: Sendable {
    package typealias Stores = AccountStore & ThrottleStore & AuditStore

    private let store: any Stores
    private let hashing: PasswordHashing
    private let lockout: LockoutPolicy
    private let log: Log

    package init(store: any Stores, hashing: PasswordHashing, lockout: LockoutPolicy, log: Log) {
        self.store = store
        self.hashing = hashing
        self.lockout = lockout
        self.log = log
    }

    package struct Attempt: Sendable {
        package var username: String
        package var password: Secret<String>
        /// The socket's peer, or the client that a trusted proxy names.
        package var source: PeerAddress
        package var clientID: Identifier
        package var traceID: String

        package init(username: String, password: Secret<String>, source: PeerAddress, clientID: Identifier, traceID: String) {
            self.username = username
            self.password = password
            self.source = source
            self.clientID = clientID
            self.traceID = traceID
        }
    }

    package enum Outcome: Sendable {
        case proved(Account, SessionAssurance)
        /// The slug is for the operator; every such refusal looks the same outside.
        case refused(String)
        /// Not evaluated: too many failures before this one.
        case throttled(Duration)
        /// Not evaluated: too many hashes wait.
        case overloaded(Duration)
        case unavailable(StoreError)
    }

    /// How long a source that may not try any more is told to wait.
    private static let exhaustedWait = Duration.seconds(900)

    package func attempt(_ attempt: Attempt, at now: Instant) async -> Outcome {
        do throws(StoreError) {
            let account = try await find(attempt.username)
            let keys = keys(attempt, account)
            let verdict = try await count(keys, at: now)
            let ticket: LockoutPolicy.Ticket
            switch verdict {
            case .allowed(let allowed): ticket = allowed
            case .delayed(let until): return .throttled(until - now)
            case .exhausted: return .throttled(PasswordSignIn.exhaustedWait)
            }
            let lockout = lockout
            let verification: PasswordHashing.Verification
            do {
                verification = try await hashing.verify(
                    attempt.password, against: account?.isDisabled == false ? account?.passwordHash : nil)
            } catch {
                try await store.throttle(keys) { records in lockout.notEvaluated(ticket, &records, at: now) }
                guard case .overloaded(let wait) = error else { return .overloaded(.seconds(1)) }
                return .overloaded(wait)
            }
            return try await conclude(attempt, account, verification, (keys, ticket), at: now)
        } catch {
            return .unavailable(error)
        }
    }

    private func find(_ name: String) async throws(StoreError) -> Account? {
        guard let names = Canonical.signInName(name) else { return nil }
        return try await store.account(canonicalName: names.username, canonicalEmail: names.email)
    }

    /// An unknown name is throttled by its canonical form, so that it behaves like a known one.
    private func keys(_ attempt: Attempt, _ account: Account?) -> [Identifier] {
        let name = Canonical.signInName(attempt.username)?.username ?? Identifier(hexadecimal(TokenHash(of: attempt.username.utf8).bytes))
        return LockoutKeys(subject: account?.id ?? name, source: attempt.source.throttleKey).keys
    }

    private func count(_ keys: [Identifier], at now: Instant) async throws(StoreError) -> LockoutPolicy.Verdict {
        let lockout = lockout
        return try await store.throttle(keys) { records in lockout.attempt(&records, at: now) }
    }

    private func conclude(
        _ attempt: Attempt, _ account: Account?, _ verification: PasswordHashing.Verification,
        _ counted: (keys: [Identifier], ticket: LockoutPolicy.Ticket), at now: Instant
    ) async throws(StoreError) -> Outcome {
        let (lockout, ticket) = (lockout, counted.ticket)
        guard case .right(let upgraded) = verification, let account, !account.isDisabled else {
            try await store.throttle(counted.keys) { records in lockout.failed(ticket, &records, at: now) }
            let reason = account.map { $0.isDisabled ? "account_disabled" : "password_wrong" } ?? "account_unknown"
            try await store.append(
                AuditEvent(
                    .signInRefused, at: now, accountID: account?.id, clientID: attempt.clientID, source: attempt.source.description,
                    reason: reason, traceID: attempt.traceID
                )
            )
            return .refused(reason)
        }
        var signIn = SignInState(
            account: account.id, accountEpoch: account.epoch, goal: .login(JSONObject()), enrolled: [.password], requested: .oneFactor,
            validity: (now, SignInState.lifetimeMax)
        )
        guard case .done(let assurance) = signIn.apply(.proved(FactorProof(factor: .password, amr: ["pwd"], at: now)), at: now) else {
            return .refused("sign_in_incomplete")
        }
        try await store.throttle(counted.keys) { records in lockout.succeeded(ticket, &records, at: now) }
        if let upgraded, let old = account.passwordHash {
            try await store.upgradePasswordHash(of: account.id, from: old, to: upgraded)
            log(.info, "password_hash_upgraded", [("account", account.id.text), ("trace_id", attempt.traceID)])
        }
        return .proved(account, assurance)
    }
}
