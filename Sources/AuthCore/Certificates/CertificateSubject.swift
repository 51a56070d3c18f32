/// A name of a subject alternative name extension (RFC 5280 §4.2.1.6), compared as RFC 5280 §7 has it, or more strictly.
public enum AlternativeName: Hashable, Sendable {
    /// In lower case; a `*` is that character and matches nothing else.
    case dns(String)
    /// Compared byte by byte.
    case uri(String)
    /// 4 bytes or 16.
    case ip([UInt8])
    /// The domain in lower case, the local part as it came.
    case email(String)

    public static func == (left: AlternativeName, right: AlternativeName) -> Bool {
        switch (left, right) {
        case (.dns(let left), .dns(let right)), (.uri(let left), .uri(let right)), (.email(let left), .email(let right)):
            left.isSameBytes(as: right)
        case (.ip(let left), .ip(let right)): left == right
        default: false
        }
    }

    public func hash(into hasher: inout Hasher) {
        switch self {
        case .dns(let text), .uri(let text), .email(let text): for byte in text.utf8 { hasher.combine(byte) }
        case .ip(let bytes): hasher.combine(bytes)
        }
    }

    /// The most bytes that a name may have.
    static let bytesMax = 2_048

    init?(dns bytes: some Collection<UInt8>) {
        guard bytes.count <= 255, let text = AlternativeName.visible(bytes) else { return nil }
        self = .dns(AlternativeName.lowercased(text))
    }

    init?(uri bytes: some Collection<UInt8>) {
        guard let text = AlternativeName.visible(bytes) else { return nil }
        self = .uri(text)
    }

    init?(ip bytes: some Collection<UInt8>) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self = .ip(Array(bytes))
    }

    init?(email bytes: some Collection<UInt8>) {
        guard let text = AlternativeName.visible(bytes) else { return nil }
        guard let at = text.lastIndex(of: "@") else {
            self = .email(text)
            return
        }
        self = .email(text[...at] + AlternativeName.lowercased(String(text[text.index(after: at)...])))
    }

    /// ASCII without blanks and control characters: a NUL within a name is how one CA was made to vouch for another's names.
    private static func visible(_ bytes: some Collection<UInt8>) -> String? {
        guard (1...bytesMax).contains(bytes.count), bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func lowercased(_ text: String) -> String {
        String(decoding: text.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }
}

/// What a client registered as the subject of its certificate: exactly one of the five `tls_client_auth_…` of RFC 8705 §2.1.2.
public enum CertificateSubject: Hashable, Sendable {
    case distinguishedName(DistinguishedName)
    case alternative(AlternativeName)

    /// `tls_client_auth_subject_dn`, in the form of RFC 4514.
    public init?(subjectDN text: String) {
        guard let name = DistinguishedName(rfc4514: text) else { return nil }
        self = .distinguishedName(name)
    }

    /// `tls_client_auth_san_dns`.
    public init?(sanDNS text: String) {
        guard let name = AlternativeName(dns: Array(text.utf8)) else { return nil }
        self = .alternative(name)
    }

    /// `tls_client_auth_san_uri`.
    public init?(sanURI text: String) {
        guard let name = AlternativeName(uri: Array(text.utf8)) else { return nil }
        self = .alternative(name)
    }

    /// `tls_client_auth_san_ip`: dotted IPv4, or any text form of IPv6; compared as bytes.
    public init?(sanIP text: String) {
        guard let address = PeerAddress(text) else { return nil }
        // What is written with colons stands as 16 bytes in the certificate, mapped IPv4 addresses too.
        if let v4 = address.v4, !text.utf8.contains(UInt8(ascii: ":")) {
            self = .alternative(.ip(withUnsafeBytes(of: v4.bigEndian) { Array($0) }))
        } else {
            let halves = (address.high.bigEndian, address.low.bigEndian)
            self = .alternative(.ip(withUnsafeBytes(of: halves) { Array($0) }))
        }
    }

    /// `tls_client_auth_san_email`.
    public init?(sanEmail text: String) {
        guard let name = AlternativeName(email: Array(text.utf8)) else { return nil }
        self = .alternative(name)
    }
}
