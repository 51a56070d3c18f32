public import AuthCore
internal import Synchronization

/// This process's copy of the revocations, fed by whoever reads the log.
///
/// Its age is the time since the *sending* of the last confirmed catch-up, on a clock that runs while the machine sleeps.
/// Before the first snapshot it has no age: it is stale.
///
/// A feed begins with `replace`, goes on with `apply`, and calls `confirm` when there is nothing new. A revocation of this
/// very process comes in by `enforce`, before it is answered.
public final class RevocationReplica: Sendable {
    /// The default of `entriesMax`.
    public static let entriesMaxDefault = 4_000_000

    private struct State: Sendable {
        var revocations = Revocations()
        var expiries = ExpiryQueue()
        var forgetting = ForgettingTime()
        var position: RevocationPosition?
        var confirmedAt: Uptime?
        /// When the process last showed that it runs.
        var beatAt: Uptime?
        /// Confirmations sent before it do not count.
        var distrustedSince: Uptime?

        mutating func add(_ entries: [RevocationEntry]) {
            for entry in entries {
                if let until = revocations.add(entry) { expiries.insert(.init(kind: entry.kind, id: entry.id), until: until) }
            }
        }

        mutating func confirm(_ sentAt: Uptime) {
            if let distrustedSince, sentAt < distrustedSince { return }
            distrustedSince = nil
            confirmedAt = max(confirmedAt ?? sentAt, sentAt)
        }
    }

    private let state = Mutex(State())
    private let entriesMax: Int

    /// - Parameter entriesMax: The most entries that are held. A feed that brings more is not confirmed any further, so
    ///   that the replica grows stale rather than forgets.
    public init(entriesMax: Int = RevocationReplica.entriesMaxDefault) { self.entriesMax = entriesMax }

    /// What is revoked now.
    public var current: Revocations { state.withLock { $0.revocations } }

    /// Up to where the log is known; nothing before the first snapshot.
    public var position: RevocationPosition? { state.withLock { $0.position } }

    /// The time since the sending of the last confirmed catch-up; nothing when there was none that counts.
    public func age(at uptime: Uptime) -> Duration? { state.withLock { $0.confirmedAt }.map { uptime - $0 } }

    /// The sending of the last confirmed catch-up as a decision at `uptime` counts it; nothing when there was none, or the process did
    /// not run for a while and has not caught up since.
    public func confirmedAt(_ uptime: Uptime) -> Uptime? { look(at: uptime) { $1 } }

    /// What is revoked, and up to where it is complete, read together; nothing before the first snapshot.
    public var snapshot: (revocations: Revocations, position: RevocationPosition)? {
        state.withLock { state in state.position.map { (state.revocations, $0) } }
    }

    /// Adds what was committed behind the position that this replica has.
    ///
    /// Applying again, or out of order, changes nothing.
    ///
    /// - Parameters:
    ///   - position: The log is complete up to here with these entries.
    ///   - sentAt: When the question was sent whose answer this is; without it, only the entries count.
    /// - Returns: `false` when nothing was taken, because there is no snapshot, or one of another epoch, or no room:
    ///   take a snapshot.
    @discardableResult
    public func apply(_ entries: [RevocationEntry], through position: RevocationPosition, sentAt: Uptime?) -> Bool {
        state.withLock { state in
            guard let known = state.position, known.isSameEpoch(as: position), state.revocations.count + entries.count <= entriesMax else {
                return false
            }
            state.add(entries)
            if position.sequence > known.sequence { state.position = position }
            if let sentAt { state.confirm(sentAt) }
            return true
        }
    }

    /// Goes on from a snapshot. What is known already stays until it expires: this process may have revoked something since the snapshot
    /// was read, and a database that lost its last commits (a standby promoted too early) must not bring a token back.
    ///
    /// - Returns: `false` when nothing was changed: it is of the same epoch and older than what is known, or has no room.
    @discardableResult
    public func replace(_ entries: [RevocationEntry], through position: RevocationPosition, sentAt: Uptime?) -> Bool {
        guard entries.count <= entriesMax else { return false }
        return state.withLock { state in
            if let known = state.position, known.isSameEpoch(as: position), position.sequence < known.sequence { return false }
            state.position = position
            state.add(entries)
            if let sentAt { state.confirm(sentAt) }
            return true
        }
    }

    /// The position means nothing any more, and a snapshot will follow. What is known stays in force, and its age goes on.
    public func forgetPosition() { state.withLock { $0.position = nil } }

    /// Adds entries without saying that the log is complete up to any place: what this process itself has just revoked,
    /// or hears of ahead of its feed. Neither position nor age change, and no bound applies: they are in force when this returns.
    public func enforce(_ entries: [RevocationEntry]) { state.withLock { $0.add(entries) } }

    /// There was nothing new.
    ///
    /// - Parameter sentAt: When the question was sent.
    public func confirm(sentAt: Uptime) {
        state.withLock { state in
            if state.position != nil { state.confirm(sentAt) }
        }
    }

    /// The process runs. From the first call on, a gap above `gapMax` means that it did not: it was stopped, or the machine slept, and
    /// whoever decides within the first moments after it, before anybody could `distrust`, is told so by `look`.
    public func beat(at uptime: Uptime) { state.withLock { $0.beatAt = uptime } }

    /// The longest time between two beats that is no gap.
    public static let gapMax = Duration.seconds(1)

    /// Counts as stale until something is confirmed that was sent at `since` or later: after a gap in the feed's own loop.
    public func distrust(since: Uptime) {
        state.withLock { state in
            state.confirmedAt = nil
            state.distrustedSince = max(state.distrustedSince ?? since, since)
        }
    }

    /// Lets go of entries whose `until` is past, at most `stepsMax`, the earliest first. See `ForgettingTime` for a clock that jumps.
    ///
    /// The verifier calls it as it verifies new tokens; a feed may as well.
    public func prune(now: Instant, uptime: Uptime, stepsMax: Int = 256) {
        state.withLock { state in
            let now = state.forgetting.time(now: now, uptime: uptime)
            for _ in 0..<max(0, stepsMax) {
                guard let (until, key) = state.expiries.popFirst(before: now) else { return }
                state.revocations.remove(key, until: until)
            }
        }
    }

    /// Reads all parts of a decision at once.
    ///
    /// - Parameter uptime: Now. Nothing is confirmed when the last beat lies too far before it.
    func look<Result>(at uptime: Uptime, _ body: (Revocations, _ confirmedAt: Uptime?) -> Result) -> Result {
        let (revocations, confirmedAt, beatAt) = state.withLock { ($0.revocations, $0.confirmedAt, $0.beatAt) }
        let slept = beatAt.map { uptime - $0 > RevocationReplica.gapMax } ?? false
        return body(revocations, slept ? nil : confirmedAt)
    }
}
