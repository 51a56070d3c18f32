import AuthCore
import Foundation
import PostgresServer
import Store
import StorePostgres
import StoreSQL
import TestSupport
import Testing

/// How the driver comes in, over TCP: passwords by SCRAM-SHA-256 (RFC 5802, RFC 7677), from the URI or a `.pgpass`, and TLS. All of it
/// is libpq's; what is ours is that the URI reaches it whole, and that no refusal tells the password.
@Suite("PostgreSQL: passwords and TLS", .serialized)
struct ConnectionTests {
    /// With each character that means something in a URI or in a `.pgpass`.
    private static let password = #"lantern/orbit:7@%\staple"#

    /// A server that asks everybody who comes over TCP for a password, and has an account and a schema `app`.
    private static func server(_ settings: [String] = [], files: [String: String] = [:], rules: [String]) async throws -> PostgresServer {
        try await onThread {
            let hba = (["local all gatehouse trust"] + rules).joined(separator: "\n") + "\n"
            let server = try PostgresServer(
                settings: ["listen_addresses=127.0.0.1"] + settings, files: files.merging(["pg_hba.conf": hba]) { $1 },
                port: try PostgresServer.freePort())
            let quoted = password.replacingOccurrences(of: "'", with: "''")
            try server.statement("CREATE ROLE app LOGIN PASSWORD '\(quoted)'; CREATE SCHEMA app AUTHORIZATION app")
            try server.statement("ALTER ROLE app SET search_path = app")
            return server
        }
    }

    private static let withoutTLS = ["host all all 127.0.0.1/32 scram-sha-256"]

    /// With a certificate for `localhost` and 127.0.0.1, and for those alone who use it.
    private static func encrypted() async throws -> PostgresServer {
        try await server(
            ["ssl=on", "ssl_cert_file=server.crt", "ssl_key_file=server.key"],
            files: ["server.crt": TestCertificates.oneCertificate, "server.key": TestCertificates.oneKey],
            rules: ["hostssl all all 127.0.0.1/32 scram-sha-256"])
    }

    private static func uri(_ server: PostgresServer, password: String? = password, host: String = "127.0.0.1", _ more: String) -> String {
        let allowed = CharacterSet.alphanumerics
        let secret = password.map { ":" + ($0.addingPercentEncoding(withAllowedCharacters: allowed) ?? "") } ?? ""
        return "postgres://app\(secret)@\(host):\(server.port)/postgres?gssencmode=disable&\(more)"
    }

    private static func database(_ uri: String) async throws -> PostgresDatabase {
        try await onThread {
            try PostgresDatabase(PostgresServers(PostgresLocation(Secret(uri)), uptime: Environment.live.uptime), connections: 1)
        }
    }

    /// What the driver says when it does not get in; nothing when it does.
    private static func refusal(_ uri: String) async throws -> String? {
        do {
            try await database(uri).closeSoon()
            return nil
        } catch let error as StoreError {
            guard case .unavailable(let text) = error else { return "another error: \(error)" }
            return text
        }
    }

    /// A text of one row.
    private static func text(_ sql: String, _ uri: String) async throws -> String {
        let database = try await database(uri)
        defer { database.closeSoon() }
        let rows = try await database.read { (connection) throws(StoreError) in try connection.query(sql, []) }
        guard case .text(let text)? = rows.first?.values.first else { return "no text" }
        return text
    }

