internal import AuthCore
internal import HTTPEdge
internal import NIOCore

/// How a connection to an auth node ended.
enum FeedEnd: Sendable, Equatable {
    /// The stream was complete: its time was over, or the node drains.
    case complete
    case refused(status: Int)
    case failed(String)
}

/// One connection to an auth node, from its request to its end.
final class FeedConnection: ChannelInboundHandler, @unchecked Sendable {
    // Confined to its channel's event loop.
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case head
        case body(BodyReader)
        case done
    }

    /// Heartbeats come twice a second: a connection that brings nothing for so long is dead.
    static let silenceMax = TimeAmount.seconds(5)
    private static let headLimits = HeadScanner.Limits(
        startLineBytesMax: 1_024, headerBytesMax: 16_384, fieldsMax: 64, startLineFailure: .statusLine)

    private let request: [UInt8]
    private let makeReader: () -> FeedReader
    private let uptime: @Sendable () -> Uptime
    private let onConfirmed: @Sendable () -> Void
    private let ended: EventLoopPromise<FeedEnd>
    private var end: FeedEnd?
    private var reader: FeedReader?
    private var state = State.head
    private var input = ByteBuffer()
    private var heads = ResponseHeadParser(FeedConnection.headLimits)
    private var events = EventStreamParser()
    private var heardAt = NIODeadline.uptimeNanoseconds(0)
    private var watch: RepeatedTask?

    /// - Parameters:
    ///   - request: The head of the request.
    ///   - makeReader: Called just before it is sent.
    init(
        request: [UInt8], ended: EventLoopPromise<FeedEnd>, uptime: @escaping @Sendable () -> Uptime,
        onConfirmed: @escaping @Sendable () -> Void, makeReader: @escaping () -> FeedReader
    ) {
        self.request = request
        self.ended = ended
        self.uptime = uptime
        self.onConfirmed = onConfirmed
        self.makeReader = makeReader
    }

    func handlerRemoved(context: ChannelHandlerContext) { finish() }

    /// Added to a channel that is connected.
    func handlerAdded(context: ChannelHandlerContext) {
        guard context.channel.isActive else { return finish() }
        heardAt = context.eventLoop.now
        let channel = context.channel
        watch = context.eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            if channel.eventLoop.now - self.heardAt >= FeedConnection.silenceMax {
                self.close(.failed("nothing came for too long"), channel)
            }
        }
        reader = makeReader()
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: request)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        heardAt = context.eventLoop.now
        var buffer = unwrapInboundIn(data)
        input.writeBuffer(&buffer)
        process(context.channel)
        if input.readableBytes == 0 { input = ByteBuffer() }
    }

    private func process(_ channel: any Channel) {
        while true {
            switch state {
            case .done: return
            case .head:
                guard input.readableBytes > 0 else { return }
                switch heads.parse(&input) {
                case .incomplete: return
                case .failure(let failure): return close(.failed("the answer is no HTTP: \(failure.rawValue)"), channel)
                case .head(let head):
                    if head.isInterim { return close(.failed("an interim answer"), channel) }
                    if head.status != 200 { return close(.refused(status: head.status), channel) }
                    state = .body(BodyReader(head.framing, extensionBytesMax: 256, trailerBytesMax: 1_024, untilClose: true))
                }
            case .body(var body):
                let event = body.next(&input)
                state = .body(body)
                switch event {
                case .needsMore: return
                case .part(let part): read(part, channel)
                case .end: return close(.complete, channel)
                case .failure: return close(.failed("the answer is cut or no HTTP"), channel)
                }
            }
        }
    }

    private func read(_ part: ByteBuffer, _ channel: any Channel) {
        let found: [ServerSentEvent]
        do throws(EventStreamParser.Failure) { found = try events.read(part.readableBytesView) } catch {
            return close(.failed("the event stream cannot be read: \(error)"), channel)
        }
        var isConfirmed = false
        for event in found {
            do throws(FeedReader.Fault) {
                if try reader?.receive(event, at: uptime()) == true { isConfirmed = true }
            } catch {
                return close(.failed("the event stream cannot be followed: \(error)"), channel)
            }
        }
        if isConfirmed { onConfirmed() }
    }

    private func close(_ end: FeedEnd, _ channel: any Channel) {
        state = .done
        if self.end == nil { self.end = end }
        channel.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { close(.failed("\(error)"), context.channel) }

    func channelInactive(context: ChannelHandlerContext) { finish() }

    private func finish() {
        state = .done
        watch?.cancel()
        watch = nil
        ended.succeed(end ?? .failed("the connection was closed"))
    }
}
