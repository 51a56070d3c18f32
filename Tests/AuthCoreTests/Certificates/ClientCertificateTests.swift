import AuthCore
import Testing

@Suite("RFC 5280 §4.1: what is read from a client's certificate")
struct ClientCertificateTests {
    private func certificate(_ builder: CertificateBuilder, isVerified: Bool = true) throws -> ClientCertificate {
        try ClientCertificate(der: builder.der, isVerified: isVerified)
    }

    private func failure(_ der: [UInt8]) -> ClientCertificateError? {
        do throws(ClientCertificateError) {
            _ = try ClientCertificate(der: der, isVerified: true)
            return nil
        } catch {
            return error
        }
    }

    /// Made with `openssl req -x509 -newkey ed25519 -subj "/C=DE/O=Example, Inc./OU=a+CN=billing" -addext
    /// subjectAltName=…`; the expected values are those that openssl prints.
    private static let pem = """
        MIICEDCCAcKgAwIBAgIUREaturwrXguyvD2nDgphayhMGOgwBQYDK2VwMEExCzAJBgNVBAYTAkRFMRYwFAYDVQQKDA1FeGFtcGxl
        LCBJbmMuMRowCAYDVQQLDAFhMA4GA1UEAwwHYmlsbGluZzAgFw0yNjExMjExNDM0NDFaGA8yMTI2MTAyODE0MzQ0MVowQTELMAkG
        A1UEBhMCREUxFjAUBgNVBAoMDUV4YW1wbGUsIEluYy4xGjAIBgNVBAsMAWEwDgYDVQQDDAdiaWxsaW5nMCowBQYDK2VwAyEAIQCy
        pGZLRDM4HWnXR/zgkIjg5730CrvBKQxLv8m83q2jgckwgcYwHQYDVR0OBBYEFM5lRKQ2xp/quyvw3Kbn9rrxrWqBMB8GA1UdIwQY
        MBaAFM5lRKQ2xp/quyvw3Kbn9rrxrWqBMA8GA1UdEwEB/wQFMAMBAf8wcwYDVR0RBGwwaoISQ2xpZW50LkV4YW1wbGUuY29tgg0q
        LmV4YW1wbGUub3JnhhxzcGlmZmU6Ly9leGFtcGxlLmNvbS9CaWxsaW5nhwTAAAIHhxAgAQ24AAAAAAAAAAAAAAABgQ9PcHNARVhB
        TVBMRS5jb20wBQYDK2VwA0EACdiXXZUCrq+9d2jNj8MD98hbmpMOH6pLIo/AGNb/wwwIKiYLmlgEp7F+eBT5t0NC0ThhE3GwCnNT
        6FEYh94yDQ==
        """

    @Test("a certificate that openssl made: thumbprint, subject, names, times and key")
    func ofOpenSSL() throws {
        let der = try #require(Base64.decode(ClientCertificateTests.pem.filter { $0 != "\n" }.utf8))
        let found = try ClientCertificate(der: der, isVerified: false)
        #expect(found.thumbprint == "VDr2fX9uZyh2-5Q53Dky2zHu-85lCg2o9x5yj5tAkqM")
        #expect(found.subject == DistinguishedName(rfc4514: #"CN=billing+OU=a,O=Example\, Inc.,C=DE"#))
        #expect(
            found.alternativeNames == [
                .dns("client.example.com"), .dns("*.example.org"), .uri("spiffe://example.com/Billing"), .ip([192, 0, 2, 7]),
                .ip([0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]), .email("Ops@example.com"),
            ])
        #expect(found.notBefore == Instant(seconds: 1_795_271_681))
        #expect(found.notAfter == Instant(seconds: 4_948_871_681))
        #expect(found.publicKeyInfo == Base64.decode(Array("MCowBQYDK2VwAyEAIQCypGZLRDM4HWnXR/zgkIjg5730CrvBKQxLv8m83q0=".utf8)))
        #expect(!found.isVerified)
        #expect(found.verified(true).isVerified)
        #expect(found.verified(true).sha256 == found.sha256)
    }

    @Test("one over 16 KB is too large; one that is cut, followed by something, or no certificate is malformed")
    func shapes() {
        let good = CertificateBuilder().der
        #expect(failure(good) == nil)
        for length in 0..<good.count { #expect(failure(Array(good.prefix(length))) == .malformed) }
        #expect(failure(good + [0]) == .malformed)
        #expect(failure(good + good) == .malformed)
        #expect(failure([UInt8](repeating: 0x30, count: ClientCertificate.bytesMax)) == .malformed)
        #expect(failure([UInt8](repeating: 0x30, count: ClientCertificate.bytesMax + 1)) == .tooLarge)
        var builder = CertificateBuilder()
        builder.publicKeyInfo = DER.node(0x30, [UInt8](repeating: 5, count: 0) + DER.node(0x04, [UInt8](repeating: 1, count: 17_000)))
        #expect(failure(builder.der) == .tooLarge)
        builder = CertificateBuilder()
        builder.version = nil
        #expect(failure(builder.der) == nil)
        // Indefinite length, and a length in more bytes than it needs.
        #expect(failure([0x30, 0x80] + good.dropFirst(4) + [0, 0]) == .malformed)
        #expect(failure([0x30, 0x83, 0] + good[2...3] + good.dropFirst(4)) == .malformed)
    }
}
