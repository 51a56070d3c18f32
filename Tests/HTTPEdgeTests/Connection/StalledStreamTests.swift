import AuthCore
import HTTPEdge
import NIOCore
import NIOPosix
import TestSupport
import Testing

@Suite("A client that does not take a stream")
struct StalledStreamTests {
    @Test("is cut off after the idle time, however small the part that it leaves", .timeLimit(.minutes(1)))
    func stalled() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        // Below the high-water mark of the channel, so that the connection counts as writable all the time.
        let parts = AsyncStream<[UInt8]>(unfolding: { [UInt8](repeating: 0x2E, count: 16_384) })
        let limits = EdgeLimits.with { ($0.idle, $0.tick) = (.milliseconds(300), .milliseconds(50)) }
        let core = EdgeCore(
            responder: Scripted { _ in .async(bodyLimit: 0) { _, _ in .stream(head: ResponseFacts(status: 200), body: parts) } },
            limits: limits, environment: .fixed)
        let server = try await EdgeServer.start(.tcp(host: "127.0.0.1", port: 0), core: core, group: group)
        let client = try await RawClient.connect(try #require(server.port))
        try await client.channel.setOption(.autoRead, value: false).get()
        try await client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(await until { server.counters.snapshot.timeouts == 1 && server.counters.snapshot.connectionsOpen == 0 })
        await client.close()
        await server.shutdown(within: .seconds(1))
        try await group.shutdownGracefully()
    }
}
