package import AuthCore
package import Gateway
package import HTTPEdge
package import NIOCore
internal import NIOSSL

/// The data plane: carries out what the gateway decides. It owns upstream connections and what is done to headers; whether a
/// request is allowed, and as whom, is `decide`'s.
package final class ProxyResponder: EdgeResponder {
    /// What the composition root plugs in.
    package struct Hooks: Sendable {
        /// `mayAsk` is false once `resolve` was awaited: what cannot be answered even then has to be refused.
        package var decide: @Sendable (_ request: RequestFacts, _ mayAsk: Bool) -> AccessDecision
        /// Catches up or fetches a key; whether it could. Awaited for `ProxyLimits.resolveTime`, then `decide` is asked once more.
        package var resolve: @Sendable (AccessQuestion) async -> Bool
        /// Answers what lies under `/.gatehouse/`, which is never forwarded.
        package var reserved: @Sendable (RequestFacts) -> EdgeAction
        /// Called once for each request that is over, on its event loop; must not block.
        package var log: @Sendable (ProxyLogRecord) -> Void

        package init(
            decide: @escaping @Sendable (_ request: RequestFacts, _ mayAsk: Bool) -> AccessDecision,
            resolve: @escaping @Sendable (AccessQuestion) async -> Bool,
            reserved: @escaping @Sendable (RequestFacts) -> EdgeAction,
            log: @escaping @Sendable (ProxyLogRecord) -> Void
        ) {
            self.decide = decide
            self.resolve = resolve
            self.reserved = reserved
            self.log = log
        }
    }

    package struct Configuration: Sendable {
        package var limits = ProxyLimits()
        /// Peers whose X-Forwarded-* are believed; none by default.
        package var trustedProxies: [AddressRange] = []
        /// A PEM file of authorities for upstreams with TLS; nothing for the system's.
        package var upstreamAuthorities: String?

        package init() {}
    }

    let core: ProxyCore

    package var counters: ProxyCounters { core.counters }

    /// - Parameter group: The one that the `EdgeServer` runs on.
    /// - Throws: `badCertificate` when the authorities cannot be read.
    package init(
        _ configuration: Configuration,
        hooks: Hooks,
        environment: Environment,
        group: any EventLoopGroup
    ) throws(EdgeServerError) {
        core = try ProxyCore(configuration, hooks: hooks, environment: environment, group: group)
    }

    package func respond(to request: RequestFacts) -> EdgeAction {
        if ProxyResponder.isReserved(request.target) { return core.hooks.reserved(request) }
        let startedAt = core.environment.uptime()
        let decision = core.hooks.decide(request, true)
        if case .refuse(let refusal) = decision {
            core.log(refusal, request, startedAt)
            return .answer(refusal.response)
        }
        return .exchange(ProxyExchange(core, request, decision, startedAt))
    }

    /// Closes idle upstream connections. Called when the servers that use this responder have stopped.
    package func close() async {
        for upstreams in core.loops.values {
            // Fails only when the loop is gone, and its connections with it.
            try? await upstreams.eventLoop.submit { upstreams.close() }.get()
        }
    }

    private static let reservedPrefix = Array("/.gatehouse".utf8)

    private static func isReserved(_ target: [UInt8]) -> Bool {
        let count = reservedPrefix.count
        guard target.count >= count, target[1] == UInt8(ascii: "."), target[..<count].elementsEqual(reservedPrefix) else { return false }
        return target.count == count || target[count] == UInt8(ascii: "/") || target[count] == UInt8(ascii: "?")
    }
}

/// What the exchanges of one responder have in common.
final class ProxyCore: Sendable {
    let limits: ProxyLimits
    let trusted: [AddressRange]
    let hooks: ProxyResponder.Hooks
    let environment: Environment
    let counters = ProxyCounters()
    let loops: [ObjectIdentifier: LoopUpstreams]

    init(
        _ configuration: ProxyResponder.Configuration,
        hooks: ProxyResponder.Hooks,
        environment: Environment,
        group: any EventLoopGroup
    ) throws(EdgeServerError) {
        limits = configuration.limits
        trusted = configuration.trustedProxies
        self.hooks = hooks
        self.environment = environment
        let context = try ProxyCore.makeContext(configuration.upstreamAuthorities)
        var loops: [ObjectIdentifier: LoopUpstreams] = [:]
        for eventLoop in group.makeIterator() {
            loops[ObjectIdentifier(eventLoop)] = LoopUpstreams(
                eventLoop: eventLoop,
                limits: configuration.limits,
                tls: context,
                counters: counters,
                environment: environment
            )
        }
        self.loops = loops
    }

    private static func makeContext(_ authorities: String?) throws(EdgeServerError) -> NIOSSLContext {
        do {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv12
            configuration.applicationProtocols = ["http/1.1"]
            if let authorities { configuration.trustRoots = .file(authorities) }
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw .badCertificate(path: authorities ?? "the system's authorities", reason: "\(error)")
        }
    }

    /// The record of a request that was refused: its trace-id is the one that the client reads in the answer.
    func log(_ refusal: AccessRefusal, _ request: RequestFacts, _ startedAt: Uptime) {
        hooks.log(
            ProxyLogRecord(
                method: request.method,
                path: Array(request.path),
                route: refusal.route,
                status: refusal.response.status,
                reason: refusal.reason,
                upstream: nil,
                subject: nil,
                duration: environment.uptime() - startedAt,
                traceID: refusal.traceID.flatMap { TraceContext(hexadecimal: $0) } ?? TraceContext(high: 0, low: 0),
                bytesIn: 0,
                bytesOut: refusal.response.body.count
            )
        )
    }
}
