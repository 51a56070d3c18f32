/// The programs that share this store, by the database's clock, so that nobody's own decides who is live; and room for the rows that change
/// most.
let nodes = Migration(number: 3, name: "nodes") { dialect in
    let text = dialect.textType
    return [
        """
        CREATE TABLE nodes (
            id \(text) PRIMARY KEY, name \(text) NOT NULL, version \(text) NOT NULL, started_ms BIGINT NOT NULL, seen_ms BIGINT NOT NULL,
            live_until_ms BIGINT NOT NULL, keys_version BIGINT NOT NULL, clock_ahead_ms BIGINT NOT NULL, settings \(text) NOT NULL)
        """
    ] + (dialect.updateRoom.map { ["ALTER TABLE grants \($0)"] } ?? [])
}
