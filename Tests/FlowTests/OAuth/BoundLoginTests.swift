import AuthCore
import Foundation
import OAuthServer
import Store
import TestSupport
import Testing
import TokenVerification

@testable import gatehouse

/// `/login` and `/token/refresh` are token endpoints under other names: what binds at `/token` binds there.
@Suite("RFC 9449 §5, §8, RFC 8705 §3, §4: keys at /login and /token/refresh", .timeLimit(.minutes(2)))
struct BoundLoginTests {
    private static let secret = "0123456789abcdef0123456789abcdef"
    private static let clients = """
          - {id: app, public: true, grants: [login, refresh_token], scopes: ["orders:read"]}
          - {id: till, secret: \(secret), grants: [login, refresh_token, authorization_code], scopes: [openid, "orders:read"],
             redirect_uris: ["https://till.example.com/cb"], dpop_bound_access_tokens: true}
          - {id: both, secret: \(secret), grants: [login, refresh_token], scopes: ["orders:read"]}
          - {id: vault, secret: \(secret), grants: [login, refresh_token], scopes: ["orders:read"],
             tls_client_certificate_bound_access_tokens: true}
          - {id: kiosk, public: true, grants: [login, refresh_token], scopes: ["orders:read"],
             tls_client_certificate_bound_access_tokens: true}
        """

    private func start(_ client: ProvingClient) async throws -> TestNode { try await TestNode.proving(client, Self.clients) }

    /// With a fresh proof by `key` and our nonce, when there is a key; with `certificate`, when there is one.
    private func send(
        _ test: TestNode, _ path: String, _ json: String, by key: ProvingClient? = nil, certificate: ClientCertificate? = nil
    ) async throws -> Answer {
        var headers = [("content-type", "application/json")]
        if let key {
            let nonce = test.node.oauth.sender.nonce(at: test.clock.now)
            let url = "http://localhost:8080" + path
            headers.append(("dpop", try key.proof("POST", url, nonce: nonce, id: UUID().uuidString, at: test.clock.now)))
        }
        return await test.send("POST", path, Array(json.utf8), headers: headers, certificate: certificate)
    }

    private func person(_ id: String, isConfidential: Bool = false, password: String = TestNode.password) -> String {
        #"{"username":"alice","password":"\#(password)","client_id":"\#(id)"\#(credentials(isConfidential))}"#
    }

    private func refresh(_ token: String, _ id: String, isConfidential: Bool = false) -> String {
        #"{"refresh_token":"\#(token)","client_id":"\#(id)"\#(credentials(isConfidential))}"#
    }

