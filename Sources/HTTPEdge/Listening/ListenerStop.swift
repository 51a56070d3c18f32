internal import NIOCore

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// Closes a listening socket without losing a connection that the kernel has completed.
///
/// Closing resets whatever waits in the queue of the socket, and a client there has perhaps sent its request already. So the
/// steps are: no new handshakes; what is in the queue is accepted; what was accepted reaches its event loop; close. A client
/// that asks meanwhile is told nothing, asks again after a second (RFC 6298 §2.1), and is refused then or finds our successor.
enum ListenerStop {
    /// How often the queue is looked at. A queue that does not empty, because descriptors have run out, must not stop the stop.
    private static let looksMax = 100_000
    /// A connection that was accepted goes from the listener's event loop to its own, back, and there again.
    private static let turnsOfAcceptance = 2

    /// - Parameters:
    ///   - handshakeTime: For handshakes that are under way; none when nothing is open, for then nobody is likely to be.
    ///   - loops: Those that connections are given to.
    static func close(_ channel: any Channel, handshakeTime: TimeAmount, loops: [any EventLoop]) async {
        let eventLoop = channel.eventLoop
        // Each step fails only when the loop or the socket is gone, and then there is nothing to lose.
        try? await eventLoop.submit { withSocket(channel, refuseHandshakes) }.get()
        if handshakeTime > .zero { try? await eventLoop.scheduleTask(in: handshakeTime) {}.futureResult.get() }  // as above
        for _ in 0..<looksMax {
            // As above. Each look is a turn of the loop, and in each turn the loop accepts some.
            let waits = try? await eventLoop.submit { withSocket(channel, hasWaiting) ?? false }.get()
            if waits != true { break }
        }
        for _ in 0..<turnsOfAcceptance {
            for loop in loops + [eventLoop] { try? await loop.submit {}.get() }  // as above
        }
        try? await channel.close()  // closed already is what we want
    }

    private static func withSocket<Result>(_ channel: any Channel, _ body: (NIOBSDSocket.Handle) -> Result) -> Result? {
        // Nothing when the channel is closed.
        try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self, body)
    }

    private static func hasWaiting(_ socket: NIOBSDSocket.Handle) -> Bool {
        var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) == 1 && entry.revents & Int16(POLLIN) != 0
    }

    /// Drops what would begin a handshake; packets of those under way pass, as do those of connections that inherit the filter.
    ///
    /// A system without such filters goes without: a connection that comes between the last look and the close is reset then.
    private static func refuseHandshakes(_ socket: NIOBSDSocket.Handle) {
        #if os(Linux)
        // Of the TCP header, SYN without ACK.
        var program = [
            Instruction(code: 0x30, operand: 13),  // load the byte of flags
            Instruction(code: 0x54, operand: 0x12),  // of it SYN and ACK
            Instruction(code: 0x15, ifTrue: 1, operand: 0x02),  // SYN alone: skip one
            Instruction(code: 0x06, operand: .max),  // keep the packet
            Instruction(code: 0x06, operand: 0),  // drop it
        ]
        program.withUnsafeMutableBufferPointer { instructions in
            var filter = Filter(count: UInt16(instructions.count), instructions: instructions.baseAddress)
            let attachFilter: CInt = 26  // SO_ATTACH_FILTER of asm-generic/socket.h
            _ = setsockopt(socket, SOL_SOCKET, attachFilter, &filter, socklen_t(MemoryLayout<Filter>.size))
        }
        #endif
    }

    #if os(Linux)
    /// `sock_filter` of linux/filter.h, which Swift's Glibc does not have.
    private struct Instruction {
        var code: UInt16
        var ifTrue: UInt8 = 0
        var ifFalse: UInt8 = 0
        var operand: UInt32
    }

    /// `sock_fprog`.
    private struct Filter {
        var count: UInt16
        var instructions: UnsafeMutablePointer<Instruction>?
    }
    #endif
}
