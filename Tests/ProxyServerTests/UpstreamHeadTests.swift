import AuthCore
import HTTPEdge
import NIOCore
import TestSupport
import Testing

@testable import ProxyServer

@Suite("RFC 9112 §4: the head of an upstream's answer")
struct UpstreamHeadTests {
    private func parse(_ bytes: [UInt8], cuts: [Int]) -> String {
        var parser = UpstreamHeadParser(ProxyLimits())
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
                let fields = head.fields.map { field in
                    head.block.withUnsafeReadableBytes { bytes in
                        "\(String(decoding: bytes[field.name], as: UTF8.self))=\(String(decoding: bytes[field.value], as: UTF8.self))"
                    }
                }
                return
                    "\(head.status) 1.0:\(head.isVersion10) \(fields) \(head.framing) keep:\(head.keepsAlive) rest:\(String(buffer: input))"
            }
        }
        return "incomplete"
    }

    static let rows: [(String, String)] = [
        (
            "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\nabc",
            "200 1.0:false [\"A=b\", \"Content-Length=3\"] length(3) keep:true rest:abc"
        ),
        ("HTTP/1.0 404 \r\nConnection: keep-alive\r\n\r\n", "404 1.0:true [\"Connection=keep-alive\"] none keep:true rest:"),
        ("HTTP/1.0 200 OK\r\n\r\n", "200 1.0:true [] none keep:false rest:"),
        ("HTTP/1.1 200\r\nConnection: close\r\n\r\n", "200 1.0:false [\"Connection=close\"] none keep:false rest:"),
        (
            "HTTP/1.1 200 \u{E9}t\u{E9}\r\nTransfer-Encoding: chunked\r\n\r\n0",
            "200 1.0:false [\"Transfer-Encoding=chunked\"] chunked keep:true rest:0"
        ),
        ("HTTP/1.1  200 OK\r\n\r\n", "failure status_line"),
        ("HTTP/1.1 200OK\r\n\r\n", "failure status_line"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "failure status_line"),
        ("HTTP/1.1 +20 OK\r\n\r\n", "failure status_line"),
        ("HTTP/1.2 200 OK\r\n\r\n", "failure status_line"),
        ("http/1.1 200 OK\r\n\r\n", "failure status_line"),
        ("HTTP/1.1 200 O\0K\r\n\r\n", "failure status_line"),
        ("HTTP/1.1 200 O\rK\r\n\r\n", "failure status_line"),
        ("HTTP/1.1 200 OK\n\r\n", "failure bare_lf"),
        ("HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", "failure bare_lf"),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "failure space_before_colon"),
        ("HTTP/1.1 200 OK\r\n", "incomplete"),
    ]

    @Test("each head is read or refused, however it is cut", arguments: rows)
    func reads(_ head: String, _ result: String) {
        let bytes = Array(head.utf8)
        for cut in 0...bytes.count { #expect(parse(bytes, cuts: [cut]) == result, "cut at \(cut)") }
        #expect(parse(bytes, cuts: Array(1..<bytes.count)) == result, "byte by byte")
    }

    @Test("mutated heads never trap, and are judged alike however they are cut")
    func fuzz() {
        var random = SeededGenerator(seed: 7)
        var differences = 0
        for _ in 0..<3_000 {
            var bytes = Array(Self.rows.randomElement(using: &random)!.0.utf8)  // not empty
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let position = Int.random(in: 0..<bytes.count, using: &random)
                if Bool.random(using: &random) {
                    bytes[position] = UInt8.random(in: 0...255, using: &random)
                } else {
                    bytes.insert([13, 10, 32, 58].randomElement(using: &random)!, at: position)  // not empty
                }
            }
            let whole = parse(bytes, cuts: [])
            let cut = Int.random(in: 0...bytes.count, using: &random)
            if parse(bytes, cuts: [cut]) != whole || parse(bytes, cuts: Array(1..<bytes.count)) != whole { differences += 1 }
        }
        #expect(differences == 0)
    }
}
