internal import NIOSSL
internal import Synchronization

/// The certificate of a listener: TLS 1.2 with AEAD suites and 1.3, ALPN `http/1.1` (GW-14, RFC 9325).
package final class EdgeTLS: Sendable {
    private let certificate: String
    private let key: String
    private let current: Mutex<NIOSSLContext>

    /// - Parameters:
    ///   - certificate: Path of a PEM file: the certificate, then its chain.
    ///   - key: Path of a PEM file with the private key.
    package init(certificate: String, key: String) throws(EdgeServerError) {
        self.certificate = certificate
        self.key = key
        current = Mutex(try EdgeTLS.load(certificate, key))
    }

    /// Reads both files again; connections that are made from now on use what they say.
    ///
    /// - Throws: `badCertificate` when nothing was changed.
    package func reload() throws(EdgeServerError) {
        let context = try EdgeTLS.load(certificate, key)
        current.withLock { $0 = context }
    }

    var context: NIOSSLContext { current.withLock { $0 } }

    private static func load(_ certificate: String, _ key: String) throws(EdgeServerError) -> NIOSSLContext {
        let chain: [NIOSSLCertificateSource]
        do {
            chain = try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) }
        } catch {
            throw .badCertificate(path: certificate, reason: "\(error)")
        }
        do {
            let privateKey = try NIOSSLPrivateKey(file: key, format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(privateKey))
            configuration.minimumTLSVersion = .tlsv12
            configuration.applicationProtocols = ["http/1.1"]
            configuration.cipherSuiteValues = [
                .TLS_AES_128_GCM_SHA256, .TLS_AES_256_GCM_SHA384, .TLS_CHACHA20_POLY1305_SHA256,
                .TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, .TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                .TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, .TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                .TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, .TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            ]
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw .badCertificate(path: key, reason: "\(error)")
        }
    }
}
