import AuthCore
import TestSupport
import Testing

@testable import Outbound

@Suite("FE-10: redirects are judged like the first URL", .timeLimit(.minutes(2)))
struct RedirectTests {
    /// A public-looking server (allowed by name) that redirects, and what must not be reached behind it.
    private func redirected(
        _ redirectsMax: Int, method: OutgoingRequest.Method = .get, status: Int = 302, to location: @Sendable @escaping (Int) -> String
    ) async throws -> (Result<OutgoingAnswer, OutgoingError>, inner: HostileServer.Seen, outer: HostileServer.Seen) {
        let inner = try await HostileServer.start(certificate: nil) { _ in .json("{}") }
        let port = inner.port
        let outer = try await HostileServer.start { head in
            head.hasPrefix("GET /end ") ? .json(#"{"end":1}"#) : .redirect(location(port), status)
        }
        let outbound = try Fetcher.make(try Fetcher.options(allow: ["localhost:\(outer.port)"]))
        var request = try Fetcher.json("https://localhost:\(outer.port)/", OutgoingLimits(redirectsMax: redirectsMax))
        request.method = method
        request.headers = [("Authorization", "Bearer secret")]
        let outcome = await Fetcher.outcome(outbound, request)
        await outbound.close()
        await inner.stop()
        await outer.stop()
        return (outcome, inner.seen, outer.seen)
    }

    @Test("to loopback by any name, to metadata, to another scheme: nothing is connected to")
    func refused() async throws {
        let rows: [(OutgoingError, @Sendable (Int) -> String)] = [
            (.addressLoopback, { "https://127.0.0.1:\($0)/" }), (.addressLoopback, { "https://[::1]:\($0)/" }),
            (.addressLoopback, { "//127.0.0.1:\($0)/" }), (.addressLoopback, { "https://localhost:\($0)/" }),
            (.addressLoopback, { _ in "https://localhost/" }), (.addressMetadata, { _ in "https://169.254.169.254/latest/" }),
            (.addressSpelling, { "https://0x7f000001:\($0)/" }), (.addressSpelling, { "https://2130706433:\($0)/" }),
            (.urlNotSecure, { "http://127.0.0.1:\($0)/" }), (.urlNotSecure, { _ in "file:///etc/passwd" }),
            (.urlNotSecure, { _ in "gopher://127.0.0.1:6379/_x" }), (.urlCredentials, { "https://a@127.0.0.1:\($0)/" }),
            (.urlFragment, { _ in "/end#x" }), (.redirectMalformed, { _ in "end" }), (.redirectMalformed, { _ in "" }),
        ]
        for (index, (expected, location)) in rows.enumerated() {
            let (outcome, inner, outer) = try await redirected(3, to: location)
            #expect(outcome.error == expected, "row \(index): \(outcome)")
            #expect(inner.connections == 0 && outer.connections == 1, "row \(index)")
        }
    }

    @Test("none is followed unless the request says so, and never by a POST")
    func none() async throws {
        for status in [301, 302, 303, 307, 308] {
            let (outcome, _, outer) = try await redirected(0, status: status, to: { _ in "/end" })
            #expect(outcome.error == .redirected && outer.connections == 1, "\(status)")
            let (posted, _, outerOfPost) = try await redirected(3, method: .post, status: status, to: { _ in "/end" })
            #expect(posted.error == .redirected && outerOfPost.connections == 1, "\(status)")
            let (followed, _, _) = try await redirected(1, status: status, to: { _ in "/end" })
            #expect(followed.answer?.body.count == 9 && followed.answer?.url.target == "/end", "\(status) \(followed)")
        }
        for status in [300, 305, 306, 399] {
            #expect(try await redirected(3, status: status, to: { _ in "/end" }).0.error == .redirected, "\(status)")
        }
    }

    @Test("a loop ends after three, whatever the request asks for")
    func loop() async throws {
        for (max, connections) in [(1, 2), (3, 4), (1_000, 4)] {
            let (outcome, _, outer) = try await redirected(max, to: { _ in "/again" })
            #expect(outcome.error == .redirected && outer.connections == connections, "\(max) \(outcome)")
        }
    }

    @Test("headers stay with the origin that they were for")
    func headers() async throws {
        let other = try await HostileServer.start { _ in .json("{}") }
        let port = other.port
        let first = try await HostileServer.start { head in
            head.hasPrefix("GET / ") ? .redirect("/same") : .redirect("https://localhost:\(port)/other")
        }
        let outbound = try Fetcher.make(try Fetcher.options())
        var request = try Fetcher.json("https://localhost:\(first.port)/", OutgoingLimits(redirectsMax: 3))
        request.headers = [("Authorization", "Bearer secret")]
        #expect(await Fetcher.outcome(outbound, request).answer?.url.port == UInt16(port))
        #expect(first.seen.requests.count { $0.contains("Bearer secret") } == 2)
        #expect(other.seen.requests.count == 1 && other.seen.requests.first?.contains("Bearer") == false)
        await outbound.close()
        await other.stop()
        await first.stop()
    }
}
