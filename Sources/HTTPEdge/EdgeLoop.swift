package import AuthCore
package import NIOCore

/// What the parts of one server have in common.
package final class EdgeCore: Sendable {
    package let responder: any EdgeResponder
    package let limits: EdgeLimits
    package let environment: Environment
    package let counters: EdgeCounters
    /// Where the certificates of clients behind proxies are believed from; nowhere when nothing.
    let forwardedCertificates: ForwardedCertificates?
    let admission: ConnectionAdmission

    package init(
        responder: any EdgeResponder,
        limits: EdgeLimits,
        environment: Environment,
        counters: EdgeCounters = EdgeCounters(),
        forwardedCertificates: ForwardedCertificates? = nil
    ) {
        self.responder = responder
        self.limits = limits
        self.environment = environment
        self.counters = counters
        self.forwardedCertificates = forwardedCertificates
        self.admission = ConnectionAdmission(limits)
    }
}

/// What the connections of one server have in common on one event loop: their list, the coarse time, the Date field.
///
/// Deadlines are looked at in one sweep each `EdgeLimits.tick` instead of by a timer for each connection, which would cost
/// more than parsing the request. The sweep runs only while there are connections.
package final class EdgeLoop: @unchecked Sendable {
    // Confined to `eventLoop`: every member but the constants is touched there alone.
    package let eventLoop: any EventLoop
    package let core: EdgeCore
    /// The time of the last sweep.
    package private(set) var now: NIODeadline
    private(set) var isDraining = false
    private var connections: [ObjectIdentifier: EdgeConnection] = [:]
    private var ticker: RepeatedTask?
    private var emptied: EventLoopPromise<Void>?
    private var date = DateText()

    package init(eventLoop: any EventLoop, core: EdgeCore) {
        self.eventLoop = eventLoop
        self.core = core
        now = eventLoop.now
    }

    /// The Date line of this second.
    package var dateLine: [UInt8] {
        date.refresh(core.environment.now())
        return date.line
    }

    func add(_ connection: EdgeConnection) {
        connections[ObjectIdentifier(connection)] = connection
        if ticker == nil { start() }
    }

    func remove(_ connection: EdgeConnection) {
        connections[ObjectIdentifier(connection)] = nil
        guard connections.isEmpty else { return }
        ticker?.cancel()
        ticker = nil
        emptied?.succeed()
        emptied = nil
    }

    private func start() {
        now = eventLoop.now
        let tick = TimeAmount(core.limits.tick)
        ticker = eventLoop.scheduleRepeatedTask(initialDelay: tick, delay: tick) { _ in self.sweep() }
    }

    private func sweep() {
        now = eventLoop.now
        // A connection that closes takes itself off the list, hence the copy.
        for connection in Array(connections.values) { connection.tick(now) }
    }

    /// Closes what is idle, lets the rest finish.
    ///
    /// - Parameter grace: After it the rest is closed too.
    /// - Returns: Succeeds when no connection is left.
    package func drain(within grace: TimeAmount) -> EventLoopFuture<Void> {
        isDraining = true
        if connections.isEmpty { return eventLoop.makeSucceededVoidFuture() }
        let promise = emptied ?? eventLoop.makePromise(of: Void.self)
        emptied = promise
        now = eventLoop.now
        for connection in Array(connections.values) { connection.drain() }
        eventLoop.scheduleTask(in: TimeAmount(core.limits.drainIdleTime)) { self.sweep() }
        let last = eventLoop.scheduleTask(in: grace) {
            for connection in Array(self.connections.values) { connection.close() }
        }
        promise.futureResult.whenComplete { _ in last.cancel() }
        return promise.futureResult
    }
}
