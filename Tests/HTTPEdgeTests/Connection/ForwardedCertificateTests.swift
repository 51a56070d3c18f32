import AuthCore
import HTTPEdge
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@Suite("RFC 9440: the client's certificate behind a proxy")
struct ForwardedCertificateTests {
    static let identity = Result { try TestAuthority.selfSigned(.init("client")) }

    /// A connection from `peer`, where 10.0.0.0/8 is believed.
    private func edge(_ peer: String, isVerified: Bool? = true) throws -> EmbeddedEdge {
        let range = try #require(AddressRange("10.0.0.0/8"))
        let forwarded = isVerified.map { ForwardedCertificates(trusted: [range], isVerified: $0) }
        return try EmbeddedEdge(ClientCertificateHandshakeTests.told, peer: peer, forwardedCertificates: forwarded)
    }

    private func ask(_ edge: EmbeddedEdge, _ fields: [String]) throws -> (status: Int?, text: String) {
        try edge.send("GET / HTTP/1.1\r\nHost: h\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n")
        let output = try edge.output()
        return (statuses(output).last, bodies(output).last ?? "")
    }

    private func field() throws -> (value: String, thumbprint: String) {
        let der = try Self.identity.get().der
        return (":\(Base64.encode(der)):", try ClientCertificate(der: der, isVerified: false).thumbprint)
    }

    @Test("from a believed proxy it is the client's, verified as the operator said; the next request has its own")
    func believed() throws {
        let (value, thumbprint) = try field()
        let verified = try edge("10.1.2.3")
        #expect(try ask(verified, ["Client-Cert: \(value)"]).text == "verified \(thumbprint)")
        #expect(try ask(verified, []).text == "none")
        #expect(
            try ask(verified, ["client-cert:\(value) ", "Client-Cert-Chain: \(value), \(value)", "Client-Cert-Chain: \(value)"]).text
                == "verified \(thumbprint)")
        let other = try TestAuthority.selfSigned(.init("other"))
        let last = try ask(verified, ["Client-Cert: :\(Base64.encode(other.der)):"]).text
        #expect(try last == "verified \(ClientCertificate(der: other.der, isVerified: false).thumbprint)")
        #expect(try ask(try edge("10.1.2.3", isVerified: false), ["Client-Cert: \(value)"]).text == "unverified \(thumbprint)")
    }

    @Test("from anybody else, and where the setting is none, it is as if it were not there")
    func spoofed() throws {
        let (value, _) = try field()
        for edge in [try edge("192.0.2.1"), try edge("11.0.0.1"), try edge("2001:db8::1"), try edge("10.1.2.3", isVerified: nil)] {
            #expect(try ask(edge, ["Client-Cert: \(value)", "X-Forwarded-For: 10.0.0.1"]).text == "none")
            #expect(try ask(edge, ["Client-Cert: nonsense", "Client-Cert: \(value)"]).text == "none")
        }
    }

    @Test("the certificate of the proxy's own connection is never its client's")
    func ofTheProxy() throws {
        let (value, thumbprint) = try field()
        let own = try TestAuthority.selfSigned(.init("proxy"))
        let edge = try edge("10.1.2.3")
        edge.connection.clientCertificate = try ClientCertificate(der: own.der, isVerified: true)
        #expect(try ask(edge, []).text == "none")
        #expect(try ask(edge, ["Client-Cert: \(value)"]).text == "verified \(thumbprint)")
        // Where proxies are not asked, whoever made the connection is the client.
        let direct = try self.edge("10.1.2.3", isVerified: nil)
        direct.connection.clientCertificate = try ClientCertificate(der: own.der, isVerified: true)
        #expect(
            try ask(direct, ["Client-Cert: \(value)"]).text == "verified \(ClientCertificate(der: own.der, isVerified: true).thumbprint)")
    }

    @Test("repeated, malformed, or a chain alone is 400, and the connection closes")
    func refused() throws {
        let (value, _) = try field()
        let base64 = value.dropFirst().dropLast()
        let large = Base64.encode([UInt8](repeating: 0x30, count: 16_385))
        let rows: [[String]] = [
            ["Client-Cert: \(value)", "Client-Cert: \(value)"], ["Client-Cert: \(value), \(value)"], ["Client-Cert:"], ["Client-Cert: ::"],
            ["Client-Cert: :"],
            ["Client-Cert: \(base64)"], ["Client-Cert: :\(base64)"], ["Client-Cert: \(base64):"], ["Client-Cert: \"\(base64)\""],
            ["Client-Cert: (\(value))"],
            ["Client-Cert: \(value);a=1"], ["Client-Cert: :\(base64.dropLast(5)):"], ["Client-Cert: : \(base64):"], ["Client-Cert: :AAAA:"],
            ["Client-Cert: :\(large):"], ["Client-Cert: -----BEGIN CERTIFICATE-----"], ["Client-Cert-Chain: \(value)"],
            ["Client-Cert: \(value)", "Client-Cert-Chain: \(value),"], ["Client-Cert: \(value)", "Client-Cert-Chain:"],
            ["Client-Cert: \(value)", "Client-Cert-Chain: nonsense"],
            ["Client-Cert: \(value)", "Client-Cert-Chain: " + [String](repeating: ":AAAA:", count: 11).joined(separator: ", ")],
        ]
        for fields in rows {
            let edge = try edge("10.1.2.3")
            #expect(try ask(edge, fields).status == 400, "\(fields.map { $0.prefix(60) })")
            #expect(edge.counters.failures.map(\.reason) == ["client_certificate"])
        }
        #expect(
            try ask(
                try edge("10.1.2.3"),
                ["Client-Cert: \(value)", "Client-Cert-Chain: " + [String](repeating: ":AAAA:", count: 10).joined(separator: ",")]
            ).status == 200)
    }

    @Test("no bytes in the fields trap, and what passes is the certificate that was sent")
    func fuzz() throws {
        var seeded = SeededGenerator(seed: 9_440)
        let (value, thumbprint) = try field()
        let alphabet = Array(":=,;+/-_ AZaz09\"".utf8)
        for _ in 0..<2_000 {
            var bytes = Array(value.utf8)
            for _ in 0..<Int.random(in: 1...3, using: &seeded) {
                // Near the ends most of what matters stands.
                let far = Int.random(in: bytes.indices, using: &seeded)
                let index = [0, bytes.count - 1, far][Int.random(in: 0..<3, using: &seeded)]
                bytes[index] = alphabet[Int.random(in: alphabet.indices, using: &seeded)]
            }
            let edge = try edge("10.1.2.3")
            let answer = try ask(edge, ["Client-Cert: " + String(decoding: bytes, as: UTF8.self)])
            #expect(answer.status == 200 || answer.status == 400)
            if bytes == Array(value.utf8) { #expect(answer.text == "verified \(thumbprint)") }
        }
    }
}
