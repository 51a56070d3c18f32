package import AuthCore

/// The certificate of the client behind a proxy that ends TLS, as `Client-Cert` says it (RFC 9440).
///
/// Anybody can send these fields. They are read from the proxies that are believed, which must delete what came from outside
/// (RFC 9440 §2.4), and from nobody else.
package struct ForwardedCertificates: Sendable {
    private let trusted: [AddressRange]
    private let isVerified: Bool

    /// The most certificates that `Client-Cert-Chain` may list.
    static let chainMax = 10

    /// - Parameters:
    ///   - trusted: The proxies that are believed.
    ///   - isVerified: Whether they pass on only certificates whose chain they have verified.
    package init(trusted: [AddressRange], isVerified: Bool) {
        self.trusted = trusted
        self.isVerified = isVerified
    }

    func isBelieved(_ peer: PeerAddress) -> Bool { trusted.contains { $0.contains(peer) } }

    /// The value of `Client-Cert`; nothing when there is none.
    ///
    /// - Throws: `clientCertificate` when it is repeated, or `Client-Cert-Chain` stands alone or is no list of certificates.
    func field(_ headers: Headers) throws(HeadFailure) -> ArraySlice<UInt8>? {
        let count = headers.count("client-cert")
        guard count <= 1 else { throw .clientCertificate }
        var length = 0
        for value in headers.all("client-cert-chain") {
            // RFC 9440 §2.3: never without the other.
            guard count == 1 else { throw .clientCertificate }
            for member in value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
                length += 1
                guard length <= ForwardedCertificates.chainMax, ForwardedCertificates.bytes(trimmed(member)) != nil else {
                    throw .clientCertificate
                }
            }
        }
        return headers.single("client-cert")
    }

    func certificate(_ value: ArraySlice<UInt8>) throws(HeadFailure) -> ClientCertificate {
        guard let der = ForwardedCertificates.bytes(value) else { throw .clientCertificate }
        do { return try ClientCertificate(der: der, isVerified: isVerified) } catch { throw .clientCertificate }
    }

    /// A byte sequence of RFC 9651 §3.3.5: base64 between colons, here always with its padding and without parameters.
    static func bytes(_ value: ArraySlice<UInt8>) -> [UInt8]? {
        let colon = UInt8(ascii: ":")
        guard value.count >= 3, value.first == colon, value.last == colon, let bytes = Base64.decode(value.dropFirst().dropLast()) else {
            return nil
        }
        return (1...ClientCertificate.bytesMax).contains(bytes.count) ? bytes : nil
    }

    private func trimmed(_ member: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
        var member = member.drop(while: isBlank)
        while let last = member.last, isBlank(last) { member.removeLast() }
        return member
    }
}
