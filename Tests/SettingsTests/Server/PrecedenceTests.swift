import AuthCore
import Store
import Testing

@testable import Settings

@Suite("Settings: where values come from")
struct PrecedenceTests {
    @Test("command line over environment over file over default")
    func precedence() throws {
        let file = "tokens: {access_ttl: 1m}"
        let environment = ["GATEHOUSE_TOKENS_ACCESS_TTL": "2m"]
        #expect(try World().load().settings.tokens.accessTTL == .seconds(600))
        #expect(try World.load(file: file).settings.tokens.accessTTL == .seconds(60))
        #expect(try World.load(file: file, environment: environment).settings.tokens.accessTTL == .seconds(120))
        let all = World.load(file: file, ["--tokens.access_ttl", "3m"], environment: environment)
        #expect(try all.settings.tokens.accessTTL == .seconds(180))
        #expect(try World.load(file: file, ["--tokens.access_ttl=4m"], environment: environment).settings.tokens.accessTTL == .seconds(240))
    }

    @Test("without file, environment and arguments the defaults of the contract hold")
    func defaults() throws {
        let settings = try World().load().settings
        #expect(settings.issuer.text == "http://localhost:8080")
        #expect(settings.listeners.auth.address == .tcp(host: "127.0.0.1", port: 8080))
        #expect(settings.listeners.gateway.address == .tcp(host: "127.0.0.1", port: 8000))
        #expect(settings.listeners.admin.address == .tcp(host: "127.0.0.1", port: 9090))
        #expect(settings.listeners.controlPath == "data/gatehouse.sock")
        guard case .sqlite("data/gatehouse.db") = settings.storage, case .makeOnFirstStart("data/master.key") = settings.masterKeys else {
            Issue.record("another storage")
            return
        }
        #expect(settings.applyFiles.isEmpty && settings.trustedProxies.isEmpty)
        #expect(settings.tokens.refreshTTL == .seconds(30 * 86_400))
        #expect(settings.tokens.refreshReuseWindow == .seconds(10) && settings.tokens.refreshRetryMax == .seconds(600))
        #expect(settings.keys == .init(rotateEvery: .seconds(90 * 86_400), jwksMaxAge: .seconds(300)))
        #expect(settings.revocations == .init(maxStaleness: .seconds(30), whenStale: .refuse))
        #expect(settings.validateRequiresClient == false && settings.auditKeep == .seconds(90 * 86_400))
        #expect(settings.passwords.memoryKiB == 19_456 && settings.passwords.threads == nil)
    }

    @Test("every default of the table is valid, and names of keys and variables are unique")
    func table() {
        #expect(World().load().text == "")
        #expect(Set(ServerKeys.all.map { Identifier($0.name) }).count == ServerKeys.all.count)
        #expect(Set(ServerKeys.all.map { Identifier($0.environmentName) }).count == ServerKeys.all.count)
    }

    @Test("a list replaces the one below it and is split at commas outside the file only")
    func lists() throws {
        let file = "trusted_proxies: [10.0.0.0/8, 'fd00::/8']\napply: ['a,b.yaml']"
        #expect(try World.load(file: file).settings.trustedProxies.map(\.description) == ["10.0.0.0/8", "fd00::/8"])
        #expect(try World.load(file: file).settings.applyFiles == ["/etc/g/a,b.yaml"])
        let environment = ["GATEHOUSE_TRUSTED_PROXIES": "192.0.2.1, 192.0.2.2", "GATEHOUSE_APPLY": ""]
        let over = try World.load(file: file, environment: environment).settings
        #expect(over.trustedProxies.map(\.description) == ["192.0.2.1", "192.0.2.2"] && over.applyFiles.isEmpty)
        #expect(try World().load(["--apply", "a.yaml,b.yaml"]).settings.applyFiles == ["a.yaml", "b.yaml"])
    }

