import AuthCore
import Store

/// When the queue of logouts is looked at: at an interval, and at once when a session ended in this process.
struct LogoutWake: Sendable {
    /// For what failed before, and for what another process has ended and then not told.
    static let interval = Duration.seconds(5)

    let wakes: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        // Several wakes before the queue is looked at are one: all that is due is taken.
        (wakes, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func wakeUp() { continuation.yield() }

    /// Called by the store after each commit that revoked something.
    func committed(_ batch: FeedBatch) {
        if batch.records.contains(where: { $0.kind == .session }) { wakeUp() }
    }

    /// Wakes at the interval, until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            wakeUp()
            try? await Task.sleep(for: LogoutWake.interval)  // ends early when cancelled
        }
        continuation.finish()
    }
}
