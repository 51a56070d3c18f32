import AuthCore
import Foundation
import Gateway
import OAuthServer
import Store
import TestSupport
import Testing
import TokenVerification

@testable import gatehouse

/// Certificates beyond the client's proof at `/token`, which `CertificateClientTests` have.
@Suite("RFC 8705 §2.2, §3, §4, §5: keys of certificates, and tokens that are bound to them", .timeLimit(.minutes(2)))
struct BoundCertificateTests {
    private let authority: TestAuthority
    private let mine: ClientCertificate
    private let thief: ClientCertificate

    init() throws {
        authority = try TestAuthority()
        (mine, thief) = (try Self.certificate(authority), try Self.certificate(authority))
    }

    /// Of a key of its own each time, for the same name. The clock of the tests stands some months ahead.
    private static func certificate(_ authority: TestAuthority, isVerified: Bool = true) throws -> ClientCertificate {
        let wish = TestAuthority.Wish("pay.example") {
            $0.validTo = 600 * 86_400; $0.dnsNames = ["pay.example"]
        }
        return try ClientCertificate(der: try authority.issue(wish).der, isVerified: isVerified)
    }

    private static let clients = """
          - {id: pki, grants: [client_credentials], scopes: ["orders:read"], token_endpoint_auth_method: tls_client_auth,
             tls_client_auth_san_dns: pay.example, tls_client_certificate_bound_access_tokens: true}
          - {id: teller, secret: 0123456789abcdef0123456789abcdef, grants: [client_credentials], scopes: [], serves: [orders]}
          - {id: tablet, public: true, grants: [authorization_code, refresh_token], first_party: true,
             redirect_uris: ["http://127.0.0.1:9000/callback"], scopes: [openid, "orders:read"],
             tls_client_certificate_bound_access_tokens: true}
        """

    private func post(
        _ test: TestNode, _ path: String, _ form: [(name: String, value: String)], _ certificate: ClientCertificate? = nil,
        headers: [(String, String)] = []
    ) async -> Answer {
        await test.send(
            "POST", path, Array(FormParameters(form).encoded.utf8),
            headers: [("content-type", "application/x-www-form-urlencoded")] + headers, certificate: certificate)
    }

    private func issued(_ test: TestNode) async throws -> String {
        let answer = await post(test, "/token", [("grant_type", "client_credentials"), ("client_id", "pki")], mine)
        try #require(answer.status == 200, "\(answer.text("error_description"))")
        return answer.text("access_token")
    }

