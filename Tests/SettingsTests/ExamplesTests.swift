import AuthCore
import Foundation
import Store
import Testing

@testable import Settings

@Suite("Examples and manual")
struct ExamplesTests {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .path

    @Sendable static func read(_ path: String) throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else { throw FileReadError.notFound }
        return Array(data)
    }

    @Test("the quick start loads, with no warning but for the secret in clear")
    func quickStart() throws {
        let folder = Self.root + "/examples/quickstart"
        let loaded = ServerSettings.load(
            arguments: ["--config", folder + "/gatehouse.yaml"], environment: [:], readFile: Self.read, isTerminal: true)
        let settings = try loaded.outcome.get()
        #expect(loaded.warnings.isEmpty)
        #expect(settings.applyFiles == [folder + "/resources.yaml"])
        let files = try settings.applyFiles.map { ResourceFile(path: $0, bytes: try Self.read($0)) }
        let reading = try ResourceFile.read(files, context: ResourceContext(issuer: settings.issuer, environment: [:], readFile: Self.read))
            .get()
        #expect(reading.document.users.map(\.username) == ["alice", "bob"])
        #expect(reading.document.clients.map(\.id) == ["web", "billing"])
        #expect(reading.document.routes.map(\.path) == ["/orders", "/reports", "/public"])
        #expect(reading.document.routes.last?.requirement == .open)
        #expect(reading.warnings.map(\.path) == ["clients[1].secret"])
    }

    @Test("the manual names every key of the table and of the resource files")
    func manual() {
        let more = SettingKey("cache.size", .size(1_000...1_000_000), default: "64KB", "How much | how little.")
        let text = ConfigurationManual.render(keys: ServerKeys.all + [more])
        for key in ServerKeys.all + [more] { #expect(text.contains("| `\(key.name)` |"), "\(key.name)") }
        for key in [
            ResourceKeys.document, ResourceKeys.user, ResourceKeys.client, ResourceKeys.resource, ResourceKeys.route, ResourceKeys.match,
            ResourceKeys.rule,
        ].joined() {
            #expect(text.contains("| `\(key.name)` |"), "\(key.name)")
        }
        #expect(text.contains("| `cache.size` | size, 1KB…1MB | `64KB` | How much \\| how little. |\n"))
        #expect(text.contains("### cache\n") && text.contains("### General\n"))
        #expect(!text.contains("\t") && !text.contains(" \n"))
    }

    @Test("the example in the manual is a good resource file")
    func manualExample() throws {
        let blocks = ConfigurationManual.render().components(separatedBy: "```")
        let yaml = try #require(blocks.first { $0.hasPrefix("yaml\nusers:") }).dropFirst(5)
        let environment = ["ALICE_PASSWORD": "correct-horse-battery", "BILLING_SECRET": "0123456789abcdef0123456789abcdef"]
        let reading = try World(environment: environment).resources([String(yaml)]).get()
        #expect(reading.warnings.isEmpty && reading.document.routes.count == 2)
        let settings = try #require(blocks.first { $0.hasPrefix("yaml\nissuer:") }).dropFirst(5)
        #expect(World.load(file: String(settings), environment: ["MASTER_KEY": World.masterKey]).text == "")
    }
}
