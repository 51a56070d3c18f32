import AuthCore
import Foundation
import OAuthServer
import Store
import Testing
import TokenVerification

@testable import gatehouse

extension TestNode {
    /// The claims of a JWT that this node has signed for a client, verified by the published keys as a client would do it.
    func verified(_ token: String, for audience: String, type: String? = nil) async throws -> JSONObject {
        var rules = JWTAssertionRules(
            algorithms: [.es256, .rs256, .edDSA], audience: .only(Identifier(audience)))
        rules.issuer = "http://localhost:8080"
        rules.types = type.map { [$0] }
        rules.expiry = .optional
        let jwks = await send("GET", "/.well-known/jwks.json").json
        return try PresentedJWT(Secret(token)).verified(with: .keySet(try ForeignKeys(jwks: jwks)), by: rules, at: clock.now).claims
    }
}

@Suite("RFC 9101 request objects, OpenID Connect Core §6.1", .timeLimit(.minutes(2)))
struct RequestObjectTests {
    private static let issuer = "http://localhost:8080"
    private let signer = TestClient(id: "signer", redirectURI: "https://signer.example.com/cb")

    private func node(_ client: ProvingClient) async throws -> TestNode {
        try await TestNode.proving(
            client,
            """
              - {id: signs-all, grants: [authorization_code], scopes: [openid, "orders:read"], first_party: true,
                 redirect_uris: ["https://all.example.com/cb"], token_endpoint_auth_method: private_key_jwt,
                 require_signed_request_object: true, request_object_signing_alg: ES256, jwks: \(client.jwks)}
            """)
    }

    /// The parameters of `client.request` as claims.
    private func claims(_ client: TestClient, _ more: [(String, String)] = []) throws -> JSONObject {
        let query = client.request(more).split(separator: "?")[1]
        var claims = JSONObject([("iss", .string(client.id)), ("aud", .string(Self.issuer))])
        for (name, value) in try FormParameters(Array(query.utf8)).members { claims[name] = .string(value) }
        return claims
    }

    private func target(_ object: String, _ id: String = "signer", _ more: [(String, String)] = []) -> String {
        "/authorize?" + FormParameters([("client_id", id), ("request", object)] + more.map { (name: $0.0, value: $0.1) }).encoded
    }

    @Test("§5, §6.3: what the client has signed counts, and nothing beside it")
    func counted() async throws {
        let client = try ProvingClient()
        let test = try await node(client)
        let browser = TestBrowser(test)
        let object = try client.signed(claims(signer, [("state", "inside")]))
        let beside = [
            ("state", "outside"), ("scope", "openid offline_access orders:read"), ("response_type", "token"), ("nonce", "other"),
            ("redirect_uri", "https://signer.example.com/cb"), ("prompt", "none"),
        ]
        let back = try await browser.signIn(await browser.get(target(object, "signer", beside))).parameters()
        #expect(back["state"] == "inside" && back["code"] != nil)
        let assertion = JSONObject([
            ("iss", .string("signer")), ("sub", .string("signer")), ("aud", .string(Self.issuer)), ("jti", .string("1")),
            ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
        ])
        let tokens = await test.asserted(
            try client.signed(assertion),
            [
                ("grant_type", "authorization_code"), ("code", back["code"] ?? ""), ("redirect_uri", signer.redirectURI),
                ("code_verifier", signer.verifier),
            ])
        #expect(tokens.status == 200 && tokens.text("scope") == "openid orders:read")
        #expect(try await test.verified(tokens.text("id_token"), for: "signer")["nonce"]?.string == "n-0S6")
    }

