internal import Gateway
internal import HTTPEdge
internal import NIOCore

/// One connection to a service: reads answers, one at a time, for the exchange that has it.
final class UpstreamConnection: ChannelDuplexHandler, @unchecked Sendable {
    // Confined to its channel's event loop.
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case idle
        case head
        case body(BodyReader)
        case closed
    }

    private let pool: UpstreamPool
    private var context: ChannelHandlerContext?
    private var state = State.idle
    private var input = ByteBuffer()
    private var parser: UpstreamHeadParser
    private var exchange: ProxyExchange?
    private var isReadHeld = false
    private var isReadPaused = false
    private var isHead = false
    private var interimCount = 0
    /// What the answer in hand allows, and every one before it.
    private var canStay = true
    /// Whether anything of the answer has come.
    private(set) var hasReceived = false
    private(set) var uses = 0
    private(set) var idleSince = NIODeadline.uptimeNanoseconds(0)

    init(pool: UpstreamPool) {
        self.pool = pool
        parser = UpstreamHeadParser(pool.limits)
    }

    var target: UpstreamTarget { pool.target }
    /// Whether a request can be given to it; `channelInactive` makes it false.
    var isUsable: Bool { if case .idle = state { context != nil } else { false } }
    /// Kept here, because asking the channel costs more than the rest of the question.
    private(set) var isWritable = true
    private(set) var allocator = ByteBufferAllocator()

    // MARK: For the exchange

    /// Gives the connection to a request.
    func start(_ exchange: ProxyExchange, isHead: Bool) {
        self.exchange = exchange
        self.isHead = isHead
        state = .head
        uses += 1
        interimCount = 0
        hasReceived = false
        setReadPaused(false)
    }

    func write(_ buffer: ByteBuffer) { context?.write(wrapOutboundOut(buffer), promise: nil) }
    func flush() { context?.flush() }

    /// Whether bytes of the answer are held back.
    func setReadPaused(_ isPaused: Bool) {
        isReadPaused = isPaused
        guard !isPaused, isReadHeld else { return }
        isReadHeld = false
        context?.read()
    }

    /// Ends this connection; the exchange hears no more of it.
    func close() {
        exchange = nil
        state = .closed
        context?.close(promise: nil)
    }

    /// - Parameter isRequestDone: Whether the whole request was sent; if not, the connection is of no more use (GW-16).
    func release(isRequestDone: Bool, now: NIODeadline) {
        exchange = nil
        guard isRequestDone, canStay, case .idle = state else { return close() }
        idleSince = now
        setReadPaused(false)
        pool.checkIn(self)
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        allocator = context.channel.allocator
        idleSince = context.eventLoop.now
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        switch state {
        case .idle:
            // Nobody asked: an answer to no request would be taken for one to the next (GW-16).
            return close()
        case .closed: return
        case .head, .body: break
        }
        hasReceived = true
        if input.readableBytes == 0 { input = buffer } else { input.writeBuffer(&buffer) }
        process()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // Gives the read buffer back, so that the channel can use it again.
        if input.readableBytes == 0 { input = ByteBuffer() }
    }

    func read(context: ChannelHandlerContext) {
        if isReadPaused { isReadHeld = true } else { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        exchange?.upstreamWritabilityChanged(isWritable: isWritable)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) {
        let last = state
        state = .closed
        let exchange = exchange
        self.exchange = nil
        pool.closed(self)
        guard let exchange else { return }
        switch last {
        case .body(let reader) where reader.endsWithConnection: exchange.upstreamEnded()
        case .head: exchange.upstreamLost(.reset)
        case .body: exchange.upstreamLost(.cut)
        case .idle, .closed: break
        }
    }

    // MARK: Reading

    private func process() {
        while let exchange {
            switch state {
            case .idle, .closed: return
            case .head: if !readHead(exchange) { return exchange.upstreamPaused() }
            case .body(var reader):
                let event = reader.next(&input)
                state = .body(reader)
                switch event {
                case .needsMore: return exchange.upstreamPaused()
                case .part(let part): exchange.upstreamBody(part)
                case .end: return end(exchange)
                case .failure:
                    canStay = false
                    close()
                    return exchange.upstreamLost(.cut)
                }
            }
        }
    }

    /// - Returns: Whether a head was read.
    private func readHead(_ exchange: ProxyExchange) -> Bool {
        guard input.readableBytes > 0 else { return false }
        switch parser.parse(&input) {
        case .incomplete: return false
        case .failure:
            fail(exchange)
            return false
        case .head(let head):
            if head.isInterim {
                interimCount += 1
                // 101 would turn the connection into something that nobody here speaks.
                if head.status == 101 || head.framing != .none || interimCount > pool.limits.interimMax { fail(exchange) }
                return true
            }
            let hasBody = head.hasBody(isHead: isHead)
            let reader = BodyReader(
                hasBody ? head.framing : .none,
                extensionBytesMax: pool.limits.chunkExtensionBytesMax,
                trailerBytesMax: pool.limits.trailerBytesMax,
                untilClose: hasBody
            )
            canStay = canStay && head.keepsAlive && !reader.endsWithConnection
            state = .body(reader)
            exchange.upstreamHead(head)
            return true
        }
    }

    private func fail(_ exchange: ProxyExchange) {
        close()
        exchange.upstreamLost(.invalidAnswer)
    }

    private func end(_ exchange: ProxyExchange) {
        // Bytes behind an answer belong to no request: the connection cannot be trusted with another (GW-16).
        if input.readableBytes > 0 { canStay = false }
        input = ByteBuffer()
        state = .idle
        exchange.upstreamEnded()
    }
}
