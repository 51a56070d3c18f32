internal import AuthCore
internal import Synchronization

/// What one server has done since it started; read by the metrics page at any time.
package final class EdgeCounters: Sendable {
    private let accepted = Atomic<Int>(0)
    private let closed = Atomic<Int>(0)
    private let refused = Atomic<Int>(0)
    private let requests = Atomic<Int>(0)
    private let bytesIn = Atomic<Int>(0)
    private let bytesOut = Atomic<Int>(0)
    private let timeouts = Atomic<Int>(0)
    private let success = Atomic<Int>(0)
    private let redirection = Atomic<Int>(0)
    private let clientError = Atomic<Int>(0)
    private let serverError = Atomic<Int>(0)
    private let failures = Mutex<[HeadFailure: Int]>([:])
    private let certificates = Mutex<[ClientCertificateError: Int]>([:])

    package struct Snapshot: Sendable {
        package var connectionsOpen = 0
        package var connectionsAccepted = 0
        /// Over `connectionsMax` or `connectionsPerAddressMax`.
        package var connectionsRefused = 0
        package var requests = 0
        package var bytesIn = 0
        package var bytesOut = 0
        package var timeouts = 0
        /// By class: 2xx, 3xx, 4xx, 5xx.
        package var answers: [(statusClass: Int, count: Int)] = []
        /// Heads and bodies that were refused, by reason.
        package var failures: [(reason: String, count: Int)] = []
        /// Handshakes that failed for the client's certificate, by reason.
        package var certificatesRefused: [(reason: String, count: Int)] = []
    }

    package init() {}

    package var snapshot: Snapshot {
        let accepted = accepted.load(ordering: .relaxed)
        return Snapshot(
            connectionsOpen: accepted - closed.load(ordering: .relaxed),
            connectionsAccepted: accepted,
            connectionsRefused: refused.load(ordering: .relaxed),
            requests: requests.load(ordering: .relaxed),
            bytesIn: bytesIn.load(ordering: .relaxed),
            bytesOut: bytesOut.load(ordering: .relaxed),
            timeouts: timeouts.load(ordering: .relaxed),
            answers: [
                (2, success.load(ordering: .relaxed)), (3, redirection.load(ordering: .relaxed)),
                (4, clientError.load(ordering: .relaxed)), (5, serverError.load(ordering: .relaxed)),
            ],
            failures: failures.withLock { counts in
                HeadFailure.allCases.compactMap { failure in counts[failure].map { (failure.rawValue, $0) } }
            },
            certificatesRefused: certificates.withLock { counts in
                ClientCertificateError.allCases.compactMap { error in counts[error].map { (error.rawValue, $0) } }
            }
        )
    }

    func countAccepted() { accepted.wrappingAdd(1, ordering: .relaxed) }
    func countClosed() { closed.wrappingAdd(1, ordering: .relaxed) }
    func countRefused() { refused.wrappingAdd(1, ordering: .relaxed) }
    func countRequest() { requests.wrappingAdd(1, ordering: .relaxed) }
    func countIn(_ bytes: Int) { bytesIn.wrappingAdd(bytes, ordering: .relaxed) }
    func countOut(_ bytes: Int) { bytesOut.wrappingAdd(bytes, ordering: .relaxed) }
    func countTimeout() { timeouts.wrappingAdd(1, ordering: .relaxed) }
    func count(_ error: ClientCertificateError) { certificates.withLock { $0[error, default: 0] += 1 } }
    func count(_ failure: HeadFailure) { failures.withLock { $0[failure, default: 0] += 1 } }

    func countAnswer(status: Int) {
        switch status {
        case 200...299: success.wrappingAdd(1, ordering: .relaxed)
        case 300...399: redirection.wrappingAdd(1, ordering: .relaxed)
        case 400...499: clientError.wrappingAdd(1, ordering: .relaxed)
        default: serverError.wrappingAdd(1, ordering: .relaxed)
        }
    }
}
