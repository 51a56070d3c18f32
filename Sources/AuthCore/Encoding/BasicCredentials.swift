/// The credentials of HTTP Basic as OAuth clients send them (RFC 6749 §2.3.1, RFC 7617): both halves form-encoded.
public struct BasicCredentials: Sendable {
    public let clientID: Identifier
    public let secret: Secret<String>

    /// The longest header value that is read, in bytes.
    public static let bytesMax = 4_096

    /// - Parameter header: The value of `Authorization`, scheme included.
    /// - Returns: Nothing when it is not well-formed Basic.
    public init?(header: ArraySlice<UInt8>) {
        guard header.count <= BasicCredentials.bytesMax, let encoded = AuthorizationScheme.credentials(of: header, scheme: "basic"),
            let decoded = Base64.decode(encoded), let colon = decoded.firstIndex(of: UInt8(ascii: ":")),
            let name = FormEncoding.decode(decoded[..<colon]), let secret = FormEncoding.decode(decoded[(colon + 1)...]),
            !name.isEmpty
        else { return nil }
        self.clientID = Identifier(name)
        self.secret = Secret(secret)
    }
}

/// Splits `Authorization` into scheme and credentials (RFC 9110 §11.4).
public enum AuthorizationScheme {
    /// - Parameter scheme: In lower case.
    /// - Returns: What follows the scheme and one or more spaces; nothing when the scheme is another or nothing follows.
    public static func credentials(of header: ArraySlice<UInt8>, scheme: StaticString) -> [UInt8]? {
        let count = scheme.utf8CodeUnitCount
        guard header.count > count, header[header.startIndex + count] == 0x20 else { return nil }
        for offset in 0..<count where lowercasedASCII(header[header.startIndex + offset]) != scheme.utf8Start[offset] { return nil }
        let rest = header[(header.startIndex + count)...].drop { $0 == 0x20 }
        return rest.isEmpty ? nil : Array(rest)
    }
}

/// `A`…`Z` to `a`…`z`, every other byte as it is: the only folding that header names and hosts get.
@inlinable
public func lowercasedASCII(_ byte: UInt8) -> UInt8 {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")) ~= byte ? byte | 0x20 : byte
}
