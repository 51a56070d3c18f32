import AuthCore
import Crypto
import Foundation
import OAuthServer
import Store
import TestSupport
import Testing
import TokenVerification

@testable import TokenKeys
@testable import gatehouse

/// Clients that prove themselves with a key, each in its own way.
extension TestNode {
    static func proving(
        _ client: ProvingClient, _ more: String = "", settings: [String] = [], calls: (any OutgoingCalls)? = nil
    ) async throws -> TestNode {
        let resources = """
            users:
              - {username: alice, email: alice@example.com, password: correct-horse-battery, roles: [customer]}
            clients:
              - {id: signer, grants: [client_credentials, authorization_code, refresh_token], scopes: [openid, offline_access, "orders:read"],
                 redirect_uris: ["https://signer.example.com/cb"], first_party: true, token_endpoint_auth_method: private_key_jwt,
                 jwks: \(client.jwks)}
              - {id: strict, grants: [client_credentials], scopes: ["orders:read"], profile: fapi-2.0, dpop_bound_access_tokens: true,
                 token_endpoint_auth_method: private_key_jwt, jwks: \(client.jwks)}
              - {id: sharer, secret: 0123456789abcdef0123456789abcdef, grants: [client_credentials], scopes: ["orders:read"],
                 token_endpoint_auth_method: client_secret_jwt}
              - {id: pod, grants: [client_credentials], scopes: ["orders:read"], token_endpoint_auth_method: private_key_jwt,
                 workload_issuer: "https://kubernetes.example", workload_subject: "system:serviceaccount:shop:pod", jwks: \(client.jwks)}
              - {id: plain, secret: 0123456789abcdef0123456789abcdef, grants: [client_credentials], scopes: ["orders:read"]}
              - {id: web, public: true, grants: [authorization_code, refresh_token], redirect_uris: ["http://127.0.0.1:9000/callback"],
                 first_party: true, scopes: [openid, offline_access, "orders:read"]}
            \(more)
            resources:
              - {id: orders, scopes: ["orders:read"]}
            roles:
              customer: ["orders:read"]
            routes:
              - {name: orders, match: {path: /orders}, upstream: "http://127.0.0.1:7001", require: {scope: "orders:read"}}
            """
        let test = try await start(settings, resources: resources, calls: calls)
        try await test.node.keys.maintain()
        return test
    }

    static let assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

    func asserted(_ assertion: String, _ more: [(String, String)] = [], to target: String = "/token") async -> Answer {
        var form = [
            ("grant_type", "client_credentials"), ("client_assertion_type", TestNode.assertionType), ("client_assertion", assertion),
        ]
        for (name, value) in more {
            form.removeAll { $0.0 == name }
            if !value.isEmpty { form.append((name, value)) }
        }
        return await send(
            "POST", target, Array(FormParameters(form.map { (name: $0.0, value: $0.1) }).encoded.utf8),
            headers: [("content-type", "application/x-www-form-urlencoded")])
    }
}

@Suite("RFC 7523 §2.2, §3, OpenID Connect Core §9: client assertions", .timeLimit(.minutes(2)))
struct ClientAssertionTests {
    private static let issuer = "http://localhost:8080"

    private func claims(_ test: TestNode, _ id: String = "signer", _ change: (inout JSONObject) -> Void = { _ in }) -> JSONObject {
        var claims = JSONObject([
            ("iss", .string(id)), ("sub", .string(id)), ("aud", .string(Self.issuer)), ("jti", .string(UUID().uuidString)),
            ("iat", .number(JSONNumber(test.clock.now.seconds))), ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
        ])
        change(&claims)
        return claims
    }

