internal import Crypto
internal import Foundation
package import NIOSSL
internal import SwiftASN1
internal import X509

/// Certificates of any kind, good or bad, made when a test needs them.
package struct TestAuthority: Sendable {
    /// A certificate with its key, and what a client shows behind it.
    package struct Identity: Sendable {
        package var certificate: String
        package var key: String
        package var der: [UInt8]
        /// PEM of the issuers that are shown too.
        package var chain: [String] = []

        /// Makes a client of `RawClient` show this.
        package func show(_ configuration: inout TLSConfiguration) {
            do {
                configuration.certificateChain = try ([certificate] + chain).map {
                    .certificate(try NIOSSLCertificate(bytes: Array($0.utf8), format: .pem))
                }
                configuration.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem))
            } catch {
                fatalError("a certificate of the test's own: \(error)")
            }
        }
    }

    /// What a certificate is to be like; the defaults make a good one of a client.
    package struct Wish: Sendable {
        package var commonName: String
        /// Seconds from now.
        package var validFrom = -3_600
        package var validTo = 3_600
        package var isServerOnly = false
        /// Nothing: no key usage at all.
        package var signs: Bool? = true
        package var isAuthority = false
        package var dnsNames: [String] = []
        package var emails: [String] = []

        package init(_ commonName: String, _ change: (inout Wish) -> Void = { _ in }) {
            self.commonName = commonName
            change(&self)
        }
    }

    private let key: Certificate.PrivateKey
    private let issued: Certificate
    /// The certificate of the authority, in PEM.
    package let certificate: String

    /// An authority of its own, or one below another.
    package init(_ name: String = "Test CA", below parent: TestAuthority? = nil, isAuthority: Bool = true) throws {
        let own = P256.Signing.PrivateKey()
        key = Certificate.PrivateKey(own)
        let wish = Wish(name) { $0.isAuthority = isAuthority }
        issued = try TestAuthority.certificate(
            wish, key: key, issuer: parent?.issued.subject ?? TestAuthority.name(name), issuerKey: parent?.key ?? key)
        certificate = try issued.serializeAsPEM().pemString
    }

    /// A certificate of this authority.
    package func issue(_ wish: Wish, showing above: [TestAuthority] = []) throws -> Identity {
        let own = P256.Signing.PrivateKey()
        let made = try TestAuthority.certificate(wish, key: Certificate.PrivateKey(own), issuer: issued.subject, issuerKey: key)
        return try TestAuthority.identity(made, own, chain: above.map(\.certificate))
    }

    /// A certificate that nobody but its owner vouches for (RFC 8705 §2.2).
    package static func selfSigned(_ wish: Wish) throws -> Identity {
        let own = P256.Signing.PrivateKey()
        let key = Certificate.PrivateKey(own)
        return try identity(try certificate(wish, key: key, issuer: name(wish.commonName), issuerKey: key), own, chain: [])
    }

    private static func identity(_ made: Certificate, _ key: P256.Signing.PrivateKey, chain: [String]) throws -> Identity {
        let document = try made.serializeAsPEM()
        return Identity(certificate: document.pemString, key: key.pemRepresentation, der: document.derBytes, chain: chain)
    }

    private static func name(_ text: String) throws -> DistinguishedName {
        try DistinguishedName {
            OrganizationName("Example")
            CommonName(text)
        }
    }

    private static func certificate(
        _ wish: Wish, key: Certificate.PrivateKey, issuer: DistinguishedName, issuerKey: Certificate.PrivateKey
    ) throws -> Certificate {
        var extensions = Certificate.Extensions()
        if wish.isAuthority { try extensions.append(.init(BasicConstraints.isCertificateAuthority(maxPathLength: nil), critical: true)) }
        if let signs = wish.signs {
            try extensions.append(
                .init(KeyUsage(digitalSignature: signs, keyEncipherment: !signs, keyCertSign: wish.isAuthority), critical: true))
        }
        if !wish.isAuthority {
            try extensions.append(.init(try ExtendedKeyUsage([wish.isServerOnly ? .serverAuth : .clientAuth]), critical: false))
        }
        let names = wish.dnsNames.map(GeneralName.dnsName) + wish.emails.map(GeneralName.rfc822Name)
        if !names.isEmpty { try extensions.append(.init(SubjectAlternativeNames(names), critical: false)) }
        let now = Date()
        return try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: key.publicKey,
            notValidBefore: now.addingTimeInterval(TimeInterval(wish.validFrom)),
            notValidAfter: now.addingTimeInterval(TimeInterval(wish.validTo)), issuer: issuer, subject: try name(wish.commonName),
            signatureAlgorithm: .ecdsaWithSHA256, extensions: extensions, issuerPrivateKey: issuerKey)
    }
}
