package import AuthCore
package import Store

/// When keys change, as a pure plan over what is stored (RFC 7517; SECURITY.md of this repository, "Keys").
///
/// The published set always holds the key that signs and the one after it, so that an emergency can switch at once. A
/// key signs only after it has been published for longer than anybody may cache the set and every live node has
/// acknowledged it; it stays published until the last token that it signed has expired.
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
    /// - Parameters:
    ///   - spares: New keys in state `next`, of which the plan takes as many as it needs (at most 2).
    ///   - areAcknowledged: Whether every live node verifies with `keys` already. Until then nothing new signs, unless nothing
    ///     else can.
    package func plan(
        _ keys: [SigningKeyRecord], at now: Instant, for reason: Reason, spares: [SigningKeyRecord], areAcknowledged: Bool = true
    ) -> [SigningKeyRecord] {
        var keys = keys
        var spares = spares[...]
        if case .revoke(let id) = reason, let index = keys.firstIndex(where: { $0.id == id }) {
            keys[index].state = .revoked
            keys[index].publishedUntil = now
        }
        let active = keys.firstIndex { $0.state == .active }
        var next: Int? { keys.firstIndex { $0.state == .next } }
        // Another algorithm was chosen: a key of the old one that has not signed yet never will.
        for index in keys.indices where keys[index].state == .next && !keys[index].algorithm.isSameBytes(as: algorithm) {
            keys[index].state = .retired
            keys[index].publishedUntil = now
        }
        if next == nil, let spare = spares.popFirst() { keys.append(spare) }
        if let active, let next {
            let isDue = reason == .rotate || isOutdated(keys[active]) || (keys[active].activatedAt ?? now) + rotateEvery <= now
            if isDue, areAcknowledged, keys[next].publishedAt + jwksMaxAge + clockBound <= now {
                retire(&keys[active], at: now)
                activate(&keys[next], at: now)
            }
        } else if let next {
            // The first start, or the signing key was revoked: waiting would mean that nobody can sign in.
            activate(&keys[next], at: now)
        }
        if next == nil, let spare = spares.popFirst() { keys.append(spare) }
        return keys
    }

    /// When upkeep next has something to do, if nothing else happens.
    package func nextDue(_ keys: [SigningKeyRecord], at now: Instant) -> Instant {
        guard let active = keys.first(where: { $0.state == .active }), let next = keys.first(where: { $0.state == .next }) else {
            return now
        }
        let usable = next.publishedAt + jwksMaxAge + clockBound
        return isOutdated(active) ? usable : max((active.activatedAt ?? now) + rotateEvery, usable)
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

    /// Whether the key is of an algorithm that was chosen before. It goes on signing until its successor may.
    private func isOutdated(_ key: SigningKeyRecord) -> Bool { !key.algorithm.isSameBytes(as: algorithm) }

    private func retire(_ key: inout SigningKeyRecord, at now: Instant) {
        key.state = .retired
        key.publishedUntil = now + tokenLifetimeMax + clockBound
    }

    private func activate(_ key: inout SigningKeyRecord, at now: Instant) {
        key.state = .active
        key.activatedAt = now
    }
}
