package import NIOCore
package import NIOPosix
package import NIOSSL
internal import Synchronization

/// A client that sends any bytes and reads answers as they come; nothing in it corrects what it is told to send.
package final class RawClient: ChannelInboundHandler, @unchecked Sendable {
    // Confined to its channel's event loop, but for `channel`.
    package typealias InboundIn = ByteBuffer

    package struct Answer: Sendable, Equatable {
        package var status: Int
        package var headers: [String]
        package var body: [UInt8]

        package var text: String { String(decoding: body, as: UTF8.self) }

        package func header(_ name: String) -> String? {
            headers.first { $0.lowercased().hasPrefix(name + ":") }.map { String($0.dropFirst(name.count + 1)).trimmed }
        }
    }

    package struct Failure: Error {
        package var reason: String
        package var received: String
    }

    private struct Waiter {
        let attempt: (inout [UInt8], Bool) -> Bool
        let timeout: Scheduled<Void>
    }

    private var received: [UInt8] = []
    private var isClosed = false
    private var waiters: [Waiter] = []
    private let stored = Mutex<(any Channel)?>(nil)

    package var channel: any Channel { stored.withLock { $0! } }  // set before anybody has the client

    package static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    /// - Parameters:
    ///   - certificate: Speaks TLS, and believes this one.
    ///   - change: For another TLS than the usual one.
    package static func connect(
        _ port: Int, host: String = "127.0.0.1", trusting certificate: String? = nil,
        _ change: (inout TLSConfiguration) -> Void = { _ in }
    ) async throws -> RawClient {
        let client = RawClient()
        var context: NIOSSLContext?
        if let certificate {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8)))
            configuration.applicationProtocols = ["h2", "http/1.1"]
            change(&configuration)
            context = try NIOSSLContext(configuration: configuration)
        }
        let tls = context
        let channel = try await ClientBootstrap(group: group)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: tls, serverHostname: "localhost"))
                    }
                    try channel.pipeline.syncOperations.addHandler(client)
                }
            }
            .connect(host: host, port: port).get()
        client.stored.withLock { $0 = channel }
        return client
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received += unwrapInboundIn(data).readableBytesView
        serve()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .inputClosed? = event as? ChannelEvent else { return }
        isClosed = true
        serve()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        isClosed = true
        serve()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func serve() {
        while let first = waiters.first, first.attempt(&received, isClosed) {
            first.timeout.cancel()
            waiters.removeFirst()
        }
    }

    /// Waits until `attempt` has found what it looks for and taken it off.
    package func wait<Value: Sendable>(
        _ seconds: Int64 = 20,
        _ attempt: @escaping @Sendable (_ received: inout [UInt8], _ isClosed: Bool) -> Value?
    ) async throws -> Value {
        try await channel.eventLoop.flatSubmit { [self] in
            let promise = channel.eventLoop.makePromise(of: Value.self)
            let timeout = channel.eventLoop.scheduleTask(in: .seconds(seconds)) { [self] in
                promise.fail(Failure(reason: "nothing came in time", received: String(decoding: received, as: UTF8.self)))
            }
            waiters.append(
                Waiter(
                    attempt: { received, isClosed in
                        if let value = attempt(&received, isClosed) {
                            promise.succeed(value)
                            return true
                        }
                        guard isClosed else { return false }
                        promise.fail(Failure(reason: "closed", received: String(decoding: received, as: UTF8.self)))
                        return true
                    },
                    timeout: timeout
                )
            )
            serve()
            return promise.futureResult
        }.get()
    }

    package func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    package func send(_ bytes: [UInt8]) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get() }

    package func closeOutput() async throws { try await channel.close(mode: .output).get() }

    package func close() async { try? await channel.close().get() }  // closed already is what we want

    /// The next answer. Interim ones count too.
    package func answer(toHead: Bool = false) async throws -> Answer {
        try await wait { received, isClosed in Self.takeAnswer(&received, isClosed, toHead) }
    }

    package func ask(_ text: String) async throws -> Answer {
        try await send(text)
        return try await answer(toHead: text.hasPrefix("HEAD "))
    }

    /// Whatever comes until the server closes its side.
    package func rest() async throws -> String {
        try await wait { received, isClosed in isClosed ? String(decoding: received, as: UTF8.self) : nil }
    }

    private static func takeAnswer(_ received: inout [UInt8], _ isClosed: Bool, _ toHead: Bool) -> Answer? {
        let end = Array("\r\n\r\n".utf8)
        guard let headEnd = received.firstRange(of: end) else { return nil }
        var lines = String(decoding: received[..<headEnd.lowerBound], as: UTF8.self).split(separator: "\r\n").map(String.init)
        let status = Int(lines.removeFirst().split(separator: " ")[1]) ?? 0
        var answer = Answer(status: status, headers: lines, body: [])
        var position = headEnd.upperBound
        if toHead || status < 200 || status == 204 || status == 304 {
            // No body.
        } else if let length = answer.header("content-length").flatMap({ Int($0) }) {
            guard received.count - position >= length else { return nil }
            answer.body = Array(received[position..<(position + length)])
            position += length
        } else if answer.header("transfer-encoding") == "chunked" {
            while true {
                guard let lineEnd = received[position...].firstRange(of: [13, 10]) else { return nil }
                let size = Int(String(decoding: received[position..<lineEnd.lowerBound], as: UTF8.self), radix: 16) ?? 0
                guard received.count >= lineEnd.upperBound + size + 2 else { return nil }
                answer.body += received[lineEnd.upperBound..<(lineEnd.upperBound + size)]
                position = lineEnd.upperBound + size + 2
                if size == 0 { break }
            }
        } else {
            guard isClosed else { return nil }
            answer.body = Array(received[position...])
            position = received.count
        }
        received.removeFirst(position)
        return answer
    }
}

extension String {
    package var trimmed: String {
        var text = self[...]
        while text.hasPrefix(" ") { text = text.dropFirst() }
        while text.hasSuffix(" ") { text = text.dropLast() }
        return String(text)
    }
}
