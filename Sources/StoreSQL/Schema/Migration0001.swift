/// The first schema. Times are milliseconds since 1970, identifiers compare by bytes, flags are 0 or 1.
let initialSchema = Migration(number: 1, name: "initial") { dialect in
    let text = dialect.textType
    let bytes = dialect.bytesType
    return [
        "CREATE TABLE meta (name \(text) PRIMARY KEY, value \(bytes) NOT NULL)",
        // One row: the position of the log of revocations. The last statement of a transaction takes from it, so that
        // its order is the order of commits.
        "CREATE TABLE feed (id BIGINT PRIMARY KEY, epoch \(text) NOT NULL, sequence BIGINT NOT NULL)",
        """
        CREATE TABLE revocations (
            sequence BIGINT PRIMARY KEY, kind \(text) NOT NULL, subject \(text) NOT NULL, epoch BIGINT, until_ms BIGINT NOT NULL)
        """,
        "CREATE INDEX revocations_until ON revocations (until_ms)",
        """
        CREATE TABLE accounts (
            id \(text) PRIMARY KEY, username \(text) NOT NULL, canonical_username \(text) NOT NULL UNIQUE, email \(text),
            canonical_email \(text) UNIQUE, password_hash \(text), disabled BIGINT NOT NULL, epoch BIGINT NOT NULL,
            roles \(text) NOT NULL, managed_by \(text) NOT NULL, created_ms BIGINT NOT NULL)
        """,
        """
        CREATE TABLE clients (
            id \(text) PRIMARY KEY, uid \(text) NOT NULL UNIQUE, definition \(text) NOT NULL, secrets \(text) NOT NULL,
            disabled BIGINT NOT NULL, deleted BIGINT NOT NULL, epoch BIGINT NOT NULL, managed_by \(text) NOT NULL)
        """,
        """
        CREATE TABLE definitions (
            kind \(text) NOT NULL, name \(text) NOT NULL, definition \(text) NOT NULL, disabled BIGINT NOT NULL,
            managed_by \(text) NOT NULL, PRIMARY KEY (kind, name))
        """,
        """
        CREATE TABLE sessions (
            id \(text) PRIMARY KEY, account_id \(text) NOT NULL, client_id \(text) NOT NULL, acr \(text) NOT NULL, amr \(text) NOT NULL,
            authenticated_ms BIGINT NOT NULL, created_ms BIGINT NOT NULL, used_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL,
            source \(text) NOT NULL, agent \(text) NOT NULL)
        """,
        "CREATE INDEX sessions_account ON sessions (account_id)",
        "CREATE INDEX sessions_expires ON sessions (expires_ms)",
        """
        CREATE TABLE grants (
            id \(text) PRIMARY KEY, session_id \(text), account_id \(text) NOT NULL, client_uid \(text) NOT NULL, client_id \(text) NOT NULL,
            scope \(text) NOT NULL, audiences \(text) NOT NULL, secret \(bytes) NOT NULL, refresh_current BIGINT NOT NULL,
            refresh_predecessor BIGINT NOT NULL, refresh_advanced_ms BIGINT NOT NULL, created_ms BIGINT NOT NULL,
            expires_ms BIGINT NOT NULL, token_until_ms BIGINT NOT NULL, revoked_ms BIGINT)
        """,
        "CREATE INDEX grants_account ON grants (account_id)",
        "CREATE INDEX grants_session ON grants (session_id)",
        "CREATE INDEX grants_client ON grants (client_uid)",
        "CREATE INDEX grants_expires ON grants (expires_ms)",
        """
        CREATE TABLE throttles (
            name \(text) PRIMARY KEY, failures BIGINT NOT NULL, window_ms BIGINT NOT NULL, blocked_ms BIGINT NOT NULL, touched_ms BIGINT NOT NULL)
        """,
        "CREATE INDEX throttles_touched ON throttles (touched_ms)",
        """
        CREATE TABLE signing_keys (
            id \(text) PRIMARY KEY, algorithm \(text) NOT NULL, state \(text) NOT NULL, public_jwk \(text) NOT NULL,
            sealed_private \(bytes) NOT NULL, published_ms BIGINT NOT NULL, activated_ms BIGINT, published_until_ms BIGINT)
        """,
        """
        CREATE TABLE audit (
            number \(dialect.serialKey), at_ms BIGINT NOT NULL, kind \(text) NOT NULL, account_id \(text), client_id \(text),
            session_id \(text), source \(text) NOT NULL, reason \(text), trace_id \(text) NOT NULL)
        """,
        "CREATE INDEX audit_account ON audit (account_id)",
    ]
}
