import AuthCore
import Dispatch
import HTTPEdge
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

@Suite("a server on real sockets")
struct EdgeServerTests {
    static let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    static let get = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"

    private func start(
        _ responder: any EdgeResponder,
        _ address: EdgeAddress = .tcp(host: "127.0.0.1", port: 0),
        limits: EdgeLimits = EdgeLimits(),
        tls: EdgeTLS? = nil
    ) async throws -> EdgeServer {
        let core = EdgeCore(responder: responder, limits: limits, environment: .live)
        return try await EdgeServer.start(address, tls: tls, core: core, group: Self.group)
    }

    @Test("localhost is 127.0.0.1 and ::1 on one port, which is told")
    func localhost() async throws {
        let server = try await start(Scripted.hello, .tcp(host: "localhost", port: 0))
        let port = try #require(server.port)
        #expect(server.bound.allSatisfy { $0.port == port } && port > 0)
        for case .tcp(let host, let port) in server.bound {
            #expect(try await RawClient.connect(port, host: host).ask(Self.get).text == "hello")
        }
        await server.shutdown(within: .seconds(1))
        await #expect(throws: (any Error).self) { try await RawClient.connect(port) }
    }

    @Test("an address in use is an error that names it")
    func inUse() async throws {
        let server = try await start(Scripted.hello)
        let address = server.bound[0]
        let error = await #expect(throws: EdgeServerError.self) { _ = try await start(Scripted.hello, address) }
        #expect(error?.description.contains(address.description) == true)
        await server.shutdown(within: .seconds(1))
    }

    @Test("a Unix socket has mode 0600, replaces a leftover, and goes with the server")
    func unix() async throws {
        let path = "/tmp/gatehouse-edge-\(getpid()).sock"
        unlink(path)
        let first = try await start(Scripted.hello, .unix(path: path))
        var status = stat()
        #expect(lstat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        await #expect(throws: EdgeServerError.self) { _ = try await start(Scripted.hello, .unix(path: path)) }
        let channel = try await ClientBootstrap(group: Self.group).connect(unixDomainSocketPath: path).get()
        try await channel.close()
        await first.shutdown(within: .seconds(1))
        #expect(lstat(path, &status) != 0)
        // What a killed process leaves behind.
        let leftover = try await start(Scripted.hello, .unix(path: path + "x"))
        #expect(rename(path + "x", path) == 0)
        await leftover.shutdown(within: .seconds(1))
        let second = try await start(Scripted.hello, .unix(path: path))
        #expect(lstat(path, &status) == 0)
        await second.shutdown(within: .seconds(1))
        // A file that is no socket is left alone.
        let file = open(path, O_CREAT | O_WRONLY, 0o600)
        #expect(close(file) == 0)
        await #expect(throws: EdgeServerError.self) { _ = try await start(Scripted.hello, .unix(path: path)) }
        #expect(unlink(path) == 0)
    }

