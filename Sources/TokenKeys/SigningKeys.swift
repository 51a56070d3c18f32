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
        /// The encoded header for each type, computed once.
        let headers: [TokenType: [UInt8]]
    }

    private struct Snapshot: Sendable {
        /// Of access tokens.
        var signer: Signer?
        /// Of the ring of each algorithm that is wanted and has a key in force.
        var signers: [SignatureAlgorithm: Signer]
        var published: Published
        var records: [SigningKeyRecord]
        /// Of the reading that this came from.
        var ticket = 0
    }

    package static let settings = [
        SettingKey(
            "keys.algorithm", .choice(["ES256", "EdDSA", "RS256"]), default: "ES256",
            "How access tokens are signed. ES256 is verified everywhere and costs least to sign; RS256 is for verifiers that know nothing else."
        ),
        SettingKey(
            "keys.id_token_algorithms", .list(.choice(["RS256", "ES256", "EdDSA", "PS256"])), default: "RS256,ES256,EdDSA",
            "How ID tokens can be signed, as a client asks for it. Each has keys of its own. "
                + "RS256 must be among them: it is what a client gets that asks for nothing (OpenID Connect). RSA keys have 2048 bits."
        ),
    ]

    private let store: any SigningKeyStore
    private let masterKeys: MasterKeys
    private let environment: Environment
    package let rotation: KeyRotation
    private let onChange: @Sendable (KeySet) -> Void
    private let tickets = Mutex(0)
    private let isMakingSlowKeys = Mutex(false)
    private let snapshot = Mutex(Snapshot(signer: nil, signers: [:], published: .none, records: []))

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
    /// All keys, those of access tokens first, then ring by ring in the order of the settings, each in the order of its life.
    package var records: [SigningKeyRecord] { snapshot.withLock { $0.records } }
    /// The key that signs access tokens; nothing before the keys are read.
    package var current: SigningKeyRecord? { rotation.signing(records) }
    /// What ID tokens can be signed with now, each once, in the order of the settings. A ring that has no key in force yet is not among them.
    package var idTokenAlgorithms: [SignatureAlgorithm] {
        let signers = snapshot.withLock { $0.signers }
        return rotation.idTokenAlgorithms.reduce(into: []) { able, name in
            guard let algorithm = SignatureAlgorithm(rawValue: name), signers[algorithm] != nil, !able.contains(algorithm) else { return }
            able.append(algorithm)
        }
    }

    /// Whether something can be signed with it now.
    package func canSign(with algorithm: SignatureAlgorithm) -> Bool { snapshot.withLock { $0.signers[algorithm] != nil } }

    /// Reads the keys, makes what is missing, rotates what is due. Called at start and then by the upkeep of the
    /// composition root.
    ///
    /// - Parameter makesSlowKeys: Whether keys are made that take long to make. A start does without and waits for none of them, but for
    ///   the first one of access tokens.
    /// - Returns: When to call again.
    @discardableResult
    package func maintain(
        for reason: KeyRotation.Reason = .upkeep, event: AuditEvent? = nil, makesSlowKeys: Bool = true
    ) async throws(SigningKeysError) -> Instant {
        let keys = try await change(for: reason, event: event, slowKeys: try await firstSlowKey(reason))
        if makesSlowKeys { try await makeSlowKeys(keys) }
        return rotation.nextDue(records, at: environment.now())
    }

    /// What a first start with RSA for access tokens waits for, or a revocation before there was a second key: without it nothing could
    /// sign, or another ring would stand in from the beginning, of an algorithm that nobody chose.
    private func firstSlowKey(_ reason: KeyRotation.Reason) async throws(SigningKeysError) -> [SigningKeyRecord] {
        guard let algorithm = try slowAlgorithms().first(where: { $0.rawValue.isSameBytes(as: rotation.algorithm) }),
            rotation.signing(rotation.plan(try await read().keys, at: environment.now(), for: reason, spares: [])) == nil
        else { return [] }
        return [try await makeApart(algorithm)]
    }

    /// Makes the keys that take long to make and are missing.
    ///
    /// One call at a time: who finds another at it leaves it to that one.
    private func makeSlowKeys(_ keys: [SigningKeyRecord]) async throws(SigningKeysError) {
        let isFirst = isMakingSlowKeys.withLock { isMaking in
            defer { isMaking = true }
            return !isMaking
        }
        guard isFirst else { return }
        defer { isMakingSlowKeys.withLock { $0 = false } }
        var keys = keys
        // Twice at most: the first key of a ring signs when it has been acknowledged, and then the ring lacks the one after it.
        for _ in 0..<2 {
            let now = environment.now()
            let lacking = try slowAlgorithms().filter { rotation.lacking(keys, $0.rawValue, at: now, for: .upkeep) > 0 }
            if lacking.isEmpty { return }
            var made: [SigningKeyRecord] = []
            for algorithm in lacking { made.append(try await makeApart(algorithm)) }
            _ = try await change(for: .upkeep, event: nil, slowKeys: made)
            keys = try await change(for: .upkeep, event: nil, slowKeys: [])
        }
    }

    /// One plan over what is stored, carried out.
    private func change(
        for reason: KeyRotation.Reason, event: AuditEvent?, slowKeys: [SigningKeyRecord]
    ) async throws(SigningKeysError) -> [SigningKeyRecord] {
        let now = environment.now()
        var (keys, ticket) = try await read()
        let lacksKeys = try quickAlgorithms().contains { rotation.lacking(keys, $0.rawValue, at: now, for: reason) > 0 }
        if lacksKeys || !slowKeys.isEmpty || reason != .upkeep || rotation.plan(keys, at: now, for: reason, spares: []) != keys {
            var spares = slowKeys
            // Two of each: until the plan is made in the transaction, another node may have taken what was there.
            for algorithm in try quickAlgorithms() { for _ in 0..<2 { spares.append(try make(algorithm)) } }
            let rotation = rotation
            let offered = spares
            do {
                keys = try await store.changeSigningKeys(event: event) { keys, areAcknowledged in
                    rotation.plan(keys, at: now, for: reason, spares: offered, areAcknowledged: areAcknowledged)
                }
            } catch { throw .store(error) }
            // Read anew: another change may have been committed after this one, and its caller have heard of it before us. If that
            // cannot be done now, what was just written is the best that is known.
            (keys, ticket) = (try? await read()) ?? (keys, nextTicket())
        }
        try install(keys, at: now, ticket: ticket)
        return keys
    }

    private func algorithms() throws(SigningKeysError) -> [SignatureAlgorithm] {
        var algorithms: [SignatureAlgorithm] = []
        for name in rotation.algorithms {
            guard let algorithm = SignatureAlgorithm(rawValue: name), !algorithm.isSymmetric else { throw .unsupportedAlgorithm(name) }
            algorithms.append(algorithm)
        }
        return algorithms
    }

    private func quickAlgorithms() throws(SigningKeysError) -> [SignatureAlgorithm] { try algorithms().filter { !PrivateKey.isSlow($0) } }
    private func slowAlgorithms() throws(SigningKeysError) -> [SignatureAlgorithm] { try algorithms().filter(PrivateKey.isSlow) }

    /// Reads the keys that another node has changed. Changes nothing, unless none of them signs: then somebody must begin.
    package func reload() async throws(SigningKeysError) {
        let (keys, ticket) = try await read()
        guard rotation.signing(keys) != nil else {
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

    /// Signs a token: JWS compact serialisation (RFC 7515 §3.1) under a key in force.
    ///
    /// - Parameters:
    ///   - claims: The payload, JSON.
    ///   - algorithm: Of whose ring; nothing for that of access tokens.
    /// - Throws: `unsupportedAlgorithm` when the settings do not have it; `noActiveKey` while its ring has no key in force yet.
    package func sign(
        _ claims: [UInt8], as type: TokenType, algorithm: SignatureAlgorithm? = nil
    ) throws(SigningKeysError) -> String {
        let signer = snapshot.withLock { snapshot in algorithm.map { snapshot.signers[$0] } ?? snapshot.signer }
        guard let signer, let header = signer.headers[type] else {
            if let algorithm, !rotation.algorithms.contains(where: { $0.isSameBytes(as: algorithm.rawValue) }) {
                throw .unsupportedAlgorithm(algorithm.rawValue)
            }
            throw .noActiveKey
        }
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

    /// A new key, sealed for its row.
    private func make(_ algorithm: SignatureAlgorithm) throws(SigningKeysError) -> SigningKeyRecord {
        let id = Identifier(Base64URL.encode(environment.randomBytes(16)))
        guard
            // Algorithms that cannot be made are not known here; making a key fails for no other reason.
            let key = try? PrivateKey(generating: algorithm), let publicKey = try? key.verificationKey(id: id),
            // Sealing fails only for messages longer than 64 GB.
            let sealed = try? masterKeys.seal(key.bytes, for: .signingKeys, context: "signing_keys/\(id)")
        else { throw .unsupportedAlgorithm(algorithm.rawValue) }
        return SigningKeyRecord(
            id: id, algorithm: algorithm.rawValue, state: .next,
            publicJWK: String(decoding: JSONValue.object(publicKey.publicJWK).encoded, as: UTF8.self),
            sealedPrivateKey: sealed, publishedAt: environment.now()
        )
    }

    /// The same on a thread of its own, for one that takes long: requests are served meanwhile.
    private func makeApart(_ algorithm: SignatureAlgorithm) async throws(SigningKeysError) -> SigningKeyRecord {
        let made = await withCheckedContinuation { continuation in
            let work = { @Sendable [self] in
                continuation.resume(returning: Result { () throws(SigningKeysError) in try make(algorithm) })
            }
            // Without a thread: late is better than never.
            if !SystemThread.start(work) { work() }
        }
        return try made.get()
    }

    private func install(_ records: [SigningKeyRecord], at now: Instant, ticket: Int) throws(SigningKeysError) {
        // In one order, however they came: keys of one instant have none of their own, and a change must not be seen where there is none.
        let records = records.sorted { ($0.publishedAt, $0.id) < ($1.publishedAt, $1.id) }
        var signers: [Identifier: Signer] = [:]
        var published: [VerificationKey] = []
        for record in records where rotation.isPublished(record, at: now) {
            guard let algorithm = SignatureAlgorithm(rawValue: record.algorithm),
                // Each failure means the same: this row is not what was written.
                let plain = try? masterKeys.open(record.sealedPrivateKey, for: .signingKeys, context: "signing_keys/\(record.id)"),
                let key = try? PrivateKey(plain, algorithm: algorithm), let publicKey = try? key.verificationKey(id: record.id)  // as above
            else { throw .unreadable(record.id) }
            published.append(publicKey)
            if record.state == .active { signers[record.id] = SigningKeys.signer(record.id, key, algorithm) }
        }
        guard let current = rotation.signing(records), let signer = signers[current.id] else { throw .noActiveKey }
        // A set of our own keys has unique ids and no weak key; anything else is damage.
        guard let set = try? KeySet(keys: published) else { throw .unreadable(signer.id) }
        var next = Snapshot(
            signer: signer, signers: [:], published: Published(keys: published, set: set), records: [], ticket: ticket)
        for algorithm in try algorithms() {
            let ring = records.filter { $0.algorithm.isSameBytes(as: algorithm.rawValue) }
            next.records += ring
            next.signers[algorithm] = ring.first { $0.state == .active }.flatMap { signers[$0.id] }
        }
        next.records += records.filter { record in !rotation.algorithms.contains { $0.isSameBytes(as: record.algorithm) } }
        let snapshot = next
        // Verifier and signer change together: neither ever has a key that the other lacks.
        self.snapshot.withLock { current in
            guard ticket >= current.ticket else { return }
            onChange(set)
            current = snapshot
        }
    }

    private static func signer(_ id: Identifier, _ key: PrivateKey, _ algorithm: SignatureAlgorithm) -> Signer {
        var headers: [TokenType: [UInt8]] = [:]
        for type in TokenType.allCases {
            var writer = JSONWriter()
            writer.object {
                $0.member("alg", algorithm.rawValue)
                $0.member("typ", type.headerValue)
                $0.member("kid", id.text)
            }
            headers[type] = Base64URL.encodedBytes(writer.bytes)
        }
        return Signer(id: id, key: key, headers: headers)
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
