import AuthCore
import HTTPEdge
import NIOCore
import Testing

@Suite("answers are written so that they cannot be split (GW-11)")
struct WritingTests {
    private func written(_ response: ResponseFacts, isHead: Bool = false, isVersion10: Bool = false, keepsAlive: Bool = true) -> String? {
        let frame = ResponseWriter.Frame(isHead: isHead, isVersion10: isVersion10, keepsAlive: keepsAlive)
        return ResponseWriter.bytes(response, frame: frame, date: Array("date: now\r\n".utf8), allocator: ByteBufferAllocator())
            .map { String(buffer: $0) }
    }

    @Test("status line, date, length, fields and body stand in one buffer")
    func plain() {
        let response = ResponseFacts(status: 404, headers: [("x-a", "b"), ("set-cookie", "c=d")], body: Array("no".utf8))
        #expect(
            written(response)
                == "HTTP/1.1 404 Not Found\r\ndate: now\r\ncontent-length: 2\r\nx-a: b\r\nset-cookie: c=d\r\n\r\nno")
    }

    @Test(
        "a name or value with a control character makes no answer (CVE-2022-3215)",
        arguments: [
            ("x", "a\r\nset-cookie: b"), ("x", "a\nb"), ("x", "a\rb"), ("x", "a\0b"), ("x", "a\u{7F}"), ("x\r\ny", "a"), ("x y", "a"),
            ("", "a"),
            ("x:", "a"), ("x", "0123456789abcdef\r\n"),
        ])
    func split(_ name: String, _ value: String) {
        #expect(written(ResponseFacts(status: 200, headers: [(name, value)])) == nil)
    }

    @Test("values of any other bytes pass", arguments: ["", "a", "caf\u{E9}", "a\tb", "=?;,\"\\"])
    func passes(_ value: String) {
        #expect(written(ResponseFacts(status: 200, headers: [("x", value)]))?.contains("\r\nx: \(value)\r\n") == true)
    }

    @Test("framing fields of a responder are left out")
    func framing() {
        let headers = [("content-length", "99"), ("connection", "x"), ("transfer-encoding", "chunked"), ("date", "then")]
        #expect(
            written(ResponseFacts(status: 200, headers: headers.map { (name: $0.0, value: $0.1) }, body: [0x61]))
                == "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 1\r\n\r\na")
    }

    @Test("HEAD has the length and no body; 204 and 304 have neither")
    func bodiless() {
        #expect(
            written(ResponseFacts(status: 200, body: [1, 2]), isHead: true) == "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 2\r\n\r\n")
        #expect(written(ResponseFacts(status: 204, body: [1])) == "HTTP/1.1 204 No Content\r\ndate: now\r\n\r\n")
        #expect(written(ResponseFacts(status: 304)) == "HTTP/1.1 304 Not Modified\r\ndate: now\r\n\r\n")
    }

    @Test("the Connection field says what the version does not (RFC 9112 §9.3)")
    func connection() {
        let response = ResponseFacts(status: 200)
        #expect(written(response)?.contains("connection") == false)
        #expect(written(response, keepsAlive: false)?.contains("\r\nconnection: close\r\n") == true)
        #expect(written(response, isVersion10: true)?.contains("\r\nconnection: keep-alive\r\n") == true)
        #expect(written(response, isVersion10: true, keepsAlive: false)?.contains("\r\nconnection: close\r\n") == true)
    }

    @Test("only final statuses are written", arguments: [0, 100, 101, 199, 600, -1])
    func statuses(_ status: Int) { #expect(written(ResponseFacts(status: status)) == nil) }

    @Test(
        "the Date field is an IMF-fixdate (RFC 9110 §5.6.7)",
        arguments: [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"), (Int64.max, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (Int64.min, "Sat, 01 Jan 0000 00:00:00 GMT"),
        ] as [(Int64, String)])
    func date(_ seconds: Int64, _ text: String) { #expect(DateText.text(seconds: seconds) == text) }
}