    /// A set as clients publish it: a key, and the certificate over it.
    private func set(_ certificate: ClientCertificate, kid: String = "device") throws -> String {
        try ProvingClient().jwks.replacingOccurrences(
            of: #""kid":"device""#, with: #""x5c":["\#(Base64.encode(certificate.der))"],"kid":"\#(kid)""#)
    }

    @Test("§2.2: self_signed_tls_client_auth with jwks_uri: fetched once, looked for once more where none fits, and gone with the set")
    func published() async throws {
        let own = try TestAuthority("own")
        let (first, second) = (try Self.certificate(own, isVerified: false), try Self.certificate(own, isVerified: false))
        let publisher = try await PublishedKeyTests.Publisher(try set(first))
        let test = try await TestNode.proving(
            try ProvingClient(),
            """
              - {id: far, grants: [client_credentials], scopes: ["orders:read"], jwks_uri: "\(publisher.url)/jwks.json",
                 token_endpoint_auth_method: self_signed_tls_client_auth}
            """, settings: ["--outbound.allow", "127.0.0.1:\(publisher.backend.port)"])
        func token(_ certificate: ClientCertificate?) async -> Answer {
            await post(test, "/token", [("grant_type", "client_credentials"), ("client_id", "far")], certificate)
        }
        // Nobody is asked for a client that shows none.
        #expect(await token(nil).error == "invalid_client")
        #expect(publisher.backend.requests.isEmpty)
        for _ in 0..<3 { #expect(await token(first).status == 200) }
        #expect(publisher.backend.requests.count == 1)
        // A stranger's makes nobody ask for it more often than the pause allows.
        for _ in 0..<3 { #expect(await token(thief).error == "invalid_client") }
        #expect(publisher.backend.requests.count <= 2)
        publisher.publish(try set(second, kid: "next"))
        try await test.advance(.seconds(120))
        #expect(await token(second).status == 200)
        let answer = await token(first)
        #expect(answer.status == 401 && answer.error == "invalid_client")
        await publisher.backend.stop()
        // Where they cannot be had, nobody is proved; it is not told why.
        try await test.advance(.seconds(7 * 86_400))
        let gone = await token(second)
        #expect(gone.status == 401 && gone.error == "invalid_client")
    }

    @Test("§3: at the gateway and at /forward-auth a bound token passes with its certificate alone (CA-10)")
    func gateway() async throws {
        let test = try await TestNode.proving(try ProvingClient(), Self.clients, settings: ["--trusted_proxies", "127.0.0.0/8"])
        let token = try await issued(test)
        func gateway(_ headers: [(String, String)], _ certificate: ClientCertificate?) -> String {
            let facts = RequestFacts(
                method: "GET", target: Array("/orders".utf8), headers: Headers([("host", "localhost:8000")] + headers),
                clientCertificate: certificate)
            switch test.node.decider.decide(facts, mayAsk: false) {
            case .forward: return "forward"
            case .refuse(let refusal): return "\(refusal.response.status) \(refusal.reason)"
            case .ask: return "ask"
            }
        }
        #expect(gateway(test.bearer(token), mine) == "forward")
        #expect(gateway(test.bearer(token), thief) == "401 invalid_proof")
        #expect(gateway(test.bearer(token), nil) == "401 proof_required")
        // A token that is bound to none passes, whatever certificate is shown.
        let plain = await TestClient(id: "plain", secret: "0123456789abcdef0123456789abcdef").token(
            test, [("grant_type", "client_credentials")]
        ).text("access_token")
        #expect(gateway(test.bearer(plain), thief) == "forward")
        // Under the other scheme a proof of a key makes up for nothing: the token is bound to no key.
        let device = try ProvingClient()
        let nonce = test.node.proofDesk.nonces.nonce(at: test.clock.now)
        for (id, certificate) in [("a", mine), ("b", thief)] {
            let proof = try device.proof(
                "GET", "http://localhost:8000/orders", token: token, nonce: nonce, id: id, at: test.clock.now)
            #expect(gateway([("authorization", "DPoP \(token)"), ("dpop", proof)], certificate).hasPrefix("401"), "\(id)")
        }

        let asked = test.bearer(token) + [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/orders"), ("x-forwarded-host", "h")]
        for (certificate, status) in [(mine, 200), (thief, 401), (nil, 401)] {
            #expect(await test.send("GET", "/forward-auth", headers: asked, certificate: certificate).status == status)
        }
    }

    @Test("§3.2, RFC 9449 §6.2, RFC 9701 §5: introspection tells cnf, and the type of a token that is bound to a DPoP key")
    func introspected() async throws {
        let device = try ProvingClient()
        let test = try await TestNode.proving(device, Self.clients)
        let nonce = test.node.oauth.sender.nonce(at: test.clock.now)
        let proof = try device.proof("POST", "http://localhost:8080/token", nonce: nonce, id: "1", at: test.clock.now)
        let plain = TestClient(id: "plain", secret: "0123456789abcdef0123456789abcdef")
        let keyed = await plain.token(test, [("grant_type", "client_credentials")], headers: [("dpop", proof)]).text("access_token")
        let unbound = await plain.token(test, [("grant_type", "client_credentials")]).text("access_token")
        let rows: [(token: String, type: String, cnf: [String: String])] = [
            (keyed, "DPoP", ["jkt": device.jkt]), (try await issued(test), "Bearer", ["x5t#S256": mine.thumbprint]),
            (unbound, "Bearer", [:]),
        ]
        for row in rows {
            let form = [
                (name: "token", value: row.token), (name: "client_id", value: "teller"),
                (name: "client_secret", value: "0123456789abcdef0123456789abcdef"),
            ]
            // Twice: the second is answered from what the first left in memory.
            for accept in ["application/json", "application/json", "application/token-introspection+jwt"] {
                let answer = await post(test, "/introspect", form, headers: [("accept", accept)])
                var told = answer.json
                if accept != "application/json" {
                    let parts = String(decoding: answer.body, as: UTF8.self).split(separator: ".")
                    try #require(parts.count == 3)
                    let claims = try #require(try JSONReader.read(Base64URL.decode(String(parts[1])) ?? []).object)
                    told = try #require(claims["token_introspection"]?.object)
                }
                #expect(told["active"]?.bool == true, "\(row.type) \(accept)")
                #expect(told["token_type"]?.string == row.type, "\(row.type) \(accept)")
                let cnf = (told["cnf"]?.object?.members ?? []).map { ($0.name, $0.value.string ?? "") }
                #expect(Dictionary(cnf) { $1 } == row.cnf, "\(row.type) \(accept)")
            }
        }
    }

    @Test("§4: a public client's access and refresh tokens are bound to its certificate; without one it gets nothing")
    func publicClient() async throws {
        let test = try await TestNode.proving(try ProvingClient(), Self.clients)
        let tablet = TestClient(id: "tablet")
        func code() async throws -> String {
            let browser = TestBrowser(test)
            return try #require(try await browser.signIn(await browser.get(tablet.request())).parameters()["code"])
        }
        func redeem(_ certificate: ClientCertificate?) async throws -> Answer {
            await post(
                test, "/token",
                [
                    ("grant_type", "authorization_code"), ("client_id", "tablet"), ("code", try await code()),
                    ("redirect_uri", tablet.redirectURI), ("code_verifier", tablet.verifier),
                ], certificate)
        }
        #expect(try await redeem(nil).error == "invalid_request")
        let tokens = try await redeem(mine)
        #expect(tokens.status == 200 && tokens.text("token_type") == "Bearer")
        #expect(try tokens.claims()["cnf"]?.object?["x5t#S256"]?.string == mine.thumbprint)
        func refresh(_ certificate: ClientCertificate?) async -> Answer {
            await post(
                test, "/token",
                [("grant_type", "refresh_token"), ("client_id", "tablet"), ("refresh_token", tokens.text("refresh_token"))], certificate)
        }
        #expect(await refresh(thief).error == "invalid_grant")
        #expect(await refresh(nil).error == "invalid_request")
        let renewed = await refresh(mine)
        #expect(renewed.status == 200)
        #expect(try renewed.claims()["cnf"]?.object?["x5t#S256"]?.string == mine.thumbprint)
    }

    @Test("§3: a client that proves itself otherwise, and whose tokens must be bound to a certificate, gets none without")
    func otherwiseProved() async throws {
        let client = try ProvingClient()
        let test = try await TestNode.proving(
            client,
            """
              - {id: signing, grants: [client_credentials], scopes: ["orders:read"], token_endpoint_auth_method: private_key_jwt,
                 jwks: \(client.jwks), tls_client_certificate_bound_access_tokens: true}
            """)
        func ask(_ certificate: ClientCertificate?) async throws -> Answer {
            let claims = JSONObject([
                ("iss", .string("signing")), ("sub", .string("signing")), ("aud", .string("http://localhost:8080")),
                ("jti", .string(UUID().uuidString)), ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
            ])
            return await post(
                test, "/token",
                [
                    ("grant_type", "client_credentials"), ("client_assertion_type", TestNode.assertionType),
                    ("client_assertion", try client.signed(claims)),
                ], certificate)
        }
        let without = try await ask(nil)
        #expect(without.status == 400 && without.error == "invalid_request")
        let bound = try await ask(mine)
        #expect(try bound.claims()["cnf"]?.object?["x5t#S256"]?.string == mine.thumbprint)
        // Any certificate will do, but none that has run out.
        let spent = try ClientCertificate(der: try authority.issue(TestAuthority.Wish("pay.example")).der, isVerified: true)
        #expect(try await ask(spent).error == "invalid_request")
    }

    @Test("§5, RFC 9449 §4.3 (9): a proof for the alias of userinfo is good under that name alone")
    func aliasOfUserinfo() async throws {
        let device = try ProvingClient()
        let (issuer, alias) = ("http://localhost:8080", "https://mtls.example")
        let test = try await TestNode.proving(device, settings: ["--mtls_url", alias])
        let browser = TestBrowser(test)
        let web = TestClient()
        let code = try #require(try await browser.signIn(await browser.get(web.request())).parameters()["code"])
        let nonce = test.node.oauth.sender.nonce(at: test.clock.now)
        let proof = try device.proof("POST", issuer + "/token", nonce: nonce, id: "code", at: test.clock.now)
        let form = [
            ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", web.redirectURI), ("code_verifier", web.verifier),
        ]
        let token = await web.token(test, form, headers: [("dpop", proof)]).text("access_token")
        let rows = [
            ("localhost:8080", issuer, 200), ("mtls.example", alias, 200), ("mtls.example", issuer, 401), ("localhost:8080", alias, 401),
            ("mtls.example", "https://other.example", 401), ("other.example", alias, 401),
        ]
        for (number, (host, origin, status)) in rows.enumerated() {
            let nonce = test.node.proofDesk.nonces.nonce(at: test.clock.now)
            let proof = try device.proof(
                "GET", origin + "/userinfo", token: token, nonce: nonce, id: "\(number)", at: test.clock.now)
            let headers = [("authorization", "DPoP \(token)"), ("dpop", proof)]
            let answer = await test.send("GET", "/userinfo", headers: headers, host: host)
            #expect(answer.status == status, "\(host) \(origin)")
        }
    }
}

@Suite("RFC 8414 §2, RFC 8705 §3.3: what metadata says of certificates is what can be done with them (ID-02)")
struct CertificateMetadataTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let settings: [String]
        let methods: Set<String>
    }

    private static let proxies = ["--trusted_proxies", "127.0.0.1/32", "--client_cert_header"]
    private static func tls(_ listener: String, _ more: [String]) -> [String] {
        var settings: [String] = []
        for (name, value) in [("certificate", "/c.pem"), ("key", "/k.pem")] { settings += ["--\(listener).tls.\(name)", value] }
        for pair in more { settings += ["--\(listener).tls.\(pair.prefix { $0 != "=" })", String(pair.split(separator: "=")[1])] }
        return settings
    }

    static let rows = [
        Row(testDescription: "nobody asks for one", settings: [], methods: []),
        Row(testDescription: "TLS without client_ca", settings: tls("listen.auth", []), methods: []),
        Row(testDescription: "client_ca", settings: tls("listen.auth", ["client_ca=/ca.pem"]), methods: ["tls_client_auth"]),
        Row(
            testDescription: "any, without a CA", settings: tls("listen.auth", ["client_certificates=any"]),
            methods: ["self_signed_tls_client_auth"]),
        Row(
            testDescription: "any, with one", settings: tls("listen.auth", ["client_certificates=any", "client_ca=/ca.pem"]),
            methods: ["tls_client_auth", "self_signed_tls_client_auth"]),
        Row(
            testDescription: "a listener of their own",
            settings: ["--mtls_url", "https://mtls.example", "--listen.auth_mtls", "127.0.0.1:0"]
                + tls("listen.auth_mtls", ["client_ca=/ca.pem"]), methods: ["tls_client_auth"]),
        Row(testDescription: "a proxy that verifies", settings: proxies + ["verified"], methods: ["tls_client_auth"]),
        Row(testDescription: "a proxy that passes on any", settings: proxies + ["any"], methods: ["self_signed_tls_client_auth"]),
        Row(testDescription: "a proxy whose field is not read", settings: proxies + ["none"], methods: []),
        Row(testDescription: "at the gateway alone", settings: tls("listen.gateway", ["client_ca=/ca.pem"]), methods: []),
    ]

    @Test("the methods and the flag are there only where such a certificate can arrive; nobody registers another", arguments: rows)
    func told(_ row: Row) async throws {
        let test = try await TestNode.registering("open", row.settings)
        let all: Set<String> = ["tls_client_auth", "self_signed_tls_client_auth"]
        let metadata = await test.send("GET", "/.well-known/oauth-authorization-server").json
        for endpoint in ["token", "introspection", "revocation"] {
            let methods = Set(metadata["\(endpoint)_endpoint_auth_methods_supported"]?.strings ?? [])
            #expect(methods.intersection(all) == row.methods, "\(endpoint)")
            #expect(methods.isSuperset(of: ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"]))
            #expect(methods.contains("none") == (endpoint != "introspection"))
        }
        #expect((metadata["tls_client_certificate_bound_access_tokens"]?.bool ?? false) == !row.methods.isEmpty)

        let redirect = RegistrationFlowTests.redirect
        let key = try ProvingClient().jwks
        for (method, more) in [
            ("tls_client_auth", #""tls_client_auth_san_dns":"a.example""#), ("self_signed_tls_client_auth", #""jwks":\#(key)"#),
        ] {
            let answer = await test.register(#"{\#(redirect),"token_endpoint_auth_method":"\#(method)",\#(more)}"#)
            let isOffered = row.methods.contains(method)
            #expect(answer.status == (isOffered ? 201 : 400), "\(method): \(answer.text("error_description"))")
            if !isOffered { #expect(answer.error == "invalid_client_metadata") }
        }
        let bound = await test.register(#"{\#(redirect),"tls_client_certificate_bound_access_tokens":true}"#)
        #expect(bound.status == (row.methods.isEmpty ? 400 : 201))
        #expect(await test.register(#"{\#(redirect),"tls_client_certificate_bound_access_tokens":false}"#).status == 201)
    }
}
