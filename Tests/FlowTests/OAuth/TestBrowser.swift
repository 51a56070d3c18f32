import AuthCore
import Foundation
import OAuthServer
import Synchronization
import Testing
import TokenKeys

@testable import gatehouse

/// A browser without scripts: keeps cookies, follows redirects within Gatehouse, reads forms. Confined to one test.
final class TestBrowser: Sendable {
    let test: TestNode
    private let jar = Mutex<[(name: String, value: String)]>([])
    private let followed = Mutex<[String]>([])

    init(_ test: TestNode) { self.test = test }

    var cookies: [(name: String, value: String)] {
        get { jar.withLock { $0 } }
        set { jar.withLock { $0 = newValue } }
    }

    /// Every address that it was sent to, in order: what a history, a log of a proxy or a `Referer` would have.
    var addresses: [String] { followed.withLock { $0 } }

    /// A page, or the redirect that leads away from Gatehouse.
    struct Seen: Sendable {
        let answer: Answer
        var status: Int { answer.status }
        var html: String { String(decoding: answer.body, as: UTF8.self) }
        /// Where it leads, when it leads away.
        var location: String? { answer.header("location") }

        /// The parameters of the redirect to the client.
        func parameters() throws -> FormParameters {
            let location = try #require(location, "no redirect: \(status) \(html)")
            let query = location.split(separator: "?", maxSplits: 1).dropFirst().first ?? ""
            return try FormParameters(Array(query.utf8))
        }

        /// The same; none when it leads nowhere.
        var told: FormParameters {
            let query = (location ?? "").split(separator: "?", maxSplits: 1).dropFirst().first ?? ""
            return (try? FormParameters(Array(query.utf8))) ?? FormParameters()  // what cannot be read has none
        }

        var title: String { html.components(separatedBy: "<title>").dropFirst().first?.components(separatedBy: "<").first ?? "" }

        /// The hidden fields, and those with a value, of the page's form.
        var fields: [(name: String, value: String)] {
            html.matches(of: /<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"/).map { (String($0.1), TestBrowser.unescape(String($0.2))) }
        }

        var action: String { html.firstMatch(of: /<form[^>]*action="([^"]*)"/).map { TestBrowser.unescape(String($0.1)) } ?? "" }
    }

    static func unescape(_ text: String) -> String {
        text.replacingOccurrences(of: "&lt;", with: "<").replacingOccurrences(of: "&gt;", with: ">")
            .replacingOccurrences(of: "&quot;", with: "\"").replacingOccurrences(of: "&#39;", with: "'")
            .replacingOccurrences(of: "&amp;", with: "&")
    }

    func get(_ target: String, headers: [(String, String)] = []) async -> Seen { await follow("GET", target, "", headers) }

    /// Sends the form of a page, with `fields` in the place of its own of the same names.
    func submit(_ page: Seen, _ fields: [(String, String)], without: [String] = [], headers: [(String, String)] = []) async -> Seen {
        var all = page.fields.filter { field in !fields.contains { $0.0 == field.name } && !without.contains(field.name) }
        all += fields.map { (name: $0.0, value: $0.1) }
        return await follow("POST", page.action, FormParameters(all).encoded, headers)
    }

    func signIn(_ page: Seen, _ username: String = "alice", password: String = TestNode.password) async -> Seen {
        await submit(page, [("username", username), ("password", password)])
    }

    private func follow(_ method: String, _ target: String, _ body: String, _ headers: [(String, String)]) async -> Seen {
        var (method, target, body) = (method, target, body)
        for _ in 0..<5 {
            var all = headers
            if method == "POST" { all.append(("content-type", "application/x-www-form-urlencoded")) }
            let held = cookies
            if !held.isEmpty { all.append(("cookie", held.map { "\($0.name)=\($0.value)" }.joined(separator: "; "))) }
            let visited = target
            followed.withLock { $0.append(visited) }
            let answer = await test.send(method, target, Array(body.utf8), headers: all)
            for header in answer.headers where header.name == "set-cookie" { take(header.value) }
            guard answer.status == 303, let location = answer.header("location"), location.hasPrefix("/") else {
                return Seen(answer: answer)
            }
            (method, target, body) = ("GET", location, "")
        }
        return Seen(answer: Answer(status: 599, headers: [], body: Array("too many redirects".utf8)))
    }

