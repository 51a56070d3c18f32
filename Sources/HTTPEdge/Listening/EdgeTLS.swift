package import AuthCore
internal import NIOCore
internal import NIOSSL
internal import Synchronization

/// The certificate of a listener: TLS 1.2 with AEAD suites and 1.3, ALPN `http/1.1` (GW-14, RFC 9325); and, where it is told to,
/// the certificates of its clients (RFC 8705).
package final class EdgeTLS: Sendable {
    /// Told of each client whose certificate was refused, on its event loop.
    package typealias Refused = @Sendable (ClientCertificateError, PeerAddress) -> Void

    /// The files of a listener, all PEM.
    package struct Files: Sendable {
        /// The certificate, then its chain.
        let certificate: String
        let key: String
        /// What client certificates must chain to.
        let clientCA: String?

        package init(certificate: String, key: String, clientCA: String? = nil) {
            self.certificate = certificate
            self.key = key
            self.clientCA = clientCA
        }
    }

    /// What the files said when they were read last.
    private struct Material: Sendable {
        let configuration: TLSConfiguration
        let context: NIOSSLContext
        let verifier: ClientVerifier?
    }

    private let files: Files
    private let mode: ClientCertificateMode
    private let refused: Refused
    private let current: Mutex<Material>

    package convenience init(certificate: String, key: String) throws(EdgeServerError) {
        try self.init(Files(certificate: certificate, key: key))
    }

    /// - Throws: `badCertificate`, also for a CA without a certificate: a listener never asks less of its clients than it was told.
    package init(
        _ files: Files, clients mode: ClientCertificateMode = .none, refused: @escaping Refused = { _, _ in }
    ) throws(EdgeServerError) {
        self.files = files
        self.mode = mode
        self.refused = refused
        current = Mutex(try EdgeTLS.load(files, mode))
    }

    /// Reads all files again; connections that are made from now on use what they say.
    ///
    /// - Throws: `badCertificate` when nothing was changed.
    package func reload() throws(EdgeServerError) {
        let material = try EdgeTLS.load(files, mode)
        current.withLock { $0 = material }
    }

    func handler(for connection: EdgeConnection) throws -> NIOSSLServerHandler {
        let material = current.withLock { $0 }
        guard let verifier = material.verifier else { return NIOSSLServerHandler(context: material.context) }
        // The keys of session tickets belong to a context, so one of its own makes every handshake a whole one: a session that is
        // resumed would bring the certificate of then, unasked whether it has run out since, or whether the CA is still the same.
        let context = try NIOSSLContext(configuration: material.configuration)
        return NIOSSLServerHandler(
            context: context,
            customVerificationCallback: { [weak connection, refused] chain, promise in
                guard let connection else { return promise.succeed(.failed) }
                connection.judge(chain, by: verifier, refused, promise)
            }
        )
    }

    private static func load(_ files: Files, _ mode: ClientCertificateMode) throws(EdgeServerError) -> Material {
        let chain = try certificates(files.certificate)
        let authorities = try files.clientCA.map { path throws(EdgeServerError) in try certificates(path) } ?? []
        let verifier: ClientVerifier?
        do {
            if mode == .verified, authorities.isEmpty { throw NIOSSLError.failedToLoadCertificate }
            verifier = mode == .none ? nil : try ClientVerifier(mode: mode, authorities: authorities.map { try $0.toDERBytes() })
        } catch {
            throw .badCertificate(path: files.clientCA ?? "client_ca", reason: "\(error)")
        }
        do {
            let privateKey = try NIOSSLPrivateKey(file: files.key, format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(privateKey))
            configuration.minimumTLSVersion = .tlsv12
            configuration.applicationProtocols = ["http/1.1"]
            configuration.renegotiationSupport = .none
            configuration.cipherSuiteValues = [
                .TLS_AES_128_GCM_SHA256, .TLS_AES_256_GCM_SHA384, .TLS_CHACHA20_POLY1305_SHA256,
                .TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, .TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                .TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, .TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                .TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, .TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            ]
            if verifier != nil {
                configuration.certificateVerification = .optionalVerification
                configuration.trustRoots = .certificates(authorities)
                // Clients with several certificates choose by it; one who may show any must not be told of these alone.
                configuration.sendCANameList = mode == .verified
            }
            return Material(configuration: configuration, context: try NIOSSLContext(configuration: configuration), verifier: verifier)
        } catch {
            throw .badCertificate(path: files.key, reason: "\(error)")
        }
    }

    private static func certificates(_ path: String) throws(EdgeServerError) -> [NIOSSLCertificate] {
        do {
            let certificates = try NIOSSLCertificate.fromPEMFile(path)
            guard !certificates.isEmpty else { throw NIOSSLError.failedToLoadCertificate }
            return certificates
        } catch {
            throw .badCertificate(path: path, reason: "\(error)")
        }
    }
}
