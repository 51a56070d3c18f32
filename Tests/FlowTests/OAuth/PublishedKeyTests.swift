import AuthCore
import Foundation
import OAuthServer
import Store
import Synchronization
import TestSupport
import Testing
import TokenVerification

@testable import gatehouse

@Suite("Keys that others publish: jwks_uri, and tokens of workloads", .timeLimit(.minutes(1)))
struct PublishedKeyTests {
    /// A server of key sets that the test may change.
    final class Publisher: Sendable {
        private final class Box: Sendable {
            let text: Mutex<String>
            init(_ text: String) { self.text = Mutex(text) }
        }

        private let box: Box
        let backend: Backend

        init(_ keys: String) async throws {
            let box = Box(keys)
            self.box = box
            backend = try await Backend.start { _ in
                let body = box.text.withLock { $0 }
                return .text("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")
            }
        }

        func publish(_ keys: String) { box.text.withLock { $0 = keys } }
        var url: String { "http://127.0.0.1:\(backend.port)" }
    }

    private func claims(_ test: TestNode, _ more: [(String, JSONValue?)]) -> JSONObject {
        var claims = JSONObject([
            ("aud", .string("http://localhost:8080")), ("jti", .string(UUID().uuidString)),
            ("exp", .number(JSONNumber(test.clock.now.seconds + 60))), ("iat", .number(JSONNumber(test.clock.now.seconds))),
        ])
        for (name, value) in more { claims[name] = value }
        return claims
    }