    private func credentials(_ isConfidential: Bool) -> String { isConfidential ? #","client_secret":"\#(Self.secret)""# : "" }

    private func jkt(_ answer: Answer) throws -> String? { try answer.claims()["cnf"]?.object?["jkt"]?.string }

    @Test("a proof at /login binds the access token, and a public client's refresh tokens: they need the same key everywhere")
    func publicClient() async throws {
        let (mine, thief) = (try ProvingClient(), try ProvingClient())
        let test = try await start(mine)
        let first = try await send(test, "/login", person("app"), by: mine)
        #expect(first.status == 200 && first.text("token_type") == "DPoP")
        #expect(try jkt(first) == mine.jkt)
        #expect(first.header("dpop-nonce") != nil)
        let token = first.text("refresh_token")
        #expect(try await send(test, "/token/refresh", refresh(token, "app")).error == "invalid_grant")
        #expect(try await send(test, "/token/refresh", refresh(token, "app"), by: thief).error == "invalid_grant")
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)]
        #expect(await TestClient(id: "app").token(test, form).error == "invalid_grant")
        let second = try await send(test, "/token/refresh", refresh(token, "app"), by: mine)
        #expect(second.status == 200 && second.text("token_type") == "DPoP" && second.header("dpop-nonce") != nil)
        #expect(try jkt(second) == mine.jkt)
        // A thief who has it opens no list of sessions with it either.
        let next = second.text("refresh_token")
        #expect(await test.send("GET", "/sessions", headers: test.bearer(next)).status == 401)
        #expect(try await send(test, "/token/refresh", refresh(next, "app"), by: mine).status == 200)
    }

    @Test("without a proof nothing is bound, and no nonce is told; who proves a key at a later refresh gets a token for it")
    func unbound() async throws {
        let mine = try ProvingClient()
        let test = try await start(mine)
        let first = try await send(test, "/login", person("app"))
        #expect(first.status == 200 && first.text("token_type") == "Bearer" && first.header("dpop-nonce") == nil)
        #expect(try first.claims()["cnf"] == nil)
        #expect(try await test.onlyGrant(of: first)?.binding == nil)
        #expect(await test.send("GET", "/sessions", headers: test.bearer(first.text("refresh_token"))).status == 200)
        let second = try await send(test, "/token/refresh", refresh(first.text("refresh_token"), "app"))
        #expect(second.status == 200 && second.text("token_type") == "Bearer" && second.header("dpop-nonce") == nil)
        let third = try await send(test, "/token/refresh", refresh(second.text("refresh_token"), "app"), by: mine)
        #expect(third.status == 200 && third.text("token_type") == "DPoP")
        #expect(try jkt(third) == mine.jkt)
        // As at /token, what a grant is bound to is said when it begins.
        #expect(try await send(test, "/token/refresh", refresh(third.text("refresh_token"), "app")).status == 200)
    }

    @Test("§5.2: a client whose tokens must be bound gets none without a proof, for no grant of its own")
    func demanded() async throws {
        let (mine, other) = (try ProvingClient(), try ProvingClient())
        let test = try await start(mine)
        #expect(try await send(test, "/login", person("till", isConfidential: true)).error == "invalid_dpop_proof")
        let first = try await send(test, "/login", person("till", isConfidential: true), by: mine)
        #expect(first.status == 200)
        #expect(try jkt(first) == mine.jkt)
        // One that proves itself may take another key, and never none.
        let body = refresh(first.text("refresh_token"), "till", isConfidential: true)
        #expect(try await send(test, "/token/refresh", body).error == "invalid_dpop_proof")
        let second = try await send(test, "/token/refresh", body, by: other)
        #expect(second.status == 200)
        #expect(try jkt(second) == other.jkt)

        let till = TestClient(id: "till", secret: Self.secret, redirectURI: "https://till.example.com/cb")
        let browser = TestBrowser(test)
        let code = try #require(try await browser.signIn(await browser.get(till.request())).parameters()["code"])
        let nonce = test.node.oauth.sender.nonce(at: test.clock.now)
        let proof = try mine.proof("POST", "http://localhost:8080/token", nonce: nonce, id: "code", at: test.clock.now)
        let form = [
            ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", till.redirectURI), ("code_verifier", till.verifier),
        ]
        let bought = await till.token(test, form, headers: [("dpop", proof)])
        #expect(bought.status == 200)
        let again = refresh(bought.text("refresh_token"), "till", isConfidential: true)
        #expect(try await send(test, "/token/refresh", again).error == "invalid_dpop_proof")
        #expect(try await send(test, "/token/refresh", again, by: mine).text("token_type") == "DPoP")
    }

    @Test("one that need not may prove a key all the same; its grant is bound by its secret alone")
    func optional() async throws {
        let (mine, other) = (try ProvingClient(), try ProvingClient())
        let test = try await start(mine)
        let first = try await send(test, "/login", person("both", isConfidential: true), by: mine)
        #expect(try jkt(first) == mine.jkt)
        let second = try await send(
            test, "/token/refresh", refresh(first.text("refresh_token"), "both", isConfidential: true), by: other)
        #expect(try jkt(second) == other.jkt)
    }

    @Test("§4.3, §8, §11.1: a proof that is not good, or was used, buys nothing; it is asked for before the password, and counts no guess")
    func refused() async throws {
        let mine = try ProvingClient()
        let test = try await start(mine)
        let nonce = test.node.oauth.sender.nonce(at: test.clock.now)
        func proof(_ path: String, _ id: String, nonce: String?) throws -> (String, String) {
            ("dpop", try mine.proof("POST", "http://localhost:8080" + path, nonce: nonce, id: id, at: test.clock.now))
        }
        let body = person("app")
        let used = try proof("/login", "used", nonce: nonce)
        let first = await test.post("/login", body, headers: [used])
        #expect(first.status == 200)
        let token = refresh(first.text("refresh_token"), "app")
        let renewing = try proof("/token/refresh", "renewing", nonce: nonce)
        let renewed = await test.post("/token/refresh", token, headers: [renewing])
        #expect(renewed.status == 200)
        for path in ["/login", "/token/refresh"] {
            let body = path == "/login" ? body : refresh(renewed.text("refresh_token"), "app")
            let rows: [(String, [(String, String)], String)] = [
                ("no nonce", [try proof(path, "a", nonce: nil)], "use_dpop_nonce"),
                ("another nonce", [try proof(path, "b", nonce: "x")], "use_dpop_nonce"),
                ("of /token", [try proof("/token", "c", nonce: nonce)], "invalid_dpop_proof"),
                ("two", [try proof(path, "d", nonce: nonce), try proof(path, "e", nonce: nonce)], "invalid_dpop_proof"),
                ("no proof at all", [("dpop", "x")], "invalid_dpop_proof"),
                ("used", [path == "/login" ? used : renewing], "invalid_dpop_proof"),
            ]
            for (name, headers, error) in rows {
                let answer = await test.post(path, body, headers: headers)
                #expect(answer.status == 400 && answer.error == error, "\(path) \(name): \(answer.error ?? "\(answer.status)")")
                #expect(answer.header("dpop-nonce") != nil, "\(path) \(name)")
            }
        }
        for _ in 0..<20 {
            let wrong = await test.post("/login", person("app", password: "wrong"), headers: [("dpop", "x")])
            #expect(wrong.error == "invalid_dpop_proof")
        }
        let wrong = try await send(test, "/login", person("app", password: "wrong"), by: mine)
        #expect(wrong.status == 401 && wrong.error == "invalid_credentials" && wrong.header("dpop-nonce") != nil)
        #expect(try await send(test, "/login", body, by: mine).status == 200)
        // What was refused has used up nothing.
        #expect(try await send(test, "/token/refresh", refresh(renewed.text("refresh_token"), "app"), by: mine).status == 200)
    }

    @Test("RFC 8705 §3, §4: tls_client_certificate_bound_access_tokens binds to the certificate, a public client's refresh tokens too")
    func certificates() async throws {
        let authority = try TestAuthority()
        let wish = TestAuthority.Wish("pay.example") { $0.validTo = 600 * 86_400 }
        let mine = try ClientCertificate(der: try authority.issue(wish).der, isVerified: true)
        let thief = try ClientCertificate(der: try authority.issue(wish).der, isVerified: true)
        let test = try await start(try ProvingClient())
        for (id, isConfidential) in [("vault", true), ("kiosk", false)] {
            let body = person(id, isConfidential: isConfidential)
            #expect(try await send(test, "/login", body).error == "invalid_request")
            let first = try await send(test, "/login", body, certificate: mine)
            #expect(first.status == 200 && first.text("token_type") == "Bearer")
            #expect(try first.claims()["cnf"]?.object?["x5t#S256"]?.string == mine.thumbprint)
            let token = refresh(first.text("refresh_token"), id, isConfidential: isConfidential)
            #expect(try await send(test, "/token/refresh", token).error == "invalid_request")
            let sessions = test.bearer(first.text("refresh_token"))
            #expect(await test.send("GET", "/sessions", headers: sessions, certificate: mine).status == 200)
            #expect((await test.send("GET", "/sessions", headers: sessions, certificate: thief).status == 200) == isConfidential)
            let stolen = try await send(test, "/token/refresh", token, certificate: thief)
            #expect(stolen.status == (isConfidential ? 200 : 401))
            let renewed = try await send(test, "/token/refresh", token, certificate: mine)
            #expect(renewed.status == 200)
            #expect(try renewed.claims()["cnf"]?.object?["x5t#S256"]?.string == mine.thumbprint)
        }
    }
}
