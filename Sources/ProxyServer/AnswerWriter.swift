internal import AuthCore
internal import HTTPEdge
internal import NIOCore

/// Makes the head of the answer that goes to the client.
enum AnswerWriter {
    struct Frame {
        var isHead: Bool
        var isVersion10: Bool
        var keepsAlive: Bool
        var body: Body
        /// The gateway's own, each a header that can be written.
        var added: [(name: String, value: String)] = []

        enum Body {
            case none
            case length(Int)
            case chunked
            case untilClose
        }
    }

    /// - Returns: The head with its empty line and room for `extra` bytes; nothing when it could not be written.
    static func head(_ head: UpstreamHead, _ frame: Frame, date: [UInt8], extra: Int, _ allocator: ByteBufferAllocator) -> ByteBuffer? {
        var size = 256 + date.count + head.block.readableBytes + 4 * head.fields.count
        for (name, value) in frame.added { size += name.utf8.count + value.utf8.count + 4 }
        var buffer = allocator.buffer(capacity: size + extra)
        var isGood = true
        head.block.withUnsafeReadableBytes { bytes in
            var listed: [Range<Int>] = []
            var hasDate = false
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { memory in
                var cursor = ByteCursor(memory)
                ResponseWriter.putStatusLine(&cursor, head.status)
                for field in head.fields {
                    guard HeaderRules.response(bytes, field.name) == .connection else { continue }
                    listed += HeaderRules.listed(bytes, field.value)
                }
                for field in head.fields {
                    let kind = HeaderRules.response(bytes, field.name)
                    guard kind == .keep || kind == .date else { continue }
                    if !listed.isEmpty, HeaderRules.isListed(bytes, field.name, in: listed) { continue }
                    // There is one at the most (RFC 9449 §8.1), and the gateway takes the proofs.
                    if !frame.added.isEmpty, bytes.spells(field.name, "dpop-nonce") { continue }
                    if kind == .date { hasDate = true }
                    RequestWriter.put(&cursor, field, bytes)
                }
                if !hasDate { cursor.put(date) }
                for (name, value) in frame.added {
                    isGood = isGood && cursor.put(name: name)
                    cursor.put(": ")
                    isGood = isGood && cursor.put(value: value)
                    cursor.put("\r\n")
                }
                putFraming(&cursor, frame, head)
                cursor.put(head.isVersion10 ? "via: 1.0 gatehouse\r\n" : "via: 1.1 gatehouse\r\n")
                let whole = ResponseWriter.Frame(isHead: frame.isHead, isVersion10: frame.isVersion10, keepsAlive: frame.keepsAlive)
                ResponseWriter.putConnection(&cursor, whole)
                cursor.put("\r\n")
                isGood = isGood && !cursor.overflowed
                return cursor.count
            }
        }
        return isGood ? buffer : nil
    }

    private static func putFraming(_ cursor: inout ByteCursor, _ frame: Frame, _ head: UpstreamHead) {
        switch frame.body {
        case .none:
            // What a GET would have been given (RFC 9110 §8.6).
            if frame.isHead, case .length(let length) = head.framing { putLength(&cursor, length) }
        case .length(let length): putLength(&cursor, length)
        case .chunked: cursor.put("transfer-encoding: chunked\r\n")
        case .untilClose: break
        }
    }

    private static func putLength(_ cursor: inout ByteCursor, _ length: Int) {
        cursor.put("content-length: ")
        cursor.put(decimal: length)
        cursor.put("\r\n")
    }
}
