import AuthCore
import OAuthServer
import TestSupport
import Testing

@testable import gatehouse

/// What takes a form, and forms that are good but for one place (IN-05; Rauthy 0.36.2).
@Suite("Form endpoints: no body of a stranger is an error of ours", .timeLimit(.minutes(4)))
struct FormMutationTests {
    private static let secret = "0123456789abcdef0123456789abcdef"

    /// A client of each grant, with limits that do not stop the test.
    private static func node() async throws -> TestNode {
        let key = try ProvingClient()
        let resources = TestNode.deviceResources.replacing(
            "resources:\n",
            with: """
                  - {id: all, secret: \(secret), first_party: true, grants: [authorization_code, refresh_token, client_credentials, device_code, token_exchange, jwt_bearer],
                     redirect_uris: ["https://all.example.com/cb"], post_logout_redirect_uris: ["https://all.example.com/bye"], serves: [orders],
                     scopes: [openid, offline_access, "orders:read"], exchange_audiences: [orders], exchange_clients: [all],
                     assertion_issuer: "https://hr.example", assertion_jwks_uri: "https://hr.example/jwks", jwks: \(key.jwks)}
                resources:

                """)
        return try await TestNode.matrix(
            ["--introspection.inactive_per_minute", "100000", "--par.per_minute", "100000", "--lockout.free_attempts", "100"],
            resources: resources)
    }

