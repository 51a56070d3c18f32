internal import AuthCore

/// A URL without query and fragment, in the one spelling by which `htu` is compared (RFC 9449 §4.3, RFC 3986 §6.2.2 and §6.2.3).
///
/// Scheme and host are in lower case, the scheme's own port is left out, an empty path is `/`, escapes of unreserved characters are
/// the characters, other escapes are in upper case, and dot segments are resolved. Nothing else makes two URLs the same: not a
/// trailing slash, not the case of the path.
public struct DPoPTarget: Sendable, Hashable, CustomStringConvertible {
    /// The longest URL that is read, in bytes.
    public static let bytesMax = 8_192

    private let bytes: [UInt8]

    /// - Returns: Nothing for what is no absolute `http` or `https` URL in ASCII, has a user name, or is too long.
    public init?(url: String) {
        guard url.utf8.count <= DPoPTarget.bytesMax else { return nil }
        let url = Array(url.utf8)
        for (isTLS, prefix) in [(true, "https://"), (false, "http://")] as [(Bool, StaticString)] {
            guard url.count >= prefix.utf8CodeUnitCount else { continue }
            let isScheme = (0..<prefix.utf8CodeUnitCount).allSatisfy { lowercasedASCII(url[$0]) == prefix.utf8Start[$0] }
            guard isScheme else { continue }
            let rest = url[prefix.utf8CodeUnitCount...]
            let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") } ?? rest.endIndex
            self.init(isTLS: isTLS, host: rest[..<end], target: rest[end...])
            return
        }
        return nil
    }

    /// The URL of a request.
    ///
    /// - Parameters:
    ///   - host: What `Host` says: the host, and a port or none.
    ///   - target: From the path on; what stands behind `?` or `#` is left out.
    /// - Returns: Nothing when one of them is not of that form, or too long.
    public init?(isTLS: Bool, host: some Collection<UInt8>, target: some Collection<UInt8>) {
        guard host.count + target.count <= DPoPTarget.bytesMax, let authority = DPoPTarget.authority(Array(host), isTLS: isTLS),
            let path = DPoPTarget.path(Array(target.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }))
        else { return nil }
        bytes = Array((isTLS ? "https://" : "http://").utf8) + authority + path
    }

    public var description: String { String(decoding: bytes, as: UTF8.self) }

    /// RFC 3986 §3.2.2 and §3.2.3, without user information.
    private static func authority(_ text: [UInt8], isTLS: Bool) -> [UInt8]? {
        let hostEnd: Int
        let host: [UInt8]
        if text.first == UInt8(ascii: "[") {
            // Of an address nothing but its digits; two spellings of one address are two hosts here.
            guard let close = text.firstIndex(of: UInt8(ascii: "]")), close > 1,
                text[1..<close].allSatisfy({ hexDigit($0) != nil || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") })
            else { return nil }
            hostEnd = close + 1
            host = text[..<hostEnd].map(lowercasedASCII)
        } else {
            hostEnd = text.firstIndex(of: UInt8(ascii: ":")) ?? text.endIndex
            guard hostEnd > 0, let name = unescaped(text[..<hostEnd], isHost: true) else { return nil }
            host = name
        }
        var port = text[hostEnd...]
        guard !port.isEmpty else { return host }
        guard port.removeFirst() == UInt8(ascii: ":"), port.count <= 5, port.allSatisfy({ (0x30...0x39) ~= $0 }) else { return nil }
        // An empty port is the scheme's own (RFC 3986 §6.2.3).
        let number = port.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        if port.isEmpty || number == (isTLS ? 443 : 80) { return host }
        return number > 0 && number <= 65_535 ? host + [UInt8(ascii: ":")] + Array(String(number).utf8) : nil
    }

    private static func path(_ text: [UInt8]) -> [UInt8]? {
        if text.isEmpty { return [UInt8(ascii: "/")] }
        guard text[0] == UInt8(ascii: "/"), let text = unescaped(text[...], isHost: false) else { return nil }
        return withoutDotSegments(text)
    }

    /// Escapes normalised (RFC 3986 §6.2.2.1, §6.2.2.2); a host in lower case.
    private static func unescaped(_ text: ArraySlice<UInt8>, isHost: Bool) -> [UInt8]? {
        var output: [UInt8] = []
        output.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            let byte = text[index]
            if byte == UInt8(ascii: "%") {
                guard text.endIndex - index >= 3, let high = hexDigit(text[index + 1]), let low = hexDigit(text[index + 2]) else {
                    return nil
                }
                let value = high << 4 | low
                if isUnreserved(value) {
                    output.append(isHost ? lowercasedASCII(value) : value)
                } else {
                    let digits: StaticString = "0123456789ABCDEF"
                    output += [byte, digits.utf8Start[Int(high)], digits.utf8Start[Int(low)]]
                }
                index += 3
                continue
            }
            guard isHost ? isHostByte(byte) : isPathByte(byte) else { return nil }
            output.append(isHost ? lowercasedASCII(byte) : byte)
            index += 1
        }
        return output
    }

    /// RFC 3986 §5.2.4, for a path that begins with a slash.
    private static func withoutDotSegments(_ path: [UInt8]) -> [UInt8] {
        var segments: [ArraySlice<UInt8>] = []
        let parts = path.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            if part.elementsEqual(".".utf8) {
                if isLast { segments.append([]) }
            } else if part.elementsEqual("..".utf8) {
                if !segments.isEmpty { segments.removeLast() }
                if isLast { segments.append([]) }
            } else {
                segments.append(part)
            }
        }
        var output: [UInt8] = []
        output.reserveCapacity(path.count)
        for segment in segments {
            output.append(UInt8(ascii: "/"))
            output += segment
        }
        return output
    }

    /// RFC 3986 §2.3.
    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
            true
        default: false
        }
    }

    private static func isSubDelimiter(_ byte: UInt8) -> Bool { "!$&'()*+,;=".utf8.contains(byte) }

    private static func isHostByte(_ byte: UInt8) -> Bool { isUnreserved(byte) || isSubDelimiter(byte) }

    private static func isPathByte(_ byte: UInt8) -> Bool {
        isUnreserved(byte) || isSubDelimiter(byte) || byte == UInt8(ascii: ":") || byte == UInt8(ascii: "@") || byte == UInt8(ascii: "/")
    }
}
