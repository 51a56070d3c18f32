import AuthCore
import OAuthServer
import Store
import TestSupport
import Testing
import TokenKeys

@testable import gatehouse

@Suite("OAuth Client ID Metadata Documents")
struct ClientDocumentTests {
    static let id = "https://app.example/oauth/client.json"

    static func document(_ id: String = ClientDocumentTests.id, _ more: String = "") -> String {
        #"{"client_id":"\#(id)","client_name":"An <App>","redirect_uris":["https://app.example/cb","http://127.0.0.1:3000/cb"],"#
            + #""grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none"\#(more)}"#
    }

    private let client = TestClient(id: ClientDocumentTests.id, redirectURI: "https://app.example/cb")

    private func node(_ documents: Documents, _ settings: [String] = []) async throws -> TestNode {
        try await TestNode.registering("off", ["--registration.documents", "true"] + settings, calls: documents)
    }

    @Test("§3, §4: a client that nobody registered signs a person in by the document at its id, and refreshes")
    func signsIn() async throws {
        let documents = Documents([Self.id: Self.document()])
        let test = try await node(documents)
        try await test.node.keys.maintain()
        #expect(
            await test.send("GET", "/.well-known/oauth-authorization-server").json["client_id_metadata_document_supported"]?.bool == true)
        let browser = TestBrowser(test)
        let page = await browser.get(client.request())
        #expect(page.title == "Sign in")
        #expect(try await test.store.client(Identifier(Self.id)) == nil, "strangers leave no rows")
        let consent = await browser.signIn(page)
        // §6: the host of the document and where it leads are what a person can judge it by.
        #expect(consent.title == "Allow access" && consent.html.contains("An &lt;App&gt;"))
        #expect(consent.html.contains("It is described by <strong><bdi>app.example</bdi></strong>"))
        #expect(consent.html.contains("Afterwards you go to <strong><bdi>app.example</bdi></strong>"))
        #expect(try await test.store.client(Identifier(Self.id)) == nil, "nobody has agreed yet")
        let back = await browser.submit(consent, [("answer", "allow")])
        let tokens = await client.exchange(try #require(try back.parameters()["code"]), test)
        #expect(tokens.status == 200)
        #expect(try tokens.claims()["client_id"]?.string == Self.id)
        let kept = try #require(try await test.store.client(Identifier(Self.id)))
        #expect(kept.definition.metadata.profile == .oauth21 && kept.definition.isPublic && !kept.definition.metadata.isFirstParty)
        #expect(await client.refresh(tokens.text("refresh_token"), test).status == 200)
        #expect(documents.asked == [Self.id], "one fetch for all of that")
        // The second time the person is asked again: the document may have changed.
        #expect(await browser.get(client.request()).title == "Allow access")
    }

    @Test("off, such an id is a client that is not known, nothing is fetched, and what was agreed to goes on until it ends")
    func off() async throws {
        let documents = Documents([Self.id: Self.document()])
        let test = try await TestNode.registering("open", calls: documents)
        let seen = await TestBrowser(test).get(client.request())
        #expect(seen.status == 400 && seen.location == nil)
        #expect(documents.asked.isEmpty)
        #expect(await test.send("GET", "/.well-known/openid-configuration").json["client_id_metadata_document_supported"] == nil)
    }

    @Test(
        "§3: a URL that no client may have for its id is refused, and nothing is fetched",
        arguments: [
            "http://app.example/client.json", "https://app.example", "https://app.example/client.json#f",
            "https://u@app.example/client.json",
            "https://u:p@app.example/client.json", "https://app.example/a/../client.json", "https://app.example/./client.json",
            "https://app.example/%2e%2e/client.json", "https://app.example/a%2fb", "https://app.example/a%5Cb",
            "https://APP.example/client.json",
            "https://app.example:443/client.json", "https:///client.json", "https://app.example/ä", "https://app.example/a b",
            "https://app.example:0/client.json", "https://app.example/%zz", "https://app.example\\@evil.example/x", "https://0x7f000001/x",
            "https://app.example/\(String(repeating: "x", count: 2_040))",
        ])
    func badURLs(_ id: String) async throws {
        let documents = Documents([id: Self.document(id)])
        let test = try await node(documents)
        let seen = await TestBrowser(test).get(client.request([("client_id", id)]))
        #expect(seen.status == 400 && seen.location == nil)
        #expect(documents.asked.isEmpty, "\(documents.asked)")
    }

