import AuthCore
import Foundation
import PostgresServer
import TestSupport
import Testing

/// `gatehouse migrate`, `export` and `import` as an operator runs them ([moving](docs/guides/moving.md)).
@Suite("The program: migrate, export, import", .serialized)
struct MovingProgramTests {
    private func run(_ arguments: String..., in folder: URL) throws -> (status: Int32, output: String, errors: String) {
        try Program.run(arguments + ["--config", "gatehouse.yaml"], in: folder)
    }

    /// Lets the settings of `folder` name another store.
    private func store(_ folder: URL, in uri: String?) throws {
        var settings = Program.settings
        if let uri {
            try Data(uri.utf8).write(to: folder.appendingPathComponent("storage"))
            settings = settings.replacingOccurrences(of: "sqlite:gatehouse.db", with: "file:storage")
        }
        try Data(settings.utf8).write(to: folder.appendingPathComponent("gatehouse.yaml"))
    }

    @Test("from SQLite to PostgreSQL and back: tokens go on, what was revoked stays so", .timeLimit(.minutes(2)))
    func moving() async throws { try await onThread { try self.checkMoving() } }

    private func checkMoving() throws {
        let folder = try Program.newFolder()
        var program = try Program(folder: folder)
        func login() throws -> JSONObject {
            try #require(program.send("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#)).json
        }
        func refresh(_ token: String) -> (status: Int, json: JSONObject)? {
            program.send("POST", "/token/refresh", "{\"refresh_token\":\"\(token)\"}")
        }
        func isValid(_ token: String) -> Bool? { program.send("POST", "/validate", "{\"token\":\"\(token)\"}")?.json["valid"]?.bool }
        var (kept, ended) = (try login()["refresh_token"]?.string ?? "", try login())
        #expect(program.exchange("POST", "/logout", "{\"refresh_token\":\"\(ended["refresh_token"]?.string ?? "")\"}") != nil)
        let busy = try run("export", "busy.jsonl", in: folder)
        #expect(busy.status == 1 && busy.errors.contains("another gatehouse uses this database"), "\(busy.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("busy.jsonl").path))
        program.kill(SIGTERM)

        let exported = try run("export", "store.jsonl", in: folder)
        #expect(exported.status == 0 && exported.output.contains("password hashes and sealed keys"), "\(exported.errors)")
        let again = try run("export", "store.jsonl", in: folder)
        #expect(again.status == 1 && again.errors.contains("is there already"))
        let itself = try run("import", "store.jsonl", in: folder)
        #expect(itself.status == 1 && itself.errors.contains("the store is not empty"), "\(itself.errors)")

        try store(folder, in: try PostgresServer.shared().newSchema())
        let imported = try run("import", "store.jsonl", in: folder)
        #expect(imported.status == 0 && imported.output.contains("imported"), "\(imported.errors)")
        program = try Program(folder: folder)
        #expect(isValid(ended["access_token"]?.string ?? "") == false)
        let first = try #require(refresh(kept))
        #expect(first.status == 200)
        kept = first.json["refresh_token"]?.string ?? ""
        ended = try login()
        #expect(program.exchange("POST", "/logout", "{\"refresh_token\":\"\(ended["refresh_token"]?.string ?? "")\"}") != nil)
        // Nodes on PostgreSQL go on meanwhile.
        #expect(try run("export", "running.jsonl", in: folder).status == 0)
        program.kill(SIGTERM)
        #expect(try run("export", "back.jsonl", in: folder).status == 0)

        try store(folder, in: nil)
        for suffix in ["", "-wal", "-shm", ".commits"] {
            // Of these the stopped server has left some.
            try? FileManager.default.removeItem(at: folder.appendingPathComponent("gatehouse.db\(suffix)"))
        }
        #expect(try run("import", "back.jsonl", in: folder).status == 0)
        program = try Program(folder: folder)
        #expect(isValid(ended["access_token"]?.string ?? "") == false)
        #expect(refresh(kept)?.status == 200)
        #expect(try run("audit", in: folder).output.contains("sign_out"))
        program.kill(SIGTERM)
    }

