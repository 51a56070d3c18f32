import AuthCore
import HTTPEdge
import NIOCore
import TestSupport
import Testing

/// What the parser makes of `bytes`, given in pieces.
func parse(_ bytes: [UInt8], cuts: [Int] = [], limits: EdgeLimits = EdgeLimits()) -> String {
    var parser = RequestHeadParser(limits: limits)
    var input = ByteBuffer()
    var start = 0
    for end in cuts + [bytes.count] {
        input.writeBytes(bytes[start..<end])
        start = end
        switch parser.parse(&input) {
        case .incomplete: continue
        case .failure(let failure): return "failure \(failure.rawValue)"
        case .head(let head):
            input.writeBytes(bytes[start...])
            let fields = head.facts.headers.fields.map { field in
                let storage = head.facts.headers.storage
                return "\(String(decoding: storage[field.name], as: UTF8.self))=\(Array(storage[field.value]))"
            }
            return
                "\(head.facts.method) \(head.facts.target) 1.0:\(head.facts.isVersion10) \(fields) \(head.framing) keep:\(head.keepsAlive) "
                + "continue:\(head.expectsContinue) rest:\(Array(input.readableBytesView))"
        }
    }
    return "incomplete"
}

struct HeadRow: CustomTestStringConvertible, Sendable {
    let name: String
    let head: String
    let failure: HeadFailure?

    init(_ name: String, _ head: String, _ failure: HeadFailure? = nil) {
        self.name = name
        self.head = head
        self.failure = failure
    }

    var testDescription: String { name }
}

@Suite("RFC 9112: the request head parser refuses whatever two readers could understand differently (GW-01)")
struct RequestHeadTests {
    static let host = "Host: a.example\r\n"

