package import AuthCore
package import Store

extension SQLTransaction {
    fileprivate func survey() throws(StoreError) -> NodeSurvey {
        guard let now = try query("SELECT \(dialect.databaseTime)").first?.instant(0) else { throw .corrupt("the database has no time") }
        let rows = try query(
            """
            SELECT id, name, version, started_ms, keys_version, clock_ahead_ms, settings, seen_ms, live_until_ms FROM nodes
            ORDER BY seen_ms DESC, id LIMIT ?1
            """,
            .int(Int64(NodeSurvey.nodesMax))
        )
        var nodes: [NodeRecord] = []
        for row in rows {
            let report = NodeReport(
                id: try row.identifier(0), name: try row.text(1), version: try row.text(2), startedAt: try row.instant(3),
                keysVersion: try row.int(4), clockAhead: .milliseconds(try row.int(5)), settings: try row.names(6)
            )
            nodes.append(NodeRecord(report: report, seenAt: try row.instant(7), isLive: try row.instant(8) > now))
        }
        return NodeSurvey(databaseTime: now, nodes: nodes)
    }

    /// Whether every live node verifies with the signing keys as they are now.
    func keysAreAcknowledged() throws(StoreError) -> Bool {
        try query(
            """
            SELECT nodes.id FROM nodes, feed WHERE feed.id = 1 AND nodes.keys_version < feed.keys_version
                AND nodes.live_until_ms > \(dialect.databaseTime) LIMIT 1
            """
        ).isEmpty
    }
}

extension SQLRow {
    /// A flat object of texts.
    fileprivate func names(_ column: Int) throws(StoreError) -> [String: String] {
        let text = try text(column)
        guard let object = (try? JSONReader.read(text))?.object else { throw .corrupt("nodes.settings") }  // the error says which
        return object.reduce(into: [:]) { $0[$1.0] = $1.1.string ?? "" }
    }
}

extension SQLStore {
    /// How long the row of a node that is gone stays, for people to see.
    private static let goneKeep = Duration.seconds(3_600)

    package func report(_ node: NodeReport, lifetime: Duration) async throws(StoreError) -> NodeSurvey {
        var settings = JSONWriter()
        settings.object { for (name, value) in node.settings.sorted(by: { $0.key < $1.key }) { $0.member(named: name, .string(value)) } }
        let text = settings.text
        return try await write { (transaction) throws(StoreError) in
            let now = transaction.dialect.databaseTime
            try transaction.execute(
                """
                INSERT INTO nodes (id, name, version, started_ms, seen_ms, live_until_ms, keys_version, clock_ahead_ms, settings)
                VALUES (?1, ?2, ?3, ?4, \(now), \(now) + ?5, ?6, ?7, ?8)
                ON CONFLICT (id) DO UPDATE SET seen_ms = \(now), live_until_ms = \(now) + ?5, keys_version = ?6, clock_ahead_ms = ?7,
                    settings = ?8
                """,
                .id(node.id), .text(node.name), .text(node.version), .time(node.startedAt), .int(lifetime.wholeMilliseconds),
                .int(node.keysVersion), .int(node.clockAhead.wholeMilliseconds), .text(text)
            )
            try transaction.execute(
                """
                DELETE FROM nodes WHERE id IN (
                    SELECT id FROM nodes WHERE live_until_ms < \(now) - ?1 LIMIT ?2\(transaction.dialect.skipLockedClause))
                """,
                .int(SQLStore.goneKeep.wholeMilliseconds), .int(SQLStore.cleanupBatch)
            )
            return try transaction.survey()
        }
    }

    package func nodes() async throws(StoreError) -> NodeSurvey {
        try await read { (transaction) throws(StoreError) in try transaction.survey() }
    }

    package func leave(_ node: Identifier) async throws(StoreError) {
        try await write { (transaction) throws(StoreError) in try transaction.execute("DELETE FROM nodes WHERE id = ?1", .id(node)) }
    }
}
