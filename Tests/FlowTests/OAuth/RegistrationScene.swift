import AuthCore
import Synchronization
import Testing
import TokenKeys

@testable import gatehouse

/// What registers, and what it registers at.
extension TestNode {
    static let registrationScopes = "openid,profile,email,offline_access,orders:read"

    /// A node where clients may register.
    static func registering(
        _ policy: String = "open", _ settings: [String] = [], calls: (any OutgoingCalls)? = nil
    ) async throws -> TestNode {
        let all = ["--registration.policy", policy, "--registration.scopes", registrationScopes] + settings
        return try await start(all, resources: oauthResources, calls: calls)
    }

    func register(_ json: String, token: String? = nil) async -> Answer {
        await post("/register", json, headers: token.map { bearer($0) } ?? [])
    }

    /// Calls `/register/{client_id}`.
    func registration(_ method: String, _ id: String, token: String?, _ json: String = "") async -> Answer {
        await send(
            method, "/register/\(id)", Array(json.utf8),
            headers: [("content-type", "application/json")] + (token.map { bearer($0) } ?? []))
    }

    func initialToken(_ json: String = "{}") async -> String {
        await post("/admin/registration-tokens", json, to: .control).text("registration_token")
    }

    /// Alice signs in through the client and agrees.
    func agreed(_ client: TestClient, _ more: [(String, String)] = []) async throws -> Answer {
        // The keys of RSA, which a start does not wait for.
        try await node.keys.maintain()
        let browser = TestBrowser(self)
        var seen = await browser.signIn(await browser.get(client.request(more)))
        if seen.title == "Allow access" { seen = await browser.submit(seen, [("answer", "allow")]) }
        return await client.exchange(try #require(try seen.parameters()["code"]), self)
    }
}

extension TestClient {
    /// The client that an answer of `/register` describes.
    init(_ registered: Answer, redirectURI: String = "https://client.example/cb") {
        self.init(id: registered.text("client_id"), secret: registered.json["client_secret"]?.string, redirectURI: redirectURI)
    }
}

/// Servers of others: documents by their URLs, and who asked for them.
final class Documents: OutgoingCalls {
    private let held: Mutex<[String: String]>
    private let types = Mutex<[String: String]>([:])
    private let requests = Mutex<[OutgoingRequest]>([])
    private let failure = Mutex<OutgoingError?>(nil)

    init(_ documents: [String: String] = [:]) { held = Mutex(documents) }

    var asked: [String] { requests.withLock { $0.map(\.url.text) } }
    /// Those that a stranger named.
    var strangers: [String] { requests.withLock { $0.filter(\.isStrangers).map(\.url.text) } }

    func put(_ url: String, _ document: String, type: String = "application/json") {
        held.withLock { $0[url] = document }
        types.withLock { $0[url] = type }
    }
    func fail(_ error: OutgoingError?) { failure.withLock { $0 = error } }

    func fetch(_ request: OutgoingRequest) async throws(OutgoingError) -> OutgoingAnswer {
        requests.withLock { $0.append(request) }
        if let error = failure.withLock({ $0 }) { throw error }
        guard let text = held.withLock({ $0[request.url.text] }) else {
            return OutgoingAnswer(status: 404, headers: Headers([]), body: [], url: request.url)
        }
        let type = types.withLock { $0[request.url.text] } ?? "application/json"
        // As the real one does it.
        guard request.acceptedTypes.isEmpty || request.acceptedTypes.contains(type) else { throw .wrongMediaType }
        guard text.utf8.count <= request.limits.bodyBytesMax else { throw .bodyTooLarge }
        return OutgoingAnswer(
            status: 200, headers: Headers([("content-type", type)]), body: Array(text.utf8), url: request.url)
    }
}
