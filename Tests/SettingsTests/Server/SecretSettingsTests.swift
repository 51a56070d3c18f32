import AuthCore
import Testing

@testable import Settings

@Suite("Settings: secrets")
struct SecretSettingsTests {
    static let key = World.masterKey

    func keys(_ loaded: LoadedSettings) throws -> [[UInt8]]? {
        guard case .keys(let keys) = try loaded.settings.masterKeys else { return nil }
        return keys.map(\.exposed)
    }

    @Test("a secret may stand in a file, without its line end, or in the environment")
    func references() throws {
        let other = String(repeating: "B", count: 42) + "A"
        let file = World.load(
            file: "master_keys: [file:m.key, env:SECOND]", environment: ["SECOND": other], files: ["/etc/g/m.key": Self.key + "\n"]
        )
        let read = try #require(try keys(file))
        #expect(read.count == 2 && read[0] == [UInt8](repeating: 0, count: 32) && read[1].count == 32)
        #expect(try keys(World(files: ["/m": Self.key + "\r\n"]).load(["--master_keys", "file:/m"]))?.count == 1)
    }

    @Test(
        "a master key is 32 bytes in base64url",
        arguments: [
            "", "short", String(repeating: "A", count: 42), String(repeating: "A", count: 44), String(repeating: "A", count: 42) + "=",
            String(repeating: "A", count: 42) + "B",
        ]
    )
    func badKeys(text: String) {
        #expect(!World(environment: ["K": text]).load(["--master_keys", "env:K"]).problems.isEmpty)
        #expect(!World(files: ["k": text]).load(["--master_keys", "file:k"]).problems.isEmpty)
    }

    @Test("only a single file for SQLite may be missing: it is made on first start")
    func missingFile() throws {
        guard case .makeOnFirstStart("k") = try World().load(["--master_keys", "file:k"]).settings.masterKeys else {
            Issue.record("no key to make")
            return
        }
        #expect(World(environment: ["K": Self.key]).load(["--master_keys", "file:k,env:K"]).problems.map(\.key) == ["master_keys"])
        #expect(World().load(["--master_keys", "env:K"]).problems.map(\.key) == ["master_keys"])
        #expect(World(files: ["k": "DENIED"]).load(["--master_keys", "file:k"]).text.contains("permission denied"))
        #expect(World().load(["--master_keys", ""]).problems.map(\.message) == ["needs at least one key"])
    }

    @Test("a master key is never made for PostgreSQL")
    func postgres() throws {
        let storage = ["--storage", "postgres://gate@db1,db2/gate"]
        #expect(World().load(storage).problems.map(\.key) == ["master_keys"])
        #expect(World().load(storage + ["--master_keys", "file:k"]).problems.map(\.key) == ["master_keys"])
        let settings = try World(files: ["k": Self.key]).load(storage + ["--master_keys", "file:k"]).settings
        guard case .postgres(let url) = settings.storage else {
            Issue.record("another storage")
            return
        }
        #expect(url.exposed == "postgres://gate@db1,db2/gate")
    }

    @Test(
        "storage is sqlite: with a path or a PostgreSQL URL",
        arguments: [
            "data.db", "sqlite:", "mysql://x", "postgres:x", "postgres://u:p@w@host/db", "postgres://u:p/w@host/db",
            "postgres://u:p?w@host/db",
            "postgres://host/db#x", "postgres://host/d b",
        ]
    )
    func badStorage(text: String) {
        let loaded = World(environment: ["U": text, "K": Self.key]).load(["--storage", "env:U", "--master_keys", "env:K"])
        #expect(loaded.problems.map(\.key) == ["storage"])
    }

