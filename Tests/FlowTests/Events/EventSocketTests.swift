import AuthCore
import TestSupport
import Testing
import WebServer

@testable import gatehouse

@Suite("The event stream through sockets", .timeLimit(.minutes(2)))
struct EventSocketTests {
    private static let request =
        "GET /events/revocations HTTP/1.1\r\nhost: localhost\r\nauthorization: Basic \(Base64Text.encode(EventReader.gateway))\r\n\r\n"

    @Test("a revocation reaches a reader; a reader that goes gives its place back; a drain ends the stream completely")
    func stream() async throws {
        let live = try await LiveGateway.start(services: [], resources: EventReader.resources)
        let login = await live.test.login()
        let client = try await live.authClient()
        try await client.send(EventSocketTests.request)
        func until(_ text: String, at client: RawClient) async throws {
            try await client.wait { received, _ in String(decoding: received, as: UTF8.self).contains(text) ? () : nil }
        }
        try await until("event: snapshot", at: client)
        let gone = try await live.authClient()
        try await gone.send(EventSocketTests.request)
        try await until("event: snapshot", at: gone)
        #expect(live.test.node.events.readerCount == 2)
        await gone.close()
        #expect(await TestSupport.until { live.test.node.events.readerCount == 1 })
        #expect(await live.test.logout(login.text("refresh_token")).status == 204)
        try await live.test.node.follow()
        try await until(try login.claims()["sid"]?.string ?? "", at: client)
        try await until("event: heartbeat", at: client)
        async let stopped: Void = live.stop()
        #expect(try await client.rest().hasSuffix("\r\n0\r\n\r\n"))
        await stopped
        #expect(await TestSupport.until { live.test.node.events.readerCount == 0 })
    }
}
