internal import AuthCore
internal import NIOCore

extension EdgeConnection {
    /// Carries out what the responder said.
    func perform(_ action: EdgeAction, for facts: RequestFacts) {
        switch action {
        case .answer(let response): answer(response)
        case .body(let limit, let then): startCollecting(Collector(facts: facts, limit: limit, then: .now(then)))
        case .async(let limit, let then): startCollecting(Collector(facts: facts, limit: limit, then: .later(then)))
        case .either(let limit, let now, let later):
            startCollecting(Collector(facts: facts, limit: limit, then: .either(now: now, later: later)))
        case .exchange(let exchange): start(exchange)
        }
    }

    // MARK: Bodies

    private func startCollecting(_ collector: Collector) {
        if let length = reader.lengthLeft, length > collector.limit { return refuseLarge(collector) }
        collected = []
        phase = .collecting(collector)
        if !reader.isDone { sendContinue() }
    }

    /// RFC 9110 §10.1.1: the client waits for this before it sends the body. Not needed when it has not waited.
    func sendContinue() {
        guard expectsContinue else { return }
        expectsContinue = false
        if input.readableBytes == 0 { write(ByteBuffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n")) }
    }

    private func refuseLarge(_ collector: Collector) {
        collected = []
        answer(error(413, "payload_too_large", "The body is larger than \(collector.limit) bytes."))
    }

    /// - Returns: Whether another step may find something to do.
    func collect(_ collector: Collector) -> Bool {
        switch reader.next(&input) {
        case .needsMore: return false
        case .part(var part):
            guard part.readableBytes <= collector.limit - collected.count else {
                refuseLarge(collector)
                return true
            }
            let bytes = part.readBytes(length: part.readableBytes) ?? []
            if collected.isEmpty { collected = bytes } else { collected.append(contentsOf: bytes) }
        case .end:
            let body = collected
            collected = []
            switch collector.then {
            case .now(let respond): answer(respond(collector.facts, body))
            case .later(let respond): start(respond, collector.facts, body)
            case .either(let now, let later):
                if let response = now(collector.facts, body) { answer(response) } else { start(later, collector.facts, body) }
            }
        case .failure(let failure): refuse(failure)
        }
        return true
    }

    /// - Returns: Whether another step may find something to do.
    func discard(_ left: Int) -> Bool {
        switch reader.next(&input) {
        case .needsMore: return false
        case .part(let part):
            if part.readableBytes > left { linger() } else { phase = .discarding(left: left - part.readableBytes) }
        case .end: startWaiting()
        case .failure(let failure):
            // The answer is out; there is nothing more to say.
            core.counters.count(failure)
            linger()
        }
        return true
    }

    // MARK: Answers

    /// Whether the connection can serve another request behind this one.
    var canStay: Bool {
        guard keepsAliveByRequest, !loop.isDraining else { return false }
        // The client has closed its side: there may be requests that it sent before, but there will be no more bytes.
        if isInputClosed { return reader.isDone && input.readableBytes > 0 }
        if reader.isDone { return true }
        // Told to wait with its body, the client may send it behind our answer or not: the two cannot be told apart.
        if expectsContinue { return false }
        return (reader.lengthLeft ?? 0) <= core.limits.discardBytesMax
    }

    func answer(_ response: ResponseFacts) {
        let stays = canStay
        let frame = ResponseWriter.Frame(isHead: isHead, isVersion10: isVersion10, keepsAlive: stays)
        var status = response.status
        var bytes = ResponseWriter.bytes(response, frame: frame, date: loop.dateLine, allocator: allocator)
        if bytes == nil {
            // GW-11: a name or value that would have split the answer.
            let failure = error(500, "server_error", "The answer could not be written.")
            status = failure.status
            bytes = ResponseWriter.bytes(failure, frame: frame, date: loop.dateLine, allocator: allocator)
        }
        core.counters.countAnswer(status: status)
        if let bytes { write(bytes) }
        end(stays: stays)
    }

    /// The answer is complete: on to the next request, or to the end.
    func end(stays: Bool) {
        task = nil
        guard stays else { return linger() }
        if reader.isDone { startWaiting() } else { phase = .discarding(left: core.limits.discardBytesMax) }
        process()
        releaseRead()
    }

    /// Answers a request that cannot be read further, and closes.
    func refuse(_ failure: HeadFailure) {
        core.counters.count(failure)
        keepsAliveByRequest = false
        answer(error(failure.status, failure.code, failure.sentence))
    }

    func timeOutRequest(_ sentence: String) {
        core.counters.countTimeout()
        if case .discarding = phase { return close() }
        if case .exchanging(let exchange) = phase {
            exchange.clientGone()
            if hasBegunAnswer { return giveUp() }
        }
        keepsAliveByRequest = false
        answer(error(408, "request_timeout", sentence))
    }

    func error(_ status: Int, _ code: String, _ sentence: String, headers: [(name: String, value: String)] = []) -> ResponseFacts {
        .error(status, code, sentence, traceID: TraceID(core.environment).description, headers: headers)
    }

    // MARK: End

    /// Sends what is written, closes our side, and reads on for a while: closing with unread input would reset the connection,
    /// and the client could lose the answer (RFC 9112 §9.6).
    func linger() {
        phase = .lingering
        input = ByteBuffer()
        collected = []
        deadline = loop.now + TimeAmount(core.limits.answerTime)
        flush()
        guard let context else { return }
        let promise = context.eventLoop.makePromise(of: Void.self)
        let isInputClosed = isInputClosed
        promise.futureResult.whenComplete { _ in
            guard case .lingering = self.phase else { return }
            if isInputClosed || self.isInputClosed { return self.close() }
            self.deadline = self.loop.now + TimeAmount(self.core.limits.lingerTime)
        }
        if isInputClosed {
            // With its input closed, NIO makes of closing the output a full close, which would drop what is not yet written.
            context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: promise)
        } else {
            context.close(mode: .output, promise: promise)
        }
        releaseRead()
    }

    /// Closes without an answer, behind what is written.
    func closeWhenWritten() {
        if case .lingering = phase {
            // The end of the input was what we waited for, unless an answer is still being sent.
            if isWritable { close() }
            return
        }
        task?.cancel()
        task = nil
        linger()
    }

    /// The server wants to stop: what is open finishes, what is idle goes.
    func drain() {
        switch phase {
        case .waiting: if input.readableBytes == 0 { deadline = min(deadline, loop.now + TimeAmount(core.limits.drainIdleTime)) }
        case .streaming: endStream()
        default: break
        }
    }
}
