package import AuthCore
package import NIOCore

/// What an `EdgeExchange` may do with the connection, between `begin` and its last call: `answer`, `finish` or `abort`.
extension EdgeConnection {
    /// The Date line of this second, with its CRLF.
    package var dateLine: [UInt8] { loop.dateLine }

    /// The coarse time of this event loop.
    package var now: NIODeadline { loop.now }

    /// Whether the connection can stay behind an answer whose head is written now; decides the Connection field.
    package var keepsAlive: Bool { canStay }

    package var isHTTP10: Bool { isVersion10 }

    /// How the body of the request is framed, or was: the length left, or nothing for chunked.
    package var bodyLengthLeft: Int? { reader.lengthLeft }

    /// Whether a byte of an answer has been sent.
    package var hasSentHead: Bool { hasBegunAnswer }

    func start(_ exchange: any EdgeExchange) {
        isBodyPaused = true
        isBodyEndDelivered = false
        phase = .exchanging(exchange)
        exchange.begin(on: self)
    }

    /// Lets the body come, and answers `Expect: 100-continue`.
    package func resumeBody() {
        guard case .exchanging = phase, isBodyPaused else { return }
        isBodyPaused = false
        if !reader.isDone, !hasBegunAnswer { sendContinue() }
        // Within `process` too what is there is delivered at once, so that an exchange can send it together with its head.
        if isProcessing { while case .exchanging(let exchange) = phase, deliver(to: exchange) {} } else { process() }
        releaseRead()
    }

    /// Holds the body back; some more may come that was read already only after `resumeBody`.
    package func pauseBody() { isBodyPaused = true }

    /// - Returns: Whether another step may find something to do.
    func deliver(to exchange: any EdgeExchange) -> Bool {
        if isBodyPaused || isBodyEndDelivered { return false }
        switch reader.next(&input) {
        case .needsMore:
            if isInputClosed { close() }
            return false
        case .part(let part): exchange.received(part)
        case .end:
            isBodyEndDelivered = true
            exchange.receivedEnd()
        case .failure(let failure):
            exchange.clientGone()
            if hasBegunAnswer {
                core.counters.count(failure)
                giveUp()
                return false
            }
            refuse(failure)
        }
        return true
    }

    /// The first bytes of an answer: its head, made by the exchange, and perhaps some of the body. They go out with `flushAnswer`.
    package func sendHead(_ bytes: ByteBuffer, status: Int) {
        guard case .exchanging = phase else { return }
        hasBegunAnswer = true
        core.counters.countAnswer(status: status)
        writeLater(bytes)
    }

    /// More of the answer, in the framing that its head announced. It goes out with `flushAnswer`.
    package func send(_ bytes: ByteBuffer) {
        guard case .exchanging = phase else { return }
        writeLater(bytes)
    }

    /// Sends what was given to `sendHead` and `send`, in one call.
    package func flushAnswer() { flushSoon() }

    /// The answer that was begun with `sendHead` is complete.
    ///
    /// - Parameter keepsAlive: What its head said.
    package func finish(keepsAlive: Bool) {
        guard case .exchanging = phase else { return }
        flushSoon()
        end(stays: keepsAlive && canStay)
    }

    /// The answer cannot be completed: the connection closes, so that the client sees that it is cut.
    package func abort() {
        guard case .exchanging = phase else { return }
        giveUp()
    }

    /// Closes without telling the exchange, which knows.
    func giveUp() {
        phase = .lingering
        deadline = loop.now
        close()
    }

    /// Answers in the exchange's stead; nothing may have been sent.
    package func answerInstead(_ response: ResponseFacts) {
        guard case .exchanging = phase, !hasBegunAnswer else { return }
        answer(response)
    }
}
