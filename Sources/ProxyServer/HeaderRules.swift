internal import HTTPEdge

/// What becomes of a header field on its way through (GW-05, GW-07, GW-08).
///
/// Names are compared without regard to case and with `_` and `.` taken for `-`: services that put headers into variables
/// (CGI, WSGI, PHP) cannot tell `X_Auth_Subject` from `X-Auth-Subject`.
enum HeaderRules {
    enum Kind {
        case keep
        /// Hop-by-hop, framing, or a claim that only we may make.
        case drop
        case host
        case authorization
        case cookie
        case contentLength
        case connection
        case forwardedFor
        case forwardedProto
        case forwardedHost
        case traceparent
        case tracestate
        case date
    }

    /// For a field of a request on its way to a service.
    static func request(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>) -> Kind {
        switch bytes[name.lowerBound] | 0x20 {
        case UInt8(ascii: "x"): return requestExtension(bytes, name)
        case UInt8(ascii: "a"): return bytes.spells(name, "authorization") ? .authorization : .keep
        case UInt8(ascii: "c"): return requestC(bytes, name)
        case UInt8(ascii: "d"): return bytes.spells(name, "dpop") ? .authorization : .keep
        case UInt8(ascii: "e"): return bytes.spells(name, "expect") ? .drop : .keep
        case UInt8(ascii: "f"): return bytes.spells(name, "forwarded") ? .drop : .keep
        case UInt8(ascii: "h"):
            if bytes.spells(name, "host") { return .host }
            return matches(bytes, name, "http2-settings") ? .drop : .keep
        case UInt8(ascii: "k"): return matches(bytes, name, "keep-alive") ? .drop : .keep
        case UInt8(ascii: "p"): return begins(bytes, name, "proxy-") || bytes.spells(name, "proxy") ? .drop : .keep
        case UInt8(ascii: "s"): return begins(bytes, name, "ssl-client") ? .drop : .keep
        case UInt8(ascii: "t"): return requestT(bytes, name)
        case UInt8(ascii: "u"): return bytes.spells(name, "upgrade") ? .drop : .keep
        default: return .keep
        }
    }

    private static func requestC(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>) -> Kind {
        switch name.count {
        case 6: bytes.spells(name, "cookie") ? .cookie : .keep
        case 10: bytes.spells(name, "connection") ? .connection : .keep
        case 14: bytes.spells(name, "content-length") ? .contentLength : matches(bytes, name, "content-length") ? .drop : .keep
        default: begins(bytes, name, "client-cert") ? .drop : .keep
        }
    }

    private static func requestT(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>) -> Kind {
        switch name.count {
        case 2: bytes.spells(name, "te") ? .drop : .keep
        case 7: bytes.spells(name, "trailer") ? .drop : .keep
        case 9: matches(bytes, name, "txn-token") ? .drop : .keep
        case 10: bytes.spells(name, "tracestate") ? .tracestate : .keep
        case 11: bytes.spells(name, "traceparent") ? .traceparent : .keep
        case 14: matches(bytes, name, "true-client-ip") ? .drop : .keep
        case 17: matches(bytes, name, "transfer-encoding") ? .drop : .keep
        default: .keep
        }
    }

    private static func requestExtension(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>) -> Kind {
        guard name.count >= 7 else { return .keep }
        switch bytes[name.lowerBound + 2] | 0x20 {
        case UInt8(ascii: "a"): return begins(bytes, name, "x-auth-") ? .drop : .keep
        case UInt8(ascii: "f"):
            guard begins(bytes, name, "x-forwarded") else { return .keep }
            if bytes.spells(name, "x-forwarded-for") { return .forwardedFor }
            if bytes.spells(name, "x-forwarded-proto") { return .forwardedProto }
            if bytes.spells(name, "x-forwarded-host") { return .forwardedHost }
            return .drop
        case UInt8(ascii: "o"): return begins(bytes, name, "x-original-") ? .drop : .keep
        case UInt8(ascii: "r"): return begins(bytes, name, "x-rewrite-") || matches(bytes, name, "x-real-ip") ? .drop : .keep
        case UInt8(ascii: "e"): return begins(bytes, name, "x-envoy-") ? .drop : .keep
        case UInt8(ascii: "s"): return begins(bytes, name, "x-ssl-") ? .drop : .keep
        case UInt8(ascii: "c"):
            return begins(bytes, name, "x-client-") || matches(bytes, name, "x-cluster-client-ip") ? .drop : .keep
        default: return .keep
        }
    }

    /// For a field of an answer on its way to the client.
    static func response(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>) -> Kind {
        switch name.count {
        case 2: bytes.spells(name, "te") ? .drop : .keep
        case 4: bytes.spells(name, "date") ? .date : .keep
        case 7: bytes.spells(name, "trailer") || bytes.spells(name, "upgrade") ? .drop : .keep
        case 10: bytes.spells(name, "connection") ? .connection : bytes.spells(name, "keep-alive") ? .drop : .keep
        case 14: bytes.spells(name, "content-length") ? .contentLength : .keep
        case 16: bytes.spells(name, "proxy-connection") ? .drop : .keep
        case 17: bytes.spells(name, "transfer-encoding") ? .drop : .keep
        case 18: bytes.spells(name, "proxy-authenticate") ? .drop : .keep
        case 25: bytes.spells(name, "proxy-authentication-info") ? .drop : .keep
        default: .keep
        }
    }

    /// Whether the whole name is `text`, `_` and `.` being `-`.
    private static func matches(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>, _ text: StaticString) -> Bool {
        name.count == text.utf8CodeUnitCount && begins(bytes, name, text)
    }

    private static func begins(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>, _ text: StaticString) -> Bool {
        guard name.count >= text.utf8CodeUnitCount else { return false }
        let start = text.utf8Start
        for offset in 0..<text.utf8CodeUnitCount {
            let byte = bytes[name.lowerBound + offset]
            let folded = byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".") ? UInt8(ascii: "-") : byte | 0x20
            if folded != start[offset] { return false }
        }
        return true
    }

    /// The names that a Connection field lists, but for those that are no fields or are dropped anyway (RFC 9110 §7.6.1).
    ///
    /// A request's Host is never among them: without it the request would mean something else.
    static func listed(_ bytes: UnsafeRawBufferPointer, _ value: Range<Int>) -> [Range<Int>] {
        FieldSection.elements(bytes, value).filter { option in
            !(bytes.spells(option, "close") || bytes.spells(option, "keep-alive") || bytes.spells(option, "upgrade")
                || bytes.spells(option, "te") || bytes.spells(option, "host"))
        }
    }

    static func isListed(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>, in listed: [Range<Int>]) -> Bool {
        listed.contains { option in
            option.count == name.count
                && (0..<name.count).allSatisfy { bytes[option.lowerBound + $0] | 0x20 == bytes[name.lowerBound + $0] | 0x20 }
        }
    }
}
