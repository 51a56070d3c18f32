/// `host`, `host:port`, `[v6]` and `[v6]:port`, as listeners, issuers and upstreams write them.
package enum HostAndPort {
    /// - Returns: The host without brackets; nothing when it is no address and no name of lower-case ASCII, or the port is none.
    package static func split(_ text: some StringProtocol) -> (host: String, port: UInt16?)? {
        let bytes = Array(text.utf8)
        var host = bytes[...]
        var port: UInt16?
        if bytes.first == UInt8(ascii: "[") {
            guard let close = bytes.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            host = bytes[1..<close]
            guard host.contains(UInt8(ascii: ":")), PeerAddress(String(decoding: host, as: UTF8.self)) != nil else { return nil }
            let rest = bytes[(close + 1)...]
            if !rest.isEmpty {
                guard rest.first == UInt8(ascii: ":"), let number = number(rest.dropFirst()) else { return nil }
                port = number
            }
            return (String(decoding: host, as: UTF8.self), port)
        }
        if let colon = bytes.firstIndex(of: UInt8(ascii: ":")) {
            guard let number = number(bytes[(colon + 1)...]) else { return nil }
            port = number
            host = bytes[..<colon]
        }
        return isName(host) ? (String(decoding: host, as: UTF8.self), port) : nil
    }

    /// An IPv4 address, or labels of lower-case letters, digits, `-` and `_`. What only looks like an address
    /// (`127.1`, `0x7f.1`) is none: resolvers would read it as one.
    package static func isName(_ host: some BidirectionalCollection<UInt8>) -> Bool {
        guard !host.isEmpty, host.count <= 253 else { return false }
        let labels = host.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        for label in labels {
            guard (1...63).contains(label.count), label.first != UInt8(ascii: "-"), label.last != UInt8(ascii: "-") else { return false }
            for byte in label {
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    break
                default: return false
                }
            }
        }
        // The last label of a name is never a number (RFC 3696 §2).
        guard let first = labels.last?.first, (0x30...0x39) ~= first else { return true }
        return PeerAddress(String(decoding: Array(host), as: UTF8.self))?.v4 != nil
    }

    package static func isLoopback(_ host: String) -> Bool {
        host.isSameBytes(as: "localhost") || host.utf8.suffix(10).elementsEqual(".localhost".utf8)
            || PeerAddress(host)?.isLoopback == true
    }

    /// One spelling for each port: without leading zeros.
    private static func number(_ digits: ArraySlice<UInt8>) -> UInt16? {
        guard (1...5).contains(digits.count), digits.allSatisfy({ (0x30...0x39) ~= $0 }) else { return nil }
        guard digits.count == 1 || digits.first != UInt8(ascii: "0") else { return nil }
        return UInt16(exactly: digits.reduce(0) { $0 * 10 + Int($1 - 0x30) })
    }
}

extension String {
    /// What follows `prefix`; nothing when the bytes begin otherwise.
    package func dropping(prefix: StaticString) -> String? {
        let count = prefix.utf8CodeUnitCount
        guard utf8.count >= count else { return nil }
        for (offset, byte) in utf8.prefix(count).enumerated() where byte != prefix.utf8Start[offset] { return nil }
        return String(utf8.dropFirst(count))
    }
}
