package import AuthCore
package import NIOCore

/// What answers the requests of one listener.
///
/// Plugged into `EdgeServer`; the edge owns framing, order, limits and the connection.
package protocol EdgeResponder: Sendable {
    /// Called on the connection's event loop with a complete and checked head, before any of the body.
    ///
    /// It must not block: what waits is an `.async` or an `.exchange`.
    func respond(to request: RequestFacts) -> EdgeAction
}

/// What the edge does with a request.
package enum EdgeAction {
    /// Answers now. A body still to come is thrown away within `EdgeLimits.discardBytesMax`, or the connection closes.
    case answer(ResponseFacts)
    /// Reads a body of at most `limit` bytes (413 past it), then answers at once, on the event loop.
    case body(limit: Int, then: @Sendable (RequestFacts, [UInt8]) -> ResponseFacts)
    /// Reads a body of at most `limit` bytes (413 past it), then answers at once where `now` has an answer, and else awaits that of `later`.
    case either(
        limit: Int, now: @Sendable (RequestFacts, [UInt8]) -> ResponseFacts?,
        later: @Sendable (RequestFacts, [UInt8]) async -> EdgeResponse)
    /// Reads a body of at most `bodyLimit` bytes (413 past it), then awaits the answer. The task is cancelled when the client goes.
    case async(bodyLimit: Int, then: @Sendable (RequestFacts, [UInt8]) async -> EdgeResponse)
    /// Hands body and answer of this request to an object on the same event loop.
    case exchange(any EdgeExchange)
}

/// The answer of an `.async` handler.
package enum EdgeResponse: Sendable {
    case complete(ResponseFacts)
    /// A head (its `body` is ignored), then parts as they come, each sent at once: chunked, or until close for HTTP/1.0.
    ///
    /// The next part is asked for when the client has taken the last one. Ended early, and cancelled, when the client goes
    /// or the server drains.
    case stream(head: ResponseFacts, body: any AsyncSequence<[UInt8], Never> & Sendable)
}

/// Takes over the body and the answer of one request: the data plane.
///
/// Everything is called on the connection's event loop. After `clientGone` the connection must not be touched again.
package protocol EdgeExchange: AnyObject {
    /// The first call. No body is delivered before `connection.resumeBody()`.
    func begin(on connection: EdgeConnection)
    /// Decoded bytes of the body; none while it is paused.
    func received(_ part: ByteBuffer)
    /// The body is complete. Also called for a request without one, after `resumeBody()`.
    func receivedEnd()
    func clientWritabilityChanged(isWritable: Bool)
    /// The connection is lost, or was given up because of a bad or slow body; an answer can no longer be sent.
    func clientGone()
    /// Called about every `EdgeLimits.tick`, for time-outs.
    func tick(now: NIODeadline)
}

/// How the end of a message body is known (RFC 9112 §6.3).
package enum BodyFraming: Sendable, Equatable {
    case none
    case length(Int)
    case chunked
}
