import AuthCore
import Store
import Synchronization
import TestSupport
import Testing
import TokenVerification
import WebServer

@testable import gatehouse

/// What may be concluded from reading the log of revocations.
@Suite("The follower of the log of revocations")
struct FeedFollowerTests {
    /// A log that has grown by `count` since its snapshot. Its connection is lost after some reads.
    private final class Log: RevocationStore, AuditStore {
        private let count: Int64
        private let readsLeft: Mutex<Int>

        init(count: Int64, reads: Int) {
            self.count = count
            readsLeft = Mutex(reads)
        }

        func allow(reads: Int) { readsLeft.withLock { $0 = reads } }

        func revocationSnapshot() -> FeedBatch { FeedBatch(position: FeedPosition(epoch: "e", sequence: 0), records: []) }

        func revocations(after position: FeedPosition, limit: Int) throws(StoreError) -> FeedBatch? {
            let isAllowed = readsLeft.withLock { left in
                left -= 1
                return left >= 0
            }
            guard isAllowed else { throw .unavailable("the connection was lost") }
            let sequences = Array((position.sequence + 1)...max(position.sequence + 1, count)).prefix(limit).filter { $0 <= count }
            let records = sequences.map {
                RevocationRecord(kind: .session, id: Identifier("s\($0)"), until: Instant(seconds: 4_000_000_000))
            }
            return FeedBatch(
                position: FeedPosition(epoch: "e", sequence: sequences.last ?? count), records: records, sequences: sequences)
        }

        func renewEpoch(behind position: FeedPosition) {}
        func raiseVersions(above versions: StoreVersions) {}
        func reinstate(_ record: RevocationRecord, lostBefore position: FeedPosition, at now: Instant) -> Bool { false }
        func revokeToken(_ id: Identifier, until expiry: Instant, event: AuditEvent) {}
        func append(_ event: AuditEvent) {}
        func events(before: Int64?, limit: Int, account: Identifier?) -> [(number: Int64, event: AuditEvent)] { [] }
    }

    @Test("a node that has missed more than one read brings is not up to date before the last of them (R-19, I3)")
    func brokenOff() async throws {
        // In seconds.
        let time = Tally()
        var environment = Environment.live
        environment.uptime = { Uptime(nanoseconds: UInt64(time.value) * 1_000_000_000) }
        let replica = RevocationReplica()
        let follower = FeedFollower(
            replica: replica, events: EventFeed(replica: replica), wake: FeedWake(interval: FeedFollower.interval, listener: nil),
            environment: environment, log: Lines().log)
        let log = Log(count: Int64(FeedFollower.readMax) + 500, reads: 1)
        time.add()
        try await follower.catchUp(log)
        for _ in 0..<60 { time.add() }
        await #expect(throws: StoreError.self) { try await follower.catchUp(log) }
        // What was read is in force, and it is known that there may be more.
        #expect(replica.current.count == FeedFollower.readMax)
        #expect(replica.age(at: environment.uptime()) == .seconds(60))
        log.allow(reads: 2)
        try await follower.catchUp(log)
        #expect(replica.current.count == FeedFollower.readMax + 500)
        #expect(replica.age(at: environment.uptime()) == .zero)
    }
}
