package import AuthCore

/// Whether a try may be evaluated now.
package enum LockoutAnswer: Sendable, Equatable {
    case allowed
    /// Answer 429 with `Retry-After`; the try was neither evaluated nor counted.
    case delayed(until: Instant)
    /// As many failures in a row as there may be: nobody may try here until the count is taken back.
    case exhausted
}

/// How the failures under one key slow down the next try. A pure value; the store applies it in one transaction, `MemoryThrottle` under a
/// lock.
///
/// A try counts as a failure *before* it is evaluated (BF-03, CVE-2024-4629), and success takes the count back. So of any
/// number of tries at the same time, at most as many are evaluated as may fail.
package struct LockoutRule: Sendable, Equatable {
    /// Failures before the next try must wait; at least 1.
    package let freeAttempts: Int64
    /// The first wait. Each further failure doubles it.
    package let delay: Duration
    package let delayMax: Duration
    /// Failures in a row after which nothing is evaluated any more; nothing for no end.
    package let failuresMax: Int64?
    /// After this time from the first failure on they are forgotten; nothing for never.
    package let window: Duration?

    package init(freeAttempts: Int64, delay: Duration, delayMax: Duration, failuresMax: Int64? = nil, window: Duration? = nil) {
        self.freeAttempts = max(1, freeAttempts)
        self.delay = max(.zero, delay)
        self.delayMax = max(.zero, delayMax)
        self.failuresMax = failuresMax
        self.window = window
    }

    /// Counts a try that is about to be evaluated, if it may be.
    ///
    /// - Returns: What to store in the place of `record`, whatever the answer is.
    package func attempt(_ record: ThrottleRecord?, at now: Instant) -> (record: ThrottleRecord?, answer: LockoutAnswer) {
        guard var state = current(record, at: now) else {
            let first = ThrottleRecord(failures: 0, windowStartedAt: now, blockedUntil: LockoutRule.never)
            return (counted(first, at: now), .allowed)
        }
        if let failuresMax, state.failures >= failuresMax { return (state, .exhausted) }
        if state.blockedUntil > now { return (state, .delayed(until: state.blockedUntil)) }
        if state.failures == 0 { state.windowStartedAt = now }
        return (counted(state, at: now), .allowed)
    }

    /// How long the next try has to wait; nothing when it may be evaluated. Counts nothing.
    package func wait(_ record: ThrottleRecord, at now: Instant) -> Duration? {
        switch attempt(record, at: now).answer {
        case .allowed: nil
        case .delayed(let until): until - now
        case .exhausted: delayMax
        }
    }

    /// Whether the record says nothing any more: its window is over.
    package func isOver(_ record: ThrottleRecord, at now: Instant) -> Bool { current(record, at: now) == nil }

    /// The counted try was in vain: the wait begins now, when its evaluation has ended. It is not counted again.
    package func failed(_ record: ThrottleRecord?, at now: Instant) -> ThrottleRecord? {
        record.map { blocked($0, at: now) }
    }

    /// The counted try succeeded, and with it the failures before it are over.
    package func succeeded(_ record: ThrottleRecord?, at now: Instant) -> ThrottleRecord? { nil }

    /// The counted try succeeded, which says nothing about the failures before it: only its own count is taken back.
    package func refunded(_ record: ThrottleRecord?, at now: Instant) -> ThrottleRecord? {
        guard var state = record, state.failures > 1 else { return nil }
        state.failures -= 1
        state.blockedUntil = min(state.blockedUntil, now + wait(after: state.failures))
        return state
    }

    /// The wait that follows `failures` of them.
    package func wait(after failures: Int64) -> Duration {
        guard failures >= freeAttempts else { return .zero }
        var wait = delay
        var left = failures - freeAttempts
        while left > 0, wait != .zero, wait < delayMax {
            // Below `delayMax`, so twice of it is far from any bound.
            wait += wait
            left -= 1
        }
        return min(wait, delayMax)
    }

    /// The record as it counts now: nothing when its window is over; a block that a clock set back has left behind shortened to the
    /// longest there is.
    private func current(_ record: ThrottleRecord?, at now: Instant) -> ThrottleRecord? {
        guard var state = record else { return nil }
        if state.blockedUntil - now > delayMax { state.blockedUntil = now + delayMax }
        if let window, now - state.windowStartedAt >= window, state.blockedUntil <= now { return nil }
        return state
    }

    private func counted(_ record: ThrottleRecord, at now: Instant) -> ThrottleRecord {
        var state = record
        state.failures = state.failures.addingSaturated(1)
        return blocked(state, at: now)
    }

    /// No wait is no block: of several requests at once, one that began earlier may be counted later, and must not find itself
    /// blocked until the time of the other.
    private func blocked(_ record: ThrottleRecord, at now: Instant) -> ThrottleRecord {
        var state = record
        let wait = wait(after: state.failures)
        if wait > .zero { state.blockedUntil = max(state.blockedUntil, now + wait) }
        return state
    }

    /// In the past of every clock.
    package static let never = Instant(milliseconds: 0)
}
