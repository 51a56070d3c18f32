import AuthCore
import OAuthServer
import Testing
import TokenVerification

@testable import gatehouse

extension ProvingClient {
    /// The keys of both, the second one under the name `other`.
    static func jwks(_ first: ProvingClient, _ second: ProvingClient) -> String {
        let other = second.jwks.replacing("\"device\"", with: "\"other\"").dropFirst(#"{"keys":["#.count)
        return first.jwks.dropLast(2) + "," + other
    }
}

// What stands in a request object and what beside it, and whose algorithm counts.
extension RequestObjectTests {
    private static let both = TestClient(id: "both", redirectURI: "https://both.example.com/cb")

    /// A node with clients of two keys: ES256 and, named `other`, that of `second`.
    private static func node(_ first: ProvingClient, _ second: ProvingClient) async throws -> TestNode {
        let base = """
            grants: [authorization_code], scopes: [openid, "orders:read"], first_party: true, token_endpoint_auth_method: private_key_jwt, \
            authorization_details_types: [payment], jwks: \(ProvingClient.jwks(first, second))
            """
        return try await TestNode.proving(
            first,
            """
              - {id: both, redirect_uris: ["https://both.example.com/cb"], \(base)}
              - {id: one, redirect_uris: ["https://one.example.com/cb"], request_object_signing_alg: ES256, \(base)}
              - {id: bank, redirect_uris: ["https://bank.example.com/cb"], profile: fapi-2.0, dpop_bound_access_tokens: true, \(base)}
            """)
    }

    /// The parameters of `client.request` as claims; those that are nothing are left out.
    private static func claims(_ client: TestClient, _ more: [(String, JSONValue?)] = []) throws -> JSONObject {
        var claims = JSONObject([("iss", .string(client.id)), ("aud", .string(FAPIScene.issuer))])
        for (name, value) in try FormParameters(Array(client.request().split(separator: "?")[1].utf8)).members {
            claims[name] = .string(value)
        }
        for (name, value) in more { claims[name] = value }
        return claims
    }

    private static func target(_ object: String, _ client: TestClient, _ more: [(String, String)] = []) -> String {
        "/authorize?" + FormParameters([("client_id", client.id), ("request", object)] + more.map { (name: $0.0, value: $0.1) }).encoded
    }

    /// Pushed with a good assertion and a good proof.
    private static func push(_ test: TestNode, _ key: ProvingClient, _ client: TestClient, _ form: [(String, String)]) async throws
        -> Answer
    {
        let assertion = JSONObject([
            ("iss", .string(client.id)), ("sub", .string(client.id)), ("aud", .string(FAPIScene.issuer)),
            ("jti", .string("\(test.node.environment.randomBytes(8))")), ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
        ])
        return await client.post(
            test, "/par", [("client_assertion_type", TestNode.assertionType), ("client_assertion", try key.signed(assertion))] + form)
    }

