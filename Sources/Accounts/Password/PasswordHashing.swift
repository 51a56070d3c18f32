package import AuthCore

/// Hashing as the rest of the product uses it: policy first, then the bounded pool.
package final class PasswordHashing: Sendable {
    private let hasher: PasswordHasher
    private let pool: HashPool
    private let policy: PasswordPolicy

    package enum Failure: Error, Sendable, Equatable {
        case refused(PasswordRefusal)
        /// Too many wait; try again after about this long.
        case overloaded(Duration)
        /// The hash could not be made: no memory.
        case unavailable
    }

    package init(hasher: PasswordHasher, pool: HashPool, policy: PasswordPolicy) {
        self.hasher = hasher
        self.pool = pool
        self.policy = policy
    }

    /// The hash of a new password that the policy accepts.
    package func hash(_ typed: Secret<String>, username: String, email: String?) async throws(Failure) -> Secret<String> {
        let password = Password(typed)
        if let refusal = policy.refusal(of: password, username: username, email: email) { throw .refused(refusal) }
        return try await hash(password)
    }

    /// What a password that somebody typed comes to.
    package enum Verification: Sendable {
        case wrong
        /// - Parameter upgraded: A better hash to put in the place of the stored one.
        case right(upgraded: Secret<String>?)
    }

    /// Compares with the stored hash, or does the same work in vain when there is none (PW-11).
    package func verify(_ typed: Secret<String>, against stored: Secret<String>?) async throws(Failure) -> Verification {
        let hasher = hasher
        let password = Password(typed)
        let verification = try await run { () -> PasswordHasher.Verification? in
            // A stored hash that cannot be read costs the same as a wrong password, and is one.
            guard let stored, let hash = try? PasswordHash(parsing: stored) else {
                // The work is what counts; it cannot succeed.
                try? hasher.dummyVerify(password)
                return .wrong
            }
            // Nothing when there is no memory for it.
            return try? hasher.verify(password, against: hash)
        }
        switch verification {
        case nil: throw .unavailable
        case .wrong: return .wrong
        case .right(let needsUpgrade):
            // The sign-in goes on whether or not there is room for a better hash now.
            return .right(upgraded: needsUpgrade ? try? await hash(password) : nil)
        }
    }

    /// Whether this is a hash that sign-in can verify.
    package static func isImportable(_ hash: Secret<String>) -> Bool {
        // Only whether it can be read is asked.
        (try? PasswordHash(parsing: hash)) != nil
    }

    package var queued: Int { pool.queued }

    package func stop() { pool.stop() }

    private func hash(_ password: Password) async throws(Failure) -> Secret<String> {
        let hasher = hasher
        // Nothing when there is no memory for it.
        guard let hash = try await run({ try? hasher.hash(password) }) else { throw .unavailable }
        return hash
    }

    private func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async throws(Failure) -> Value {
        do { return try await pool.run(body) } catch {
            switch error {
            case .full: throw .overloaded(pool.estimatedWait)
            case .stopped, .cancelled, .noThreads: throw .unavailable
            }
        }
    }
}