    /// A form that is good, for each grant and endpoint, and the status of its first use.
    private static func forms(_ test: TestNode) async throws -> [(path: String, form: [(String, String)], status: Int)] {
        let client = TestClient(id: "all", secret: secret, redirectURI: "https://all.example.com/cb")
        let browser = TestBrowser(test)
        let tokens = try await browser.tokens(client, "alice", [("scope", "openid offline_access orders:read")])
        let code = try #require(try await browser.get(client.request()).parameters()["code"])
        let begun = try await client.begin(test, [("scope", "orders:read")])
        let proof = [("client_id", "all"), ("client_secret", secret)]
        let asked = try FormParameters(
            Array(
                client.request([("claims", #"{"id_token":{"acr":null}}"#), ("prompt", "none"), ("max_age", "60")])
                    .split(separator: "?")[1].utf8)
        ).members.map { ($0.name, $0.value) }
        let assertion = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2hyLmV4YW1wbGUifQ.AAAA"
        return [
            (
                "/token",
                proof + [
                    ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", client.redirectURI),
                    ("code_verifier", client.verifier),
                ], 200
            ),
            (
                "/token",
                proof + [("grant_type", "refresh_token"), ("refresh_token", tokens.text("refresh_token")), ("scope", "orders:read")], 200
            ),
            ("/token", proof + [("grant_type", "client_credentials"), ("scope", "orders:read"), ("resource", "orders")], 200),
            ("/token", proof + [("grant_type", TestClient.deviceGrant), ("device_code", begun.text("device_code"))], 400),
            (
                "/token",
                proof + [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"), ("subject_token", tokens.text("access_token")),
                    ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"), ("audience", "orders"),
                ], 200
            ),
            ("/token", proof + [("grant_type", TrustedIssuer.grant), ("assertion", assertion)], 400),
            (
                "/token",
                [
                    ("grant_type", "client_credentials"), ("client_assertion_type", TestNode.assertionType),
                    ("client_assertion", assertion),
                ], 401
            ),
            ("/par", proof + asked.filter { $0.0 != "client_id" } + [("dpop_jkt", String(repeating: "A", count: 43))], 201),
            ("/authorize", asked, 303), ("/introspect", proof + [("token", tokens.text("access_token")), ("token_type_hint", "x")], 200),
            ("/revoke", proof + [("token", "ghr_" + String(repeating: "A", count: 88)), ("token_type_hint", "refresh_token")], 200),
            ("/device_authorization", proof + [("scope", "orders:read openid"), ("resource", "orders")], 200),
            (
                "/end-session",
                [
                    ("id_token_hint", tokens.text("id_token")), ("client_id", "all"), ("state", "s"),
                    ("post_logout_redirect_uri", "https://all.example.com/bye"),
                ], 303
            ),
        ]
    }

    /// `bytes` with one place changed, for each place; and with some places changed at once.
    private static func changed(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [[UInt8]] {
        let special = Array("&=%+;\0\n\"\\ {[]}-9e".utf8) + [0x80, 0xC0, 0xFF]
        var all: [[UInt8]] = []
        for index in bytes.indices {
            let (before, behind) = (bytes[..<index], bytes[(index + 1)...])
            all.append(Array(before + behind))
            all.append(Array(before + [special[index % special.count]] + behind))
            if index % 3 == 0 { all.append(Array(before)) }
            if index % 3 == 1 { all.append(Array(bytes[...index] + bytes[index...])) }
            if index % 3 == 2 { all.append(Array(before + Array("%00".utf8) + behind)) }
        }
        for _ in 0..<200 {
            var form = bytes
            for _ in 0..<Int.random(in: 2...6, using: &generator) {
                let place = Int.random(in: 0..<form.count, using: &generator)
                form[place] = Bool.random(using: &generator) ? special.randomElement(using: &generator) ?? 0 : form[form.count - 1 - place]
            }
            all.append(form)
        }
        return all
    }

    @Test("each form with any place changed: never a 5xx, always the contract's shape, and no way to an address that is not registered")
    func mutations() async throws {
        let test = try await Self.node()
        var generator = SeededGenerator(seed: 20_261)
        var (tried, good, source) = (0, 0, UInt32(0))
        func send(_ path: String, _ body: [UInt8]) async throws -> Answer {
            // Each from an address of its own, so that no guess of a secret stops the others.
            source += 1
            let peer = try #require(PeerAddress("10.\(source >> 16 & 255).\(source >> 8 & 255).\(source & 255)"))
            return await test.send("POST", path, body, headers: [("content-type", "application/x-www-form-urlencoded")], from: peer)
        }
        for (path, form, status) in try await Self.forms(test) {
            let bytes = Array(FormParameters(form.map { (name: $0.0, value: $0.1) }).encoded.utf8)
            let first = try await send(path, bytes)
            #expect(first.status == status, "\(path) \(form.map(\.0)): \(first.status) \(first.text("error_description"))")
            let isPage = ["/authorize", "/end-session"].contains(path)
            for body in Self.changed(bytes, &generator) {
                let answer = try await send(path, body)
                tried += 1
                if answer.status < 300 { good += 1 }
                let isFine = isPage ? Self.isGoodPage(answer) : Self.isGood(answer)
                if !isFine { Issue.record("\(path): \(answer.status) for \(String(decoding: body, as: UTF8.self).debugDescription)") }
            }
        }
        // Most of what was changed is refused, and not all.
        #expect(tried > 5_000 && good > 100 && good < tried / 2, "\(good) of \(tried)")
        #expect(await TestClient(id: "all", secret: Self.secret).token(test, [("grant_type", "client_credentials")]).status == 200)
    }

    /// As the contract has it: a status of the client's making, and `error`, `error_description` and `trace_id` in JSON.
    private static func isGood(_ answer: Answer) -> Bool {
        guard answer.status >= 300 else { return [200, 201].contains(answer.status) }
        guard [400, 401, 403, 413].contains(answer.status), answer.header("content-type") == "application/json" else { return false }
        return answer.error?.isEmpty == false && !answer.text("error_description").isEmpty && answer.text("trace_id").utf8.count == 32
            && answer.header("cache-control") == "no-store"
    }

    /// A page, or the way to an address that is registered or ours.
    private static func isGoodPage(_ answer: Answer) -> Bool {
        if answer.status == 303 {
            let location = answer.header("location") ?? ""
            return ["https://all.example.com/cb?", "https://all.example.com/bye", "/end-session/resume?", "/authorize/resume?"].contains {
                location.hasPrefix($0)
            } && location.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        }
        return [200, 400].contains(answer.status) && answer.header("content-type") == "text/html; charset=utf-8"
    }
}