    @Test("CA-06: a client's keys are fetched once, a new one is found by its kid, and one that is gone proves nothing")
    func published() async throws {
        let (first, second) = (try ProvingClient(), try ProvingClient(.edDSA))
        let publisher = try await Publisher(first.jwks)
        let test = try await TestNode.proving(
            first,
            """
              - {id: far, grants: [client_credentials], scopes: ["orders:read"], token_endpoint_auth_method: private_key_jwt,
                 jwks_uri: "\(publisher.url)/jwks.json"}
            """, settings: ["--outbound.allow", "127.0.0.1:\(publisher.backend.port)"])
        func asserted(_ client: ProvingClient) async throws -> Answer {
            await test.asserted(try client.signed(claims(test, [("iss", .string("far")), ("sub", .string("far"))])))
        }
        for _ in 0..<5 { #expect(try await asserted(first).status == 200) }
        #expect(publisher.backend.requests.count == 1)
        let unknown = try second.signed(
            claims(test, [("iss", .string("far")), ("sub", .string("far"))]), header: [("kid", .string("next"))])
        #expect(await test.asserted(unknown).error == "invalid_client")
        let rotated = second.jwks.replacingOccurrences(of: #""kid":"device""#, with: #""kid":"next""#)
        publisher.publish(rotated)
        try await test.advance(.seconds(120))
        let renewed = try second.signed(
            claims(test, [("iss", .string("far")), ("sub", .string("far"))]), header: [("kid", .string("next"))])
        #expect(await test.asserted(renewed).status == 200)
        #expect(try await asserted(first).error == "invalid_client")
        await publisher.backend.stop()
    }

    @Test("module refresh-token-rp-key-rotation: a client that has new keys refreshes with them, and with the old ones no more")
    func refreshed() async throws {
        let (first, second) = (try ProvingClient(), try ProvingClient(.edDSA))
        let publisher = try await Publisher(first.jwks)
        let test = try await TestNode.proving(
            first,
            """
              - {id: far, grants: [authorization_code, refresh_token], scopes: [openid, offline_access, "orders:read"], first_party: true,
                 redirect_uris: ["https://far.example.com/cb"], token_endpoint_auth_method: private_key_jwt,
                 jwks_uri: "\(publisher.url)/jwks.json"}
            """, settings: ["--outbound.allow", "127.0.0.1:\(publisher.backend.port)"])
        let far = TestClient(id: "far", redirectURI: "https://far.example.com/cb")
        func ask(_ form: [(String, String)], by client: ProvingClient, _ kid: String) async throws -> Answer {
            let assertion = try client.signed(
                claims(test, [("iss", .string("far")), ("sub", .string("far"))]), header: [("kid", .string(kid))])
            return await test.asserted(assertion, form)
        }
        func refresh(_ tokens: Answer, by client: ProvingClient, _ kid: String) async throws -> Answer {
            try await ask([("grant_type", "refresh_token"), ("refresh_token", tokens.text("refresh_token"))], by: client, kid)
        }
        let code = try await test.authorized(far, "alice", [("scope", "openid offline_access orders:read")]).code
        let form = [
            ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", far.redirectURI), ("code_verifier", far.verifier),
        ]
        var tokens = try await ask(form, by: first, "device")
        #expect(tokens.status == 200 && !tokens.text("refresh_token").isEmpty, "\(tokens.text("error_description"))")
        tokens = try await refresh(tokens, by: first, "device")
        #expect(tokens.status == 200)
        #expect(try await refresh(tokens, by: second, "next").error == "invalid_client")
        publisher.publish(second.jwks.replacingOccurrences(of: #""kid":"device""#, with: #""kid":"next""#))
        try await test.advance(.seconds(120))
        let renewed = try await refresh(tokens, by: second, "next")
        #expect(renewed.status == 200, "\(renewed.text("error_description"))")
        #expect(try await refresh(renewed, by: first, "device").error == "invalid_client")
        #expect(try await refresh(renewed, by: second, "next").status == 200)
        await publisher.backend.stop()
    }

    @Test("a workload's token, of the platform that the operator named, is its client's assertion; another's is none")
    func workload() async throws {
        let (platform, other) = (try ProvingClient(.rs256), try ProvingClient(.rs256))
        let publisher = try await Publisher(platform.jwks)
        let test = try await TestNode.proving(
            platform,
            """
              - {id: worker, grants: [client_credentials], scopes: ["orders:read"], token_endpoint_auth_method: private_key_jwt,
                 workload_issuer: "https://cluster.example", workload_subject: "system:serviceaccount:shop:worker",
                 workload_jwks_uri: "\(publisher.url)/openid/v1/jwks"}
            """, settings: ["--outbound.allow", "127.0.0.1:\(publisher.backend.port)"])
        let subject = JSONValue.string("system:serviceaccount:shop:worker")
        func presented(_ signer: ProvingClient, _ more: [(String, JSONValue?)] = []) async throws -> Answer {
            let token = try signer.signed(
                claims(test, [("iss", .string("https://cluster.example")), ("sub", subject), ("jti", nil)] + more))
            return await test.asserted(token, [("client_id", "worker")])
        }
        let answer = try await presented(platform)
        #expect(answer.status == 200, "\(answer.text("error_description"))")
        #expect(try answer.claims()["sub"]?.string == "worker")
        // The platform gives it for longer than a request; it has no jti of one use.
        #expect(try await presented(platform).status == 200)
        let rows: [(String, [(String, JSONValue?)])] = [
            ("another workload", [("sub", .string("system:serviceaccount:shop:other"))]),
            ("another platform", [("iss", .string("https://x.example"))]),
            ("for somebody else", [("aud", .string("https://kubernetes.default.svc"))]), ("no audience", [("aud", nil)]),
            ("expired", [("exp", .number(JSONNumber(test.clock.now.seconds - 61)))]), ("no expiry", [("exp", nil)]),
            ("for a year", [("exp", .number(JSONNumber(test.clock.now.seconds + 31_536_000)))]),
        ]
        for (name, more) in rows { #expect(try await presented(platform, more).error == "invalid_client", "\(name)") }
        #expect(try await presented(other).error == "invalid_client")
        // Of another client it says nothing.
        let token = try platform.signed(claims(test, [("iss", .string("https://cluster.example")), ("sub", subject)]))
        #expect(await test.asserted(token, [("client_id", "signer")]).error == "invalid_client")
        await publisher.backend.stop()
    }
}

@Suite("RFC 8705 §2, §3: clients that prove themselves by a certificate", .timeLimit(.minutes(1)))
struct CertificateClientTests {
    private func certificate(_ identity: TestAuthority.Identity, isVerified: Bool) throws -> ClientCertificate {
        try ClientCertificate(der: identity.der, isVerified: isVerified)
    }

    private func form(_ id: String) -> [UInt8] {
        Array(FormParameters([("grant_type", "client_credentials"), ("client_id", id)]).encoded.utf8)
    }

    private func token(_ test: TestNode, _ id: String, _ certificate: ClientCertificate?) async -> Answer {
        await test.send(
            "POST", "/token", form(id), headers: [("content-type", "application/x-www-form-urlencoded")], certificate: certificate)
    }

    @Test("§2.1, §2.2, CA-07, CA-08: by its name under a trusted CA, or by being the registered one; every other way is invalid_client")
    func proved() async throws {
        let authority = try TestAuthority()
        // The clock of the tests stands some months ahead.
        let lasting: (inout TestAuthority.Wish) -> Void = { $0.validTo = 600 * 86_400 }
        let named = try authority.issue(
            TestAuthority.Wish("pay.example") {
                lasting(&$0); $0.dnsNames = ["pay.example"]
            })
        let other = try authority.issue(
            TestAuthority.Wish("other.example") {
                lasting(&$0); $0.dnsNames = ["other.example"]
            })
        let own = try TestAuthority("own").issue(TestAuthority.Wish("own", lasting))
        let spent = try authority.issue(TestAuthority.Wish("pay.example") { $0.dnsNames = ["pay.example"] })
        let key = try ProvingClient()
        let jwks = key.jwks.replacingOccurrences(of: #""kid":"#, with: #""x5c":["\#(Base64.encode(own.der))"],"kid":"#)
        let test = try await TestNode.proving(
            key,
            """
              - {id: pki, grants: [client_credentials], scopes: ["orders:read"], token_endpoint_auth_method: tls_client_auth,
                 tls_client_auth_san_dns: pay.example, tls_client_certificate_bound_access_tokens: true}
              - {id: self, grants: [client_credentials], scopes: ["orders:read"], token_endpoint_auth_method: self_signed_tls_client_auth,
                 jwks: \(jwks)}
            """)
        let answer = await token(test, "pki", try certificate(named, isVerified: true))
        #expect(answer.status == 200, "\(answer.text("error_description"))")
        // §3.1: bound to it, and told so.
        let thumbprint = try certificate(named, isVerified: true).thumbprint
        #expect(try answer.claims()["cnf"]?.object?["x5t#S256"]?.string == thumbprint)
        #expect(answer.text("token_type") == "Bearer")
        #expect(await token(test, "self", try certificate(own, isVerified: false)).status == 200)
        let refused: [(String, String, ClientCertificate?)] = [
            ("none", "pki", nil), ("none", "self", nil), ("not chained", "pki", try certificate(named, isVerified: false)),
            ("another name", "pki", try certificate(other, isVerified: true)),
            ("not registered", "self", try certificate(other, isVerified: true)),
            ("expired", "pki", try certificate(spent, isVerified: true)),
            ("a client with a secret", "plain", try certificate(named, isVerified: true)),
            ("an unknown client", "nobody", try certificate(named, isVerified: true)),
        ]
        for (name, id, certificate) in refused {
            let answer = await token(test, id, certificate)
            #expect(answer.status == 401 && answer.error == "invalid_client", "\(name) as \(id): \(answer.status)")
        }
        let secret = await TestClient(id: "pki", secret: "x").token(test, [("grant_type", "client_credentials")])
        #expect(secret.error == "invalid_client")
    }

    @Test("§3: a token that is bound to a certificate is refused at userinfo and the own API without it (CA-10)")
    func bound() async throws {
        let authority = try TestAuthority()
        let wish = TestAuthority.Wish("pay.example") {
            $0.validTo = 600 * 86_400; $0.dnsNames = ["pay.example"]
        }
        let (mine, thief) = (try authority.issue(wish), try authority.issue(wish))
        let test = try await TestNode.proving(
            try ProvingClient(),
            """
              - {id: app, grants: [authorization_code, refresh_token], scopes: [openid, offline_access, "orders:read"], first_party: true,
                 redirect_uris: ["https://app.example.com/cb"], token_endpoint_auth_method: tls_client_auth,
                 tls_client_auth_san_dns: pay.example, tls_client_certificate_bound_access_tokens: true}
            """)
        let app = TestClient(id: "app", redirectURI: "https://app.example.com/cb")
        let browser = TestBrowser(test)
        let code = try #require(try await browser.signIn(await browser.get(app.request())).parameters()["code"])
        let form = FormParameters([
            ("grant_type", "authorization_code"), ("client_id", "app"), ("code", code), ("redirect_uri", app.redirectURI),
            ("code_verifier", app.verifier),
        ])
        let shown = try certificate(mine, isVerified: true)
        let tokens = await test.send(
            "POST", "/token", Array(form.encoded.utf8), headers: [("content-type", "application/x-www-form-urlencoded")], certificate: shown
        )
        #expect(tokens.status == 200, "\(tokens.text("error_description"))")
        let bearer = test.bearer(tokens.text("access_token"))
        #expect(await test.send("GET", "/userinfo", headers: bearer, certificate: shown).status == 200)
        let stolen = await test.send("GET", "/userinfo", headers: bearer, certificate: try certificate(thief, isVerified: true))
        #expect(stolen.status == 401 && stolen.error == "invalid_token")
        #expect(await test.send("GET", "/userinfo", headers: bearer).status == 401)
        // The same name with another key proves the client; what it gets is bound to that one.
        let refresh = FormParameters([
            ("grant_type", "refresh_token"), ("client_id", "app"), ("refresh_token", tokens.text("refresh_token")),
        ])
        let renewed = await test.send(
            "POST", "/token", Array(refresh.encoded.utf8), headers: [("content-type", "application/x-www-form-urlencoded")],
            certificate: try certificate(thief, isVerified: true))
        #expect(renewed.status == 200)
        #expect(try renewed.claims()["cnf"]?.object?["x5t#S256"]?.string == (try certificate(thief, isVerified: true).thumbprint))
    }
}

@Suite("RFC 8705 §5: endpoints that have two names", .timeLimit(.minutes(1)))
struct EndpointAliasTests {
    private static let names = ["http://localhost:8080", "https://mtls.example"]

    private func claims(_ test: TestNode, _ audience: String, of client: String = "signer") -> JSONObject {
        JSONObject([
            ("iss", .string(client)), ("sub", .string(client)), ("aud", .string(audience)), ("jti", .string(UUID().uuidString)),
            ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
        ])
    }

    @Test("an assertion and a proof may name either, the strict ones the issuer alone; without mtls_url there is one name")
    func names() async throws {
        let client = try ProvingClient()
        for isSet in [true, false] {
            let test = try await TestNode.proving(client, settings: isSet ? ["--mtls_url", Self.names[1]] : [])
            let path = "/.well-known/oauth-authorization-server"
            #expect((await test.send("GET", path).json["mtls_endpoint_aliases"] != nil) == isSet)
            for (name, isGood) in [(Self.names[0], true), (Self.names[1], isSet), ("https://other.example", false)] {
                let answer = await test.asserted(try client.signed(claims(test, name + "/token")))
                #expect((answer.status == 200) == isGood, "\(name): \(answer.status)")
                let proof = try client.proof(
                    "POST", name + "/token", token: "", nonce: test.node.oauth.sender.nonce(at: test.clock.now), id: name,
                    at: test.clock.now)
                let form = FormParameters([
                    ("grant_type", "client_credentials"), ("client_id", "plain"), ("client_secret", "0123456789abcdef0123456789abcdef"),
                ])
                let bound = await test.send(
                    "POST", "/token", Array(form.encoded.utf8),
                    headers: [("content-type", "application/x-www-form-urlencoded"), ("dpop", proof)])
                #expect((bound.status == 200) == isGood, "\(name): \(bound.text("error_description"))")
                if !isGood { #expect(bound.error == "invalid_dpop_proof") }
                let strict = await test.asserted(try client.signed(claims(test, name + "/token", of: "strict")))
                #expect(strict.error == "invalid_client")
            }
            // The origin alone, without a path, is the issuer's.
            #expect(await test.asserted(try client.signed(claims(test, Self.names[1]))).error == "invalid_client")
        }
    }
}
