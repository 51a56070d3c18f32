import AuthCore
import OAuthServer
import Testing
import TokenKeys

@testable import gatehouse

@Suite("CK-09: the origins of clients that come by themselves", .timeLimit(.minutes(1)))
struct OriginTests {
    private func isAllowed(_ test: TestNode, _ origin: String) async -> Bool {
        let asked = await test.send(
            "OPTIONS", "/token",
            headers: [("origin", origin), ("access-control-request-method", "POST"), ("access-control-request-headers", "content-type")])
        let form = [("origin", origin), ("content-type", "application/x-www-form-urlencoded")]
        let answer = await test.send("POST", "/token", headers: form)
        let allowed = asked.header("access-control-allow-origin")
        #expect(allowed == answer.header("access-control-allow-origin") && (allowed == nil || allowed == origin), "\(origin)")
        return allowed != nil
    }

    private func page(_ uris: String, _ more: String = "") -> String {
        #"{"redirect_uris":[\#(uris)],"token_endpoint_auth_method":"none"\#(more)}"#
    }

    @Test("with the answer of its registration a public client's page may call; with the answer to its change or its end, no longer")
    func registered() async throws {
        let test = try await TestNode.registering()
        let (first, second) = ("https://first.example", "https://second.example:8443")
        #expect(await !isAllowed(test, first))
        let answer = await test.register(page(#""\#(first)/cb""#))
        #expect(answer.status == 201)
        #expect(await isAllowed(test, first))
        for other in ["https://first.example:444", "http://first.example", "https://xfirst.example", "null"] {
            #expect(await !isAllowed(test, other), "\(other)")
        }
        let (id, token) = (answer.text("client_id"), answer.text("registration_access_token"))
        #expect(await test.registration("PUT", id, token: token, page(#""\#(second)/cb""#, #","client_id":"\#(id)""#)).status == 200)
        #expect(await !isAllowed(test, first))
        #expect(await isAllowed(test, second))
        // Another client on the same origin keeps it.
        let other = await test.register(page(#""\#(second)/other""#))
        #expect(await test.registration("DELETE", id, token: token).status == 204)
        #expect(await isAllowed(test, second))
        let (otherID, otherToken) = (other.text("client_id"), other.text("registration_access_token"))
        #expect(await test.registration("DELETE", otherID, token: otherToken).status == 204)
        #expect(await !isAllowed(test, second))
    }

    @Test("a confidential client's origin is none; one that an operator disables is none from the next request on, and comes back")
    func others() async throws {
        let test = try await TestNode.registering()
        #expect(await test.register(#"{"redirect_uris":["https://server.example/cb"]}"#).status == 201)
        #expect(await !isAllowed(test, "https://server.example"))
        #expect(await test.register(page(#""javascript:alert(1)""#)).status == 400)
        let id = await test.register(page(#""https://page.example/cb""#)).text("client_id")
        for isDisabled in [true, false] {
            let changed = await test.send(
                "PATCH", "/admin/clients/\(id)", Array(#"{"disabled":\#(isDisabled)}"#.utf8),
                headers: [("content-type", "application/json")], to: .control)
            #expect(changed.status == 204)
            #expect(await isAllowed(test, "https://page.example") == !isDisabled)
        }
    }

    @Test("the page of a client that is a document may call as soon as somebody has agreed, and from where its document says then")
    func documents() async throws {
        let documents = Documents([ClientDocumentTests.id: ClientDocumentTests.document()])
        let test = try await TestNode.registering("off", ["--registration.documents", "true"], calls: documents)
        try await test.node.keys.maintain()
        let client = TestClient(id: ClientDocumentTests.id, redirectURI: "https://app.example/cb")
        let browser = TestBrowser(test)
        let consent = await browser.signIn(await browser.get(client.request()))
        #expect(await !isAllowed(test, "https://app.example"))
        let back = await browser.submit(consent, [("answer", "allow")])
        #expect(back.location != nil)
        // Its page asks for the tokens now.
        #expect(await isAllowed(test, "https://app.example"))
        documents.put(
            ClientDocumentTests.id,
            ClientDocumentTests.document().replacing("https://app.example/cb", with: "https://moved.example/cb"))
        try await test.advance(.seconds(86_400))
        let moved = TestClient(id: ClientDocumentTests.id, redirectURI: "https://moved.example/cb")
        #expect(await TestBrowser(test).get(moved.request()).status == 200)
        #expect(await isAllowed(test, "https://moved.example"))
        #expect(await !isAllowed(test, "https://app.example"))
    }

    @Test("other nodes know it when they have followed, which a notification makes them do at once")
    func nodes() async throws {
        let nodes = try await TestNode.cluster(
            2, settings: ["--registration.policy", "open", "--registration.scopes", TestNode.registrationScopes])
        for node in nodes { try await node.node.follow() }
        let answer = await nodes[0].register(page(#""https://page.example/cb""#))
        #expect(answer.status == 201)
        #expect(await isAllowed(nodes[0], "https://page.example"))
        try await nodes[1].node.follow()
        #expect(await isAllowed(nodes[1], "https://page.example"))
        let (id, token) = (answer.text("client_id"), answer.text("registration_access_token"))
        #expect(await nodes[1].registration("DELETE", id, token: token).status == 204)
        #expect(await !isAllowed(nodes[1], "https://page.example"))
        try await nodes[0].node.follow()
        #expect(await !isAllowed(nodes[0], "https://page.example"))
    }
}
