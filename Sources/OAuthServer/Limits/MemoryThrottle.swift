package import AuthCore
package import Store
internal import Synchronization

/// Failures under many keys, counted by one `LockoutRule` in the memory of this process: where a count must cost the store nothing, and
/// may be forgotten by a restart and not be known to other nodes.
///
/// Bounded. Where there is no room for one key more, those go whose window is over, then one that is not near its limit; one that has
/// reached the free attempts never goes before its window is over. When all have, the failure is not counted, and `uncounted` says so:
/// nobody is kept out because others fail.
package final class MemoryThrottle: Sendable {
    /// What is counted under: a name, an address, or both. A keyed hash of 64 bits, so that long names cost nothing, and nobody can
    /// choose two that meet.
    package struct Key: Hashable, Sendable {
        private let value: UInt64
        /// Evenly over all numbers.
        var spread: UInt64 { value }

        package init(_ name: Identifier? = nil, from address: PeerAddress? = nil) {
            var hasher = Hasher()
            hasher.combine(name)
            hasher.combine(address?.throttled)
            value = UInt64(truncatingIfNeeded: hasher.finalize())
        }
    }

    package enum Outcome: Sendable, Equatable {
        /// - Parameter limit: The wait that begins with it, if one does.
        case counted(limit: Duration?)
        /// The very same failure was counted before.
        case repeated
        /// Not counted, because there was no free attempt any more: somebody else was faster.
        case limited(Duration)
        /// There is no room.
        case uncounted
    }

    private static let shardCount = 16
    /// How many of the last failures under a key are known again.
    private static let seenMax = 4
    /// How many entries are looked at for one that can go.
    private static let candidates = 16

    private struct Entry {
        var record: ThrottleRecord
        var seen: [UInt64] = []
    }

    private struct Entries {
        var byKey: [Key: Entry] = [:]
        /// Looking through all of them is for once a second.
        var sweptAt = Instant(milliseconds: 0)
    }

    private final class Shard: Sendable {
        let entries = Mutex(Entries())
    }

    private let rule: LockoutRule
    private let perShard: Int
    private let shards: [Shard]
    /// The end of the last wait that was begun, in milliseconds: until then, and only then, there is something to look for.
    private let limitedUntil = Atomic<Int64>(0)
    /// Whether anything was ever counted.
    private let isUsed = Atomic<Bool>(false)
    private let left = Atomic<Int64>(0)

    /// - Parameters:
    ///   - rule: With a window, or nothing would ever be forgotten.
    ///   - entriesMax: Of about 150 bytes each.
    package init(_ rule: LockoutRule, entriesMax: Int = 65_536) {
        self.rule = rule
        perShard = max(1, entriesMax / MemoryThrottle.shardCount)
        shards = (0..<MemoryThrottle.shardCount).map { _ in Shard() }
    }

    /// Failures that were not counted, because there was no room.
    package var uncounted: Int64 { left.load(ordering: .relaxed) }

    package var count: Int { shards.reduce(0) { $0 + $1.entries.withLock { $0.byKey.count } } }

    /// How long a try under this key has to wait; nothing when it may be evaluated. One atomic read while nobody waits.
    package func wait(_ key: @autoclosure () -> Key, at now: Instant) -> Duration? {
        if limitedUntil.load(ordering: .relaxed) <= now.milliseconds { return nil }
        let key = key()
        return shard(key).entries.withLock { entries in entries.byKey[key].flatMap { rule.wait($0.record, at: now) } }
    }

    /// A try under this key was evaluated, and failed.
    ///
    /// - Parameter seen: What it failed with, as a keyed hash: the same again is the same failure.
    package func failed(_ key: Key, seen: UInt64? = nil, at now: Instant) -> Outcome {
        isUsed.store(true, ordering: .relaxed)
        let outcome = shard(key).entries.withLock { counted(key, seen, &$0, at: now) }
        if case .counted(let limit?) = outcome {
            limitedUntil.max((now + limit).milliseconds, ordering: .relaxed)
        } else if outcome == .uncounted {
            left.add(1, ordering: .relaxed)
        }
        return outcome
    }

    /// A try under this key succeeded: its failures are over. What they were with is still known.
    package func succeeded(_ key: Key) {
        guard isUsed.load(ordering: .relaxed) else { return }
        shard(key).entries.withLock { entries in
            guard var entry = entries.byKey[key] else { return }
            (entry.record.failures, entry.record.blockedUntil) = (0, LockoutRule.never)
            entries.byKey[key] = entry.seen.isEmpty ? nil : entry
        }
    }

    private func shard(_ key: Key) -> Shard { shards[Int(truncatingIfNeeded: key.spread % UInt64(MemoryThrottle.shardCount))] }

    private func counted(_ key: Key, _ seen: UInt64?, _ entries: inout Entries, at now: Instant) -> Outcome {
        let before = entries.byKey[key]
        let (record, answer) = rule.attempt(before?.record, at: now)
        switch answer {
        case .allowed: break
        case .delayed(let until): return .limited(until - now)
        case .exhausted: return .limited(rule.delayMax)
        }
        if let seen, let before, before.seen.contains(seen) { return .repeated }
        guard let record, before != nil || makeRoom(&entries, at: now) else { return .uncounted }
        var entry = before ?? Entry(record: record)
        entry.record = record
        if let seen { entry.seen = entry.seen.suffix(MemoryThrottle.seenMax - 1) + [seen] }
        entries.byKey[key] = entry
        return .counted(limit: rule.wait(record, at: now))
    }

    private func makeRoom(_ entries: inout Entries, at now: Instant) -> Bool {
        if entries.byKey.count < perShard { return true }
        if now - entries.sweptAt >= .seconds(1) || now < entries.sweptAt {
            entries.sweptAt = now
            entries.byKey = entries.byKey.filter { !rule.isOver($0.value.record, at: now) }
            if entries.byKey.count < perShard { return true }
        }
        let victim = entries.byKey.lazy.prefix(MemoryThrottle.candidates).first { $0.value.record.failures < self.rule.freeAttempts }
        guard let victim else { return false }
        entries.byKey.removeValue(forKey: victim.key)
        return true
    }
}

extension LockoutRule {
    /// So many in a minute, then none until it is over.
    package static func perMinute(_ most: Int64) -> LockoutRule {
        LockoutRule(freeAttempts: most, delay: .seconds(60), delayMax: .seconds(60), window: .seconds(60))
    }
}
