import AuthCore
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Outbound

/// What most tests fetch with: `localhost` is allowed, and the certificate of the tests' servers believed.
enum Fetcher {
    static func options(allow: [String] = ["localhost"], trusting certificate: String? = TestCertificates.oneCertificate) throws
        -> Outbound.Options
    {
        var options = Outbound.Options()
        options.allow = allow
        options.authorities = try certificate.map { try TestCertificates.file($0) }
        // No test waits for it to pass but those that are about it.
        options.timeMax = .seconds(20)
        return options
    }

    static func make(_ options: Outbound.Options) throws -> Outbound { try Outbound(options, environment: .live) }

    static func outcome(_ outbound: Outbound, _ request: OutgoingRequest) async -> Result<OutgoingAnswer, OutgoingError> {
        do throws(OutgoingError) { return .success(try await outbound.fetch(request)) } catch { return .failure(error) }
    }

    static func json(_ url: String, _ limits: OutgoingLimits = OutgoingLimits()) throws -> OutgoingRequest {
        OutgoingRequest(.get, try OutgoingURL(url), acceptedTypes: ["application/json"], limits: limits)
    }
}

extension Result where Success == OutgoingAnswer, Failure == OutgoingError {
    var error: OutgoingError? { if case .failure(let error) = self { error } else { nil } }
    var answer: OutgoingAnswer? { if case .success(let answer) = self { answer } else { nil } }
}

@Suite("FE-10, JK-07: fetching from servers that mean no good", .timeLimit(.minutes(2)))
struct FetchTests {
    private func fetch(
        _ behaviour: @escaping @Sendable (String) -> HostileServer.Behaviour, path: String = "/jwks",
        limits: OutgoingLimits = OutgoingLimits(),
        options: Outbound.Options? = nil
    ) async throws -> (Result<OutgoingAnswer, OutgoingError>, HostileServer) {
        let server = try await HostileServer.start(behaviour)
        let outbound = try Fetcher.make(try options ?? Fetcher.options())
        let outcome = await Fetcher.outcome(outbound, try Fetcher.json("https://localhost:\(server.port)\(path)", limits))
        await outbound.close()
        await server.stop()
        return (outcome, server)
    }

    @Test("CIMD §8.6: what a stranger names inside sees no connection, although the house may go there; on loopback in development it does")
    func strangers() async throws {
        for (keepsLoopback, connections) in [(false, 0), (true, 1)] {
            let server = try await HostileServer.start { _ in .json("{}") }
            var options = try Fetcher.options(allow: ["localhost", "127.0.0.0/8", "::1"])
            options.keepsLoopback = keepsLoopback
            let outbound = try Fetcher.make(options)
            var request = try Fetcher.json("https://localhost:\(server.port)/")
            request.isStrangers = true
            let outcome = await Fetcher.outcome(outbound, request)
            #expect((outcome.answer != nil) == keepsLoopback, "\(outcome)")
            #expect(server.seen.connections == connections)
            request.isStrangers = false
            #expect(await Fetcher.outcome(outbound, request).answer != nil)
            await outbound.close()
            await server.stop()
        }
    }

