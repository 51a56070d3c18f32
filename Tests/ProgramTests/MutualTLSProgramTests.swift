import AuthCore
import Foundation
import TestSupport
import Testing

/// The real program with two auth listeners: one for browsers, one where certificates are asked for.
@Suite("RFC 8705 §5, CA-09: a listener of their own for clients with certificates", .serialized, .timeLimit(.minutes(2)))
struct MutualTLSProgramTests {
    private static let origin = "https://mtls.localhost:8444"

    private static func folder(_ authority: TestAuthority) throws -> URL {
        let folder = try Program.newFolder()
        let files = [
            "server.pem": TestCertificates.oneCertificate, "server.key": TestCertificates.oneKey, "clients.pem": authority.certificate,
            "resources.yaml": """
            clients:
              - {id: pay, grants: [client_credentials], scopes: ["orders:read"], token_endpoint_auth_method: tls_client_auth,
                 tls_client_auth_san_dns: pay.example, tls_client_certificate_bound_access_tokens: true}
              - {id: web, public: true, grants: [authorization_code], redirect_uris: ["http://127.0.0.1:9000/callback"], scopes: [openid]}
            resources:
              - {id: orders, scopes: ["orders:read"]}
            """,
            "gatehouse.yaml": """
            issuer: https://localhost:8443
            mtls_url: \(origin)
            listen:
              auth: {address: "127.0.0.1:0", tls: {certificate: server.pem, key: server.key}}
              auth_mtls: {address: "127.0.0.1:0", tls: {certificate: server.pem, key: server.key, client_ca: clients.pem}}
              gateway: "127.0.0.1:0"
              admin: "127.0.0.1:0"
              control: "unix:control.sock"
            storage: sqlite:gatehouse.db
            master_keys: [file:master.key]
            apply: [resources.yaml]
            passwords: {memory_kib: 7168, iterations: 5}
            log: {format: json, level: debug}
            """,
        ]
        for (name, text) in files { try Data(text.utf8).write(to: folder.appendingPathComponent(name)) }
        return folder
    }

    /// Status and body; nothing when there is no handshake.
    private static func ask(
        _ port: Int, _ request: String, body: String = "", showing identity: TestAuthority.Identity? = nil
    ) async -> (status: Int, body: String)? {
        do {
            let client = try await RawClient.connect(port, trusting: TestCertificates.oneCertificate) { identity?.show(&$0) }
            let form = body.isEmpty ? "" : "content-type: application/x-www-form-urlencoded\r\n"
            // The server ends it: neither side waits for the other's end of TLS.
            let answer = try await client.ask(
                "\(request) HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\(form)content-length: \(body.utf8.count)\r\n\r\n\(body)")
            return (answer.status, answer.text)
        } catch { return nil }
    }

    @Test("the aliases are where certificates are asked for; the listener of browsers asks nobody, and no page is at the other one")
    func listeners() async throws {
        let authority = try TestAuthority()
        let good = try authority.issue(TestAuthority.Wish("pay") { $0.dnsNames = ["pay.example"] })
        let stranger = try TestAuthority("Another CA").issue(TestAuthority.Wish("pay") { $0.dnsNames = ["pay.example"] })
        let program = try Program(folder: try Self.folder(authority))
        defer { program.kill(SIGTERM) }
        let (auth, mtls) = (program.authPort, program.authMTLSPort)
        try #require(auth != 0 && mtls != 0)

        let found = try #require(await Self.ask(auth, "GET /.well-known/openid-configuration"))
        let metadata = try #require(try JSONReader.read(found.body).object)
        let aliases = try #require(metadata["mtls_endpoint_aliases"]?.object)
        let paths = [
            "token_endpoint": "/token", "pushed_authorization_request_endpoint": "/par", "introspection_endpoint": "/introspect",
            "revocation_endpoint": "/revoke", "device_authorization_endpoint": "/device_authorization", "userinfo_endpoint": "/userinfo",
        ]
        #expect(Set(aliases.names) == Set(paths.keys))
        for (name, path) in paths {
            #expect(aliases[name]?.string == Self.origin + path)
            #expect(metadata[name]?.string == "https://localhost:8443" + path)
            // Something is there: a refusal in the endpoint's own words.
            let method = path == "/userinfo" ? "GET" : "POST"
            let there = await Self.ask(mtls, "\(method) \(path)", body: method == "GET" ? "" : "x=y", showing: good)
            #expect([400, 401].contains(there?.status), "\(path): \(there?.status ?? 0)")
        }

        let form = "grant_type=client_credentials&client_id=pay"
        let issued = try #require(await Self.ask(mtls, "POST /token", body: form, showing: good))
        let token = try #require(try JSONReader.read(issued.body).object?["access_token"]?.string)
        let part = String(token.split(separator: ".")[1])
        let claims = try #require(try JSONReader.read(Base64URL.decode(part) ?? []).object)
        #expect(claims["cnf"]?.object?["x5t#S256"]?.string == (try ClientCertificate(der: good.der, isVerified: true).thumbprint))
        #expect(claims["iss"]?.string == "https://localhost:8443")
        // Without one the client is not proved; with one of somebody else there is no connection.
        #expect(await Self.ask(mtls, "POST /token", body: form)?.status == 401)
        #expect(await Self.ask(mtls, "POST /token", body: form, showing: stranger) == nil)

        // Nobody is asked: whoever has a certificate to show, a bad one too, is never made to.
        for identity in [nil, good, stranger] {
            let answer = await Self.ask(auth, "POST /token", body: form, showing: identity)
            #expect(answer?.status == 401, "\(answer?.status ?? 0)")
        }
        for path in ["/authorize", "/device", "/end-session", "/authorize/resume"] {
            let page = try #require(await Self.ask(auth, "GET \(path)"))
            #expect(page.status != 404 && page.body.contains("<html"), "\(path)")
            for method in ["GET", "POST", "PUT"] {
                #expect(await Self.ask(mtls, "\(method) \(path)", showing: good)?.status == 404, "\(method) \(path)")
            }
        }
        #expect(await Self.ask(mtls, "POST /sign-in", body: "x=y", showing: good)?.status == 404)
    }
}
