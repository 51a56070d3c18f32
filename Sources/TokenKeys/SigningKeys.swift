package import AuthCore
package import Store
internal import Synchronization
package import TokenVerification

package enum SigningKeysError: Error, Sendable, Equatable {
    case unsupportedAlgorithm(String)
    /// A stored key cannot be opened or read: the wrong master key, or damage. Refuse to start (JK-08).
    case unreadable(Identifier)
    case noActiveKey
    case store(StoreError)
}

/// The signing keys: made, rotated, sealed at rest, published, used.
///
/// Everything that signs or verifies reads one immutable snapshot, which is swapped after the store has changed.
package final class SigningKeys: Sendable {
    /// The set of RFC 7517 §5 as it is published.
    package struct Published: Sendable {
        package let keySet: KeySet
        package let body: [UInt8]
        /// A strong validator (RFC 9110 §8.8.3), quotes included.
        package let entityTag: String
    }

    private struct Signer: Sendable {
        let id: Identifier
        let key: PrivateKey
        let algorithm: SignatureAlgorithm
        /// The encoded header for each `typ`, computed once.
        let headers: [String: [UInt8]]
    }

    private struct Snapshot: Sendable {
        var signer: Signer?
        var published: Published
        var records: [SigningKeyRecord]
        /// Of the reading that this came from.
        var ticket = 0
    }

    package enum TokenType: String, Sendable, CaseIterable {
        /// RFC 9068 §2.1.
        case accessToken = "at+jwt"
        /// What the gateway hands to a service behind it for `identity: jwt`.
        case identity = "identity+jwt"
        /// OpenID Connect Core §2.
        case idToken = "JWT"
    }

    package static let settings = [
        SettingKey(
            "keys.algorithm", .choice(["ES256", "EdDSA", "RS256"]), default: "ES256",
            "How access tokens are signed. ES256 is verified everywhere and costs least to sign; RS256 is for verifiers that know nothing else."
        )
    ]

    private let store: any SigningKeyStore
    private let masterKeys: MasterKeys
    private let environment: Environment
    package let rotation: KeyRotation
    private let onChange: @Sendable (KeySet) -> Void
    private let tickets = Mutex(0)
    private let snapshot = Mutex(Snapshot(signer: nil, published: .none, records: []))

    /// - Parameter onChange: Told of the published set whenever it changes, before anybody can get a token under it.
    package init(
        store: any SigningKeyStore, masterKeys: MasterKeys, rotation: KeyRotation, environment: Environment,
        onChange: @escaping @Sendable (KeySet) -> Void
    ) {
        self.store = store
        self.masterKeys = masterKeys
        self.rotation = rotation
        self.environment = environment
        self.onChange = onChange
    }

    package var published: Published { snapshot.withLock { $0.published } }
    package var records: [SigningKeyRecord] { snapshot.withLock { $0.records } }

    /// Reads the keys, makes what is missing, rotates what is due. Called at start and then by the upkeep of the
    /// composition root.
    ///
    /// - Returns: When to call again.
    @discardableResult
    package func maintain(for reason: KeyRotation.Reason = .upkeep, event: AuditEvent? = nil) async throws(SigningKeysError) -> Instant {
        let now = environment.now()
        var (keys, ticket) = try await read()
        let needsChange = rotation.plan(keys, at: now, for: reason, spares: try spares(at: now, count: 0)) != keys
        if needsChange || rotation.lacksKeys(keys) || reason != .upkeep {
            let spares = try spares(at: now, count: 2)
            let rotation = rotation
            do {
                keys = try await store.changeSigningKeys(event: event) { keys, areAcknowledged in
                    rotation.plan(keys, at: now, for: reason, spares: spares, areAcknowledged: areAcknowledged)
                }
            } catch { throw .store(error) }
            // Read anew: another change may have been committed after this one, and its caller have heard of it before us. If that
            // cannot be done now, what was just written is the best that is known.
            (keys, ticket) = (try? await read()) ?? (keys, nextTicket())
        }
        try install(keys, at: now, ticket: ticket)
        return rotation.nextDue(keys, at: now)
    }

    /// Reads the keys that another node has changed. Changes nothing, unless none of them signs: then somebody must begin.
    package func reload() async throws(SigningKeysError) {
        let (keys, ticket) = try await read()
        guard keys.contains(where: { $0.state == .active }) else {
            try await maintain()
            return
        }
        try install(keys, at: environment.now(), ticket: ticket)
    }

    /// What is stored, with a ticket that was drawn before it was read.
    ///
    /// Whoever changes the keys reads after the commit. So a reading with a later ticket than theirs began after their commit and
    /// has seen it: the snapshot with the highest ticket knows every change that was answered.
    private func read() async throws(SigningKeysError) -> (keys: [SigningKeyRecord], ticket: Int) {
        let ticket = nextTicket()
        do { return (try await store.signingKeys(), ticket) } catch { throw .store(error) }
    }

    private func nextTicket() -> Int {
        tickets.withLock {
            $0 += 1
            return $0
        }
    }

    /// Signs a token: JWS compact serialisation (RFC 7515 §3.1) under the key in force.
    ///
    /// - Parameter claims: The payload, JSON.
    package func sign(_ claims: [UInt8], as type: TokenType) throws(SigningKeysError) -> String {
        guard let signer = snapshot.withLock({ $0.signer }), let header = signer.headers[type.rawValue] else { throw .noActiveKey }
        var token = header
        token.reserveCapacity(header.count + claims.count * 2 + 128)
        token.append(UInt8(ascii: "."))
        token.append(contentsOf: Base64URL.encodedBytes(claims))
        guard let signature = try? signer.key.signature(for: token) else {  // a key that was read can sign; anything else is damage
            throw .unreadable(signer.id)
        }
        token.append(UInt8(ascii: "."))
        token.append(contentsOf: Base64URL.encodedBytes(signature))
        return String(decoding: token, as: UTF8.self)
    }

    private func spares(at now: Instant, count: Int) throws(SigningKeysError) -> [SigningKeyRecord] {
        guard let algorithm = SignatureAlgorithm(rawValue: rotation.algorithm) else { throw .unsupportedAlgorithm(rotation.algorithm) }
        var spares: [SigningKeyRecord] = []
        for _ in 0..<count {
            let id = Identifier(Base64URL.encode(environment.randomBytes(16)))
            guard
                // The algorithm was checked above; making a key fails for no other reason.
                let key = try? PrivateKey(generating: algorithm), let publicKey = try? key.verificationKey(id: id),
                // Sealing fails only for messages longer than 64 GB.
                let sealed = try? masterKeys.seal(key.bytes, for: .signingKeys, context: "signing_keys/\(id)")
            else { throw .unsupportedAlgorithm(rotation.algorithm) }
            spares.append(
                SigningKeyRecord(
                    id: id, algorithm: rotation.algorithm, state: .next,
                    publicJWK: String(decoding: JSONValue.object(publicKey.publicJWK).encoded, as: UTF8.self),
                    sealedPrivateKey: sealed, publishedAt: now
                )
            )
        }
        return spares
    }

    private func install(_ records: [SigningKeyRecord], at now: Instant, ticket: Int) throws(SigningKeysError) {
        var signer: Signer?
        var published: [VerificationKey] = []
        for record in records where rotation.isPublished(record, at: now) {
            guard let algorithm = SignatureAlgorithm(rawValue: record.algorithm),
                // Each failure means the same: this row is not what was written.
                let plain = try? masterKeys.open(record.sealedPrivateKey, for: .signingKeys, context: "signing_keys/\(record.id)"),
                let key = try? PrivateKey(plain, algorithm: algorithm), let publicKey = try? key.verificationKey(id: record.id)  // as above
            else { throw .unreadable(record.id) }
            published.append(publicKey)
            if record.state == .active { signer = SigningKeys.signer(record.id, key, algorithm) }
        }
        guard let signer else { throw .noActiveKey }
        // A set of our own keys has unique ids and no weak key; anything else is damage.
        guard let set = try? KeySet(keys: published) else { throw .unreadable(signer.id) }
        // In one order, however they came: keys of one instant have none of their own, and a change must not be seen where there is none.
        let records = records.sorted { ($0.publishedAt, $0.id) < ($1.publishedAt, $1.id) }
        let next = Snapshot(signer: signer, published: Published(keys: published, set: set), records: records, ticket: ticket)
        // Verifier and signer change together: neither ever has a key that the other lacks.
        snapshot.withLock { snapshot in
            guard ticket >= snapshot.ticket else { return }
            onChange(set)
            snapshot = next
        }
    }

    private static func signer(_ id: Identifier, _ key: PrivateKey, _ algorithm: SignatureAlgorithm) -> Signer {
        var headers: [String: [UInt8]] = [:]
        for type in TokenType.allCases {
            var writer = JSONWriter()
            writer.object {
                $0.member("alg", algorithm.rawValue)
                $0.member("typ", type.rawValue)
                $0.member("kid", id.text)
            }
            headers[type.rawValue] = Base64URL.encodedBytes(writer.bytes)
        }
        return Signer(id: id, key: key, algorithm: algorithm, headers: headers)
    }
}

extension SigningKeys.Published {
    fileprivate static let none = SigningKeys.Published(keySet: KeySet.empty, body: [], entityTag: "\"\"")

    fileprivate init(keys: [VerificationKey], set: KeySet) {
        var writer = JSONWriter()
        writer.object { $0.array("keys") { for key in keys { $0.value(.object(key.publicJWK)) } } }
        body = writer.bytes
        keySet = set
        entityTag = "\"" + Base64URL.encode(TokenHash(of: writer.bytes).bytes.prefix(12)) + "\""
    }
}

extension KeyRotation {
    /// Whether new keys are needed, which take time to make.
    func lacksKeys(_ keys: [SigningKeyRecord]) -> Bool {
        !keys.contains { $0.state == .active }
            || !keys.contains { $0.state == .next && $0.algorithm.isSameBytes(as: algorithm) }
    }
}
