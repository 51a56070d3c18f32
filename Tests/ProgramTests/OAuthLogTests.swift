import AuthCore
import Foundation
import TestSupport
import Testing
import TokenVerification

@testable import TokenKeys

/// The real program, and everything at its OAuth endpoints that could be used by whoever reads its log.
@Suite("TK-34, CVE-2022-23469: OAuth and the log", .serialized)
struct OAuthLogTests {
    @Test("no code, verifier, secret, assertion, proof, device code or pushed request is ever in the log", .timeLimit(.minutes(2)))
    func secrets() async throws { try await onThread { try self.check() } }

    private static let shopSecret = "0123456789abcdef0123456789abcdef"
    private static let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    private static let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    private static let issuer = "http://localhost:8080"
    private static let assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

    private static func folder(_ key: SigningKey) throws -> URL {
        let folder = try Program.newFolder()
        let files = [
            "resources.yaml": """
            users:
              - {username: alice, password: correct-horse-battery, roles: [customer]}
            clients:
              - {id: web, public: true, first_party: true, grants: [authorization_code, refresh_token], scopes: [openid, "orders:read"],
                 redirect_uris: ["http://127.0.0.1:9000/callback"]}
              - {id: shop, secret: \(shopSecret), grants: [client_credentials, token_exchange], scopes: ["orders:read"], serves: [orders],
                 exchange_audiences: [orders], exchange_clients: [web]}
              - {id: signer, grants: [client_credentials], scopes: ["orders:read"], token_endpoint_auth_method: private_key_jwt,
                 jwks: \(key.jwks)}
              - {id: tv, public: true, grants: [device_code], scopes: ["orders:read"]}
            resources:
              - {id: orders, scopes: ["orders:read"]}
            roles:
              customer: ["orders:read"]
            """,
            "gatehouse.yaml": Program.settings + "\nregistration: {policy: open, scopes: [openid]}\n",
        ]
        for (name, text) in files { try Data(text.utf8).write(to: folder.appendingPathComponent(name)) }
        return folder
    }

