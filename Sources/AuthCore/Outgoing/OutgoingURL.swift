/// An absolute `https` or `http` URL (RFC 3986), read once and strictly, so that nobody after this reader can understand another host.
///
/// Refused rather than repaired: bytes outside visible ASCII, a backslash, user information, a fragment, percent signs in the host,
/// empty labels (a trailing dot too), a port of 0, with leading zeros or empty, and numbers that are no dotted address of four parts.
/// Names in other scripts are written as `xn--…` (RFC 5890).
public struct OutgoingURL: Hashable, Sendable, CustomStringConvertible {
    public enum Host: Hashable, Sendable, CustomStringConvertible {
        /// In lower case.
        case name(Identifier)
        case address(PeerAddress)

        /// As in a URL: IPv6 in brackets.
        public var description: String {
            switch self {
            case .name(let name): name.text
            case .address(let address): address.v4 == nil ? "[\(address)]" : "\(address)"
            }
        }
    }

    /// The longest one, in bytes.
    public static let bytesMax = 2_048
    /// The longest name, in bytes (RFC 1035 §2.3.4), and the longest label.
    static let nameBytesMax = 253
    static let labelBytesMax = 63

    public let isSecure: Bool
    public let host: Host
    /// The one written, else 443 or 80.
    public let port: UInt16
    /// Path and query as written, beginning with a slash. No dot segment is taken out.
    public let target: Identifier

    /// - Throws: `.urlMalformed`, `.urlNotSecure` for another scheme, `.urlCredentials`, `.urlFragment`, `.urlHost`, `.addressSpelling`.
    public init(_ text: String) throws(OutgoingError) {
        let bytes = Array(text.utf8)
        guard !bytes.isEmpty, bytes.count <= OutgoingURL.bytesMax, bytes.allSatisfy(OutgoingURL.isAllowed) else { throw .urlMalformed }
        guard let mark = bytes.firstIndex(of: UInt8(ascii: ":")) else { throw .urlMalformed }
        let scheme = bytes[..<mark].map(lowercasedASCII)
        if scheme.elementsEqual("https".utf8) {
            isSecure = true
        } else if scheme.elementsEqual("http".utf8) {
            isSecure = false
        } else {
            throw .urlNotSecure
        }
        let rest = bytes[(mark + 1)...]
        guard rest.starts(with: "//".utf8) else { throw .urlMalformed }
        if rest.contains(UInt8(ascii: "#")) { throw .urlFragment }
        let behind = rest.dropFirst(2)
        let end = behind.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? behind.endIndex
        let authority = behind[..<end]
        if authority.contains(UInt8(ascii: "@")) { throw .urlCredentials }
        let (hostBytes, portBytes) = try OutgoingURL.split(authority)
        host = try OutgoingURL.host(hostBytes)
        port = try OutgoingURL.port(portBytes) ?? (isSecure ? 443 : 80)
        let tail = behind[end...]
        guard OutgoingURL.hasWholeEscapes(tail) else { throw .urlMalformed }
        let path = String(decoding: tail, as: UTF8.self)
        target = Identifier(tail.first == UInt8(ascii: "/") ? path : "/" + path)
    }

    /// Reads what a `Location` says (RFC 9110 §10.2.2): a whole URL, `//host/…` or `/path`. References that are relative to a path are
    /// not followed.
    ///
    /// - Throws: As `init`, or `.redirectMalformed`.
    public func following(_ location: some Collection<UInt8>) throws(OutgoingError) -> OutgoingURL {
        guard let text = String(validating: location, as: UTF8.self) else { throw .redirectMalformed }
        if text.utf8.starts(with: "//".utf8) { return try OutgoingURL((isSecure ? "https:" : "http:") + text) }
        if text.utf8.first == UInt8(ascii: "/") { return try OutgoingURL(origin + text) }
        let scheme = text.utf8.prefix { $0 != UInt8(ascii: ":") && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        guard scheme.count < text.utf8.count, text.utf8[scheme.endIndex] == UInt8(ascii: ":") else { throw .redirectMalformed }
        return try OutgoingURL(text)
    }

    /// Scheme, host and port, in one spelling.
    public var origin: String {
        let scheme = isSecure ? "https" : "http"
        return port == (isSecure ? 443 : 80) ? "\(scheme)://\(host)" : "\(scheme)://\(host):\(port)"
    }

    /// The same URL in one spelling: this is what is asked for, whatever was written.
    public var text: String { origin + target.text }

    public var description: String { text }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "^"), UInt8(ascii: "`"),
            UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: "}"):
            false
        default: (0x21...0x7E).contains(byte)
        }
    }

    /// The host, and what follows its colon, if there is one.
    private static func split(_ authority: ArraySlice<UInt8>) throws(OutgoingError) -> (ArraySlice<UInt8>, ArraySlice<UInt8>?) {
        var end = authority.startIndex
        if authority.first == UInt8(ascii: "[") {
            guard let close = authority.firstIndex(of: UInt8(ascii: "]")) else { throw .urlHost }
            end = close + 1
        } else {
            end = authority.firstIndex(of: UInt8(ascii: ":")) ?? authority.endIndex
        }
        if end == authority.endIndex { return (authority, nil) }
        guard authority[end] == UInt8(ascii: ":") else { throw .urlHost }
        return (authority[..<end], authority[(end + 1)...])
    }

    private static func host(_ bytes: ArraySlice<UInt8>) throws(OutgoingError) -> Host {
        if bytes.first == UInt8(ascii: "[") {
            let inside = String(decoding: bytes.dropFirst().dropLast(), as: UTF8.self)
            guard inside.utf8.count <= 45, inside.utf8.contains(UInt8(ascii: ":")), let address = PeerAddress(inside) else {
                throw .urlHost
            }
            return .address(address)
        }
        let name = bytes.map(lowercasedASCII)
        guard !name.isEmpty, name.count <= nameBytesMax else { throw .urlHost }
        let labels = name.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard labels.allSatisfy(isLabel), let last = labels.last else { throw .urlHost }
        let text = String(decoding: name, as: UTF8.self)
        guard isNumber(last) else { return .name(Identifier(text)) }
        // What ends in a number is an address to everybody, so it must be one to us (WHATWG URL, "ends in a number").
        guard let address = PeerAddress(text) else { throw .addressSpelling }
        return .address(address)
    }

    private static func isLabel(_ label: ArraySlice<UInt8>) -> Bool {
        guard (1...labelBytesMax).contains(label.count), label.first != UInt8(ascii: "-"), label.last != UInt8(ascii: "-") else {
            return false
        }
        return label.allSatisfy {
            isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
        }
    }

    private static func isNumber(_ label: ArraySlice<UInt8>) -> Bool {
        if label.allSatisfy(isDigit) { return true }
        return label.starts(with: "0x".utf8)
            && label.dropFirst(2).allSatisfy { isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0) }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func port(_ digits: ArraySlice<UInt8>?) throws(OutgoingError) -> UInt16? {
        guard let digits else { return nil }
        guard (1...5).contains(digits.count), digits.allSatisfy(isDigit), digits.first != 0x30,
            let port = UInt16(String(decoding: digits, as: UTF8.self))
        else { throw .urlMalformed }
        return port
    }

    private static func hasWholeEscapes(_ bytes: ArraySlice<UInt8>) -> Bool {
        var index = bytes.startIndex
        while let mark = bytes[index...].firstIndex(of: UInt8(ascii: "%")) {
            guard bytes.endIndex - mark > 2, isHex(bytes[mark + 1]), isHex(bytes[mark + 2]) else { return false }
            index = mark + 3
        }
        return true
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(lowercasedASCII(byte))
    }
}
