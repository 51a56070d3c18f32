internal import Yams

/// YAML as Gatehouse reads it: text with its place, and nothing that changes the meaning of text.
///
/// `10m`, `no`, `010` and `orders:read` stay what they are; who wants a truth value asks for one.
struct YAMLNode: Sendable {
    enum Content: Sendable {
        /// Nothing, `~` or `null`, without quotes.
        case null
        /// Without quotes: only here `true` is a truth value and `none` a word.
        case plain(String)
        case quoted(String)
        case sequence([YAMLNode])
        case mapping([Member])
    }

    struct Member: Sendable {
        let name: String
        let place: Place
        let value: YAMLNode
    }

    let content: Content
    let place: Place

    var text: String? {
        switch content {
        case .plain(let text), .quoted(let text): text
        default: nil
        }
    }

    var isNull: Bool { if case .null = content { true } else { false } }

    /// What it is, for a message.
    var kindName: String {
        switch content {
        case .null: "nothing"
        case .plain, .quoted: "text"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}

/// Why a text is no YAML that Gatehouse reads. The message has none of the text but names of keys.
struct YAMLFault: Error {
    let place: Place
    let message: String
}

enum YAMLReader {
    /// The longest file, in bytes.
    static let bytesMax = 1_000_000
    static let depthMax = 64
    /// Keys, list entries and values together.
    static let nodesMax = 100_000

    /// - Returns: Nothing when the file has no content.
    static func read(_ bytes: [UInt8], path: String) throws(YAMLFault) -> YAMLNode? {
        func fault(_ line: Int, _ column: Int, _ message: String) -> YAMLFault {
            YAMLFault(place: Place(file: path, line: line, column: column), message: message)
        }
        if bytes.count > bytesMax { throw fault(1, 1, "the file is larger than \(bytesMax / 1_000_000) MB") }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            let line = 1 + bytes[..<validPrefix(of: bytes)].count { $0 == 0x0A }
            throw fault(line, 1, "the file is not UTF-8")
        }
        do { try YAMLScan.check(bytes) } catch { throw fault(error.line, error.column, error.message) }
        do {
            let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
            guard let root = try parser.singleRoot() else { return nil }
            var converter = Converter(path: path)
            // The nodes hold their anchors weakly, through the parser.
            return try withExtendedLifetime(parser) { () throws in try converter.node(root, depth: 0) }
        } catch let error as YAMLFault {
            throw error
        } catch let error as YamlError {
            let (mark, message) = explain(error)
            throw fault(mark?.line ?? 1, mark?.column ?? 1, message)
        } catch {
            throw fault(1, 1, "the file cannot be read as YAML")
        }
    }

    private static func validPrefix(of bytes: [UInt8]) -> Int {
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        var count = 0
        while case .scalarValue(let scalar) = decoder.decode(&iterator) { count += UTF8.width(scalar) }
        return min(count, bytes.count)
    }

    /// Place and message without the snippet that the error carries: it may show a secret.
    private static func explain(_ error: YamlError) -> (Mark?, String) {
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            (mark, "not valid YAML: " + (context.map { $0.text + ": " } ?? "") + problem)
        case .duplicatedKeysInMapping(let duplicates, let context):
            (context.mark, "the same key twice: " + duplicates.map { Quoted.text($0) }.joined(separator: ", "))
        case .reader(let problem, _, _, _): (nil, "not valid YAML: " + problem)
        default: (nil, "not valid YAML")
        }
    }

    /// Copies the parser's nodes, within the limits.
    private struct Converter {
        let path: String
        var count = 0

        init(path: String) { self.path = path }

        mutating func node(_ node: Node, depth: Int) throws(YAMLFault) -> YAMLNode {
            let place = place(node.mark)
            count += 1
            if count > nodesMax { throw YAMLFault(place: place, message: "the file has more than \(nodesMax) values") }
            if depth > depthMax { throw YAMLFault(place: place, message: "nested too deeply") }
            guard node.anchor == nil else { throw YAMLFault(place: place, message: "YAML anchors are not supported") }
            switch node {
            case .scalar(let scalar): return YAMLNode(content: content(scalar), place: place)
            case .sequence(let sequence):
                var elements: [YAMLNode] = []
                for element in sequence { elements.append(try self.node(element, depth: depth + 1)) }
                return YAMLNode(content: .sequence(elements), place: place)
            case .mapping(let mapping):
                var members: [YAMLNode.Member] = []
                for (key, value) in mapping {
                    let keyPlace = self.place(key.mark)
                    guard case .scalar(let name) = key else { throw YAMLFault(place: keyPlace, message: "a key must be text") }
                    members.append(YAMLNode.Member(name: name.string, place: keyPlace, value: try self.node(value, depth: depth + 1)))
                }
                return YAMLNode(content: .mapping(members), place: place)
            case .alias: throw YAMLFault(place: place, message: "YAML aliases are not supported")
            }
        }

        private func content(_ scalar: Node.Scalar) -> YAMLNode.Content {
            guard scalar.style == .plain else { return .quoted(scalar.string) }
            let words = ["", "~", "null", "Null", "NULL"]
            return words.contains { $0.utf8.elementsEqual(scalar.string.utf8) } ? .null : .plain(scalar.string)
        }

        private func place(_ mark: Mark?) -> Place { Place(file: path, line: mark?.line ?? 1, column: mark?.column ?? 1) }
    }
}
