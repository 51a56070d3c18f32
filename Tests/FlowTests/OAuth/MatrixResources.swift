import AuthCore
import OAuthServer
import Testing
import TokenKeys

@testable import gatehouse

extension TestNode {
    /// `resources` with clients of every kind: public and pairwise ones of the code flow, a service, and the API behind `orders`.
    static let matrixResources: String = {
        let web = resources.split(separator: "\n").first { $0.contains("{id: web,") }.map(String.init) ?? "there is no client web"
        return resources.replacing(
            web,
            with: """
                  - {id: web, public: true, grants: [authorization_code, refresh_token], redirect_uris: ["http://127.0.0.1:9000/callback"], scopes: [openid, email, offline_access, "orders:read"]}
                  - {id: pair, public: true, grants: [authorization_code, refresh_token], subject_type: pairwise, redirect_uris: ["https://pair.example.com/cb"], scopes: [openid, "orders:read"]}
                  - {id: shop, secret: 0123456789abcdef0123456789abcdef, first_party: true, grants: [authorization_code], redirect_uris: ["https://shop.example.com/cb"], scopes: [openid, "orders:read"]}
                  - {id: tv, public: true, grants: [device_code, refresh_token], scopes: [openid, "orders:read"]}
                  - {id: relay, secret: 0123456789abcdef0123456789abcdef, grants: [token_exchange], scopes: ["orders:read"], exchange_audiences: [orders], exchange_clients: [gatehouse, web]}
                  - {id: service, secret: 0123456789abcdef0123456789abcdef, grants: [client_credentials], scopes: ["orders:read"]}
                  - {id: orders-api, secret: 00112233445566778899aabbccddeeff, serves: [orders], grants: [client_credentials], scopes: []}
                """)
    }()

    /// A node with these resources, or others, and the keys of RSA, which a start does not wait for.
    static func matrix(_ settings: [String] = [], resources: String = TestNode.matrixResources) async throws -> TestNode {
        let test = try await start(settings, resources: resources)
        try await test.node.keys.maintain()
        return test
    }

    /// A browser in which somebody is signed in, and a code that nobody has redeemed.
    func authorized(
        _ client: TestClient = TestClient(), _ username: String = "alice", _ more: [(String, String)] = []
    ) async throws -> (browser: TestBrowser, code: String) {
        let browser = TestBrowser(self)
        var seen = await browser.signIn(await browser.get(client.request(more)), username)
        if seen.title == "Allow access" { seen = await browser.submit(seen, [("answer", "allow")]) }
        return (browser, try #require(try seen.parameters()["code"]))
    }

    /// Whether the API behind `orders` is told that the token is active.
    func isActive(_ token: String, for caller: TestClient = .ordersAPI) async -> Bool {
        await caller.post(self, "/introspect", [("token", token)]).json["active"]?.bool == true
    }
}

extension TestClient {
    static let pair = TestClient(id: "pair", redirectURI: "https://pair.example.com/cb")
    static let shop = TestClient(id: "shop", secret: "0123456789abcdef0123456789abcdef", redirectURI: "https://shop.example.com/cb")
    static let service = TestClient(id: "service", secret: "0123456789abcdef0123456789abcdef")
    static let ordersAPI = TestClient(id: "orders-api", secret: "00112233445566778899aabbccddeeff")

    func refresh(_ token: String, _ test: TestNode) async -> Answer {
        await self.token(test, [("grant_type", "refresh_token"), ("refresh_token", token)])
    }
}
