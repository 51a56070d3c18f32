package import AuthCore
package import Store

/// Initial access tokens (RFC 7591 §1.2): leave to register so many clients, given by an operator. Kept as a hash, for a time.
package struct InitialAccessTokens: Sendable {
    package static let usesMax: Int64 = 1_000
    package static let lifetimeUsual = Duration.seconds(86_400)
    package static let lifetimeMax = Duration.seconds(90 * 86_400)

    private let store: any ParkedStore
    private let environment: Environment

    package init(store: any ParkedStore, environment: Environment) {
        self.store = store
        self.environment = environment
    }

    /// 256 bits of chance, so its hash needs no key.
    private static func id(_ token: Secret<[UInt8]>) -> Identifier { Identifier(Base64URL.encode(TokenHash(of: token.exposed).bytes)) }

    /// Makes one; it is shown once.
    package func make(uses: Int64, lifetime: Duration, at now: Instant) async throws(StoreError) -> Secret<String> {
        let token = Secret("ghi_" + Base64URL.encode(environment.randomBytes(32)))
        let record = Parked(
            kind: .registrationToken, id: InitialAccessTokens.id(Secret(Array(token.exposed.utf8))), clientID: "",
            value: JSONObject([("uses", .number(JSONNumber(uses)))]), expiresAt: now + lifetime)
        _ = try await store.park([record], at: now)
        return token
    }

    package func isGood(_ token: Secret<[UInt8]>, at now: Instant) async throws(StoreError) -> Bool {
        try await store.parked(.registrationToken, InitialAccessTokens.id(token), at: now) != nil
    }

    /// Uses it once. Atomic: of any number of racing callers as many get true as it has uses.
    package func spend(_ token: Secret<[UInt8]>, at now: Instant) async throws(StoreError) -> Bool {
        let id = InitialAccessTokens.id(token)
        // Each round that is lost was another caller's use, so there are no more rounds than uses.
        for _ in 0...InitialAccessTokens.usesMax {
            guard var record = try await store.parked(.registrationToken, id, at: now) else { return false }
            let uses = record.value["uses"]?.int ?? 0
            if uses <= 1 { return try await store.take(.registrationToken, id, at: now) != nil }
            record.value["uses"] = .number(JSONNumber(uses - 1))
            if try await store.replace(record, at: now) { return true }
        }
        return false
    }
}
