/// The programs that share this store, and room for the rows that change most. Times are the database's, so that nobody's clock decides who is live.
let nodes = Migration(number: 3, name: "nodes") { dialect in
    let text = dialect.textType
    return [
        """
        CREATE TABLE nodes (
            id \(text) PRIMARY KEY, name \(text) NOT NULL, version \(text) NOT NULL, started_ms BIGINT NOT NULL, seen_ms BIGINT NOT NULL,
            live_until_ms BIGINT NOT NULL, keys_version BIGINT NOT NULL, clock_ahead_ms BIGINT NOT NULL, settings \(text) NOT NULL)
        """
    ] + ["grants", "sessions", "nodes", "feed", "throttles"].compactMap { table in dialect.updateRoom.map { "ALTER TABLE \(table) \($0)" } }
}
