package import AuthCore
package import NIOCore

/// The checked head of another server's answer.
package struct ResponseHead {
    package let status: Int
    package let isVersion10: Bool
    /// The field lines; `fields` points into them.
    package let block: ByteBuffer
    package let fields: [Headers.Field]
    /// What the fields say; an answer to HEAD, and 204 and 304, have no body all the same.
    package let framing: BodyFraming
    /// Whether the upstream keeps the connection (RFC 9112 §9.3).
    package let keepsAlive: Bool

    package var isInterim: Bool { status < 200 }

    /// Whether a body follows, as an answer to a request with this method (RFC 9112 §6.3 items 1 and 2).
    package func hasBody(isHead: Bool) -> Bool { !(isHead || status < 200 || status == 204 || status == 304) }
}

/// Reads the heads of answers, with the rigor of the request parser: a server that cannot be understood in one way only is not
/// understood (RFC 9112 §4).
///
/// On the lenient side one thing: the space behind the status code may be missing, as many servers leave it out with the phrase.
/// The status line is made anew, so nothing of it reaches the client.
package struct ResponseHeadParser {
    package enum Progress {
        case incomplete
        case head(ResponseHead)
        case failure(HeadFailure)
    }

    private var scanner: HeadScanner

    package init(_ limits: HeadScanner.Limits) { scanner = HeadScanner(limits) }

    package mutating func reset() { scanner.reset() }

    /// Reads one head from the front of `input` and takes it off; takes nothing while the head is not complete.
    package mutating func parse(_ input: inout ByteBuffer) -> Progress {
        var found: HeadScanner.Layout?
        let copy = input
        let progress = copy.withUnsafeReadableBytes { bytes -> Progress in
            if let first = bytes.first, first != UInt8(ascii: "H") { return .failure(.statusLine) }
            switch scanner.scan(bytes) {
            case .incomplete: return .incomplete
            case .failure(let failure): return .failure(failure)
            case .complete(let layout):
                found = layout
                // A closure cannot carry a typed error, hence the detour over Result.
                switch Result(catching: { () throws(HeadFailure) in try head(bytes, layout, copy) }) {
                case .success(let head): return .head(head)
                case .failure(let failure): return .failure(failure)
                }
            }
        }
        if let found {
            input.moveReaderIndex(forwardBy: found.end)
            scanner.reset()
        }
        return progress
    }

    private func head(
        _ bytes: UnsafeRawBufferPointer,
        _ layout: HeadScanner.Layout,
        _ buffer: ByteBuffer
    ) throws(HeadFailure) -> ResponseHead {
        let line = try statusLine(UnsafeRawBufferPointer(rebasing: bytes[layout.startLine]))
        let block = UnsafeRawBufferPointer(rebasing: bytes[layout.fields])
        let section = try FieldSection(block, count: layout.fieldCount)
        let framing = try section.framing(block, isVersion10: line.isVersion10)
        guard let slice = buffer.getSlice(at: buffer.readerIndex + layout.fields.lowerBound, length: layout.fields.count) else {
            throw .statusLine
        }
        return ResponseHead(
            status: line.status,
            isVersion10: line.isVersion10,
            block: slice,
            fields: section.fields,
            framing: framing,
            keepsAlive: !section.saysClose && (!line.isVersion10 || section.saysKeepAlive)
        )
    }

    /// `HTTP/1.1 200 OK`.
    private func statusLine(_ line: UnsafeRawBufferPointer) throws(HeadFailure) -> (status: Int, isVersion10: Bool) {
        guard line.count >= 12, line.prefix(7).elementsEqual("HTTP/1.".utf8), line[7] == 0x30 || line[7] == 0x31, line[8] == 0x20,
            let status = line.decimal(9..<12), (100...599).contains(status), line.count == 12 || line[12] == 0x20,
            line.endOfFieldValue(from: 12) == line.count
        else { throw .statusLine }
        return (status, line[7] == 0x30)
    }
}