    private func check() throws {
        let key = try SigningKey()
        let program = try Program(folder: try Self.folder(key))
        var caller = Caller(program: program)
        // The RSA key of ID tokens is made after the start; until then tokens are 503, and nothing is used up.
        var hasKey = false
        for _ in 0..<300 where !hasKey {
            let metadata = try JSONReader.read(try caller.get("/.well-known/openid-configuration").body).object
            hasKey = metadata?["id_token_signing_alg_values_supported"]?.strings?.contains("RS256") == true
            if !hasKey { usleep(100_000) }
        }
        try #require(hasKey)
        try walk(&caller)
        try grants(&caller, key)
        try others(&caller, key)
        program.kill(SIGTERM)
        let log = program.log
        #expect(log.split(separator: "\n").count > 40 && caller.secrets.count > 30)
        // What went wrong is told, without what it was.
        for reason in ["verifier_mismatch", "client_secret_wrong", "assertion_replayed", "device_pending"] {
            #expect(log.contains(reason), "\(reason)")
        }
        for (name, secret) in caller.secrets {
            try #require(secret.utf8.count >= 9, "\(name)")
            #expect(!log.contains(secret), "\(name)")
            // Nor the part of it that would be enough, nor what it is in a URL.
            #expect(!log.contains(secret.suffix(24)), "\(name)")
            #expect(!log.contains(FormEncoding.encode(secret)), "\(name)")
        }
        for line in log.split(separator: "\n") { #expect((try? JSONReader.read(String(line))) != nil, "\(line)") }
    }

    /// A pushed request, the way of a person through the pages, and its code.
    private func walk(_ caller: inout Caller) throws {
        caller.keep("password", "correct-horse-battery")
        caller.keep("wrong password", "wrong-horse-battery")
        for (name, value) in [("state", "state-that-is-nobodys-business"), ("nonce", "nonce-that-is-nobodys-business")] {
            caller.keep(name, value)
        }
        caller.keep("verifier", Self.verifier)
        let request = [
            ("client_id", "web"), ("response_type", "code"), ("redirect_uri", "http://127.0.0.1:9000/callback"),
            ("scope", "openid orders:read"), ("state", "state-that-is-nobodys-business"), ("nonce", "nonce-that-is-nobodys-business"),
            ("code_challenge", Self.challenge), ("code_challenge_method", "S256"),
        ]
        let pushed = try caller.post("/par", request)
        #expect(pushed.status == 201)
        caller.keep("pushed request", try pushed.text("request_uri"))
        _ = try caller.post("/par", request + [("request_uri", "urn:ietf:params:oauth:request_uri:bm9ib2R5cy1idXNpbmVzcw")])
        let target = "/authorize?" + FormParameters([("client_id", "web"), ("request_uri", try pushed.text("request_uri"))]).encoded
        let page = try caller.get(target)
        _ = try caller.post(page.action, page.fields + [("username", "alice"), ("password", "wrong-horse-battery")])
        let back = try caller.post(page.action, page.fields + [("username", "alice"), ("password", "correct-horse-battery")])
        for field in page.fields { caller.keep("field \(field.0)", field.1) }
        let after = try back.location.hasPrefix("/") ? caller.get(back.location) : back
        #expect(after.location.hasPrefix("http://127.0.0.1:9000/callback?"), "\(after.status)")
        for cookie in caller.cookies { caller.keep("cookie", String(cookie.split(separator: "=", maxSplits: 1)[1])) }
        let code = try #require(try FormParameters(Array((after.location.split(separator: "?").last ?? "").utf8))["code"])
        caller.keep("code", code)
        // The same again is refused on a page; and a request by its parameters, with faults.
        _ = try caller.get(target)
        _ = try caller.get("/authorize?" + FormParameters(request.map { (name: $0.0, value: $0.1) }).encoded + "&state=twice")
        let form = [("grant_type", "authorization_code"), ("client_id", "web"), ("redirect_uri", "http://127.0.0.1:9000/callback")]
        let other = "eBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        caller.keep("wrong verifier", other)
        #expect(try caller.post("/token", form + [("code", code), ("code_verifier", other)]).status == 400)
        #expect(try caller.post("/token", form + [("code", code + "x"), ("code_verifier", Self.verifier)]).status == 400)
        #expect(try caller.post("/token?code=\(code)", form + [("code_verifier", Self.verifier)]).status == 400)
        let tokens = try caller.post("/token", form + [("code", code), ("code_verifier", Self.verifier)])
        #expect(tokens.status == 200)
        for name in ["access_token", "refresh_token", "id_token"] { caller.keep(name, try tokens.text(name)) }
    }

    /// The other grants, with what proves a client, right and wrong.
    private func grants(_ caller: inout Caller, _ key: SigningKey) throws {
        let (refresh, access) = (try caller.secret("refresh_token"), try caller.secret("access_token"))
        let renewed = try caller.post("/token", [("grant_type", "refresh_token"), ("client_id", "web"), ("refresh_token", refresh)])
        #expect(renewed.status == 200)
        for name in ["access_token", "refresh_token"] { caller.keep("renewed \(name)", try renewed.text(name)) }
        _ = try caller.post("/token", [("grant_type", "refresh_token"), ("client_id", "web"), ("refresh_token", refresh + "x")])
        caller.keep("client secret", Self.shopSecret)
        caller.keep("wrong client secret", "wrong-client-secret-of-somebody")
        let own = [("grant_type", "client_credentials")]
        for (secret, status) in [(Self.shopSecret, 200), ("wrong-client-secret-of-somebody", 401)] {
            let basic = Base64.encode(Array("shop:\(secret)".utf8))
            caller.keep("basic", basic)
            #expect(try caller.post("/token", own, ["authorization: Basic \(basic)"]).status == status)
            #expect(try caller.post("/token", own + [("client_id", "shop"), ("client_secret", secret)]).status == status)
            // Where it does not belong.
            _ = try caller.get("/token?client_id=shop&client_secret=\(secret)")
            _ = try caller.post("/introspect", [("token", access)], ["authorization: Basic \(basic)"])
            _ = try caller.post("/introspect", [("token", access + "x")], ["authorization: Basic \(basic)"])
            _ = try caller.post(
                "/token",
                [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"), ("subject_token", access),
                    ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"), ("audience", "orders"),
                ], ["authorization: Basic \(basic)"])
        }
        let now = Environment.live.now().seconds
        for (id, subject) in [("assertion-1", "signer"), ("assertion-2", "nobody")] {
            let assertion = try key.signed(
                JSONObject([
                    ("iss", .string(subject)), ("sub", .string(subject)), ("aud", .string(Self.issuer)), ("jti", .string(id)),
                    ("exp", .number(JSONNumber(now + 60))),
                ]))
            caller.keep("assertion of \(subject)", assertion)
            let form = own + [("client_assertion_type", Self.assertionType), ("client_assertion", assertion)]
            #expect(try caller.post("/token", form).status == (subject == "signer" ? 200 : 401))
            #expect(try caller.post("/token", form).status == 401)
            _ = try caller.post(
                "/token", [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("client_id", "web"), ("assertion", assertion)])
            _ = try caller.get("/authorize?client_id=signer&request=\(assertion)")
        }
        try proofs(&caller, key, own + [("client_id", "shop"), ("client_secret", Self.shopSecret)])
    }

    private func proofs(_ caller: inout Caller, _ key: SigningKey, _ form: [(String, String)]) throws {
        var nonce: String?
        for number in 0..<3 {
            let proof = try key.proof("POST", Self.issuer + "/token", nonce: nonce, id: "proof-\(number)")
            caller.keep("proof \(number)", proof)
            let answer = try caller.post("/token", form, ["dpop: \(proof)"])
            #expect(answer.status == (number == 0 ? 400 : 200), "\(number): \(answer.body)")
            #expect(try caller.post("/token", form, ["dpop: \(proof)x"]).status == 400)
            if answer.status == 200 {
                let token = try answer.text("access_token")
                caller.keep("bound token \(number)", token)
                let used = try key.proof("GET", Self.issuer + "/userinfo", nonce: nonce, id: "used-\(number)", token: token)
                caller.keep("proof of use \(number)", used)
                _ = try caller.get("/userinfo", ["authorization: DPoP \(token)", "dpop: \(used)"])
                _ = try caller.get("/userinfo", ["authorization: Bearer \(token)"])
            }
            nonce = answer.header("dpop-nonce") ?? nonce
        }
        #expect(nonce != nil)
    }

    /// Devices, registration, revocation, UserInfo and logout.
    private func others(_ caller: inout Caller, _ key: SigningKey) throws {
        let begun = try caller.post("/device_authorization", [("client_id", "tv"), ("scope", "orders:read")])
        #expect(begun.status == 200)
        for name in ["device_code", "user_code"] { caller.keep(name, try begun.text(name)) }
        let poll = [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("client_id", "tv")]
        for code in [try begun.text("device_code"), try begun.text("device_code").dropLast() + "x"] {
            #expect(try caller.post("/token", poll + [("device_code", String(code))]).status == 400)
        }
        let entry = try caller.get("/device?user_code=\(try begun.text("user_code"))")
        _ = try caller.post(entry.action, entry.fields + [("user_code", try begun.text("user_code"))])
        _ = try caller.post(entry.action, entry.fields + [("user_code", "BCDF-GHJK")])

        let registered = try caller.json("POST", "/register", #"{"redirect_uris":["https://client.example/cb"]}"#)
        #expect(registered.status == 201)
        for name in ["client_secret", "registration_access_token"] { caller.keep("registered \(name)", try registered.text(name)) }
        let (id, token) = (try registered.text("client_id"), try registered.text("registration_access_token"))
        for bearer in [token, token + "x"] { _ = try caller.get("/register/\(id)", ["authorization: Bearer \(bearer)"]) }

        let access = try caller.secret("renewed access_token")
        #expect(try caller.get("/userinfo", ["authorization: Bearer \(access)"]).status == 200)
        _ = try caller.get("/userinfo?access_token=\(access)")
        for name in ["renewed access_token", "renewed refresh_token"] {
            #expect(try caller.post("/revoke", [("client_id", "web"), ("token", try caller.secret(name))]).status == 200)
            _ = try caller.post("/revoke", [("client_id", "web"), ("token", try caller.secret(name) + "x")])
        }
        _ = try caller.get("/userinfo", ["authorization: Bearer \(access)"])
        let hint = try caller.secret("id_token")
        for text in [hint + "x", hint] { _ = try caller.get("/end-session?id_token_hint=\(text)&state=state-that-is-nobodys-business") }
    }
}

/// A key that signs assertions and proofs.
private struct SigningKey {
    private let key: PrivateKey
    private let verification: VerificationKey

    init() throws {
        key = try PrivateKey(generating: .es256)
        verification = try key.verificationKey(id: "device")
    }

    var jwks: String {
        String(decoding: JSONValue.object(JSONObject([("keys", .array([.object(verification.publicJWK)]))])).encoded, as: UTF8.self)
    }

    func signed(_ claims: JSONObject, header: [(String, JSONValue)] = []) throws -> String {
        let header = JSONObject([("alg", .string("ES256"))] + header)
        let input = [header, claims].map { Base64URL.encode(JSONValue.object($0).encoded) }.joined(separator: ".")
        return input + "." + Base64URL.encode(try key.signature(for: Array(input.utf8)))
    }

    func proof(_ method: String, _ url: String, nonce: String?, id: String, token: String? = nil) throws -> String {
        var claims = JSONObject([
            ("jti", .string(id)), ("htm", .string(method)), ("htu", .string(url)),
            ("iat", .number(JSONNumber(Environment.live.now().seconds))),
        ])
        if let token { claims["ath"] = .string(Base64URL.encode(TokenHash(of: token.utf8).bytes)) }
        if let nonce { claims["nonce"] = .string(nonce) }
        return try signed(claims, header: [("typ", .string("dpop+jwt")), ("jwk", .object(verification.publicJWK))])
    }
}

/// A browser and a client in one: keeps cookies, and what it must not find in the log.
private struct Caller {
    let program: Program
    private(set) var cookies: [String] = []
    private(set) var secrets: [(name: String, secret: String)] = []

    init(program: Program) { self.program = program }

    struct Reply {
        let status: Int
        let head: String
        let body: String

        func header(_ name: String) -> String? {
            head.split(separator: "\r\n").first { $0.lowercased().hasPrefix(name + ":") }
                .map { String($0.dropFirst(name.count + 1)).trimmingCharacters(in: .whitespaces) }
        }
        var location: String { header("location") ?? "" }
        func text(_ name: String) throws -> String {
            try #require((try? JSONReader.read(body))?.object?[name]?.string, "\(name) in \(status) \(body)")
        }
        var fields: [(String, String)] {
            body.matches(of: /<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"/).map { (String($0.1), Caller.unescape(String($0.2))) }
                .filter { !["username", "user_code"].contains($0.0) }
        }
        var action: String { body.firstMatch(of: /<form[^>]*action="([^"]*)"/).map { Caller.unescape(String($0.1)) } ?? "/" }
    }

    static func unescape(_ text: String) -> String {
        text.replacingOccurrences(of: "&quot;", with: "\"").replacingOccurrences(of: "&#39;", with: "'")
            .replacingOccurrences(of: "&amp;", with: "&")
    }

    mutating func keep(_ name: String, _ secret: String) { secrets.append((name, secret)) }

    func secret(_ name: String) throws -> String { try #require(secrets.first { $0.name == name }).secret }

    mutating func get(_ target: String, _ headers: [String] = []) throws -> Reply { try ask("GET", target, "", headers) }

    mutating func post(_ target: String, _ form: [(String, String)], _ headers: [String] = []) throws -> Reply {
        let body = FormParameters(form.map { (name: $0.0, value: $0.1) }).encoded
        return try ask("POST", target, body, headers + ["content-type: application/x-www-form-urlencoded"])
    }

    mutating func json(_ method: String, _ target: String, _ body: String) throws -> Reply {
        try ask(method, target, body, ["content-type: application/json"])
    }

    private mutating func ask(_ method: String, _ target: String, _ body: String, _ headers: [String]) throws -> Reply {
        var head = "\(method) \(target) HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        for header in headers { head += header + "\r\n" }
        if !cookies.isEmpty { head += "cookie: \(cookies.joined(separator: "; "))\r\n" }
        if !body.isEmpty { head += "content-length: \(body.utf8.count)\r\n" }
        let bytes = try #require(Socket.exchange(Array((head + "\r\n" + body).utf8), port: program.authPort), "\(method) \(target)")
        let text = String(decoding: bytes, as: UTF8.self)
        let split = try #require(text.range(of: "\r\n\r\n"))
        let reply = Reply(
            status: Int(text.dropFirst(9).prefix(3)) ?? 0, head: String(text[..<split.lowerBound]), body: String(text[split.upperBound...]))
        for line in reply.head.split(separator: "\r\n") where line.lowercased().hasPrefix("set-cookie:") {
            let pair = String(line.dropFirst(11).prefix { $0 != ";" }).trimmingCharacters(in: .whitespaces)
            let name = pair.prefix { $0 != "=" }
            cookies.removeAll { $0.hasPrefix(name + "=") }
            if !line.contains("Max-Age=0") { cookies.append(pair) }
        }
        return reply
    }
}
