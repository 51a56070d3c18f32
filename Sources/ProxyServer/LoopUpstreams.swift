internal import AuthCore
internal import Gateway
internal import NIOCore
internal import NIOSSL

/// All pools of one event loop.
final class LoopUpstreams: @unchecked Sendable {
    // Confined to `eventLoop`.
    private final class Route {
        /// Held, so that its address cannot become another route's.
        let plan: RoutePlan
        let pools: [UpstreamPool]
        var next = 0
        var lastUse: NIODeadline

        init(plan: RoutePlan, pools: [UpstreamPool], now: NIODeadline) {
            self.plan = plan
            self.pools = pools
            lastUse = now
        }
    }

    let eventLoop: any EventLoop
    private let limits: ProxyLimits
    private let tls: NIOSSLContext
    private let counters: ProxyCounters
    private var routes: [ObjectIdentifier: Route] = [:]
    private var pools: [UpstreamTarget: UpstreamPool] = [:]
    private var ticker: RepeatedTask?
    private var traces: TraceSource

    /// A route without a request for so long gives its place back: its table may have been replaced.
    private static let forgetTime = TimeAmount.minutes(2)

    init(eventLoop: any EventLoop, limits: ProxyLimits, tls: NIOSSLContext, counters: ProxyCounters, environment: Environment) {
        self.eventLoop = eventLoop
        self.limits = limits
        self.tls = tls
        self.counters = counters
        traces = TraceSource(environment)
    }

    func nextTrace() -> TraceContext { traces.next() }
    func nextSpan() -> UInt64 { traces.word() | 1 }

    /// The pool that a request of this route goes to: each in turn, past those that refused a short time ago.
    ///
    /// - Returns: Nothing when the route has no upstream.
    func pool(for plan: RoutePlan, now: NIODeadline) -> UpstreamPool? {
        let route = routes[ObjectIdentifier(plan)] ?? add(plan, now)
        route.lastUse = now
        guard !route.pools.isEmpty else { return nil }
        if route.pools.count == 1 { return route.pools[0] }
        for _ in 0..<route.pools.count {
            let pool = route.pools[route.next]
            route.next = (route.next + 1) % route.pools.count
            if !pool.isPassedOver(now) { return pool }
        }
        // All have refused: trying is better than refusing.
        return route.pools[route.next]
    }

    private func add(_ plan: RoutePlan, _ now: NIODeadline) -> Route {
        let found = plan.upstreams.map { target in
            if let pool = pools[target] { return pool }
            let pool = UpstreamPool(
                target: target,
                eventLoop: eventLoop,
                limits: limits,
                tls: target.isTLS ? tls : nil,
                counters: counters
            )
            pools[target] = pool
            return pool
        }
        let route = Route(plan: plan, pools: found, now: now)
        routes[ObjectIdentifier(plan)] = route
        if ticker == nil {
            ticker = eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in self.tick() }
        }
        return route
    }

    private func tick() {
        let now = eventLoop.now
        for pool in pools.values { pool.tick(now) }
        routes = routes.filter { now - $0.value.lastUse < LoopUpstreams.forgetTime }
        let used = Set(routes.values.flatMap { $0.pools.map(ObjectIdentifier.init) })
        pools = pools.filter { used.contains(ObjectIdentifier($0.value)) || !$0.value.isUnused }
        if pools.isEmpty {
            ticker?.cancel()
            ticker = nil
        }
    }

    func close() {
        ticker?.cancel()
        ticker = nil
        for pool in pools.values { pool.closeIdle() }
        routes = [:]
        pools = [:]
    }
}
