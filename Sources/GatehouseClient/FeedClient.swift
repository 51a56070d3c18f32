package import AuthCore
package import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import Synchronization
package import TokenVerification

/// An auth node, as a URL names it.
package struct FeedSource: Sendable, Equatable, CustomStringConvertible {
    package let host: String
    package let port: Int
    package let isTLS: Bool

    package init(host: String, port: Int, isTLS: Bool) {
        self.host = host
        self.port = port
        self.isTLS = isTLS
    }

    package var authority: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)" }
    package var description: String { "\(isTLS ? "https" : "http")://\(authority)" }
}

/// Follows the event stream of the first auth node that answers, and keeps a replica up to date by it.
///
/// When a node is lost the next is tried at once, then all again with a growing pause. Everything that is known stays in force meanwhile,
/// and grows old: what an old replica means is decided where tokens are judged.
package final class FeedClient: Sendable {
    package struct Configuration: Sendable {
        /// At least one.
        package var sources: [FeedSource]
        package var clientID: String
        package var secret: Secret<String>
        /// A PEM file of authorities; nothing for the system's.
        package var authorities: String?
        package var connectTime = TimeAmount.seconds(2)
        package var pauseMin = TimeAmount.milliseconds(50)
        package var pauseMax = TimeAmount.seconds(2)

        package init(sources: [FeedSource], clientID: String, secret: Secret<String>, authorities: String? = nil) {
            self.sources = sources
            self.clientID = clientID
            self.secret = secret
            self.authorities = authorities
        }
    }

    /// The authorities cannot be read.
    package struct BadAuthorities: Error {
        package let reason: String
    }

    private struct State {
        var isStopped = false
        var channel: (any Channel)?
        /// Ends the pause before the next attempt.
        var pause: EventLoopPromise<Void>?
        var source: FeedSource?
        var waiting: [CheckedContinuation<Bool, Never>] = []
    }

    private let configuration: Configuration
    private let replica: RevocationReplica
    private let hooks: FeedReader.Hooks
    private let tls: NIOSSLContext?
    private let group: any EventLoopGroup
    private let environment: Environment
    private let log: Log
    private let state = Mutex(State())

    package init(
        _ configuration: Configuration, replica: RevocationReplica, hooks: FeedReader.Hooks, group: any EventLoopGroup,
        environment: Environment, log: Log
    ) throws(BadAuthorities) {
        self.configuration = configuration
        self.replica = replica
        self.hooks = hooks
        self.group = group
        self.environment = environment
        self.log = log
        guard configuration.sources.contains(where: \.isTLS) else {
            tls = nil
            return
        }
        do {
            var settings = TLSConfiguration.makeClientConfiguration()
            settings.minimumTLSVersion = .tlsv12
            settings.applicationProtocols = ["http/1.1"]
            if let authorities = configuration.authorities { settings.trustRoots = .file(authorities) }
            tls = try NIOSSLContext(configuration: settings)
        } catch { throw BadAuthorities(reason: "\(error)") }
    }

    /// The node whose stream is being followed; nothing while there is none.
    package var source: FeedSource? { state.withLock { $0.source } }

    /// Follows until the task is cancelled.
    package func run() async {
        await withTaskCancellationHandler {
            await follow()
        } onCancel: {
            stop()
        }
    }

    /// Ends `run`.
    package func stop() {
        let (channel, pause, waiting) = state.withLock { state in
            state.isStopped = true
            defer { state.waiting = [] }
            return (state.channel, state.pause, state.waiting)
        }
        channel?.close(promise: nil)
        pause?.succeed()
        for waiter in waiting { waiter.resume(returning: false) }
    }

    private func follow() async {
        var next = 0
        var failures = 0
        while !state.withLock({ $0.isStopped }) {
            let source = configuration.sources[next % configuration.sources.count]
            let (end, wasConfirmed) = await attempt(source)
            if state.withLock({ $0.isStopped }) { return }
            if wasConfirmed { failures = 0 }
            // A stream that has ended in order goes on at once, from where it was.
            if end == .complete, wasConfirmed { continue }
            failures += 1
            next += 1
            tell(source, end, failures)
            releaseWaiting(false)
            // Each of them once without a pause.
            if failures >= configuration.sources.count { await pause(failures - configuration.sources.count) }
        }
    }

    private func tell(_ source: FeedSource, _ end: FeedEnd, _ failures: Int) {
        let reason =
            switch end {
            case .complete: "the node ended the stream"
            case .failed(let reason): reason
            case .refused(401): "401: the client is unknown or disabled, or control_plane.client_secret is wrong"
            case .refused(403): "403: the client lacks the scope gatehouse:revocations"
            case .refused(let status): "the node answered \(status)"
            }
        // Every one at first, then ever fewer: an outage of a night is no log of its own.
        guard failures & (failures - 1) == 0 else { return }
        log(.error, "control_plane_lost", [("node", source.description), ("reason", reason), ("failures", String(failures))])
    }

    private func pause(_ round: Int) async {
        let time = TimeAmount.nanoseconds(
            min(configuration.pauseMax.nanoseconds, configuration.pauseMin.nanoseconds << min(round, 20)))
        // Spread out, so that gateways that lost one node do not all return in one moment.
        let jitter = Int64(environment.randomBytes(1)[0])
        let loop = group.next()
        let promise = loop.makePromise(of: Void.self)
        let wakes = loop.scheduleTask(in: time + .nanoseconds(time.nanoseconds / 512 * jitter)) { promise.succeed() }
        let isStopped = state.withLock { state in
            state.pause = promise
            return state.isStopped
        }
        if isStopped { promise.succeed() }
        try? await promise.futureResult.get()  // never fails
        wakes.cancel()
        state.withLock { $0.pause = nil }
    }

    private func attempt(_ source: FeedSource) async -> (FeedEnd, wasConfirmed: Bool) {
        let loop = group.next()
        let promise = loop.makePromise(of: FeedEnd.self)
        let confirmed = Mutex(false)
        let position = replica.position
        let request = request(to: source, after: position)
        let connection = FeedConnection(request: request, ended: promise, uptime: environment.uptime) { [self] in
            let isFirst = confirmed.withLock { confirmed in
                defer { confirmed = true }
                return !confirmed
            }
            if isFirst {
                state.withLock { $0.source = source }
                log(.info, "control_plane_followed", [("node", source.description), ("position", replica.position?.description ?? "")])
            }
            releaseWaiting(true)
        } makeReader: { [self] in
            FeedReader(replica, requestedAt: environment.uptime(), hooks: hooks)
        }
        do {
            let channel = try await connect(source, loop, connection).get()
            let isStopped = state.withLock { state in
                state.channel = channel
                return state.isStopped
            }
            if isStopped { channel.close(promise: nil) }
        } catch {
            promise.succeed(.failed("cannot connect: \(error)"))
        }
        let end = (try? await promise.futureResult.get()) ?? .failed("")  // never fails
        state.withLock { state in
            state.channel = nil
            state.source = nil
        }
        return (end, confirmed.withLock { $0 })
    }

    private func connect(_ source: FeedSource, _ loop: any EventLoop, _ connection: FeedConnection) -> EventLoopFuture<any Channel> {
        let address = try? SocketAddress(ipAddress: source.host, port: source.port)  // fails for a name
        // Without a name the certificate must be for the address.
        let name = address == nil ? source.host : nil
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(configuration.connectTime)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { [tls] channel in
                channel.eventLoop.makeCompletedFuture {
                    guard source.isTLS else { return }
                    guard let tls else { throw ChannelError.inappropriateOperationForState }
                    try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: tls, serverHostname: name))
                }
            }
        let connected = address.map { bootstrap.connect(to: $0) } ?? bootstrap.connect(host: source.host, port: source.port)
        // Of a name with several addresses one connection is taken in the end, and only that one asks.
        return connected.flatMapThrowing { channel in
            try channel.pipeline.syncOperations.addHandler(connection)
            return channel
        }
    }

    private func request(to source: FeedSource, after position: RevocationPosition?) -> [UInt8] {
        // RFC 6749 §2.3.1: each half form-encoded, then base64 with padding.
        let credentials = FormEncoding.encode(configuration.clientID) + ":" + FormEncoding.encode(configuration.secret.exposed)
        var head = "GET /events/revocations HTTP/1.1\r\nhost: \(source.authority)\r\naccept: text/event-stream\r\n"
        head += "authorization: Basic \(Base64.encode(Array(credentials.utf8)))\r\n"
        if let position { head += "last-event-id: \(position)\r\n" }
        return Array((head + "\r\n").utf8)
    }

    // MARK: Waiting

    /// Waits for the next heartbeat, and cuts a pause short.
    ///
    /// - Returns: Whether one came; false when an attempt to reach a node has failed instead. One that came may be too old to count.
    package func waitForHeartbeat() async -> Bool {
        await withCheckedContinuation { continuation in
            let (isStopped, pause) = state.withLock { state in
                // As many as wait at once; past it nobody waits.
                let isFull = state.isStopped || state.waiting.count >= FeedClient.waitingMax
                if !isFull { state.waiting.append(continuation) }
                return (isFull, state.pause)
            }
            if isStopped { continuation.resume(returning: false) }
            pause?.succeed()
        }
    }

    private static let waitingMax = 10_000

    private func releaseWaiting(_ isHeartbeat: Bool) {
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
        for waiter in waiting { waiter.resume(returning: isHeartbeat) }
    }
}