    static let refused: [HeadRow] = [
        HeadRow("bare LF ends the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", .bareLF),
        HeadRow("bare LF ends a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", .bareLF),
        HeadRow("bare LF ends the head", "GET / HTTP/1.1\r\nHost: a\r\n\n", .bareLF),
        HeadRow("bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", .bareCR),
        HeadRow("CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n", .bareCR),
        HeadRow("bare CR in the request line", "GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n", .bareCR),
        HeadRow("folded field", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", .obsoleteFold),
        HeadRow("folded with a tab", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n", .obsoleteFold),
        HeadRow("first field begins with a space", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", .obsoleteFold),
        HeadRow("space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", .spaceBeforeColon),
        HeadRow("tab before colon", "GET / HTTP/1.1\r\nHost: a\r\nX\t: a\r\n\r\n", .spaceBeforeColon),
        HeadRow("empty name", "GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n", .fieldName),
        HeadRow("no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", .fieldName),
        HeadRow("name with a slash", "GET / HTTP/1.1\r\nHost: a\r\nX/Y: a\r\n\r\n", .fieldName),
        HeadRow("name outside ASCII", "GET / HTTP/1.1\r\nHost: a\r\nX\u{E9}: a\r\n\r\n", .fieldName),
        HeadRow("NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", .fieldValue),
        HeadRow("DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\u{7F}b\r\n\r\n", .fieldValue),
        HeadRow("vertical tab in a long value", "GET / HTTP/1.1\r\nHost: a\r\nX: 0123456789abcdef\u{B}0123456789\r\n\r\n", .fieldValue),
        HeadRow("no Host", "GET / HTTP/1.1\r\n\r\n", .missingHost),
        HeadRow("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", .repeatedHost),
        HeadRow("two Hosts in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", .repeatedHost),
        HeadRow("empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", .badHost),
        HeadRow("Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", .badHost),
        HeadRow("Host with user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", .badHost),
        HeadRow("Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", .badHost),
        HeadRow("Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .badHost),
        HeadRow("Host port too large", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", .badHost),
        HeadRow("Host port of letters", "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", .badHost),
        HeadRow("Host port signed", "GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n", .badHost),
        HeadRow("Host with open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", .badHost),
        HeadRow("Host with zone", "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n", .badHost),
        HeadRow("Host with IPv4 in brackets", "GET / HTTP/1.1\r\nHost: [127.0.0.1]\r\n\r\n", .badHost),
        HeadRow("Host percent-encoded", "GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n", .badHost),
        HeadRow("both lengths", "POST / HTTP/1.1\r\n\(host)Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", .bothLengths),
        HeadRow(
            "both, the other way round", "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", .bothLengths),
        HeadRow(
            "two different lengths", "POST / HTTP/1.1\r\n\(host)Content-Length: 5\r\nContent-Length: 6\r\n\r\n", .repeatedContentLength),
        HeadRow("two equal lengths", "POST / HTTP/1.1\r\n\(host)Content-Length: 5\r\nContent-Length: 5\r\n\r\n", .repeatedContentLength),
        HeadRow("a list of lengths", "POST / HTTP/1.1\r\n\(host)Content-Length: 5, 5\r\n\r\n", .contentLength),
        HeadRow("+5", "POST / HTTP/1.1\r\n\(host)Content-Length: +5\r\n\r\n", .contentLength),
        HeadRow("-5", "POST / HTTP/1.1\r\n\(host)Content-Length: -5\r\n\r\n", .contentLength),
        HeadRow("0x5", "POST / HTTP/1.1\r\n\(host)Content-Length: 0x5\r\n\r\n", .contentLength),
        HeadRow("5 5", "POST / HTTP/1.1\r\n\(host)Content-Length: 5 5\r\n\r\n", .contentLength),
        HeadRow("empty length", "POST / HTTP/1.1\r\n\(host)Content-Length:\r\n\r\n", .contentLength),
        HeadRow("length of 19 digits", "POST / HTTP/1.1\r\n\(host)Content-Length: 9223372036854775808\r\n\r\n", .contentLength),
        HeadRow("length with Arabic digits", "POST / HTTP/1.1\r\n\(host)Content-Length: \u{665}\r\n\r\n", .contentLength),
        HeadRow("coding gzip, chunked", "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: gzip, chunked\r\n\r\n", .transferEncoding),
        HeadRow("coding chunked, chunked", "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked, chunked\r\n\r\n", .transferEncoding),
        HeadRow(
            "coding twice", "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", .transferEncoding),
        HeadRow("coding identity", "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: identity\r\n\r\n", .transferEncoding),
        HeadRow("coding xchunked", "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: xchunked\r\n\r\n", .transferEncoding),
        HeadRow("coding with parameter", "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked;q=1\r\n\r\n", .transferEncoding),
        HeadRow("coding quoted", "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: \"chunked\"\r\n\r\n", .transferEncoding),
        HeadRow("coding behind vertical tab", "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: \u{B}chunked\r\n\r\n", .fieldValue),
        HeadRow("coding in 1.0 (CVE-2026-42581)", "POST / HTTP/1.0\r\n\(host)Transfer-Encoding: chunked\r\n\r\n", .transferEncodingIn10),
        HeadRow(
            "both in 1.0 (CVE-2026-42581)", "POST / HTTP/1.0\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", .bothLengths),
        HeadRow("absolute-form", "GET http://a.example/ HTTP/1.1\r\n\(host)\r\n", .target),
        HeadRow("authority-form", "CONNECT a.example:443 HTTP/1.1\r\n\(host)\r\n", .target),
        HeadRow("asterisk-form", "OPTIONS * HTTP/1.1\r\n\(host)\r\n", .target),
        HeadRow("fragment", "GET /a#b HTTP/1.1\r\n\(host)\r\n", .target),
        HeadRow("target outside ASCII", "GET /\u{E9} HTTP/1.1\r\n\(host)\r\n", .target),
        HeadRow("tab in the target", "GET /a\tb HTTP/1.1\r\n\(host)\r\n", .target),
        HeadRow("NUL in the target", "GET /a\0b HTTP/1.1\r\n\(host)\r\n", .target),
        HeadRow("two spaces", "GET  / HTTP/1.1\r\n\(host)\r\n", .requestLine),
        HeadRow("two spaces before the version", "GET /  HTTP/1.1\r\n\(host)\r\n", .requestLine),
        HeadRow("space behind the version", "GET / HTTP/1.1 \r\n\(host)\r\n", .requestLine),
        HeadRow("no version (HTTP/0.9)", "GET /\r\n\(host)\r\n", .requestLine),
        HeadRow("only a method", "GET\r\n\(host)\r\n", .requestLine),
        HeadRow("method with a bracket", "G[T / HTTP/1.1\r\n\(host)\r\n", .method),
        HeadRow("method of 33 characters", String(repeating: "G", count: 33) + " / HTTP/1.1\r\n\(host)\r\n", .method),
        HeadRow("leading space", " GET / HTTP/1.1\r\n\(host)\r\n", .requestLine),
        HeadRow("a TLS handshake", "\u{16}\u{3}\u{1}", .requestLine),
        HeadRow("two empty lines in front", "\r\n\r\nGET / HTTP/1.1\r\n\(host)\r\n", .requestLine),
        HeadRow("lower-case version", "GET / http/1.1\r\n\(host)\r\n", .requestLine),
        HeadRow("version 2.0", "PRI * HTTP/2.0\r\n\r\n", .version),
        HeadRow("version 1.2", "GET / HTTP/1.2\r\n\(host)\r\n", .version),
        HeadRow("version 0.9", "GET / HTTP/0.9\r\n\(host)\r\n", .version),
        HeadRow("version 1.10", "GET / HTTP/1.10\r\n\(host)\r\n", .requestLine),
        HeadRow("unknown expectation", "POST / HTTP/1.1\r\n\(host)Expect: 200-ok\r\nContent-Length: 1\r\n\r\n", .expectation),
    ]

    @Test("each malformed head is refused, for its own reason", arguments: refused)
    func refuses(_ row: HeadRow) throws {
        #expect(parse(Array(row.head.utf8)) == "failure \(try #require(row.failure).rawValue)")
    }

    static let accepted: [HeadRow] = [
        HeadRow("plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        HeadRow("one empty line in front (RFC 9112 §2.2)", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        HeadRow("every byte of a token in a name", "GET / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n"),
        HeadRow("no space behind the colon, spaces at the end", "GET / HTTP/1.1\r\nHost:a \t\r\nX:\t y \r\n\r\n"),
        HeadRow("empty value", "GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n"),
        HeadRow("bytes over 127 in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \u{E9}t\u{E9}\r\n\r\n"),
        HeadRow("tab inside a value", "GET / HTTP/1.1\r\nHost: a\r\nX: 0123456\t0123456789\r\n\r\n"),
        HeadRow("IPv6 Host with port", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8000\r\n\r\n"),
        HeadRow("Host port 0 and 65535", "GET / HTTP/1.1\r\nHost: a_b.example:65535\r\n\r\n"),
        HeadRow("1.0 without Host", "GET / HTTP/1.0\r\n\r\n"),
        HeadRow("chunked, in any case", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"),
        HeadRow("length 0", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
        HeadRow("length with leading zeros", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\n"),
        HeadRow("largest length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999999999\r\n\r\n"),
        HeadRow("what browsers leave raw", "GET /a|b?x={\"y\"} HTTP/1.1\r\nHost: a\r\n\r\n"),
        HeadRow("unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n"),
        HeadRow("unknown expectation in 1.0", "POST / HTTP/1.0\r\nExpect: x\r\nContent-Length: 1\r\n\r\n"),
    ]

    @Test("each well-formed head is accepted", arguments: accepted)
    func accepts(_ row: HeadRow) {
        let result = parse(Array(row.head.utf8))
        #expect(!result.hasPrefix("failure") && result != "incomplete", "\(result)")
    }

    @Test("the verdict does not depend on how the bytes are cut", arguments: refused + accepted)
    func isCutIndependent(_ row: HeadRow) {
        let bytes = Array(row.head.utf8)
        let whole = parse(bytes)
        for cut in 0...bytes.count { #expect(parse(bytes, cuts: [cut]) == whole, "cut at \(cut)") }
        #expect(parse(bytes, cuts: Array(1..<bytes.count)) == whole, "byte by byte")
    }

    @Test("method, target, fields and what framing says are as sent")
    func reads() throws {
        var parser = RequestHeadParser(limits: EdgeLimits(), peer: PeerAddress(v4: 1), isTLS: true)
        var input = ByteBuffer(
            string: "POST /a?b=c HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nX-A:  one two \r\nContent-Length: 12\r\n\r\nbody")
        guard case .head(let head) = parser.parse(&input) else {
            Issue.record("not a head")
            return
        }
        #expect(head.facts.method == "POST")
        #expect(head.facts.target == Array("/a?b=c".utf8))
        #expect(head.facts.headers.text("x-a") == "one two")
        #expect(head.facts.peer == PeerAddress(v4: 1) && head.facts.isTLS && !head.facts.isVersion10)
        #expect(head.framing == .length(12) && head.expectsContinue && head.keepsAlive && !head.isHead)
        #expect(String(buffer: input) == "body")
    }

    static let persistence: [(String, Bool)] = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: te, CLOSE\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", true),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
        ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false),
    ]

    @Test("RFC 9112 §9.3: whether the connection stays", arguments: persistence)
    func persists(_ head: String, _ stays: Bool) { #expect(parse(Array(head.utf8)).contains("keep:\(stays)")) }

    @Test("limits hold to the byte (GW-12)")
    func limits() {
        func line(_ count: Int) -> [UInt8] {
            Array("GET /".utf8) + Array(repeating: 0x61, count: count - 14) + Array(" HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        }
        #expect(!parse(line(8_192)).hasPrefix("failure"))
        #expect(parse(line(8_193)) == "failure uri_too_long")
        func section(_ count: Int) -> [UInt8] {
            Array("GET / HTTP/1.1\r\nHost: a\r\nX: ".utf8) + Array(repeating: 0x61, count: count - 14) + Array("\r\n\r\n".utf8)
        }
        #expect(!parse(section(32_768)).hasPrefix("failure"))
        #expect(parse(section(32_769)) == "failure headers_too_large")
        func fields(_ count: Int) -> [UInt8] {
            Array(("GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: y\r\n", count: count - 1) + "\r\n").utf8)
        }
        #expect(!parse(fields(100)).hasPrefix("failure"))
        #expect(parse(fields(101)) == "failure too_many_fields")
    }

    @Test("a limit is noticed without waiting for the end, wherever the bytes are cut")
    func limitsEarly() {
        let line = Array(repeating: UInt8(ascii: "G"), count: 9_000)
        let section = Array("GET / HTTP/1.1\r\nX: ".utf8) + Array(repeating: 0x61, count: 33_000)
        for cut in [1, 100, 8_190, 8_193, 8_195, 8_999] {
            #expect(parse(line, cuts: [cut]) == "failure uri_too_long")
            #expect(parse(section, cuts: [cut]) == "failure headers_too_large")
        }
    }

    @Test("mutated heads never trap, and are judged alike however they are cut", arguments: [1, 2, 3, 4] as [UInt64])
    func fuzz(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let limits = EdgeLimits.with {
            $0.requestLineBytesMax = 40
            $0.headerBytesMax = 120
            $0.headerFieldsMax = 5
        }
        let pieces: [[UInt8]] = ["\r\n", "\n", "\r", ":", " ", "\t", "\0", "\u{7F}", "chunked", "Content-Length: 3\r\n", "Host: b\r\n"].map
        {
            Array($0.utf8)
        }
        var differences = 0
        var heads = 0
        for _ in 0..<1_500 {
            var bytes = Array((Self.accepted + Self.refused).randomElement(using: &random)!.head.utf8)  // not empty
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                let position = Int.random(in: 0...bytes.count, using: &random)
                switch Int.random(in: 0...2, using: &random) {
                case 0: bytes.insert(contentsOf: pieces.randomElement(using: &random)!, at: position)  // not empty
                case 1: if position < bytes.count { bytes[position] = UInt8.random(in: 0...255, using: &random) }
                default: if position < bytes.count { bytes.remove(at: position) }
                }
            }
            let whole = parse(bytes, limits: limits)
            if !whole.hasPrefix("failure"), whole != "incomplete" { heads += 1 }
            let first = Int.random(in: 0...bytes.count, using: &random)
            let second = Int.random(in: first...bytes.count, using: &random)
            if parse(bytes, cuts: [first, second], limits: limits) != whole { differences += 1 }
            if parse(bytes, cuts: bytes.isEmpty ? [] : Array(1..<bytes.count), limits: limits) != whole { differences += 1 }
        }
        #expect(differences == 0)
        #expect(heads > 50)
    }
}
