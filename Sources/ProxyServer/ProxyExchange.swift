internal import AuthCore
internal import Gateway
internal import HTTPEdge
internal import NIOCore

/// One request on its way to a service, and the answer on its way back; both are passed on as they come.
///
/// Back-pressure goes both ways: an upstream that does not take the body holds the client's reads, a client that does not take
/// the answer holds the upstream's.
final class ProxyExchange: EdgeExchange, @unchecked Sendable {
    // Confined to the event loop of its client connection, which its upstream connection shares.
    enum Stage {
        case resolving, waiting, connecting
        /// The request goes out, or is out; no final head has come.
        case sending
        case answering
        case done
    }

    let core: ProxyCore
    let request: RequestFacts
    let startedAt: Uptime
    private var decision: AccessDecision
    var client: EdgeConnection?
    var upstream: UpstreamConnection?
    var plan: ForwardPlan?
    var stage = Stage.resolving
    var trace = TraceContext(high: 0, low: 0)
    var target: UpstreamTarget?
    var status = 0
    var bytesIn = 0
    var bytesOut = 0
    var deadline = NIODeadline.distantFuture
    private var upstreams: LoopUpstreams?
    private var pool: UpstreamPool?
    private var task: Task<Void, Never>?
    private var attempts = 0
    private var hasRetried = false
    private var refusedRoute: String?

    // The request.
    private var bodyLength: Int? = 0
    private var isRequestDone = false
    /// The head waits for what of the body is there already, so that both go out in one call.
    private var isCorked = false

    // The answer.
    var pending: ByteBuffer?
    var isChunked = false
    var keepsAlive = false

    init(_ core: ProxyCore, _ request: RequestFacts, _ decision: AccessDecision, _ startedAt: Uptime) {
        self.core = core
        self.request = request
        self.decision = decision
        self.startedAt = startedAt
    }

    var isWaiting: Bool { stage == .waiting || stage == .connecting }
    var isHead: Bool { request.method.utf8.elementsEqual("HEAD".utf8) }

    // MARK: Before there is a connection

    func begin(on connection: EdgeConnection) {
        client = connection
        bodyLength = connection.bodyLengthLeft
        guard let upstreams = core.loops[ObjectIdentifier(connection.eventLoop)] else { return fail(.internalError) }
        self.upstreams = upstreams
        let parent = request.headers.single("traceparent")
        trace = parent?.withUnsafeBytes { TraceContext(traceparent: $0) } ?? upstreams.nextTrace()
        carryOut(connection, mayAsk: true)
    }

    private func carryOut(_ client: EdgeConnection, mayAsk: Bool) {
        switch decision {
        case .forward(let plan):
            self.plan = plan
            connect()
        case .refuse(let refusal):
            bytesOut = refusal.response.body.count
            refusedRoute = refusal.route
            trace = refusal.traceID.flatMap { TraceContext(hexadecimal: $0) } ?? trace
            end(status: refusal.response.status, reason: refusal.reason)
            client.answerInstead(refusal.response)
        case .ask(let question):
            guard mayAsk else { return fail(.unresolved) }
            resolve(question, client)
        }
    }

    private func resolve(_ question: AccessQuestion, _ client: EdgeConnection) {
        stage = .resolving
        deadline = client.now + TimeAmount(core.limits.resolveTime)
        let promise = client.eventLoop.makePromise(of: Bool.self)
        promise.futureResult.whenSuccess { _ in
            guard self.stage == .resolving, let client = self.client else { return }
            self.task = nil
            self.decision = self.core.hooks.decide(self.request, false)
            self.carryOut(client, mayAsk: false)
        }
        let core = core
        task = promise.completeWithTask { await core.hooks.resolve(question) }
    }

    private func connect() {
        guard let plan, let client, let pool = upstreams?.pool(for: plan.route, now: client.now) else { return fail(.refused) }
        self.pool = pool
        target = pool.target
        attempts += 1
        pool.checkOut(self, isFresh: false)
    }

    /// The pool is full.
    func startWaiting() {
        stage = .waiting
        deadline = (client?.now ?? .distantFuture) + TimeAmount(core.limits.waitTime)
    }

    /// The pool opens a connection; it has its own time-out.
    func startConnecting() {
        stage = .connecting
        deadline = .distantFuture
    }

    func connectFailed(_ failure: ProxyFailure, _ target: UpstreamTarget) {
        // Nothing was sent, so any request may go to the next upstream.
        if failure == .refused, let plan, attempts < plan.route.upstreams.count { return connect() }
        fail(failure)
    }

    // MARK: The request

