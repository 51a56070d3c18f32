import AuthCore
import StorePostgres
import Synchronization
import TokenVerification

/// When the follower looks into the store: at an interval, and at once when another node says so.
final class FeedWake: Sendable {
    let interval: Duration
    let wakes: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    private let listener: PostgresListener?

    /// - Parameter listener: Where notifications come from, if anywhere.
    init(interval: Duration, listener: PostgresServers?) {
        self.interval = interval
        // Several wakes before the follower looks are one: it reads everything that is there.
        let (wakes, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        (self.wakes, self.continuation) = (wakes, continuation)
        self.listener = listener.map { PostgresListener($0) { continuation.yield() } }
    }

    /// There is something to read now.
    func wakeUp() { continuation.yield() }

    /// How often the process shows that it runs: well within the gap that means it did not.
    static let beatInterval = Duration.milliseconds(200)

    /// Feeds `wakes`, and notices when the process did not run, until the task is cancelled.
    func run(_ replica: RevocationReplica, uptime: @Sendable () -> Uptime) async {
        listener?.start()
        var (beatAt, wokeAt) = (uptime(), uptime())
        replica.beat(at: beatAt)
        while !Task.isCancelled {
            try? await Task.sleep(for: min(interval, FeedWake.beatInterval))  // ends early when cancelled
            let now = uptime()
            // Before the beat, which ends the doubt: nothing that was known counts until the log was read again.
            if now - beatAt > RevocationReplica.gapMax { replica.distrust(since: now) }
            replica.beat(at: now)
            beatAt = now
            if now - wokeAt >= interval {
                wokeAt = now
                continuation.yield()
            }
        }
        listener?.stop()
        continuation.finish()
    }
}
