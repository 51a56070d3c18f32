import AuthCore
import Glibc
import Settings

/// The words behind a command: its own options, flags and operands, and `--config`.
struct Options {
    private(set) var operands: [String] = []
    private var values: [String: [String]] = [:]
    private var flags: Set<String> = []

    /// - Parameters:
    ///   - options: Those that take a value, with their dashes.
    ///   - flags: Those that do not.
    init(_ arguments: [String], options: Set<String> = [], flags: Set<String> = [], operands operandsMax: Int = 0) throws(UsageError) {
        var rest = arguments[...]
        while let word = rest.popFirst() {
            if word == "--config" || options.contains(word) {
                guard let value = rest.popFirst() else { throw UsageError("\(word) needs a value") }
                values[word, default: []].append(value)
                // `-f a b c` names several files.
                while word == "-f", let more = rest.first, !more.hasPrefix("-") {
                    values[word, default: []].append(more)
                    rest = rest.dropFirst()
                }
            } else if flags.contains(word) {
                self.flags.insert(word)
            } else if word.hasPrefix("-"), word != "-" {
                throw UsageError("there is no option \(word) here")
            } else {
                operands.append(word)
            }
        }
        if operands.count > operandsMax { throw UsageError("\"\(operands[operandsMax])\" is too much") }
    }

    func all(_ name: String) -> [String] { values[name] ?? [] }
    func value(_ name: String) -> String? { values[name]?.last }
    func has(_ flag: String) -> Bool { flags.contains(flag) }

    /// The settings of the server that this command is about.
    func settings() throws -> ServerSettings {
        let arguments = value("--config").map { ["--config", $0] } ?? []
        return try SettingsLoading.load(arguments).settings
    }

    /// The running server.
    func control() throws -> ControlClient { ControlClient(path: try settings().listeners.controlPath) }
}

enum SettingsLoading {
    /// - Throws: Every mistake at once.
    static func load(_ arguments: [String]) throws(UsageError) -> (settings: ServerSettings, warnings: [String]) {
        let loaded = ServerSettings.load(
            arguments: arguments, environment: ProcessEnvironment.all, readFile: { try Files.read($0) }, isTerminal: isatty(2) == 1,
            moreKeys: Node.moreKeys
        )
        let warnings = loaded.warnings.map(\.description)
        switch loaded.outcome {
        case .success(let settings): return (settings, warnings)
        case .failure(let problems):
            throw UsageError("the settings have mistakes:\n" + problems.list.map { "  \($0)" }.joined(separator: "\n"))
        }
    }
}

extension ControlClient {
    /// Sends a request and shows what the server answered.
    ///
    /// - Throws: The server's own words when it refused.
    @discardableResult
    func call(_ method: String, _ target: String, _ body: JSONObject? = nil) throws -> JSONObject {
        let answer = try request(method, target, body: body.map { JSONValue.object($0).encoded } ?? [])
        if (200..<300).contains(answer.status) { return answer.json ?? JSONObject() }
        guard let json = answer.json else { throw UsageError("the server answered \(answer.status)") }
        var message = json["error_description"]?.string ?? json["error"]?.string ?? "the server answered \(answer.status)"
        for problem in json["problems"]?.strings ?? [] { message += "\n  \(problem)" }
        throw UsageError(message)
    }
}

/// Percent-encodes one segment of a path.
func pathSegment(_ text: String) -> String {
    var encoded = ""
    for byte in text.utf8 {
        let isPlain =
            (0x30...0x39) ~= byte || (0x41...0x5A) ~= byte || (0x61...0x7A) ~= byte || byte == 0x2D || byte == 0x5F || byte == 0x2E
        encoded += isPlain ? String(UnicodeScalar(byte)) : "%" + hexadecimal([byte]).uppercased()
    }
    return encoded
}

/// Rows of text in columns.
func table(_ rows: [[String]]) -> String {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
    let lines = rows.map { row in
        row.enumerated().map { column, text in
            column == row.count - 1 ? text : text + String(repeating: " ", count: widths[column] - text.count)
        }.joined(separator: "  ")
    }
    return lines.joined(separator: "\n")
}

/// A time for people, in UTC.
func timeText(_ seconds: Int64?) -> String { seconds.map { LogWriter.timestamp(Instant(seconds: $0)) } ?? "-" }
