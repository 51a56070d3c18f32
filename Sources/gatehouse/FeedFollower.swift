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

    /// Reads what was committed since the last read, or a snapshot when there is no common position.
    ///
    /// - Returns: The numbers of what else is stored, as of this reading.
    @discardableResult
    func catchUp(_ store: any RevocationStore) async throws(StoreError) -> StoreVersions {
        let sentAt = environment.uptime()
        while let position = replica.position {
            guard let batch = try await store.revocations(after: FeedPosition(position), limit: FeedFollower.readMax) else { break }
            let entries = batch.records.map(RevocationEntry.init)
            events.append(entries, batch.sequences, after: position, through: RevocationPosition(batch.position))
            guard replica.apply(entries, through: RevocationPosition(batch.position), sentAt: sentAt) else { break }
            if batch.records.count < FeedFollower.readMax {
                replica.confirm(sentAt: sentAt)
                events.confirm(sentAt: sentAt)
                replica.prune(now: environment.now(), uptime: environment.uptime())
                return batch.versions
            }
        }
        let snapshot = try await store.revocationSnapshot()
        events.restart(at: RevocationPosition(snapshot.position))
        _ = replica.replace(snapshot.records.map(RevocationEntry.init), through: RevocationPosition(snapshot.position), sentAt: sentAt)
        events.confirm(sentAt: sentAt)
        // From the start on, so that the first jump of the clock is seen as one.
        replica.prune(now: environment.now(), uptime: environment.uptime())
        log(.info, "revocations_snapshot", [("entries", String(snapshot.records.count)), ("epoch", snapshot.position.epoch)])
        return snapshot.versions
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
