import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A server that does what a test tells it to, with any bytes and at any pace.
final class HostileServer: Sendable {
    enum Behaviour: Sendable {
        /// Sends it and closes.
        case reply(String)
        case bytes([UInt8])
        /// A head, then one byte now and then, for ever.
        case drip(String)
        /// A head, then the same part for ever, as fast as it is taken.
        case endless(String, String)
        case reset
        case silent

        static func json(_ body: String, _ fields: String = "") -> Behaviour {
            .reply("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        }

        static func redirect(_ location: String, _ status: Int = 302) -> Behaviour {
            .reply("HTTP/1.1 \(status) Found\r\nLocation: \(location)\r\nContent-Length: 0\r\n\r\n")
        }
    }

    struct Seen: Sendable {
        var connections = 0
        var closed = 0
        var requests: [String] = []
        var bytesTaken = 0
    }

    static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let state = Mutex(Seen())
    private let channel = Mutex<(any Channel)?>(nil)
    private let boundTo = Mutex(0)
    let behaviour: @Sendable (_ head: String) -> Behaviour

    private init(_ behaviour: @escaping @Sendable (String) -> Behaviour) { self.behaviour = behaviour }

    /// - Parameter certificate: With its key it speaks TLS.
    static func start(
        certificate: (String, String)? = (TestCertificates.oneCertificate, TestCertificates.oneKey), host: String = "127.0.0.1",
        _ behaviour: @escaping @Sendable (_ head: String) -> Behaviour
    ) async throws -> HostileServer {
        let server = HostileServer(behaviour)
        var context: NIOSSLContext?
        if let (certificate, key) = certificate {
            context = try NIOSSLContext(
                configuration: .makeServerConfiguration(
                    certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8)).map { .certificate($0) },
                    privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem))))
        }
        let tls = context
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Counter(server))
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    try channel.pipeline.syncOperations.addHandler(Conversation(server))
                }
            }
            .bind(host: host, port: 0).get()
        server.channel.withLock { $0 = channel }
        server.boundTo.withLock { $0 = channel.localAddress?.port ?? 0 }
        return server
    }

    /// Also when it has stopped.
    var port: Int { boundTo.withLock { $0 } }
    var seen: Seen { state.withLock { $0 } }

    func stop() async {
        guard let channel = channel.withLock({ $0 }) else { return }
        try? await channel.close().get()  // closed already is what we want
    }

    fileprivate func change(_ body: (inout Seen) -> Void) { state.withLock { body(&$0) } }

    private final class Counter: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        typealias InboundOut = ByteBuffer

        let server: HostileServer

        init(_ server: HostileServer) { self.server = server }

        func channelActive(context: ChannelHandlerContext) {
            server.change { $0.connections += 1 }
            context.fireChannelActive()
        }

        func channelInactive(context: ChannelHandlerContext) {
            server.change { $0.closed += 1 }
            context.fireChannelInactive()
        }
    }

    private final class Conversation: ChannelInboundHandler, @unchecked Sendable {
        // Confined to its channel's event loop.
        typealias InboundIn = ByteBuffer

        let server: HostileServer
        var received: [UInt8] = []

        init(_ server: HostileServer) { self.server = server }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received += unwrapInboundIn(data).readableBytesView
            guard let end = received.firstRange(of: Array("\r\n\r\n".utf8)) else { return }
            let head = String(decoding: received[..<end.lowerBound], as: UTF8.self)
            let length =
                head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
                .flatMap { Int($0.dropFirst(15).filter(\.isNumber)) } ?? 0
            guard received.count >= end.upperBound + length else { return }
            let request = String(decoding: received, as: UTF8.self)
            received = []
            server.change { $0.requests.append(request) }
            answer(server.behaviour(head), context.channel)
        }

        private func answer(_ behaviour: Behaviour, _ channel: any Channel) {
            switch behaviour {
            case .reply(let text): channel.writeAndFlush(ByteBuffer(string: text)).whenComplete { _ in channel.close(promise: nil) }
            case .bytes(let bytes): channel.writeAndFlush(ByteBuffer(bytes: bytes)).whenComplete { _ in channel.close(promise: nil) }
            case .drip(let head):
                channel.writeAndFlush(ByteBuffer(string: head), promise: nil)
                drip(channel)
            case .endless(let head, let part):
                channel.writeAndFlush(ByteBuffer(string: head), promise: nil)
                let many = ByteBuffer(string: String(repeating: part, count: max(1, 16_384 / part.utf8.count)))
                flood(channel, many)
            case .reset:
                _ = (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
                channel.close(mode: .all, promise: nil)
            case .silent: break
            }
        }

        private func drip(_ channel: any Channel) {
            channel.eventLoop.scheduleTask(in: .milliseconds(20)) { [self] in
                channel.writeAndFlush(ByteBuffer(string: "x")).whenSuccess { self.drip(channel) }
            }
        }

        private func flood(_ channel: any Channel, _ part: ByteBuffer) {
            channel.writeAndFlush(part).whenSuccess { [self] in
                server.change { $0.bytesTaken += part.readableBytes }
                flood(channel, part)
            }
        }
    }
}
