import AuthCore
import StorePostgres
import Synchronization

/// When the follower looks into the store: at an interval, and at once when another node says so.
final class FeedWake: Sendable {
    let interval: Duration
    let wakes: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    private let listener: PostgresListener?

    /// - Parameter listener: Where notifications come from, if anywhere.
    init(interval: Duration, listener: (location: PostgresLocation, uptime: @Sendable () -> Uptime)?) {
        self.interval = interval
        // Several wakes before the follower looks are one: it reads everything that is there.
        let (wakes, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        (self.wakes, self.continuation) = (wakes, continuation)
        self.listener = listener.map { PostgresListener($0.location, uptime: $0.uptime) { continuation.yield() } }
    }

    /// Feeds `wakes` until the task is cancelled.
    func run() async {
        listener?.start()
        while !Task.isCancelled {
            try? await Task.sleep(for: interval)  // ends early when cancelled
            continuation.yield()
        }
        listener?.stop()
        continuation.finish()
    }
}
