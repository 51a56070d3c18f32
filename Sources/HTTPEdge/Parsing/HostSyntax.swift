internal import AuthCore

/// The value of a Host field: `uri-host [":" port]` (RFC 9112 §3.2, RFC 3986 §3.2.2).
///
/// Narrower than the grammar: a name is of letters, digits and `-._~`, because no name that resolves has percent-encoding or
/// sub-delimiters, and they have been used to mean one host to a proxy and another to the service behind it.
package enum HostSyntax {
    package static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let first = bytes.first, bytes.count <= 261 else { return false }
        var end = 0
        if first == UInt8(ascii: "[") {
            guard let close = bytes.firstIndex(of: UInt8(ascii: "]")) else { return false }
            let inner = bytes[1..<close]
            guard inner.allSatisfy({ hexDigit($0) != nil || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") }),
                inner.contains(UInt8(ascii: ":")), PeerAddress(String(decoding: inner, as: UTF8.self)) != nil
            else { return false }
            end = close + 1
        } else {
            while end < bytes.count, isName(bytes[end]) { end += 1 }
            guard (1...255).contains(end) else { return false }
        }
        if end == bytes.count { return true }
        guard bytes[end] == UInt8(ascii: ":"), bytes.count - end <= 6, let port = bytes.decimal((end + 1)..<bytes.count) else {
            return false
        }
        return port <= 65_535
    }

    private static func isName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"): true
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"), UInt8(ascii: "~"): true
        default: false
        }
    }
}
