internal import Foundation
internal import Synchronization

/// Stands between a client and a PostgreSQL, forwards every byte, and fails when and how a test says.
///
/// It reads the messages of the client (PostgreSQL, chapter "Message Formats"), so that it can fail at a COMMIT. Without TLS.
public final class PostgresProxy: Sendable {
    /// What becomes of a connection at a message of the client.
    public enum Fate: Sendable, CaseIterable {
        case forward
        /// The message is not forwarded, and both ends see the connection closed.
        case cutBefore
        /// The same, and the server is left waiting until the proxy stops.
        case leaveBefore
        /// The message is forwarded and both ends are closed at once.
        case cutAfter
        /// The message is forwarded, and the connection closed when the server has begun to answer. Nothing of it is forwarded.
        case cutAtAnswer
        /// The first bytes of the answer are forwarded, then the connection is closed.
        case cutAfterAnswer
    }

    /// How it treats everybody.
    public enum Mode: Sendable {
        case open
        /// Not a byte passes, in either direction.
        case stalled
        /// New connections are closed at once, and what there was is closed.
        case refusing
    }

    public let port: Int
    private let upstream: String
    private let listener: Int32
    private let state = Mutex(State())

    private struct State {
        var mode = Mode.open
        var isStopped = false
        var onMessage: @Sendable (_ isCommit: Bool) -> Fate = { _ in .forward }
        var cuts = 0
        var ways = 0
    }

    /// - Parameter upstream: The path of the server's socket.
    public init(to upstream: String) throws {
        self.upstream = upstream
        (listener, port) = try PostgresProxy.bound()
        guard listen(listener, 128) == 0 else { throw PostgresServer.Failure(description: "the proxy cannot listen") }
        Thread.detachNewThread { [self] in accept() }
    }

    /// A socket at a port of 127.0.0.1 that the system chose.
    static func bound() throws -> (socket: Int32, port: Int) {
        let socket = Foundation.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(socket, address, length) == 0 ? getsockname(socket, address, &length) : -1
            }
        }
        guard status == 0 else {
            close(socket)
            throw PostgresServer.Failure(description: "the system gives no port")
        }
        return (socket, Int(UInt16(bigEndian: address.sin_port)))
    }

    public func uri(schema: String) -> String {
        "postgres://gatehouse@127.0.0.1:\(port)/postgres?sslmode=disable&gssencmode=disable&options=-csearch_path%3D\(schema)"
    }

    /// Asked for each message of each client, from any thread.
    public func onMessage(_ decide: @escaping @Sendable (_ isCommit: Bool) -> Fate) { state.withLock { $0.onMessage = decide } }
    public func set(_ mode: Mode) { state.withLock { $0.mode = mode } }
    /// How often a connection was not forwarded.
    public var cuts: Int { state.withLock { $0.cuts } }
    /// How often a client has waited for the server: its queries and the ends of what it sent together.
    public var ways: Int { state.withLock { $0.ways } }
    /// Ends every connection and takes no more.
    public func stop() { state.withLock { $0.isStopped = true } }

    deinit { close(listener) }

    private var isStopped: Bool { state.withLock { $0.isStopped } }
    private var mode: Mode { state.withLock { $0.mode } }

    private func accept() {
        while !isStopped {
            var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, 20) > 0 else { continue }
            let client = Foundation.accept(listener, nil, nil)
            if client < 0 { continue }
            guard mode != .refusing, let server = connected() else {
                close(client)
                continue
            }
            var one: Int32 = 1
            setsockopt(client, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
            let connection = Connection(client: client, server: server)
            Thread.detachNewThread { [self] in pumpClient(connection) }
            Thread.detachNewThread { [self] in pumpServer(connection) }
        }
    }

    private func connected() -> Int32? {
        let server = Foundation.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { path in
            for (index, byte) in upstream.utf8.enumerated() where index < path.count - 1 { path[index] = byte }
        }
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(server, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        if status == 0 { return server }
        close(server)
        return nil
    }

    /// The two ends; closed when both pumps have ended.
    private final class Connection: Sendable {
        let client: Int32
        let server: Int32
        /// What is to happen when the server answers next.
        let atAnswer = Mutex(Fate.forward)
        /// The client is cut off, the server is not.
        let isLeft = Atomic(false)

        init(client: Int32, server: Int32) { (self.client, self.server) = (client, server) }

        func cut() {
            shutdown(client, Int32(SHUT_RDWR))
            if !isLeft.load(ordering: .relaxed) { shutdown(server, Int32(SHUT_RDWR)) }
        }

        deinit {
            close(client)
            close(server)
        }
    }

    /// Bytes that have come; nothing when the other side has ended, an empty array when there are none yet.
    private func received(_ socket: Int32, _ buffer: inout [UInt8]) -> ArraySlice<UInt8>? {
        if isStopped || mode == .refusing { return nil }
        if mode == .stalled {
            usleep(5_000)
            return []
        }
        var waiting = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, 20) > 0 else { return [] }
        let count = read(socket, &buffer, buffer.count)
        return count > 0 ? buffer[..<count] : nil
    }

    private func send(_ bytes: ArraySlice<UInt8>, to socket: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { Foundation.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if sent <= 0 { return false }
            rest = rest.dropFirst(sent)
        }
        return true
    }

    private func pumpServer(_ connection: Connection) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while let bytes = received(connection.server, &buffer) {
            if bytes.isEmpty { continue }
            switch connection.atAnswer.withLock({ $0 }) {
            case .cutAtAnswer:
                connection.cut()
                return
            case .cutAfterAnswer:
                _ = send(bytes, to: connection.client)
                connection.cut()
                return
            default: if !send(bytes, to: connection.client) { return connection.cut() }
            }
        }
        connection.cut()
    }

    private func pumpClient(_ connection: Connection) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        // What has come and is no whole message yet. The first message has no type.
        var pending: [UInt8] = []
        var hasStarted = false
        while let bytes = received(connection.client, &buffer) {
            pending += bytes
            while let length = PostgresProxy.messageLength(pending, hasType: hasStarted), pending.count >= length {
                let message = pending[..<length]
                let fate: Fate = hasStarted ? decide(message) : .forward
                hasStarted = true
                if fate == .leaveBefore { connection.isLeft.store(true, ordering: .relaxed) }
                if fate == .cutBefore || fate == .leaveBefore {
                    connection.cut()
                    if fate == .leaveBefore { while !isStopped { usleep(20_000) } }
                    return
                }
                connection.atAnswer.withLock { $0 = fate }
                if !send(message, to: connection.server) { return connection.cut() }
                if fate == .cutAfter { return connection.cut() }
                pending.removeFirst(length)
            }
        }
        connection.cut()
    }

    private func decide(_ message: ArraySlice<UInt8>) -> Fate {
        let isCommit = message.first == UInt8(ascii: "Q") && message.dropFirst(5).elementsEqual("COMMIT\0".utf8)
        let decide = state.withLock { $0.onMessage }
        let fate = decide(isCommit)
        if message.first == UInt8(ascii: "Q") || message.first == UInt8(ascii: "S") { state.withLock { $0.ways += 1 } }
        if fate != .forward { state.withLock { $0.cuts += 1 } }
        return fate
    }

    /// Of the first message in `bytes`, its type included; nothing while that is not there.
    private static func messageLength(_ bytes: [UInt8], hasType: Bool) -> Int? {
        let start = hasType ? 1 : 0
        guard bytes.count >= start + 4 else { return nil }
        return start + bytes[start..<(start + 4)].reduce(0) { $0 << 8 | Int($1) }
    }
}