    @Test("a good answer comes with status, headers, body and where it came from; the request says no more than it must")
    func good() async throws {
        let (outcome, server) = try await fetch(
            { _ in .json(#"{"keys":[]}"#, "Cache-Control: max-age=60\r\nETag: \"a\"\r\n") }, path: "/a/../b?c=%2F")
        let answer = try #require(outcome.answer)
        #expect(answer.status == 200 && answer.mediaType == "application/json")
        #expect(String(decoding: answer.body, as: UTF8.self) == #"{"keys":[]}"#)
        #expect(answer.headers.text("etag") == "\"a\"" && answer.headers.text("cache-control") == "max-age=60")
        #expect(answer.url.text == "https://localhost:\(server.port)/a/../b?c=%2F")
        let lines = server.seen.requests.first?.split(separator: "\r\n").map(String.init) ?? []
        #expect(
            lines == [
                "GET /a/../b?c=%2F HTTP/1.1", "Host: localhost:\(server.port)", "User-Agent: gatehouse", "Accept: application/json",
            ])
    }

    @Test("a POST carries its body and headers, and an error answer of the right type is an answer")
    func post() async throws {
        let server = try await HostileServer.start { _ in
            .reply("HTTP/1.1 400 Bad\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}")
        }
        let outbound = try Fetcher.make(try Fetcher.options())
        let request = OutgoingRequest(
            .post, try OutgoingURL("https://localhost:\(server.port)/token"),
            headers: [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", "Basic eA==")],
            body: Array("grant_type=x\u{0}y".utf8), acceptedTypes: ["application/json"])
        let answer = try #require(await Fetcher.outcome(outbound, request).answer)
        #expect(answer.status == 400 && answer.body.count == 2)
        let seen = try #require(server.seen.requests.first)
        #expect(seen.hasPrefix("POST /token HTTP/1.1\r\n") && seen.hasSuffix("\r\n\r\ngrant_type=x\u{0}y"))
        #expect(seen.contains("Authorization: Basic eA==\r\n") && seen.contains("Content-Type: application/x-www-form-urlencoded\r\n"))
        #expect(!seen.lowercased().contains("expect:"))
        #expect(!"\(request)".contains("eA==") && !"\(request)".contains("/token"))
        await outbound.close()
        await server.stop()
    }

    @Test("CVE-2020-10770, CVE-2026-4874: what is not allowed sees no connection, by whatever name")
    func refused() async throws {
        let server = try await HostileServer.start(certificate: nil) { _ in .json("{}") }
        let six = try? await HostileServer.start(certificate: nil, host: "::1") { _ in .json("{}") }  // a machine may have no IPv6
        var options = Outbound.Options()
        options.ports = [UInt16(server.port), UInt16(six?.port ?? 443)]
        let outbound = try Fetcher.make(options)
        for port in options.ports {
            for host in ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::127.0.0.1]", "127.0.0.2", "0.0.0.0", "[::]"] {
                let outcome = await Fetcher.outcome(outbound, try Fetcher.json("https://\(host):\(port)/"))
                #expect(outcome.error?.isRefusal == true, "\(host) \(outcome)")
                #expect(outcome.error?.rawValue.hasPrefix("address_") == true, "\(host)")
            }
            #expect(await Fetcher.outcome(outbound, try Fetcher.json("http://localhost:\(port)/")).error == .urlNotSecure)
            #expect(await Fetcher.outcome(outbound, try Fetcher.json("http://127.0.0.1:\(port)/")).error == .addressLoopback)
        }
        await outbound.close()
        #expect(server.seen.connections == 0)
        #expect(six?.seen.connections ?? 0 == 0)
        await server.stop()
        await six?.stop()
    }

    @Test("the socket is judged: a name that leads to loopback is refused although another range is allowed")
    func socket() async throws {
        let server = try await HostileServer.start { _ in .json("{}") }
        for (allow, isGood) in [(["10.0.0.0/8"], false), (["127.0.0.0/8", "::1"], true), (["localhost"], true), (["localhost:1"], false)] {
            var options = try Fetcher.options(allow: allow)
            options.ports = [UInt16(server.port)]
            let outbound = try Fetcher.make(options)
            let outcome = await Fetcher.outcome(outbound, try Fetcher.json("https://localhost:\(server.port)/"))
            #expect(isGood ? outcome.answer != nil : outcome.error == .addressLoopback, "\(allow) \(outcome)")
            await outbound.close()
        }
        #expect(server.seen.connections == 2)
        await server.stop()
    }

    @Test("http is spoken with an allowed loopback address")
    func plain() async throws {
        let server = try await HostileServer.start(certificate: nil) { _ in .json("{}") }
        let outbound = try Fetcher.make(try Fetcher.options())
        #expect(await Fetcher.outcome(outbound, try Fetcher.json("http://localhost:\(server.port)/")).answer?.status == 200)
        await outbound.close()
        await server.stop()
    }

    @Test("TLS: self-signed, of another name, expired, of another authority, or none at all")
    func certificates() async throws {
        let other = (TestCertificates.otherCertificate, TestCertificates.otherKey)
        let expired = (TestCertificates.expiredCertificate, TestCertificates.otherKey)
        let one = (TestCertificates.oneCertificate, TestCertificates.oneKey)
        let rows: [((String, String)?, String?, Bool)] = [
            (one, TestCertificates.oneCertificate, true), (one, nil, false), (one, TestCertificates.twoCertificate, false),
            (other, TestCertificates.otherCertificate, false), (expired, TestCertificates.expiredCertificate, false),
            // It waits for a request that never comes in clear, and we for its part of the handshake.
            (nil, TestCertificates.oneCertificate, false),
        ]
        for (index, (certificate, trusted, isGood)) in rows.enumerated() {
            let server = try await HostileServer.start(certificate: certificate) { _ in .json("{}") }
            let outbound = try Fetcher.make(try Fetcher.options(trusting: trusted))
            let outcome = await Fetcher.outcome(outbound, try Fetcher.json("https://localhost:\(server.port)/"))
            #expect(
                isGood ? outcome.answer != nil : outcome.error == (certificate == nil ? .timedOut : .notTrusted), "row \(index): \(outcome)"
            )
            // The literal address stands in the good certificate too.
            let byAddress = await Fetcher.outcome(outbound, try Fetcher.json("https://127.0.0.1:\(server.port)/"))
            #expect(byAddress.error == .addressLoopback)
            #expect(isGood || server.seen.requests.isEmpty)
            await outbound.close()
            await server.stop()
        }
    }

