import AuthCore
import Testing

@testable import Settings

@Suite("R-22: mutated configurations")
struct MutationTests {
    /// A good file: a key and a value that it takes, each on a line of its own.
    static let good: [(key: String, value: String)] = ServerKeys.all.map { key in
        let value =
            switch key.name {
            case "listen.control": "unix:/run/g.sock"
            case "storage": "postgres://db1/gate"
            case "storage_listen": "postgres://db2/gate"
            case "master_keys": "['env:K']"
            case "apply": "[a.yaml]"
            case "roles": "[auth, gateway]"
            case "control_plane.urls": "['https://a.test']"
            case "control_plane.client_id": "gateways"
            case "control_plane.client_secret": "env:K"
            case "trusted_proxies": "[10.0.0.0/8]"
            case "validate.require_client": "true"
            case "listen.auth_mtls": "127.0.0.1:8444"
            case "mtls_url": "https://mtls.test"
            case let name where name.hasSuffix(".tls.client_certificates"): "verified"
            case "passwords.threads": "2"
            default: key.defaultText ?? "/etc/x.pem"
            }
        return (key.name, key.isList || value.utf8.first == UInt8(ascii: "/") ? value : "\(value)")
    }

    func load(_ lines: [(key: String, value: String)]) -> LoadedSettings {
        World.load(file: lines.map { "\($0.key): \($0.value)\n" }.joined(), environment: ["K": World.masterKey])
    }

    @Test("the file that is mutated is good")
    func unmutated() { #expect(load(Self.good).text == "") }

    @Test("each unknown key is named with its line, and the key that was meant with it")
    func unknownKeys() {
        var generator = SeededGenerator(seed: 1)
        var meant = 0
        for _ in 0..<100 {
            var lines = Self.good
            let index = Int.random(in: 0..<lines.count, using: &generator)
            let original = lines[index].key
            let mutated = misspelt(original, using: &generator)
            if ServerKeys.all.contains(where: { $0.name.isSameBytes(as: mutated) }) { continue }
            lines[index].key = mutated
            let problems = load(lines).problems
            let named = problems.first { $0.key?.isSameBytes(as: mutated) == true }
            #expect(named?.message == "is no known setting", "\(mutated): \(problems)")
            #expect(named?.origin == .file(Place(file: "/etc/g/gatehouse.yaml", line: index + 1, column: 1)))
            #expect(named?.nearest != nil)
            if named?.nearest == original { meant += 1 }
        }
        #expect(meant >= 85, "\(meant)")
    }

    private func misspelt(_ key: String, using generator: inout SeededGenerator) -> String {
        var bytes = Array(key.utf8)
        let letters = bytes.indices.filter { bytes[$0] != UInt8(ascii: ".") }
        guard let index = letters.randomElement(using: &generator),
            let letter = "abcdefghijklmnopqrstuvwxyz_".utf8.randomElement(using: &generator)
        else { return key }
        switch Int.random(in: 0...3, using: &generator) {
        case 0: bytes[index] = letter
        case 1: bytes.insert(letter, at: index)
        case 2: bytes.remove(at: index)
        default:
            if index + 1 < bytes.count, bytes[index + 1] != UInt8(ascii: ".") {
                bytes.swapAt(index, index + 1)
            } else {
                bytes.append(letter)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("each invalid value is named with its key and line")
    func invalidValues() {
        var generator = SeededGenerator(seed: 2)
        let junk = [
            "", "~", "[[]]", "{x: 1}", "'\\'", "-1", "yes", "1e9", "99999999999999999999", "'10 m'", "a\tb", "[a, b, ~]", "\"\\x00\"",
            "0x7f.1:80", "'file:'", "'env:'",
        ]
        var refused = 0
        for _ in 0..<200 {
            var lines = Self.good
            let index = Int.random(in: 0..<lines.count, using: &generator)
            lines[index].value = junk.randomElement(using: &generator) ?? ""
            let loaded = load(lines)
            guard !loaded.problems.isEmpty else {
                // Paths, names and secrets take almost any text.
                let texts = ["apply", "control_plane.client_id", "control_plane.client_secret", "control_plane.ca"]
                #expect(lines[index].key.hasPrefix("listen.") || texts.contains(lines[index].key), "\(lines[index])")
                continue
            }
            refused += 1
            let isNamed = loaded.problems.contains { problem in
                guard problem.key?.utf8.starts(with: lines[index].key.utf8) == true, case .file(let place) = problem.origin else {
                    return false
                }
                return place.line == index + 1
            }
            #expect(isNamed, "\(lines[index]): \(loaded.text)")
        }
        #expect(refused > 150)
    }

    @Test("each key of a resource file that is misspelt is named with its line")
    func resourceKeys() throws {
        let text = ResourceFileTests.good
        let names = [
            "users", "clients", "resources", "roles", "routes", "providers", "username", "email", "password", "password_hash", "id",
            "public", "secret", "grants",
            "redirect_uris", "scopes", "include_roles", "scope_descriptions", "name", "match", "path", "methods", "host", "upstream",
            "require", "scope",
            "audience", "role", "client", "acr", "max_age",
            "identity", "pass_token", "when_stale",
        ]
        for name in names {
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            for (index, line) in lines.enumerated() {
                for lead in ["{", " "] {
                    guard let range = line.firstRange(of: "\(lead)\(name): ") else { continue }
                    var mutated = lines
                    mutated[index].replaceSubrange(range, with: "\(lead)\(name)x: ")
                    let problems = try ResourceFileTests.world.resources([mutated.joined(separator: "\n")]).problems
                    #expect(
                        problems.contains { $0.path.hasSuffix("\(name)x") && $0.place.line == index + 1 && $0.nearest == name },
                        "\(name) \(problems)")
                }
            }
        }
    }

    @Test("no mutation of a resource file stops the reader, and what is refused has a place")
    func wildResources() throws {
        var generator = SeededGenerator(seed: 3)
        let good = Array(ResourceFileTests.good.utf8)
        let context = ResourceContext(
            issuer: try Issuer("https://id.example.com"), environment: ResourceFileTests.world.environment, readFile: World().read)
        var refused = 0
        for _ in 0..<500 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0...3, using: &generator) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.insert("[]{}:,-?&*!|>'\"%@`#\n /.%;\\~".utf8.randomElement(using: &generator) ?? 0, at: index)
                case 2: bytes.remove(at: index)
                default: bytes.removeSubrange(index..<min(index + 40, bytes.count))
                }
            }
            if case .failure(let problems) = ResourceFile.read([ResourceFile(path: "r", bytes: bytes)], context: context) {
                refused += 1
                #expect(!problems.list.isEmpty && problems.list.allSatisfy { $0.place.line >= 1 && $0.place.column >= 1 })
            }
        }
        #expect(refused > 400)
    }
}
