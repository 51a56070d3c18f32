package import AuthCore

/// What is remembered about failures under one key (an account, a source, a pair of both).
package struct ThrottleRecord: Sendable, Equatable {
    package var failures: Int64
    package var windowStartedAt: Instant
    package var blockedUntil: Instant

    package init(failures: Int64, windowStartedAt: Instant, blockedUntil: Instant) {
        self.failures = failures
        self.windowStartedAt = windowStartedAt
        self.blockedUntil = blockedUntil
    }
}

/// Counters of failures, kept in the store so that neither a crash nor another node forgets one (I9).
package protocol ThrottleStore: Sendable {
    /// Reads the records under `keys`, lets `decide` change them, and writes what changed.
    ///
    /// Atomic over all keys: of 64 callers each sees what the one before it wrote, so counting before verification holds
    /// (BF-03). `decide` may run again when a transaction is repeated. A record set to nothing is deleted.
    func throttle<Verdict: Sendable>(
        _ keys: [Identifier],
        _ decide: @escaping @Sendable (_ records: inout [ThrottleRecord?]) -> Verdict
    ) async throws(StoreError) -> Verdict
}
