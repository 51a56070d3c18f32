import AuthCore
import Gateway
import HTTPEdge
import NIOCore
import NIOPosix
import ProxyServer
import Synchronization
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

@Suite("a request goes to its service and the answer comes back")
struct ProxyTests {
    static let get = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
    static let megabyte = [UInt8]((0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })

    // MARK: Bodies

    static func chunked(_ bytes: [UInt8], size: Int) -> [UInt8] {
        var framed: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            let part = bytes[start..<min(start + size, bytes.count)]
            framed += Array("\(String(part.count, radix: 16));x=y\r\n".utf8) + part + [13, 10]
        }
        return framed + Array("0\r\nTrailer: dropped\r\n\r\n".utf8)
    }

    @Test("a megabyte goes up and comes down unchanged, with a length and in chunks", arguments: [true, false], [true, false])
    func megabytes(_ upChunked: Bool, _ downChunked: Bool) async throws {
        let backend = try await Backend.start { request in
            let head = "HTTP/1.1 200 OK\r\n"
            if downChunked {
                return .bytes(Array("\(head)Transfer-Encoding: chunked\r\n\r\n".utf8) + Self.chunked(request.body, size: 70_001))
            }
            return .bytes(Array("\(head)Content-Length: \(request.body.count)\r\n\r\n".utf8) + request.body)
        }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        let framing = upChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(Self.megabyte.count)"
        for _ in 0..<2 {
            try await client.send("POST /up HTTP/1.1\r\nHost: h\r\n\(framing)\r\n\r\n")
            try await client.send(upChunked ? Self.chunked(Self.megabyte, size: 10_007) : Self.megabyte)
            let answer = try await client.answer()
            #expect(answer.status == 200 && answer.body == Self.megabyte)
            #expect(answer.header("transfer-encoding") == (downChunked ? "chunked" : nil))
        }
        #expect(backend.connections == 1 && backend.requests.allSatisfy { $0.body == Self.megabyte })
        #expect(backend.requests.allSatisfy { $0.values("transfer-encoding") == (upChunked ? ["chunked"] : []) })
        #expect(!backend.requests.contains { $0.values("trailer").count > 0 })
        #expect(proxy.records.allSatisfy { $0.bytesIn == 1_000_000 && $0.bytesOut == 1_000_000 })
        await proxy.stop()
        await backend.stop()
    }

    static let shapes: [(String, String, Int, String)] = [
        ("until close", "HTTP/1.1 200 OK\r\n\r\nabc", 200, "abc"),
        ("1.0 until close", "HTTP/1.0 200 OK\r\n\r\nabc", 200, "abc"),
        ("no body in 204", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("no body in 304, whatever its length says", "HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\n\r\n", 304, ""),
        (
            "1xx is skipped",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200,
            "ok"
        ),
        ("status line without phrase", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        ("empty chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, ""),
        ("unknown status", "HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n", 299, ""),
    ]

    @Test("each shape of answer arrives (RFC 9112 §6.3)", arguments: shapes)
    func shape(_ name: String, _ bytes: String, _ status: Int, _ body: String) async throws {
        let backend = try await Backend.start { _ in
            name.hasSuffix("until close") ? .thenClose(Array(bytes.utf8)) : .text(bytes)
        }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        for _ in 0..<2 {
            let answer = try await client.ask(Self.get)
            #expect(answer.status == status && answer.text == body)
        }
        // A 1.0 client cannot read chunks: its answer ends with the connection.
        let old = try await proxy.client()
        try await old.send("GET /a HTTP/1.0\r\n\r\n")
        let text = try await old.rest()
        #expect(text.hasPrefix("HTTP/1.1 \(status)") && !text.contains("chunked") && text.hasSuffix("\r\n\r\n\(body)"))
        await proxy.stop()
        await backend.stop()
    }

    @Test("HEAD has the length of what GET would bring, and no body")
    func head() async throws {
        let backend = try await Backend.start { _ in .text("HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n") }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        for _ in 0..<2 {
            let answer = try await client.ask("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(answer.status == 200 && answer.header("content-length") == "77")
        }
        #expect(backend.connections == 1)
        await proxy.stop()
        await backend.stop()
    }

    @Test("pipelined requests are answered in order over one upstream connection")
    func pipelined() async throws {
        let backend = try await Backend.start { request in .ok(request.lines[0]) }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        try await client.send((0..<20).map { "GET /\($0) HTTP/1.1\r\nHost: h\r\n\r\n" }.joined())
        for number in 0..<20 { #expect(try await client.answer().text == "GET /\(number) HTTP/1.1") }
        #expect(backend.connections == 1)
        await proxy.stop()
        await backend.stop()
    }

    @Test("Expect: 100-continue is answered when the service is there, and not passed on")
    func continues() async throws {
        let backend = try await Backend.start { request in .ok(String(decoding: request.body, as: UTF8.self)) }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        #expect(try await client.ask("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").status == 100)
        #expect(try await client.ask("ok").text == "ok")
        #expect(backend.requests.first?.values("expect") == [])
        await proxy.stop()
        await backend.stop()
    }

    @Test("an empty POST says so; a GET without a body says nothing")
    func emptyBody() async throws {
        let backend = try await Backend.start { _ in .ok("x") }
        let proxy = try await ProxyFixture.start([backend.port])
        _ = try await proxy.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
        _ = try await proxy.ask(Self.get)
        #expect(backend.requests.map { $0.values("content-length") } == [["0"], []])
        await proxy.stop()
        await backend.stop()
    }

    // MARK: Decisions

    @Test("a refusal is answered as it came, and the service hears nothing")
    func refusal() async throws {
        let backend = try await Backend.start { _ in .ok("x") }
        let trace = "0af7651916cd43dd8448eb211c80319c"
        let proxy = try await ProxyFixture.start([backend.port]) {
            $0.decide = { _, _, _ in
                .refuse(
                    AccessRefusal(
                        reason: "expired", response: .error(401, "invalid_token", "It has expired.", traceID: trace), traceID: trace,
                        route: "orders"))
            }
        }
        let answer = try await proxy.ask(Self.get)
        #expect(answer.status == 401 && answer.code == "invalid_token")
        #expect(backend.connections == 0)
        let record = try #require(proxy.records.first)
        #expect(record.reason == "expired" && record.status == 401 && record.route == "orders" && record.traceID.description == trace)
        await proxy.stop()
        await backend.stop()
    }

    /// What the second decision says, when the gateway has done what the first one asked.
    enum Second: String, CaseIterable, Sendable { case forwards, refuses, asksAgain }

    @Test("a question is resolved once, and decided once more as one that may not ask (GW-20)", arguments: Second.allCases)
    func asks(_ second: Second) async throws {
        let backend = try await Backend.start { _ in .ok("x") }
        let resolved = Tally()
        let proxy = try await ProxyFixture.start([backend.port]) {
            // Enough on a machine that is busy with other tests.
            $0.limits.resolveTime = .seconds(20)
            $0.decide = { request, route, mayAsk in
                if mayAsk { return .ask(.unknownKey("k")) }
                switch second {
                case .forwards:
                    return .forward(ForwardPlan(route: route, target: request.target, identityHeaders: [], subject: nil))
                case .refuses:
                    return .refuse(AccessRefusal(reason: "unknown_key", response: .error(401, "invalid_token", "", traceID: "")))
                case .asksAgain: return .ask(.staleRevocations)
                }
            }
            $0.resolve = { _ in
                resolved.add()
                return true
            }
        }
        let answer = try await proxy.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
        let wanted: (Int, String?) =
            switch second {
            case .forwards: (200, nil)
            case .refuses: (401, "invalid_token")
            case .asksAgain: (503, "stale")
            }
        #expect(answer.status == wanted.0 && answer.code == wanted.1, "\(answer) \(proxy.records)")
        #expect(resolved.value == 1)
        #expect(backend.requests.map(\.body) == (second == .forwards ? [Array("abc".utf8)] : []))
        await proxy.stop()
        await backend.stop()
    }

    @Test("a question that is not resolved in its time is a 503, and its task is cancelled")
    func asksLong() async throws {
        let (cancelled, signal) = AsyncStream.makeStream(of: Void.self)
        let proxy = try await ProxyFixture.start([1]) {
            $0.limits.resolveTime = .milliseconds(20)
            $0.edge.tick = .milliseconds(10)
            $0.decide = { _, _, _ in .ask(.unknownKey("k")) }
            $0.resolve = { _ in
                await withTaskCancellationHandler {
                    for await _ in AsyncStream<Void>.makeStream().stream {}
                } onCancel: {
                    signal.yield()
                }
                return false
            }
        }
        #expect(try await proxy.ask(Self.get).code == "stale")
        for await _ in cancelled { break }
        #expect(proxy.records.first?.reason == "decision_unresolved")
        await proxy.stop()
    }

    @Test("what is reserved never reaches a service", arguments: ["/.gatehouse/x", "/.gatehouse", "/.gatehouse?x"])
    func reserved(_ target: String) async throws {
        let backend = try await Backend.start { _ in .ok("service") }
        let proxy = try await ProxyFixture.start([backend.port])
        #expect(try await proxy.ask("GET \(target) HTTP/1.1\r\nHost: h\r\n\r\n").text == "reserved")
        #expect(try await proxy.ask("GET /.gatehousex HTTP/1.1\r\nHost: h\r\n\r\n").text == "service")
        #expect(try await proxy.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").text == "service")
        await proxy.stop()
        await backend.stop()
    }

    @Test("the log says what happened, and holds no query")
    func log() async throws {
        let backend = try await Backend.start { _ in .ok("four") }
        let proxy = try await ProxyFixture.start([backend.port])
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        _ = try await proxy.ask("POST /a?secret=1 HTTP/1.1\r\nHost: h\r\ntraceparent: \(parent)\r\nContent-Length: 2\r\n\r\nab")
        let record = try #require(proxy.records.first)
        #expect(record.method == "POST" && record.path == Array("/a".utf8) && record.route == "orders" && record.status == 200)
        #expect(record.reason == nil && record.upstream?.description == "127.0.0.1:\(backend.port)" && record.subject == "alice")
        #expect(record.traceID.description == "0af7651916cd43dd8448eb211c80319c" && record.bytesIn == 2 && record.bytesOut == 4)
        #expect(record.duration > .zero && record.duration < .seconds(20))
        await proxy.stop()
        await backend.stop()
    }

    // MARK: Upstreams

    @Test("several upstreams take turns, and one that refuses is passed over")
    func balances() async throws {
        let first = try await Backend.start { _ in .ok("first") }
        let second = try await Backend.start { _ in .ok("second") }
        let gone = try await Backend.start { _ in .ok("gone") }
        await gone.stop()
        // On a machine that is busy with other tests the requests take their time.
        let proxy = try await ProxyFixture.start([first.port, gone.port, second.port]) { $0.limits.passOverTime = .seconds(300) }
        let client = try await proxy.client()
        var seen: [String] = []
        for _ in 0..<6 {
            let answer = try await client.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
            #expect(answer.status == 200)
            seen.append(answer.text)
        }
        #expect(Set(seen) == ["first", "second"] && seen.filter { $0 == "first" }.count == 3)
        #expect(proxy.responder.counters.snapshot.connectFailures == 1)
        await proxy.stop()
        await first.stop()
        await second.stop()
    }

    @Test(
        "a redirect is the client's to follow: no credential goes to another service (GW-10, CVE-2023-45289)", arguments: [301, 307, 308])
    func redirects(_ status: Int) async throws {
        let other = try await Backend.start { _ in .ok("stolen") }
        let location = "http://127.0.0.1:\(other.port)/a"
        let backend = try await Backend.start { _ in
            .text("HTTP/1.1 \(status) Moved\r\nLocation: \(location)\r\nContent-Length: 0\r\n\r\n")
        }
        let proxy = try await ProxyFixture.start([backend.port, backend.port]) { $0.passesToken = true }
        let answer = try await proxy.ask("GET /a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer abc\r\n\r\n")
        #expect(answer.status == status && answer.header("location") == location)
        #expect(backend.requests.map { $0.values("authorization") } == [["Bearer abc"]] && other.connections == 0)
        await proxy.stop()
        await backend.stop()
        await other.stop()
    }

    @Test("TLS to the service is verified, for its name or address", arguments: ["127.0.0.1", "localhost"])
    func tls(_ host: String) async throws {
        let pair = (TestCertificates.oneCertificate, TestCertificates.oneKey)
        let backend = try await Backend.start(certificate: pair) { _ in .ok("secret") }
        let good = try TestCertificates.file(TestCertificates.oneCertificate)
        let other = try TestCertificates.file(TestCertificates.twoCertificate)
        for (file, status) in [(good, 200), (other, 502)] {
            let proxy = try await ProxyFixture.start([backend.port]) {
                $0.isTLS = true
                $0.host = host
                $0.authorities = file
            }
            #expect(try await proxy.ask(Self.get).status == status)
            await proxy.stop()
        }
        #expect(backend.requests.count == 1)
        unlink(good)
        unlink(other)
        await backend.stop()
    }

    @Test("under load a drain fails no request that was sent")
    func drain() async throws {
        let backend = try await Backend.start { request in .ok(request.lines[0]) }
        let proxy = try await ProxyFixture.start([backend.port])
        let answered = Tally()
        let failed = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                let client = try await proxy.client()
                group.addTask {
                    while true {
                        do {
                            let answer = try await client.ask(Self.get)
                            answered.add()
                            if answer.status != 200 { return 1 }
                            if answer.header("connection") == "close" { return 0 }
                        } catch {
                            return 1
                        }
                    }
                }
            }
            group.addTask {
                while answered.value < 200 { await Task.yield() }
                await proxy.stop()
                return 0
            }
            return try await group.reduce(0, +)
        }
        #expect(failed == 0)
        #expect(proxy.server.counters.snapshot.connectionsOpen == 0)
        try await backend.wait { $0.closed == $0.connections }
        await backend.stop()
    }
}
