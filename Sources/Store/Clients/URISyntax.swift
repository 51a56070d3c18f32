internal import AuthCore

/// What the addresses in the metadata of a client must look like. Each answers with what is wrong, or nothing.
///
/// Decided on bytes and never on a URL type, which repairs what it reads.
package enum URISyntax {
    package static let bytesMax = 2_048

    /// A redirect target (RFC 6749 §3.1.2, RFC 9700 §2.1, RFC 8252 §7): absolute, without fragment, user or wildcard.
    package static func redirectFault(_ uri: String) -> String? {
        let bytes = Array(uri.utf8)
        if let fault = characterFault(bytes) { return fault }
        if bytes.contains(UInt8(ascii: "*")) { return "has a *; redirect targets are compared byte by byte" }
        if bytes.contains(UInt8(ascii: "#")) { return "has a fragment (RFC 6749 §3.1.2)" }
        if let name = answerParameter(in: bytes) { return "has \(name) in its query, which stands in answers (RFC 6749 §3.1)" }
        if uri.dropping(prefix: "https://") == nil, uri.dropping(prefix: "http://") == nil { return privateUseFault(bytes) }
        return webFault(uri)
    }

    /// A parameter that an answer would have twice.
    private static func answerParameter(in uri: [UInt8]) -> String? {
        guard let mark = uri.firstIndex(of: UInt8(ascii: "?")) else { return nil }
        let names = uri[(mark + 1)...].split(separator: UInt8(ascii: "&")).map { $0.prefix { $0 != UInt8(ascii: "=") } }
        return ["code", "state", "iss", "error", "error_description", "response"].first { name in
            names.contains { $0.elementsEqual(name.utf8) }
        }
    }

    /// An address of a client's own that people or servers go to: `https`, or `http` on loopback.
    package static func webFault(_ uri: String) -> String? {
        let bytes = Array(uri.utf8)
        if let fault = characterFault(bytes) { return fault }
        if bytes.contains(UInt8(ascii: "#")) { return "has a fragment" }
        guard let rest = uri.dropping(prefix: "https://") ?? uri.dropping(prefix: "http://") else {
            return "is neither https://… nor http:// on loopback"
        }
        let authority = String(Substring(rest.utf8.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }))
        if authority.utf8.contains(UInt8(ascii: "@")) { return "has a user name or password" }
        guard let (host, port) = HostAndPort.split(authority), port != 0 else { return "has no valid host in lower case, or no valid port" }
        if uri.dropping(prefix: "http://") != nil, !HostAndPort.isLoopback(host) { return "is http on a host that is not loopback" }
        let path = rest.utf8.dropFirst(authority.utf8.count).prefix { $0 != UInt8(ascii: "?") }
        return hasDotSegment(path) ? "has a dot segment" : nil
    }

    /// Where a request object is read (OpenID Connect Registration §2): an address with a fragment or without one.
    package static func requestFault(_ uri: String) -> String? {
        if uri.utf8.count > bytesMax { return "is longer than \(bytesMax) bytes" }
        let parts = uri.utf8.split(separator: UInt8(ascii: "#"), omittingEmptySubsequences: false)
        if parts.count > 2 { return "has two fragments" }
        if let fragment = parts.dropFirst().first, let fault = characterFault(Array(fragment)) { return fault }
        return webFault(String(Substring(parts[0])))
    }

    private static func characterFault(_ bytes: [UInt8]) -> String? {
        if bytes.count > bytesMax { return "is longer than \(bytesMax) bytes" }
        let forbidden = Array("\"<>\\^`{|}".utf8)
        guard bytes.allSatisfy({ (0x21...0x7E) ~= $0 && !forbidden.contains($0) }) else { return "has characters that no URI has" }
        return escapesAreWhole(bytes) ? nil : "has a broken percent-escape"
    }

    /// A scheme of an app's own is a domain name in reverse (RFC 8252 §7.1), so `javascript:` and `data:` are none.
    private static func privateUseFault(_ bytes: [UInt8]) -> String? {
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), colon + 1 < bytes.count, bytes[colon + 1] == UInt8(ascii: "/"),
            bytes[..<colon].contains(UInt8(ascii: ".")), HostAndPort.isName(bytes[..<colon])
        else { return "is neither https://… nor http:// on loopback nor a scheme of an app's own (com.example.app:/…)" }
        return nil
    }

    package static func hasDotSegment(_ path: some Sequence<UInt8>) -> Bool {
        Array(path).split(separator: UInt8(ascii: "/")).contains { $0.elementsEqual(".".utf8) || $0.elementsEqual("..".utf8) }
    }

    package static func escape(_ bytes: [UInt8], at index: Int) -> UInt8? {
        guard index + 2 < bytes.count, let high = hexDigit(bytes[index + 1]), let low = hexDigit(bytes[index + 2]) else { return nil }
        return high << 4 | low
    }

    package static func escapesAreWhole(_ bytes: [UInt8]) -> Bool {
        bytes.indices.allSatisfy { bytes[$0] != UInt8(ascii: "%") || escape(bytes, at: $0) != nil }
    }
}
