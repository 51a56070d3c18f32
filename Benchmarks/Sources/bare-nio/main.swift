// The floor for a small JSON endpoint: SwiftNIO with its own HTTP/1 codec, one event loop, a fixed answer.
//
//     bare-nio PORT [BYTES]        200 bytes of body unless told
//
// It reads every request to its end and looks at nothing in it.

internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// Answers every request with the same JSON; by default about the size of a `/validate` answer.
final class FixedAnswer: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let head: HTTPResponseHead
    private let body: ByteBuffer

    init(bytes: Int) {
        let start = #"{"valid":true,"padding":""#
        let text = start + String(repeating: "x", count: max(0, bytes - start.utf8.count - 2)) + #""}"#
        self.body = ByteBuffer(string: text)
        self.head = HTTPResponseHead(
            version: .http1_1,
            status: .ok,
            headers: ["content-type": "application/json", "content-length": String(text.utf8.count)]
        )
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .end = unwrapInboundIn(data) else { return }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

let arguments = CommandLine.arguments
guard (2...3).contains(arguments.count), let port = Int(arguments[1]), (1...65_535).contains(port),
    let bytes = arguments.count == 3 ? Int(arguments[2]) : 200, (0...1_000_000).contains(bytes)
else {
    fatalError("usage: bare-nio PORT [BYTES]")
}
let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
let server = try await ServerBootstrap(group: group)
    .serverChannelOption(.backlog, value: 256)
    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
    .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
    .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
            let handlers = channel.pipeline.syncOperations
            try handlers.configureHTTPServerPipeline(withErrorHandling: true)
            try handlers.addHandler(FixedAnswer(bytes: bytes))
        }
    }
    .bind(host: "127.0.0.1", port: port)
    .get()
try await server.closeFuture.get()
