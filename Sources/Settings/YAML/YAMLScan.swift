/// Looks through YAML text before it is parsed, and refuses what Gatehouse does not read.
///
/// The parser behind it expands aliases and descends without a limit of its own, so both end here: no anchors, aliases or
/// tags, bounded nesting, and nothing that would hide them from this scan (block text, directives). It knows as much of
/// YAML's tokens as that takes: where a token can begin, quotes, comments, and flow brackets.
struct YAMLScan {
    static let flowDepthMax = 32
    static let indentMax = 200
    /// The most `- ` and `? ` that may stand on one line.
    static let indicatorsMax = 16

    struct Fault: Error, Equatable {
        let line: Int
        let column: Int
        let message: String
    }

    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var column = 1
    private var flowDepth = 0
    private var indicators = 0
    private var isTokenStart = true
    private var isAfterQuote = false

    static func check(_ bytes: [UInt8]) throws(Fault) {
        var scan = YAMLScan(bytes: bytes)
        while scan.position < bytes.count { try scan.step() }
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private func fault(_ message: String) -> Fault { Fault(line: line, column: column, message: message) }

    private func byte(at offset: Int = 0) -> UInt8? {
        position + offset < bytes.count ? bytes[position + offset] : nil
    }

    private func isBlank(at offset: Int) -> Bool {
        guard let byte = byte(at: offset) else { return true }
        return byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
    }

    /// Passes one byte and keeps line and column.
    private mutating func advance() throws(Fault) {
        let byte = bytes[position]
        switch byte {
        case 0x0A:
            line += 1
            column = 0
        case 0x0D: if self.byte(at: 1) != 0x0A { throw fault("a carriage return without a line feed is not allowed") }
        case 0x09: break
        case 0..<0x20, 0x7F: throw fault("control characters are not allowed")
        // U+0080…U+009F, U+2028 and U+2029: some of them end a line for the parser and for nobody else.
        case 0xC2 where (0x80...0x9F).contains(self.byte(at: 1) ?? 0): throw fault("control characters are not allowed")
        case 0xE2 where self.byte(at: 1) == 0x80 && (0xA8...0xA9).contains(self.byte(at: 2) ?? 0):
            throw fault("Unicode line separators are not allowed")
        case 0xEF where self.byte(at: 1) == 0xBB && self.byte(at: 2) == 0xBF: throw fault("a byte order mark is not allowed")
        default: break
        }
        if byte & 0xC0 != 0x80 { column += 1 }
        position += 1
    }

    private mutating func step() throws(Fault) {
        guard let byte = byte() else { return }
        switch byte {
        case 0x0A:
            try advance()
            try beginLine()
        case 0x20, 0x09, 0x0D: try advance()
        case UInt8(ascii: "#") where isTokenStart || position == 0 || bytes[position - 1] == 0x20 || bytes[position - 1] == 0x09:
            while let next = self.byte(), next != 0x0A { try advance() }
        default: try isTokenStart ? token(byte) : plain(byte)
        }
    }

    private mutating func beginLine() throws(Fault) {
        isTokenStart = true
        isAfterQuote = false
        indicators = 0
        while byte() == 0x20 { try advance() }
        if column > YAMLScan.indentMax { throw fault("the line is indented too far") }
    }

    private mutating func token(_ byte: UInt8) throws(Fault) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "'"): try quoted(byte)
        case UInt8(ascii: "&"), UInt8(ascii: "*"):
            throw fault("YAML anchors and aliases are not supported; quote text that begins with & or *")
        case UInt8(ascii: "!"): throw fault("YAML tags are not supported; quote text that begins with !")
        case UInt8(ascii: "|"), UInt8(ascii: ">"):
            throw fault("YAML block text is not supported; use quotes, or file:PATH for a secret")
        case UInt8(ascii: "%"): throw fault("YAML directives are not supported; quote text that begins with %")
        case UInt8(ascii: "-") where column == 1 && self.byte(at: 1) == byte && self.byte(at: 2) == byte && isBlank(at: 3):
            for _ in 0..<3 { try advance() }
        case UInt8(ascii: ".") where column == 1 && self.byte(at: 1) == byte && self.byte(at: 2) == byte && isBlank(at: 3):
            for _ in 0..<3 { try advance() }
        case UInt8(ascii: "-") where isBlank(at: 1), UInt8(ascii: "?") where isBlank(at: 1) || flowDepth > 0:
            indicators += 1
            if indicators > YAMLScan.indicatorsMax { throw fault("nested too deeply") }
            try advance()
        case UInt8(ascii: ":") where isBlank(at: 1) || flowDepth > 0: try advance()
        case UInt8(ascii: "["), UInt8(ascii: "{"): try open()
        default: try plain(byte)
        }
    }

    private mutating func open() throws(Fault) {
        flowDepth += 1
        if flowDepth > YAMLScan.flowDepthMax { throw fault("nested too deeply") }
        try advance()
        isTokenStart = true
    }

    private mutating func plain(_ byte: UInt8) throws(Fault) {
        isTokenStart = false
        switch byte {
        case UInt8(ascii: ":") where isBlank(at: 1) || isAfterQuote || (flowDepth > 0 && endsPlainInFlow(at: 1)): isTokenStart = true
        case UInt8(ascii: ","), UInt8(ascii: "["), UInt8(ascii: "{"):
            guard flowDepth > 0 else { break }
            if byte != UInt8(ascii: ",") { return try open() }
            isTokenStart = true
        case UInt8(ascii: "]"), UInt8(ascii: "}"): if flowDepth > 0 { flowDepth -= 1 }
        default: break
        }
        isAfterQuote = false
        try advance()
    }

    private func endsPlainInFlow(at offset: Int) -> Bool {
        guard let byte = byte(at: offset) else { return true }
        return [UInt8(ascii: ","), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "{"), UInt8(ascii: "}")].contains(byte)
    }

    private mutating func quoted(_ quote: UInt8) throws(Fault) {
        let opening = fault("the quote is not closed")
        try advance()
        while let byte = byte() {
            if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\""), self.byte(at: 1) != nil {
                try advance()
            } else if byte == quote {
                // A doubled single quote stands for one.
                guard quote == UInt8(ascii: "'"), self.byte(at: 1) == quote else {
                    try advance()
                    isTokenStart = false
                    isAfterQuote = true
                    return
                }
                try advance()
            }
            try advance()
        }
        throw opening
    }
}