    @Test(
        "§3: what the URL may have: a port, a query, an escape",
        arguments: [
            "https://app.example:8443/client.json", "https://app.example/c?v=1", "https://app.example/%7Ec", "https://app.example/",
        ])
    func goodURLs(_ id: String) async throws {
        let test = try await node(Documents([id: Self.document(id)]))
        #expect(await TestBrowser(test).get(client.request([("client_id", id)])).title == "Sign in")
    }

    static let bad: [(String, String)] = [
        ("another client_id", document("https://app.example/oauth/other.json")),
        ("another spelling of it", document("https://app.example/oauth/%63lient.json")),
        ("no client_id", #"{"redirect_uris":["https://a/"]}"#),
        ("a client_id that is no text", #"{"client_id":["\#(id)"],"redirect_uris":["https://app.example/cb"]}"#),
        ("a secret", document(id, #","client_secret":"x""#)), ("when a secret ends", document(id, #","client_secret_expires_at":0"#)),
        ("client_secret_basic", document().replacing(#""none""#, with: #""client_secret_basic""#)),
        ("client_secret_post", document().replacing(#""none""#, with: #""client_secret_post""#)),
        ("client_secret_jwt", document().replacing(#""none""#, with: #""client_secret_jwt""#)),
        ("tls_client_auth", document(id, #","tls_client_auth_subject_dn":"CN=a""#).replacing(#""none""#, with: #""tls_client_auth""#)),
        ("private_key_jwt without keys", document().replacing(#""none""#, with: #""private_key_jwt""#)),
        ("private keys", document(id, #","jwks":{"keys":[{"kty":"EC","d":"x"}]}"#)),
        ("a redirect URI with a fragment", document().replacing("/cb\"", with: "/cb#f\"")),
        ("a redirect URI that is script", document().replacing("http://127.0.0.1:3000/cb", with: "javascript:alert(1)")),
        ("no redirect URI", #"{"client_id":"\#(id)","client_name":"A","token_endpoint_auth_method":"none"}"#),
        ("no client_name", document().replacing(#""client_name":"An <App>","#, with: "")),
        ("a software statement", document(id, #","software_statement":"x""#)), ("no JSON", "<html>"), ("no object", "[]"),
        ("a member twice", document(id, #","client_id":"\#(id)""#)),
        ("more than 32 KiB", document(id, #","x":"\#(String(repeating: "x", count: 33_000))""#)),
        (
            "nothing but client_credentials",
            document().replacing(#"["authorization_code","refresh_token"]"#, with: #"["client_credentials"]"#)
        ),
    ]

    @Test("§4.1, §5: a document that names another client, has a secret or could not be registered is none", arguments: bad)
    func badDocuments(_ what: String, _ document: String) async throws {
        let test = try await node(Documents([Self.id: document]))
        let seen = await TestBrowser(test).get(client.request())
        #expect(seen.status == 400 && seen.location == nil, "\(what)")
        #expect(try await test.store.client(Identifier(Self.id)) == nil)
    }

    @Test("§4: a redirect URI that is not in the document leads nowhere; scopes and privileges stay within the policy")
    func limits() async throws {
        let more = #","first_party":true,"profile":"legacy","serves":["orders"],"scope":"openid orders:read orders:write gatehouse:admin""#
        let test = try await node(Documents([Self.id: Self.document(Self.id, more)]))
        for uri in ["https://app.example/other", "https://evil.example/cb", "http://127.0.0.2:3000/cb", "http://127.0.0.1:3000/other"] {
            let seen = await TestBrowser(test).get(client.request([("redirect_uri", uri)]))
            #expect(seen.status == 400 && seen.location == nil, "\(uri)")
        }
        #expect(try await test.agreed(client).status == 200)
        let definition = try #require(try await test.store.client(Identifier(Self.id))).definition
        #expect(definition.scopes == ScopeSet(["openid", "orders:read"]))
        #expect(!definition.metadata.isFirstParty && definition.metadata.profile == .oauth21 && definition.metadata.servedResources.isEmpty)
        let forbidden = await TestBrowser(test).get(client.request([("scope", "orders:write")]))
        #expect(forbidden.status == 400 && forbidden.html.contains("?error=invalid_scope&amp;"))
    }

    @Test("CVE-2026-4874: what a token request names is never fetched; the store alone knows its clients")
    func tokenEndpoint() async throws {
        let documents = Documents([Self.id: Self.document()])
        let test = try await node(documents)
        for target in ["/token", "/introspect", "/revoke"] {
            let answer = await client.post(test, target, [("grant_type", "refresh_token"), ("refresh_token", "x"), ("token", "x")])
            #expect(answer.error == "invalid_client", "\(target)")
        }
        #expect(await test.login(more: #","client_id":"\#(Self.id)""#).status == 401)
        #expect(documents.asked.isEmpty)
    }

    @Test("§4.2, §6: the document is kept for its age; a new one counts from then on; when it cannot be had the old one does, for a day")
    func changes() async throws {
        let documents = Documents([Self.id: Self.document()])
        let test = try await node(documents)
        let tokens = try await test.agreed(client)
        let uid = try #require(try await test.store.client(Identifier(Self.id))).uid
        documents.put(
            Self.id, Self.document(Self.id, #","scope":"openid""#).replacing("https://app.example/cb", with: "https://app.example/new"))
        #expect(await TestBrowser(test).get(client.request()).title == "Sign in", "held for five minutes")
        try await test.advance(.seconds(301))
        #expect(await TestBrowser(test).get(client.request()).status == 400)
        let moved = TestClient(id: Self.id, redirectURI: "https://app.example/new")
        #expect(await TestBrowser(test).get(moved.request([("scope", "openid")])).title == "Sign in")
        let client = try #require(try await test.store.client(Identifier(Self.id)))
        #expect(client.uid == uid && client.definition.scopes == ScopeSet(["openid"]))
        #expect(await !test.isValid(tokens.text("access_token")), "narrowing ends access tokens")
        documents.fail(.timedOut)
        try await test.advance(.seconds(3_600))
        #expect(await TestBrowser(test).get(moved.request([("scope", "openid")])).title == "Sign in")
        try await test.advance(.seconds(2 * 86_400))
        #expect(await TestBrowser(test).get(moved.request([("scope", "openid")])).status == 400)
    }

    @Test("JK-07: of 64 requests at once one fetches; a failure is not tried again for a while")
    func oneFlight() async throws {
        let documents = Documents()
        let test = try await node(documents)
        let client = client
        let statuses = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<64 { group.addTask { await TestBrowser(test).get(client.request()).status } }
            return await group.reduce(into: [Int]()) { $0.append($1) }
        }
        #expect(statuses.allSatisfy { $0 == 400 })
        #expect(documents.asked.count == 1)
        documents.put(Self.id, Self.document())
        #expect(await TestBrowser(test).get(client.request()).status == 400)
        try await test.advance(.seconds(31))
        #expect(await TestBrowser(test).get(client.request()).title == "Sign in")
    }

    @Test(
        "FE-10, §6.2: the guard of outgoing calls is before it: no private address, no loopback, whatever names them",
        arguments: [
            "https://127.0.0.1/c", "https://10.0.0.1/c", "https://169.254.169.254/c", "https://[::1]/c", "https://localhost/c",
        ])
    func guarded(_ id: String) async throws {
        let test = try await TestNode.start(["--registration.documents", "true"], resources: TestNode.oauthResources)
        let seen = await TestBrowser(test).get(client.request([("client_id", id)]))
        #expect(seen.status == 400 && seen.location == nil)
        #expect(!seen.html.contains("address_"), "nothing of our network is told")
    }

    @Test("CVE-2023-6544: the hosts that may be are compared whole")
    func hosts() async throws {
        let evil = ["https://evilapp.example/c", "https://app.example.evil.example/c", "https://sub.app.example/c", "https://192.0.2.1/c"]
        let documents = Documents(Dictionary(uniqueKeysWithValues: (evil + [Self.id]).map { ($0, Self.document($0)) }))
        let test = try await node(documents, ["--registration.document_hosts", "app.example,other.example"])
        for id in evil { #expect(await TestBrowser(test).get(client.request([("client_id", id)])).status == 400, "\(id)") }
        #expect(documents.asked.isEmpty)
        #expect(await TestBrowser(test).get(client.request()).title == "Sign in")
    }

    @Test("a client that an operator disables by its URL is refused, whatever its document says; what it held ends")
    func disabled() async throws {
        let test = try await node(Documents([Self.id: Self.document()]))
        let tokens = try await test.agreed(client)
        let body = #"{"client_id":"\#(Self.id)","disabled":true}"#
        #expect(await test.send("PATCH", "/admin/clients", Array(body.utf8), to: .control).status == 204)
        #expect(await !test.isValid(tokens.text("access_token")))
        #expect(await TestBrowser(test).get(client.request()).status == 400)
        #expect(await client.refresh(tokens.text("refresh_token"), test).error == "invalid_client")
    }

    @Test("of 64 people who agree at once to a client that nobody has agreed to before, all agree to the same one")
    func race() async throws {
        let test = try await node(Documents([Self.id: Self.document()]))
        var policy = RegistrationPolicy()
        policy.takesDocuments = true
        let documents = ClientDocuments(
            policy: policy, calls: Documents([Self.id: Self.document()]), environment: test.node.environment, log: .silent)
        let known = KnownClients(store: test.node.store, documents: documents, policy: policy, changed: {})
        let now = test.clock.now
        let uids = try await withThrowingTaskGroup(of: Identifier?.self) { group in
            for _ in 0..<64 { group.addTask { try await known.client(Identifier(Self.id), keeps: true, at: now)?.uid } }
            return try await group.reduce(into: Set<Identifier?>()) { $0.insert($1) }
        }
        #expect(uids.count == 1 && uids.first != Identifier(Self.id))
        #expect(try await test.store.clients().filter { $0.id == Identifier(Self.id) }.count == 1)
    }

    @Test("why a document cannot be read stands in the log, and nowhere else")
    func logged() async throws {
        let lines = Lines()
        let (documents, environment) = (Documents(), Environment.live)
        documents.fail(.addressPrivate)
        let source = ClientDocuments(policy: RegistrationPolicy(), calls: documents, environment: environment, log: lines.log)
        let url = try ClientDocumentURL(Identifier(Self.id))
        let error = await #expect(throws: OAuthError.self) { try await source.definition(url) }
        #expect(error?.detail.contains("address_private") == false)
        #expect(lines.all == ["info client_document_unreachable client=\(Self.id) problem=address_private"])
    }

    @Test("prompt=none before anybody has agreed says so, and leaves no row")
    func promptNone() async throws {
        let test = try await node(Documents([Self.id: Self.document()]))
        let browser = TestBrowser(test)
        _ = await browser.signIn(await browser.get(client.request()))
        #expect(await browser.get(client.request([("prompt", "none")])).told["error"] == "consent_required")
        #expect(try await test.store.client(Identifier(Self.id)) == nil)
    }

    @Test("as many such clients as may be; and a registration's token manages none of them")
    func bounded() async throws {
        let other = "https://other.example/c"
        let test = try await node(
            Documents([Self.id: Self.document(), other: Self.document(other)]), ["--registration.clients_max", "1"])
        #expect(try await test.agreed(client).status == 200)
        let browser = TestBrowser(test)
        let consent = await browser.signIn(await browser.get(client.request([("client_id", other)])))
        #expect(await browser.submit(consent, [("answer", "allow")]).status == 503)
        let path = Self.id.replacing("/", with: "%2F")
        for token in ["", "x"] { #expect([401, 404, 400].contains(await test.registration("DELETE", path, token: token).status)) }
        #expect(try await test.store.client(Identifier(Self.id)) != nil)
    }

    @Test("RFC 9126: such a client may push its request, before anybody has agreed to it")
    func pushed() async throws {
        let test = try await node(Documents([Self.id: Self.document()]))
        try await test.node.keys.maintain()
        let query = client.request().split(separator: "?")[1]
        let form = try FormParameters(Array(query.utf8)).members.map { ($0.name, $0.value) }
        let pushed = await client.post(test, "/par", form)
        #expect(pushed.status == 201)
        let members = [(name: "client_id", value: Self.id), (name: "request_uri", value: pushed.text("request_uri"))]
        let browser = TestBrowser(test)
        let consent = await browser.signIn(await browser.get("/authorize?" + FormParameters(members).encoded))
        let back = await browser.submit(consent, [("answer", "allow")])
        #expect(await client.exchange(try #require(try back.parameters()["code"]), test).status == 200)
    }

    @Test("a client that an operator declared under a URL is what the operator says, and its document is not asked for")
    func declared() async throws {
        let documents = Documents([Self.id: Self.document()])
        let test = try await node(documents)
        var definition = ClientDefinition(id: Identifier(Self.id))
        definition.grants = [.clientCredentials]
        var wanted = try await test.store.resources().document
        wanted.clients.append(definition)
        let request = ApplyRequest(
            wanted: wanted, prune: false, passwordHashes: [:], secretHashes: [:], canonicalNames: [:], digest: [1])
        guard case .applied = try await test.store.apply(request, event: test.event) else {
            Issue.record("not applied")
            return
        }
        #expect(await TestBrowser(test).get(client.request()).status == 400)
        #expect(documents.asked.isEmpty)
    }
}
