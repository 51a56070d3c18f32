import AuthCore
import Testing
import TokenVerification

@testable import TokenKeys
@testable import gatehouse

/// A client with a key of its own, which makes proofs (RFC 9449 §4) and signs what it says.
struct ProvingClient: Sendable {
    private let key: PrivateKey
    private let verification: VerificationKey
    private let algorithm: SignatureAlgorithm

    init(_ algorithm: SignatureAlgorithm = .es256) throws {
        self.algorithm = algorithm
        key = try PrivateKey(generating: algorithm)
        verification = try key.verificationKey(id: "device")
    }

    var jkt: String { verification.thumbprint }

    /// Its public keys, as a client registers them.
    var jwks: String {
        var jwk = verification.publicJWK
        jwk["kid"] = .string("device")
        jwk["use"] = .string("sig")
        jwk["alg"] = .string(algorithm.rawValue)
        return String(decoding: JSONValue.object(JSONObject([("keys", .array([.object(jwk)]))])).encoded, as: UTF8.self)
    }

    /// - Parameter token: The access token that it comes with; nothing for a proof to the token endpoint.
    func proof(
        _ method: String, _ url: String, token: String? = nil, nonce: String? = nil, id: String, at now: Instant
    ) throws -> String {
        var claims = JSONObject([
            ("jti", .string(id)), ("htm", .string(method)), ("htu", .string(url)), ("iat", .number(JSONNumber(now.seconds))),
        ])
        if let token { claims["ath"] = .string(Base64URL.encode(TokenHash(of: token.utf8).bytes)) }
        if let nonce { claims["nonce"] = .string(nonce) }
        return try signed(claims, header: [("typ", .string("dpop+jwt")), ("jwk", .object(verification.publicJWK))])
    }

    /// - Parameter header: Beside `alg`.
    func signed(_ claims: JSONObject, header: [(String, JSONValue)] = [("kid", .string("device"))]) throws -> String {
        let header = JSONObject([("alg", .string(algorithm.rawValue))] + header)
        let input = [header, claims].map { Base64URL.encode(JSONValue.object($0).encoded) }.joined(separator: ".")
        return input + "." + Base64URL.encode(try key.signature(for: Array(input.utf8)))
    }

    /// A token of `session`, bound to this key and changed.
    func bound(
        _ session: Answer, in test: TestNode, _ change: @escaping @Sendable (inout Forgery.Parts) -> Void = { _ in }
    ) async throws -> String {
        let jkt = jkt
        return try await Forgery("bound") {
            $0.claims["cnf"] = .object(JSONObject([("jkt", .string(jkt))]))
            change(&$0)
        }.forged(from: session.text("access_token"), in: test)
    }
}

@Suite("RFC 9449 §7, RFC 8705 §3: bound tokens at /validate and at Gatehouse's own API")
struct SenderFlowTests {
    private static let url = "https://orders.example/orders"

    private func more(_ proof: String, method: String = "GET", url: String = Self.url, nonce: String? = nil) -> String {
        #","dpop":{"proof":"\#(proof)","method":"\#(method)","url":"\#(url)"\#(nonce.map { #","nonce":"\#($0)""# } ?? "")}"#
    }

