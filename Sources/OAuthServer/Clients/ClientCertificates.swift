internal import AuthCore
internal import Store

extension Client {
    /// Whether a certificate proves this client by the name that was registered, under a CA that the listener trusts (RFC 8705 §2.1).
    func isNamed(by certificate: ClientCertificate, at now: Instant) -> Bool {
        subject.map { certificate.proves($0, at: now) } ?? false
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
}

extension ClientKeys {
    /// Whether a certificate is one of the client's own, registered or where it publishes them (RFC 8705 §2.2). One that is not among those
    /// that are held is looked for once more where they are published.
    func have(_ certificate: ClientCertificate, of client: Client) async throws(ClientKeysFailure) -> Bool {
        let held = try await find(of: client)
        if held.set.hasCertificate(certificate.der) { return true }
        guard let version = held.version else { return false }
        return try await find(of: client, unlike: version).set.hasCertificate(certificate.der)
    }
}

extension JSONObject {
    /// The first of each `x5c` in a set of keys is its key's certificate (RFC 7517 §4.7).
    fileprivate func hasCertificate(_ der: [UInt8]) -> Bool {
        (self["keys"]?.array ?? []).contains { key in
            key.object?["x5c"]?.strings?.first.flatMap { Base64.decode(Array($0.utf8)) } == der
        }
    }
}
