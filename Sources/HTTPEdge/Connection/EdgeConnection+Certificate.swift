internal import AuthCore
internal import NIOCore
internal import NIOSSL

/// The certificate that the client shows in the handshake.
extension EdgeConnection {
    /// Called once, in the handshake, when the client has shown a certificate; nothing is read from it before `promise` is kept.
    func judge(
        _ chain: [NIOSSLCertificate], by verifier: ClientVerifier, _ refused: @escaping EdgeTLS.Refused,
        _ promise: EventLoopPromise<NIOSSLVerificationResult>
    ) {
        // One that BoringSSL cannot write out again it has not read either.
        let shown = chain.prefix(ClientVerifier.chainMax + 1).map { (try? $0.toDERBytes()) ?? [] }
        let now = core.environment.now()
        let verdict = eventLoop.makePromise(of: Result<ClientCertificate, ClientCertificateError>.self)
        verdict.futureResult.whenSuccess { verdict in
            self.task = nil
            switch verdict {
            case .success(let certificate):
                self.clientCertificate = certificate
                promise.succeed(.certificateVerified)
            case .failure(let error):
                self.core.counters.count(error)
                refused(error, self.peer)
                promise.succeed(.failed)
            }
        }
        task = verdict.completeWithTask {
            do throws(ClientCertificateError) { return .success(try await verifier.judge(shown, at: now)) } catch { return .failure(error) }
        }
    }

    /// The certificate of the client that a believed proxy speaks for: what its field says, and never the proxy's own.
    ///
    /// A connection of a proxy carries many clients, but one after the other the same: the last field is kept.
    func forwardedCertificate(_ facts: RequestFacts, _ forwarded: ForwardedCertificates) throws(HeadFailure) -> ClientCertificate? {
        guard let value = try forwarded.field(facts.headers) else { return nil }
        if let last = lastForwarded, last.value.elementsEqual(value) { return last.certificate }
        let certificate = try forwarded.certificate(value)
        lastForwarded = (Array(value), certificate)
        return certificate
    }
}
