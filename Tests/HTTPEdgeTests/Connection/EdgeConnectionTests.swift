import AuthCore
import HTTPEdge
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@Suite("a connection answers in order and keeps its limits")
struct EdgeConnectionTests {
    static let get = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"

    @Test("pipelined requests are answered in order, in one read or byte by byte")
    func pipelined() throws {
        let text =
            "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
            + "POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\nGET /4 HTTP/1.1\r\nHost: h\r\n\r\n"
        let expected = ["GET /1 ", "POST /2 abc", "POST /3 de", "GET /4 "]
        let whole = try EmbeddedEdge(Scripted.echo)
        try whole.send(text)
        #expect(bodies(try whole.output()) == expected)
        let single = try EmbeddedEdge(Scripted.echo)
        for byte in text.utf8 { try single.send([byte]) }
        #expect(bodies(try single.output()) == expected)
        #expect(single.counters.requests == 4 && single.isOpen)
    }

    @Test("an answer has Date, length and body")
    func answer() throws {
        let edge = try EmbeddedEdge(Scripted.hello)
        try edge.send(Self.get)
        #expect(try edge.output() == "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 5\r\n\r\nhello")
    }

    @Test("HEAD is answered without a body")
    func head() throws {
        let edge = try EmbeddedEdge(Scripted.hello)
        try edge.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try edge.output().hasSuffix("content-length: 5\r\n\r\n"))
    }

    static let refused: [(String, Int, String)] = [
        ("GET / HTTP/1.1\r\n\r\n", 400, "invalid_request"),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 400, "invalid_request"),
        ("GET / HTTP/1.1\nHost: h\n\n", 400, "invalid_request"),
        ("GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505, "http_version_not_supported"),
        ("GET /" + String(repeating: "a", count: 9_000), 414, "uri_too_long"),
        ("GET / HTTP/1.1\r\nX: " + String(repeating: "a", count: 33_000), 431, "header_fields_too_large"),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "invalid_request"),
        ("POST / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", 417, "expectation_failed"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n", 413, "payload_too_large"),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3E9\r\n" + String(repeating: "a", count: 1_001), 413,
            "payload_too_large"
        ),
    ]

    @Test("what is malformed or too large is refused in the contract's shape", arguments: refused)
    func refuses(_ text: String, _ status: Int, _ code: String) throws {
        let edge = try EmbeddedEdge(Scripted.echo)
        try edge.send(text)
        let output = try edge.output()
        #expect(statuses(output) == [status])
        let body = try JSONReader.read(try #require(bodies(output).first)).object
        #expect(body?["error"]?.string == code)
        #expect(body?["error_description"]?.string?.isEmpty == false)
        #expect(body?["trace_id"]?.string == String(repeating: "ab", count: 16))
    }

    @Test("nothing behind a malformed request is read (GW-01)", arguments: refused.prefix(7).map(\.0) + [refused[7].0])
    func closes(_ text: String) throws {
        let seen = Mutex(0)
        let edge = try EmbeddedEdge(
            Scripted { _ in
                seen.withLock { $0 += 1 }
                return .body(limit: 10) { _, _ in ResponseFacts(status: 200) }
            }
        )
        try edge.send(text + Self.get + Self.get)
        let output = try edge.output()
        #expect(statuses(output).count == 1 && output.contains("\r\nconnection: close\r\n"))
        #expect(seen.withLock { $0 } <= 1 && !edge.isOpen)
    }

    @Test("a body of just the limit is read")
    func limit() throws {
        let edge = try EmbeddedEdge(Scripted.echo)
        try edge.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + String(repeating: "a", count: 1_000))
        #expect(statuses(try edge.output()) == [200])
    }

    @Test("a header that would split the answer becomes a 500 (GW-11)")
    func split() throws {
        let edge = try EmbeddedEdge(Scripted { _ in .answer(ResponseFacts(status: 200, headers: [("x", "a\r\nb: c")])) })
        try edge.send(Self.get)
        let output = try edge.output()
        #expect(statuses(output) == [500] && !output.contains("b: c") && edge.isOpen)
    }

    // MARK: Bodies nobody asked for

    @Test("a body that nobody asked for is thrown away, and the next request answered")
    func discards() throws {
        let edge = try EmbeddedEdge(Scripted.hello)
        try edge.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\nab" + Self.get)
        #expect(statuses(try edge.output()) == [200, 200])
        #expect(edge.counters.requests == 2)
    }

    @Test("too long a one closes the connection, and the answer says so")
    func tooLongToDiscard() throws {
        let edge = try EmbeddedEdge(Scripted.hello)
        try edge.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n")
        #expect(try edge.output().contains("\r\nconnection: close\r\n"))
        #expect(!edge.isOpen)
        let chunked = try EmbeddedEdge(Scripted.hello)
        try chunked.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        #expect(chunked.isOpen)
        try chunked.send("10001\r\n" + String(repeating: "a", count: 65_537))
        #expect(!chunked.isOpen)
    }

    // MARK: Expect: 100-continue (RFC 9110 §10.1.1)

    static let expecting = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"

    @Test("a client that waits is told to continue, once, and only if its body is wanted")
    func continues() throws {
        let edge = try EmbeddedEdge(Scripted.echo)
        try edge.send(Self.expecting)
        #expect(try edge.output() == "HTTP/1.1 100 Continue\r\n\r\n")
        try edge.send("abc")
        #expect(bodies(try edge.output()) == ["POST / abc"])
        let impatient = try EmbeddedEdge(Scripted.echo)
        try impatient.send(Self.expecting + "abc")
        #expect(statuses(try impatient.output()) == [200])
        let unwanted = try EmbeddedEdge(Scripted.hello)
        try unwanted.send(Self.expecting)
        let output = try unwanted.output()
        #expect(statuses(output) == [200] && output.contains("connection: close"))
        #expect(!unwanted.isOpen)
        let large = try EmbeddedEdge(Scripted.echo)
        try large.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3000\r\n\r\n")
        #expect(statuses(try large.output()) == [413])
    }

    // MARK: Versions

    @Test("a 1.0 client keeps its connection only when it asks to")
    func version10() throws {
        let plain = try EmbeddedEdge(Scripted.hello)
        try plain.send("GET / HTTP/1.0\r\n\r\n")
        #expect(try plain.output().contains("\r\nconnection: close\r\n"))
        #expect(!plain.isOpen)
        let asking = try EmbeddedEdge(Scripted.hello)
        try asking.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        #expect(try asking.output().contains("\r\nconnection: keep-alive\r\n"))
        #expect(asking.isOpen)
    }

    @Test("Connection: close is honoured, and what is pipelined behind it ignored")
    func close() throws {
        let edge = try EmbeddedEdge(Scripted.hello)
        try edge.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + Self.get)
        #expect(statuses(try edge.output()) == [200])
        #expect(!edge.isOpen)
    }

    // MARK: Times (GW-12)

    @Test("an idle connection is closed without a word")
    func idle() throws {
        let edge = try EmbeddedEdge(Scripted.hello)
        edge.pass(.seconds(59))
        #expect(edge.isOpen)
        try edge.send(Self.get)
        _ = try edge.output()
        edge.pass(.seconds(59))
        #expect(edge.isOpen)
        edge.pass(.seconds(2))
        #expect(!edge.isOpen)
        #expect(try edge.output().isEmpty)
    }

    @Test("a head that takes longer than 10 s from its first byte is a 408, however steadily it comes (slow loris)")
    func slowHead() throws {
        let edge = try EmbeddedEdge(Scripted.hello)
        edge.pass(.seconds(30))
        for byte in "GET / HTT".utf8 {
            try edge.send([byte])
            edge.pass(.seconds(1))
        }
        #expect(edge.isOpen)
        edge.pass(.seconds(2))
        #expect(statuses(try edge.output()) == [408])
        #expect(!edge.isOpen && edge.counters.timeouts == 1)
    }

    @Test("a body below the least rate is a 408, one above it is read")
    func slowBody() throws {
        let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n"
        let slow = try EmbeddedEdge(Scripted.echo, limits: .with { $0.bodyBytesPerSecondMin = 20 })
        try slow.send(head)
        for _ in 0..<11 {
            try slow.send(Array(repeating: 0x61, count: 10))
            slow.pass(.seconds(1))
        }
        #expect(statuses(try slow.output()) == [408])
        let steady = try EmbeddedEdge(Scripted.echo, limits: .with { $0.bodyBytesPerSecondMin = 20 })
        try steady.send(head)
        for _ in 0..<30 {
            try steady.send(Array(repeating: 0x61, count: 30))
            steady.pass(.seconds(1))
        }
        #expect(statuses(try steady.output()) == [200])
    }

    // MARK: Back-pressure

    @Test("a client that reads no answers has its further requests left unread")
    func unreadAnswers() throws {
        let edge = try EmbeddedEdge(Scripted.hello)
        edge.channel.isWritable = false
        edge.channel.pipeline.fireChannelWritabilityChanged()
        try edge.send(Self.get + Self.get)
        #expect(edge.counters.requests == 0)
        edge.channel.isWritable = true
        edge.channel.pipeline.fireChannelWritabilityChanged()
        #expect(statuses(try edge.output()) == [200, 200])
    }

    @Test("while an exchange is open no further head is read, and reading stops at the bound")
    func stopsReading() throws {
        let exchange = RecordingExchange()
        let reads = ReadCounter()
        let edge = try EmbeddedEdge(Scripted { _ in .exchange(exchange) })
        try edge.channel.pipeline.syncOperations.addHandler(reads, position: .first)
        try edge.send(Self.get + Self.get)
        #expect(edge.counters.requests == 1 && exchange.events == ["begin"])
        edge.channel.read()
        #expect(reads.count == 1)
        try edge.send(Array(repeating: 0x61, count: 20_000))
        edge.channel.read()
        #expect(reads.count == 1)
        exchange.connection?.answerInstead(ResponseFacts(status: 204))
        #expect(edge.counters.requests == 2)
    }

    // MARK: Exchanges

    @Test("an exchange gets the body only while it wants it, then its end")
    func exchangeBody() throws {
        let exchange = RecordingExchange()
        let edge = try EmbeddedEdge(Scripted { _ in .exchange(exchange) })
        try edge.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n")
        #expect(try edge.output().isEmpty)
        exchange.connection?.resumeBody()
        #expect(try edge.output() == "HTTP/1.1 100 Continue\r\n\r\n")
        try edge.send("abc")
        exchange.connection?.pauseBody()
        try edge.send("def")
        #expect(exchange.events == ["begin", "part abc"])
        exchange.connection?.resumeBody()
        #expect(exchange.events == ["begin", "part abc", "part def", "end"])
        exchange.connection?.sendHead(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n"), status: 200)
        exchange.connection?.finish(keepsAlive: true)
        #expect(try edge.output() == "HTTP/1.1 200 OK\r\n\r\n")
        #expect(edge.isOpen)
    }

    @Test("an exchange is told when its client is gone, and hears no more")
    func exchangeGone() throws {
        let exchange = RecordingExchange()
        let edge = try EmbeddedEdge(Scripted { _ in .exchange(exchange) })
        try edge.send(Self.get)
        try edge.channel.close().wait()
        #expect(exchange.events == ["begin", "gone"])
        #expect(edge.counters.connectionsOpen == 0)
    }

    @Test("a bad chunk under an exchange is a 400 before the answer, and a cut connection behind its head")
    func exchangeBadBody() throws {
        for begun in [false, true] {
            let exchange = RecordingExchange()
            let edge = try EmbeddedEdge(Scripted { _ in .exchange(exchange) })
            try edge.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            exchange.connection?.resumeBody()
            if begun { exchange.connection?.sendHead(ByteBuffer(string: "HEAD"), status: 200) }
            try edge.send("nonsense")
            #expect(exchange.events == ["begin", "gone"])
            #expect(statuses(try edge.output()) == (begun ? [] : [400]))
            #expect(!edge.isOpen)
        }
    }

    // MARK: Drain

    @Test("a drain lets the request in hand finish with Connection: close, then closes")
    func drain() throws {
        let exchange = RecordingExchange()
        let edge = try EmbeddedEdge(Scripted { _ in .exchange(exchange) })
        try edge.send(Self.get)
        let drained = edge.loop.drain(within: .seconds(10))
        edge.pass(.seconds(1))
        #expect(edge.isOpen)
        exchange.connection?.answerInstead(ResponseFacts(status: 200))
        #expect(try edge.output().contains("\r\nconnection: close\r\n"))
        #expect(!edge.isOpen)
        try drained.wait()
    }

    @Test("a drain closes idle connections, but answers what was on its way")
    func drainIdle() throws {
        let idle = try EmbeddedEdge(Scripted.hello)
        _ = idle.loop.drain(within: .seconds(10))
        idle.pass(.milliseconds(250))
        #expect(!idle.isOpen)
        let late = try EmbeddedEdge(Scripted.hello)
        _ = late.loop.drain(within: .seconds(10))
        late.pass(.milliseconds(100))
        try late.send(Self.get)
        let output = try late.output()
        #expect(statuses(output) == [200] && output.contains("\r\nconnection: close\r\n"))
    }

    @Test("what does not finish in its time is closed")
    func drainDeadline() throws {
        let exchange = RecordingExchange()
        let edge = try EmbeddedEdge(Scripted { _ in .exchange(exchange) })
        try edge.send(Self.get)
        _ = edge.loop.drain(within: .seconds(3))
        edge.pass(.seconds(3))
        #expect(!edge.isOpen && exchange.events == ["begin", "gone"])
    }

    // MARK: Admission

    @Test("over the maximum by address a connection gets a 503, loopback is exempt, and a place comes free")
    func admission() throws {
        let limits = EdgeLimits.with { $0.connectionsPerAddressMax = 2 }
        let core = EdgeCore(responder: Scripted.hello, limits: limits, environment: .fixed)
        func connect(_ address: String) throws -> EmbeddedChannel {
            let channel = EmbeddedChannel()
            let loop = EdgeLoop(eventLoop: channel.embeddedEventLoop, core: core)
            try channel.pipeline.syncOperations.addHandler(EdgeConnection(loop: loop))
            try channel.connect(to: SocketAddress(ipAddress: address, port: 1)).wait()
            return channel
        }
        let first = try connect("192.0.2.1")
        _ = try connect("192.0.2.1")
        let third = try connect("192.0.2.1")
        let refusal = try third.readOutbound(as: ByteBuffer.self).map { String(buffer: $0) }
        #expect(refusal?.hasPrefix("HTTP/1.1 503 ") == true && refusal?.contains("\"overloaded\"") == true)
        #expect(try connect("192.0.2.2").isActive)
        // One /64 is one peer.
        _ = try connect("2001:db8::1")
        _ = try connect("2001:db8::2")
        #expect(try connect("2001:db8::3").isActive == false)
        #expect(try connect("2001:db8:0:1::3").isActive)
        for _ in 0..<5 { #expect(try connect("127.0.0.1").isActive) }
        try first.close().wait()
        #expect(try connect("192.0.2.1").isActive)
        #expect(core.counters.snapshot.connectionsRefused == 2)
    }
}

/// Notes what it is told.
final class RecordingExchange: EdgeExchange, @unchecked Sendable {
    // Confined to the test's embedded loop.
    var events: [String] = []
    var connection: EdgeConnection?

    func begin(on connection: EdgeConnection) {
        self.connection = connection
        events.append("begin")
    }

    func received(_ part: ByteBuffer) { events.append("part \(String(buffer: part))") }
    func receivedEnd() { events.append("end") }
    func clientWritabilityChanged(isWritable: Bool) { events.append("writable \(isWritable)") }
    func clientGone() { events.append("gone") }
    func tick(now: NIODeadline) {}
}

/// Counts the reads that reach the socket.
final class ReadCounter: ChannelOutboundHandler, @unchecked Sendable {
    // Confined to the test's embedded loop.
    typealias OutboundIn = ByteBuffer
    var count = 0

    func read(context: ChannelHandlerContext) {
        count += 1
        context.read()
    }
}