    @Test("/validate: a bound token needs its proof, for this request, once")
    func validate() async throws {
        let test = try await TestNode.start()
        let client = try ProvingClient()
        let session = await test.login()
        let token = try await client.bound(session, in: test)
        let other = try ProvingClient()
        let now = test.clock.now
        func proof(_ id: String, _ method: String = "GET", _ url: String = Self.url, by client: ProvingClient) throws -> String {
            try client.proof(method, url, token: token, id: id, at: now)
        }
        #expect(await test.validate(token).text("reason") == "proof_required")
        let first = try proof("a", by: client)
        let good = await test.validate(token, more: more(first, url: "HTTPS://orders.example:443/orders?x=1"))
        #expect(good.json["valid"]?.bool == true)
        #expect(good.json["cnf"]?.object?["jkt"]?.string == client.jkt)
        // What was found holds for this one request.
        #expect(good.json["cache_for"]?.int == 0)
        #expect(await test.validate(token, more: more(first)).text("reason") == "invalid_proof")
        let bad = [
            more(try proof("b", by: other)), more(try proof("c", "POST", by: client)), more("x"), more(""),
            more(try proof("d", by: client), url: "https://other.example/orders"), more(try proof("e", by: client), nonce: "n"),
            more(try client.proof("GET", Self.url, token: "another", id: "f", at: now)),
            more(try client.proof("GET", Self.url, token: token, id: "g", at: now - .seconds(61))),
        ]
        for more in bad { #expect(await test.validate(token, more: more).text("reason") == "invalid_proof", "\(more)") }
        let withNonce = try client.proof("GET", Self.url, token: token, nonce: "n", id: "h", at: now)
        #expect(await test.validate(token, more: more(withNonce, nonce: "n")).json["valid"]?.bool == true)
        // A token that is bound to nothing goes under Bearer.
        let plain = session.text("access_token")
        #expect(await test.isValid(plain))
        let stray = try client.proof("GET", Self.url, token: plain, id: "i", at: now)
        #expect(await test.validate(plain, more: more(stray)).text("reason") == "invalid_proof")
        #expect(await test.validate(plain).json["cnf"] == nil)
    }

    @Test("/validate: of 64 racing calls with one proof one finds it valid; it is remembered as long as its iat is good")
    func used() async throws {
        let test = try await TestNode.start()
        let client = try ProvingClient()
        let token = try await client.bound(await test.login(), in: test)
        let body = more(try client.proof("GET", Self.url, token: token, id: "r", at: test.clock.now + .seconds(59)))
        let valid = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<64 { group.addTask { await test.validate(token, more: body).json["valid"]?.bool == true } }
            return await group.reduce(into: 0) { if $1 { $0 += 1 } }
        }
        #expect(valid == 1)
        try await test.advance(.seconds(118))
        #expect(await test.validate(token, more: body).text("reason") == "invalid_proof")
    }

