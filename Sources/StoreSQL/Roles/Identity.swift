internal import AuthCore
package import Store

extension SQLStore {
    package func identity() async throws(StoreError) -> StoreIdentity {
        try await read { (transaction) throws(StoreError) in
            var identity = StoreIdentity(id: "", masterKeyCheck: nil)
            for row in try transaction.query("SELECT name, value FROM meta WHERE name IN ('store_id', 'master_check')") {
                let value = try row.blob(1)
                if try row.text(0) == "store_id" {
                    identity.id = Identifier(String(decoding: value, as: UTF8.self))
                } else {
                    identity.masterKeyCheck = value
                }
            }
            if identity.id == "" { throw .corrupt("the store has no id") }
            return identity
        }
    }

    package func claim(masterKeyCheck: [UInt8]) async throws(StoreError) {
        try await write { (transaction) throws(StoreError) in
            try transaction.execute(
                "INSERT INTO meta (name, value) VALUES ('master_check', ?1) ON CONFLICT (name) DO NOTHING",
                .blob(masterKeyCheck)
            )
        }
    }

    package func lastingSecret(_ name: String) async throws(StoreError) -> [UInt8] {
        // Every start asks for it, and only the first one has to write.
        let held = try await read { (transaction) throws(StoreError) in
            try transaction.query("SELECT value FROM meta WHERE name = ?1", .text(name)).first?.blob(0)
        }
        if let held { return held }
        let made = environment.randomBytes(32)
        return try await write { (transaction) throws(StoreError) in
            let sql = "SELECT value FROM meta WHERE name = ?1"
            if let row = try transaction.query(sql, .text(name)).first { return try row.blob(0) }
            try transaction.execute(
                "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING", .text(name), .blob(made))
            guard let row = try transaction.query(sql, .text(name)).first else { throw .corrupt("meta has no \(name)") }
            return try row.blob(0)
        }
    }

    package func probe() async throws(StoreError) {
        try await write { (transaction) throws(StoreError) in
            // Writes the row as it is: proves that the database takes writes, and changes nothing.
            try transaction.execute("UPDATE feed SET sequence = sequence WHERE id = 1")
        }
    }
}
