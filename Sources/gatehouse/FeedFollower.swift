import AuthCore
import Store
import TokenVerification
import WebServer

/// Keeps the replica of the revocations of this process up to date.
///
/// What this process revokes is in the replica before its caller is answered. The follower reads the log besides, once a
/// second: that proves that the replica is complete, and its age is the time since the last such proof.
struct FeedFollower: Sendable {
    let replica: RevocationReplica
    /// Told of everything before the replica is.
    let events: EventFeed
    let wake: FeedWake
    let environment: Environment
    let log: Log

    /// How often the log is read.
    static let interval = Duration.milliseconds(500)
    /// The same where nobody tells of changes and other nodes make them.
    static let pollInterval = Duration.milliseconds(100)
    /// The most entries of one read.
    static let readMax = 1_000

    /// Called by the store after each commit that revoked something. The place in the log is left to `catchUp`: other nodes may have
    /// committed in between.
    func committed(_ batch: FeedBatch) {
        replica.enforce(batch.records.map(RevocationEntry.init))
        // Readers of the event stream are told with the place in the log, so it is read at once rather than at the next interval.
        if events.readerCount > 0 { wake.wakeUp() }
    }

    /// The most lost entries that are brought back at once. The log is not followed meanwhile.
    private static let reinstateMax = 10_000
    /// Entries that end within it may have been cleaned away by a node whose clock is ahead.
    private static let cleanupMargin = Duration.seconds(10)

    /// Reads what was committed since the last read, or a snapshot when there is no common position.
    ///
    /// - Returns: The numbers of what else is stored, as of this reading.
    @discardableResult
    func catchUp(_ store: any RevocationStore & AuditStore) async throws(StoreError) -> StoreVersions {
        let sentAt = environment.uptime()
        while let position = replica.position {
            guard let batch = try await store.revocations(after: FeedPosition(position), limit: FeedFollower.readMax) else { break }
            let entries = batch.records.map(RevocationEntry.init)
            events.append(entries, batch.sequences, after: position, through: RevocationPosition(batch.position))
            // A part of what was missed proves nothing: only the last one, below, says that there is no more.
            guard replica.apply(entries, through: RevocationPosition(batch.position), sentAt: nil) else { break }
            if batch.records.count < FeedFollower.readMax {
                replica.confirm(sentAt: sentAt)
                events.confirm(sentAt: sentAt)
                replica.prune(now: environment.now(), uptime: environment.uptime())
                return batch.versions
            }
        }
        // Whatever is known now was committed before: a snapshot that lacks it comes from a database that has lost it.
        let (position, known) = (replica.position, replica.position == nil ? [] : replica.current.all)
        var snapshot = try await store.revocationSnapshot()
        if let position, position.isSameEpoch(as: RevocationPosition(snapshot.position)), snapshot.position.sequence < position.sequence {
            try await store.renewEpoch(behind: FeedPosition(position))
            snapshot = try await store.revocationSnapshot()
        }
        events.restart(at: RevocationPosition(snapshot.position))
        _ = replica.replace(snapshot.records.map(RevocationEntry.init), through: RevocationPosition(snapshot.position), sentAt: sentAt)
        events.confirm(sentAt: sentAt)
        // From the start on, so that the first jump of the clock is seen as one.
        replica.prune(now: environment.now(), uptime: environment.uptime())
        log(.info, "revocations_snapshot", [("entries", String(snapshot.records.count)), ("epoch", snapshot.position.epoch)])
        try await bringBack(lost(known, in: snapshot), from: position, to: snapshot.position, store)
        return snapshot.versions
    }

    /// What was known and is not in the snapshot although it is still in force.
    private func lost(_ known: [RevocationEntry], in snapshot: FeedBatch) -> [RevocationEntry] {
        if known.isEmpty { return [] }
        struct Key: Hashable {
            let kind: RevocationRecord.Kind
            let id: Identifier
        }
        var epochs: [Key: Int64] = [:]
        for record in snapshot.records {
            epochs[Key(kind: record.kind, id: record.id), default: 0] = max(
                epochs[Key(kind: record.kind, id: record.id)] ?? 0, record.epoch ?? 0)
        }
        let now = environment.now()
        return known.filter { entry in
            guard entry.until > now + FeedFollower.cleanupMargin else { return false }
            guard let epoch = epochs[Key(kind: RevocationRecord(entry).kind, id: entry.id)] else { return true }
            return epoch < entry.epoch ?? 0
        }
    }

    /// The database came back without its last commits: a standby was promoted that did not have them, or a backup was restored. What is
    /// known to be revoked is revoked again; the rest that was lost nobody here knows, so the operator is told.
    private func bringBack(
        _ lost: [RevocationEntry], from known: RevocationPosition?, to found: FeedPosition, _ store: any RevocationStore & AuditStore
    ) async throws(StoreError) {
        guard !lost.isEmpty else { return }
        let traceID = TraceID(environment).description
        log(
            .error, "store_rollback_detected",
            [
                ("lost", String(lost.count)), ("known", known?.description ?? ""), ("found", RevocationPosition(found).description),
                ("trace_id", traceID),
            ])
        var count = 0
        for entry in lost.prefix(FeedFollower.reinstateMax) {
            if try await store.reinstate(RevocationRecord(entry), lostBefore: found, at: environment.now()) { count += 1 }
        }
        log(.warning, "revocations_reinstated", [("count", String(count)), ("trace_id", traceID)])
        if count > 0 {
            let event = AuditEvent(
                .storeRollback, at: environment.now(), source: "gatehouse", reason: "store_rollback_detected", traceID: traceID)
            try await store.append(event)
        }
    }
}

extension RevocationRecord {
    init(_ entry: RevocationEntry) {
        let kind: Kind =
            switch entry.kind {
            case .session: .session
            case .grant: .grant
            case .account: .account
            case .client: .client
            case .token: .token
            case .key: .key
            }
        self.init(kind: kind, id: entry.id, epoch: entry.epoch, until: entry.until)
    }
}

extension RevocationEntry {
    init(_ record: RevocationRecord) {
        let kind: RevocationKind =
            switch record.kind {
            case .session: .session
            case .grant: .grant
            case .account: .account
            case .client: .client
            case .token: .token
            case .key: .key
            }
        self.init(kind: kind, id: record.id, epoch: record.epoch, until: record.until)
    }
}

extension RevocationPosition {
    init(_ position: FeedPosition) { self.init(epoch: position.epoch, sequence: position.sequence) }
}

extension FeedPosition {
    init(_ position: RevocationPosition) { self.init(epoch: position.epoch, sequence: position.sequence) }
}