    @Test("§6.2, §10: an object that cannot be believed gets the client invalid_request_object, at the redirect beside it or on a page")
    func refused() async throws {
        let (client, other) = (try ProvingClient(), try ProvingClient())
        let test = try await node(client)
        func changed(_ change: (inout JSONObject) -> Void) throws -> String {
            var claims = try claims(signer)
            change(&claims)
            return try client.signed(claims)
        }
        let now = test.clock.now.seconds
        let objects: [(String, String)] = [
            ("another key", try other.signed(claims(signer))),
            ("another issuer", try changed { $0["iss"] = .string("web") }), ("no issuer", try changed { $0["iss"] = nil }),
            ("another audience", try changed { $0["aud"] = .string("https://other.example") }),
            ("no audience", try changed { $0["aud"] = nil }),
            ("expired", try changed { $0["exp"] = .number(JSONNumber(now - 61)) }),
            ("of tomorrow", try changed { $0["nbf"] = .number(JSONNumber(now + 86_400)) }),
            ("another client inside", try changed { $0["client_id"] = .string("web") }),
            ("an object inside", try changed { $0["request"] = .string("x") }),
            ("a reference inside", try changed { $0["request_uri"] = .string("https://a.example/") }),
            // §10.8: it could be taken for the client's own assertion.
            ("its own subject", try changed { $0["sub"] = .string("signer") }),
            ("another type", try client.signed(claims(signer), header: [("kid", .string("device")), ("typ", .string("at+jwt"))])),
            (
                "alg none",
                Base64URL.encode(Array(#"{"alg":"none"}"#.utf8)) + "." + Base64URL.encode(JSONValue.object(try claims(signer)).encoded)
                    + "."
            ), ("no JWT", "x"), ("five parts", "a.b.c.d.e"),
        ]
        for (name, object) in objects {
            let back = await TestBrowser(test).get(target(object, "signer", [("redirect_uri", signer.redirectURI), ("state", "s")]))
            #expect(back.told["error"] == "invalid_request_object", "\(name): \(back.status) \(back.told["error"] ?? "")")
            #expect(back.told["state"] == "s" && back.location?.hasPrefix(signer.redirectURI) == true, "\(name)")
            // Nothing is sent to an address that only the bad object names.
            let page = await TestBrowser(test).get(target(object, "signer", [("redirect_uri", "https://evil.example/")]))
            #expect(page.status == 400 && page.location == nil, "\(name)")
        }
        let typed = try client.signed(claims(signer), header: [("kid", .string("device")), ("typ", .string("oauth-authz-req+jwt"))])
        #expect(await TestBrowser(test).get(target(typed)).title.hasPrefix("Sign in"))
        // Without keys nobody can sign (OpenID Connect Core §3.1.2.6).
        let web = TestClient()
        let unsigned = await TestBrowser(test).get(target(typed, "web", [("redirect_uri", web.redirectURI)]))
        #expect(unsigned.told["error"] == "request_not_supported")
        let both = await TestBrowser(test).get(
            target(typed, "signer", [("redirect_uri", signer.redirectURI), ("request_uri", "urn:ietf:params:oauth:request_uri:x")]))
        #expect(both.told["error"] == "invalid_request")
        let metadata = await test.send("GET", "/.well-known/openid-configuration").json
        #expect(metadata["request_parameter_supported"]?.bool == true)
        #expect(metadata["request_object_signing_alg_values_supported"]?.strings?.contains("none") == false)
    }

    @Test("§10.5: a client that signs all its requests is refused without, also where it pushes; only its algorithm counts")
    func demanded() async throws {
        let client = try ProvingClient()
        let test = try await node(client)
        let all = TestClient(id: "signs-all", redirectURI: "https://all.example.com/cb")
        #expect(try await TestBrowser(test).get(all.request()).parameters()["error"] == "invalid_request")
        #expect(await TestBrowser(test).get(target(try client.signed(claims(all)), "signs-all")).title.hasPrefix("Sign in"))
        func push(_ more: [(String, String)]) async throws -> Answer {
            let assertion = JSONObject([
                ("iss", .string("signs-all")), ("sub", .string("signs-all")), ("aud", .string(Self.issuer)),
                ("jti", .string(UUID().uuidString)), ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
            ])
            return await test.asserted(try client.signed(assertion), [("grant_type", "")] + more, to: "/par")
        }
        let query = all.request().split(separator: "?")[1]
        let plain = try FormParameters(Array(query.utf8)).members.map { ($0.name, $0.value) }
        #expect(try await push(plain).error == "invalid_request")
        let pushed = try await push([("client_id", "signs-all"), ("request", try client.signed(claims(all)))])
        #expect(pushed.status == 201, "\(pushed.text("error_description"))")
        let seen = await TestBrowser(test).get(
            "/authorize?" + FormParameters([("client_id", "signs-all"), ("request_uri", pushed.text("request_uri"))]).encoded)
        #expect(seen.title.hasPrefix("Sign in"))
        // RFC 9126 §3: its refusals are the endpoint's.
        #expect(try await push([("client_id", "signs-all"), ("request", "x")]).error == "invalid_request_object")
    }
}

@Suite("JWT Secured Authorization Response Mode (JARM)", .timeLimit(.minutes(2)))
struct SecuredResponseTests {
    private func response(_ parameters: FormParameters, _ test: TestNode) async throws -> JSONObject {
        try await test.verified(try #require(parameters["response"]), for: "web")
    }

    @Test(
        "§2.3: the answer is one signed JWT with iss, aud and exp, in the query or in a form",
        arguments: ["jwt", "query.jwt", "form_post.jwt"])
    func answered(_ mode: String) async throws {
        let test = try await TestNode.proving(try ProvingClient())
        let browser = TestBrowser(test)
        let web = TestClient()
        let seen = await browser.signIn(await browser.get(web.request([("response_mode", mode)])))
        let parameters = mode == "form_post.jwt" ? FormParameters(seen.fields) : try seen.parameters()
        #expect(parameters.members.map(\.name) == ["response"])
        let claims = try await response(parameters, test)
        #expect(claims["iss"]?.string == "http://localhost:8080" && claims["state"]?.string == "s t/+")
        let lifetime = try #require(claims["exp"]?.int) - test.clock.now.seconds
        #expect((1...600).contains(lifetime))
        #expect(await web.exchange(try #require(claims["code"]?.string), test).status == 200)
        if mode == "form_post.jwt" { #expect(seen.action == web.redirectURI) }
    }

    @Test("§2.3: so is a refusal", arguments: ["jwt", "form_post.jwt"])
    func refused(_ mode: String) async throws {
        let test = try await TestNode.proving(try ProvingClient())
        let seen = await TestBrowser(test).get(TestClient().request([("response_mode", mode), ("prompt", "none")]))
        let claims = try await response(mode == "form_post.jwt" ? FormParameters(seen.fields) : try seen.parameters(), test)
        #expect(claims["error"]?.string == "login_required" && claims["state"]?.string == "s t/+" && claims["code"] == nil)
    }

    @Test("§2.2: an access token is never what such a JWT is taken for")
    func apart() async throws {
        let test = try await TestNode.proving(try ProvingClient())
        let browser = TestBrowser(test)
        let parameters = try await browser.signIn(await browser.get(TestClient().request([("response_mode", "jwt")]))).parameters()
        #expect(await !test.isValid(try #require(parameters["response"])))
    }
}

@Suite("RFC 9396 rich authorization requests", .timeLimit(.minutes(2)))
struct AuthorizationDetailsTests {
    private static let payment = #"[{"type":"payment","amount":{"currency":"EUR","value":"12.50"},"creditor":"Shop & Söhne"}]"#

    private func node() async throws -> TestNode {
        try await TestNode.proving(
            try ProvingClient(),
            """
              - {id: bank, public: true, client_name: Bank, grants: [authorization_code, refresh_token], scopes: [openid, "orders:read"],
                 redirect_uris: ["http://127.0.0.1:9000/callback"], authorization_details_types: [payment, account]}
            """)
    }

    @Test("§3, §7, §9.1: shown for consent, then in the answer, in the token and in introspection")
    func granted() async throws {
        let test = try await node()
        let browser = TestBrowser(test)
        let bank = TestClient(id: "bank")
        let page = await browser.signIn(await browser.get(bank.request([("authorization_details", Self.payment)])))
        #expect(page.title.contains("Bank") || page.html.contains("Bank"))
        let agreed = await browser.submit(page, [("answer", "allow")])
        let tokens = await bank.exchange(try #require(try agreed.parameters()["code"]), test)
        #expect(tokens.status == 200)
        let wanted = try JSONReader.read(Self.payment)
        #expect(tokens.json["authorization_details"] == wanted)
        #expect(try tokens.claims()["authorization_details"] == wanted)
        // Another payment is asked for anew, though the client had consent before.
        let other = Self.payment.replacingOccurrences(of: "12.50", with: "99.00")
        let again = await browser.get(bank.request([("authorization_details", other)]))
        #expect(again.location == nil)
    }

    @Test(
        "§5: a type that is not the client's, or no array of objects with a type, is invalid_authorization_details",
        arguments: [
            #"[{"type":"admin"}]"#, #"[{"type":"payment"},{"type":"admin"}]"#, "[]", "{}", #"{"type":"payment"}"#, #"["payment"]"#, "[{}]",
            #"[{"type":1}]"#, "x", #"[{"type":"payment"}"#, #"[{"type":"Payment"}]"#,
        ])
    func refused(_ details: String) async throws {
        let test = try await node()
        let back = await TestBrowser(test).get(TestClient(id: "bank").request([("authorization_details", details)]))
        #expect(try back.parameters()["error"] == "invalid_authorization_details")
        let web = await TestBrowser(test).get(TestClient().request([("authorization_details", Self.payment)]))
        #expect(try web.parameters()["error"] == "invalid_authorization_details")
    }

    @Test("§10: metadata does not promise types that a client may not use; too much is refused")
    func bounds() async throws {
        let test = try await node()
        let many = "[" + Array(repeating: #"{"type":"payment"}"#, count: 65).joined(separator: ",") + "]"
        let long = #"[{"type":"payment","x":"\#(String(repeating: "y", count: 9_000))"}]"#
        for details in [many, long] {
            let back = await TestBrowser(test).get(TestClient(id: "bank").request([("authorization_details", details)]))
            #expect(back.told["error"] != nil)
        }
    }
}
