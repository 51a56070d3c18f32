internal import AuthCore
internal import NIOSSL
internal import SwiftASN1
internal import X509

/// Which certificates of clients a listener takes.
package enum ClientCertificateMode: Sendable {
    /// None is asked for.
    case none
    /// One is asked for and need not be shown; one that does not chain to the CA fails the handshake.
    case verified
    /// As `verified`, but one that does not chain passes unverified: RFC 8705 §2.2 knows clients by their own certificates.
    case any
}

/// Judges the chain that a client showed (RFC 5280 §6). That the client holds the key, the handshake has proved.
///
/// BoringSSL could do it in the handshake, but says neither why nor, when it is told to go on, what it thought. So the same code
/// decides for all listeners, away from the event loop.
final class ClientVerifier: Sendable {
    /// The most certificates of a chain, the client's own included. Chains are found by trying, and a stranger may send
    /// certificates that sign one another in every order: four issuers make at most 64 signatures to check.
    static let chainMax = 5

    private let mode: ClientCertificateMode
    private let roots: CertificateStore?

    /// - Parameter authorities: DER of the CA's certificates; none only for `any`, where nothing is verified then.
    /// - Throws: When one cannot be read.
    init(mode: ClientCertificateMode, authorities: [[UInt8]]) throws {
        self.mode = mode
        roots = authorities.isEmpty ? nil : CertificateStore(try authorities.map { try Certificate(derEncoded: $0) })
    }

    /// - Parameter chain: The client's own first.
    /// - Throws: Why the handshake fails.
    func judge(_ chain: [[UInt8]], at now: Instant) async throws(ClientCertificateError) -> ClientCertificate {
        guard let first = chain.first else { throw .malformed }
        guard chain.count <= ClientVerifier.chainMax else { throw .tooLarge }
        let shown = try ClientCertificate(der: first, isVerified: false)
        do throws(ClientCertificateError) {
            try await verify(shown, chain, at: now)
            return shown.verified(true)
        } catch {
            switch error {
            case .tooLarge, .malformed: throw error
            case .notYetValid, .expired, .wrongUsage, .unknownIssuer:
                guard mode == .any else { throw error }
                return shown
            }
        }
    }

    private func verify(_ shown: ClientCertificate, _ chain: [[UInt8]], at now: Instant) async throws(ClientCertificateError) {
        var certificates: [Certificate] = []
        for der in chain {
            guard der.count <= ClientCertificate.bytesMax else { throw .tooLarge }
            // The error tells where in the bytes; a stranger wrote them.
            guard let certificate = try? Certificate(derEncoded: der) else { throw .malformed }
            certificates.append(certificate)
        }
        if now < shown.notBefore { throw .notYetValid }
        guard shown.isValid(at: now) else { throw .expired }
        guard ClientUsagePolicy.allowsClient(certificates[0]) else { throw .wrongUsage }
        guard let roots else { throw .unknownIssuer }
        var verifier = Verifier(rootCertificates: roots) {
            RFC5280Policy()
            ClientUsagePolicy()
        }
        let found = await verifier.validate(leaf: certificates[0], intermediates: CertificateStore(certificates.dropFirst()))
        guard case .validCertificate = found else { throw .unknownIssuer }
    }
}

/// What RFC 5280 §4.2.1.3 and §4.2.1.12 ask of a chain that is to prove a client, and what RFC 9155 asks of its signatures.
private struct ClientUsagePolicy: VerifierPolicy {
    /// Names are read by `ClientCertificate`.
    let verifyingCriticalExtensions: [ASN1ObjectIdentifier] = [
        .X509ExtensionID.extendedKeyUsage, .X509ExtensionID.subjectAlternativeName,
    ]

    /// Whether its own usages let it prove a client; no usages are all.
    static func allowsClient(_ certificate: Certificate) -> Bool {
        do {
            if let usage = try certificate.extensions.keyUsage, !usage.digitalSignature { return false }
            guard let usages = try certificate.extensions.extendedKeyUsage else { return true }
            return usages.contains(.clientAuth) || usages.contains(.any)
        } catch {
            return false
        }
    }

    private static func allowsIssuing(_ certificate: Certificate) -> Bool {
        do {
            if let usage = try certificate.extensions.keyUsage, !usage.keyCertSign { return false }
            guard let usages = try certificate.extensions.extendedKeyUsage else { return true }
            return usages.contains(.clientAuth) || usages.contains(.any)
        } catch {
            return false
        }
    }

    func chainMeetsPolicyRequirements(chain: UnverifiedCertificateChain) -> PolicyEvaluationResult {
        for (position, certificate) in chain.enumerated() {
            let allows = position == 0 ? ClientUsagePolicy.allowsClient(certificate) : ClientUsagePolicy.allowsIssuing(certificate)
            guard allows else { return .failsToMeetPolicy(reason: "a usage leaves clients out") }
            // What the CA's own certificate is signed with proves nothing; it is trusted as it stands.
            if position < chain.count - 1, certificate.signatureAlgorithm == .sha1WithRSAEncryption {
                return .failsToMeetPolicy(reason: "a signature is made with SHA-1")
            }
        }
        return .meetsPolicy
    }
}
