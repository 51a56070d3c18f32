import AuthCore
import Testing
import TokenVerification

@testable import TokenKeys
@testable import gatehouse

/// A client with a key of its own, which makes assertions (RFC 7523 §2.2).
struct AssertingClient: Sendable {
    private let key: PrivateKey
    private let verification: VerificationKey

    init() throws {
        key = try PrivateKey(generating: .es256)
        verification = try key.verificationKey(id: "one")
    }

    /// Its key set, as JSON.
    var jwks: String {
        var key = verification.publicJWK
        (key["kid"], key["alg"]) = (.string("one"), .string("ES256"))
        return String(decoding: JSONValue.object(JSONObject([("keys", .array([.object(key)]))])).encoded, as: UTF8.self)
    }

    /// What it sends in the place of a secret.
    func proof(_ id: String, _ number: String, at now: Instant) throws -> [(String, String)] {
        let claims = JSONObject([
            ("iss", .string(id)), ("sub", .string(id)), ("aud", .string("http://localhost:8080")), ("jti", .string(number)),
            ("iat", .number(JSONNumber(now.seconds))), ("exp", .number(JSONNumber(now.seconds + 60))),
        ])
        let header = JSONObject([("alg", .string("ES256")), ("kid", .string("one"))])
        let input = [header, claims].map { Base64URL.encode(JSONValue.object($0).encoded) }.joined(separator: ".")
        let assertion = input + "." + Base64URL.encode(try key.signature(for: Array(input.utf8)))
        return [
            ("client_assertion", assertion), ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ]
    }
}

@Suite("private_key_jwt of clients that come by themselves")
struct RegisteredKeyTests {
    /// The whole way, with `key` and then with another's.
    private func flow(_ test: TestNode, _ client: TestClient, _ key: AssertingClient) async throws {
        try await test.node.keys.maintain()
        let (_, code) = try await test.authorized(client)
        let form = [
            ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", client.redirectURI), ("code_verifier", client.verifier),
        ]
        #expect(await client.token(test, form).error == "invalid_client")
        let foreign = try AssertingClient().proof(client.id, "1", at: test.clock.now)
        #expect(await client.token(test, form + foreign).error == "invalid_client")
        let proof = try key.proof(client.id, "2", at: test.clock.now)
        #expect(await client.token(test, form + proof).status == 200)
        #expect(await client.token(test, form + proof).error == "invalid_client", "an assertion counts once")
    }

    @Test("RFC 7591 §2: a client that registers its keys has no secret, and proves itself by them")
    func registered() async throws {
        let test = try await TestNode.registering()
        let key = try AssertingClient()
        let answer = await test.register(
            #"{\#(RegistrationFlowTests.redirect),"token_endpoint_auth_method":"private_key_jwt","jwks":\#(key.jwks)}"#)
        #expect(answer.status == 201 && answer.json["client_secret"] == nil)
        try await flow(test, TestClient(answer), key)
    }

    @Test("a client that registers jwks_uri proves itself by what is there when it comes")
    func fetched() async throws {
        let (documents, key) = (Documents(), try AssertingClient())
        documents.put("https://client.example/jwks", key.jwks)
        let test = try await TestNode.registering(calls: documents)
        let answer = await test.register(
            #"{\#(RegistrationFlowTests.redirect),"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://client.example/jwks"}"#
        )
        #expect(answer.status == 201 && documents.asked.isEmpty)
        try await flow(test, TestClient(answer), key)
        #expect(documents.asked.contains("https://client.example/jwks"))
    }

    @Test("a client that is a document proves itself by the keys in it", arguments: [true, false])
    func document(_ saysMethod: Bool) async throws {
        let key = try AssertingClient()
        let method = #","token_endpoint_auth_method":"none""#
        let said = saysMethod ? #","token_endpoint_auth_method":"private_key_jwt""# : ""
        let text = ClientDocumentTests.document(ClientDocumentTests.id, #","application_type":"native","jwks":\#(key.jwks)"#).replacing(
            method, with: said)
        let test = try await TestNode.registering(
            "off", ["--registration.documents", "true"], calls: Documents([ClientDocumentTests.id: text]))
        try await flow(test, TestClient(id: ClientDocumentTests.id, redirectURI: "https://app.example/cb"), key)
    }
}
