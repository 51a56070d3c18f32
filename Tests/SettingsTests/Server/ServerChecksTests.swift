import AuthCore
import Testing

@testable import Settings

@Suite("Settings: values against one another")
struct ServerChecksTests {
    @Test(
        "an issuer is an https origin, or http on loopback (RFC 8414 §2)",
        arguments: [
            "https://id.example.com", "https://id.example.com:8443", "http://localhost", "http://localhost:8080", "http://127.0.0.1:8080",
            "http://[::1]:8080", "http://app.localhost:1", "https://[2001:db8::1]",
        ]
    )
    func issuers(text: String) throws {
        #expect(try Issuer(text).text == text)
        #expect(try World().load(["--issuer", text]).settings.issuer.text == text)
    }

    @Test(
        "any other issuer is refused",
        arguments: [
            "id.example.com", "ftp://id.example.com", "http://id.example.com", "http://10.0.0.1", "https://id.example.com/",
            "https://id.example.com/a",
            "https://id.example.com?a=b", "https://id.example.com#a", "https://u@id.example.com", "https://u:p@id.example.com",
            "https://ID.example.com",
            "https://id.example.com:443", "http://localhost:80", "https://id.example.com:0", "https://id.example.com:99999", "https://",
            "https://a b",
            "https://id.ex\u{e4}mple.com", "https://id.example.com:", "HTTPS://id.example.com", "https://evil.test\\@id.example.com",
            "https://1.2.3",
            "http://localhost.example.com", "https://\(String(repeating: "a.", count: 200))com",
        ]
    )
    func badIssuers(text: String) {
        #expect(throws: Issuer.Fault.self) { try Issuer(text) }
        #expect(World().load(["--issuer", text]).problems.contains { $0.key == "issuer" })
    }

    @Test("RS256 cannot be left out of keys.id_token_algorithms: a client that names none is promised it (OpenID Connect Registration §2)")
    func tokenAlgorithms() throws {
        let key = SettingKey(
            "keys.id_token_algorithms", .list(.choice(["RS256", "ES256", "EdDSA", "PS256"])), default: "RS256,ES256,EdDSA", "")
        for without in ["ES256", "ES256,EdDSA,PS256", ""] {
            let loaded = World().load(["--keys.id_token_algorithms", without], moreKeys: [key])
            #expect(loaded.problems.map(\.key) == ["keys.id_token_algorithms"], "\(without)")
            #expect(loaded.text.contains("RS256"), "\(loaded.text)")
        }
        for good in [[], ["--keys.id_token_algorithms", "RS256"], ["--keys.id_token_algorithms", "PS256,RS256"]] {
            #expect(World().load(good, moreKeys: [key]).problems.isEmpty)
        }
    }

    @Test("an issuer that is an address warns: no passkeys")
    func addressIssuer() {
        #expect(World().load(["--issuer", "http://127.0.0.1:8080"]).warnings.map(\.key) == ["issuer"])
        #expect(World().load(["--issuer", "http://localhost:8080"]).warnings.isEmpty)
    }

    @Test("/validate asks for client credentials unless it listens on loopback or the setting says otherwise")
    func requireClient() throws {
        #expect(try World().load(["--listen.auth", "0.0.0.0:8080"]).settings.validateRequiresClient)
        #expect(try World().load(["--listen.auth", "[::]:8080"]).settings.validateRequiresClient)
        #expect(try World().load(["--listen.auth", "[::1]:8080"]).settings.validateRequiresClient == false)
        #expect(try World().load(["--listen.auth", "localhost:8080"]).settings.validateRequiresClient == false)
        let open = World().load(["--listen.auth", "0.0.0.0:8080", "--validate.require_client=false"])
        #expect(try open.settings.validateRequiresClient == false)
        #expect(open.warnings.map(\.key) == ["validate.require_client"])
    }

    @Test("an admin listener that others reach without TLS warns (IN-10)")
    func openAdmin() {
        #expect(World().load(["--listen.admin", "0.0.0.0:9090"]).warnings.map(\.key) == ["listen.admin"])
        let tls = ["--listen.admin.tls.certificate", "c.pem", "--listen.admin.tls.key", "k.pem"]
        #expect(World().load(["--listen.admin", "0.0.0.0:9090"] + tls).warnings.isEmpty)
    }

