import AuthCore
import Testing

@testable import OAuthServer
@testable import gatehouse

@Suite("RFC 7591 §2, OpenID Connect Registration §2: logo_uri", .timeLimit(.minutes(1)))
struct ClientLogoTests {
    private static let logo = "https://client.example/logo"
    private static let picture = "GIF89a and the rest of a picture"

    private static func start(_ body: String = picture, type: String = "image/gif") async throws -> (
        TestNode, Documents, TestClient, String
    ) {
        let documents = Documents()
        documents.put(logo, body, type: type)
        let test = try await TestNode.registering(calls: documents)
        let answer = await test.register(
            #"{"redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"none","logo_uri":"\#(logo)","#
                + #""policy_uri":"https://client.example/p","tos_uri":"https://client.example/t"}"#)
        #expect(answer.status == 201 && answer.text("logo_uri") == logo)
        return (test, documents, TestClient(answer), "/assets/client-logo?client_id=\(answer.text("client_id"))")
    }

    @Test("the pages show the logo from here, once fetched as a stranger's, and link to policy and terms; it is a picture and nothing else")
    func shown() async throws {
        let (test, documents, client, path) = try await ClientLogoTests.start()
        #expect(documents.asked.isEmpty, "registering fetches nothing")
        let browser = TestBrowser(test)
        let signIn = await browser.get(client.request([("scope", "openid")]))
        let consent = await browser.signIn(signIn)
        #expect(signIn.title == "Sign in" && consent.title == "Allow access")
        for page in [signIn, consent] {
            #expect(page.html.contains("<div class=\"logo\"><img src=\"\(path)\" alt=\"\"></div>"))
            #expect(page.html.contains("href=\"https://client.example/p\"") && page.html.contains("href=\"https://client.example/t\""))
            #expect(!page.html.contains(Self.logo))
        }
        for _ in 0..<2 {
            let answer = await test.send("GET", path)
            #expect(answer.status == 200 && answer.body == Array(Self.picture.utf8))
            for (name, value) in [
                ("content-type", "image/gif"), ("x-content-type-options", "nosniff"), ("cross-origin-resource-policy", "same-origin"),
                ("content-security-policy", "default-src 'none'; sandbox"), ("cache-control", "public, max-age=300"),
            ] { #expect(answer.header(name) == value, "\(name)") }
        }
        #expect(documents.asked == [Self.logo] && documents.strangers == [Self.logo])
    }

    @Test("a client without a logo has no place for one, and no links it does not have")
    func without() async throws {
        let test = try await TestNode.oauth()
        let page = await TestBrowser(test).get(TestClient().request())
        #expect(page.title == "Sign in" && !page.html.contains("logo") && !page.html.contains("Privacy"))
        for path in ["web", "nobody", "", "https://app.example/c", String(repeating: "x", count: 4_000)] {
            #expect(await test.send("GET", "/assets/client-logo?client_id=\(path)").status == 404, "\(path.prefix(32))")
        }
        #expect(await test.send("GET", "/assets/client-logo").status == 404)
        #expect(await test.send("GET", "/assets/client-logo?client_id=web&client_id=web").status == 404)
    }

    @Test(
        "what is no picture of the four kinds, says so or not, or is too large, is not given out",
        arguments: [
            ("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "image/svg+xml"),
            ("<svg xmlns='http://www.w3.org/2000/svg'/>", "image/gif"), ("<script>alert(1)</script>", "image/png"),
            (picture, "text/html"), (picture, "image/png"), ("", "image/gif"),
            (picture + String(repeating: "x", count: 131_072), "image/gif"),
        ])
    func refused(_ body: String, _ type: String) async throws {
        let (test, _, _, path) = try await ClientLogoTests.start(body, type: type)
        #expect(await test.send("GET", path).status == 404)
    }

    @Test("the first bytes of a picture say what it is")
    func magic() {
        let webp = Array("RIFF".utf8) + [1, 2, 3, 4] + Array("WEBPVP8 ".utf8)
        for (bytes, type) in [
            ([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0], "image/png"), ([0xFF, 0xD8, 0xFF, 0xE0], "image/jpeg"),
            (webp, "image/webp"), (Array("GIF87a".utf8), "image/gif"), (Array("GIF88a".utf8), nil), (Array(webp.prefix(11)), nil),
            ([0xFF, 0xD8], nil), ([], nil), (Array("<svg".utf8), nil),
        ] as [([UInt8], String?)] { #expect(ClientLogos.type(of: bytes) == type, "\(bytes)") }
    }

    @Test("§8.6: one of an operator's client may be inside; a disabled client has none any more")
    func operators() async throws {
        let documents = Documents()
        documents.put(Self.logo, Self.picture, type: "image/gif")
        let resources = TestNode.oauthResources.replacing("public: true\n", with: "public: true\n    logo_uri: \"\(Self.logo)\"\n")
        let test = try await TestNode.start(resources: resources, calls: documents)
        #expect(await test.send("GET", "/assets/client-logo?client_id=web").status == 200)
        #expect(documents.asked == [Self.logo] && documents.strangers.isEmpty)
        let body = #"{"client_id":"web","disabled":true}"#
        #expect(await test.send("PATCH", "/admin/clients", Array(body.utf8), to: .control).status == 204)
        #expect(await test.send("GET", "/assets/client-logo?client_id=web").status == 404)
    }
}
