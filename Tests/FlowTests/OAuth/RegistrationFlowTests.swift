import AuthCore
import OAuthServer
import Store
import Testing
import TokenKeys

@testable import gatehouse

@Suite("RFC 7591 and OpenID Connect Registration 1.0")
struct RegistrationFlowTests {
    static let redirect = #""redirect_uris":["https://client.example/cb"]"#

    @Test("§3.2.1, DR-03: 201 with all that was registered, and secrets that are shown once; the client works")
    func registers() async throws {
        let test = try await TestNode.registering()
        try await test.node.keys.maintain()
        let answer = await test.register(
            #"{\#(Self.redirect),"client_name":"A <b>","grant_types":["authorization_code","refresh_token"],"scope":"openid orders:read","#
                + #""contacts":["a@b.c"],"client_name#de":"Ä","unheard_of":{"x":1},"tos_uri":null,"client_uri":""}"#)
        #expect(answer.status == 201)
        #expect(answer.header("cache-control") == "no-store")
        let json = answer.json
        let id = answer.text("client_id")
        #expect(id.hasPrefix("dyn-") && id.utf8.count >= 24)
        #expect(answer.text("client_secret").utf8.count >= 43)
        #expect(json["client_secret_expires_at"]?.int == 0)
        #expect(json["client_id_issued_at"]?.int == test.clock.now.seconds)
        #expect(answer.text("registration_client_uri") == "http://localhost:8080/register/\(id)")
        #expect(answer.text("registration_access_token").utf8.count >= 43)
        #expect(json["redirect_uris"]?.strings == ["https://client.example/cb"])
        #expect(json["grant_types"]?.strings == ["authorization_code", "refresh_token"])
        #expect(json["response_types"]?.strings == ["code"])
        #expect(json["token_endpoint_auth_method"]?.string == "client_secret_basic")
        #expect(json["scope"]?.string == "openid orders:read")
        #expect(json["application_type"]?.string == "web")
        #expect(json["client_name"]?.string == "A <b>")
        for name in ["contacts", "client_name#de", "unheard_of", "tos_uri", "client_uri", "first_party"] { #expect(json[name] == nil) }
        // As it is stored, and without the secrets in clear.
        let stored = try #require(try await test.store.client(Identifier(id)))
        #expect(stored.managedBy == .api && stored.definition.registered["client_name"] == json["client_name"])
        let registration = try #require(try await test.store.registration(Identifier(id)))
        #expect(registration.tokenHash != Array(answer.text("registration_access_token").utf8))
        // The whole way; it registered for Basic and is taken by nothing else.
        var client = TestClient(answer)
        let basic = [("authorization", "Basic " + Base64.encode(Array("\(client.id):\(client.secret ?? "")".utf8)))]
        client.secret = nil
        let (browser, code) = try await test.authorized(client)
        #expect(browser.cookies.isEmpty == false)
        let form = [
            ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", client.redirectURI), ("code_verifier", client.verifier),
        ]
        let posted = await client.token(test, form + [("client_secret", answer.text("client_secret"))])
        #expect(posted.error == "invalid_client")
        let tokens = await client.token(test, form, headers: basic)
        #expect(tokens.status == 200 && !tokens.text("refresh_token").isEmpty)
        let again = await test.register("{\(Self.redirect)}")
        #expect(again.text("client_id") != id && again.text("client_secret") != answer.text("client_secret"))
    }

    @Test("§2: what is left out has RFC 7591's default; the scope is all that the policy has")
    func defaults() async throws {
        let test = try await TestNode.registering()
        let answer = await test.register("{\(Self.redirect)}")
        #expect(answer.json["grant_types"]?.strings == ["authorization_code"])
        #expect(answer.json["token_endpoint_auth_method"]?.string == "client_secret_basic")
        #expect(answer.text("scope") == "openid profile email offline_access orders:read")
        #expect(answer.json["subject_type"]?.string == "public")
        #expect(answer.json["id_token_signed_response_alg"]?.string == "RS256")
    }

    @Test("a public client has no secret, asks the person, and is told to use PKCE")
    func publicClient() async throws {
        let test = try await TestNode.registering()
        let answer = await test.register(
            #"{"redirect_uris":["http://127.0.0.1:7777/cb"],"application_type":"native","token_endpoint_auth_method":"none"}"#)
        #expect(answer.status == 201)
        #expect(answer.json["client_secret"] == nil && answer.json["client_secret_expires_at"] == nil)
        let client = TestClient(answer, redirectURI: "http://127.0.0.1:5555/cb")
        let browser = TestBrowser(test)
        let consent = await browser.signIn(await browser.get(client.request()))
        #expect(consent.title == "Allow access")
        #expect(consent.html.contains("Nobody here has checked this application."))
        #expect(consent.html.contains("Afterwards you go back to a program on this device (<strong><bdi>127.0.0.1:5555</bdi></strong>)."))
        let plain = await browser.get(client.request([("code_challenge", ""), ("code_challenge_method", "")]))
        #expect(plain.told["error"] == "invalid_request")
        #expect(try await test.agreed(client).status == 200)
    }

    @Test("DR-01, ASVS 10.4.7: off by default: 404, and no word of it in the metadata; on, the metadata says where")
    func off() async throws {
        let test = try await TestNode.oauth()
        let answer = await test.register("{\(Self.redirect)}")
        #expect(answer.status == 404 && answer.error == "not_found")
        for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
            let metadata = await test.send("GET", path).json
            #expect(metadata["registration_endpoint"] == nil && metadata["client_id_metadata_document_supported"] == nil)
        }
        for policy in ["open", "token"] {
            let metadata = await (try TestNode.registering(policy)).send("GET", "/.well-known/openid-configuration").json
            #expect(metadata["registration_endpoint"]?.string == "http://localhost:8080/register")
        }
    }

    @Test(
        "DR-02, AZ-01, GHSA-484q-784p-8m5h, CVE-2024-8883: redirect URIs that nobody may register",
        arguments: [
            "http://client.example/cb", "https://client.example/cb#f", "https://*.client.example/cb", "https://client.example/*",
            "https://user@client.example/cb", "https://client.example/../cb", "javascript:alert(1)", "data:text/html,x", "/cb", "",
            "https://", "https://client.example:0/cb", "https://client.example/%zz", "https://client.example/a b", "com.example.app:/cb",
            "http://127.0.0.1:80@evil.example/cb", "https://client.example\\@evil.example/cb", "ftp://client.example/cb", "myapp:/cb",
            "https://CLIENT.example/cb", "vbscript:x", "blob:https://client.example/x", "about:blank",
        ])
    func badRedirects(_ uri: String) async throws {
        let test = try await TestNode.registering()
        let uris = JSONValue.array([.string("https://client.example/cb"), .string(uri)])
        let body = JSONValue.object(JSONObject([("redirect_uris", uris)]))
        let answer = await test.register(String(decoding: body.encoded, as: UTF8.self))
        #expect(answer.status == 400 && answer.error == "invalid_redirect_uri", "\(uri)")
    }

    @Test("DR-02, RFC 8252 §7.1: a scheme of an app's own is for native clients")
    func nativeRedirects() async throws {
        let test = try await TestNode.registering()
        let uris = #""redirect_uris":["com.example.app:/cb","http://127.0.0.1/cb"]"#
        #expect(await test.register(#"{\#(uris),"application_type":"native"}"#).status == 201)
        #expect(await test.register("{\(uris)}").error == "invalid_redirect_uri")
        #expect(await test.register(#"{\#(Self.redirect),"post_logout_redirect_uris":["com.example.app:/out"]}"#).status == 400)
        for none in ["{}", #"{"redirect_uris":[]}"#, #"{"redirect_uris":"https://client.example/cb"}"#, #"{"redirect_uris":[1]}"#] {
            #expect(await test.register(none).error == "invalid_redirect_uri", "\(none)")
        }
        let many = (0...32).map { "\"https://client.example/\($0)\"" }.joined(separator: ",")
        #expect(await test.register(#"{"redirect_uris":[\#(many)]}"#).error == "invalid_redirect_uri")
    }

    static let faults: [(String, String)] = [
        (#""grant_types":["implicit"]"#, "grant_types"), (#""grant_types":["password"]"#, "grant_types"),
        (#""grant_types":["login"]"#, "grant_types"), (#""grant_types":["client_credentials"]"#, "grant_types"),
        (#""grant_types":["authorization_code","urn:ietf:params:oauth:grant-type:token-exchange"]"#, "grant_types"),
        (#""grant_types":["refresh_token"],"response_types":[]"#, "grant_types"), (#""grant_types":"authorization_code""#, "grant_types"),
        (#""response_types":["token"]"#, "response_types"), (#""response_types":["code","id_token"]"#, "response_types"),
        (#""token_endpoint_auth_method":"private_key_jwt""#, "token_endpoint_auth_method"),
        (#""token_endpoint_auth_method":"x""#, "token_endpoint_auth_method"),
        (#""jwks":{"keys":[{"kty":"EC"}]},"jwks_uri":"https://client.example/jwks""#, "jwks_uri"),
        (#""jwks":{"keys":[{"kty":"EC","d":"x"}]}"#, "jwks"), (#""jwks":{"keys":[{"kty":"oct","k":"x"}]}"#, "jwks"),
        (#""jwks":{"keys":[]}"#, "jwks"), (#""jwks":"x""#, "jwks"), (#""jwks_uri":"http://client.example/jwks""#, "jwks_uri"),
        (#""client_uri":"javascript:alert(1)""#, "client_uri"), (#""policy_uri":"data:text/html,x""#, "policy_uri"),
        (#""client_name":1"#, "client_name"), (#""client_name":"\#(String(repeating: "x", count: 129))""#, "client_name"),
        (#""client_name":"a\u202Eb""#, "client_name"), (#""scope":"orders:write""#, "scope"), (#""scope":"gatehouse:admin""#, "scope"),
        (#""scope":"a\"b""#, "scope"), (#""scope":["openid"]"#, "scope"), (#""subject_type":"x""#, "subject_type"),
        (#""id_token_signed_response_alg":"none""#, "id_token_signed_response_alg"),
        (#""id_token_signed_response_alg":"HS256""#, "id_token_signed_response_alg"),
        (#""id_token_signed_response_alg":"PS256""#, "id_token_signed_response_alg"),
        (#""userinfo_signed_response_alg":"PS256""#, "userinfo_signed_response_alg"),
        (#""id_token_encrypted_response_alg":"RSA-OAEP-256""#, "id_token_encrypted_response_alg"),
        (#""request_object_signing_alg":"none""#, "request_object_signing_alg"), (#""default_max_age":-1"#, "default_max_age"),
        (#""backchannel_logout_uri":"http://10.0.0.1/x""#, "backchannel_logout_uri"),
        (#""frontchannel_logout_uri":"https://other.example/x""#, "frontchannel_logout_uri"),
        (#""sector_identifier_uri":"https://client.example/s""#, "sector_identifier_uri"),
        (#""tls_client_auth_subject_dn":"CN=a""#, "tls_client_auth_subject_dn"), (#""application_type":"x""#, "application_type"),
    ]

    @Test("DR-04, DR-05, §3.2.2: metadata that cannot be registered is invalid_client_metadata, with the member's name", arguments: faults)
    func badMetadata(_ members: String, _ name: String) async throws {
        let test = try await TestNode.registering()
        let answer = await test.register("{\(Self.redirect),\(members)}")
        #expect(answer.status == 400 && answer.error == "invalid_client_metadata", "\(members): \(answer.error ?? "registered")")
        #expect(answer.text("error_description").contains("'\(name)'"), "\(answer.text("error_description"))")
        #expect(try await test.store.clients().allSatisfy { $0.managedBy != .api })
    }

    @Test(
        "what it may be at the most is checked at the start: no scope of Gatehouse's own, no host that is none",
        arguments: [
            ["--registration.scopes", "openid,gatehouse:admin"], ["--registration.scopes", "a\"b"],
            ["--registration.document_hosts", "https://app.example"], ["--registration.document_hosts", "App.example"],
            ["--registration.document_hosts", "*.app.example"],
        ])
    func faultySettings(_ settings: [String]) async throws {
        await #expect(throws: StartFailure.self) { try await TestNode.start(settings) }
    }

    @Test("DR-07, §2.3: a software statement is refused by name: nobody's are trusted")
    func softwareStatement() async throws {
        let test = try await TestNode.registering()
        for value in [#""eyJhbGciOiJub25lIn0.e30.""#, #""""#, "1"] {
            let answer = await test.register(#"{\#(Self.redirect),"software_statement":\#(value)}"#)
            #expect(answer.status == 400 && answer.error == "unapproved_software_statement")
        }
    }

    static let privileged =
        #""first_party":true,"profile":"legacy","workload_issuer":"https://k8s.example","workload_subject":"x","#
        + #""workload_jwks_uri":"https://k8s.example/k","serves":["orders"],"exchange_audiences":["orders"],"exchange_clients":["web"],"#
        + #""exchange_impersonates":true,"managed_by":"file","id":"web","client_id":"web","client_secret":"mine","public":true,"#
        + #""grants":["login"],"scopes":["gatehouse:admin"],"epoch":9,"disabled":true,"uid":"x","secret":"mine","roles":["operator"]"#

    @Test("CVE-2026-65635, CVE-2026-15572, TK-27: nothing that only an operator may say is read, and no scope beyond the policy")
    func privileges() async throws {
        let test = try await TestNode.registering()
        let answer = await test.register(
            #"{\#(Self.redirect),\#(Self.privileged),"scope":"openid orders:read orders:write reports:read gatehouse:admin"}"#)
        #expect(answer.status == 201)
        #expect(answer.text("client_id") != "web" && answer.text("client_secret") != "mine")
        #expect(answer.text("scope") == "openid orders:read")
        let client = try #require(try await test.store.client(Identifier(answer.text("client_id"))))
        let metadata = client.definition.metadata
        #expect(!metadata.isFirstParty && metadata.profile == .oauth21 && metadata.workloadIssuer == nil && metadata.workloadKeysURI == nil)
        #expect(metadata.servedResources.isEmpty && metadata.exchangeAudiences.isEmpty && metadata.exchangeClients.isEmpty)
        #expect(!metadata.exchangeImpersonates && !client.isDisabled && client.managedBy == .api && client.epoch == 1)
        #expect(client.definition.grants == [.authorizationCode] && client.policy.asksForConsent)
        for name in ["first_party", "profile", "serves", "workload_issuer", "exchange_impersonates"] { #expect(answer.json[name] == nil) }
        // Nor does it sign people in by their passwords.
        let login = await test.login(
            more: #","client_id":"\#(answer.text("client_id"))","client_secret":"\#(answer.text("client_secret"))""#)
        #expect(login.status == 401 || login.error == "unauthorized_client", "\(login.status)")
        #expect(login.json["access_token"] == nil)
    }

    @Test("client_credentials asks no person: only with the policy `token`, where it is listed, and never for a public client")
    func services() async throws {
        let body = #"{"grant_types":["client_credentials"],"token_endpoint_auth_method":"client_secret_post","scope":"orders:read"}"#
        let grants = ["--registration.grants", "authorization_code,client_credentials"]
        #expect(await (try TestNode.registering("open", grants)).register(body).error == "invalid_client_metadata")
        let plain = try await TestNode.registering("token")
        #expect(await plain.register(body, token: await plain.initialToken()).error == "invalid_client_metadata")
        let test = try await TestNode.registering("token", grants)
        let answer = await test.register(body, token: await test.initialToken())
        #expect(answer.status == 201 && answer.json["response_types"]?.array?.isEmpty == true)
        let tokens = await TestClient(answer).token(test, [("grant_type", "client_credentials")])
        #expect(try tokens.claims()["scope"]?.string == "orders:read")
        let open = body.replacing("client_secret_post", with: "none")
        #expect(await test.register(open, token: await test.initialToken()).error == "invalid_client_metadata")
    }

    @Test("OpenID Connect Registration §5, ID-07: a sector is claimed only with its document, which names every redirect URI")
    func sectors() async throws {
        let documents = Documents(["https://client.example/s": #"["https://client.example/cb","https://other.example/cb"]"#])
        let test = try await TestNode.registering(calls: documents)
        func register(_ uri: String, _ sector: String) async -> Answer {
            await test.register(#"{"redirect_uris":["\#(uri)"],"subject_type":"pairwise","sector_identifier_uri":"\#(sector)"}"#)
        }
        #expect(await register("https://client.example/cb", "https://client.example/s").status == 201)
        #expect(await register("https://other.example/cb", "https://client.example/s").status == 201)
        for (uri, sector) in [
            ("https://evil.example/cb", "https://client.example/s"), ("https://client.example/cb", "https://client.example/none"),
            ("https://client.example/cb", "http://127.0.0.1:9000/s"),
        ] {
            let answer = await register(uri, sector)
            #expect(answer.error == "invalid_client_metadata", "\(uri) \(sector)")
            #expect(answer.text("error_description").contains("sector_identifier_uri"))
        }
        documents.put("https://client.example/object", "{}")
        #expect(await register("https://client.example/cb", "https://client.example/object").status == 400)
    }

    @Test("DR-06, CVE-2026-54885, §5: registering fetches nothing, whatever addresses stand in it")
    func fetchesNothing() async throws {
        let documents = Documents()
        let test = try await TestNode.registering(calls: documents)
        let answer = await test.register(
            #"{\#(Self.redirect),"jwks_uri":"https://169.254.169.254/keys","logo_uri":"https://10.0.0.1/logo","tos_uri":"https://10.0.0.1/t","#
                + #""policy_uri":"https://10.0.0.1/p","client_uri":"https://10.0.0.1/","token_endpoint_auth_method":"private_key_jwt","#
                + #""backchannel_logout_uri":"https://10.0.0.1/b"}"#)
        #expect(answer.status == 201 && answer.json["logo_uri"] == nil && answer.json["policy_uri"] == nil)
        #expect(documents.asked.isEmpty)
    }

    @Test("a body that is too large, no object, or no strict JSON is refused before anything is looked at")
    func bodies() async throws {
        let test = try await TestNode.registering()
        let large = "{\(Self.redirect),\"x\":\"\(String(repeating: "x", count: 70_000))\"}"
        #expect(await test.register(large).status == 413)
        for body in ["", "[]", "{", #"{"redirect_uris":["https://a.example/"],"redirect_uris":["https://b.example/"]}"#, "\"x\"", "null"] {
            let answer = await test.register(body)
            #expect(answer.status == 400 && answer.error == "invalid_request", "\(body)")
        }
    }

    @Test(
        "IN-04: a registration with any one byte changed, gone or doubled is registered within the policy, or refused in RFC 7591's words")
    func mutations() async throws {
        let test = try await TestNode.registering("open", ["--registration.per_source", "10000", "--registration.clients_max", "5000"])
        let body =
            #"{"redirect_uris":["https://a.example/cb"],"grant_types":["authorization_code"],"response_types":["code"],"scope":"openid","#
            + #""token_endpoint_auth_method":"none","jwks":{"keys":[{"kty":"EC"}]},"default_max_age":60,"require_auth_time":true}"#
        let bytes = Array(body.utf8)
        var registered = 0
        for index in bytes.indices {
            let forms: [[UInt8]] = [
                Array(bytes[..<index] + bytes[(index + 1)...]), Array(bytes[...index] + bytes[index...]),
                Array(bytes[..<index] + [UInt8(truncatingIfNeeded: index &* 31)] + bytes[(index + 1)...]),
            ]
            for form in forms {
                let answer = await test.send("POST", "/register", form)
                if answer.status == 201 {
                    registered += 1
                    #expect(answer.json["grant_types"]?.strings == ["authorization_code"])
                } else {
                    #expect(
                        answer.status == 400
                            && ["invalid_request", "invalid_redirect_uri", "invalid_client_metadata"].contains(answer.error ?? ""),
                        "\(String(decoding: form, as: UTF8.self)): \(answer.status)")
                }
            }
        }
        #expect(registered > 20)
    }
}
