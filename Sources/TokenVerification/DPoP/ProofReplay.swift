public import AuthCore
internal import Synchronization

/// The proofs that were used here a short while ago, so that none is used twice (RFC 9449 §11.1, DP-03).
///
/// It holds a hash of key and `jti`, forgets by the clock that never jumps, and is bounded: when it is full nothing is forgotten
/// early, but the next proof is not taken. It knows what was used in this process only: a copy of a proof that reaches another node
/// within the same seconds is taken there once more.
public final class ProofReplay: Sendable {
    public enum Use: Sendable, Equatable {
        case first
        case repeated
        /// Too many are held to take another one.
        case full
    }

    /// What is held for one of them, about: for those who set a bound.
    public static let bytesEach = 80
    /// The default bound.
    public static let countMaxDefault = 262_144
    /// Of those whose time has come, how many one use forgets at the most; more than it adds.
    private static let stepsMax = 8

    private struct Key: Hashable {
        let high: UInt64
        let low: UInt64
    }

    private struct State {
        var held: Set<Key> = []
        /// In the order in which they came; those before `next` are forgotten.
        var queue: [(key: Key, until: Uptime)] = []
        var next = 0
    }

    private let window: Duration
    private let countMax: Int
    private let state = Mutex(State())

    /// - Parameter window: How long a proof is acceptable at the most, after it was first seen; what the clocks may gain on each other
    ///   is added to it.
    public init(window: Duration, countMax: Int = ProofReplay.countMaxDefault) {
        self.window = window + ForgettingTime.gainMax
        self.countMax = countMax
    }

    /// How many are held.
    public var count: Int { state.withLock { $0.held.count } }

    /// Uses a proof up.
    ///
    /// Atomic: of any number of racing callers with one proof, one gets `.first`.
    public func use(_ proof: DPoPProof, at uptime: Uptime) -> Use {
        // The thumbprint has one length, so no two pairs give the same text.
        let words = TokenHash(of: Array((proof.jkt + proof.id.text).utf8)).words
        let key = Key(high: words.0, low: words.1)
        return state.withLock { state in
            ProofReplay.forget(&state, uptime)
            if state.held.contains(key) { return .repeated }
            guard state.held.count < countMax else { return .full }
            state.held.insert(key)
            state.queue.append((key, Uptime(nanoseconds: uptime.nanoseconds &+ UInt64(clamping: window.wholeMilliseconds) &* 1_000_000)))
            return .first
        }
    }

    private static func forget(_ state: inout State, _ uptime: Uptime) {
        var steps = 0
        while steps < stepsMax, state.next < state.queue.count, state.queue[state.next].until <= uptime {
            state.held.remove(state.queue[state.next].key)
            state.next += 1
            steps += 1
        }
        // The front of the queue is given back once it is most of it, so that each entry is moved once on the average.
        if state.next > 1_024, state.next > state.queue.count / 2 {
            state.queue.removeFirst(state.next)
            state.next = 0
        }
    }
}