    func attach(_ connection: UpstreamConnection) {
        guard let client, let plan, let pool, let upstreams else { return pool?.checkIn(connection) ?? connection.close() }
        let context = RequestWriter.Context(
            target: connection.target,
            bodyLength: bodyLength,
            peerText: client.peerText,
            trace: trace,
            span: upstreams.nextSpan(),
            trusted: core.trusted,
            limits: core.limits
        )
        let head: ByteBuffer
        do {
            head = try RequestWriter.head(request, plan, context, connection.allocator)
        } catch {
            stage = .sending
            pool.checkIn(connection)
            if error == .identity { return fail(.internalError) }
            end(status: 400, reason: "malformed")
            return client.answerInstead(
                .error(400, "invalid_request", "The Connection field lists too many names.", traceID: trace.description)
            )
        }
        stage = .sending
        upstream = connection
        connection.start(self, isHead: isHead)
        isCorked = true
        connection.write(head)
        extendAnswerTime()
        client.resumeBody()
        isCorked = false
        upstream?.flush()
    }

    private func extendAnswerTime() {
        if stage == .sending, let client { deadline = client.now + TimeAmount(core.limits.answerTime) }
    }

    func received(_ part: ByteBuffer) {
        bytesIn += part.readableBytes
        guard let upstream else { return }
        if bodyLength == nil {
            upstream.write(ChunkFrame.start(part.readableBytes, upstream.allocator))
            upstream.write(part)
            upstream.write(ChunkFrame.end)
        } else {
            upstream.write(part)
        }
        if !isCorked { upstream.flush() }
        extendAnswerTime()
        if !upstream.isWritable { client?.pauseBody() }
    }

    func receivedEnd() {
        isRequestDone = true
        guard let upstream, bodyLength == nil else { return }
        upstream.write(ChunkFrame.last)
        if !isCorked { upstream.flush() }
    }

    func upstreamWritabilityChanged(isWritable: Bool) {
        guard isWritable, !isRequestDone else { return }
        extendAnswerTime()
        client?.resumeBody()
    }

    // MARK: Ends

    /// Whether the request may go out again: idempotent, nothing of it consumed, and lost on a connection that had been in use
    /// before, which the service may have closed as we wrote (RFC 9110 §9.2.2, RFC 9112 §9.3.1, GW-15).
    private func mayRetry(_ connection: UpstreamConnection) -> Bool {
        guard !hasRetried, connection.uses > 1, !connection.hasReceived, bodyLength == 0 else { return false }
        let method = request.method.utf8
        return ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"].contains { method.elementsEqual($0.utf8) }
    }

    /// The connection is lost, or its bytes are no answer.
    func upstreamLost(_ failure: ProxyFailure) {
        guard let connection = upstream else { return }
        upstream = nil
        if failure == .reset, let pool, mayRetry(connection) {
            hasRetried = true
            core.counters.countRetry()
            return pool.checkOut(self, isFresh: true)
        }
        fail(failure)
    }

    func upstreamEnded() {
        guard let client, let connection = upstream else { return }
        upstream = nil
        if isChunked { append(ChunkFrame.last) }
        sendPending(client)
        end(status: status, reason: nil)
        connection.release(isRequestDone: isRequestDone, now: client.now)
        client.finish(keepsAlive: keepsAlive)
    }

    /// Tells the client what can still be told.
    func fail(_ failure: ProxyFailure) {
        guard let client, stage != .done else { return }
        core.counters.count(failure)
        upstream?.close()
        upstream = nil
        pending = nil
        if client.hasSentHead {
            end(status: status, reason: failure.rawValue)
            return client.abort()
        }
        let response = failure.response(traceID: trace.description)
        end(status: response.status, reason: failure.rawValue)
        client.answerInstead(response)
    }

    func clientGone() {
        guard stage != .done else { return }
        core.counters.count(.clientGone)
        end(status: client?.hasSentHead == true ? status : 0, reason: ProxyFailure.clientGone.rawValue)
        upstream?.close()
        upstream = nil
    }

    func tick(now: NIODeadline) {
        guard now >= deadline, let client else { return }
        switch stage {
        case .resolving: fail(.unresolved)
        case .waiting: fail(.busy)
        case .sending: fail(.answerTimeout)
        case .answering:
            // A client that does not read is the edge's to judge.
            if client.isWritable { fail(.cut) }
        case .connecting, .done: break
        }
    }

    /// Writes the log line; nothing happens to this exchange behind it.
    private func end(status: Int, reason: String?) {
        stage = .done
        client = nil
        task?.cancel()
        task = nil
        core.hooks.log(
            ProxyLogRecord(
                method: request.method,
                path: plan.map { Array($0.target.prefix { $0 != UInt8(ascii: "?") }) } ?? Array(request.path),
                route: plan?.route.name ?? refusedRoute,
                status: status,
                reason: reason,
                upstream: target.map { ProxyLogRecord.UpstreamName(host: $0.host, port: $0.port) },
                subject: plan?.subject,
                duration: core.environment.uptime() - startedAt,
                traceID: trace,
                bytesIn: bytesIn,
                bytesOut: bytesOut
            )
        )
    }
}
