/// One table of the newest schema: what an export takes from it and an import puts back.
package struct StoredTable: Sendable {
    package enum Kind: Sendable { case int, text, bytes }

    package struct Column: Sendable {
        package let name: String
        package let kind: Kind
        package let isOptional: Bool

        static func int(_ name: String) -> Column { Column(name: name, kind: .int, isOptional: false) }
        static func text(_ name: String) -> Column { Column(name: name, kind: .text, isOptional: false) }
        static func bytes(_ name: String) -> Column { Column(name: name, kind: .bytes, isOptional: false) }
        var optional: Column { Column(name: name, kind: kind, isOptional: true) }

        /// Whether the column can hold this.
        package func takes(_ value: SQLValue) -> Bool {
            switch (value, kind) {
            case (.null, _): isOptional
            case (.int, .int), (.text, .text), (.blob, .bytes): true
            default: false
            }
        }
    }

    package let name: String
    /// The primary key: the order of an export.
    let key: [String]
    package let columns: [Column]
    /// The column that counts up by itself.
    var serial: String?
    /// Tables of this place alone, say of what runs here now: they stay behind.
    var moves = true

    init(_ name: String, key: String..., columns: [Column]) {
        (self.name, self.key, self.columns) = (name, key, columns)
    }

    fileprivate func counting(_ column: String) -> StoredTable {
        var table = self
        table.serial = column
        return table
    }

    fileprivate var staying: StoredTable {
        var table = self
        table.moves = false
        return table
    }
}

extension Schema {
    /// Every table and every column of the newest schema. A migration that adds one adds it here; a test compares both.
    static let tables: [StoredTable] = [
        StoredTable(
            "schema_migrations", key: "number", columns: [.int("number"), .text("name"), .int("at_ms"), .int("usable_from").optional]
        ).staying,
        StoredTable("meta", key: "name", columns: [.text("name"), .bytes("value")]),
        StoredTable(
            "feed", key: "id",
            columns: [.int("id"), .text("epoch"), .int("sequence"), .int("resources_version"), .int("keys_version")]),
        StoredTable(
            "accounts", key: "id",
            columns: [
                .text("id"), .text("username"), .text("canonical_username"), .text("email").optional, .text("canonical_email").optional,
                .text("password_hash").optional, .int("disabled"), .int("epoch"), .text("roles"), .text("managed_by"), .int("created_ms"),
            ]),
        StoredTable(
            "clients", key: "id",
            columns: [
                .text("id"), .text("uid"), .text("definition"), .text("secrets"), .int("disabled"), .int("deleted"), .int("epoch"),
                .text("managed_by"),
            ]),
        StoredTable(
            "definitions", key: "kind", "name",
            columns: [.text("kind"), .text("name"), .text("definition"), .int("disabled"), .text("managed_by")]),
        StoredTable(
            "sessions", key: "id",
            columns: [
                .text("id"), .text("account_id"), .text("client_id"), .text("acr"), .text("amr"), .int("authenticated_ms"),
                .int("created_ms"), .int("used_ms"), .int("expires_ms"), .text("source"), .text("agent"),
            ]),
        StoredTable(
            "grants", key: "id",
            columns: [
                .text("id"), .text("session_id").optional, .text("account_id"), .text("client_uid"), .text("client_id"), .text("scope"),
                .text("audiences"), .bytes("secret"), .int("refresh_current"), .int("refresh_predecessor"), .int("refresh_advanced_ms"),
                .int("created_ms"), .int("expires_ms"), .int("token_until_ms"), .int("revoked_ms").optional, .int("is_offline"),
                .int("code_until_ms").optional, .int("code_spent"), .text("binding").optional,
            ]),
        StoredTable(
            "revocations", key: "sequence",
            columns: [.int("sequence"), .text("kind"), .text("subject"), .int("epoch").optional, .int("until_ms")]),
        StoredTable(
            "browser_sessions", key: "cookie_hash",
            columns: [.bytes("cookie_hash"), .text("session_id"), .text("account_id"), .int("expires_ms")]),
        StoredTable(
            "session_clients", key: "session_id", "client_id",
            columns: [.text("session_id"), .text("client_id"), .int("expires_ms")]),
        StoredTable(
            "logouts", key: "id",
            columns: [
                .text("id"), .text("session_id"), .text("client_id"), .text("account_id"), .int("attempts"), .int("next_ms"),
                .int("expires_ms"),
            ]),
        StoredTable(
            "parked", key: "kind", "id",
            columns: [.text("kind"), .text("id"), .text("client_id"), .text("value"), .int("version"), .int("expires_ms")]),
        StoredTable("spent", key: "id", columns: [.text("id"), .int("expires_ms")]),
        StoredTable(
            "consents", key: "account_id", "client_uid",
            columns: [
                .text("account_id"), .text("client_uid"), .text("client_id"), .text("scope"), .text("details"), .int("granted_ms"),
            ]),
        StoredTable("registrations", key: "client_uid", columns: [.text("client_uid"), .bytes("token_hash"), .int("created_ms")]),
        StoredTable(
            "throttles", key: "name",
            columns: [.text("name"), .int("failures"), .int("window_ms"), .int("blocked_ms"), .int("touched_ms")]),
        StoredTable(
            "signing_keys", key: "id",
            columns: [
                .text("id"), .text("algorithm"), .text("state"), .text("public_jwk"), .bytes("sealed_private"), .int("published_ms"),
                .int("activated_ms").optional, .int("published_until_ms").optional,
            ]),
        StoredTable(
            "audit", key: "number",
            columns: [
                .int("number"), .int("at_ms"), .text("kind"), .text("account_id").optional, .text("client_id").optional,
                .text("session_id").optional, .text("source"), .text("reason").optional, .text("trace_id"),
            ]
        ).counting("number"),
        StoredTable(
            "nodes", key: "id",
            columns: [
                .text("id"), .text("name"), .text("version"), .int("started_ms"), .int("seen_ms"), .int("live_until_ms"),
                .int("keys_version"), .int("clock_ahead_ms"), .text("settings"),
            ]
        ).staying,
    ]

    /// What moves from one store to another, in the order of an export.
    package static var movedTables: [StoredTable] { tables.filter(\.moves) }
}
