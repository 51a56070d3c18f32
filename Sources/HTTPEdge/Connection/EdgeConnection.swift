package import AuthCore
package import NIOCore

/// One client connection: reads heads and bodies, answers in order, keeps the limits, drains.
///
/// Requests are taken one at a time. While one is open, what arrives is kept unread up to `EdgeLimits.aheadBytesMax`, then
/// reading stops, so answers cannot change places and a client cannot make us remember more than that.
package final class EdgeConnection: ChannelDuplexHandler, @unchecked Sendable {
    // Confined to its channel's event loop.
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    enum Phase {
        /// For a head, or in one.
        case waiting
        case collecting(Collector)
        /// An async handler has the request.
        case handling
        case streaming
        case exchanging(any EdgeExchange)
        /// The answer is out; so many bytes of the request's body may still be thrown away.
        case discarding(left: Int)
        /// The last answer is out and our side closed; waiting for the client to close its own.
        case lingering
        case closed
    }

    /// A request whose body is read first. An object, because it is looked at with each part, and large.
    final class Collector {
        let facts: RequestFacts
        let limit: Int
        let then: Then

        init(facts: RequestFacts, limit: Int, then: Then) { (self.facts, self.limit, self.then) = (facts, limit, then) }

        enum Then {
            case now(@Sendable (RequestFacts, [UInt8]) -> ResponseFacts)
            case later(@Sendable (RequestFacts, [UInt8]) async -> EdgeResponse)
            case either(
                now: @Sendable (RequestFacts, [UInt8]) -> ResponseFacts?, later: @Sendable (RequestFacts, [UInt8]) async -> EdgeResponse)
        }
    }

    let loop: EdgeLoop
    let core: EdgeCore
    var context: ChannelHandlerContext?
    var phase = Phase.waiting
    var input = ByteBuffer()
    private var parser: RequestHeadParser
    private var verdict: ConnectionAdmission.Verdict?

    // The request in hand.
    var reader: BodyReader
    var keepsAliveByRequest = true
    var isHead = false
    var isVersion10 = false
    /// A 100 that has not been sent yet.
    var expectsContinue = false
    var collected: [UInt8] = []
    var isBodyPaused = true
    var isBodyEndDelivered = false
    var hasBegunAnswer = false
    /// Counts requests, so that what comes late from a task is told from what is awaited.
    var serial: UInt64 = 0
    var task: Task<Void, Never>?

    // Times.
    var deadline: NIODeadline
    private var isHeadBegun = false
    private var windowStart: NIODeadline
    private var windowBytes = 0
    private var unwritableSince: NIODeadline?
    /// Since when the client has a part of a stream to take.
    var partSince: NIODeadline?

    var isInputClosed = false
    var isProcessing = false
    private var isReading = false
    private var needsFlush = false
    private var isReadHeld = false

    private static let compactBytes = 8_192

    package init(loop: EdgeLoop, isTLS: Bool = false) {
        self.loop = loop
        core = loop.core
        parser = RequestHeadParser(limits: loop.core.limits, isTLS: isTLS)
        reader = BodyReader(.none, extensionBytesMax: 0, trailerBytesMax: 0)
        deadline = loop.now
        windowStart = loop.now
    }

    /// The other end of the socket; the loopback address for a Unix socket.
    package var peer: PeerAddress { parser.peer }
    package var isTLS: Bool { parser.isTLS }
    /// What the handshake proved that the client has the key of.
    package var clientCertificate: ClientCertificate? {
        get { parser.clientCertificate }
        set { parser.clientCertificate = newValue }
    }
    /// The last field of a believed proxy, and what it says.
    var lastForwarded: (value: [UInt8], certificate: ClientCertificate)?
    /// The text of `peer`, made once.
    package private(set) lazy var peerText = peer.description
    package var eventLoop: any EventLoop { loop.eventLoop }
    /// Kept here, because asking the channel costs more than the rest of the question.
    package private(set) var isWritable = true
    /// Makes buffers of the channel's own kind.
    package private(set) var allocator = ByteBufferAllocator()

    // MARK: Life

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        allocator = context.channel.allocator
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    package func channelActive(context: ChannelHandlerContext) {
        parser.peer = context.remoteAddress.flatMap(PeerAddress.init) ?? .loopback
        core.counters.countAccepted()
        let verdict = core.admission.admit(peer)
        self.verdict = verdict
        loop.add(self)
        switch verdict {
        case .admitted:
            deadline = loop.now + TimeAmount(isTLS ? core.limits.headerTime : core.limits.keepAliveIdle)
            if loop.isDraining { drain() }
        case .refused(let answers):
            core.counters.countRefused()
            // Over TLS the answer would cost a handshake.
            if !answers || isTLS { return close() }
            keepsAliveByRequest = false
            answer(error(503, "overloaded", "There are too many connections.", headers: [("retry-after", "1")]))
        }
    }

    package func channelInactive(context: ChannelHandlerContext) {
        let last = phase
        phase = .closed
        input = ByteBuffer()
        task?.cancel()
        task = nil
        if case .exchanging(let exchange) = last { exchange.clientGone() }
        if let verdict {
            core.admission.release(peer, verdict)
            core.counters.countClosed()
            loop.remove(self)
        }
        verdict = nil
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    /// Closes at once; what was not written is lost.
    func close() { context?.close(promise: nil) }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { inputClosed() }
        context.fireUserInboundEventTriggered(event)
    }

    /// The client has sent its last byte. A complete request still gets its answer, for some time.
    private func inputClosed() {
        isInputClosed = true
        switch phase {
        // What is still unread behind answers that are not taken is not lost; half a head is.
        case .waiting: if input.readableBytes == 0 || isWritable { closeWhenWritten() }
        case .streaming, .discarding, .lingering: closeWhenWritten()
        case .collecting: close()
        case .handling: deadline = loop.now + TimeAmount(core.limits.halfClosedTime)
        case .exchanging:
            if !reader.isDone, input.readableBytes == 0 { return close() }
            deadline = loop.now + TimeAmount(core.limits.halfClosedTime)
        case .closed: break
        }
    }

    // MARK: Reading

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        core.counters.countIn(buffer.readableBytes)
        switch phase {
        case .lingering, .closed: return
        default: break
        }
        windowBytes &+= buffer.readableBytes
        if input.readableBytes == 0 {
            input = buffer
        } else {
            // Without this a connection that never comes to rest between two requests would grow its buffer for ever.
            if input.readerIndex >= EdgeConnection.compactBytes { input.discardReadBytes() }
            input.writeBuffer(&buffer)
        }
        isReading = true
        process()
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        if needsFlush { flush() }
        // Gives the read buffer back, so that the channel can use it again.
        if input.readableBytes == 0 { input = ByteBuffer() }
    }

    package func read(context: ChannelHandlerContext) {
        if holdsRead { isReadHeld = true } else { context.read() }
    }

    private var holdsRead: Bool {
        switch phase {
        case .waiting: !isWritable
        case .handling, .streaming: input.readableBytes >= core.limits.aheadBytesMax
        case .exchanging: (isBodyPaused || isBodyEndDelivered) && input.readableBytes >= core.limits.aheadBytesMax
        case .collecting, .discarding, .lingering, .closed: false
        }
    }

    func releaseRead() {
        guard isReadHeld, !holdsRead else { return }
        isReadHeld = false
        context?.read()
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        unwritableSince = isWritable ? nil : loop.now
        if case .exchanging(let exchange) = phase { exchange.clientWritabilityChanged(isWritable: isWritable) }
        guard isWritable else { return }
        if case .waiting = phase {
            if !isHeadBegun { deadline = loop.now + TimeAmount(core.limits.keepAliveIdle) }
            process()
        }
        releaseRead()
    }

    /// Takes from the input as much as the phases allow. Called again by whatever ends a phase.
    func process() {
        if isProcessing { return }
        isProcessing = true
        while step() {}
        isProcessing = false
    }

    /// - Returns: Whether another step may find something to do.
    private func step() -> Bool {
        switch phase {
        case .waiting: readHead()
        case .collecting(let collector): collect(collector)
        case .exchanging(let exchange): deliver(to: exchange)
        case .discarding(let left): discard(left)
        case .handling, .streaming, .lingering, .closed: false
        }
    }

    private func readHead() -> Bool {
        // A client that sends requests and reads no answers waits here, with its requests unread.
        guard input.readableBytes > 0, isWritable else {
            if isInputClosed, input.readableBytes == 0 { closeWhenWritten() }
            return false
        }
        switch parser.parse(&input) {
        case .incomplete:
            if isInputClosed {
                closeWhenWritten()
            } else if !isHeadBegun {
                isHeadBegun = true
                deadline = loop.now + TimeAmount(core.limits.headerTime)
            }
            return false
        case .failure(let failure):
            refuse(failure)
            return true
        case .head(var head):
            if let forwarded = core.forwardedCertificates, forwarded.isBelieved(peer) {
                do throws(HeadFailure) {
                    head.facts.clientCertificate = try forwardedCertificate(head.facts, forwarded)
                } catch {
                    refuse(error)
                    return true
                }
            }
            begin(head)
            return true
        }
    }

    private func begin(_ head: RequestHead) {
        core.counters.countRequest()
        serial &+= 1
        isHeadBegun = false
        isHead = head.isHead
        isVersion10 = head.facts.isVersion10
        keepsAliveByRequest = head.keepsAlive
        expectsContinue = head.expectsContinue
        hasBegunAnswer = false
        let limits = core.limits
        reader = BodyReader(head.framing, extensionBytesMax: limits.chunkExtensionBytesMax, trailerBytesMax: limits.trailerBytesMax)
        startWindow(loop.now)
        if isInputClosed { deadline = loop.now + TimeAmount(limits.halfClosedTime) }
        perform(core.responder.respond(to: head.facts), for: head.facts)
    }

    func startWaiting() {
        phase = .waiting
        isHeadBegun = false
        isHead = false
        isVersion10 = false
        expectsContinue = false
        deadline = loop.now + TimeAmount(core.limits.keepAliveIdle)
        if loop.isDraining { drain() }
    }

    // MARK: Writing

    func write(_ buffer: ByteBuffer) {
        writeLater(buffer)
        flushSoon()
    }

    func writeLater(_ buffer: ByteBuffer) {
        guard let context else { return }
        core.counters.countOut(buffer.readableBytes)
        context.write(wrapOutboundOut(buffer), promise: nil)
    }

    /// Now, or when everything of this read is answered: pipelined answers go out together.
    func flushSoon() {
        if isReading { needsFlush = true } else { flush() }
    }

    /// Everything written so far goes out in one call.
    func flush() {
        needsFlush = false
        context?.flush()
    }

    // MARK: Time

    func startWindow(_ now: NIODeadline) {
        windowStart = now
        windowBytes = 0
    }

    /// Called each `EdgeLimits.tick`.
    func tick(_ now: NIODeadline) {
        if let unwritableSince {
            var allowed = core.limits.idle
            switch phase {
            case .waiting, .lingering: allowed = core.limits.answerTime
            default: break
            }
            if now - unwritableSince >= TimeAmount(allowed) { return timedOut() }
        }
        switch phase {
        case .waiting:
            guard now >= deadline, isWritable else { return }
            if isHeadBegun { timeOutRequest("The request head took too long.") } else { closeWhenWritten() }
        case .collecting, .discarding: checkRate(now)
        case .exchanging(let exchange):
            if isInputClosed, now >= deadline { return timedOut() }
            if isBodyPaused || reader.isDone { startWindow(now) } else { checkRate(now) }
            exchange.tick(now: now)
        case .handling: if isInputClosed, now >= deadline { timedOut() }
        case .lingering: if now >= deadline { close() }
        case .streaming: if let partSince, now - partSince >= TimeAmount(core.limits.idle) { timedOut() }
        case .closed: break
        }
    }

    private func timedOut() {
        core.counters.countTimeout()
        close()
    }

    /// A body that trickles holds a connection as a slow head does.
    private func checkRate(_ now: NIODeadline) {
        let window = TimeAmount(core.limits.bodyRateWindow)
        guard now - windowStart >= window else { return }
        let seconds = Double(window.nanoseconds) / 1e9
        if Double(windowBytes) >= Double(core.limits.bodyBytesPerSecondMin) * seconds { return startWindow(now) }
        timeOutRequest("The request body came too slowly.")
    }
}