    @Test("a secret in clear on the command line is refused (IN-09, ASVS 13.3)")
    func commandLine() {
        let environment = ["K": Self.key]
        #expect(World().load(["--master_keys", Self.key]).problems.map(\.key) == ["master_keys"])
        for url in ["postgres://u:hunter2@db/x", "postgres://u@db/x?password=hunter2", "postgres://u@db/x?p%61ssword=hunter2"] {
            let loaded = World(environment: environment).load(["--storage", url, "--master_keys", "env:K"])
            #expect(loaded.problems.map(\.key) == ["storage"])
            #expect(!loaded.text.contains("hunter2"))
        }
        #expect(World(environment: environment).load(["--storage", "postgres://u@db/x", "--master_keys", "env:K"]).problems.isEmpty)
    }

    @Test("no secret is in problems, warnings, the rendering or a description")
    func neverShown() throws {
        let secret = "hunter2-hunter2-hunter2"
        var shown: [String] = []
        let environment = [
            "GATEHOUSE_MASTER_KEYS": "\(secret),file:\(secret.count)",
            "GATEHOUSE_STORAGE": "postgres://u:\(secret)@h/db?password=\(secret)",
            "GATEHOUSE_MASTER_KEY": secret,
        ]
        let files = [
            "master_keys: [\(secret)]", "master_key: \(secret)", "master_keys: \(secret)", "storage: [\(secret)]", "storage: \(secret)",
            "storage: postgres://a:\(secret)@b@c/d",
            "storage: postgres://a:\(secret)?@c/d", "\"\(secret)", "storage: &a \(secret)", "storage: {x: \(secret)}",
            "storage: \"\(secret)\" \(secret)",
        ]
        for file in files {
            let loaded = World.load(file: file, ["--master_key", secret, secret], environment: environment)
            #expect(!loaded.problems.isEmpty)
            shown.append("\(loaded.text)\(loaded.problems)\(loaded.warnings)\(loaded)")
        }
        let good = World(
            files: ["k": Self.key], environment: ["GATEHOUSE_STORAGE": "postgres://u:\(secret)@h1,h2/db?password=\(secret)", "K": Self.key]
        )
        let settings = try good.load(["--master_keys", "env:K,file:k"]).settings
        shown.append(settings.renderedForPeople())
        shown.append("\(settings)")
        #expect(settings.renderedForPeople().contains("storage "))
        for text in shown { #expect(!text.contains("hunter2") && !text.contains(Self.key), "\(text)") }
    }

    /// The line without the spaces that align it.
    func squeezed(_ line: String) -> String {
        let parts = line.split(separator: "=", maxSplits: 1)
        return parts.count == 2 ? parts[0].split(separator: " ").joined() + " =" + parts[1] : line
    }

    @Test("the rendering names every key, its value and its source")
    func rendering() throws {
        let text = try World.load(file: "tokens: {access_ttl: 1m}", ["--log.level", "debug"], environment: ["GATEHOUSE_AUDIT_KEEP": "7d"])
            .settings.renderedForPeople()
        let lines = text.utf8.split(separator: 0x0A).map { String(Substring($0)) }
        for line in [
            "tokens.access_ttl = 1m  (/etc/g/gatehouse.yaml:1:22)", "log.level = debug  (command line)",
            "audit.keep = 7d  (GATEHOUSE_AUDIT_KEEP)",
            "tokens.refresh_ttl = 30d  (default)", "storage = sqlite:/etc/g/data/gatehouse.db  (default)",
            "master_keys = [file:/etc/g/data/master.key]  (default)", "listen.control = unix:/etc/g/data/gatehouse.sock  (default)",
            "passwords.threads = (none)  (default)", "apply = []  (default)",
        ] { #expect(lines.contains { squeezed($0) == line }, "\(line)\n\(text)") }
        let postgres = World(environment: ["GATEHOUSE_STORAGE": "postgres://u:p@h1,h2/db?sslmode=verify-full", "K": Self.key])
        #expect(
            try postgres.load(["--master_keys", "env:K"]).settings.renderedForPeople().contains(
                "postgres://‹secret›@h1,h2/db  (GATEHOUSE_STORAGE)"))
    }
}