    @Test("a backup that is restored is noticed, and brings back nothing that was revoked (R-16, I3)", .timeLimit(.minutes(2)))
    func restored() async throws { try await onThread { try self.checkRestored() } }

    private func checkRestored() throws {
        let folder = try Program.newFolder()
        var program = try Program(folder: folder)
        func login() throws -> (access: String, refresh: String) {
            let answer = try #require(program.send("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#)).json
            return (answer["access_token"]?.string ?? "", answer["refresh_token"]?.string ?? "")
        }
        func refresh(_ token: String) -> (status: Int, json: JSONObject)? {
            program.send("POST", "/token/refresh", "{\"refresh_token\":\"\(token)\"}")
        }
        func isValid(_ token: String) -> Bool? { program.send("POST", "/validate", "{\"token\":\"\(token)\"}")?.json["valid"]?.bool }
        let (ended, used) = (try login(), try login())
        program.kill(SIGTERM)
        // The database and its log, of a server that is stopped: what docs/reliability.md calls a backup.
        let files = FileManager.default
        let (database, backup) = (folder.appendingPathComponent("gatehouse.db").path, folder.appendingPathComponent("backup.db").path)
        for suffix in ["", "-wal"] where files.fileExists(atPath: database + suffix) {
            try files.copyItem(atPath: database + suffix, toPath: backup + suffix)
        }

        program = try Program(folder: folder)
        #expect(program.exchange("POST", "/logout", "{\"refresh_token\":\"\(ended.refresh)\"}") != nil)
        let next = try #require(refresh(used.refresh)?.json["refresh_token"]?.string)
        program.kill(SIGTERM)

        for suffix in ["", "-wal", "-shm"] {
            // The stopped server has left some of these.
            try? files.removeItem(atPath: database + suffix)
        }
        for suffix in ["", "-wal"] where files.fileExists(atPath: backup + suffix) {
            try files.copyItem(atPath: backup + suffix, toPath: database + suffix)
        }
        #expect(throws: (any Error).self) { _ = try Program(folder: folder) }
        let asked = try run("restored", in: folder)
        #expect(asked.status == 2 && asked.output.contains("Nothing was changed"))
        #expect(throws: (any Error).self) { _ = try Program(folder: folder) }
        let done = try run("restored", "--yes", in: folder)
        #expect(done.status == 0 && done.output.contains("ended 2 sessions and 2 grants"), "\(done.output) \(done.errors)")

        program = try Program(folder: folder)
        for token in [ended.access, used.access] { #expect(isValid(token) == false) }
        for token in [ended.refresh, used.refresh, next] { #expect(refresh(token)?.status == 401) }
        let fresh = try login()
        #expect(isValid(fresh.access) == true && refresh(fresh.refresh)?.status == 200)
        #expect(try run("audit", in: folder).output.contains("restored"))
        program.kill(SIGTERM)
    }

    @Test("an import with another key, without one, or of a damaged file changes nothing and says why", .timeLimit(.minutes(1)))
    func refusals() async throws { try await onThread { try self.checkRefusals() } }

    private func checkRefusals() throws {
        let (source, target) = (try Program.newFolder(), try Program.newFolder())
        try Program(folder: source).kill(SIGTERM)
        let file = target.appendingPathComponent("store.jsonl")
        #expect(try run("export", file.path, in: source).status == 0)
        func refused(_ reason: String) throws {
            let result = try run("import", "store.jsonl", in: target)
            #expect(result.status == 1 && result.errors.contains(reason), "\(result.errors)")
            #expect(!FileManager.default.fileExists(atPath: target.appendingPathComponent("gatehouse.db").path))
        }
        try refused("master.key is missing")
        let key = target.appendingPathComponent("master.key")
        try Data((Base64URL.encode([UInt8](repeating: 7, count: 32)) + "\n").utf8).write(to: key)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key.path)
        try refused("another master key")
        try FileManager.default.removeItem(at: key)
        try FileManager.default.copyItem(at: source.appendingPathComponent("master.key"), to: key)
        let whole = try Data(contentsOf: file)
        var damaged = whole
        damaged[whole.count / 2] ^= 1
        try damaged.write(to: file)
        try refused("store.jsonl, line")
        try whole.dropLast(20).write(to: file)
        try refused("cut off")
        try Data().write(to: file)
        try refused("it is empty")
        try whole.write(to: file)
        #expect(try run("import", "store.jsonl", in: target).status == 0)
        #expect(try run("import", in: target).status == 1)
        #expect(try run("export", "one", "two", in: target).status == 1)
    }

    @Test("an import that is killed leaves nothing behind, and is simply run again", .timeLimit(.minutes(1)))
    func killed() async throws { try await onThread { try self.checkKilled() } }

    private func checkKilled() throws {
        let (source, target) = (try Program.newFolder(), try Program.newFolder())
        try Program(folder: source).kill(SIGTERM)
        #expect(try run("export", target.appendingPathComponent("store.jsonl").path, in: source).status == 0)
        try FileManager.default.copyItem(
            at: source.appendingPathComponent("master.key"), to: target.appendingPathComponent("master.key"))
        for uri in [nil, try PostgresServer.shared().newSchema()] {
            try store(target, in: uri)
            let arguments = ["import", "store.jsonl", "--config", "gatehouse.yaml"]
            let died = try Program.run(arguments, in: target, environment: ["GATEHOUSE_FAILPOINT": "import.before_commit:1"])
            #expect(died.status == SIGKILL)
            #expect(try run("import", "store.jsonl", in: target).status == 0)
            let program = try Program(folder: target)
            #expect(program.send("POST", "/login", #"{"username":"alice","password":"correct-horse-battery"}"#)?.status == 200)
            program.kill(SIGTERM)
        }
    }

    @Test("a migration that is killed is simply run again (R-1a)", .timeLimit(.minutes(1)))
    func killedMigration() async throws { try await onThread { try self.checkKilledMigration() } }

    private func checkKilledMigration() throws {
        for isPostgres in [false, true] {
            for point in ["store.before_commit:1", "store.after_commit:1"] {
                let folder = try Program.newFolder()
                if isPostgres {
                    try store(folder, in: try PostgresServer.shared().newSchema())
                    let key = folder.appendingPathComponent("master.key")
                    try Data((Base64URL.encode([UInt8](repeating: 7, count: 32)) + "\n").utf8).write(to: key)
                    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key.path)
                }
                let arguments = ["migrate", "--config", "gatehouse.yaml"]
                #expect(try Program.run(arguments, in: folder, environment: ["GATEHOUSE_FAILPOINT": point]).status == SIGKILL)
                let again = try run("migrate", in: folder)
                #expect(again.status == 0 && again.output.contains("nothing to do") == (point == "store.after_commit:1"), "\(again)")
                try Program(folder: folder).kill(SIGTERM)
            }
        }
    }

