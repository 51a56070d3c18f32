internal import NIOCore
package import NIOPosix
internal import NIOSSL
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif

/// A service that takes requests apart in the simplest way and answers with the bytes that the test chose.
package final class Backend: Sendable {
    package struct Request: Sendable {
        /// Counts the connections from 0.
        package var connection: Int
        /// Counts the requests of this connection from 0.
        package var number: Int
        package var head: String
        package var body: [UInt8]

        package var lines: [String] { head.split(separator: "\r\n").map(String.init) }
        package var names: [String] { lines.dropFirst().map { String($0.prefix { $0 != ":" }) } }

        package func values(_ name: String) -> [String] {
            lines.dropFirst().filter { $0.lowercased().hasPrefix(name + ":") }.map { String($0.dropFirst(name.count + 1)).trimmed }
        }
    }

    package enum Reply: Sendable {
        case bytes([UInt8])
        case thenClose([UInt8])
        /// Closes with a reset.
        case reset
        /// Nothing, until the test says so.
        case hold
        /// So many bytes of body, each part when the last was taken.
        case flood(Int)

        package static func text(_ text: String) -> Reply { .bytes(Array(text.utf8)) }
        package static func ok(_ body: String) -> Reply { .text("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)") }
    }

    fileprivate struct State {
        var requests: [Request] = []
        var connections = 0
        var closed = 0
        var bytesTaken = 0
        var waiters: [(check: @Sendable (Backend.Counts) -> Bool, promise: EventLoopPromise<Void>)] = []
        var held: [any Channel] = []
    }

    package struct Counts: Sendable {
        package var requests: Int
        package var connections: Int
        package var closed: Int
    }

    package static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let state = Mutex(State())
    private let channel = Mutex<(any Channel)?>(nil)
    /// Whether a request is answered when its head is there, before its body.
    package let answersEarly: Bool
    package let reply: @Sendable (Request) -> Reply

    package init(answersEarly: Bool = false, reply: @escaping @Sendable (Request) -> Reply) {
        self.answersEarly = answersEarly
        self.reply = reply
    }

    package static func start(
        answersEarly: Bool = false,
        certificate: (String, String)? = nil,
        _ reply: @escaping @Sendable (Request) -> Reply
    ) async throws -> Backend {
        let backend = Backend(answersEarly: answersEarly, reply: reply)
        var context: NIOSSLContext?
        if let (certificate, key) = certificate {
            context = try NIOSSLContext(
                configuration: .makeServerConfiguration(
                    certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8)).map { .certificate($0) },
                    privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem))
                ))
        }
        let tls = context
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    try channel.pipeline.syncOperations.addHandler(BackendConnection(backend))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        backend.channel.withLock { $0 = channel }
        return backend
    }

    package var port: Int { channel.withLock { $0?.localAddress?.port ?? 0 } }
    package var requests: [Request] { state.withLock { $0.requests } }
    package var connections: Int { state.withLock { $0.connections } }
    /// Of a flood, what the socket has taken.
    package var bytesTaken: Int { state.withLock { $0.bytesTaken } }

    package func stop() async {
        guard let channel = channel.withLock({ $0 }) else { return }
        try? await channel.close().get()  // closed already is what we want
    }

    /// Waits until the counts are as wanted.
    package func wait(_ check: @escaping @Sendable (Counts) -> Bool) async throws {
        let promise = Self.group.next().makePromise(of: Void.self)
        let timeout = Self.group.next().scheduleTask(in: .seconds(20)) { promise.fail(ChannelError.connectTimeout(.seconds(20))) }
        change { $0.waiters.append((check, promise)) }
        try await promise.futureResult.get()
        timeout.cancel()
    }

    /// Answers what was held.
    package func release(_ text: String) {
        let held = state.withLock { state in
            let held = state.held
            state.held = []
            return held
        }
        for channel in held { channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }
    }

    fileprivate func change(_ change: (inout State) -> Void) {
        state.withLock { state in
            change(&state)
            let counts = Counts(requests: state.requests.count, connections: state.connections, closed: state.closed)
            for waiter in state.waiters where waiter.check(counts) { waiter.promise.succeed() }
            state.waiters.removeAll { $0.check(counts) }
        }
    }

    fileprivate func opened() -> Int {
        var number = 0
        change {
            number = $0.connections
            $0.connections += 1
        }
        return number
    }

    fileprivate func closed() { change { $0.closed += 1 } }
    fileprivate func received(_ request: Request) { change { $0.requests.append(request) } }
    fileprivate func hold(_ channel: any Channel) { change { $0.held.append(channel) } }
    fileprivate func took(_ bytes: Int) { change { $0.bytesTaken += bytes } }
}

private final class BackendConnection: ChannelInboundHandler, @unchecked Sendable {
    // Confined to its channel's event loop.
    typealias InboundIn = ByteBuffer

    private let backend: Backend
    private var number = 0
    private var requests = 0
    private var received: [UInt8] = []
    private var hasAnswered = false

    init(_ backend: Backend) { self.backend = backend }

    func channelActive(context: ChannelHandlerContext) { number = backend.opened() }
    func channelInactive(context: ChannelHandlerContext) { backend.closed() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received += unwrapInboundIn(data).readableBytesView
        while take(context) {}
    }

    private func take(_ context: ChannelHandlerContext) -> Bool {
        guard let end = received.firstRange(of: Array("\r\n\r\n".utf8)) else { return false }
        var request = Backend.Request(connection: number, number: requests, head: "", body: [])
        request.head = String(decoding: received[..<end.lowerBound], as: UTF8.self)
        if backend.answersEarly {
            if !hasAnswered {
                hasAnswered = true
                answer(request, context)
            }
            return false
        }
        var position = end.upperBound
        if let length = request.values("content-length").first.flatMap({ Int($0) }) {
            guard received.count - position >= length else { return false }
            request.body = Array(received[position..<(position + length)])
            position += length
        } else if request.values("transfer-encoding") == ["chunked"] {
            while true {
                guard let line = received[position...].firstRange(of: [13, 10]) else { return false }
                let size = Int(String(decoding: received[position..<line.lowerBound], as: UTF8.self), radix: 16) ?? 0
                guard received.count >= line.upperBound + size + 2 else { return false }
                request.body += received[line.upperBound..<(line.upperBound + size)]
                position = line.upperBound + size + 2
                if size == 0 { break }
            }
        }
        received.removeFirst(position)
        requests += 1
        answer(request, context)
        return true
    }

    private func answer(_ request: Backend.Request, _ context: ChannelHandlerContext) {
        backend.received(request)
        switch backend.reply(request) {
        case .bytes(let bytes): context.writeAndFlush(NIOAny(ByteBuffer(bytes: bytes)), promise: nil)
        case .thenClose(let bytes):
            let channel = context.channel
            channel.writeAndFlush(ByteBuffer(bytes: bytes)).whenComplete { _ in channel.close(promise: nil) }
        case .reset:
            let channel = context.channel
            _ = (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
            channel.close(promise: nil)
        case .hold: backend.hold(context.channel)
        case .flood(let size):
            context.writeAndFlush(NIOAny(ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")), promise: nil)
            flood(context.channel, size)
        }
    }

    private func flood(_ channel: any Channel, _ left: Int) {
        if left <= 0 { return }
        let size = min(left, 65_536)
        channel.writeAndFlush(ByteBuffer(repeating: 0x61, count: size)).whenSuccess { [self] in
            backend.took(size)
            flood(channel, left - size)
        }
    }
}
