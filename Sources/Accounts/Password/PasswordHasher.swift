package import AuthCore

/// Makes and checks password hashes. Every method blocks for one computation: call them on a `HashPool`.
package struct PasswordHasher: Sendable {
    package enum Verification: Sendable, Equatable {
        case wrong
        /// - Parameter needsUpgrade: The stored hash is below the current parameters; hash the password anew and store that (PW-08).
        case right(needsUpgrade: Bool)
    }

    package let parameters: Argon2Parameters
    private let randomBytes: @Sendable (Int) -> [UInt8]
    /// A real hash of a random password under the current parameters.
    private let dummy: Argon2Hash

    /// Computes one hash, which takes as long as a sign-in.
    ///
    /// - Throws: `.unavailable` when there is no memory for the parameters.
    package init(parameters: Argon2Parameters, environment: Environment) throws(PasswordHashError) {
        self.parameters = parameters
        randomBytes = environment.randomBytes
        dummy = try PasswordHasher.make(environment.randomBytes(32), parameters, salt: environment.randomBytes(Argon2Hash.saltBytes))
    }

    /// A new Argon2id hash with a salt of 16 random bytes.
    ///
    /// - Throws: `.malformed` when the password is too long (the policy refuses that first), `.unavailable` without memory.
    package func hash(_ password: Password) throws(PasswordHashError) -> Secret<String> {
        guard !password.isTooLong else { throw .malformed }
        let hash = try PasswordHasher.make(password.normal.exposed, parameters, salt: randomBytes(Argon2Hash.saltBytes))
        return Secret(hash.text)
    }

    /// Whether `password` is the one behind `stored`.
    ///
    /// A foreign hash is tried with the normal form and then, when that is something else, with the bytes as typed.
    package func verify(_ password: Password, against stored: PasswordHash) throws(PasswordHashError) -> Verification {
        var matches = try stored.matches(password.normal.exposed)
        if !matches, stored.isForeign, let typed = password.unlikeNormal { matches = try stored.matches(typed.exposed) }
        guard matches, !password.isTooLong else { return .wrong }
        return .right(needsUpgrade: stored.needsUpgrade(to: parameters))
    }

    /// The same work for an account that does not exist or has no password, always in vain (PW-11).
    package func dummyVerify(_ password: Password) throws(PasswordHashError) {
        _ = try dummy.matches(password.normal.exposed)
    }

    private static func make(_ password: [UInt8], _ parameters: Argon2Parameters, salt: [UInt8]) throws(PasswordHashError) -> Argon2Hash {
        let form = Argon2Hash(
            variant: .id, version: 0x13, parameters: parameters, salt: salt, hash: [UInt8](repeating: 0, count: Argon2Hash.hashBytes)
        )
        let hash = try Argon2Hash.derive(form, from: password)
        return Argon2Hash(variant: .id, version: 0x13, parameters: parameters, salt: salt, hash: hash)
    }
}
