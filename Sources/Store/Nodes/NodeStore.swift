package import AuthCore

/// What a running program says of itself to the others that share its store.
package struct NodeReport: Sendable, Equatable {
    /// Random, made when the program starts.
    package var id: Identifier
    /// For people: the machine's name.
    package var name: String
    package var version: String
    package var startedAt: Instant
    /// The number of the signing keys that it verifies with. Below every real one before it has read them.
    package var keysVersion: Int64
    /// How far its clock is ahead of the database's, as far as it knows.
    package var clockAhead: Duration
    /// The settings that should be the same everywhere, as they are shown to people; never a secret.
    package var settings: [String: String]

    package init(
        id: Identifier, name: String, version: String, startedAt: Instant, keysVersion: Int64 = -1, clockAhead: Duration = .zero,
        settings: [String: String] = [:]
    ) {
        self.id = id
        self.name = name
        self.version = version
        self.startedAt = startedAt
        self.keysVersion = keysVersion
        self.clockAhead = clockAhead
        self.settings = settings
    }
}

/// A program that has reported.
package struct NodeRecord: Sendable, Equatable {
    package var report: NodeReport
    /// By the database's clock.
    package var seenAt: Instant
    /// Whether it may still answer requests from what it holds in memory.
    package var isLive: Bool

    package init(report: NodeReport, seenAt: Instant, isLive: Bool) {
        self.report = report
        self.seenAt = seenAt
        self.isLive = isLive
    }
}

/// Who shares the store, as of one report.
package struct NodeSurvey: Sendable {
    /// The database's clock, read between the sending of the report and its answer.
    package var databaseTime: Instant
    /// Everybody, the one that asks included; at most `NodeSurvey.nodesMax`, the latest seen first.
    package var nodes: [NodeRecord]

    package static let nodesMax = 10_000

    package init(databaseTime: Instant, nodes: [NodeRecord]) {
        self.databaseTime = databaseTime
        self.nodes = nodes
    }
}

/// The programs that share the store. A signing key is used only after every live one has acknowledged it.
package protocol NodeStore: Sendable {
    /// Says that a node runs, and reads who else does. Rows of nodes that were not seen for an hour go.
    ///
    /// - Parameter lifetime: How long it counts as live without another report: longer than it would go on answering without the store.
    func report(_ node: NodeReport, lifetime: Duration) async throws(StoreError) -> NodeSurvey
    /// Who shares the store now.
    func nodes() async throws(StoreError) -> NodeSurvey
    /// The node has stopped: nobody waits for it any more.
    func leave(_ node: Identifier) async throws(StoreError)
}