    @Test("RFC 9101 §6.3, AZ-40: state and redirect_uri beside an object that has none count for nothing")
    func beside() async throws {
        let (key, second) = (try ProvingClient(), try ProvingClient(.edDSA))
        let test = try await Self.node(key, second)
        let client = Self.both
        let browser = TestBrowser(test)
        let stateless = try key.signed(try Self.claims(client, [("state", nil)]))
        let back = try await browser.signIn(await browser.get(Self.target(stateless, client, [("state", "outside")]))).parameters()
        #expect(back["code"] != nil && back["state"] == nil)
        // With a bad object the state beside it is the only one (and nothing else of it is done).
        let bad = await TestBrowser(test).get(
            Self.target("x", client, [("state", "outside"), ("redirect_uri", client.redirectURI)]))
        #expect(bad.told["state"] == "outside" && bad.told["error"] == "invalid_request_object")
        let nowhere = try key.signed(try Self.claims(client, [("redirect_uri", nil)]))
        let page = await TestBrowser(test).get(Self.target(nowhere, client, [("redirect_uri", client.redirectURI)]))
        #expect(page.status == 400 && page.location == nil && page.title == "This did not work")
        let pushed = try await Self.push(test, key, client, [("request", nowhere), ("redirect_uri", client.redirectURI)])
        #expect(pushed.status == 400 && pushed.error == "invalid_request")
        // Under the profile, without openid too (FAPI 2.0 §5.3.2.2).
        let bank = TestClient(id: "bank", redirectURI: "https://bank.example.com/cb")
        let exp = JSONValue.number(JSONNumber(test.clock.now.seconds + 60))
        for (uri, status) in [(JSONValue?.none, 400), (.string(bank.redirectURI), 201)] {
            let claims = try Self.claims(bank, [("redirect_uri", uri), ("scope", .string("orders:read")), ("exp", exp)])
            let answer = try await Self.push(
                test, key, bank, [("request", try key.signed(claims)), ("redirect_uri", bank.redirectURI)])
            #expect(answer.status == status, "\(answer.text("error_description"))")
            if status == 400 { #expect(answer.error == "invalid_request") }
        }
    }

    @Test("RFC 9101 §4: numbers, lists, objects and truth values are read as the parameters that they stand for")
    func typed() async throws {
        let (key, second) = (try ProvingClient(), try ProvingClient(.edDSA))
        let test = try await Self.node(key, second)
        let client = Self.both
        let browser = TestBrowser(test)
        func ask(_ more: [(String, JSONValue?)]) async throws -> TestBrowser.Seen {
            await browser.get(Self.target(try key.signed(try Self.claims(client, more)), client))
        }
        #expect(try await browser.signIn(await ask([])).parameters()["code"] != nil)
        try await test.advance(.seconds(60))
        let none = ("prompt", JSONValue?.some(.string("none")))
        #expect(try await ask([none, ("max_age", .number(JSONNumber(61)))]).told["code"] != nil)
        #expect(try await ask([none, ("max_age", .number(JSONNumber(59)))]).told["error"] == "login_required")
        #expect(try await ask([("resource", .array([.string("orders")]))]).told["code"] != nil)
        // Each of the list counts.
        #expect(try await ask([("resource", .array([.string("orders"), .string("nowhere")]))]).told["error"] == "invalid_target")
        let acr = try JSONReader.read(#"{"id_token":{"acr":{"essential":true,"values":["urn:nothing"]}}}"#)
        #expect(try await ask([none, ("claims", acr)]).told["error"] == "unmet_authentication_requirements")
        let foreign = try JSONReader.read(#"[{"type":"admin"}]"#)
        #expect(try await ask([("authorization_details", foreign)]).told["error"] == "invalid_authorization_details")
        #expect(try await ask([("state", .bool(true)), ("x", .bool(false))]).told["state"] == "true")
        #expect(try await ask([("state", .number(JSONNumber(7)))]).told["state"] == "7")
        #expect(try await ask([("state", .null)]).told["code"] != nil)
    }

    @Test("RFC 9101 §6.2, AZ-39: with request_object_signing_alg that algorithm alone, by value and pushed")
    func onlyItsAlgorithm() async throws {
        let (key, second) = (try ProvingClient(), try ProvingClient(.edDSA))
        let test = try await Self.node(key, second)
        let one = TestClient(id: "one", redirectURI: "https://one.example.com/cb")
        for (client, signer, kid, isGood) in [
            (Self.both, key, "device", true), (Self.both, second, "other", true), (one, key, "device", true), (one, second, "other", false),
        ] {
            let object = try signer.signed(try Self.claims(client), header: [("kid", .string(kid))])
            let seen = await TestBrowser(test).get(Self.target(object, client, [("redirect_uri", client.redirectURI)]))
            #expect(seen.title.hasPrefix("Sign in") == isGood, "\(client.id) \(kid)")
            if !isGood { #expect(seen.told["error"] == "invalid_request_object") }
            let pushed = try await Self.push(test, key, client, [("request", object)])
            #expect((pushed.status == 201) == isGood, "\(client.id) \(kid): \(pushed.text("error_description"))")
            if !isGood { #expect(pushed.error == "invalid_request_object") }
        }
    }

    @Test("FAPI 2.0 §5.4.1, JW-11: an object of a client of the profile has exp, and is not signed with RS256")
    func profile() async throws {
        let (key, second) = (try ProvingClient(), try ProvingClient(.rs256))
        let test = try await Self.node(key, second)
        let bank = TestClient(id: "bank", redirectURI: "https://bank.example.com/cb")
        let now = test.clock.now.seconds
        func object(_ signer: ProvingClient, _ kid: String, lasting: Int64?) throws -> String {
            let exp = lasting.map { JSONValue.number(JSONNumber(now + $0)) }
            return try signer.signed(try Self.claims(bank, [("exp", exp)]), header: [("kid", .string(kid))])
        }
        let rows: [(String, String, Bool)] = [
            ("as it should be", try object(key, "device", lasting: 60), true), ("no exp", try object(key, "device", lasting: nil), false),
            ("expired", try object(key, "device", lasting: -61), false),
            ("for two hours", try object(key, "device", lasting: 7_200), false),
            ("RS256", try object(second, "other", lasting: 60), false),
        ]
        for (name, object, isGood) in rows {
            let answer = try await Self.push(test, key, bank, [("request", object)])
            #expect((answer.status == 201) == isGood, "\(name): \(answer.text("error_description"))")
            if !isGood { #expect(answer.error == "invalid_request_object", "\(name)") }
        }
        // Without the profile both are good.
        for (signer, kid) in [(key, "device"), (second, "other")] {
            let free = try signer.signed(try Self.claims(Self.both), header: [("kid", .string(kid))])
            #expect(try await Self.push(test, key, Self.both, [("request", free)]).status == 201, "\(kid)")
        }
    }
}

extension SecuredResponseTests {
    @Test("JARM §2.2, §3: in the algorithm that the client registered, RS256 where it chose none")
    func algorithm() async throws {
        let clients = ["ES256", "EdDSA"].map {
            "  - {id: \($0), public: true, first_party: true, grants: [authorization_code], scopes: [openid, \"orders:read\"], "
                + "redirect_uris: [\"http://127.0.0.1:9000/callback\"], authorization_signed_response_alg: \($0)}\n"
        }
        let test = try await TestNode.proving(try ProvingClient(), clients.joined())
        for (id, algorithm) in [("web", "RS256"), ("ES256", "ES256"), ("EdDSA", "EdDSA")] {
            let browser = TestBrowser(test)
            let client = TestClient(id: id)
            for more in [[("prompt", "none")], []] {
                var seen = await browser.get(client.request([("response_mode", "jwt")] + more))
                if seen.title.hasPrefix("Sign in") { seen = await browser.signIn(seen) }
                let response = try #require(try seen.parameters()["response"])
                let header = try JSONReader.read(Base64URL.decode(String(response.prefix { $0 != "." })) ?? []).object
                #expect(header?["alg"]?.string == algorithm, "\(id)")
                let claims = try await test.verified(response, for: id)
                #expect((claims["error"] == nil) == more.isEmpty && (claims["code"] != nil) == more.isEmpty, "\(id)")
            }
        }
    }
}

extension AuthorizationDetailsTests {
    private static let account = #"[{"type":"account","accounts":["DE1","Ä\"2"],"deep":{"a":[1,2.5,true,null]}}]"#

    private static func node() async throws -> TestNode {
        try await TestNode.proving(
            try ProvingClient(),
            """
              - {id: bank, public: true, client_name: Bank, grants: [authorization_code, refresh_token], scopes: [openid, "orders:read"],
                 redirect_uris: ["http://127.0.0.1:9000/callback"], authorization_details_types: [payment, account]}
              - {id: orders-api, secret: 00112233445566778899aabbccddeeff, serves: [orders], grants: [client_credentials], scopes: []}
            """)
    }

    @Test("RFC 9396 §7, §9.1, §9.2: a refreshed token and its answer have the details that were granted, and introspection tells them")
    func kept() async throws {
        let test = try await Self.node()
        let bank = TestClient(id: "bank")
        let code = try await test.authorized(bank, "alice", [("authorization_details", Self.account)]).code
        let tokens = await bank.exchange(code, test)
        let wanted = try JSONReader.read(Self.account)
        let refreshed = await bank.refresh(tokens.text("refresh_token"), test)
        for answer in [tokens, refreshed] {
            #expect(answer.status == 200)
            #expect(answer.json["authorization_details"] == wanted)
            #expect(try answer.claims()["authorization_details"] == wanted)
            let told = await TestClient.ordersAPI.post(test, "/introspect", [("token", answer.text("access_token"))]).json
            #expect(told["active"]?.bool == true && told["authorization_details"] == wanted)
        }
        // Without them nobody is told of any.
        let plain = await bank.exchange(try await test.authorized(bank).code, test)
        #expect(plain.status == 200 && plain.json["authorization_details"] == nil)
        #expect(try plain.claims()["authorization_details"] == nil)
    }

    @Test("RFC 9396 §5, RFC 9126 §2.3: bad details are refused where they are pushed, and too many wherever they come")
    func pushed() async throws {
        let test = try await Self.node()
        let bank = TestClient(id: "bank")
        func push(_ details: String) async throws -> Answer {
            let query = bank.request([("authorization_details", details)]).split(separator: "?")[1]
            return await bank.post(test, "/par", try FormParameters(Array(query.utf8)).members.map { ($0.name, $0.value) })
        }
        #expect(try await push(Self.account).status == 201)
        let many = "[" + Array(repeating: #"{"type":"payment"}"#, count: 65).joined(separator: ",") + "]"
        for details in [#"[{"type":"admin"}]"#, "[]", "{}", "x", #"[{"type":1}]"#, #"["payment"]"#, many] {
            let answer = try await push(details)
            #expect(answer.status == 400 && answer.error == "invalid_authorization_details", "\(details.prefix(30)): \(answer.error ?? "")")
        }
        let back = try await TestBrowser(test).get(bank.request([("authorization_details", many)])).parameters()
        #expect(back["error"] == "invalid_authorization_details")
    }
}
