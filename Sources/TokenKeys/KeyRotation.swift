package import AuthCore
package import Store

/// When keys change, as a pure plan over what is stored (RFC 7517; SECURITY.md of this repository, "Keys").
///
/// The published set always holds the key that signs and the one after it, so that an emergency can switch at once. A
/// key signs only after it has been published for longer than anybody may cache the set; it stays published until the
/// last token that it signed has expired.
package struct KeyRotation: Sendable {
    package var algorithm: String
    package var rotateEvery: Duration
    /// How long a verifier may go on with the set that it fetched.
    package var jwksMaxAge: Duration
    /// The longest life of an access token, with leeway.
    package var tokenLifetimeMax: Duration
    /// The largest difference of two nodes' clocks.
    package var clockBound: Duration

    package init(
        algorithm: String, rotateEvery: Duration, jwksMaxAge: Duration, tokenLifetimeMax: Duration, clockBound: Duration = .seconds(2)
    ) {
        self.algorithm = algorithm
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

    /// What the keys should be now.
    ///
    /// - Parameter spares: New keys in state `next`, of which the plan takes as many as it needs (at most 2).
    package func plan(_ keys: [SigningKeyRecord], at now: Instant, for reason: Reason, spares: [SigningKeyRecord]) -> [SigningKeyRecord] {
        var keys = keys
        var spares = spares[...]
        if case .revoke(let id) = reason, let index = keys.firstIndex(where: { $0.id == id }) {
            keys[index].state = .revoked
            keys[index].publishedUntil = now
        }
        func firstIndex(_ state: SigningKeyRecord.State) -> Int? {
            keys.firstIndex { $0.state == state && $0.algorithm.isSameBytes(as: algorithm) }
        }
        // Another algorithm was chosen: the keys of the old one sign no more.
        for index in keys.indices where keys[index].state == .active && !keys[index].algorithm.isSameBytes(as: algorithm) {
            retire(&keys[index], at: now)
        }
        if firstIndex(.next) == nil, let spare = spares.popFirst() { keys.append(spare) }
        if let active = firstIndex(.active), let next = firstIndex(.next) {
            let isDue = reason == .rotate || (keys[active].activatedAt ?? now) + rotateEvery <= now
            if isDue, keys[next].publishedAt + jwksMaxAge + clockBound <= now {
                retire(&keys[active], at: now)
                activate(&keys[next], at: now)
            }
        } else if let next = firstIndex(.next) {
            // The first start, or the signing key was revoked: waiting would mean that nobody can sign in.
            activate(&keys[next], at: now)
        }
        if firstIndex(.next) == nil, let spare = spares.popFirst() { keys.append(spare) }
        return keys
    }

    /// When upkeep next has something to do, if nothing else happens.
    package func nextDue(_ keys: [SigningKeyRecord], at now: Instant) -> Instant {
        guard let active = keys.first(where: { $0.state == .active }), let next = keys.first(where: { $0.state == .next }) else {
            return now
        }
        return max((active.activatedAt ?? now) + rotateEvery, next.publishedAt + jwksMaxAge + clockBound)
    }

    /// From when on the next key may sign, because nobody can have a set without it any more.
    package func nextRotation(_ keys: [SigningKeyRecord]) -> Instant {
        keys.first { $0.state == .next }.map { $0.publishedAt + jwksMaxAge + clockBound } ?? Instant(seconds: 0)
    }

    /// Whether the key stands in the published set at `now`.
    package func isPublished(_ key: SigningKeyRecord, at now: Instant) -> Bool {
        switch key.state {
        case .next, .active: true
        case .retired: (key.publishedUntil ?? now) > now
        case .revoked: false
        }
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
