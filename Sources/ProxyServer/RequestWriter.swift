internal import AuthCore
internal import Gateway
internal import HTTPEdge
internal import NIOCore

/// Makes the head of the request that goes to the service.
struct RequestWriter {
    enum Failure: Error {
        /// The Connection field lists more names than anybody needs; looking each up would be our work for their bytes.
        case tooManyConnectionOptions
        /// An identity header that we made ourselves is no header.
        case identity
    }

    /// What is known when the head is written.
    struct Context {
        var target: UpstreamTarget
        /// The length of the body; nothing for one in chunks.
        var bodyLength: Int?
        var peerText: String
        var trace: TraceContext
        /// A parent id for a new traceparent.
        var span: UInt64
        var trusted: [AddressRange]
        var limits: ProxyLimits
    }

    private struct Survey {
        var listed: [Range<Int>] = []
        var claims = ForwardedClient.Claims()
        var host: Range<Int>?
        var hasContentLength = false
        var keepsTrace = false
    }

    /// - Returns: The head with its empty line.
    static func head(
        _ request: RequestFacts,
        _ plan: ForwardPlan,
        _ context: Context,
        _ allocator: ByteBufferAllocator
    ) throws(Failure) -> ByteBuffer {
        let headers = request.headers
        var size = 1_024 + plan.target.count + 2 * headers.storage.count + 4 * headers.fields.count + 2 * context.peerText.utf8.count
        for (name, value) in plan.identityHeaders { size += name.utf8.count + value.utf8.count + 4 }
        if request.headers.count("x-forwarded-for") > 0 { size += 64 * context.limits.forwardedHopsMax }
        var buffer = allocator.buffer(capacity: size)
        var failure: Failure?
        headers.storage.withUnsafeBytes { bytes in
            let survey = survey(bytes, headers.fields)
            if survey.listed.count > context.limits.connectionOptionsMax {
                failure = .tooManyConnectionOptions
                return
            }
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { memory in
                var cursor = ByteCursor(memory)
                putStart(&cursor, request, plan, context, bytes, survey)
                for field in headers.fields { putField(&cursor, field, bytes, survey, plan) }
                for (name, value) in plan.identityHeaders {
                    guard cursor.put(name: name) else {
                        failure = .identity
                        return 0
                    }
                    cursor.put(": ")
                    guard cursor.put(value: value) else {
                        failure = .identity
                        return 0
                    }
                    cursor.put("\r\n")
                }
                putForwarding(&cursor, request, context, bytes, survey)
                if !survey.keepsTrace { putTrace(&cursor, context) }
                cursor.put(request.isVersion10 ? "via: 1.0 gatehouse\r\n\r\n" : "via: 1.1 gatehouse\r\n\r\n")
                if cursor.overflowed { failure = .identity }
                return cursor.count
            }
        }
        if let failure { throw failure }
        return buffer
    }

    private static func survey(_ bytes: UnsafeRawBufferPointer, _ fields: [Headers.Field]) -> Survey {
        var survey = Survey()
        var parents = 0
        for field in fields {
            switch HeaderRules.request(bytes, field.name) {
            case .connection: survey.listed += HeaderRules.listed(bytes, field.value)
            case .host: survey.host = field.value
            case .contentLength: survey.hasContentLength = true
            case .forwardedFor: survey.claims.forwardedFor.append(field.value)
            case .forwardedProto: survey.claims.proto.append(field.value)
            case .forwardedHost: survey.claims.host.append(field.value)
            case .traceparent:
                parents += 1
                survey.keepsTrace =
                    parents == 1 && TraceContext(traceparent: UnsafeRawBufferPointer(rebasing: bytes[field.value])) != nil
            default: break
            }
        }
        return survey
    }

    private static func putStart(
        _ cursor: inout ByteCursor,
        _ request: RequestFacts,
        _ plan: ForwardPlan,
        _ context: Context,
        _ bytes: UnsafeRawBufferPointer,
        _ survey: Survey
    ) {
        cursor.put(request.method)
        cursor.put(" ")
        cursor.put(plan.target)
        cursor.put(" HTTP/1.1\r\nhost: ")
        if let host = survey.host {
            cursor.put(UnsafeRawBufferPointer(rebasing: bytes[host]))
        } else {
            let isV6 = context.target.host.utf8.contains(UInt8(ascii: ":"))
            cursor.put(isV6 ? "[\(context.target.host)]:\(context.target.port)" : "\(context.target.host):\(context.target.port)")
        }
        cursor.put("\r\n")
        guard let length = context.bodyLength else {
            cursor.put("transfer-encoding: chunked\r\n")
            return
        }
        if length > 0 || survey.hasContentLength {
            cursor.put("content-length: ")
            cursor.put(decimal: length)
            cursor.put("\r\n")
        }
    }