    @Test("/validate: a token that is bound to a certificate needs its SHA-256, in either form (CA-10)")
    func certificate() async throws {
        let test = try await TestNode.start()
        let session = await test.login()
        let x5t = Base64URL.encode([UInt8](repeating: 5, count: 32))
        let token = try await Forgery("bound") {
            $0.claims["cnf"] = .object(JSONObject([("x5t#S256", .string(x5t))]))
        }.forged(from: session.text("access_token"), in: test)
        #expect(await test.validate(token).text("reason") == "proof_required")
        for text in [x5t, String(repeating: "05", count: 32)] {
            let answer = await test.validate(token, more: #","client_cert_sha256":"\#(text)""#)
            #expect(answer.json["valid"]?.bool == true)
            #expect(answer.json["cnf"]?.object?["x5t#S256"]?.string == x5t)
            #expect(answer.json["cache_for"]?.int == 0)
        }
        let other = String(repeating: "06", count: 32)
        #expect(await test.validate(token, more: #","client_cert_sha256":"\#(other)""#).text("reason") == "invalid_proof")
        #expect(await test.validate(session.text("access_token"), more: #","client_cert_sha256":"\#(other)""#).json["valid"]?.bool == true)
        let list = await test.post("/validate", #"{"tokens":["\#(token)","\#(token)"],"client_cert_sha256":"\#(x5t)"}"#)
        #expect(list.json["results"]?.array?.count { $0.object?["valid"]?.bool == true } == 2)
    }

    @Test(
        "/validate: what is no statement about the sender is 400",
        arguments: [
            #","dpop":"x""#, #","dpop":null"#, #","dpop":{}"#, #","dpop":{"proof":"x","method":"GET"}"#,
            #","dpop":{"proof":"x","url":"https://a.example/"}"#, #","dpop":{"method":"GET","url":"https://a.example/"}"#,
            #","dpop":{"proof":1,"method":"GET","url":"https://a.example/"}"#, #","dpop":{"proof":"x","method":"GET","url":"/orders"}"#,
            #","dpop":{"proof":"x","method":"","url":"https://a.example/"}"#,
            #","dpop":{"proof":"x","method":"GET","url":"https://a.example/","more":1}"#, #","client_cert_sha256":"x""#,
            #","client_cert_sha256":1"#, #","client_cert_sha256":"""#,
        ])
    func malformed(_ more: String) async throws {
        let test = try await TestNode.start()
        #expect(await test.validate("a.b.c", more: more).status == 400)
    }

    @Test("/validate: one proof is not of several tokens")
    func several() async throws {
        let test = try await TestNode.start()
        let answer = await test.post("/validate", #"{"tokens":["a.b.c"]\#(more("x"))}"#)
        #expect(answer.status == 400)
        #expect(answer.error == "invalid_request")
    }

    @Test("a proof that the gateway took is good once more for the service behind it that asks /validate")
    func behindTheGateway() async throws {
        let test = try await TestNode.start()
        let client = try ProvingClient()
        let token = try await client.bound(await test.login(), in: test)
        let nonce = test.node.proofDesk.nonces.nonce(at: test.clock.now)
        let url = "http://localhost:8000/orders"
        let proof = try client.proof("GET", url, token: token, nonce: nonce, id: "a", at: test.clock.now)
        let headers = [("authorization", "DPoP \(token)"), ("dpop", proof)]
        #expect(test.gateway("GET", "/orders", headers: headers) == "forward")
        #expect(test.gateway("GET", "/orders", headers: headers) == "401 invalid_proof")
        #expect(await test.validate(token, more: more(proof, url: url)).json["valid"]?.bool == true)
        #expect(await test.validate(token, more: more(proof, url: url)).text("reason") == "invalid_proof")
    }

    /// Asks under the DPoP scheme; the first answer brings the nonce.
    private func ask(
        _ test: TestNode, _ method: String, _ path: String, token: String, by client: ProvingClient, to listener: Listener = .auth,
        origin: String = "http://localhost:8080", body: [UInt8] = []
    ) async throws -> (first: Answer, second: Answer) {
        func send(_ nonce: String?) async throws -> Answer {
            let id = nonce ?? "first"
            let proof = try client.proof(method, origin + path, token: token, nonce: nonce, id: path + id, at: test.clock.now)
            let headers = [("content-type", "application/json"), ("authorization", "DPoP \(token)"), ("dpop", proof)]
            return await test.send(method, path, body, headers: headers, to: listener)
        }
        let first = try await send(nil)
        return (first, try await send(first.header("dpop-nonce")))
    }

    @Test("own endpoints: use_dpop_nonce, then the answer; a proof once, for this URL; the challenge lists the algorithms (DP-09)")
    func sessions() async throws {
        let test = try await TestNode.start()
        let client = try ProvingClient()
        let token = try await client.bound(await test.login(more: #","scope":"gatehouse:account""#), in: test)
        let algorithms = "algs=\"ES256 EdDSA PS256 RS256\""
        let (first, second) = try await ask(test, "GET", "/sessions", token: token, by: client)
        #expect(first.status == 401)
        #expect(first.error == "use_dpop_nonce")
        #expect(first.header("www-authenticate") == "DPoP realm=\"gatehouse\", error=\"use_dpop_nonce\", \(algorithms)")
        #expect(second.status == 200)
        // Used; another URL; none; two; another key; alone under Bearer.
        let again = try await ask(test, "GET", "/sessions", token: token, by: client)
        #expect(again.second.error == "invalid_token")
        #expect(again.second.header("www-authenticate") == "DPoP realm=\"gatehouse\", error=\"invalid_token\", \(algorithms)")
        let elsewhere = try await ask(test, "GET", "/sessions", token: token, by: client, origin: "http://evil.example")
        #expect(elsewhere.second.error == "invalid_dpop_proof")
        let scheme = [("authorization", "DPoP \(token)")]
        #expect(await test.send("GET", "/sessions", headers: scheme).error == "invalid_dpop_proof")
        #expect(await test.send("GET", "/sessions", headers: scheme + [("dpop", "a"), ("dpop", "a")]).error == "invalid_dpop_proof")
        let thief = try await ask(test, "GET", "/sessions", token: token, by: try ProvingClient())
        #expect(thief.second.error == "invalid_token")
        #expect(await test.send("GET", "/sessions", headers: test.bearer(token)).error == "invalid_token")
        // A refresh token has no place under this scheme.
        let refresh = await test.login().text("refresh_token")
        #expect(try await ask(test, "GET", "/sessions", token: refresh, by: client).second.status == 401)
    }

    @Test("own endpoints: the URL is below the issuer, whatever Host says; on the admin listener it is what the request says")
    func urls() async throws {
        let test = try await TestNode.start(["--issuer", "https://id.example.com", "--validate.require_client", "false"])
        let client = try ProvingClient()
        let session = await test.login(more: #","scope":"gatehouse:account""#)
        let token = try await client.bound(session, in: test)
        let wrong = try await ask(test, "GET", "/sessions", token: token, by: client)
        #expect(wrong.second.error == "invalid_dpop_proof")
        let right = try await ask(test, "GET", "/sessions?x", token: token, by: client, origin: "https://id.example.com")
        #expect(right.second.status == 200)
        let admin = try await client.bound(session, in: test) { $0.claims["scope"] = .string("gatehouse:admin") }
        #expect(try await ask(test, "GET", "/admin/keys", token: admin, by: client, to: .admin).second.status == 200)
        #expect(await test.send("GET", "/admin/keys", headers: test.bearer(admin), to: .admin).status == 401)
    }

    @Test("logging out: a bound token ends its session with its proof, spent or not, and never without")
    func logout() async throws {
        let test = try await TestNode.start()
        let client = try ProvingClient()
        for isSpent in [false, true] {
            let session = await test.login()
            let token = try await client.bound(session, in: test) {
                if isSpent { $0.claims["exp"] = .number(JSONNumber(($0.claims["iat"]?.int ?? 0) - 61)) }
            }
            #expect(await test.send("POST", "/logout", headers: test.bearer(token)).status == 401)
            #expect(try await ask(test, "POST", "/logout", token: token, by: try ProvingClient()).second.status == 401)
            #expect(await test.isValid(session.text("access_token")))
            #expect(try await ask(test, "POST", "/logout", token: token, by: client).second.status == 204)
            #expect(await !test.isValid(session.text("access_token")))
        }
        // Nor does a spent token that is bound to nothing under the DPoP scheme.
        let session = await test.login()
        let plain = try await Forgery("spent") {
            $0.claims["exp"] = .number(JSONNumber(($0.claims["iat"]?.int ?? 0) - 61))
        }.forged(from: session.text("access_token"), in: test)
        #expect(try await ask(test, "POST", "/logout", token: plain, by: client).second.status == 401)
        #expect(await test.isValid(session.text("access_token")))
    }

    @Test("nodes that share a master key take each other's nonces; each counts a proof by itself, which is the stated limit (DP-03)")
    func nodes() async throws {
        let nodes = try await TestNode.cluster(2)
        let client = try ProvingClient()
        let token = try await client.bound(await nodes[0].login(), in: nodes[0])
        let now = nodes[0].clock.now
        for node in nodes { try await node.node.follow() }
        let nonce = nodes[0].node.proofDesk.nonces.nonce(at: now)
        let proof = try client.proof("GET", "http://localhost:8000/orders", token: token, nonce: nonce, id: "a", at: now)
        let headers = [("authorization", "DPoP \(token)"), ("dpop", proof)]
        for node in nodes.reversed() {
            #expect(node.gateway("GET", "/orders", headers: headers) == "forward")
            #expect(node.gateway("GET", "/orders", headers: headers) == "401 invalid_proof")
        }
    }
}
