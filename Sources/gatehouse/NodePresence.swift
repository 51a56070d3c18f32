import AuthCore
import Glibc
import Settings
import Store
import Synchronization

/// This node among those that share its store: says that it runs and which signing keys it has, measures its clock against the
/// database's, and notices settings that should be the same and are not.
final class NodePresence: Sendable {
    /// How often it reports, besides at each change of the signing keys.
    static let interval = Duration.seconds(5)
    /// The largest difference between a node's clock and the database's with which it is ready.
    static let clockBound = Duration.seconds(2)
    /// What a node's clock may stand off, and a report take, beyond the time that it answers without the store.
    private static let lifetimeMargin = Duration.seconds(10)
    /// Settings that mean something else to tokens and sign-ins when they differ between nodes.
    private static let shared = ["issuer", "mtls_url", "tokens.", "keys.", "revocations.", "lockout.", "validate."]

    private struct State: Sendable {
        var clockAhead = Duration.zero
        var clockProblem: String?
        /// Differences that were told already.
        var told: Set<String> = []
    }

    let id: Identifier
    private let report: NodeReport
    private let lifetime: Duration
    private let environment: Environment
    private let log: Log
    private let state = Mutex(State())

    init(_ settings: ServerSettings, environment: Environment, log: Log) {
        id = Identifier(Base64URL.encode(environment.randomBytes(16)))
        let entries = settings.resolved.entries.filter { entry in NodePresence.shared.contains { entry.key.name.hasPrefix($0) } }
        report = NodeReport(
            id: id, name: ProcessEnvironment.hostName, version: VersionCommand.version, startedAt: environment.now(),
            settings: Dictionary(entries.map { ($0.key.name, $0.shown) }, uniquingKeysWith: { $1 }))
        lifetime = settings.revocations.maxStaleness + NodePresence.lifetimeMargin
        self.environment = environment
        self.log = log
    }

    /// What is wrong with the clock, for the health page.
    var clockProblem: String? { state.withLock { $0.clockProblem } }

    /// Reports that this node runs.
    ///
    /// - Parameter keysVersion: The number of the signing keys that it verifies with; nothing before it has read them.
    /// - Throws: `.unusable` when a live node has another issuer: the two would refuse each other's tokens.
    func tell(_ store: any NodeStore, keysVersion: Int64?) async throws(StoreError) {
        var report = report
        report.keysVersion = keysVersion ?? -1
        report.clockAhead = state.withLock { $0.clockAhead }
        let sentAt = environment.now()
        let survey = try await store.report(report, lifetime: lifetime)
        measure(survey.databaseTime, sentAt: sentAt, receivedAt: environment.now())
        for node in survey.nodes where node.isLive && node.report.id != id { try compare(node.report) }
    }

    /// The database read its clock at some moment between the two: only what no such moment explains is a difference.
    private func measure(_ databaseTime: Instant, sentAt: Instant, receivedAt: Instant) {
        let ahead = sentAt - databaseTime
        let behind = databaseTime - receivedAt
        let problem: String? =
            if ahead > NodePresence.clockBound {
                "this machine's clock is \(ahead.wholeMilliseconds) ms ahead of the database's"
            } else if behind > NodePresence.clockBound {
                "this machine's clock is \(behind.wholeMilliseconds) ms behind the database's"
            } else { nil }
        let isNew = state.withLock { state in
            defer { state.clockProblem = problem }
            state.clockAhead = ahead > .zero ? ahead : behind > .zero ? .zero - behind : .zero
            return (problem == nil) != (state.clockProblem == nil)
        }
        if isNew, let problem { log(.error, "clock_differs", [("problem", problem)]) }
        if isNew, problem == nil { log(.info, "clock_agrees") }
    }

    private func compare(_ other: NodeReport) throws(StoreError) {
        for (name, ours) in report.settings.sorted(by: { $0.key < $1.key }) {
            guard let theirs = other.settings[name], !theirs.isSameBytes(as: ours) else { continue }
            if name == "issuer" {
                throw .unusable("\(name) is \(ours) here and \(theirs) on \(other.name), which uses the same database: it must be one")
            }
            // Once for each: while nodes are restarted with a new setting, they differ for a moment.
            let isNew = state.withLock { $0.told.count < 1_000 && $0.told.insert("\(name) \(theirs) \(other.id)").inserted }
            if isNew {
                log(.warning, "settings_differ", [("setting", name), ("here", ours), ("there", theirs), ("node", other.name)])
            }
        }
    }
}