    @Test("a flag needs no value on the command line")
    func flags() throws {
        #expect(try World().load(["--validate.require_client"]).settings.validateRequiresClient)
        #expect(try World().load(["--validate.require_client", "--log.level", "debug"]).settings.logging.level == .debug)
        #expect(try World().load(["--validate.require_client", "false"]).settings.validateRequiresClient == false)
        #expect(try World().load(["--validate.require_client=true"]).settings.validateRequiresClient)
        #expect(World().load(["--validate.require_client=yes"]).problems.first?.key == "validate.require_client")
    }

    @Test(
        "relative paths are relative to the settings file, or to the working directory",
        arguments: [
            ("/etc/g/gatehouse.yaml", "/etc/g/x.db"), ("gatehouse.yaml", "x.db"), ("conf/gatehouse.yaml", "conf/x.db"),
            ("/g.yaml", "/x.db"),
        ]
    )
    func paths(file: String, database: String) throws {
        let world = World(files: [file: "storage: sqlite:./x.db\nlisten: {control: 'unix:/run/g.sock'}"])
        let settings = try world.load(["--config=\(file)"]).settings
        guard case .sqlite(let path) = settings.storage else {
            Issue.record("another storage")
            return
        }
        #expect(path == database || path == "./" + database)
        #expect(settings.listeners.controlPath == "/run/g.sock")
    }

    @Test("the file is named by --config, or else by GATEHOUSE_CONFIG; one that is not there is an error")
    func configurationFile() throws {
        let world = World(
            files: ["a.yaml": "log: {level: debug}", "b.yaml": "log: {level: error}"], environment: ["GATEHOUSE_CONFIG": "a.yaml"])
        #expect(try world.load().settings.logging.level == .debug)
        #expect(try world.load(["--config", "b.yaml"]).settings.logging.level == .error)
        #expect(world.load(["--config", "c.yaml"]).text == "command line: config: \"c.yaml\" does not exist")
        #expect(World(environment: ["GATEHOUSE_CONFIG": "c.yaml"]).load().problems.first?.origin == .environment("GATEHOUSE_CONFIG"))
        #expect(World(files: ["d": "DENIED"]).load(["--config", "d"]).text.contains("permission denied"))
        #expect(world.load(["--config"]).problems.map(\.key) == ["config"])
        #expect(try World(files: ["e.yaml": "# nothing\n"]).load(["--config", "e.yaml"]).settings.logging.level == .info)
    }