    @Test(
        "a signature of the client's key proves it; the audience may be the issuer or the endpoint",
        arguments: [SignatureAlgorithm.es256, .rs256, .edDSA])
    func proved(_ algorithm: SignatureAlgorithm) async throws {
        let client = try ProvingClient(algorithm)
        let test = try await TestNode.proving(client)
        for audience in [Self.issuer, Self.issuer + "/token"] {
            let answer = await test.asserted(try client.signed(claims(test) { $0["aud"] = .string(audience) }))
            #expect(answer.status == 200, "\(answer.text("error_description"))")
            #expect(try answer.claims()["client_id"]?.string == "signer")
        }
        let listed = await test.asserted(try client.signed(claims(test) { $0["aud"] = .array([.string("x"), .string(Self.issuer)]) }))
        #expect(listed.status == 200)
        #expect(await test.asserted(try client.signed(claims(test)), [("client_id", "signer")]).status == 200)
        // Every endpoint that asks for a client takes it, and takes its own address as the audience.
        let pushed = await test.asserted(
            try client.signed(claims(test) { $0["aud"] = .string(Self.issuer + "/introspect") }), [("token", "x")], to: "/introspect")
        #expect(pushed.status == 200)
    }

    @Test("CA-04, CA-05, CA-06: whatever is wrong with it, it proves nothing, and the client is told")
    func refused() async throws {
        let (client, other) = (try ProvingClient(), try ProvingClient())
        let test = try await TestNode.proving(client)
        let now = test.clock.now.seconds
        func number(_ offset: Int) -> JSONValue { .number(JSONNumber(now + Int64(offset))) }
        let rows: [(String, (inout JSONObject) -> Void)] = [
            ("another issuer", { $0["iss"] = .string("plain") }), ("another subject", { $0["sub"] = .string("plain") }),
            ("no issuer", { $0["iss"] = nil }), ("no subject", { $0["sub"] = nil }), ("no audience", { $0["aud"] = nil }),
            ("another audience", { $0["aud"] = .string("http://localhost:8081") }),
            ("the audience with a slash", { $0["aud"] = .string(Self.issuer + "/") }),
            ("the audience of another endpoint", { $0["aud"] = .string(Self.issuer + "/par") }),
            ("no expiry", { $0["exp"] = nil }), ("expired", { $0["exp"] = number(-11) }), ("for two hours", { $0["exp"] = number(7_200) }),
            ("of tomorrow", { $0["nbf"] = number(86_400) }), ("issued tomorrow", { $0["iat"] = number(86_400) }),
            ("no jti", { $0["jti"] = nil }), ("an empty jti", { $0["jti"] = .string("") }),
            ("exp as text", { $0["exp"] = .string("\(now)") }),
        ]
        for (name, change) in rows {
            let answer = await test.asserted(try client.signed(claims(test, "signer", change)))
            #expect(answer.status == 401 && answer.error == "invalid_client", "\(name): \(answer.status)")
        }
        let foreign = await test.asserted(try other.signed(claims(test)))
        #expect(foreign.error == "invalid_client")
        let none = Base64URL.encode(Array(#"{"alg":"none"}"#.utf8)) + "." + Base64URL.encode(JSONValue.object(claims(test)).encoded) + "."
        for text in [none, "x", "a.b.c", "", String(repeating: "a", count: 20_000)] {
            let answer = await test.asserted(text)
            #expect([400, 401].contains(answer.status) && answer.json["access_token"] == nil, "\(text.prefix(20))")
        }
        let type = await test.asserted(try client.signed(claims(test)), [("client_assertion_type", "urn:other")])
        #expect(type.error == "invalid_client")
        #expect(await test.asserted(try client.signed(claims(test)), [("client_assertion_type", "")]).error == "invalid_request")
        // Two ways at once, or two names (RFC 6749 §2.3).
        #expect(await test.asserted(try client.signed(claims(test)), [("client_secret", "x")]).error == "invalid_request")
        #expect(await test.asserted(try client.signed(claims(test)), [("client_id", "plain")]).error == "invalid_client")
        // A client with a secret has no key to be proved by.
        #expect(await test.asserted(try client.signed(claims(test, "plain"))).error == "invalid_client")
        // One that signs cannot name itself only.
        #expect(await test.asserted("", [("client_assertion_type", ""), ("client_id", "signer")]).error == "invalid_client")
    }

    @Test("CA-05: an assertion is good once, also with 64 callers at once, and after it expired")
    func once() async throws {
        let client = try ProvingClient()
        let test = try await TestNode.proving(client)
        let assertion = try client.signed(claims(test))
        let won = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<64 { group.addTask { await test.asserted(assertion).status } }
            return await group.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
        }
        #expect(won == [200: 1, 401: 63])
        try await test.advance(.seconds(65))
        #expect(await test.asserted(assertion).error == "invalid_client")
    }

    @Test("FAPI 2.0 §5.3.2.1: under the profile the issuer alone is the audience, and RS256 is no algorithm")
    func strictAudience() async throws {
        let (client, weak) = (try ProvingClient(), try ProvingClient(.rs256))
        let test = try await TestNode.proving(client)
        // With the audience as it should be, what is missing is the proof of the sender alone.
        let good = await test.asserted(try client.signed(claims(test, "strict")))
        #expect(good.error == "invalid_dpop_proof")
        for audience: JSONValue in [.string(Self.issuer + "/token"), .array([.string(Self.issuer), .string("x")])] {
            #expect(await test.asserted(try client.signed(claims(test, "strict") { $0["aud"] = audience })).error == "invalid_client")
        }
        let other = try await TestNode.proving(weak)
        #expect(await other.asserted(try weak.signed(claims(other, "strict"))).error == "invalid_client")
        #expect(await other.asserted(try weak.signed(claims(other))).status == 200)
    }

    @Test("client_secret_jwt: a MAC with the client's secret, and no other way (OpenID Connect Core §9, JW-03)")
    func shared() async throws {
        let client = try ProvingClient()
        let test = try await TestNode.proving(client)
        func mac(_ secret: String, _ claims: JSONObject, _ name: String = "HS256") -> String {
            let input = Base64URL.encode(Array(#"{"alg":"\#(name)"}"#.utf8)) + "." + Base64URL.encode(JSONValue.object(claims).encoded)
            return input + "."
                + Base64URL.encode(
                    Array(HMAC<SHA256>.authenticationCode(for: Array(input.utf8), using: SymmetricKey(data: Array(secret.utf8)))))
        }
        let secret = "0123456789abcdef0123456789abcdef"
        #expect(await test.asserted(mac(secret, claims(test, "sharer"))).status == 200)
        #expect(await test.asserted(mac("0123456789abcdef0123456789abcdee", claims(test, "sharer"))).error == "invalid_client")
        #expect(await test.asserted(mac(secret, claims(test, "sharer"), "HS512")).error == "invalid_client")
        #expect(await test.asserted(try client.signed(claims(test, "sharer"))).error == "invalid_client")
        #expect(
            await test.asserted("", [("client_assertion_type", ""), ("client_id", "sharer"), ("client_secret", secret)]).error
                == "invalid_client")
        // Who signs with a key is not proved by a MAC with that key's public half, nor with a secret.
        #expect(await test.asserted(mac(client.jwks, claims(test))).error == "invalid_client")
        #expect(await test.asserted(mac(secret, claims(test, "plain"))).error == "invalid_client")
        // Rotated: both are in force, then the first one is not.
        func rotate() async throws -> String {
            let answer = await test.send("POST", "/admin/clients/sharer/secrets", to: .control)
            return answer.text("client_secret")
        }
        let second = try await rotate()
        #expect(await test.asserted(mac(second, claims(test, "sharer"))).status == 200)
        #expect(await test.asserted(mac(secret, claims(test, "sharer"))).status == 200)
        let third = try await rotate()
        #expect(await test.asserted(mac(third, claims(test, "sharer"))).status == 200)
        #expect(await test.asserted(mac(secret, claims(test, "sharer"))).error == "invalid_client")
    }

    @Test("what is kept of a secret says it only where the client signs with it, and opens nowhere else")
    func kept() async throws {
        let test = try await TestNode.proving(try ProvingClient())
        let secrets = test.node.clientSecrets
        let secret = Secret("0123456789abcdef0123456789abcdef")
        let sharer = try #require(try await test.store.client("sharer"))
        let plain = try #require(try await test.store.client("plain"))
        #expect(plain.secretHashes.map(\.count) == [32])
        #expect(sharer.secretHashes.count == 1 && sharer.secretHashes[0].count > 32)
        #expect(!sharer.secretHashes[0].contains(Array(secret.exposed.utf8)))
        #expect(!secrets.matches(secret, sharer.secretHashes))
        var other = sharer.definition
        other.id = "other"
        #expect(secrets.kept(secret, of: other) != sharer.secretHashes[0])
    }
}
