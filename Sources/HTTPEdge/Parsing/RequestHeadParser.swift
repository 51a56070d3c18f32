package import AuthCore
package import NIOCore

/// A complete and checked request head.
package struct RequestHead: Sendable {
    package var facts: RequestFacts
    package let framing: BodyFraming
    /// Whether the client wants the connection to stay (RFC 9112 §9.3).
    package let keepsAlive: Bool
    package let expectsContinue: Bool
    package let isHead: Bool
}

/// Reads request heads: exactly RFC 9112, in origin-form, and nothing that another reader could understand differently (GW-01).
///
/// Divergences, all to the strict side: absolute-form and asterisk-form targets are refused, any repeated Content-Length is,
/// an empty Host is, and an HTTP/1.0 request with Transfer-Encoding is. On the lenient side one: characters of a target that
/// RFC 3986 would have encoded but browsers send raw (`|`, `{`, `"` …) pass; the route decides.
package struct RequestHeadParser {
    package enum Progress {
        case incomplete
        case head(RequestHead)
        case failure(HeadFailure)
    }

    /// What each request of a connection has in common.
    package var peer: PeerAddress
    package var isTLS: Bool
    package var clientCertificate: ClientCertificate?
    private var scanner: HeadScanner

    package static let methodBytesMax = 32

    package init(limits: EdgeLimits, peer: PeerAddress = .loopback, isTLS: Bool = false) {
        self.peer = peer
        self.isTLS = isTLS
        scanner = HeadScanner(
            HeadScanner.Limits(
                startLineBytesMax: limits.requestLineBytesMax,
                headerBytesMax: limits.headerBytesMax,
                fieldsMax: limits.headerFieldsMax,
                startLineFailure: .uriTooLong
            )
        )
    }

    /// Reads one head from the front of `input` and takes it off; takes nothing while the head is not complete.
    package mutating func parse(_ input: inout ByteBuffer) -> Progress {
        var taken = 0
        let progress = input.withUnsafeReadableBytes { bytes -> Progress in
            // Something else than HTTP (a TLS handshake, say) need not wait for its end.
            if let first = bytes.first, !ByteClass.isToken(first), first != 0x0D, first != 0x0A { return .failure(.requestLine) }
            switch scanner.scan(bytes) {
            case .incomplete: return .incomplete
            case .failure(let failure): return .failure(failure)
            case .complete(let layout):
                taken = layout.end
                // A closure cannot carry a typed error, hence the detour over Result.
                switch Result(catching: { () throws(HeadFailure) in try head(bytes, layout) }) {
                case .success(let head): return .head(head)
                case .failure(let failure): return .failure(failure)
                }
            }
        }
        if taken > 0 {
            input.moveReaderIndex(forwardBy: taken)
            scanner.reset()
        }
        return progress
    }

    private func head(_ bytes: UnsafeRawBufferPointer, _ layout: HeadScanner.Layout) throws(HeadFailure) -> RequestHead {
        let line = try requestLine(bytes, layout.startLine)
        let block = UnsafeRawBufferPointer(rebasing: bytes[layout.fields])
        let section = try FieldSection(block, count: layout.fieldCount)
        if section.host.count > 1 { throw .repeatedHost }
        if section.host.count == 0 {
            if !line.isVersion10 { throw .missingHost }
        } else if !HostSyntax.isValid(UnsafeRawBufferPointer(rebasing: block[section.host.value])) {
            throw .badHost
        }
        let framing = try section.framing(block, isVersion10: line.isVersion10)
        var expectsContinue = false
        if section.expect.count > 0, !line.isVersion10 {
            guard section.expect.count == 1, block.spells(section.expect.value, "100-continue") else { throw .expectation }
            expectsContinue = framing != .none && framing != .length(0)
        }
        let facts = RequestFacts(
            method: line.method,
            target: Array(UnsafeRawBufferPointer(rebasing: bytes[line.target])),
            headers: Headers(storage: Array(block), fields: section.fields),
            isVersion10: line.isVersion10,
            peer: peer,
            isTLS: isTLS,
            clientCertificate: clientCertificate
        )
        return RequestHead(
            facts: facts,
            framing: framing,
            keepsAlive: !section.saysClose && (!line.isVersion10 || section.saysKeepAlive),
            expectsContinue: expectsContinue,
            isHead: line.isHead
        )
    }

    private struct RequestLine {
        let method: String
        let isHead: Bool
        let target: Range<Int>
        let isVersion10: Bool
    }

    private func requestLine(_ bytes: UnsafeRawBufferPointer, _ line: Range<Int>) throws(HeadFailure) -> RequestLine {
        var position = line.lowerBound
        while position < line.upperBound, ByteClass.isToken(bytes[position]) { position += 1 }
        let method = line.lowerBound..<position
        guard position < line.upperBound else { throw .requestLine }
        guard bytes[position] == 0x20 else { throw bytes[position] == 0x0D ? .bareCR : .method }
        guard (1...RequestHeadParser.methodBytesMax).contains(method.count) else { throw .method }
        position += 1
        let targetStart = position
        while position < line.upperBound, (0x21...0x7E) ~= bytes[position], bytes[position] != UInt8(ascii: "#") { position += 1 }
        let target = targetStart..<position
        guard position < line.upperBound else { throw .requestLine }
        guard bytes[position] == 0x20 else { throw bytes[position] == 0x0D ? .bareCR : .target }
        let isVersion10 = try version(bytes, (position + 1)..<line.upperBound)
        guard !target.isEmpty, bytes[targetStart] == UInt8(ascii: "/") else { throw target.isEmpty ? .requestLine : .target }
        let name = UnsafeRawBufferPointer(rebasing: bytes[method])
        let text = String(decoding: name, as: UTF8.self)
        let isHead = name.count == 4 && name.elementsEqual("HEAD".utf8)
        return RequestLine(method: text, isHead: isHead, target: target, isVersion10: isVersion10)
    }

    /// `HTTP/1.1` or `HTTP/1.0` (RFC 9112 §2.3); another version in that form is told apart from a bad line.
    private func version(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) throws(HeadFailure) -> Bool {
        guard range.count == 8 else { throw .requestLine }
        let start = range.lowerBound
        guard
            UnsafeRawBufferPointer(rebasing: bytes[start..<(start + 5)]).elementsEqual("HTTP/".utf8),
            ByteClass.isDigit(bytes[start + 5]), bytes[start + 6] == UInt8(ascii: "."), ByteClass.isDigit(bytes[start + 7])
        else { throw .requestLine }
        guard bytes[start + 5] == UInt8(ascii: "1"), bytes[start + 7] <= UInt8(ascii: "1") else { throw .version }
        return bytes[start + 7] == UInt8(ascii: "0")
    }
}
