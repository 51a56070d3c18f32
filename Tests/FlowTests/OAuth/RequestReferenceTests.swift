import AuthCore
import Testing
import TokenVerification

@testable import gatehouse

@Suite("RFC 9101 §5.2 request objects by reference, OpenID Connect Core §6.2", .timeLimit(.minutes(2)))
struct RequestReferenceTests {
    private static let address = "https://signer.example.com/request.jwt"
    private let signer = TestClient(id: "signer", redirectURI: "https://signer.example.com/cb")

    private func node(_ client: ProvingClient, _ documents: Documents) async throws -> TestNode {
        try await TestNode.proving(
            client,
            """
              - {id: refers, grants: [authorization_code], scopes: [openid], first_party: true,
                 redirect_uris: ["https://signer.example.com/cb"], token_endpoint_auth_method: private_key_jwt,
                 request_uris: ["\(Self.address)", "https://signer.example.com/fixed.jwt#v1"], jwks: \(client.jwks)}
              - {id: pushes, grants: [authorization_code], scopes: [openid], first_party: true,
                 redirect_uris: ["https://signer.example.com/cb"], token_endpoint_auth_method: private_key_jwt,
                 require_pushed_authorization_requests: true, request_uris: ["\(Self.address)"], jwks: \(client.jwks)}
            """, calls: documents)
    }

    private func object(_ client: ProvingClient, state: String, id: String = "refers", _ more: JSONObject = JSONObject([])) throws -> String
    {
        let refers = TestClient(id: id, redirectURI: signer.redirectURI)
        var claims = JSONObject([("iss", .string(id)), ("aud", .string("http://localhost:8080"))])
        for (name, value) in try FormParameters(Array(refers.request([("state", state)]).split(separator: "?")[1].utf8)).members {
            claims[name] = .string(value)
        }
        for (name, value) in more.members { claims[name] = value }
        return try client.signed(claims)
    }

    private func visit(
        _ test: TestNode, _ uri: String, id: String = "refers", _ beside: [(name: String, value: String)] = []
    ) async -> TestBrowser.Seen {
        await TestBrowser(test).get("/authorize?" + FormParameters([("client_id", id), ("request_uri", uri)] + beside).encoded)
    }

    @Test("§5.2.3, §6.3: it is read at its registered address, verified, and nothing beside it counts", arguments: ["ES256", "RS256"])
    func counted(_ algorithm: String) async throws {
        let (client, documents) = (try ProvingClient(algorithm == "RS256" ? .rs256 : .es256), Documents())
        let test = try await node(client, documents)
        documents.put(Self.address, try object(client, state: "inside") + "\n", type: "application/oauth-authz-req+jwt")
        let browser = TestBrowser(test)
        let page = await browser.get(
            "/authorize?"
                + FormParameters([("client_id", "refers"), ("request_uri", Self.address), ("state", "outside"), ("prompt", "none")]).encoded
        )
        let back = try await browser.signIn(page).parameters()
        #expect(back["state"] == "inside" && back["code"] != nil)
        #expect(documents.asked == [Self.address])
        let metadata = await test.send("GET", "/.well-known/openid-configuration").json
        #expect(metadata["request_uri_parameter_supported"]?.bool == true)
        #expect(metadata["require_request_uri_registration"]?.bool == true)
    }

    @Test("Core §6.2: what changed at the address counts at once; a fragment is never sent, and a registered one is part of the address")
    func anew() async throws {
        let (client, documents) = (try ProvingClient(), Documents())
        let test = try await node(client, documents)
        let fixed = "https://signer.example.com/fixed.jwt"
        for state in ["one", "two"] {
            let text = try object(client, state: state, JSONObject([("prompt", .string("none"))]))
            for address in [Self.address, fixed] { documents.put(address, text, type: "application/jwt") }
            for uri in [Self.address, "\(Self.address)#\(state)", "\(fixed)#v1"] {
                let back = try await visit(test, uri).parameters()
                #expect(back["state"] == state && back["error"] == "login_required", "\(uri)")
            }
        }
        #expect(Set(documents.asked) == [Self.address, fixed])
        let asked = documents.asked.count
        for uri in [fixed, "\(fixed)#v2"] { #expect(try await visit(test, uri).parameters()["error"] == "invalid_request_uri") }
        #expect(documents.asked.count == asked)
    }

    @Test("§10.4.1: an address that the client has not registered, or that it may not use, is not fetched")
    func notFetched() async throws {
        let (client, documents) = (try ProvingClient(), Documents())
        let test = try await node(client, documents)
        let beside = [(name: "redirect_uri", value: signer.redirectURI), (name: "state", value: "s")]
        for uri in [
            "https://signer.example.com/request.jwt?", "https://signer.example.com/request.jw", "https://signer.example.com/Request.jwt",
            "https://evil.example/request.jwt", "http://169.254.169.254/latest", "file:///etc/passwd", "x", Self.address + "/",
        ] {
            let back = await visit(test, uri, beside)
            #expect(back.told["error"] == "invalid_request_uri" && back.told["state"] == "s", "\(uri)")
            #expect(back.location?.hasPrefix(signer.redirectURI) == true)
            let page = await visit(test, uri, [(name: "redirect_uri", value: "https://evil.example/")])
            #expect(page.status == 400 && page.location == nil, "\(uri)")
        }
        let none = await visit(test, Self.address, id: "signer", beside)
        #expect(none.told["error"] == "request_uri_not_supported")
        let unpushed = await visit(test, Self.address, id: "pushes", beside)
        #expect(unpushed.told["error"] == "invalid_request")
        let both = await visit(test, Self.address, beside + [(name: "request", value: try object(client, state: "inside"))])
        #expect(both.told["error"] == "invalid_request")
        #expect(documents.asked == [])
    }

    @Test("§6.2, §7: what is not there, too long, of another type or not believed is refused, and the reason is the operator's")
    func refused() async throws {
        let (client, other) = (try ProvingClient(), try ProvingClient())
        let beside = [(name: "redirect_uri", value: signer.redirectURI)]
        func error(_ text: String?, _ type: String = "application/oauth-authz-req+jwt") async throws -> String? {
            let documents = Documents()
            let test = try await node(client, documents)
            if let text { documents.put(Self.address, text, type: type) }
            let back = await visit(test, Self.address, beside)
            return back.told["error"]
        }
        let good = try object(client, state: "s", JSONObject([("prompt", .string("none"))]))
        #expect(try await error(good) == "login_required")
        #expect(try await error(nil) == "invalid_request_uri")
        #expect(try await error(good, "text/html") == "invalid_request_uri")
        #expect(try await error(good + String(repeating: "a", count: 16_384)) == "invalid_request_uri")
        for text in ["", "x", try object(other, state: "s"), try object(client, state: "s", id: "signer")] {
            #expect(try await error(text) == "invalid_request_object", "\(text.prefix(40))")
        }
        let unsigned = #"{"alg":"none"}"#.utf8
        let parts = good.split(separator: ".")
        #expect(try await error("\(Base64URL.encode(Array(unsigned))).\(parts[1]).") == "invalid_request_object")
        // RFC 9101 §4: none inside another, so nothing is fetched twice.
        let nested = try object(client, state: "s", JSONObject([("request_uri", .string(Self.address))]))
        #expect(try await error(nested) == "invalid_request_object")
    }
}