    private static func putField(
        _ cursor: inout ByteCursor,
        _ field: Headers.Field,
        _ bytes: UnsafeRawBufferPointer,
        _ survey: Survey,
        _ plan: ForwardPlan
    ) {
        if !survey.listed.isEmpty, HeaderRules.isListed(bytes, field.name, in: survey.listed) { return }
        switch HeaderRules.request(bytes, field.name) {
        case .keep, .date: put(&cursor, field, bytes)
        case .authorization: if plan.route.passesToken { put(&cursor, field, bytes) }
        case .traceparent, .tracestate: if survey.keepsTrace { put(&cursor, field, bytes) }
        case .cookie:
            guard CookieFilter.concerns(bytes, field.value) else { return put(&cursor, field, bytes) }
            let kept = CookieFilter.others(bytes, field.value)
            if kept.isEmpty { return }
            cursor.put("cookie: ")
            for (index, pair) in kept.enumerated() {
                if index > 0 { cursor.put("; ") }
                cursor.put(UnsafeRawBufferPointer(rebasing: bytes[pair]))
            }
            cursor.put("\r\n")
        case .drop, .host, .contentLength, .connection, .forwardedFor, .forwardedProto, .forwardedHost: break
        }
    }

    static func put(_ cursor: inout ByteCursor, _ field: Headers.Field, _ bytes: UnsafeRawBufferPointer) {
        cursor.put(UnsafeRawBufferPointer(rebasing: bytes[field.name]))
        cursor.put(": ")
        cursor.put(UnsafeRawBufferPointer(rebasing: bytes[field.value]))
        cursor.put("\r\n")
    }

    private static func putForwarding(
        _ cursor: inout ByteCursor,
        _ request: RequestFacts,
        _ context: Context,
        _ bytes: UnsafeRawBufferPointer,
        _ survey: Survey
    ) {
        var chain = context.peerText
        var client = context.peerText
        var isTLS = request.isTLS
        var claimedHost: String?
        if !context.trusted.isEmpty {
            let found = ForwardedClient(
                request: request,
                bytes: bytes,
                claims: survey.claims,
                trusted: context.trusted,
                hopsMax: context.limits.forwardedHopsMax
            )
            chain = found.chain
            client = found.client.description
            isTLS = found.isTLS
            claimedHost = found.host
        }
        cursor.put("x-forwarded-for: ")
        cursor.put(chain)
        cursor.put(isTLS ? "\r\nx-forwarded-proto: https\r\n" : "\r\nx-forwarded-proto: http\r\n")
        let isV6 = client.utf8.contains(UInt8(ascii: ":"))
        func putAll(_ host: UnsafeRawBufferPointer) {
            if !host.isEmpty {
                cursor.put("x-forwarded-host: ")
                cursor.put(host)
                cursor.put("\r\n")
            }
            cursor.put("x-forwarded-port: ")
            putPort(&cursor, host, isTLS: isTLS)
            // RFC 7239 §6: an IPv6 address is bracketed and, like a host with a port, quoted.
            cursor.put(isV6 ? "\r\nforwarded: for=\"[" : "\r\nforwarded: for=")
            cursor.put(client)
            if isV6 { cursor.put("]\"") }
            if !host.isEmpty {
                cursor.put(";host=\"")
                cursor.put(host)
                cursor.put("\"")
            }
            cursor.put(isTLS ? ";proto=https\r\n" : ";proto=http\r\n")
        }
        if var claimedHost {
            claimedHost.withUTF8 { putAll(UnsafeRawBufferPointer($0)) }
        } else {
            putAll(UnsafeRawBufferPointer(rebasing: bytes[survey.host ?? 0..<0]))
        }
    }

    private static func putPort(_ cursor: inout ByteCursor, _ host: UnsafeRawBufferPointer, isTLS: Bool) {
        // What stands behind the last colon, unless it is inside the brackets of an IPv6 address.
        if let colon = host.lastIndex(of: UInt8(ascii: ":")), host.last != UInt8(ascii: "]") {
            cursor.put(UnsafeRawBufferPointer(rebasing: host[(colon + 1)...]))
        } else {
            cursor.put(isTLS ? "443" : "80")
        }
    }

    private static func putTrace(_ cursor: inout ByteCursor, _ context: Context) {
        cursor.put("traceparent: 00-")
        cursor.put(hexadecimalWord: context.trace.high)
        cursor.put(hexadecimalWord: context.trace.low)
        cursor.put("-")
        cursor.put(hexadecimalWord: context.span)
        cursor.put("-01\r\n")
    }
}

extension ByteCursor {
    /// All sixteen digits.
    mutating func put(hexadecimalWord word: UInt64) {
        // Each half spread over eight bytes, a digit in each, then all eight made characters at once.
        let digits = (
            ByteCursor.characters(UInt32(truncatingIfNeeded: word >> 32)), ByteCursor.characters(UInt32(truncatingIfNeeded: word))
        )
        withUnsafeBytes(of: digits) { put($0) }
    }

    private static func characters(_ half: UInt32) -> UInt64 {
        var word = UInt64(half)
        word = (word | word << 16) & 0x0000_FFFF_0000_FFFF
        word = (word | word << 8) & 0x00FF_00FF_00FF_00FF
        word = (word | word << 4) & 0x0F0F_0F0F_0F0F_0F0F
        // Bytes over 9 reach bit 4 when 6 is added; they get the distance from "9" + 1 to "a" on top.
        let letters = (word &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return (word &+ 0x3030_3030_3030_3030 &+ letters &* 0x27).bigEndian
    }
}
