internal import Gateway
internal import HTTPEdge
internal import NIOCore

/// The answer, from the upstream's connection to the client's.
extension ProxyExchange {
    func upstreamHead(_ head: UpstreamHead) {
        guard let client else { return }
        status = head.status
        stage = .answering
        extendIdleTime()
        var body = AnswerWriter.Frame.Body.none
        isChunked = false
        keepsAlive = client.keepsAlive
        if head.hasBody(isHead: isHead) {
            switch head.framing {
            case .length(let length): body = .length(length)
            case .chunked, .none:
                isChunked = !client.isHTTP10
                body = isChunked ? .chunked : .untilClose
                if !isChunked { keepsAlive = false }
            }
        }
        let frame = AnswerWriter.Frame(
            isHead: isHead, isVersion10: client.isHTTP10, keepsAlive: keepsAlive, body: body, added: plan?.answerHeaders ?? [])
        var extra = 0
        if case .length(let length) = body, length <= core.limits.copyBytesMax { extra = length }
        guard let bytes = AnswerWriter.head(head, frame, date: client.dateLine, extra: extra, client.allocator) else {
            return fail(.internalError)
        }
        pending = bytes
    }

    func upstreamBody(_ part: ByteBuffer) {
        guard let client else { return }
        bytesOut += part.readableBytes
        extendIdleTime()
        if isChunked { append(ChunkFrame.start(part.readableBytes, client.allocator)) }
        if part.readableBytes <= core.limits.copyBytesMax {
            append(part)
        } else {
            passOn(client)
            client.send(part)
        }
        if isChunked { append(ChunkFrame.end) }
    }

    /// Everything that was read is passed on.
    func upstreamPaused() {
        guard stage == .answering, let client else { return }
        sendPending(client)
        if !client.isWritable { upstream?.setReadPaused(true) }
    }

    func clientWritabilityChanged(isWritable: Bool) {
        guard isWritable, stage == .answering else { return }
        extendIdleTime()
        upstream?.setReadPaused(false)
    }

    private func extendIdleTime() {
        if let client { deadline = client.now + TimeAmount(core.limits.idle) }
    }

    /// Puts `bytes` behind what goes out next.
    func append(_ bytes: ByteBuffer) {
        if pending == nil {
            pending = bytes
        } else {
            pending?.writeImmutableBuffer(bytes)
        }
    }

    /// Gives what is pending to the client's channel, without a flush.
    private func passOn(_ client: EdgeConnection) {
        guard let bytes = pending else { return }
        pending = nil
        if client.hasSentHead { client.send(bytes) } else { client.sendHead(bytes, status: status) }
    }

    func sendPending(_ client: EdgeConnection) {
        passOn(client)
        client.flushAnswer()
    }
}

/// What stands around the chunks of a body (RFC 9112 §7.1).
enum ChunkFrame {
    static let end = ByteBuffer(staticString: "\r\n")
    static let last = ByteBuffer(staticString: "0\r\n\r\n")

    static func start(_ size: Int, _ allocator: ByteBufferAllocator) -> ByteBuffer {
        var buffer = allocator.buffer(capacity: 20)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 20) { memory in
            var cursor = ByteCursor(memory)
            cursor.put(hexadecimal: size)
            cursor.put("\r\n")
            return cursor.count
        }
        return buffer
    }
}