    @Test("a file of authorities that is none trusts nobody")
    func authorities() async throws {
        for text in ["", "nonsense"] {
            let (outcome, server) = try await fetch({ _ in .json("{}") }, options: try Fetcher.options(trusting: text))
            #expect(outcome.error == .notTrusted, "\(outcome)")
            #expect(server.seen.requests.isEmpty)
        }
    }

    @Test("a byte now and then ends when the time is over")
    func slow() async throws {
        for behaviour: HostileServer.Behaviour in [
            .drip("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"),
            .drip("HTTP/1.1 200 OK\r\nX-Slow: "),
            .drip("HTTP/1.1 200 OK\r\n"), .silent,
        ] {
            let (outcome, _) = try await fetch({ _ in behaviour }, limits: OutgoingLimits(timeMax: .milliseconds(300)))
            #expect(outcome.error == .timedOut, "\(behaviour) \(outcome)")
        }
    }

    @Test("an endless body ends at its bound, with a length, without one and in chunks")
    func endless() async throws {
        let type = "Content-Type: application/json\r\n"
        let rows: [HostileServer.Behaviour] = [
            .endless("HTTP/1.1 200 OK\r\n\(type)\r\n", "x"), .endless("HTTP/1.1 200 OK\r\n\(type)Content-Length: 99999999\r\n\r\n", "x"),
            .endless("HTTP/1.1 200 OK\r\n\(type)Transfer-Encoding: chunked\r\n\r\n", "10\r\n0123456789abcdef\r\n"),
            .endless("HTTP/1.1 500 Oops\r\n\(type)\r\n", "x"), .json(String(repeating: "x", count: 10_001)),
        ]
        for (index, behaviour) in rows.enumerated() {
            let (outcome, server) = try await fetch({ _ in behaviour }, limits: OutgoingLimits(bodyBytesMax: 10_000))
            #expect(outcome.error == .bodyTooLarge, "row \(index): \(outcome)")
            #expect(server.seen.bytesTaken < 50_000_000)
        }
        let (outcome, _) = try await fetch(
            { _ in .json(String(repeating: "x", count: 10_000)) }, limits: OutgoingLimits(bodyBytesMax: 10_000))
        #expect(outcome.answer?.body.count == 10_000)
    }

    @Test("endless headers end at their bound: many, a long one, interim answers, trailers")
    func headers() async throws {
        let rows: [HostileServer.Behaviour] = [
            .endless("HTTP/1.1 200 OK\r\n", "X-Field: value\r\n"), .endless("HTTP/1.1 200 OK\r\nX-Long: ", "x"),
            .endless("", "HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"),
            .endless(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
                "X-Trailer: value\r\n"),
        ]
        for (index, behaviour) in rows.enumerated() {
            let (outcome, _) = try await fetch({ _ in behaviour })
            let isBounded = outcome.error == .headersTooLarge || outcome.error == .answerMalformed
            #expect(isBounded, "row \(index): \(outcome)")
        }
        let many = String(repeating: "X: y\r\n", count: 200)
        #expect(try await fetch({ _ in .json("{}", many) }).0.error == .answerMalformed)
    }

    @Test("what is no HTTP/1 answer is none")
    func malformed() async throws {
        for text in [
            "nonsense\r\n\r\n", "{}", "HTTP/0.9 200 OK\r\n\r\n{}", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.1 99 OK\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n folded\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nX\u{1}: y\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: -2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{}", "",
        ] {
            let (outcome, _) = try await fetch({ _ in .reply(text) }, limits: OutgoingLimits(timeMax: .seconds(5)))
            #expect(outcome.error != nil && outcome.error?.isRefusal == false, "\(text) \(outcome)")
        }
    }

