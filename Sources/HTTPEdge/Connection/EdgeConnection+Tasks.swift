internal import AuthCore
internal import NIOCore

/// Handlers that wait, and answers that come in parts.
extension EdgeConnection {
    func start(
        _ respond: @escaping @Sendable (RequestFacts, [UInt8]) async -> EdgeResponse,
        _ facts: RequestFacts,
        _ body: [UInt8]
    ) {
        phase = .handling
        let serial = serial
        let promise = eventLoop.makePromise(of: EdgeResponse.self)
        promise.futureResult.whenSuccess { response in
            guard case .handling = self.phase, self.serial == serial else { return }
            self.task = nil
            switch response {
            case .complete(let response): self.answer(response)
            case .stream(let head, let parts): self.startStream(head, parts)
            }
        }
        task = promise.completeWithTask { await respond(facts, body) }
    }

    private func startStream(_ head: ResponseFacts, _ parts: any AsyncSequence<[UInt8], Never> & Sendable) {
        let stays = canStay && !isVersion10
        let frame = ResponseWriter.Frame(
            isHead: isHead,
            isVersion10: isVersion10,
            keepsAlive: stays,
            body: isVersion10 ? .untilClose : .chunked
        )
        guard let bytes = ResponseWriter.bytes(head, frame: frame, date: loop.dateLine, allocator: allocator) else {
            return answer(error(500, "server_error", "The answer could not be written."))
        }
        core.counters.countAnswer(status: head.status)
        keepsAliveByRequest = stays
        write(bytes)
        if isHead || head.status == 204 || head.status == 304 { return end(stays: stays) }
        phase = .streaming
        if loop.isDraining || isInputClosed { return endStream() }
        let serial = serial
        let promise = eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenSuccess { if self.isStreaming(serial) { self.endStream() } }
        task = promise.completeWithTask { await self.pump(parts, serial) }
    }

    private func isStreaming(_ serial: UInt64) -> Bool {
        if case .streaming = phase { self.serial == serial } else { false }
    }

    private func pump(_ parts: some AsyncSequence<[UInt8], Never> & Sendable, _ serial: UInt64) async {
        for await part in parts where !part.isEmpty {
            do {
                // Waits until the client has taken the part: one at a time is in our memory.
                try await eventLoop.flatSubmit { self.sendPart(part, serial) }.get()
            } catch {
                return
            }
        }
    }

    private func sendPart(_ part: [UInt8], _ serial: UInt64) -> EventLoopFuture<Void> {
        guard isStreaming(serial), let context else { return eventLoop.makeFailedFuture(ChannelError.ioOnClosedChannel) }
        let size = part.count + 24
        var buffer = context.channel.allocator.buffer(capacity: size)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { memory in
            var cursor = ByteCursor(memory)
            if !isVersion10 {
                cursor.put(hexadecimal: part.count)
                cursor.put("\r\n")
            }
            cursor.put(part)
            if !isVersion10 { cursor.put("\r\n") }
            return cursor.count
        }
        core.counters.countOut(buffer.readableBytes)
        let promise = context.eventLoop.makePromise(of: Void.self)
        partSince = loop.now
        promise.futureResult.whenComplete { _ in self.partSince = nil }
        context.writeAndFlush(wrapOutboundOut(buffer), promise: promise)
        return promise.futureResult
    }

    /// Ends the stream as if its source had ended.
    func endStream() {
        task?.cancel()
        if !isVersion10 { write(ByteBuffer(staticString: "0\r\n\r\n")) }
        end(stays: keepsAliveByRequest && !loop.isDraining)
    }
}