    @Test("migrate: shows what is pending, does it, and then there is nothing to do", .timeLimit(.minutes(1)))
    func migrate() async throws { try await onThread { try self.checkMigrate() } }

    private func checkMigrate() throws {
        let folder = try Program.newFolder()
        // A dry run makes no database.
        let none = try run("migrate", "--dry-run", in: folder)
        #expect(none.status == 1 && none.errors.contains("there is no database"), "\(none.errors)")
        for uri in [nil, try PostgresServer.shared().newSchema()] {
            try store(folder, in: uri)
            if uri != nil {
                let dry = try run("migrate", "--dry-run", in: folder)
                #expect(dry.status == 0 && dry.output.contains("pending 1 initial") && dry.output.contains("    CREATE TABLE meta"))
                #expect(try run("export", "none.jsonl", in: folder).errors.contains("run `gatehouse migrate` first"))
            }
            let done = try run("migrate", in: folder)
            #expect(done.status == 0 && done.output.contains("applied 1 initial") && !done.output.contains("nothing to do"))
            #expect(try run("migrate", in: folder).output.contains("nothing to do"))
            let program = try Program(folder: folder)
            let beside = try run("migrate", in: folder)
            #expect(beside.status == (uri == nil ? 1 : 0), "\(beside)")
            program.kill(SIGTERM)
        }
        #expect(try run("migrate", "--now", in: folder).status == 1)
    }
}
