import AuthCore
import OAuthServer
import Testing

@testable import gatehouse

/// What clients that nobody has checked may say, and what they get people to see.
@Suite("RFC 7591 §5, RFC 8252, RFC 9700 §4.11.2: clients that came by themselves", .timeLimit(.minutes(1)))
struct StrangerTests {
    private static let id = ClientDocumentTests.id

    private static func document(_ documents: Documents) async throws -> TestNode {
        try await TestNode.registering("open", ["--registration.documents", "true"], calls: documents)
    }

    // MARK: Documents

    @Test("CIMD §5.2: a faulty document is not kept, nor is the good one before it: corrected, it counts after thirty seconds")
    func faultyDocument() async throws {
        let client = TestClient(id: Self.id, redirectURI: "https://app.example/cb")
        for faulty in [ClientDocumentTests.document("https://app.example/other"), "[]", "no JSON", #"{"client_id":"\#(Self.id)"}"#] {
            let documents = Documents([Self.id: ClientDocumentTests.document()])
            let test = try await StrangerTests.document(documents)
            #expect(await TestBrowser(test).get(client.request()).title == "Sign in")
            documents.put(Self.id, faulty)
            try await test.advance(.seconds(301))
            #expect(await TestBrowser(test).get(client.request()).status == 400, "\(faulty)")
            documents.fail(.timedOut)
            try await test.advance(.seconds(31))
            #expect(await TestBrowser(test).get(client.request()).status == 400, "the good one before it has gone: \(faulty)")
            documents.fail(nil)
            documents.put(Self.id, ClientDocumentTests.document())
            try await test.advance(.seconds(31))
            #expect(await TestBrowser(test).get(client.request()).title == "Sign in", "\(faulty)")
        }
    }

    // MARK: Addresses

    @Test("CIMD §8.6: the URL of a document, and the addresses of clients that came by themselves, are fetched as a stranger's")
    func fetchedAsStrangers() async throws {
        let (keys, sector) = ("https://client.example/keys", "https://client.example/s")
        let requestURI = "https://client.example/r"
        let documents = Documents([Self.id: ClientDocumentTests.document(), sector: #"["https://client.example/cb"]"#])
        let test = try await StrangerTests.document(documents)
        _ = await TestBrowser(test).get(TestClient(id: Self.id, redirectURI: "https://app.example/cb").request())
        let registered = await test.register(
            #"{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"\#(keys)","#
                + #""subject_type":"pairwise","sector_identifier_uri":"\#(sector)","request_uris":["\#(requestURI)"]}"#)
        #expect(registered.status == 201)
        let id = registered.text("client_id")
        let claims = JSONObject([
            ("iss", .string(id)), ("sub", .string(id)), ("aud", .string("http://localhost:8080")), ("jti", .string("1")),
            ("exp", .number(JSONNumber(test.clock.now.seconds + 60))),
        ])
        _ = await test.asserted(try ProvingClient().signed(claims), [("grant_type", "authorization_code"), ("code", "x")])
        _ = await TestBrowser(test).get(
            TestClient(id: id, redirectURI: "https://client.example/cb").request([("request_uri", requestURI)]))
        #expect(documents.strangers == [Self.id, sector, keys, requestURI])
        #expect(documents.asked == documents.strangers)
    }

    @Test("CIMD §8.6: a logout is posted to a client that registered itself as to a stranger, and to one of the operator as before")
    func logoutToStrangers() async throws {
        let operators = try await TestNode.logout(web: BackchannelLogoutTests.webURI)
        let browser = TestBrowser(operators)
        _ = await browser.endSession([("id_token_hint", try await browser.tokens().text("id_token"))])
        #expect(await StrangerTests.told(operators) == [false])

        let test = try await TestNode.registering()
        let registered = await test.register(
            #"{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"none","scope":"openid","#
                + #""backchannel_logout_uri":"https://client.example/bcl"}"#)
        let tokens = try await test.agreed(TestClient(registered), [("scope", "openid")])
        let own = test.bearer(await test.login(more: #","scope":"gatehouse:account""#).text("access_token"))
        let sid = try #require(try tokens.claims()["sid"]?.string)
        #expect(await test.send("DELETE", "/sessions/\(sid)", headers: own).status == 204)
        #expect(await StrangerTests.told(test) == [true])
    }

    private static func told(_ test: TestNode) async -> [Bool] {
        let calls = RecordedCalls()
        await test.node.oauth.logoutDelivery(through: calls, log: .silent).deliverDue()
        return calls.all.map(\.isStrangers)
    }
}