    @Test(
        "addresses are read strictly",
        arguments: [
            ("127.0.0.1:80", "127.0.0.1:80"), ("localhost:0", "localhost:0"), ("[::1]:8080", "[::1]:8080"),
            ("unix:a/b.sock", "unix:a/b.sock"),
            ("::1:80", nil), ("a", nil), ("a:", nil), (":80", nil), ("a:+80", nil), ("a:65536", nil), ("[::1:80", nil), ("[a]:80", nil),
            ("unix:", nil),
        ] as [(String, String?)])
    func addresses(_ text: String, _ result: String?) { #expect(EdgeAddress(text)?.description == result) }

    // MARK: Handlers that wait

    @Test("an async handler's answer comes before that of the request pipelined behind it")
    func order() async throws {
        let server = try await start(
            Scripted { request in
                if request.target == Array("/slow".utf8) {
                    return .async(bodyLimit: 10) { _, body in
                        await Task.yield()
                        return .complete(ResponseFacts(status: 200, body: Array("slow ".utf8) + body))
                    }
                }
                return .answer(ResponseFacts(status: 200, body: Array("fast".utf8)))
            })
        let client = try await RawClient.connect(try #require(server.port))
        try await client.send("POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok" + Self.get)
        #expect(try await client.answer().text == "slow ok")
        #expect(try await client.answer().text == "fast")
        await server.shutdown(within: .seconds(1))
    }

    @Test("a handler whose client resets the connection is cancelled")
    func cancelled() async throws {
        let (cancelled, signal) = AsyncStream.makeStream(of: Void.self)
        let (started, begun) = AsyncStream.makeStream(of: Void.self)
        let server = try await start(
            Scripted { _ in
                .async(bodyLimit: 0) { _, _ in
                    begun.yield()
                    await withTaskCancellationHandler {
                        for await _ in AsyncStream<Void>.makeStream().stream {}
                    } onCancel: {
                        signal.yield()
                    }
                    return .complete(ResponseFacts(status: 200))
                }
            })
        let client = try await RawClient.connect(try #require(server.port))
        try await client.send(Self.get)
        for await _ in started { break }
        // SO_LINGER 0: closing sends a reset.
        try await (client.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        await client.close()
        var count = 0
        for await _ in cancelled {
            count += 1
            break
        }
        #expect(count == 1)
        await server.shutdown(within: .seconds(1))
    }

    @Test("a client that has closed its sending side still gets its answers")
    func halfClosed() async throws {
        let server = try await start(
            Scripted { _ in .async(bodyLimit: 0) { _, _ in .complete(ResponseFacts(status: 200, body: Array("late".utf8))) } })
        let client = try await RawClient.connect(try #require(server.port))
        try await client.send(Self.get)
        try await client.closeOutput()
        #expect(try await client.answer().text == "late")
        #expect(try await client.rest() == "")
        await server.shutdown(within: .seconds(1))
    }

    // MARK: Streams

    @Test("a stream is sent part by part, and ends")
    func stream() async throws {
        let (parts, source) = AsyncStream.makeStream(of: [UInt8].self)
        let server = try await start(
            Scripted { _ in
                .async(bodyLimit: 0) { _, _ in
                    .stream(head: ResponseFacts(status: 200, headers: [("content-type", "text/event-stream")]), body: parts)
                }
            })
        let client = try await RawClient.connect(try #require(server.port))
        try await client.send(Self.get)
        source.yield(Array("one".utf8))
        let first = try await client.wait { received, _ in
            received.firstRange(of: Array("3\r\none\r\n".utf8)) == nil ? nil : String(decoding: received, as: UTF8.self)
        }
        #expect(first.contains("transfer-encoding: chunked"))
        source.yield(Array("two".utf8))
        source.finish()
        #expect(try await client.answer().text == "onetwo")
        #expect(try await client.ask("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").status == 200)
        await server.shutdown(within: .seconds(1))
    }

    @Test("a stream to a 1.0 client ends with the connection")
    func stream10() async throws {
        let parts = AsyncStream<[UInt8]> { source in
            source.yield(Array("abc".utf8))
            source.finish()
        }
        let server = try await start(
            Scripted { _ in .async(bodyLimit: 0) { _, _ in .stream(head: ResponseFacts(status: 200), body: parts) } })
        let client = try await RawClient.connect(try #require(server.port))
        try await client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        let text = try await client.rest()
        #expect(text.hasSuffix("\r\n\r\nabc") && !text.contains("chunked") && text.contains("connection: close"))
        await server.shutdown(within: .seconds(1))
    }

    @Test("a stream without end is ended by a drain, completely, and its source cancelled")
    func streamDrain() async throws {
        let (ended, signal) = AsyncStream.makeStream(of: Void.self)
        let server = try await start(
            Scripted { _ in
                .async(bodyLimit: 0) { _, _ in
                    let (parts, source) = AsyncStream.makeStream(of: [UInt8].self)
                    source.onTermination = { _ in signal.yield() }
                    source.yield([0x61])
                    return .stream(head: ResponseFacts(status: 200), body: parts)
                }
            })
        let client = try await RawClient.connect(try #require(server.port))
        try await client.send(Self.get)
        _ = try await client.wait { received, _ in received.firstRange(of: Array("1\r\na\r\n".utf8)) == nil ? nil : true }
        await server.shutdown(within: .seconds(10))
        #expect(try await client.answer().text == "a")
        #expect(try await client.rest() == "")
        for await _ in ended { break }
    }

    // MARK: TLS (GW-14)

    @Test("a certificate that is read again holds for new connections, and the old ones go on")
    func tls() async throws {
        let certificate = try TestCertificates.file(TestCertificates.oneCertificate)
        let key = try TestCertificates.file(TestCertificates.oneKey)
        let tls = try EdgeTLS(certificate: certificate, key: key)
        let server = try await start(
            Scripted { request in .answer(ResponseFacts(status: 200, body: Array("\(request.isTLS) \(request.peer)".utf8))) }, tls: tls)
        let port = try #require(server.port)
        let old = try await RawClient.connect(port, trusting: TestCertificates.oneCertificate)
        #expect(try await old.ask(Self.get).text == "true 127.0.0.1")
        try TestCertificates.write(TestCertificates.twoCertificate, to: certificate)
        // Certificate and key do not fit: nothing changes.
        #expect(throws: EdgeServerError.self) { try tls.reload() }
        #expect(try await RawClient.connect(port, trusting: TestCertificates.oneCertificate).ask(Self.get).status == 200)
        try TestCertificates.write(TestCertificates.twoKey, to: key)
        try tls.reload()
        #expect(try await RawClient.connect(port, trusting: TestCertificates.twoCertificate).ask(Self.get).status == 200)
        await #expect(throws: (any Error).self) {
            try await RawClient.connect(port, trusting: TestCertificates.oneCertificate).ask(Self.get)
        }
        #expect(try await old.ask(Self.get).status == 200)
        let last = try await old.ask("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        #expect(last.header("connection") == "close")
        #expect(try await old.rest() == "")
        unlink(certificate)
        unlink(key)
        await server.shutdown(within: .seconds(1))
    }

    struct OfferedTLS: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var isTaken: Bool
        var change: @Sendable (inout TLSConfiguration) -> Void

        init(_ name: String, isTaken: Bool, _ change: @escaping @Sendable (inout TLSConfiguration) -> Void) {
            (testDescription, self.isTaken, self.change) = (name, isTaken, change)
        }

        static func only(_ version: TLSVersion, _ ciphers: [NIOTLSCipher]? = nil) -> @Sendable (inout TLSConfiguration) -> Void {
            {
                ($0.minimumTLSVersion, $0.maximumTLSVersion) = (version, version)
                if let ciphers { $0.cipherSuiteValues = ciphers }
            }
        }
    }

    static let offers: [OfferedTLS] = [
        OfferedTLS("1.3", isTaken: true, OfferedTLS.only(.tlsv13)),
        OfferedTLS("1.2 with GCM", isTaken: true, OfferedTLS.only(.tlsv12, [.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256])),
        OfferedTLS("1.2 with ChaCha20", isTaken: true, OfferedTLS.only(.tlsv12, [.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256])),
        OfferedTLS("1.2 with CBC", isTaken: false, OfferedTLS.only(.tlsv12, [.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA])),
        OfferedTLS("1.1", isTaken: false, OfferedTLS.only(.tlsv11)), OfferedTLS("1.0", isTaken: false, OfferedTLS.only(.tlsv1)),
        OfferedTLS("h2 alone", isTaken: true) { $0.applicationProtocols = ["h2"] },
    ]

    @Test("TLS 1.3, 1.2 with AEAD, and nothing older (GW-14, RFC 9325 §3.1.1 and §4.2, CVE-2024-23656)", arguments: offers)
    func tlsVersions(_ offered: OfferedTLS) async throws {
        let certificate = try TestCertificates.file(TestCertificates.oneCertificate)
        let key = try TestCertificates.file(TestCertificates.oneKey)
        let server = try await start(Scripted.hello, tls: try EdgeTLS(certificate: certificate, key: key))
        unlink(certificate)
        unlink(key)
        let port = try #require(server.port)
        do {
            let client = try await RawClient.connect(port, trusting: TestCertificates.oneCertificate, offered.change)
            let answer = try await client.ask(Self.get)
            #expect(offered.isTaken && answer.text == "hello")
            await client.close()
        } catch {
            #expect(!offered.isTaken, "\(error)")
        }
        await server.shutdown(within: .seconds(1))
    }

    @Test("plain text to a TLS listener gets no answer")
    func plainToTLS() async throws {
        let certificate = try TestCertificates.file(TestCertificates.oneCertificate)
        let key = try TestCertificates.file(TestCertificates.oneKey)
        let server = try await start(Scripted.hello, tls: try EdgeTLS(certificate: certificate, key: key))
        let client = try await RawClient.connect(try #require(server.port))
        try await client.send(Self.get)
        #expect(try await !client.rest().contains("HTTP/1.1"))
        unlink(certificate)
        unlink(key)
        await server.shutdown(within: .seconds(1))
    }

    @Test("a certificate or key that cannot be read is no TLS listener, rather than a plain one (CVE-2026-27586)")
    func badTLS() throws {
        let certificate = try TestCertificates.file(TestCertificates.oneCertificate)
        let otherKey = try TestCertificates.file(TestCertificates.twoKey)
        let nonsense = try TestCertificates.file("nonsense")
        for (one, two) in [
            (certificate, otherKey), (certificate, nonsense), (nonsense, otherKey), (certificate, "/none"), ("/none", otherKey),
        ] {
            #expect(throws: EdgeServerError.self) { try EdgeTLS(certificate: one, key: two) }
        }
        for file in [certificate, otherKey, nonsense] { unlink(file) }
    }

    // MARK: Drain

    @Test("under load a drain fails no request that was sent")
    func drainUnderLoad() async throws {
        let server = try await start(
            Scripted { _ in
                .async(bodyLimit: 0) { _, _ in
                    await Task.yield()
                    return .complete(ResponseFacts(status: 200, body: [0x61]))
                }
            })
        let port = try #require(server.port)
        let answered = Tally()
        let failed = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                let client = try await RawClient.connect(port)
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
                await server.shutdown(within: .seconds(10))
                return 0
            }
            return try await group.reduce(0, +)
        }
        #expect(failed == 0)
        #expect(server.counters.snapshot.connectionsOpen == 0)
    }

    @Test("what the kernel has completed when a drain begins is answered, not reset (R-14)")
    func drainWithBacklog() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let core = EdgeCore(responder: Scripted.hello, limits: EdgeLimits(), environment: .live)
        let server = try await EdgeServer.start(.tcp(host: "127.0.0.1", port: 0), core: core, group: group)
        // While its loop is held the server accepts nothing: all of these wait in the kernel, requests included.
        let held = DispatchSemaphore(value: 0)
        group.next().execute { held.wait() }
        var clients: [RawClient] = []
        for _ in 0..<50 {
            let client = try await RawClient.connect(try #require(server.port))
            try await client.send(Self.get)
            clients.append(client)
        }
        async let stopped: Void = server.shutdown(within: .seconds(10))
        // That the drain has come to the loop before it goes on is likely, and makes the test sharper; nothing else rests on it.
        for _ in 0..<10_000 { await Task.yield() }
        held.signal()
        for client in clients { #expect(try await client.answer().status == 200) }
        await stopped
        #expect(server.counters.snapshot.connectionsAccepted == 50 && server.counters.snapshot.connectionsOpen == 0)
        await #expect(throws: (any Error).self) { try await RawClient.connect(server.port ?? 0) }
        try await group.shutdownGracefully()
    }

    // MARK: Lingering

    @Test("a client that is still sending gets the refusal, not a reset")
    func lingers() async throws {
        // On a machine that is busy with other tests the client takes its time.
        let server = try await start(Scripted.echo, limits: .with { $0.lingerTime = .seconds(60) })
        let client = try await RawClient.connect(try #require(server.port))
        try await client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n")
        // More than the socket buffers hold.
        for _ in 0..<30 { try await client.send([UInt8](repeating: 0x61, count: 100_000)) }
        #expect(try await client.answer().status == 413)
        await client.close()
        await server.shutdown(within: .seconds(1))
    }
}
