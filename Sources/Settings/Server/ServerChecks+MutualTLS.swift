internal import AuthCore

/// The listener and the name for clients that show certificates (RFC 8705 §5).
extension ServerChecks {
    mutating func mutualTLSListener(_ auth: ServerSettings.Listener) -> ServerSettings.Listener? {
        let name = "listen.auth_mtls"
        guard resolved.entry(name)?.value != nil else {
            for part in ["certificate", "key", "client_ca", "client_certificates"] where resolved.isGiven("\(name).tls.\(part)") {
                problem("\(name).tls.\(part)", "needs \(name) beside it")
            }
            return nil
        }
        guard let listener = listener(name) else { return nil }
        if listener.tls.map({ $0.clientCertificates == .none }) ?? true {
            problem(name, "asks nobody for a certificate: it needs tls with client_ca, or with client_certificates: any")
        }
        if !resolved.isGiven("mtls_url") { problem(name, "needs mtls_url beside it: clients would not find it") }
        if let tls = auth.tls, tls.clientCertificates != .none {
            warning("listen.auth.tls.client_certificates", "asks browsers for certificates too; \(name) is there for those who have one")
        }
        return listener
    }

    mutating func mutualTLSOrigin(_ issuer: Issuer?, _ listeners: ServerSettings.Listeners?) -> Issuer? {
        guard let text = resolved.optionalText("mtls_url") else { return nil }
        let origin: Issuer
        do { origin = try Issuer(text) } catch {
            problem("mtls_url", error.message, allowed: "https://HOST or https://HOST:PORT")
            return nil
        }
        if !origin.isSecure { problem("mtls_url", "is not https: certificates are shown in TLS alone", allowed: "https://HOST:PORT") }
        if origin == issuer { problem("mtls_url", "is the issuer, where browsers come") }
        if let listeners, listeners.authMTLS == nil, resolved.optionalText("client_cert_header")?.isSameBytes(as: "none") ?? true {
            warning(
                "mtls_url", "names endpoints where nobody asks for a certificate: set listen.auth_mtls, or client_cert_header for a proxy")
        }
        return origin
    }
}

extension ServerSettings {
    /// Which certificates of clients can arrive where tokens are issued: such as chain to a CA, and such as need not (RFC 8705 §2.1, §2.2).
    package var arrivingCertificates: (verified: Bool, unverified: Bool) {
        let tls = [listeners.auth, listeners.authMTLS].compactMap { $0?.tls }
        return (
            // With `any` there may be no CA, and of a proxy that passes on any nobody knows which it has verified.
            verified: tls.contains { $0.clientCertificates != .none && $0.clientCA != nil } || clientCertHeader == .verified,
            unverified: tls.contains { $0.clientCertificates == .any } || clientCertHeader == .any
        )
    }
}