    @Test("a password by SCRAM-SHA-256, and a wrong one is refused without being told")
    func scram() async throws {
        let server = try await Self.server(rules: Self.withoutTLS)
        #expect(
            try await onThread { try server.statement("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'") }.hasPrefix(
                "SCRAM-SHA-256$"))
        // The whole store, migrations and all.
        let test = try await TestStore(uri: Self.uri(server, "sslmode=disable"), connections: 2)
        let account = try await test.account("alice")
        _ = try await test.openSession(account)
        #expect(try await onThread { try server.statement("SELECT count(*) FROM app.sessions") } == "1")
        for wrong in ["wrong-lantern-orbit", "", Self.password + "x"] {
            let told = try #require(try await Self.refusal(Self.uri(server, password: wrong, "sslmode=disable")))
            #expect(told.contains("password"), "\(told)")
            #expect(!told.contains("lantern") && !told.contains("orbit"), "\(told)")
            #expect(told.split(whereSeparator: \.isNewline).count == 1)
        }
        await onThreadQuietly { server.kill() }
    }

    @Test("a password from the .pgpass that the URI names; one that others may read is not used")
    func passfile() async throws {
        let server = try await Self.server(rules: Self.withoutTLS)
        let escaped = Self.password.replacingOccurrences(of: #"\"#, with: #"\\"#).replacingOccurrences(of: ":", with: #"\:"#)
        let lines = [
            "127.0.0.1:1:postgres:app:of-another-server", "127.0.0.1:\(server.port):postgres:app:\(escaped)", "*:*:*:*:of-anybody",
        ]
        let file = try TestCertificates.file(lines.joined(separator: "\n") + "\n")
        defer { unlink(file) }
        let uri = Self.uri(server, password: nil, "sslmode=disable&passfile=\(file)")
        chmod(file, 0o600)
        #expect(try await Self.text("SELECT current_user::text", uri) == "app")
        chmod(file, 0o644)
        #expect(try await Self.refusal(uri)?.contains("no password supplied") == true)
        // And what it says for somebody else is not his password.
        chmod(file, 0o600)
        let other = try #require(try await Self.refusal(uri.replacingOccurrences(of: "//app@", with: "//gatehouse@")))
        #expect(other.contains("password") && !other.contains("of-anybody") && !other.contains("lantern"), "\(other)")
        await onThreadQuietly { server.kill() }
    }

    @Test("TLS with the name checked, and SCRAM bound to it")
    func verified() async throws {
        let server = try await Self.encrypted()
        let own = try TestCertificates.file(TestCertificates.oneCertificate)
        defer { unlink(own) }
        let verified = "sslmode=verify-full&sslrootcert=\(own)"
        let version = "SELECT coalesce(version, 'none') FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        for (host, more) in [("127.0.0.1", ""), ("localhost", "&hostaddr=127.0.0.1"), ("127.0.0.1", "&channel_binding=require")] {
            #expect(try await Self.text(version, Self.uri(server, host: host, verified + more)).hasPrefix("TLSv1."), "\(host) \(more)")
        }
        let test = try await TestStore(uri: Self.uri(server, verified), connections: 2)
        _ = try await test.openSession(try await test.account("alice"))
        let all = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'gatehouse'"
        #expect(try await onThread { try server.statement(all) } == "t")
        await onThreadQuietly { server.kill() }
    }

    @Test("a wrong name, an unknown authority, a server or a client without TLS, and a wrong password are refused")
    func refused() async throws {
        let (server, plain) = (try await Self.encrypted(), try await Self.server(rules: Self.withoutTLS))
        let own = try TestCertificates.file(TestCertificates.oneCertificate)
        let foreign = try TestCertificates.file(TestCertificates.twoCertificate)
        defer { for file in [own, foreign] { unlink(file) } }
        let rows = [
            (Self.uri(server, host: "db.example", "hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert=\(own)"), "does not match host name"),
            (Self.uri(server, "sslmode=verify-full&sslrootcert=\(foreign)"), "certificate verify failed"),
            (Self.uri(server, "sslmode=verify-full&sslrootcert=/nowhere/ca.pem"), "does not exist"),
            (Self.uri(plain, "sslmode=verify-full&sslrootcert=\(own)"), "does not support SSL"),
            (Self.uri(server, "sslmode=disable"), "no encryption"),
            (Self.uri(server, password: "wrong-lantern-orbit", "sslmode=verify-full&sslrootcert=\(own)"), "password authentication failed"),
            (Self.uri(plain, "sslmode=disable&channel_binding=require"), "channel binding"),
        ]
        for (uri, expected) in rows {
            let told = try await Self.refusal(uri)
            #expect(told?.contains(expected) == true, "\(uri): \(told ?? "it got in")")
            #expect(told?.contains("lantern") != true && told?.contains("orbit") != true)
        }
        await onThreadQuietly {
            server.kill()
            plain.kill()
        }
    }
}
