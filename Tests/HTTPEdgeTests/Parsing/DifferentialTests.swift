import AuthCore
import HTTPEdge
import NIOCore
import NIOEmbedded
import NIOHTTP1
import TestSupport
import Testing

/// Holds our parser against NIO's codec (llhttp): what we accept, it accepts, and understands alike.
///
/// The exceptions, where we accept and it does not, or reads otherwise:
/// - It refuses a Content-Length or chunk size for reasons of its own only above 2^63, which we refuse too: none there.
/// - It knows a fixed list of methods; other tokens are an error. Rows with such methods are left out.
@Suite("what we accept, NIO's decoder accepts with the same head and body")
struct DifferentialTests {
    private struct Message: Equatable {
        var method = ""
        var target = ""
        var headers: [String] = []
        var body: [UInt8] = []
        var isComplete = false
    }

    /// The first message; nothing when the bytes are refused.
    private func ours(_ bytes: [UInt8]) -> Message? {
        var parser = RequestHeadParser(limits: EdgeLimits())
        var input = ByteBuffer(bytes: bytes)
        guard case .head(let head) = parser.parse(&input) else { return nil }
        var message = Message(method: head.facts.method, target: String(decoding: head.facts.target, as: UTF8.self))
        let storage = head.facts.headers.storage
        message.headers = head.facts.headers.fields.map { field in
            "\(String(decoding: storage[field.name], as: UTF8.self)): \(String(decoding: storage[field.value], as: UTF8.self))"
        }
        var reader = BodyReader(head.framing, extensionBytesMax: 256, trailerBytesMax: 8_192)
        while true {
            switch reader.next(&input) {
            case .part(let part): message.body += part.readableBytesView
            case .needsMore: return message
            case .failure: return nil
            case .end:
                message.isComplete = true
                return message
            }
        }
    }

    private func theirs(_ bytes: [UInt8]) -> Message? {
        let channel = EmbeddedChannel(handler: ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)))
        defer { _ = try? channel.finish(acceptAlreadyClosed: true) }  // bytes of an unfinished message are an error we do not want
        var message: Message?
        do {
            try channel.writeInbound(ByteBuffer(bytes: bytes))
        } catch {
            // What came before the error still counts: an error behind the first message is none of it.
        }
        do {
            while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
                switch part {
                case .head(let head):
                    if message != nil { return message }
                    message = Message(method: head.method.rawValue, target: head.uri)
                    message?.headers = head.headers.map { "\($0.name): \(Self.trimmed($0.value))" }
                case .body(let body): message?.body += body.readableBytesView
                case .end:
                    message?.isComplete = true
                    return message
                }
            }
        } catch {
            return nil
        }
        return message
    }

    private static func trimmed(_ value: String) -> String {
        var bytes = Array(value.utf8)[...]
        while bytes.last == 0x20 || bytes.last == 0x09 { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static let seeds: [String] = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a/b?c=d HTTP/1.1\r\nHost: a.example:80\r\nAccept: */*\r\nX-Empty:\r\nCookie: a=b; c=d\r\n\r\n",
        "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n",
        "PUT /p HTTP/1.0\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
        "DELETE /x HTTP/1.1\r\nHost: [::1]:80\r\nX:  padded \t\r\n\r\n",
    ]

    @Test("unchanged messages are read alike", arguments: seeds)
    func alike(_ text: String) throws {
        let message = try #require(ours(Array(text.utf8)))
        #expect(message.isComplete)
        #expect(theirs(Array(text.utf8)) == message)
    }

    @Test("mutated messages are read alike or refused by us", arguments: [11, 12, 13, 14] as [UInt64])
    func mutated(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let known: Set<String> = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]
        let pieces = [
            "\r\n", "\n", "\r", ":", " ", "\t", ",", ";", "chunked", "identity", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n",
            "Host: b\r\n", "0", "\u{B}", "Content-Length : 1\r\n", "Transfer-Encoding:\tchunked\r\n", "X: \u{E9}\r\n",
        ].map { Array($0.utf8) }
        var accepted = 0
        for _ in 0..<4_000 {
            var bytes = Array(Self.seeds.randomElement(using: &random)!.utf8)  // not empty
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let position = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0...3, using: &random) {
                case 0: bytes.insert(contentsOf: pieces.randomElement(using: &random)!, at: position)  // not empty
                case 1: bytes[position] = UInt8.random(in: 0...255, using: &random)
                case 2: bytes[position] ^= 1 << UInt8.random(in: 0...7, using: &random)
                default: if bytes.count > 1 { bytes.remove(at: position) }
                }
            }
            guard let message = ours(bytes), known.contains(message.method) else { continue }
            accepted += 1
            let other = theirs(bytes)
            // Of an unfinished message the codec may hold back a part of the body.
            let isAlike = message.isComplete ? other == message : other?.headers == message.headers && other?.target == message.target
            #expect(isAlike, "\(String(decoding: bytes, as: UTF8.self).debugDescription): \(String(describing: other)) not \(message)")
        }
        #expect(accepted > 300)
    }
}
