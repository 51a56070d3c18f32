package import AuthCore
package import Store

/// The keys of the counters that one try of a password touches, in the order in which the policy expects the records.
package struct LockoutKeys: Sendable {
    package let keys: [Identifier]

    /// - Parameters:
    ///   - subject: The account's id, so that its user name and its e-mail address share one counter (CVE-2025-24806); for an unknown
    ///     name its canonical form, so that it is throttled in the same way (PW-11). The two never meet: ids are random.
    ///   - source: `PeerAddress.throttleKey` of the socket's peer, or of the client that a trusted proxy names.
    ///   - device: What a cookie of this account's earlier sign-in proves, if anything.
    package init(subject: Identifier, source: String, device: Identifier? = nil) {
        keys =
            [
                Identifier("account:\(subject)"), Identifier("reserve:\(subject)"), Identifier("source:\(source)"),
                Identifier("known:\(subject):\(source)"),
            ] + (device.map { [Identifier("device:\(subject):\($0)")] } ?? [])
    }
}

/// Throttling of passwords: per account *and* per source, counted before verification, and never to the lasting harm of the
/// account's owner (BF-01…BF-04).
///
/// A source is *known* when it has signed in to the account before, as an address or by a device cookie. Tries from unknown
/// sources share the account's counter. Tries from known ones do not touch it and are not stopped by it, so somebody who guesses
/// from elsewhere, however long, cannot keep the owner out: each known source has a counter of its own, and all of them
/// together a reserve. Every try but one with a device cookie also counts for its source, over all accounts.
///
/// | counter | of | failures in a row at most (`failuresMax` = 100) |
/// |---|---|---|
/// | account | unknown sources | 50 |
/// | reserve | known sources, together | 50 |
/// | known, device | one known source; past it, it counts as unknown | 10 |
/// | source | all accounts, for an hour | no end, but 10 × the free attempts, then waits |
///
/// Together at most `failuresMax` (NIST SP 800-63B-4 §3.2.2: at most 100). A sign-in ends them all; so does recovery.
package struct LockoutPolicy: Sendable {
    package static let standard = LockoutPolicy()

    package enum Verdict: Sendable, Equatable {
        /// Evaluate the password, then report with this ticket.
        case allowed(Ticket)
        case delayed(until: Instant)
        /// No more tries from here: only a known source, another factor or recovery leads in. To the outside it is a delay like any
        /// other, by `delayMax`.
        case exhausted
    }

    /// Which counters a try was counted on.
    package struct Ticket: Sendable, Equatable {
        fileprivate let counted: [Int]
    }

    private enum Place {
        static let account = 0
        static let reserve = 1
        static let source = 2
        static let known = 3
        static let device = 4
    }

    package let account: LockoutRule
    package let reserve: LockoutRule
    package let known: LockoutRule
    package let source: LockoutRule

    /// - Parameters:
    ///   - freeAttempts: 1…100.
    ///   - delay: After the free attempts; it doubles with each failure.
    ///   - delayMax: The longest wait.
    ///   - failuresMax: 5…100. Half of it is kept for known sources, in tenths; below 10 there is no such reserve.
    package init(
        freeAttempts: Int = 5, delay: Duration = .seconds(1), delayMax: Duration = .seconds(900), failuresMax: Int = 100
    ) {
        let free = Int64(min(max(freeAttempts, 1), 100))
        let total = Int64(min(max(failuresMax, 5), 100))
        let perSource = total / 10
        account = LockoutRule(freeAttempts: free, delay: delay, delayMax: delayMax, failuresMax: total - 5 * perSource)
        // The waits of known sources are their own; the reserve only ends.
        reserve = LockoutRule(freeAttempts: total, delay: .zero, delayMax: .zero, failuresMax: 5 * perSource)
        known = LockoutRule(freeAttempts: free, delay: delay, delayMax: delayMax, failuresMax: perSource)
        source = LockoutRule(freeAttempts: free * 10, delay: delay, delayMax: delayMax, window: .seconds(3_600))
    }

    /// Counts a try on every counter that it concerns, or, when one of them does not allow it, on none.
    ///
    /// - Parameter records: Those under `LockoutKeys.keys`, in that order; changed in place, to be stored.
    package func attempt(_ records: inout [ThrottleRecord?], at now: Instant) -> Verdict {
        guard records.count > Place.known else { return .exhausted }
        for place in [Place.device, Place.known] where records.indices.contains(place) && records[place] != nil {
            let places = place == Place.device ? [place, Place.reserve] : [place, Place.reserve, Place.source]
            let verdict = attempt(&records, at: places, now)
            // A known source that has used up its tries is known no more.
            if verdict != .exhausted { return verdict }
        }
        return attempt(&records, at: [Place.account, Place.source], now)
    }

    private func attempt(_ records: inout [ThrottleRecord?], at places: [Int], _ now: Instant) -> Verdict {
        var changed = records
        var until: Instant?
        for place in places {
            let (record, answer) = rule(place).attempt(records[place], at: now)
            changed[place] = record
            switch answer {
            case .allowed: break
            case .delayed(let end): until = max(until ?? end, end)
            case .exhausted: return .exhausted
            }
        }
        if let until {
            // What a block set back by the clock has become is kept; a count is not.
            for place in places {
                if let before = records[place], let after = changed[place], before.failures == after.failures { records[place] = after }
            }
            return .delayed(until: until)
        }
        records = changed
        return .allowed(Ticket(counted: places))
    }

    /// The password was wrong: the waits begin now.
    package func failed(_ ticket: Ticket, _ records: inout [ThrottleRecord?], at now: Instant) {
        for place in ticket.counted where records.indices.contains(place) {
            records[place] = rule(place).failed(records[place], at: now)
        }
    }

    /// The password was not looked at, because the server had no time: nobody has learnt anything, and the try is taken back.
    package func notEvaluated(_ ticket: Ticket, _ records: inout [ThrottleRecord?], at now: Instant) {
        for place in ticket.counted where records.indices.contains(place) {
            let refunded = rule(place).refunded(records[place], at: now)
            let isKnowledge = place == Place.known || place == Place.device
            // That a source is known outlasts its failures.
            records[place] =
                refunded ?? (isKnowledge ? ThrottleRecord(failures: 0, windowStartedAt: now, blockedUntil: LockoutRule.never) : nil)
        }
    }

    /// The sign-in is complete, every factor of it: the failures in a row are over, and the source and the device are known from now
    /// on. The source's count over all accounts loses only this try, or an attacker with one account of their own could clear it.
    package func succeeded(_ ticket: Ticket, _ records: inout [ThrottleRecord?], at now: Instant) {
        if ticket.counted.contains(Place.source), records.indices.contains(Place.source) {
            records[Place.source] = source.refunded(records[Place.source], at: now)
        }
        for place in [Place.account, Place.reserve] where records.indices.contains(place) {
            records[place] = rule(place).succeeded(records[place], at: now)
        }
        for place in [Place.known, Place.device] where records.indices.contains(place) {
            records[place] = ThrottleRecord(failures: 0, windowStartedAt: now, blockedUntil: LockoutRule.never)
        }
    }

    /// The password was set anew by recovery: nothing counts any more, and no source is known because of it.
    package func recovered(_ records: inout [ThrottleRecord?]) {
        for place in records.indices where place != Place.source { records[place] = nil }
    }

    private func rule(_ place: Int) -> LockoutRule {
        switch place {
        case Place.account: account
        case Place.reserve: reserve
        case Place.source: source
        default: known
        }
    }
}
