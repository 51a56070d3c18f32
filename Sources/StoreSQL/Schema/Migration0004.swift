/// Authorization codes are states of a grant's row; beside it what authorization servers keep for a short time, consent, and whom to tell
/// when a session ends.
let authorizations = Migration(number: 4, name: "authorizations") { dialect in
    let text = dialect.textType
    let bytes = dialect.bytesType
    return [
        "ALTER TABLE grants ADD COLUMN is_offline BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE grants ADD COLUMN code_until_ms BIGINT",
        "ALTER TABLE grants ADD COLUMN code_spent BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE grants ADD COLUMN binding \(text)",
        // A browser's sign-in, by the hash of its cookie.
        """
        CREATE TABLE browser_sessions (
            cookie_hash \(bytes) PRIMARY KEY, session_id \(text) NOT NULL, account_id \(text) NOT NULL, expires_ms BIGINT NOT NULL)
        """,
        "CREATE INDEX browser_sessions_session ON browser_sessions (session_id)",
        "CREATE INDEX browser_sessions_expires ON browser_sessions (expires_ms)",
        // Clients that want to be told when a session ends.
        """
        CREATE TABLE session_clients (
            session_id \(text) NOT NULL, client_id \(text) NOT NULL, expires_ms BIGINT NOT NULL, PRIMARY KEY (session_id, client_id))
        """,
        "CREATE INDEX session_clients_expires ON session_clients (expires_ms)",
        // Of those, what has not been delivered yet.
        """
        CREATE TABLE logouts (
            id \(text) PRIMARY KEY, session_id \(text) NOT NULL, client_id \(text) NOT NULL, account_id \(text) NOT NULL,
            attempts BIGINT NOT NULL, next_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL)
        """,
        "CREATE INDEX logouts_next ON logouts (next_ms)",
        // Whatever waits for a second step: pushed requests, device codes.
        """
        CREATE TABLE parked (
            kind \(text) NOT NULL, id \(text) NOT NULL, client_id \(text) NOT NULL, value \(text) NOT NULL, version BIGINT NOT NULL,
            expires_ms BIGINT NOT NULL, PRIMARY KEY (kind, id))
        """,
        "CREATE INDEX parked_expires ON parked (expires_ms)",
        // Identifiers that were used and may not be used again: of assertions and proofs.
        "CREATE TABLE spent (id \(text) PRIMARY KEY, expires_ms BIGINT NOT NULL)",
        "CREATE INDEX spent_expires ON spent (expires_ms)",
        """
        CREATE TABLE consents (
            account_id \(text) NOT NULL, client_uid \(text) NOT NULL, client_id \(text) NOT NULL, scope \(text) NOT NULL,
            details \(text) NOT NULL, granted_ms BIGINT NOT NULL, PRIMARY KEY (account_id, client_uid))
        """,
        // What a registered client proves itself with when it reads or changes its registration (RFC 7592).
        "CREATE TABLE registrations (client_uid \(text) PRIMARY KEY, token_hash \(bytes) NOT NULL, created_ms BIGINT NOT NULL)",
    ]
}
