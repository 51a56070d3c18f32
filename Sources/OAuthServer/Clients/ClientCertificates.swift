internal import AuthCore
internal import Store

extension Client {
    /// Whether a certificate proves this client (RFC 8705 §2): by the name that was registered under a CA that the listener trusts, or by
    /// being one of those that were registered.
    func isProved(by certificate: ClientCertificate, _ method: ClientAuthenticationKind, at now: Instant) -> Bool {
        switch method {
        case .tls: return subject.map { certificate.proves($0, at: now) } ?? false
        case .selfSignedTLS: return certificate.isValid(at: now) && registeredCertificates.contains { $0 == certificate.der }
        default: return false
        }
    }

    /// §2.1.2: exactly one of them is registered.
    private var subject: CertificateSubject? {
        let metadata = definition.metadata
        if let text = metadata.tlsSubject { return CertificateSubject(subjectDN: text) }
        if let text = metadata.tlsDNSName { return CertificateSubject(sanDNS: text) }
        if let text = metadata.tlsURI { return CertificateSubject(sanURI: text) }
        if let text = metadata.tlsAddress { return CertificateSubject(sanIP: text) }
        return metadata.tlsEmail.flatMap { CertificateSubject(sanEmail: $0) }
    }

    /// The first of each `x5c` in its keys (§2.2.2).
    private var registeredCertificates: [[UInt8]] {
        (definition.metadata.jwks?["keys"]?.array ?? []).compactMap { key in
            key.object?["x5c"]?.strings?.first.flatMap { Base64.decode(Array($0.utf8)) }
        }
    }
}
