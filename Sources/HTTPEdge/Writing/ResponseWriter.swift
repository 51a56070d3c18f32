package import AuthCore
package import NIOCore

/// Puts an answer into bytes: status line, framing, fields, body, in one buffer.
package struct ResponseWriter {
    /// How the connection goes on behind the answer, and to whom it goes.
    package struct Frame {
        package var isHead: Bool
        package var isVersion10: Bool
        package var keepsAlive: Bool
        package var body: Body

        package enum Body {
            /// `ResponseFacts.body`, with its length.
            case complete
            case chunked
            case untilClose
        }

        package init(isHead: Bool, isVersion10: Bool, keepsAlive: Bool, body: Body = .complete) {
            self.isHead = isHead
            self.isVersion10 = isVersion10
            self.keepsAlive = keepsAlive
            self.body = body
        }
    }

    /// The fields that frame an answer belong to the server; a responder's are left out.
    private static func isFraming(_ name: String) -> Bool {
        switch name.utf8.count {
        case 4: name.isSameBytes(as: "date")
        case 10: name.isSameBytes(as: "connection")
        case 14: name.isSameBytes(as: "content-length")
        case 17: name.isSameBytes(as: "transfer-encoding")
        default: false
        }
    }

    /// - Parameter date: The line that `DateText` made.
    /// - Returns: Nothing when a name or value could split the answer, or the status is no final one (GW-11).
    package static func bytes(_ response: ResponseFacts, frame: Frame, date: [UInt8], allocator: ByteBufferAllocator) -> ByteBuffer? {
        guard (200...599).contains(response.status) else { return nil }
        let hasBody = response.status != 204 && response.status != 304
        let isComplete = if case .complete = frame.body { true } else { false }
        var size = 64 + 32 + 64 + date.count
        for (name, value) in response.headers { size += name.utf8.count + value.utf8.count + 4 }
        if isComplete, hasBody, !frame.isHead { size += response.body.count }
        var buffer = allocator.buffer(capacity: size)
        var isGood = true
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { memory in
            var cursor = ByteCursor(memory)
            putStatusLine(&cursor, response.status)
            cursor.put(date)
            if hasBody { putFraming(&cursor, frame.body, length: response.body.count) }
            for (name, value) in response.headers where !isFraming(name) {
                guard cursor.put(name: name) else {
                    isGood = false
                    break
                }
                cursor.put(": ")
                guard cursor.put(value: value) else {
                    isGood = false
                    break
                }
                cursor.put("\r\n")
            }
            putConnection(&cursor, frame)
            cursor.put("\r\n")
            if isComplete, hasBody, !frame.isHead { cursor.put(response.body) }
            if cursor.overflowed { isGood = false }
            return cursor.count
        }
        return isGood ? buffer : nil
    }

    private static func putFraming(_ cursor: inout ByteCursor, _ body: Frame.Body, length: Int) {
        switch body {
        case .complete:
            cursor.put("content-length: ")
            cursor.put(decimal: length)
            cursor.put("\r\n")
        case .chunked: cursor.put("transfer-encoding: chunked\r\n")
        case .untilClose: break
        }
    }

    /// The Connection field, where the version's default is not what happens (RFC 9112 §9.3).
    package static func putConnection(_ cursor: inout ByteCursor, _ frame: Frame) {
        if !frame.keepsAlive {
            cursor.put("connection: close\r\n")
        } else if frame.isVersion10 {
            cursor.put("connection: keep-alive\r\n")
        }
    }

    package static func putStatusLine(_ cursor: inout ByteCursor, _ status: Int) {
        if status == 200 {
            cursor.put("HTTP/1.1 200 OK\r\n")
            return
        }
        cursor.put("HTTP/1.1 ")
        cursor.put(decimal: status)
        cursor.put(" ")
        cursor.put(phrase(status))
        cursor.put("\r\n")
    }

    /// RFC 9110 §15; empty for a status without a name, which is allowed.
    private static func phrase(_ status: Int) -> StaticString {
        switch status {
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 206: "Partial Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 406: "Not Acceptable"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 411: "Length Required"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: ""
        }
    }
}