    @Test("a reset, in the answer and before it")
    func reset() async throws {
        #expect(try await fetch({ _ in .reset }).0.error == .connectionLost)
        let server = try await HostileServer.start { _ in .json("{}") }
        await server.stop()
        let outbound = try Fetcher.make(try Fetcher.options())
        #expect(await Fetcher.outcome(outbound, try Fetcher.json("https://localhost:\(server.port)/")).error == .notConnected)
        #expect(await Fetcher.outcome(outbound, try Fetcher.json("https://no-such-name.invalid/")).error == .nameUnknown)
        await outbound.close()
    }

    @Test("nothing compressed is taken, so nothing can unfold")
    func compressed() async throws {
        // A million spaces, by gzip -9.
        let bomb: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 2, 3, 0xED, 0xC1, 1, 1, 0, 0, 0, 0x80, 0x90, 0xFE, 0xAF, 0xEE, 8, 0xA]
        for coding in ["gzip", "br", "deflate", "gzip, gzip", "x-gzip", "identity, gzip"] {
            let head = Array(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: \(coding)\r\nContent-Length: \(bomb.count)\r\n\r\n"
                    .utf8)
            let (outcome, server) = try await fetch({ _ in .bytes(head + bomb) })
            #expect(outcome.error == .bodyEncoded, "\(coding) \(outcome)")
            #expect(server.seen.requests.first?.lowercased().contains("accept-encoding") == false)
        }
        let transfer = Array("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: gzip\r\n\r\n".utf8)
        let (outcome, _) = try await fetch({ _ in .bytes(transfer + bomb) })
        #expect(outcome.answer == nil || outcome.answer?.body.count ?? 0 <= bomb.count, "\(outcome)")
        #expect(try await fetch({ _ in .json("{}", "Content-Encoding: identity\r\n") }).0.answer != nil)
    }

    @Test("only the media types that were asked for")
    func types() async throws {
        for type in ["text/html", "application/jsonx", "application/json2", "text/json", "application/json+x", "", "application", "*/*"] {
            let (outcome, _) = try await fetch({ _ in .reply("HTTP/1.1 200 OK\r\nContent-Type: \(type)\r\nContent-Length: 2\r\n\r\n{}") })
            #expect(outcome.error == .wrongMediaType, "\(type) \(outcome)")
            let (error, _) = try await fetch({ _ in .reply("HTTP/1.1 404 No\r\nContent-Type: \(type)\r\nContent-Length: 2\r\n\r\n{}") })
            #expect(error.answer?.status == 404 && error.answer?.body.isEmpty == true, "\(type) \(error)")
        }
        #expect(try await fetch({ _ in .reply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") }).0.error == .wrongMediaType)
        for type in ["application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;x"] {
            let (outcome, _) = try await fetch({ _ in .reply("HTTP/1.1 200 OK\r\nContent-Type: \(type)\r\nContent-Length: 2\r\n\r\n{}") })
            #expect(outcome.answer?.body.count == 2, "\(type) \(outcome)")
        }
    }

    @Test("a header that would break the request is never sent")
    func requests() async throws {
        let server = try await HostileServer.start { _ in .json("{}") }
        let outbound = try Fetcher.make(try Fetcher.options())
        for (name, value) in [
            ("X", "a\r\nY: b"), ("X", "a\nb"), ("X", "a\u{0}b"), ("X\r\nY", "a"), ("X Y", "a"), ("", "a"), ("X:", "a"), ("X", ""),
            ("Host", "b.test"),
            ("content-length", "0"), ("Transfer-Encoding", "chunked"), ("Connection", "close"), ("Expect", "100-continue"),
        ] {
            var request = try Fetcher.json("https://localhost:\(server.port)/")
            request.headers = [(name, value)]
            #expect(await Fetcher.outcome(outbound, request).error == .requestMalformed, "\(name): \(value)")
        }
        var request = try Fetcher.json("https://localhost:\(server.port)/")
        request.acceptedTypes = ["application/json\r\nX: y"]
        #expect(await Fetcher.outcome(outbound, request).error == .requestMalformed)
        await outbound.close()
        #expect(server.seen.connections == 0)
        await server.stop()
    }
}
