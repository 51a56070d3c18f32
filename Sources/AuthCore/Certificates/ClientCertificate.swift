/// The certificate that a client proved to hold the key of (RFC 8705 §2): by the handshake of a listener, or by the word of a
/// believed proxy (RFC 9440).
///
/// Immutable, and a reference: a request without one pays a pointer. What stands in it is no secret and no proof of anything
/// unless `isVerified`; then its names are what the CA of the operator vouches for.
public final class ClientCertificate: Sendable {
    /// The longest certificate, in bytes of DER.
    public static let bytesMax = 16_384

    /// The certificate as it was sent.
    public let der: [UInt8]
    /// Whether its chain ends at a certificate of `client_ca`, or a proxy that is believed said so.
    public let isVerified: Bool
    /// The thumbprint `x5t#S256`: SHA-256 of the DER (RFC 8705 §3.1).
    public let sha256: TokenHash
    public let subject: DistinguishedName
    /// The names that RFC 8705 §2.1.2 knows, in the order of the certificate; others are left out.
    public let alternativeNames: [AlternativeName]
    /// The certificate is good from `notBefore` to `notAfter`, both included (RFC 5280 §4.1.2.5).
    public let notBefore: Instant
    public let notAfter: Instant
    /// The DER of its SubjectPublicKeyInfo, which RFC 8705 §2.2 compares with the registered keys.
    public let publicKeyInfo: [UInt8]

    /// Reads a certificate; checks no signature.
    ///
    /// - Parameters:
    ///   - der: One X.509 certificate (RFC 5280 §4.1) and nothing behind it.
    ///   - isVerified: What whoever checked the chain found.
    /// - Throws: `tooLarge`, `malformed`.
    public init(der: [UInt8], isVerified: Bool) throws(ClientCertificateError) {
        let fields = try CertificateReader.read(der)
        self.der = der
        self.isVerified = isVerified
        sha256 = TokenHash(of: der)
        subject = fields.subject
        alternativeNames = fields.alternativeNames
        notBefore = fields.notBefore
        notAfter = fields.notAfter
        publicKeyInfo = fields.publicKeyInfo
    }

    private init(_ other: ClientCertificate, isVerified: Bool) {
        der = other.der
        self.isVerified = isVerified
        sha256 = other.sha256
        subject = other.subject
        alternativeNames = other.alternativeNames
        notBefore = other.notBefore
        notAfter = other.notAfter
        publicKeyInfo = other.publicKeyInfo
    }

    /// The same certificate, with what was found about its chain.
    public func verified(_ isVerified: Bool) -> ClientCertificate { ClientCertificate(self, isVerified: isVerified) }

    /// The text of the claim `x5t#S256` (RFC 8705 §3.1).
    public var thumbprint: String { Base64URL.encode(sha256.bytes) }

    public func isValid(at now: Instant) -> Bool { notBefore <= now && now.seconds <= notAfter.seconds }

    /// Whether the certificate is verified, valid now, and names the subject that a client registered (RFC 8705 §2.1).
    ///
    /// An unverified certificate proves no subject: anybody can write one.
    public func proves(_ expected: CertificateSubject, at now: Instant) -> Bool {
        guard isVerified, isValid(at: now) else { return false }
        switch expected {
        case .distinguishedName(let name): return subject == name
        case .alternative(let name): return alternativeNames.contains(name)
        }
    }
}

/// Why a client certificate was not taken. The raw value stands in the log and in metrics.
public enum ClientCertificateError: String, Error, Sendable, CaseIterable {
    /// Over `ClientCertificate.bytesMax`, or more certificates than a chain may have.
    case tooLarge = "too_large"
    /// No certificate as RFC 5280 has it, or with a name that two readers could understand differently.
    case malformed
    case notYetValid = "not_yet_valid"
    case expired
    /// Its extended key usage, or that of an issuer, leaves clients out.
    case wrongUsage = "wrong_usage"
    /// No chain to a certificate of `client_ca` whose every part holds.
    case unknownIssuer = "unknown_issuer"
}
