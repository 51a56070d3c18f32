internal import AuthCore
internal import Store

/// What names, paths and addresses in resource files must look like. Each answers with what is wrong, or nothing.
enum ResourceSyntax {
    /// The name of Gatehouse's own client and resource.
    static let reservedName = "gatehouse"
    static let builtInScopes = [
        "openid", "profile", "email", "offline_access", "gatehouse:account", "gatehouse:admin", "gatehouse:revocations",
        "gatehouse:gateway",
    ]
    static let reservedScopePrefix = "gatehouse:"

    static func isReserved(_ name: String) -> Bool { name.utf8.map(lowercasedASCII).elementsEqual(reservedName.utf8) }

    /// Of a user. What signs in is the canonical form, which `Accounts` makes; this is the outer bound.
    static func usernameFault(_ name: String) -> String? {
        if name.utf8.count > ResourceLimits.nameBytesMax { return "is longer than \(ResourceLimits.nameBytesMax) bytes" }
        let scalars = name.unicodeScalars
        if scalars.contains(where: { $0.properties.generalCategory == .control }) { return "has control characters" }
        if scalars.first?.properties.isWhitespace == true || scalars.last?.properties.isWhitespace == true {
            return "begins or ends with a space"
        }
        return nil
    }

    static func emailFault(_ address: String) -> String? {
        let bytes = Array(address.utf8)
        let parts = bytes.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
        guard bytes.count <= 254, parts.count == 2, (1...64).contains(parts[0].count),
            parts[1].contains(UInt8(ascii: ".")) || parts[1].count > 0,
            bytes.allSatisfy({ $0 > 0x20 && $0 != 0x7F }), HostAndPort.isName(parts[1].map(lowercasedASCII))
        else { return "is no e-mail address" }
        return nil
    }

    /// Of a client or a resource: it stands in tokens and headers.
    static func identifierFault(_ name: String) -> String? {
        if name.utf8.count > ResourceLimits.nameBytesMax { return "is longer than \(ResourceLimits.nameBytesMax) bytes" }
        guard ScopeSet.isName(name.utf8) else { return "has characters other than printable ASCII without space, \" and \\" }
        return isReserved(name) ? "is the name of Gatehouse's own" : nil
    }

