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

        enum Body {
            case none
            case length(Int)
            case chunked
            case untilClose
        }
    }

    /// - Returns: The head with its empty line and room for `extra` bytes; nothing when it could not be written.
    static func head(_ head: UpstreamHead, _ frame: Frame, date: [UInt8], extra: Int, _ allocator: ByteBufferAllocator) -> ByteBuffer? {
        let size = 256 + date.count + head.block.readableBytes + 4 * head.fields.count
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
                    if kind == .date { hasDate = true }
                    RequestWriter.put(&cursor, field, bytes)
                }
                if !hasDate { cursor.put(date) }
                putFraming(&cursor, frame, head)
                cursor.put(head.isVersion10 ? "via: 1.0 gatehouse\r\n" : "via: 1.1 gatehouse\r\n")
                let whole = ResponseWriter.Frame(isHead: frame.isHead, isVersion10: frame.isVersion10, keepsAlive: frame.keepsAlive)
                ResponseWriter.putConnection(&cursor, whole)
                cursor.put("\r\n")
                isGood = !cursor.overflowed
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
