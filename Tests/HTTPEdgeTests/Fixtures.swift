import AuthCore
import HTTPEdge
import NIOCore
import NIOEmbedded
import Synchronization

struct Scripted: EdgeResponder {
    var script: @Sendable (RequestFacts) -> EdgeAction

    init(_ script: @escaping @Sendable (RequestFacts) -> EdgeAction) { self.script = script }

    func respond(to request: RequestFacts) -> EdgeAction { script(request) }

    /// Answers with method and target, after reading at most a kilobyte of body where there is one.
    static let echo = Scripted { request in
        .body(limit: 1_000) { request, body in
            ResponseFacts(status: 200, body: Array("\(request.method) ".utf8) + request.target + Array(" ".utf8) + body)
        }
    }

    static let hello = Scripted { _ in .answer(ResponseFacts(status: 200, body: Array("hello".utf8))) }
}

extension Environment {
    /// Sun, 06 Nov 1994 08:49:37 GMT, for ever.
    static let fixed = Environment(
        now: { Instant(seconds: 784_111_777) },
        uptime: { Uptime(nanoseconds: 1) },
        randomBytes: { [UInt8](repeating: 0xAB, count: $0) }
    )
}

extension EdgeLimits {
    static func with(_ change: (inout EdgeLimits) -> Void) -> EdgeLimits {
        var limits = EdgeLimits()
        change(&limits)
        return limits
    }
}

/// A connection on a loop whose time the test moves.
struct EmbeddedEdge {
    let channel: EmbeddedChannel
    let loop: EdgeLoop
    let connection: EdgeConnection

    init(
        _ responder: any EdgeResponder, limits: EdgeLimits = EdgeLimits(), peer: String = "192.0.2.1",
        forwardedCertificates: ForwardedCertificates? = nil
    ) throws {
        let core = EdgeCore(responder: responder, limits: limits, environment: .fixed, forwardedCertificates: forwardedCertificates)
        channel = EmbeddedChannel()
        loop = EdgeLoop(eventLoop: channel.embeddedEventLoop, core: core)
        connection = EdgeConnection(loop: loop)
        try channel.pipeline.syncOperations.addHandler(connection)
        try channel.connect(to: SocketAddress(ipAddress: peer, port: 4_000)).wait()
    }

    var counters: EdgeCounters.Snapshot { loop.core.counters.snapshot }

    func send(_ text: String) throws { try channel.writeInbound(ByteBuffer(string: text)) }

    func send(_ bytes: some Sequence<UInt8>) throws { try channel.writeInbound(ByteBuffer(bytes: bytes)) }

    /// All that was written since the last call.
    func output() throws -> String {
        var text = ""
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: buffer) }
        return text
    }

    func pass(_ time: TimeAmount) { channel.embeddedEventLoop.advanceTime(by: time) }

    var isOpen: Bool { channel.isActive }
}

/// The bodies of the answers in `text`, one behind the other, whose heads have Content-Length.
func bodies(_ text: String) -> [String] {
    var bodies: [String] = []
    var rest = Array(text.utf8)[...]
    while let end = rest.firstRange(of: Array("\r\n\r\n".utf8)) {
        let head = String(decoding: rest[..<end.lowerBound], as: UTF8.self)
        let line = head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length: ") }
        let length = line.flatMap { Int($0.dropFirst(16)) } ?? 0
        bodies.append(String(decoding: rest[end.upperBound...].prefix(length), as: UTF8.self))
        rest = rest[end.upperBound...].dropFirst(length)
    }
    return bodies
}

func statuses(_ text: String) -> [Int] {
    text.split(separator: "\r\n").filter { $0.contains("HTTP/1.1 ") }.compactMap { line in
        line.range(of: "HTTP/1.1 ").flatMap { Int(line[$0.upperBound...].prefix(3)) }
    }
}

extension StringProtocol {
    fileprivate func range(of text: String) -> Range<Index>? { firstRange(of: text) }
}
