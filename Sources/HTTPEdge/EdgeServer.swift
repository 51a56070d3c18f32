internal import AuthCore
package import NIOCore
internal import NIOPosix

/// A listener and its connections. HTTPEdge owns sockets, TLS, framing and order; what is answered is its responder's.
package final class EdgeServer: Sendable {
    /// What is listened on: two addresses for `localhost`. Ports are the real ones.
    package let bound: [EdgeAddress]
    package let core: EdgeCore
    private let channels: [any Channel]
    private let loops: [EdgeLoop]

    package var counters: EdgeCounters { core.counters }
    /// The port of the first address; nothing for a Unix socket.
    package var port: Int? { bound.first?.port }

    private init(bound: [EdgeAddress], core: EdgeCore, channels: [any Channel], loops: [EdgeLoop]) {
        self.bound = bound
        self.core = core
        self.channels = channels
        self.loops = loops
    }

    /// Listens; requests are answered from the moment this returns.
    ///
    /// - Throws: `cannotListen`; nothing is left open then.
    package static func start(
        _ address: EdgeAddress,
        tls: EdgeTLS? = nil,
        core: EdgeCore,
        group: any EventLoopGroup
    ) async throws(EdgeServerError) -> EdgeServer {
        let loops = group.makeIterator().map { EdgeLoop(eventLoop: $0, core: core) }
        let bootstrap = makeBootstrap(address, tls: tls, core: core, group: group, loops: loops)
        var channels: [any Channel] = []
        do {
            switch address {
            case .unix(let path):
                channels.append(try await bootstrap.withBoundSocket(UnixSocket.bind(path)).get())
                return EdgeServer(bound: [address], core: core, channels: channels, loops: loops)
            case .tcp(let host, let port):
                guard host.isSameBytes(as: "localhost") else {
                    channels.append(try await bootstrap.bind(host: host, port: port).get())
                    break
                }
                channels = try await bindLocalhost(bootstrap, port)
            }
        } catch {
            throw .cannotListen(address: address.description, reason: reason(error))
        }
        let bound = channels.map { channel in
            EdgeAddress.tcp(host: channel.localAddress?.ipAddress ?? "", port: channel.localAddress?.port ?? 0)
        }
        return EdgeServer(bound: bound, core: core, channels: channels, loops: loops)
    }

    private static func reason(_ error: any Error) -> String { (error as? IOError)?.description ?? "\(error)" }

    /// 127.0.0.1 and ::1 on the same port; the first alone on a machine without IPv6.
    private static func bindLocalhost(_ bootstrap: ServerBootstrap, _ port: Int) async throws -> [any Channel] {
        // A port that is free on one need not be so on the other.
        for attempt in 1... {
            let v4 = try await bootstrap.bind(host: "127.0.0.1", port: port).get()
            do {
                let v6 = try await bootstrap.bind(host: "::1", port: v4.localAddress?.port ?? port).get()
                return [v4, v6]
            } catch {
                guard let inUse = error as? IOError, ListenErrors.isInUse(inUse) else { return [v4] }
                try await v4.close()
                if port != 0 || attempt == 8 { throw error }
            }
        }
        return []
    }

    private static func makeBootstrap(
        _ address: EdgeAddress,
        tls: EdgeTLS?,
        core: EdgeCore,
        group: any EventLoopGroup,
        loops: [EdgeLoop]
    ) -> ServerBootstrap {
        var byLoop: [ObjectIdentifier: EdgeLoop] = [:]
        for loop in loops { byLoop[ObjectIdentifier(loop.eventLoop)] = loop }
        let loopsByID = byLoop
        var bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: Int32(clamping: core.limits.backlog))
            // One read a wake-up: a second would only find the socket empty.
            .childChannelOption(.maxMessagesPerRead, value: UInt(1))
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let loop = loopsByID[ObjectIdentifier(channel.eventLoop)] else {
                        throw ChannelError.inappropriateOperationForState
                    }
                    let connection = EdgeConnection(loop: loop, isTLS: tls != nil)
                    if let tls { try channel.pipeline.syncOperations.addHandler(tls.handler(for: connection)) }
                    try channel.pipeline.syncOperations.addHandler(connection)
                }
            }
        if case .tcp = address {
            bootstrap =
                bootstrap
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
        }
        return bootstrap
    }

    /// Accepts what waits and then no more, closes idle connections, lets requests in hand finish with `Connection: close`; after
    /// `grace` closes the rest.
    package func shutdown(within grace: Duration) async {
        // Without its name nobody finds a Unix socket any more.
        if case .unix(let path)? = bound.first { UnixSocket.remove(path) }
        let handshakeTime = core.counters.snapshot.connectionsOpen > 0 ? core.limits.handshakeTime : .zero
        for channel in channels {
            await ListenerStop.close(channel, handshakeTime: TimeAmount(handshakeTime), loops: loops.map(\.eventLoop))
        }
        let drained = loops.map { loop in loop.eventLoop.flatSubmit { loop.drain(within: TimeAmount(grace)) } }
        for future in drained {
            // Fails only when the loop is gone, and its connections with it.
            try? await future.get()
        }
    }
}
