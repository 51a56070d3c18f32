import AuthCore
import OAuthServer
import Testing
import TokenVerification

@testable import gatehouse

// Client assertions at the pushed request endpoint, and in the algorithm that a client has chosen.
extension ClientAssertionTests {
    private static let names = [FAPIScene.issuer, FAPIScene.issuer + "/token", FAPIScene.issuer + "/par"]

    @Test("RFC 9126 §2.1, CA-03: at /par the issuer, the token endpoint and /par are good audiences; nbf and iat may be 10 s ahead")
    func pushed() async throws {
        let scene = try await FAPIScene()
        let twin = TestClient(id: "twin", redirectURI: "https://twin.example.com/cb")
        func push(_ change: (inout JSONObject) -> Void) async throws -> Answer {
            await twin.post(scene.test, "/par", try scene.form(twin) + (try scene.asserted("twin", change)))
        }
        for audience in Self.names {
            let answer = try await push { $0["aud"] = .string(audience) }
            #expect(answer.status == 201, "\(audience): \(answer.text("error_description"))")
        }
        for audience in [FAPIScene.issuer + "/introspect", FAPIScene.issuer + "/", "https://other.example/par"] {
            #expect(try await push { $0["aud"] = .string(audience) }.error == "invalid_client", "\(audience)")
        }
        let now = scene.test.clock.now.seconds
        for name in ["nbf", "iat"] {
            for (ahead, isGood) in [(Int64(8), true), (10, true), (11, false), (61, false)] {
                let answer = try await push { $0[name] = .number(JSONNumber(now + ahead)) }
                #expect((answer.status == 201) == isGood, "\(name) \(ahead): \(answer.status)")
            }
        }
    }

    @Test("CA-01, FAPI 2.0 §5.3.2.1: under the profile the issuer alone, as text, at /par and at /token")
    func strictPush() async throws {
        let scene = try await FAPIScene()
        let token = [("grant_type", "client_credentials"), ("scope", "orders:read")]
        for (path, form) in [("/token", token), ("/par", try scene.form(scene.bank))] {
            func ask(_ audience: JSONValue) async throws -> Answer {
                await scene.bank.post(
                    scene.test, path, form + (try scene.asserted("bank") { $0["aud"] = audience }),
                    headers: [("dpop", try scene.proof(path))])
            }
            let good = try await ask(.string(FAPIScene.issuer))
            #expect([200, 201].contains(good.status), "\(path): \(good.text("error_description"))")
            let others =
                Self.names.dropFirst().map { JSONValue.string($0) } + [.array(Self.names.map { .string($0) }), .array([.string("x")])]
                + [.array([.string(FAPIScene.issuer), .string("x")])]
            for audience in others {
                let answer = try await ask(audience)
                #expect(answer.status == 401 && answer.error == "invalid_client", "\(path) \(audience)")
            }
        }
    }

    @Test("Registration §2: with token_endpoint_auth_signing_alg a client is proved in that algorithm alone")
    func onlyItsAlgorithm() async throws {
        let (first, second) = (try ProvingClient(), try ProvingClient(.edDSA))
        let keys = first.jwks.replacing("]}", with: ",") + second.jwks.dropFirst(#"{"keys":["#.count).replacing("device", with: "other")
        let test = try await TestNode.proving(
            first,
            """
              - {id: either, grants: [client_credentials], scopes: ["orders:read"], token_endpoint_auth_method: private_key_jwt, jwks: \(keys)}
              - {id: one, grants: [client_credentials], scopes: ["orders:read"], token_endpoint_auth_method: private_key_jwt, jwks: \(keys),
                 token_endpoint_auth_signing_alg: EdDSA}
            """)
        func ask(_ id: String, _ signer: ProvingClient, _ key: String, _ jti: String) async throws -> Answer {
            let claims = JSONObject([
                ("iss", .string(id)), ("sub", .string(id)), ("aud", .string(FAPIScene.issuer)), ("jti", .string(jti)),
                ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
            ])
            return await test.asserted(try signer.signed(claims, header: [("kid", .string(key))]))
        }
        #expect(try await ask("either", first, "device", "1").status == 200)
        #expect(try await ask("either", second, "other", "2").status == 200)
        #expect(try await ask("one", second, "other", "3").status == 200)
        let refused = try await ask("one", first, "device", "4")
        #expect(refused.status == 401 && refused.error == "invalid_client")
    }
}