    @Test("a listener may be written long, with TLS")
    func tls() throws {
        let file =
            "listen:\n  auth: {address: '0.0.0.0:8443', tls: {certificate: c.pem, key: k.pem, client_ca: ca.pem}}\n  admin: {tls: {certificate: /c, key: /k}}"
        let listeners = try World.load(file: file).settings.listeners
        #expect(listeners.auth.address == .tcp(host: "0.0.0.0", port: 8_443))
        #expect(
            listeners.auth.tls
                == ServerSettings.TLS(
                    certificate: "/etc/g/c.pem", key: "/etc/g/k.pem", clientCA: "/etc/g/ca.pem", clientCertificates: .verified))
        #expect(listeners.certificateFiles == ["/etc/g/c.pem", "/etc/g/k.pem", "/etc/g/ca.pem", "/c", "/k"])
        #expect(
            listeners.admin
                == ServerSettings.Listener(
                    address: .tcp(host: "127.0.0.1", port: 9_090),
                    tls: .init(certificate: "/c", key: "/k", clientCA: nil, clientCertificates: .none)))
        #expect(listeners.gateway.tls == nil)
        #expect(try World.load(file: "listen: {control: {address: 'unix:/run/g'}}").settings.listeners.controlPath == "/run/g")
    }

    @Test("client certificates are asked for with client_ca, or when it is said so")
    func clientCertificates() throws {
        func mode(_ members: String) throws -> ServerSettings.ClientCertificates? {
            let file = "listen: {auth: {address: 'localhost:1', tls: {certificate: c, key: k\(members)}}}"
            return try World.load(file: file).settings.listeners.auth.tls?.clientCertificates
        }
        #expect(try mode("") == ServerSettings.ClientCertificates.none)
        #expect(try mode(", client_certificates: none") == ServerSettings.ClientCertificates.none)
        #expect(try mode(", client_ca: c") == .verified)
        #expect(try mode(", client_ca: c, client_certificates: verified") == .verified)
        #expect(try mode(", client_ca: c, client_certificates: any") == .any)
        #expect(try mode(", client_certificates: any") == .any)
    }

    @Test("the certificates that proxies name are read only where it is said so, and from somebody")
    func clientCertHeader() throws {
        #expect(try World.load(file: "trusted_proxies: [10.0.0.0/8]").settings.clientCertHeader == .none)
        let proxied = "trusted_proxies: [10.0.0.0/8]\nclient_cert_header: verified"
        #expect(try World.load(file: proxied).settings.clientCertHeader == .verified)
        #expect(World.load(file: "client_cert_header: verified").problems.map(\.key) == ["client_cert_header"])
        #expect(World.load(file: "client_cert_header: yes").problems.map(\.key) == ["client_cert_header"])
    }

    @Test(
        "half of a TLS configuration is an error",
        arguments: [
            ("certificate: c", "listen.auth.tls.certificate"), ("key: k", "listen.auth.tls.key"),
            ("client_ca: c", "listen.auth.tls.client_ca"), ("client_certificates: any", "listen.auth.tls.client_certificates"),
            ("certificate: c, key: k, client_certificates: verified", "listen.auth.tls.client_certificates"),
            ("certificate: c, key: k, client_ca: c, client_certificates: none", "listen.auth.tls.client_certificates"),
            ("certificate: c, key: k, client_certificates: maybe", "listen.auth.tls.client_certificates"),
            ("cert: c", "listen.auth.tls.cert"),
        ]
    )
    func halfTLS(member: String, key: String) {
        let loaded = World.load(file: "listen: {auth: {address: 'localhost:1', tls: {\(member)}}}")
        #expect(loaded.problems.map(\.key) == [key])
    }

    @Test("the control socket is unix only, and no address is used twice")
    func addresses() throws {
        #expect(World().load(["--listen.control", "127.0.0.1:9999"]).problems.map(\.key) == ["listen.control"])
        #expect(World().load(["--listen.gateway", "127.0.0.1:8080"]).problems.map(\.key) == ["listen.gateway"])
        #expect(
            try World().load(["--listen.gateway", "127.0.0.1:0", "--listen.auth", "127.0.0.1:0"]).settings.tokens.accessTTL == .seconds(600)
        )
    }

    @Test(
        "values that contradict one another are an error",
        arguments: [
            (["--tokens.access_ttl", "1h", "--tokens.refresh_ttl", "30m"], "tokens.access_ttl"),
            (["--tokens.refresh_reuse_window", "2m", "--tokens.refresh_retry_max", "1m"], "tokens.refresh_reuse_window"),
            (["--tokens.refresh_retry_max", "1h", "--tokens.refresh_ttl", "30m"], "tokens.refresh_retry_max"),
            (["--keys.jwks_max_age", "1h", "--keys.rotate_every", "1h"], "keys.jwks_max_age"),
            (["--lockout.delay", "1m", "--lockout.delay_max", "30s"], "lockout.delay"),
            (["--passwords.memory_kib", "1048576", "--passwords.iterations", "5"], "passwords.memory_kib"),
            (["--lockout.free_attempts", "50", "--lockout.failures_max", "10"], "lockout.free_attempts"),
        ]
    )
    func contradictions(arguments: [String], key: String) { #expect(World().load(arguments).problems.map(\.key) == [key]) }

    @Test("equal durations are fine where the contract says not above")
    func equal() throws {
        let arguments = ["--tokens.refresh_reuse_window", "1m", "--tokens.refresh_retry_max", "1m"]
        #expect(try World().load(arguments).settings.tokens.refreshRetryMax == .seconds(60))
    }

    @Test(
        "a trusted proxy is an address range",
        arguments: ["10.0.0.0/33", "10.0.0", "proxy.local", "fd00::/129", "10.0.0.0/8/8", "/8", "10.0.0.0/+8"])
    func proxies(text: String) {
        #expect(World().load(["--trusted_proxies", "10.0.0.0/8,\(text)"]).problems.map(\.key) == ["trusted_proxies"])
    }

    @Test("trusting everybody warns")
    func everybody() { #expect(World().load(["--trusted_proxies", "0.0.0.0/0"]).warnings.map(\.key) == ["trusted_proxies"]) }

    @Test(
        "the log is for people on a terminal, or when the setting says so",
        arguments: [("auto", true, true), ("auto", false, false), ("human", false, true), ("json", true, false)])
    func logFormat(format: String, isTerminal: Bool, isForPeople: Bool) throws {
        #expect(try World(isTerminal: isTerminal).load(["--log.format", format]).settings.logging.isForPeople == isForPeople)
    }
}

@Suite("RFC 8705 §5: the listener for clients with certificates")
struct MutualTLSSettingTests {
    private let listener = "listen: {auth_mtls: {address: 'localhost:8444', tls: {certificate: c, key: k, client_ca: ca}}}"

    @Test("there is none unless it is set, with the origin that it is reached at")
    func given() throws {
        #expect(try World().load([]).settings.listeners.authMTLS == nil)
        #expect(try World().load([]).settings.mutualTLSOrigin == nil)
        let settings = try World.load(file: "mtls_url: https://mtls.example.com\n\(listener)").settings
        #expect(settings.mutualTLSOrigin?.text == "https://mtls.example.com")
        #expect(settings.listeners.authMTLS?.tls?.clientCertificates == .verified)
        #expect(settings.listeners.certificateFiles == ["/etc/g/c", "/etc/g/k", "/etc/g/ca"])
        // A proxy that asks for them needs no listener.
        let proxied = World.load(
            file: "mtls_url: https://mtls.example.com\ntrusted_proxies: [10.0.0.0/8]\nclient_cert_header: verified")
        #expect(try proxied.settings.mutualTLSOrigin != nil && proxied.settings.listeners.authMTLS == nil)
        #expect(proxied.warnings.isEmpty)
    }

    @Test("what would leave clients without one, or browsers with one, is said")
    func refused() throws {
        #expect(World.load(file: listener).problems.map(\.key) == ["listen.auth_mtls"])
        let plain = "mtls_url: https://mtls.example.com\nlisten: {auth_mtls: 'localhost:8444'}"
        #expect(World.load(file: plain).problems.map(\.key) == ["listen.auth_mtls"])
        let silent = "mtls_url: https://m.example\nlisten: {auth_mtls: {address: 'localhost:1', tls: {certificate: c, key: k}}}"
        #expect(World.load(file: silent).problems.map(\.key) == ["listen.auth_mtls"])
        let nowhere = "listen: {auth_mtls: {tls: {certificate: c, key: k}}}"
        #expect(
            Set(World.load(file: nowhere).problems.map(\.key)) == ["listen.auth_mtls.tls.certificate", "listen.auth_mtls.tls.key"])
        for text in ["http://localhost:8444", "https://m.example/", "https://m.example/x", "m.example", "http://m.example"] {
            #expect(World.load(file: "mtls_url: '\(text)'\n\(listener)").problems.map(\.key) == ["mtls_url"], "\(text)")
        }
        let same = "issuer: https://id.example\nmtls_url: https://id.example\n\(listener)"
        #expect(World.load(file: same).problems.map(\.key) == ["mtls_url"])
        #expect(World.load(file: "mtls_url: https://m.example").warnings.map(\.key) == ["mtls_url"])
        let both =
            "mtls_url: https://m.example\nlisten: {auth: {address: 'localhost:1', tls: {certificate: c, key: k, client_ca: a}}, "
            + "auth_mtls: {address: 'localhost:2', tls: {certificate: c, key: k, client_ca: a}}}"
        #expect(World.load(file: both).warnings.map(\.key) == ["listen.auth.tls.client_certificates"])
        let open = "mtls_url: https://m.example\n" + listener.replacing("localhost", with: "0.0.0.0")
        #expect(try World.load(file: open).settings.validateRequiresClient)
    }
}
