import HTTPEdge
import NIOCore
import NIOPosix
import ProxyServer
import TestSupport
import Testing

@Suite("nothing that is sent makes the service see a request that was not decided on (GW-01)")
struct SmugglingTests {
    static let second = "GET /admin HTTP/1.1\r\nHost: h\r\n\r\n"

    struct Row: Sendable, CustomTestStringConvertible {
        var name: String
        var bytes: String
        /// How many requests the service may see; each was decided on.
        var seen = 0

        init(_ name: String, _ bytes: String, seen: Int = 0) {
            self.name = name
            self.bytes = bytes
            self.seen = seen
        }

        var testDescription: String { name }
    }

    static let rows: [Row] = [
        Row("CL.TE", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\(second)"),
        Row("TE.CL", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n24\r\n\(second)\r\n0\r\n\r\n"),
        Row("TE.TE", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n\(second)"),
        Row("TE with a space", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n\(second)"),
        Row("TE folded", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n\(second)"),
        Row("TE behind a bare CR", "POST / HTTP/1.1\r\nHost: h\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n\(second)"),
        Row("TE behind a bare LF", "POST / HTTP/1.1\r\nHost: h\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n\(second)"),
        Row("CL.CL", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: \(second.utf8.count)\r\n\r\n\(second)"),
        Row("CL with a plus", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +0\r\n\r\n\(second)"),
        Row("TE in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\(second)"),
        Row("chunk size beyond 64 bits", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\(second)"),
        Row("bare LF in a chunk line", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0;x\n\(second)\r\n\r\n"),
        Row("two Hosts", "GET / HTTP/1.1\r\nHost: h\r\nHost: other\r\n\r\n\(second)"),
        Row("absolute-form", "GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n\(second)"),
        Row("space in the target", "GET / HTTP/1.1\r\nHost: h\r\nX: y HTTP/1.1\r\nHost: h\r\n\r\n", seen: 0),
        Row("NUL in a name", "GET / HTTP/1.1\r\nHost: h\r\nX\0: y\r\n\r\n\(second)"),
        Row("body as large as said", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \(second.utf8.count)\r\n\r\n\(second)", seen: 1),
        Row(
            "body in a chunk",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "\(String(second.utf8.count, radix: 16))\r\n\(second)\r\n0\r\n\r\n", seen: 1),
        Row(
            "GET with a body", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: \(second.utf8.count)\r\n\r\n\(second)", seen: 1),
        Row(
            "h2c upgrade (CVE-2022-41721)",
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n", seen: 1),
        Row(
            "CL listed in Connection",
            "POST / HTTP/1.1\r\nHost: h\r\nConnection: content-length\r\nContent-Length: \(second.utf8.count)\r\n\r\n\(second)", seen: 1),
        Row(
            "TE listed in Connection",
            "POST / HTTP/1.1\r\nHost: h\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", seen: 1
        ),
    ]

    @Test("the service sees at most the one request that was decided on", arguments: rows)
    func smuggle(_ row: Row) async throws {
        let backend = try await Backend.start { _ in .ok("x") }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        try await client.send(row.bytes)
        // A last request of our own on this connection, if it still stands: when it is answered or the connection closed, all
        // that was sent has been read.
        var answers: [Int] = []
        if row.seen == 1 {
            answers.append(try await client.answer().status)
            answers.append(try await client.ask("GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").status)
        } else {
            try? await client.send(Self.second)  // the connection may be closed already
            answers = [try await client.answer().status]
        }
        _ = try await client.rest()
        await proxy.stop()
        await backend.stop()
        #expect(answers == (row.seen == 1 ? [200, 200] : [400]))
        let requests = backend.requests.map { $0.lines.first ?? "" }.filter { !$0.contains("/last") }
        #expect(requests.count <= row.seen && !requests.contains { $0.contains("/admin") }, "\(requests)")
    }

    static let answers: [(String, String)] = [
        ("both lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na"),
        ("bad length", "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\na"),
        ("gzip, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("chunked in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
        ("bare CR in a value", "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n"),
        ("folded", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
        ("space before colon", "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n"),
        ("NUL", "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"),
        ("status of two digits", "HTTP/1.1 20 OK\r\n\r\n"),
        ("status 600", "HTTP/1.1 600 OK\r\n\r\n"),
        ("status 099", "HTTP/1.1 099 OK\r\n\r\n"),
        ("HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n"),
        ("not HTTP", "SSH-2.0-OpenSSH_9.0\r\n\r\n"),
        ("101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
        ("1xx without end", String(repeating: "HTTP/1.1 103 Early Hints\r\n\r\n", count: 9)),
        ("header of 70 KB", "HTTP/1.1 200 OK\r\nX: " + String(repeating: "a", count: 70_000) + "\r\n\r\n"),
        ("201 fields", "HTTP/1.1 200 OK\r\n" + String(repeating: "X: y\r\n", count: 201) + "\r\n"),
        ("closed inside the head", "HTTP/1.1 200 OK\r\nContent-Le"),
    ]

    @Test("an answer that is not exactly RFC 9112 is a 502, and its connection is not used again", arguments: answers)
    func badAnswer(_ name: String, _ bytes: String) async throws {
        let backend = try await Backend.start { request in
            if request.head.contains("/good") { return .ok("fine") }
            return name.hasPrefix("closed") ? .thenClose(Array(bytes.utf8)) : .bytes(Array(bytes.utf8))
        }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        let answer = try await client.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(answer.status == 502 && answer.code == "bad_gateway")
        #expect(try await client.ask("GET /good HTTP/1.1\r\nHost: h\r\n\r\n").text == "fine")
        #expect(backend.connections == 2)
        await proxy.stop()
        await backend.stop()
    }

    static let untrusted: [(String, String)] = [
        ("bytes behind the answer", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!"),
        ("a body behind a 204", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!"),
        ("bytes behind the last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
        ("Connection: close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na"),
        ("1.0 without keep-alive", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na"),
    ]

    @Test("a connection with bytes left over, or that the service gives up, is not used again (GW-16)", arguments: untrusted)
    func leftover(_ name: String, _ bytes: String) async throws {
        let backend = try await Backend.start { request in request.head.contains("/good") ? .ok("fine") : .text(bytes) }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        #expect(try await client.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").status / 100 == 2)
        #expect(try await client.ask("GET /good HTTP/1.1\r\nHost: h\r\n\r\n").text == "fine")
        #expect(backend.connections == 2)
        await proxy.stop()
        await backend.stop()
    }
}
