import AuthCore
import Gateway
import HTTPEdge
import NIOCore
import NIOPosix
import ProxyServer
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

@Suite("when the service, the network or the client fails")
struct FailureTests {
    static let get = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
    static let post = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"

    // MARK: Retries (GW-15)

    /// Answers the first request of the first connection, then resets it at the next; others are answered.
    private static func flaky() async throws -> Backend {
        try await Backend.start { request in request.connection == 0 && request.number == 1 ? .reset : .ok("c\(request.connection)") }
    }

    @Test(
        "an idempotent request on a pooled connection that turns out dead goes out once more",
        arguments: ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
    func retries(_ method: String) async throws {
        let backend = try await Self.flaky()
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        #expect(try await client.ask(Self.get).text == "c0")
        let answer = try await client.ask("\(method) /a HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(answer.status == 200)
        #expect(backend.connections == 2 && backend.requests.count == 3)
        #expect(proxy.responder.counters.snapshot.retries == 1)
        await proxy.stop()
        await backend.stop()
    }

    @Test(
        "any other is never sent twice",
        arguments: [
            post, "POST /a HTTP/1.1\r\nHost: h\r\n\r\n", "PATCH /a HTTP/1.1\r\nHost: h\r\n\r\n",
            "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab", "BREW /a HTTP/1.1\r\nHost: h\r\n\r\n",
        ])
    func noRetry(_ request: String) async throws {
        let backend = try await Self.flaky()
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        #expect(try await client.ask(Self.get).text == "c0")
        let answer = try await client.ask(request)
        #expect(answer.status == 502 && answer.code == "bad_gateway")
        #expect(backend.requests.count == 2 && backend.connections == 1)
        await proxy.stop()
        await backend.stop()
    }

    @Test("a second loss is not retried, nor a loss on a fresh connection")
    func onlyOnce() async throws {
        let backend = try await Backend.start { request in
            request.connection == 0 && request.number == 0 ? .ok("x") : .reset
        }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        #expect(try await client.ask(Self.get).status == 200)
        #expect(try await client.ask(Self.get).status == 502)
        #expect(backend.requests.count == 3)
        #expect(try await client.ask(Self.get).status == 502)
        #expect(backend.requests.count == 4)
        #expect(proxy.records.last?.reason == "upstream_reset")
        await proxy.stop()
        await backend.stop()
    }

    // MARK: 502, 503, 504

    @Test("nobody there is a 502")
    func refused() async throws {
        // A port that is taken, so that nobody else gets it, and that nobody listens at.
        let holder = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        defer { close(holder) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(holder, $0, length) == 0 ? getsockname(holder, $0, &length) : -1 }
        }
        try #require(status == 0)
        let proxy = try await ProxyFixture.start([Int(UInt16(bigEndian: address.sin_port))])
        let answer = try await proxy.ask(Self.get)
        #expect(answer.status == 502 && answer.code == "bad_gateway")
        #expect(proxy.records.first?.reason == "upstream_refused")
        await proxy.stop()
    }

    @Test("a name that is not found is a 502")
    func unknownName() async throws {
        let proxy = try await ProxyFixture.start([80]) { $0.host = "nowhere.invalid" }
        #expect(try await proxy.ask(Self.get).status == 502)
        await proxy.stop()
    }

    @Test("a service that takes no connection is a 504")
    func connectTimeout() async throws {
        // A listener whose queue is full: further connections hang.
        let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, size) == 0 && listen(listener, 0) == 0 && getsockname(listener, address, &size) == 0
            }
        }
        #expect(isBound)
        let port = Int(UInt16(bigEndian: address.sin_port))
        let fillers = (0..<4).map { _ in
            let filler = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
            withUnsafePointer(to: &address) { pointer in
                _ = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(filler, $0, size) }
            }
            return filler
        }
        let proxy = try await ProxyFixture.start([port]) { $0.limits.connectTime = .milliseconds(100) }
        let answer = try await proxy.ask(Self.post)
        #expect(answer.status == 504 && answer.code == "gateway_timeout")
        #expect(proxy.records.first?.reason == "upstream_connect_timeout")
        await proxy.stop()
        for filler in fillers + [listener] { close(filler) }
    }

    @Test("a service that does not answer is a 504, and its connection is closed")
    func answerTimeout() async throws {
        let backend = try await Backend.start { _ in .hold }
        let proxy = try await ProxyFixture.start([backend.port]) {
            $0.limits.answerTime = .milliseconds(50)
            $0.edge.tick = .milliseconds(10)
        }
        let answer = try await proxy.ask(Self.get)
        #expect(answer.status == 504 && answer.code == "gateway_timeout")
        try await backend.wait { $0.closed == 1 }
        #expect(proxy.records.first?.reason == "upstream_answer_timeout")
        await proxy.stop()
        await backend.stop()
    }

    @Test("a body that stops coming cuts the client's connection")
    func bodyTimeout() async throws {
        let backend = try await Backend.start { _ in .text("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc") }
        let proxy = try await ProxyFixture.start([backend.port]) {
            $0.limits.idle = .milliseconds(50)
            $0.edge.tick = .milliseconds(10)
        }
        let client = try await proxy.client()
        try await client.send(Self.get)
        #expect(try await client.rest().hasSuffix("abc"))
        #expect(proxy.records.first?.reason == "upstream_cut" && proxy.records.first?.status == 200)
        await proxy.stop()
        await backend.stop()
    }

    @Test(
        "an answer that breaks off is never made to look complete",
        arguments: [
            "Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n5\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ])
    func cut(_ rest: String) async throws {
        let backend = try await Backend.start { _ in .thenClose(Array("HTTP/1.1 200 OK\r\n\(rest)".utf8)) }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        try await client.send(Self.get)
        let text = try await client.rest()
        #expect(!text.contains("0\r\n\r\n") && (text.hasPrefix("HTTP/1.1 502 ") || text.contains("abc")))
        await proxy.stop()
        await backend.stop()
    }

    @Test("with all connections in use a request waits its turn; more than may wait are a 503")
    func busy() async throws {
        let backend = try await Backend.start { _ in .hold }
        let proxy = try await ProxyFixture.start([backend.port]) {
            $0.limits.connectionsMax = 1
            $0.limits.waitingMax = 1
        }
        let first = try await proxy.client()
        try await first.send(Self.get)
        try await backend.wait { $0.requests == 1 }
        // On one connection behind one another, so that the order is known.
        let others = [try await proxy.client(), try await proxy.client()]
        for other in others { try await other.send(Self.post) }
        let refusal = try await withThrowingTaskGroup(of: RawClient.Answer.self) { group in
            for other in others { group.addTask { try await other.answer() } }
            let refusal = try await group.next()
            backend.release("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
            #expect(try await first.answer().text == "1")
            try await backend.wait { $0.requests == 2 }
            backend.release("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2")
            #expect(try await group.next()?.text == "2")
            return refusal
        }
        #expect(refusal?.status == 503 && refusal?.code == "upstream_busy" && refusal?.header("retry-after") == "1")
        #expect(backend.connections == 1)
        await proxy.stop()
        await backend.stop()
    }

    @Test("who waits too long for a connection gets a 503")
    func waitsTooLong() async throws {
        let backend = try await Backend.start { _ in .hold }
        let proxy = try await ProxyFixture.start([backend.port]) {
            $0.limits.connectionsMax = 1
            $0.limits.waitTime = .milliseconds(30)
            $0.edge.tick = .milliseconds(10)
        }
        let first = try await proxy.client()
        try await first.send(Self.get)
        try await backend.wait { $0.requests == 1 }
        #expect(try await proxy.ask(Self.get).code == "upstream_busy")
        backend.release("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
        #expect(try await first.answer().text == "1")
        await proxy.stop()
        await backend.stop()
    }

    // MARK: Clients

    @Test("when the client goes, the service's connection is closed and the log says so")
    func clientGone() async throws {
        let backend = try await Backend.start { _ in .hold }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        try await client.send(Self.get)
        try await backend.wait { $0.requests == 1 }
        _ = try await (client.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        await client.close()
        try await backend.wait { $0.closed == 1 }
        #expect(proxy.records.first?.reason == "client_gone" && proxy.records.first?.status == 0)
        await proxy.stop()
        await backend.stop()
    }

    @Test("a client that has closed its sending side still gets all its answers")
    func halfClosedPipeline() async throws {
        let backend = try await Backend.start { request in request.number == 0 ? .hold : .ok("x") }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        try await client.send(Self.get + Self.get + Self.get)
        try await backend.wait { $0.requests == 1 }
        try await client.closeOutput()
        backend.release("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        var answers: [String] = []
        for _ in 0..<3 { answers.append(try await client.answer().text) }
        #expect(answers == ["late", "x", "x"])
        #expect(try await client.rest() == "")
        await proxy.stop()
        await backend.stop()
    }

    @Test("a client that has closed its sending side still gets its answer")
    func halfClosed() async throws {
        let backend = try await Backend.start { _ in .hold }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        try await client.send(Self.get)
        try await backend.wait { $0.requests == 1 }
        try await client.closeOutput()
        backend.release("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        #expect(try await client.answer().text == "late")
        #expect(try await client.rest() == "")
        await proxy.stop()
        await backend.stop()
    }

    @Test("a client that stops inside its body is noticed, and the service's connection closed")
    func cutBody() async throws {
        let backend = try await Backend.start(answersEarly: true) { _ in .hold }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        try await client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc")
        try await backend.wait { $0.requests == 1 }
        try await client.closeOutput()
        try await backend.wait { $0.closed == 1 }
        #expect(proxy.records.first?.reason == "client_gone")
        await proxy.stop()
        await backend.stop()
    }

    @Test("a bad chunk is a 400, and the service's connection is closed with the request unfinished")
    func badChunk() async throws {
        let backend = try await Backend.start { _ in .ok("x") }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        try await client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n")
        #expect(try await client.answer().status == 400)
        #expect(try await client.rest() == "")
        try await backend.wait { $0.closed == $0.connections }
        #expect(backend.requests.isEmpty)
        await proxy.stop()
        await backend.stop()
    }

    // MARK: Early answers (GW-16)

    @Test("an answer before the end of the body arrives, and neither connection is used again")
    func early() async throws {
        let backend = try await Backend.start(answersEarly: true) { _ in
            .text("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        try await client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc")
        let answer = try await client.answer()
        #expect(answer.status == 403 && answer.text == "no" && answer.header("connection") == "close")
        try await backend.wait { $0.closed == 1 }
        // A short rest is thrown away instead, and the client may go on.
        let other = try await proxy.client()
        try await other.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc")
        #expect(try await other.answer().header("connection") == nil)
        try await backend.wait { $0.closed == 2 }
        #expect(try await other.ask("def" + Self.get).status == 403)
        #expect(backend.connections == 3)
        await proxy.stop()
        await backend.stop()
    }

    // MARK: Back-pressure

    @Test("a client that does not read holds the service back, and memory stays bounded")
    func slowClient() async throws {
        let size = 200_000_000
        let backend = try await Backend.start { _ in .flood(size) }
        let proxy = try await ProxyFixture.start([backend.port])
        let client = try await proxy.client()
        try await client.channel.setOption(.autoRead, value: false).get()
        try await client.send(Self.get)
        // Until nothing has moved for a while: there is no event for "it has stopped".
        var last = -1
        var calm = 0
        while calm < 2 {
            calm = last == backend.bytesTaken && last > 0 ? calm + 1 : 0
            last = backend.bytesTaken
            try await Backend.group.next().scheduleTask(in: .milliseconds(300)) {}.futureResult.get()
        }
        // What two pairs of socket buffers hold at most, and no more in us.
        #expect(last < 30_000_000)
        try await client.channel.setOption(.autoRead, value: true).get()
        client.channel.read()
        let end = try await client.wait(60) { received, _ -> Int? in
            // The head counts too, but for nothing against this.
            let count = received.count
            if count < size { return nil }
            received.removeAll()
            return count
        }
        #expect(end >= size)
        await client.close()
        await proxy.stop()
        await backend.stop()
    }
}
