import AuthCore
import Synchronization

/// A clock that stands still until told, and bytes that follow from a count.
final class TestEnvironment: Sendable {
    private let milliseconds = Atomic<Int64>(1_700_000_000_000)
    private let calls = Atomic<UInt64>(0)

    var now: Instant { Instant(milliseconds: milliseconds.load(ordering: .relaxed)) }

    func advance(_ duration: Duration) { milliseconds.add(duration.wholeMilliseconds, ordering: .relaxed) }

    var environment: Environment {
        Environment(
            now: { self.now },
            uptime: { Uptime(nanoseconds: UInt64(self.now.milliseconds) * 1_000_000) },
            randomBytes: { count in
                let call = self.calls.add(1, ordering: .relaxed).newValue
                return (0..<count).map { UInt8(truncatingIfNeeded: call &* 31 &+ UInt64($0)) }
            }
        )
    }
}
