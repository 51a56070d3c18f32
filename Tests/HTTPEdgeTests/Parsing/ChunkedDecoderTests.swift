import HTTPEdge
import NIOCore
import Testing

/// The content, or the failure, and what is left behind it.
func decode(_ bytes: [UInt8], cuts: [Int] = [], extensionBytesMax: Int = 16, trailerBytesMax: Int = 64) -> String {
    var decoder = ChunkedDecoder(extensionBytesMax: extensionBytesMax, trailerBytesMax: trailerBytesMax)
    var input = ByteBuffer()
    var content: [UInt8] = []
    var start = 0
    for end in cuts + [bytes.count] {
        input.writeBytes(bytes[start..<end])
        start = end
        reading: while true {
            switch decoder.next(&input) {
            case .needsMore: break reading
            case .part(let part): content += part.readableBytesView
            case .failure(let failure): return "failure \(failure.rawValue)"
            case .end:
                let rest = Array(input.readableBytesView) + bytes[start...]
                return "\(String(decoding: content, as: UTF8.self))|\(String(decoding: rest, as: UTF8.self))"
            }
        }
    }
    return "incomplete"
}

@Suite("RFC 9112 §7.1: the chunked decoder")
struct ChunkedDecoderTests {
    static let table: [(body: String, result: String)] = [
        ("0\r\n\r\n", "|"),
        ("3\r\nabc\r\n0\r\n\r\nrest", "abc|rest"),
        ("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde|"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789|"),
        ("a\r\n0123456789\r\n000\r\n\r\n", "0123456789|"),
        ("0003\r\nabc\r\n0\r\n\r\n", "abc|"),
        ("3;a=b\r\nabc\r\n0;z\r\n\r\n", "abc|"),
        ("3\r\nabc\r\n0\r\nX: y\r\nZ:\r\n\r\n!", "abc|!"),
        ("3\r\n\r\n\n\r\n0\r\n\r\n", "\r\n\n|"),
        ("", "incomplete"),
        ("3\r\nab", "incomplete"),
        ("0\r\n", "incomplete"),
        ("3\nabc\r\n0\r\n\r\n", "failure bare_lf"),
        ("3\r\nabc\n0\r\n\r\n", "failure chunk_end"),
        ("3\r\nabcd\r\n0\r\n\r\n", "failure chunk_end"),
        ("3\r\nabc\r0\r\n\r\n", "failure chunk_end"),
        ("3\rabc\r\n0\r\n\r\n", "failure bare_cr"),
        ("\r\n", "failure chunk_size"),
        (";a\r\n", "failure chunk_size"),
        ("+3\r\nabc\r\n", "failure chunk_size"),
        ("-3\r\nabc\r\n", "failure chunk_size"),
        ("0x3\r\nabc\r\n", "failure chunk_size"),
        ("3 \r\nabc\r\n", "failure chunk_size"),
        (" 3\r\nabc\r\n", "failure chunk_size"),
        ("3 ;a\r\nabc\r\n", "failure chunk_size"),
        ("g\r\n", "failure chunk_size"),
        ("\u{FF13}\r\nabc\r\n", "failure chunk_size"),
        ("FFFFFFFFFFFFFFFF\r\nabc\r\n", "failure chunk_size"),
        ("0000000000000003\r\nabc\r\n", "failure chunk_size"),
        ("3;a\nabc\r\n", "failure bare_lf"),
        ("3;a=b;c;d=\"e;\\\"\"\r\nabc\r\n0\r\n\r\n", "abc|"),
        ("3;\r\nabc\r\n", "failure chunk_extension"),
        ("3;a=\r\nabc\r\n", "failure chunk_extension"),
        ("3; a\r\nabc\r\n", "failure chunk_extension"),
        ("3;a=\"b\r\nabc\r\n", "failure chunk_extension"),
        ("3;a=\"b\"c\r\nabc\r\n", "failure chunk_extension"),
        ("3;a\0b\r\nabc\r\n", "failure chunk_extension"),
        ("3;a\rb\r\nabc\r\n", "failure bare_cr"),
        ("3;0123456789abcdef\r\nabc\r\n0\r\n\r\n", "abc|"),
        ("3;0123456789abcdefg\r\nabc\r\n0\r\n\r\n", "failure chunk_extension"),
        ("0\r\nX: y\n\r\n", "failure trailer"),
        ("0\r\n X: y\r\n\r\n", "failure trailer"),
        ("0\r\nX : y\r\n\r\n", "failure trailer"),
        ("0\r\nX\r\n\r\n", "failure trailer"),
        ("0\r\n\n", "failure trailer"),
        ("0\r\n\rX", "failure trailer"),
        ("0\r\nX: a\r\n b\r\n\r\n", "failure trailer"),
    ]

    @Test("each body decodes or fails, however it is cut", arguments: table)
    func decodes(_ body: String, _ result: String) {
        let bytes = Array(body.utf8)
        #expect(decode(bytes) == result)
        for cut in 0...bytes.count { #expect(decode(bytes, cuts: [cut]) == result, "cut at \(cut)") }
        #expect(decode(bytes, cuts: bytes.isEmpty ? [] : Array(1..<bytes.count)) == result, "byte by byte")
    }

    @Test("the trailer section is bounded, however many fields it has (CVE-2023-39326)")
    func bounded() {
        let small = Array(("0\r\n" + String(repeating: "X: y\r\n", count: 10) + "\r\n").utf8)
        #expect(decode(small) == "|")
        let large = Array(("0\r\n" + String(repeating: "X: y\r\n", count: 11) + "\r\n").utf8)
        #expect(decode(large) == "failure trailer")
    }
}