    private func take(_ header: String) {
        let pair = header.prefix { $0 != ";" }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard pair.count == 2 else { return }
        jar.withLock { jar in
            jar.removeAll { $0.name == pair[0] }
            if !header.contains("Max-Age=0") { jar.append((String(pair[0]), String(pair[1]))) }
        }
    }
}

/// A client of the code flow.
struct TestClient {
    var id = "web"
    var secret: String?
    var redirectURI = "http://127.0.0.1:9000/callback"
    var verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

    /// An authorization request; a parameter with an empty value is left out.
    func request(_ more: [(String, String)] = []) -> String {
        var parameters: [(name: String, value: String)] = [
            ("response_type", "code"), ("client_id", id), ("redirect_uri", redirectURI), ("scope", "openid orders:read"),
            ("state", "s t/+"),
            ("code_challenge", CodeChallenge.s256(ofVerifier: verifier) ?? ""), ("code_challenge_method", "S256"), ("nonce", "n-0S6"),
        ]
        for (name, value) in more {
            parameters.removeAll { $0.name == name }
            if !value.isEmpty { parameters.append((name, value)) }
        }
        return "/authorize?" + FormParameters(parameters).encoded
    }

    func token(_ test: TestNode, _ form: [(String, String)], headers: [(String, String)] = []) async -> Answer {
        await post(test, "/token", form, headers: headers)
    }

    func post(_ test: TestNode, _ target: String, _ form: [(String, String)], headers: [(String, String)] = []) async -> Answer {
        var all = [(name: "client_id", value: id)]
        if let secret { all.append(("client_secret", secret)) }
        for (name, value) in form {
            all.removeAll { $0.name == name }
            if !value.isEmpty { all.append((name, value)) }
        }
        return await test.send(
            "POST", target, Array(FormParameters(all).encoded.utf8),
            headers: [("content-type", "application/x-www-form-urlencoded")] + headers)
    }

    func exchange(_ code: String, _ test: TestNode, _ more: [(String, String)] = []) async -> Answer {
        await token(
            test,
            [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirectURI), ("code_verifier", verifier)] + more)
    }
}

extension TestNode {
    static let oauthResources = """
        users:
          - {username: alice, email: alice@example.com, password: correct-horse-battery, roles: [customer]}
          - {username: bob, password: correct-horse-battery, roles: [support]}
        clients:
          - id: web
            public: true
            client_name: The Web <Shop>
            grants: [authorization_code, refresh_token]
            redirect_uris: ["http://127.0.0.1:9000/callback"]
            scopes: [openid, profile, email, offline_access, "orders:read", "orders:write"]
          - id: shop
            secret: 0123456789abcdef0123456789abcdef
            first_party: true
            grants: [authorization_code, refresh_token, client_credentials]
            redirect_uris: ["https://shop.example.com/cb", "https://shop.example.com/cb?x=1"]
            scopes: [openid, profile, email, offline_access, "orders:read", "orders:write"]
          - {id: billing, secret: fedcba9876543210fedcba9876543210, grants: [client_credentials], scopes: ["orders:read", "reports:read"]}
          - {id: orders-api, secret: 00112233445566778899aabbccddeeff, serves: [orders], grants: [client_credentials], scopes: []}
        resources:
          - {id: orders, scopes: ["orders:read", "orders:write"]}
          - {id: reports, scopes: ["reports:read"]}
        roles:
          customer: ["orders:read", "orders:write"]
          support: ["orders:read", "reports:read"]
        routes:
          - {name: orders, match: {path: /orders}, upstream: "http://127.0.0.1:7001", require: {scope: "orders:read"}}
        """

    static func oauth(_ settings: [String] = []) async throws -> TestNode {
        let test = try await start(settings, resources: oauthResources)
        // The keys of RSA, which a start does not wait for.
        try await test.node.keys.maintain()
        return test
    }
}
