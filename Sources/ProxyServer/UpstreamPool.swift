internal import Gateway
internal import HTTPEdge
internal import NIOCore
internal import NIOPosix
internal import NIOSSL

/// The connections of one event loop to one service.
final class UpstreamPool: @unchecked Sendable {
    // Confined to `eventLoop`.
    let target: UpstreamTarget
    let eventLoop: any EventLoop
    let limits: ProxyLimits
    private let tls: NIOSSLContext?
    private let counters: ProxyCounters
    private var idle: [UpstreamConnection] = []
    private var waiting = CircularBuffer<ProxyExchange>()
    /// Open and being opened.
    private(set) var count = 0
    private var refusedAt: NIODeadline?
    private var isClosing = false

    init(target: UpstreamTarget, eventLoop: any EventLoop, limits: ProxyLimits, tls: NIOSSLContext?, counters: ProxyCounters) {
        self.target = target
        self.eventLoop = eventLoop
        self.limits = limits
        self.tls = tls
        self.counters = counters
    }

    var isUnused: Bool { count == 0 && waiting.isEmpty }

    /// Whether the last attempt to connect failed a short time ago.
    func isPassedOver(_ now: NIODeadline) -> Bool { refusedAt.map { now - $0 < TimeAmount(limits.passOverTime) } ?? false }

    /// Gives `exchange` a connection: at once, or when there is one. It hears `attach`, `connectFailed` or nothing more.
    ///
    /// - Parameter isFresh: Not one that was used before.
    func checkOut(_ exchange: ProxyExchange, isFresh: Bool) {
        if !isFresh {
            while let connection = idle.popLast() {
                guard connection.isUsable else { continue }
                counters.countReuse()
                return exchange.attach(connection)
            }
        }
        if count < limits.connectionsMax { return connect(exchange) }
        if isFresh, let oldest = idle.first {
            // There is no room, but a connection that nobody uses: it makes room.
            idle.removeFirst()
            oldest.close()
            return connect(exchange)
        }
        guard waiting.count < limits.waitingMax else { return exchange.connectFailed(.busy, target) }
        exchange.startWaiting()
        waiting.append(exchange)
    }

    func checkIn(_ connection: UpstreamConnection) {
        while let next = waiting.popFirst() {
            guard next.isWaiting else { continue }
            counters.countReuse()
            return next.attach(connection)
        }
        if isClosing || idle.count >= limits.idleConnectionsMax { return connection.close() }
        idle.append(connection)
    }

    /// A connection is no more, whether it was idle or in use.
    func closed(_ connection: UpstreamConnection) {
        count -= 1
        if let index = idle.firstIndex(where: { $0 === connection }) { idle.remove(at: index) }
        serveWaiting()
    }

    private func serveWaiting() {
        while count < limits.connectionsMax, let next = waiting.popFirst() {
            if next.isWaiting { connect(next) }
        }
    }

    func tick(_ now: NIODeadline) {
        let expired = idle.prefix(while: { now - $0.idleSince >= TimeAmount(limits.idleTime) })
        idle.removeFirst(expired.count)
        for connection in expired { connection.close() }
        waiting.removeAll { !$0.isWaiting }
    }

    func closeIdle() {
        isClosing = true
        let all = idle
        idle = []
        for connection in all { connection.close() }
    }

    // MARK: Connecting

    private func connect(_ exchange: ProxyExchange) {
        count += 1
        counters.countConnect()
        exchange.startConnecting()
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(limits.connectTime))
            .channelOption(.maxMessagesPerRead, value: UInt(1))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls = self.tls {
                        // Without a name the certificate must be for the address.
                        let isAddress = (try? SocketAddress(ipAddress: self.target.host, port: 0)) != nil  // fails for a name
                        let name = isAddress ? nil : self.target.host
                        try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: tls, serverHostname: name))
                    }
                    try channel.pipeline.syncOperations.addHandler(UpstreamConnection(pool: self))
                }
            }
        // An address needs no look-up; a name is looked up for both families, and the first that connects is taken.
        let address = try? SocketAddress(ipAddress: target.host, port: target.port)  // fails for a name
        let future = address.map { bootstrap.connect(to: $0) } ?? bootstrap.connect(host: target.host, port: target.port)
        future.whenComplete { result in
            switch result {
            case .success(let channel): self.connected(channel, exchange)
            case .failure(let error): self.failed(error, exchange)
            }
        }
    }

    private func connected(_ channel: any Channel, _ exchange: ProxyExchange) {
        refusedAt = nil
        // Absent when the connection was lost in the same turn; `closed` has counted it then.
        guard let connection = try? channel.pipeline.syncOperations.handler(type: UpstreamConnection.self), connection.isUsable else {
            return exchange.isWaiting ? exchange.connectFailed(.reset, target) : ()
        }
        guard exchange.isWaiting else { return checkIn(connection) }
        exchange.attach(connection)
    }

    private func failed(_ error: any Error, _ exchange: ProxyExchange) {
        count -= 1
        refusedAt = eventLoop.now
        counters.countConnectFailure()
        if exchange.isWaiting { exchange.connectFailed(UpstreamPool.isTimeout(error) ? .connectTimeout : .refused, target) }
        serveWaiting()
    }

    private static func isTimeout(_ error: any Error) -> Bool {
        if case .connectTimeout? = error as? ChannelError { return true }
        guard let error = error as? NIOConnectionError else { return false }
        return error.connectionErrors.contains { isTimeout($0.error) }
    }
}
