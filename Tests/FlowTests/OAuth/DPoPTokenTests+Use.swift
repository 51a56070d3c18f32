import AuthCore
import OAuthServer
import Testing

@testable import gatehouse

// What was issued for a key, where it is used; and proofs at the pushed request endpoint.
extension DPoPTokenTests {
    @Test("§7: a token that was issued for a key opens UserInfo with a proof of that key and token, once, and in no other way")
    func userInfo() async throws {
        let scene = try await FAPIScene()
        let (test, thief) = (scene.test, try ProvingClient())
        let tokens = try await scene.tokens()
        let token = tokens.text("access_token")
        #expect(tokens.text("token_type") == "DPoP" && !token.isEmpty)
        func ask(_ method: String, scheme: String = "DPoP", _ proofs: [String]) async -> Answer {
            await test.send(
                method, "/userinfo", headers: [("authorization", "\(scheme) \(token)")] + proofs.map { ("dpop", $0) })
        }
        for method in ["GET", "POST"] {
            let proof = try scene.proof("/userinfo", method: method, token: token)
            let good = await ask(method, [proof])
            #expect(good.status == 200 && good.json["sub"] != nil, "\(method): \(good.status)")
            let refusals: [(String, Answer)] = [
                ("used", await ask(method, [proof])), ("none", await ask(method, [])),
                ("another key", await ask(method, [try scene.proof("/userinfo", method: method, token: token, by: thief)])),
                ("another token", await ask(method, [try scene.proof("/userinfo", method: method, token: token + "x")])),
                ("no token", await ask(method, [try scene.proof("/userinfo", method: method)])),
                ("another method", await ask(method, [try scene.proof("/userinfo", method: "PUT", token: token)])),
                ("another address", await ask(method, [try scene.proof("/sessions", method: method, token: token)])),
                ("as Bearer", await ask(method, scheme: "Bearer", [try scene.proof("/userinfo", method: method, token: token)])),
                ("as Bearer, alone", await ask(method, scheme: "Bearer", [])),
            ]
            for (name, answer) in refusals {
                #expect(answer.status == 401 && answer.json["sub"] == nil, "\(method), \(name): \(answer.status)")
            }
        }
        // At the gateway too: the same token, with a proof for that address.
        func gateway(_ headers: [(String, String)]) -> String { test.gateway("GET", "/orders", headers: headers) }
        let proof = try scene.key.proof(
            "GET", "http://localhost:8000/orders", token: token, nonce: test.node.oauth.sender.nonce(at: test.clock.now), id: "gw",
            at: test.clock.now)
        #expect(gateway([("authorization", "DPoP \(token)"), ("dpop", proof)]) == "forward")
        #expect(gateway([("authorization", "DPoP \(token)"), ("dpop", proof)]).hasPrefix("401"))
        #expect(gateway([("authorization", "DPoP \(token)")]).hasPrefix("401"))
        #expect(gateway([("authorization", "Bearer \(token)")]).hasPrefix("401"))
    }

    @Test("§11.1, DP-03: at /par too a proof is good once, of 64 at once; and not again at /token")
    func oncePushed() async throws {
        let scene = try await FAPIScene()
        let (test, web) = (scene.test, TestClient())
        let form = try scene.form(web)
        let headers = [("dpop", try scene.proof("/par"))]
        let won = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<64 { group.addTask { await web.post(test, "/par", form, headers: headers).status } }
            return await group.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
        }
        #expect(won == [201: 1, 400: 63])
        #expect(await web.post(test, "/par", form, headers: headers).error == "invalid_dpop_proof")
        #expect(await web.post(test, "/par", form, headers: [("dpop", try scene.proof("/par"))]).status == 201)
    }
}
