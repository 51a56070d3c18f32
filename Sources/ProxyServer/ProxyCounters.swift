internal import Synchronization

/// What the data plane has done since it started; read by the metrics page at any time.
package final class ProxyCounters: Sendable {
    private let connects = Atomic<Int>(0)
    private let connectFailures = Atomic<Int>(0)
    private let reuses = Atomic<Int>(0)
    private let retries = Atomic<Int>(0)
    private let failures = Mutex<[ProxyFailure: Int]>([:])

    package struct Snapshot: Sendable {
        package var connects = 0
        package var connectFailures = 0
        /// Requests that went over a connection used before.
        package var reuses = 0
        /// Requests sent again because a connection used before was dead.
        package var retries = 0
        package var failures: [(reason: String, count: Int)] = []
    }

    package init() {}

    package var snapshot: Snapshot {
        Snapshot(
            connects: connects.load(ordering: .relaxed),
            connectFailures: connectFailures.load(ordering: .relaxed),
            reuses: reuses.load(ordering: .relaxed),
            retries: retries.load(ordering: .relaxed),
            failures: failures.withLock { counts in
                ProxyFailure.allCases.compactMap { failure in counts[failure].map { (failure.rawValue, $0) } }
            }
        )
    }

    func countConnect() { connects.wrappingAdd(1, ordering: .relaxed) }
    func countConnectFailure() { connectFailures.wrappingAdd(1, ordering: .relaxed) }
    func countReuse() { reuses.wrappingAdd(1, ordering: .relaxed) }
    func countRetry() { retries.wrappingAdd(1, ordering: .relaxed) }
    func count(_ failure: ProxyFailure) { failures.withLock { $0[failure, default: 0] += 1 } }
}