    @Test("an unknown GATEHOUSE_ variable warns, an unknown key elsewhere is an error (IN-11, CVE-2021-21411)")
    func unknown() throws {
        let environment = ["GATEHOUSE_PORT": "tcp://10.0.0.1:80", "GATEHOUSE_TOKENS_ACESS_TTL": "5m", "PATH": "/bin"]
        let loaded = World(environment: environment).load()
        #expect(try loaded.settings.tokens.accessTTL == .seconds(600))
        #expect(loaded.warnings.count == 2)
        #expect(loaded.warnings.last?.nearest == "GATEHOUSE_TOKENS_ACCESS_TTL")
        #expect(!loaded.warnings.description.contains("10.0.0.1"))

        let file = World.load(file: "tokens:\n  acess_ttl: 5m\nisuer: x\ntoken: {access_ttl: 5m}\n")
        #expect(
            file.problems.map(\.description) == [
                "/etc/g/gatehouse.yaml:2:3: tokens.acess_ttl: is no known setting; the nearest known one is tokens.access_ttl",
                "/etc/g/gatehouse.yaml:3:1: isuer: is no known setting; the nearest known one is issuer",
                "/etc/g/gatehouse.yaml:4:1: token: is no known setting; the nearest known one is tokens",
            ]
        )
        let argument = World().load(["--tokens.acces_ttl", "hunter2", "--confg=x"])
        #expect(
            argument.problems.map(\.description) == [
                "command line: tokens.acces_ttl: is no known setting; the nearest known one is tokens.access_ttl",
                "command line: confg: is no known setting; the nearest known one is config",
            ]
        )
    }

    @Test("a setting may be given once in each source")
    func twice() {
        #expect(World().load(["--log.level", "info", "--log.level", "debug"]).text == "command line: log.level: is given twice")
        #expect(
            World.load(file: "log.level: info\nlog: {level: debug}").text.contains(
                "log.level: is given twice, before at /etc/g/gatehouse.yaml:1:12"))
        #expect(World.load(file: "issuer: http://localhost\nissuer: http://localhost").text.contains("the same key twice: \"issuer\""))
    }

    @Test("what is no setting on the command line is an error that does not show it")
    func strayArguments() {
        let loaded = World().load(["serve", "-x", "--", "--log.level"])
        #expect(loaded.problems.count == 4)
        #expect(!loaded.text.contains("serve"))
        #expect(loaded.text.contains("log.level: needs a value"))
    }

    @Test("a mistake in a value that a higher source overrides is still a mistake")
    func overridden() {
        let loaded = World.load(file: "tokens: {access_ttl: soon}", ["--tokens.access_ttl", "5m"])
        #expect(loaded.problems.map(\.key) == ["tokens.access_ttl"])
    }

    @Test("all mistakes of all sources are reported at once, each with key, value, place and what is allowed")
    func allAtOnce() {
        let file = """
            issuer: https://id.example.com/
            tokens:
              access_ttl: 5 minutes
              refresh_ttl: 100000d
            revocations: {when_stale: maybe}
            validate: {require_client: "true"}
            listen: {auth: 8080}
            """
        let environment = ["GATEHOUSE_PASSWORDS_ITERATIONS": "0x10"]
        let loaded = World.load(file: file, ["--audit.keep", "1h"], environment: environment)
        let expected = [
            "/etc/g/gatehouse.yaml:3:15: tokens.access_ttl: \"5 minutes\" is no duration (allowed: 1s…1d, a whole number and one of ms s m h d)",
            "/etc/g/gatehouse.yaml:4:16: tokens.refresh_ttl: \"100000d\" is out of range (allowed: 1s…730d, a whole number and one of ms s m h d)",
            "/etc/g/gatehouse.yaml:5:27: revocations.when_stale: \"maybe\" is not one of the allowed words (allowed: refuse, ask, serve)",
            "/etc/g/gatehouse.yaml:6:28: validate.require_client: \"true\" is text in quotes, where true or false is expected (allowed: true, false)",
            "/etc/g/gatehouse.yaml:7:16: listen.auth: \"8080\" is no address to listen on (allowed: HOST:PORT or unix:PATH)",
            "GATEHOUSE_PASSWORDS_ITERATIONS: passwords.iterations: \"0x10\" is no whole number (allowed: 1…32)",
            "command line: audit.keep: \"1h\" is out of range (allowed: 1d…3650d, a whole number and one of ms s m h d)",
            "/etc/g/gatehouse.yaml:1:9: issuer: \"https://id.example.com/\" ends with a slash, which would be another issuer; leave it out "
                + "(allowed: https://HOST or https://HOST:PORT; http only for loopback hosts)",
        ]
        let lines = loaded.problems.map(\.description)
        for line in expected { #expect(lines.contains(line), "\(line)") }
        #expect(lines.count == expected.count, "\(lines)")
    }

    @Test("keys of other targets are read by the same rules")
    func moreKeys() throws {
        let keys = [
            SettingKey("cache.size", .size(1_000...1_000_000_000), default: "64MB", "x"),
            SettingKey("cache.words", .list(.choice(["a", "b"])), default: nil, "x"),
            SettingKey("cache.secret", .secret, default: nil, "x"),
        ]
        let resolved = try World().load(["--cache.size", "5KB", "--cache.words", "a,b"], moreKeys: keys).settings.resolved
        #expect(try resolved.size("cache.size") == 5_000)
        #expect(resolved.texts("cache.words") == ["a", "b"])
        #expect(throws: SettingProblem.self) { try resolved.secret("cache.secret") }
        #expect(World().load(["--cache.words", "a,c"], moreKeys: keys).problems.map(\.value) == ["c"])
        #expect(World().load(["--cache.size", "1"], moreKeys: keys).problems.map(\.message) == ["is no size"])
    }
}
