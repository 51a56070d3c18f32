import AuthCore
import Foundation
import HTTPEdge
import NIOCore
import NIOPosix
import NIOSSL
import TestSupport
import Testing

@Suite("RFC 9440 as HAProxy writes it", .enabled(if: access("/usr/sbin/haproxy", X_OK) == 0))
struct HAProxyTests {
    /// The lines of docs/guides/mutual-tls.md.
    private static func configuration(_ folder: String, _ port: Int, _ upstream: Int) -> String {
        """
        defaults
            mode http
            timeout client 10s
            timeout server 10s
            timeout connect 5s
        frontend tls
            bind 127.0.0.1:\(port) ssl crt \(folder)/server.pem ca-file \(folder)/clients.pem verify optional
            http-request del-header Client-Cert
            http-request del-header Client-Cert-Chain
            http-request set-header Client-Cert ":%[ssl_c_der,base64]:" if { ssl_c_used } { ssl_c_verify 0 }
            default_backend gatehouse
        backend gatehouse
            server one 127.0.0.1:\(upstream)

        """
    }

    @Test("the client's certificate arrives, verified; what the client writes in the fields does not")
    func arrives() async throws {
        let range = try #require(AddressRange("127.0.0.0/8"))
        let core = EdgeCore(
            responder: ClientCertificateHandshakeTests.told, limits: EdgeLimits(), environment: .live,
            forwardedCertificates: ForwardedCertificates(trusted: [range], isVerified: true))
        let server = try await EdgeServer.start(
            .tcp(host: "127.0.0.1", port: 0), core: core, group: ClientCertificateHandshakeTests.group)
        let authority = try TestAuthority()
        let (shown, other) = (try authority.issue(.init("client")), try authority.issue(.init("other")))
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gatehouse-haproxy-\(getpid())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }  // a folder left behind harms nobody
        try TestCertificates.write(TestCertificates.oneCertificate + "\n" + TestCertificates.oneKey, to: folder + "/server.pem")
        try TestCertificates.write(authority.certificate, to: folder + "/clients.pem")
        // A port that was free a moment ago.
        let probe = try await EdgeServer.start(
            .tcp(host: "127.0.0.1", port: 0), core: core, group: ClientCertificateHandshakeTests.group)
        let port = try #require(probe.port)
        await probe.shutdown(within: .zero)
        try TestCertificates.write(Self.configuration(folder, port, try #require(server.port)), to: folder + "/haproxy.cfg")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/sbin/haproxy")
        process.arguments = ["-db", "-f", folder + "/haproxy.cfg"]
        (process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        try process.run()
        defer { process.terminate() }
        func ask(_ identity: TestAuthority.Identity?, _ fields: String = "") async throws -> String {
            let client = try await RawClient.connect(port, trusting: TestCertificates.oneCertificate) {
                $0.applicationProtocols = []
                $0.shutdownTimeout = .milliseconds(1)
                identity?.show(&$0)
            }
            let text = try await client.ask("GET / HTTP/1.1\r\nHost: h\r\n\(fields)\r\n").text
            await client.close()
            return text
        }
        // Until it listens, connections are refused at once.
        var first: String?
        for _ in 0..<2_000 where first == nil {
            first = try? await ask(nil)  // refused: asked again
            try await ClientCertificateHandshakeTests.group.next().scheduleTask(in: .milliseconds(5)) {}.futureResult.get()
        }
        #expect(first == "none")
        let thumbprint = try ClientCertificate(der: shown.der, isVerified: false).thumbprint
        #expect(try await ask(shown) == "verified \(thumbprint)")
        let forged = "Client-Cert: :\(Base64.encode(other.der)):\r\nClient-Cert-Chain: :AAAA:\r\n"
        #expect(try await ask(nil, forged) == "none")
        #expect(try await ask(shown, forged) == "verified \(thumbprint)")
        await server.shutdown(within: .seconds(1))
    }
}
