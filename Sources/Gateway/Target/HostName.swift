internal import AuthCore

/// The host of a request without its port, as it stands in the `Host` header (RFC 9110 §7.2, RFC 3986 §3.2.2).
///
/// It is compared in ASCII lower case. One trailing dot is no part of it: `example.com.` is the same host.
package struct HostName: Sendable {
    /// The longest name, in bytes (RFC 1035 §2.3.4).
    package static let bytesMax = 253

    /// As received; never empty.
    package let bytes: ArraySlice<UInt8>
    /// `[…]`: an IPv6 address, which no route can name.
    package let isAddressLiteral: Bool

    /// Nothing when the field is no host with an optional port of 1…65535: a user, a path, a percent sign, an empty label,
    /// an empty port and any byte that is no letter, digit, `-`, `_` or `.` are refused.
    package init?(_ field: ArraySlice<UInt8>) {
        guard let first = field.first else { return nil }
        var name = field
        if first == UInt8(ascii: "[") {
            guard let close = field.firstIndex(of: UInt8(ascii: "]")), HostName.isPort(field[(close + 1)...]) else { return nil }
            let address = field[(field.startIndex + 1)..<close]
            guard address.count <= 45, let text = String(validating: address, as: UTF8.self), text.utf8.contains(UInt8(ascii: ":")),
                PeerAddress(text) != nil
            else { return nil }
            bytes = field[...close]
            isAddressLiteral = true
            return
        }
        if let colon = field.firstIndex(of: UInt8(ascii: ":")) {
            guard HostName.isPort(field[colon...]) else { return nil }
            name = field[..<colon]
        }
        if name.last == UInt8(ascii: ".") { name = name.dropLast() }
        guard !name.isEmpty, name.count <= HostName.bytesMax, HostName.hasLabels(name) else { return nil }
        bytes = name
        isAddressLiteral = false
    }

    /// Whether both are the same host.
    ///
    /// - Parameter lowercased: In lower case already.
    package func order(against lowercased: [UInt8]) -> Int {
        if bytes.count != lowercased.count { return bytes.count < lowercased.count ? -1 : 1 }
        for offset in 0..<lowercased.count {
            let (left, right) = (lowercasedASCII(bytes[bytes.startIndex + offset]), lowercased[offset])
            if left != right { return left < right ? -1 : 1 }
        }
        return 0
    }

    /// Nothing at all, or a colon and 1…65535.
    private static func isPort(_ text: ArraySlice<UInt8>) -> Bool {
        guard text.first == UInt8(ascii: ":") else { return text.isEmpty }
        guard (2...6).contains(text.count) else { return false }
        var port = 0
        for byte in text.dropFirst() {
            guard (0x30...0x39).contains(byte) else { return false }
            port = port * 10 + Int(byte - 0x30)
        }
        return (1...65_535).contains(port)
    }

    private static func hasLabels(_ name: ArraySlice<UInt8>) -> Bool {
        var previous = UInt8(ascii: ".")
        for byte in name {
            switch byte {
            case UInt8(ascii: "."): if previous == UInt8(ascii: ".") { return false }
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): break
            case UInt8(ascii: "-"), UInt8(ascii: "_"): break
            default: return false
            }
            previous = byte
        }
        return previous != UInt8(ascii: ".")
    }
}
