import AuthCore
import Store

@testable import Settings

/// A file system and an environment that a test makes up.
struct World: Sendable {
    var files: [String: String] = [:]
    var environment: [String: String] = [:]
    var isTerminal = false

    static let masterKey = String(repeating: "A", count: 43)

    @Sendable func read(_ path: String) throws -> [UInt8] {
        guard let text = files[path] else { throw FileReadError.notFound }
        if text == "DENIED" { throw FileReadError.unreadable("permission denied") }
        return Array(text.utf8)
    }

    func load(_ arguments: [String] = [], moreKeys: [SettingKey] = []) -> LoadedSettings {
        ServerSettings.load(arguments: arguments, environment: environment, readFile: read, isTerminal: isTerminal, moreKeys: moreKeys)
    }

    /// The settings of a file `/etc/g/gatehouse.yaml`.
    static func load(file: String, _ arguments: [String] = [], environment: [String: String] = [:], files: [String: String] = [:])
        -> LoadedSettings
    {
        var world = World(files: files, environment: environment)
        world.files["/etc/g/gatehouse.yaml"] = file
        return world.load(["--config", "/etc/g/gatehouse.yaml"] + arguments)
    }

    func resources(_ texts: [String], issuer: String = "https://id.example.com") throws -> Result<ResourceReading, ResourceProblems> {
        let files = texts.enumerated().map {
            ResourceFile(path: "\($0.offset == 0 ? "resources" : "more\($0.offset)").yaml", bytes: Array($0.element.utf8))
        }
        return ResourceFile.read(files, context: ResourceContext(issuer: try Issuer(issuer), environment: environment, readFile: read))
    }
}

extension LoadedSettings {
    var problems: [SettingProblem] { if case .failure(let problems) = outcome { problems.list } else { [] } }
    var settings: ServerSettings { get throws { try outcome.get() } }
    /// All problems as lines.
    var text: String { problems.map(\.description).joined(separator: "\n") }
}

extension Result<ResourceReading, ResourceProblems> {
    var problems: [ResourceProblem] { if case .failure(let problems) = self { problems.list } else { [] } }
    var lines: [String] { problems.map(\.description) }
}

/// SplitMix64: the same numbers for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
