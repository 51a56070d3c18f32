package import AuthCore
package import Store

/// When keys change, as a pure plan over what is stored (RFC 7517; SECURITY.md of this repository, "Keys").
///
/// The keys of one algorithm are a ring. There is one for access tokens, and one for each further algorithm that ID tokens may ask
/// for. The published set always holds the key of each ring that signs and the one after it, so that an emergency can switch at once.
/// A key takes over only after it has been published for longer than anybody may cache the set and every live node has acknowledged
/// it; it stays published until the last token that it signed has expired.
///
/// | a ring without a signing key | its next key signs |
/// |---|---|
/// | the first start: no ring signs | at once |
/// | its signing key was revoked, or the one that stood in for it | at once |
/// | access tokens are to change to it | as in a rotation; until then the ring before it goes on |
/// | it is new, for ID tokens | when every live node has acknowledged it |
///
/// The last row does not wait for caches: nothing was ever signed under this algorithm, and a client that meets a `kid` it does not
/// know fetches the set again (OpenID Connect Core §10.1.1).
package struct KeyRotation: Sendable {
    /// What access tokens are signed with.
    package var algorithm: String
    /// What ID tokens may be signed with; `algorithm` may be among them.
    package var idTokenAlgorithms: [String]
    package var rotateEvery: Duration
    /// How long a verifier may go on with the set that it fetched.
    package var jwksMaxAge: Duration
    /// The longest life of whatever is signed, with leeway.
    package var tokenLifetimeMax: Duration
    /// The largest difference of two nodes' clocks.
    package var clockBound: Duration

    package init(
        algorithm: String, idTokenAlgorithms: [String] = [], rotateEvery: Duration, jwksMaxAge: Duration, tokenLifetimeMax: Duration,
        clockBound: Duration = .seconds(2)
    ) {
        self.algorithm = algorithm
        self.idTokenAlgorithms = idTokenAlgorithms
        self.rotateEvery = rotateEvery
        self.jwksMaxAge = jwksMaxAge
        self.tokenLifetimeMax = tokenLifetimeMax
        self.clockBound = clockBound
    }

    package enum Reason: Sendable, Equatable {
        /// Ordinary upkeep: rotates what is due.
        case upkeep
        /// An operator asked for the next key now; it still waits until it has been published long enough.
        case rotate
        /// A key is compromised: it goes at once, and if it signed, the next one signs at once.
        case revoke(Identifier)
    }

    /// The algorithms of all rings that there should be, each once, that of access tokens first.
    package var algorithms: [String] {
        idTokenAlgorithms.reduce(into: [algorithm]) { once, name in
            if !once.contains(where: { $0.isSameBytes(as: name) }) { once.append(name) }
        }
    }

    /// What the keys should be now.
    ///
    /// - Parameters:
    ///   - spares: New keys in state `next`, of which the plan takes as many as it needs: at most 2 of an algorithm.
    ///   - areAcknowledged: Whether every live node verifies with `keys` already. Until then nothing new signs, unless nothing
    ///     else can.
    package func plan(
        _ keys: [SigningKeyRecord], at now: Instant, for reason: Reason, spares: [SigningKeyRecord], areAcknowledged: Bool = true
    ) -> [SigningKeyRecord] {
        var keys = keys
        var spares = spares
        let isLosingItsKey = signing(keys).map { reason == .revoke($0.id) } ?? false
        if case .revoke(let id) = reason, let index = keys.firstIndex(where: { $0.id == id }) {
            keys[index].state = .revoked
            keys[index].publishedUntil = now
        }
        // Another algorithm was chosen: a key of the old one that has not signed yet never will.
        for index in keys.indices where keys[index].state == .next && !isWanted(keys[index]) {
            keys[index].state = .retired
            keys[index].publishedUntil = now
        }
        let known = keys.count
        let nothingSigns = !keys.contains { $0.state == .active }
        for algorithm in algorithms {
            let spare = { (keys: inout [SigningKeyRecord]) in
                guard keys.next(algorithm) == nil else { return }
                guard let index = spares.firstIndex(where: { $0.algorithm.isSameBytes(as: algorithm) }) else { return }
                keys.append(spares.remove(at: index))
            }
            let isPrimary = algorithm.isSameBytes(as: self.algorithm)
            let cannotWait = nothingSigns || hasLostItsKey(keys, algorithm) || (isPrimary && isLosingItsKey)
            spare(&keys)
            guard let next = keys.next(algorithm) else { continue }
            let isUsable = areAcknowledged && self.isUsable(keys[next], at: now)
            if let active = keys.active(algorithm) {
                let isDue = reason == .rotate || (keys[active].activatedAt ?? now) + rotateEvery <= now
                if isDue, isUsable {
                    retire(&keys[active], at: now)
                    activate(&keys[next], at: now)
                }
            } else if cannotWait || (isPrimary ? isUsable : areAcknowledged && next < known) {
                activate(&keys[next], at: now)
            }
            spare(&keys)
        }
        // A ring that is wanted no longer goes on until access tokens have another.
        if keys.active(algorithm) != nil {
            for index in keys.indices where keys[index].state == .active && !isWanted(keys[index]) { retire(&keys[index], at: now) }
        }
        return keys
    }

    /// How many new keys of `algorithm` a plan would take now, if every node had acknowledged what there is: 0 to 2.
    func lacking(_ keys: [SigningKeyRecord], _ algorithm: String, at now: Instant, for reason: Reason) -> Int {
        let blank = (0..<2).map {
            SigningKeyRecord(
                id: Identifier("\($0)"), algorithm: algorithm, state: .next, publicJWK: "", sealedPrivateKey: [], publishedAt: now)
        }
        return plan(keys, at: now, for: reason, spares: blank).count - keys.count
    }

    /// The key that signs access tokens.
    package func signing(_ keys: [SigningKeyRecord]) -> SigningKeyRecord? {
        if let index = keys.active(algorithm) { return keys[index] }
        // Access tokens are to change their algorithm: whatever they had goes on, which a ring that is not wanted otherwise must be.
        return keys.filter { $0.state == .active }.max {
            (isWanted($0) ? 0 : 1, $0.activatedAt ?? $0.publishedAt, $0.id) < (
                isWanted($1) ? 0 : 1, $1.activatedAt ?? $1.publishedAt, $1.id
            )
        }
    }

    /// When upkeep next has something to do, if nothing else happens; `now` while a key is missing, or waits for the nodes alone.
    package func nextDue(_ keys: [SigningKeyRecord], at now: Instant) -> Instant {
        algorithms.map { algorithm in
            guard let next = keys.next(algorithm) else { return now }
            let usable = keys[next].publishedAt + jwksMaxAge + clockBound
            if let active = keys.active(algorithm) { return max((keys[active].activatedAt ?? now) + rotateEvery, usable) }
            return algorithm.isSameBytes(as: self.algorithm) && signing(keys) != nil ? usable : now
        }.min() ?? now
    }

    /// From when on a next key may sign, because nobody can have a set without it any more: the first of them.
    package func nextRotation(_ keys: [SigningKeyRecord]) -> Instant {
        keys.filter { $0.state == .next }.map { $0.publishedAt + jwksMaxAge + clockBound }.min() ?? Instant(seconds: 0)
    }

    /// Whether the key stands in the published set at `now`.
    package func isPublished(_ key: SigningKeyRecord, at now: Instant) -> Bool {
        switch key.state {
        case .next, .active: true
        case .retired: (key.publishedUntil ?? now) > now
        case .revoked: false
        }
    }

    private func isWanted(_ key: SigningKeyRecord) -> Bool { algorithms.contains { $0.isSameBytes(as: key.algorithm) } }

    private func isUsable(_ key: SigningKeyRecord, at now: Instant) -> Bool { key.publishedAt + jwksMaxAge + clockBound <= now }

    /// Whether the last key of the ring that signed was revoked, and none has followed it.
    private func hasLostItsKey(_ keys: [SigningKeyRecord], _ algorithm: String) -> Bool {
        let signed = keys.filter { $0.algorithm.isSameBytes(as: algorithm) && $0.activatedAt != nil }
        return signed.max { ($0.activatedAt ?? $0.publishedAt) < ($1.activatedAt ?? $1.publishedAt) }?.state == .revoked
    }

    private func retire(_ key: inout SigningKeyRecord, at now: Instant) {
        key.state = .retired
        key.publishedUntil = now + tokenLifetimeMax + clockBound
    }

    private func activate(_ key: inout SigningKeyRecord, at now: Instant) {
        key.state = .active
        key.activatedAt = now
    }
}

extension [SigningKeyRecord] {
    fileprivate func active(_ algorithm: String) -> Int? { place(algorithm, .active) }
    fileprivate func next(_ algorithm: String) -> Int? { place(algorithm, .next) }

    private func place(_ algorithm: String, _ state: SigningKeyRecord.State) -> Int? {
        firstIndex { $0.state == state && $0.algorithm.isSameBytes(as: algorithm) }
    }
}
