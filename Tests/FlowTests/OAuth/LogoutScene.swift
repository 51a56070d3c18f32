import AuthCore
import Foundation
import OAuthServer
import Store
import Synchronization
import Testing
import TokenKeys

@testable import gatehouse

/// Clients that hear of logouts, and browsers that are signed in at them.
extension TestNode {
    /// - Parameters:
    ///   - web: Further members of the client `web`, as `name: value, …`.
    ///   - shop: The same of `shop`.
    static func logout(web: String = "", shop: String = "", settings: [String] = []) async throws -> TestNode {
        let resources = """
            users:
              - {username: alice, email: alice@example.com, password: correct-horse-battery, roles: [customer]}
              - {username: bob, password: correct-horse-battery, roles: [customer]}
            clients:
              - {id: web, public: true, client_name: "The <Web>", first_party: true, grants: [authorization_code, refresh_token],
                 redirect_uris: ["http://127.0.0.1:9000/callback", "https://web.example.com/cb", "https://web.example.com:8443/cb"],
                 scopes: [openid, profile, offline_access, "orders:read"],
                 post_logout_redirect_uris: ["http://127.0.0.1:9000/bye", "http://127.0.0.1:9000/bye?x=1"]\(web.isEmpty ? "" : ", ")\(web)}
              - {id: shop, secret: 0123456789abcdef0123456789abcdef, first_party: true, grants: [authorization_code, refresh_token],
                 redirect_uris: ["https://shop.example.com/cb"], scopes: [openid, "orders:read"],
                 post_logout_redirect_uris: ["https://shop.example.com/bye"]\(shop.isEmpty ? "" : ", ")\(shop)}
            resources:
              - {id: orders, scopes: ["orders:read", "orders:write"]}
            roles:
              customer: ["orders:read", "orders:write"]
            routes:
              - {name: orders, match: {path: /orders}, upstream: "http://127.0.0.1:7001", require: {scope: "orders:read"}}
            """
        let test = try await start(settings, resources: resources)
        try await test.node.keys.maintain()
        return test
    }

    /// What is in the queue now; it stays there, for nobody else to take in the next minute.
    func queued() async throws -> [PendingLogout] { try await store.dueLogouts(100, lease: .seconds(60), at: clock.now) }
}

extension TestBrowser {
    /// Through the code flow to tokens, signing in where that is asked.
    func tokens(
        _ client: TestClient = TestClient(), _ username: String = "alice", _ more: [(String, String)] = []
    ) async throws -> Answer {
        var seen = await get(client.request(more))
        if seen.title.hasPrefix("Sign in") { seen = await signIn(seen, username) }
        let tokens = await client.exchange(try #require(try seen.parameters()["code"]), test)
        try #require(tokens.status == 200)
        return tokens
    }

    /// The end session endpoint; a parameter with an empty value is left out.
    func endSession(_ parameters: [(String, String)]) async -> Seen {
        await get("/end-session?" + FormParameters(parameters.filter { !$0.1.isEmpty }.map { (name: $0.0, value: $0.1) }).encoded)
    }

    /// The same with a form of another page.
    func postEndSession(_ parameters: [(String, String)]) async -> Seen {
        let page = Seen(answer: Answer(status: 200, headers: [], body: Array(#"<form method="post" action="/end-session">"#.utf8)))
        return await submit(page, parameters)
    }
}

/// The way out, to nowhere: keeps what was asked for and answers as the test says. Confined to one test.
final class RecordedCalls: OutgoingCalls {
    private let requests = Mutex<[OutgoingRequest]>([])
    private let answer: @Sendable (OutgoingRequest) async throws(OutgoingError) -> Int

    init(_ answer: @escaping @Sendable (OutgoingRequest) async throws(OutgoingError) -> Int = { _ in 200 }) { self.answer = answer }

    var all: [OutgoingRequest] { requests.withLock { $0 } }

    func fetch(_ request: OutgoingRequest) async throws(OutgoingError) -> OutgoingAnswer {
        requests.withLock { $0.append(request) }
        return OutgoingAnswer(status: try await answer(request), headers: Headers([]), body: [], url: request.url)
    }
}
