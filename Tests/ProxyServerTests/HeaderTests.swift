import AuthCore
import Gateway
import HTTPEdge
import NIOCore
import NIOPosix
import ProxyServer
import TestSupport
import Testing

@Suite("headers on their way to the service and back (GW-05 to GW-08)")
struct HeaderTests {
    /// The request as the service sees it, for a client's extra header lines.
    private func seen(
        _ lines: String,
        _ change: (inout ProxyFixture.Options) -> Void = { _ in }
    ) async throws -> Backend.Request {
        let backend = try await Backend.start { _ in .ok("x") }
        let proxy = try await ProxyFixture.start([backend.port], change)
        let answer = try await proxy.ask("GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\n\(lines)\r\n")
        #expect(answer.status == 200, "\(answer.text)")
        await proxy.stop()
        await backend.stop()
        return try #require(backend.requests.first)
    }

    @Test("a plain request gets Host, identity, forwarding fields, Via and a trace, and nothing else")
    func plain() async throws {
        let request = try await seen("Accept: */*\r\n")
        #expect(request.lines.first == "GET /a?b=c HTTP/1.1")
        #expect(
            request.lines.dropFirst().filter { !$0.hasPrefix("traceparent") } == [
                "host: shop.example", "Accept: */*", "x-auth-subject: alice", "x-auth-scope: orders:read", "x-forwarded-for: 127.0.0.1",
                "x-forwarded-proto: http", "x-forwarded-host: shop.example", "x-forwarded-port: 80",
                "forwarded: for=127.0.0.1;host=\"shop.example\";proto=http", "via: 1.1 gatehouse",
            ])
        let trace = try #require(request.values("traceparent").first)
        #expect(trace.count == 55 && trace.hasPrefix("00-") && trace.hasSuffix("-01"))
    }

    static let ours = [
        "X-Auth-Subject", "X-Auth-Client", "X-Auth-Scope", "X-Auth-Session", "X-Auth-Token", "X-Auth-Anything", "Txn-Token",
    ]
    static let forwarding = [
        "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Uri",
        "X-Forwarded-Client-Cert", "X-Forwarded-Anything", "Forwarded", "X-Original-URL", "X-Original-Path", "X-Rewrite-URL",
        "X-Envoy-Original-Path", "X-Envoy-External-Address", "X-Real-IP", "X-Client-IP", "True-Client-IP", "X-Cluster-Client-IP",
        "Client-Cert", "X-SSL-Client-Verify", "SSL-Client-Cert", "Proxy",
    ]
    static let hopByHop = [
        "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "TE", "Trailer", "Upgrade", "HTTP2-Settings", "Expect",
    ]

    static func variants(_ name: String) -> [String] {
        let swapped = String(name.map { $0.isUppercase ? Character($0.lowercased()) : Character($0.uppercased()) })
        func with(_ separator: String) -> String { name.split(separator: "-").joined(separator: separator) }
        return [name, name.lowercased(), name.uppercased(), swapped, with("_"), with("."), with("_").lowercased()]
    }

    @Test("what only we may say is deleted, in every spelling that a service could take for it (CVE-2025-64484, CVE-2026-33433)")
    func deleted() async throws {
        let names = (Self.ours + Self.forwarding).flatMap(Self.variants)
        // In slices, because a head has at most 100 fields.
        for start in stride(from: 0, to: names.count, by: 90) {
            let slice = names[start..<min(start + 90, names.count)]
            let request = try await seen(slice.map { "\($0): evil\r\n" }.joined())
            #expect(!request.head.contains("evil"), "\(request.head)")
            #expect(request.values("x-auth-subject") == ["alice"])
        }
    }

    @Test("hop-by-hop fields stop here (RFC 9110 §7.6.1)")
    func hops() async throws {
        let lines = Self.hopByHop.filter { $0 != "Expect" }.map { "\($0): hop\r\n" }.joined()
        let request = try await seen(lines + "Connection: upgrade, te, close\r\nExpect: 100-continue\r\nX-Stays: yes\r\n")
        for name in Self.hopByHop + ["Connection"] { #expect(request.values(name.lowercased()).isEmpty, "\(name)") }
        #expect(request.values("x-stays") == ["yes"])
    }

    @Test("names that Connection lists are dropped, but never ours (GW-07, CVE-2026-29054)")
    func listed() async throws {
        let lines =
            "Connection: x-gone, X-Auth-Subject, x-forwarded-for, via, host, traceparent\r\nConnection: Content-Length, x-also\r\n"
            + "X-Gone: 1\r\nX-Also: 1\r\nX-Stays: 1\r\nX-Auth-Subject: eve\r\n"
        let request = try await seen(lines)
        #expect(request.values("x-gone").isEmpty && request.values("x-also").isEmpty)
        #expect(request.values("x-stays") == ["1"] && request.values("x-auth-subject") == ["alice"])
        #expect(request.values("host") == ["shop.example"] && request.values("x-forwarded-for") == ["127.0.0.1"])
        #expect(request.values("via") == ["1.1 gatehouse"] && request.values("traceparent").count == 1)
    }

    @Test("a Connection field that lists more than anybody needs is a 400")
    func listBomb() async throws {
        let backend = try await Backend.start { _ in .ok("x") }
        let proxy = try await ProxyFixture.start([backend.port])
        let many = (0..<33).map { "x\($0)" }.joined(separator: ",")
        #expect(try await proxy.ask("GET / HTTP/1.1\r\nHost: h\r\nConnection: \(many)\r\n\r\n").status == 400)
        #expect(backend.requests.isEmpty)
        let some = (0..<32).map { "x\($0)" }.joined(separator: ",")
        #expect(try await proxy.ask("GET / HTTP/1.1\r\nHost: h\r\nConnection: \(some)\r\n\r\n").status == 200)
        await proxy.stop()
        await backend.stop()
    }

    static let cookies: [(String, [String])] = [
        ("a=b; c=d", ["a=b; c=d"]),
        ("__Host-gatehouse=secret", []),
        ("a=b; __Host-gatehouse_session=secret; c=d", ["a=b; c=d"]),
        ("gatehouse=secret;a=b", ["a=b"]),
        ("__host-GATEHOUSE-x=secret; a=b", ["a=b"]),
        ("__Secure-gatehouse=secret", []),
        ("a=\"x; gatehouse=secret\"; c=d", ["a=\"x; c=d"]),
        ("xgatehouse=b", ["xgatehouse=b"]),
        ("a=gatehouse", ["a=gatehouse"]),
        ("; ;gatehouse=secret;; a=b ;", ["a=b"]),
    ]

    @Test("our cookies stay here, the others go on", arguments: cookies)
    func cookie(_ value: String, _ kept: [String]) async throws {
        let request = try await seen("Cookie: \(value)\r\n")
        #expect(request.values("cookie") == kept && !request.head.contains("secret"))
    }

    @Test("Authorization goes on only where the route says so (GW-10)")
    func authorization() async throws {
        let lines = "Authorization: Bearer abc\r\nDPoP: proof\r\n"
        let without = try await seen(lines)
        #expect(without.values("authorization").isEmpty && without.values("dpop").isEmpty)
        let with = try await seen(lines) { $0.passesToken = true }
        #expect(with.values("authorization") == ["Bearer abc"] && with.values("dpop") == ["proof"])
    }

    @Test("the gateway's DPoP-Nonce goes to the client on whatever the service answers, and no other beside it (RFC 9449 §8.1, §8.2)")
    func proofNonce() async throws {
        let backend = try await Backend.start { _ in
            .text("HTTP/1.1 200 OK\r\nDPoP-Nonce: theirs\r\nDPoP-Nonce: twice\r\nX-Other: o\r\nContent-Length: 1\r\n\r\nx")
        }
        func nonces(_ answer: RawClient.Answer) -> [String] {
            answer.headers.filter { $0.lowercased().hasPrefix("dpop-nonce: ") }.map { String($0.dropFirst(12)) }
        }
        let rows: [([(name: String, value: String)], [String])] = [([("dpop-nonce", "ours")], ["ours"]), ([], ["theirs", "twice"])]
        for (added, expected) in rows {
            let proxy = try await ProxyFixture.start([backend.port]) { $0.answerHeaders = added }
            let answer = try await proxy.ask("GET /orders HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(answer.status == 200 && nonces(answer) == expected && answer.header("x-other") == "o")
            await proxy.stop()
        }
        let bad = try await ProxyFixture.start([backend.port]) { $0.answerHeaders = [("dpop-nonce", "a\r\nx-evil: b")] }
        let answer = try await bad.ask("GET /orders HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(answer.status >= 500 && answer.header("x-evil") == nil)
        await bad.stop()
        await backend.stop()
    }

    @Test("an identity value that is no header value is not sent (GW-26, CVE-2023-0040)")
    func identity() async throws {
        let backend = try await Backend.start { _ in .ok("x") }
        let proxy = try await ProxyFixture.start([backend.port]) { $0.identity = [("x-auth-subject", "a\r\nx-auth-scope: admin")] }
        #expect(try await proxy.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").status == 500)
        #expect(backend.requests.isEmpty)
        await proxy.stop()
        await backend.stop()
    }

    // MARK: Forwarding (GW-06)

    struct ForwardRow: Sendable, CustomTestStringConvertible {
        var name: String
        var trusted: [String]
        var lines: String
        var chain: String
        var forwarded: String

        init(_ name: String, _ trusted: [String], _ lines: String, _ chain: String, _ forwarded: String) {
            (self.name, self.trusted, self.lines, self.chain, self.forwarded) = (name, trusted, lines, chain, forwarded)
        }

        var testDescription: String { name }
    }

    static let local = ["127.0.0.0/8"]
    static let shop = "host=\"shop.example\";proto=http"

    static let forwardRows: [ForwardRow] = [
        ForwardRow("nobody is believed by default", [], "X-Forwarded-For: 1.1.1.1\r\n", "127.0.0.1", "for=127.0.0.1;\(shop)"),
        ForwardRow("a believed peer's client", local, "X-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1, 127.0.0.1", "for=1.1.1.1;\(shop)"),
        ForwardRow(
            "the rightmost that is not believed", local + ["10.0.0.0/8"], "X-Forwarded-For: 6.6.6.6, 1.1.1.1, 10.0.0.1\r\n",
            "1.1.1.1, 10.0.0.1, 127.0.0.1", "for=1.1.1.1;\(shop)"),
        ForwardRow(
            "over several fields", local + ["10.0.0.0/8"], "X-Forwarded-For: 6.6.6.6, 1.1.1.1\r\nX-Forwarded-For: 10.0.0.1\r\n",
            "1.1.1.1, 10.0.0.1, 127.0.0.1", "for=1.1.1.1;\(shop)"),
        ForwardRow("nonsense ends the walk", local, "X-Forwarded-For: 1.1.1.1, unknown\r\n", "127.0.0.1", "for=127.0.0.1;\(shop)"),
        ForwardRow("a port is taken off", local, "X-Forwarded-For: 1.1.1.1:80\r\n", "1.1.1.1, 127.0.0.1", "for=1.1.1.1;\(shop)"),
        ForwardRow(
            "IPv6 is bracketed and quoted", local, "X-Forwarded-For: [2001:db8::1]:80\r\n", "2001:db8::1, 127.0.0.1",
            "for=\"[2001:db8::1]\";\(shop)"),
        ForwardRow("a peer out of the range", ["10.0.0.0/8"], "X-Forwarded-For: 1.1.1.1\r\n", "127.0.0.1", "for=127.0.0.1;\(shop)"),
        ForwardRow(
            "a believed proto and host", local, "X-Forwarded-Proto: https\r\nX-Forwarded-Host: public.example:8443\r\n", "127.0.0.1",
            "for=127.0.0.1;host=\"public.example:8443\";proto=https"),
        ForwardRow(
            "a host that is none", local, "X-Forwarded-Host: evil/path\r\nX-Forwarded-Proto: gopher\r\n", "127.0.0.1",
            "for=127.0.0.1;\(shop)"),
        ForwardRow(
            "proto and host of a stranger", [], "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nForwarded: for=6.6.6.6\r\n",
            "127.0.0.1", "for=127.0.0.1;\(shop)"),
    ]

    @Test("X-Forwarded-* and Forwarded are ours, extended only behind a believed peer", arguments: forwardRows)
    func forwarded(_ row: ForwardRow) async throws {
        let request = try await seen(row.lines) { $0.trusted = row.trusted }
        #expect(request.values("x-forwarded-for") == [row.chain])
        #expect(request.values("forwarded") == [row.forwarded])
        #expect(request.values("x-forwarded-proto") == [row.forwarded.hasSuffix("https") ? "https" : "http"])
        #expect(request.values("x-forwarded-port") == [row.name == "a believed proto and host" ? "8443" : "80"])
    }

    // MARK: Traces

    static let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    @Test("a valid traceparent goes on, another is replaced")
    func trace() async throws {
        let good = try await seen("traceparent: \(Self.parent)\r\ntracestate: a=b\r\n")
        #expect(good.values("traceparent") == [Self.parent] && good.values("tracestate") == ["a=b"])
        let bad = [
            "00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", "x", "",
        ]
        for value in bad {
            let request = try await seen("traceparent: \(value)\r\ntracestate: a=b\r\n")
            #expect(
                request.values("traceparent").count == 1 && request.values("traceparent") != [value] && request.values("tracestate").isEmpty
            )
        }
        let two = try await seen("traceparent: \(Self.parent)\r\ntraceparent: \(Self.parent)\r\n")
        #expect(two.values("traceparent").count == 1 && two.values("traceparent") != [Self.parent])
    }

    // MARK: Answers

    @Test("towards the client hop-by-hop fields stop, Via is added, the rest is as sent")
    func answer() async throws {
        let backend = try await Backend.start { _ in
            .text(
                "HTTP/1.1 201 Whatever\r\nServer: s\r\nConnection: x-gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n"
                    + "Trailer: T\r\nProxy-Authenticate: Basic\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nX-Caf\u{65}: \u{E9}\r\n"
                    + "Date: then\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: trailer\r\n\r\n")
        }
        let proxy = try await ProxyFixture.start([backend.port])
        let answer = try await proxy.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(answer.status == 201 && answer.text == "ok")
        #expect(
            answer.headers == [
                "Server: s", "Set-Cookie: a=b", "Set-Cookie: c=d", "X-Cafe: \u{E9}", "Date: then", "transfer-encoding: chunked",
                "via: 1.1 gatehouse",
            ])
        await proxy.stop()
        await backend.stop()
    }
}
