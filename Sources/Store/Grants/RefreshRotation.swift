package import AuthCore

/// The state machine of a grant's refresh tokens, as a value (RFC 6749 §6, RFC 9700 §4.14.2).
///
/// A refresh token is a counter. The row knows the current one, the one whose presentation made it, and when. That is
/// enough to tell an honest repetition (a lost answer, a second tab) from a replay:
///
/// | presented | when | outcome |
/// |---|---|---|
/// | the current one | | it becomes the predecessor, its successor is the current one |
/// | the predecessor | within `reuseWindow` | the same successor again |
/// | the predecessor | later, sender proved | the same successor again |
/// | the predecessor | later, public client, within `retryMax` | a new successor; the unpresented one is dead |
/// | the predecessor | later still | replay: the grant is revoked |
/// | a dead or older one | | replay: the grant is revoked |
/// | one ahead of the row | | the store has lost writes |
///
/// The predecessor's successor is unpresented by construction: presenting it would have advanced the row. Repetitions
/// do not touch `advancedAt`, so they extend no window.
package struct RefreshRotation: Sendable, Hashable {
    package private(set) var current: Int64
    /// Equal to `current` before the first rotation.
    package private(set) var predecessor: Int64
    package private(set) var advancedAt: Instant

    /// A new grant: its first refresh token has the counter 1.
    package init(startedAt: Instant) {
        self.init(current: 1, predecessor: 1, advancedAt: startedAt)
    }

    package init(current: Int64, predecessor: Int64, advancedAt: Instant) {
        self.current = current
        self.predecessor = predecessor
        self.advancedAt = advancedAt
    }

    package struct Windows: Sendable, Hashable {
        package var reuse: Duration
        package var retryMax: Duration

        package init(reuse: Duration, retryMax: Duration) {
            self.reuse = reuse
            self.retryMax = retryMax
        }
    }

    package enum Outcome: Sendable, Hashable {
        /// The successor's counter; the row has changed and must be written.
        case rotated(Int64)
        /// The same successor as before; the row has not changed.
        case repeated(Int64)
        /// The current token itself, where tokens are not used up; the row has not changed.
        case kept(Int64)
        /// A new successor in the place of one that never arrived; the row has changed and must be written.
        case replaced(Int64)
        /// Somebody holds a token that was used up: revoke the grant.
        case replayed
        /// The row is older than a token that was issued from it.
        case aheadOfStore
    }

    /// - Parameter senderIsProved: The client authenticated, or the token is bound to a key that it proved. Never an
    ///   address or a user agent.
    package mutating func present(
        _ counter: Int64, at now: Instant, senderIsProved: Bool, windows: Windows, rotates: Bool = true
    ) -> Outcome {
        if counter > current { return .aheadOfStore }
        if counter == current {
            guard rotates else { return .kept(current) }
            predecessor = current
            current += 1
            advancedAt = now
            return .rotated(current)
        }
        guard counter == predecessor else { return .replayed }
        // A wall clock that stepped back makes the age negative: that counts as within the window.
        let age = now - advancedAt
        if age <= windows.reuse || senderIsProved { return .repeated(current) }
        guard age <= windows.retryMax else { return .replayed }
        current += 1
        return .replaced(current)
    }
}