    /// Of a route or a role: it stands in logs and labels.
    static func labelFault(_ name: String) -> String? {
        let isLabel = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: ":"): true
            default: false
            }
        }
        return isLabel && (1...64).contains(name.utf8.count) ? nil : "is not 1…64 letters, digits, . _ - :"
    }

    static func scopeFault(_ name: String) -> String? {
        ScopeSet.isName(name.utf8) ? nil : "is no scope: at most 255 bytes of printable ASCII without space, \" and \\ (RFC 6749 §3.3)"
    }

    /// Of an authentication context class: it stands in a challenge, separated by spaces (RFC 9470 §3).
    static func acrFault(_ name: String) -> String? {
        ScopeSet.isName(name.utf8) ? nil : "is no authentication context class"
    }

    /// HTTP's token in upper case; methods are case-sensitive (RFC 9110 §9.1).
    static func methodFault(_ method: String) -> String? {
        if ["CONNECT", "TRACE", "PRI"].contains(where: { $0.isSameBytes(as: method) }) { return "is never passed on" }
        let isMethod =
            (1...32).contains(method.utf8.count)
            && method.utf8.allSatisfy {
                (UInt8(ascii: "A")...UInt8(ascii: "Z")) ~= $0 || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
            }
        return isMethod ? nil : "is no method in upper case"
    }

    static func hostFault(_ host: String) -> String? {
        if host.utf8.contains(UInt8(ascii: ":")) { return "has a port or is an IPv6 address; a route names a host without port" }
        return HostAndPort.isName(Array(host.utf8)) ? nil : "is no host name in lower case"
    }

    /// An upstream: scheme, host and port, nothing else.
    static func upstreamFault(_ url: String) -> String? {
        guard let rest = url.dropping(prefix: "http://") ?? url.dropping(prefix: "https://") else {
            return "does not begin with http:// or https://"
        }
        if rest.utf8.contains(UInt8(ascii: "@")) { return "has a user name or password" }
        if rest.utf8.contains(UInt8(ascii: "/")) { return "carries a path; the path of the request is forwarded unchanged" }
        if rest.utf8.contains(UInt8(ascii: "?")) || rest.utf8.contains(UInt8(ascii: "#")) { return "carries a query or a fragment" }
        guard let (_, port) = HostAndPort.split(rest), port != 0 else { return "has no valid host in lower case, or no valid port" }
        return nil
    }

    /// Of a route: canonical, so that it is the one spelling that can match.
    ///
    /// A trailing slash is refused: `/orders` already stands for `/orders/` and all below it, and two spellings of one rule
    /// would be two rules.
    static func pathFault(_ path: String) -> String? {
        let bytes = Array(path.utf8)
        guard bytes.first == UInt8(ascii: "/") else { return "does not begin with /" }
        if bytes.count > 1_024 { return "is longer than 1024 bytes" }
        if bytes.count == 1 { return nil }
        if bytes.last == UInt8(ascii: "/") { return "ends with a slash; without it, it matches the same and everything below" }
        guard URISyntax.escapesAreWhole(bytes) else { return "has a broken percent-escape" }
        let segments = bytes.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        if segments.count > 32 { return "has more than 32 segments" }
        if segments.contains(where: \.isEmpty) { return "has //" }
        if URISyntax.hasDotSegment(bytes) { return "has a dot segment" }
        if segments[0].elementsEqual(".gatehouse".utf8) { return "lies under /.gatehouse, which is the gateway's own" }
        var decoded: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), let value = URISyntax.escape(bytes, at: index) {
                if let fault = escapeFault(value, bytes[(index + 1)..<(index + 3)]) { return fault }
                decoded.append(value)
                index += 3
                continue
            }
            if let fault = pathByteFault(bytes[index]) { return fault }
            decoded.append(bytes[index])
            index += 1
        }
        return String(validating: decoded, as: UTF8.self) == nil ? "has escapes that are not UTF-8" : nil
    }

    /// RFC 3986's pchar without `;`.
    private static func pathByteFault(_ byte: UInt8) -> String? {
        if isUnreserved(byte) || "/!$&'()*+,=:@".utf8.contains(byte) { return nil }
        switch byte {
        case UInt8(ascii: ";"): return "has a ;"
        case UInt8(ascii: "\\"): return "has a backslash"
        case UInt8(ascii: "?"), UInt8(ascii: "#"): return "has a query or a fragment"
        default: return "has a character that must be percent-encoded"
        }
    }

    private static func escapeFault(_ value: UInt8, _ digits: ArraySlice<UInt8>) -> String? {
        if isUnreserved(value) { return "has an escape of a character that needs none" }
        if value < 0x20 || value == 0x7F || "/\\;%".utf8.contains(value) { return "has an escape that requests may not have" }
        if digits.contains(where: { (UInt8(ascii: "a")...UInt8(ascii: "f")) ~= $0 }) { return "has an escape in lower case" }
        return nil
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
        default: false
        }
    }

    /// The most bits that a text of these characters can have, by its length and the smallest alphabet that it fits.
    static func bitsMax(_ secret: String) -> Double {
        let bytes = Array(secret.utf8)
        // A short cycle of characters has no more to offer than its length suggests to a guesser.
        if Set(bytes).count < 8 { return Double(Set(bytes).count) }
        let isDigits = bytes.allSatisfy { (0x30...0x39) ~= $0 }
        let isHexadecimal = bytes.allSatisfy { hexDigit($0) != nil }
        let isLower = bytes.allSatisfy { (UInt8(ascii: "a")...UInt8(ascii: "z")) ~= $0 || $0 == UInt8(ascii: "-") || (0x30...0x39) ~= $0 }
        return Double(bytes.count) * (isDigits ? 3.32 : isHexadecimal ? 4 : isLower ? 5.2 : 6)
    }
}
