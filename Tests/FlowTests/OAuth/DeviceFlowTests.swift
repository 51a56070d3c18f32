import AuthCore
import OAuthServer
import Store
import Testing
import TokenKeys

@testable import gatehouse

@Suite("RFC 8628 device authorization")
struct DeviceFlowTests {
    @Test("§3.1-§3.5: codes, waiting, signing in, agreeing, tokens; the device code is used up by it")
    func whole() async throws {
        let test = try await TestNode.devices()
        let begun = try await TestClient.tv.begin(test)
        #expect(begun.header("cache-control") == "no-store")
        #expect(begun.text("verification_uri") == "http://localhost:8080/device")
        let code = begun.text("user_code")
        #expect(begun.text("verification_uri_complete") == "http://localhost:8080/device?user_code=\(code)")
        #expect(code.wholeMatch(of: /[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}/) != nil)
        #expect(begun.json["expires_in"]?.int == 600 && begun.json["interval"]?.int == 5)
        let waiting = await TestClient.tv.poll(begun, test)
        #expect(waiting.status == 400 && waiting.error == "authorization_pending")

        let browser = TestBrowser(test)
        let entry = await browser.get("/device")
        #expect(entry.title == "Connect a device" && !entry.html.contains("<script"))
        // §6.1: neither case nor dashes matter.
        let signIn = await browser.submit(entry, [("user_code", " \(code.lowercased().replacing("-", with: " - "))")])
        #expect(signIn.title == "Sign in" && signIn.html.contains("The &lt;TV&gt;"))
        let question = await browser.signIn(signIn)
        #expect(question.title == "Allow this device" && !question.html.contains("<script"))
        for shown in ["The &lt;TV&gt;", "alice", "orders:read", "<bdi>orders</bdi>", code, "Allow it only if you see this code"] {
            #expect(question.html.contains(shown), "\(shown)")
        }
        let done = await browser.submit(question, [("answer", "allow")])
        #expect(done.title == "Device connected")

        try await test.advance(.seconds(5))
        let tokens = await TestClient.tv.poll(begun, test)
        #expect(tokens.status == 200, "\(tokens.error ?? "")")
        #expect(tokens.text("scope") == "openid orders:read" && !tokens.text("id_token").isEmpty)
        #expect(await test.isValid(tokens.text("access_token")))
        #expect(try tokens.claims()["aud"]?.string == "orders")
        let refreshed = await TestClient.tv.refresh(tokens.text("refresh_token"), test)
        #expect(refreshed.status == 200)
        // Used up; and a client that repeats itself has not lost what it bought.
        #expect(await TestClient.tv.poll(begun, test).error == "invalid_grant")
        #expect(await test.isValid(refreshed.text("access_token")))
        #expect(await browser.enter(code).html.contains("No device waits with this code"))
    }

    @Test("§3.1: the client proves itself, must have the grant, and may only ask for what there is and what it may have")
    func refusals() async throws {
        let test = try await TestNode.devices()
        #expect(await TestClient(id: "box").post(test, "/device_authorization", []).error == "invalid_client")
        #expect(await TestClient(id: "box", secret: "no").post(test, "/device_authorization", []).status == 401)
        #expect(await TestClient(id: "web").post(test, "/device_authorization", []).error == "unauthorized_client")
        #expect(await TestClient.box.post(test, "/device_authorization", []).status == 200)
        for (name, value, error) in [
            ("scope", "nothing", "invalid_scope"), ("scope", "orders:write", "invalid_scope"), ("scope", "a  b", "invalid_scope"),
            ("resource", "nowhere", "invalid_target"),
        ] {
            let answer = await TestClient.box.post(test, "/device_authorization", [(name, value)])
            #expect(answer.status == 400 && answer.error == error, "\(name) \(value)")
        }
        #expect(await TestClient(id: "web").token(test, [("grant_type", TestClient.deviceGrant)]).error == "unauthorized_client")
        #expect(await TestClient.tv.token(test, [("grant_type", TestClient.deviceGrant)]).error == "invalid_request")
    }

    @Test("§3.3.1, §5.4, TK-31: a code in the address stands in the field and does nothing, whoever is signed in")
    func complete() async throws {
        let test = try await TestNode.devices()
        let browser = try await test.authorized().browser
        let begun = try await TestClient.tv.begin(test)
        let target = begun.text("verification_uri_complete").replacing("http://localhost:8080", with: "")
        let entry = await browser.get(target)
        #expect(entry.title == "Connect a device" && entry.html.contains("value=\"\(begun.text("user_code"))\""))
        #expect(await TestClient.tv.poll(begun, test).error == "authorization_pending")
        // The code is sent by the person, and then asked about.
        #expect(await browser.submit(entry, []).title == "Allow this device")
        try await test.advance(.seconds(5))
        #expect(await TestClient.tv.poll(begun, test).error == "authorization_pending")
        let marked = await browser.get("/device?user_code=%22%3E%3Cscript%3E")
        #expect(marked.status == 200 && !marked.html.contains("<script"))
    }

    @Test("§3.5, TK-30: whoever does not agree, or does not sign in, denies the device", arguments: [true, false])
    func denied(signsIn: Bool) async throws {
        let test = try await TestNode.devices()
        let begun = try await TestClient.tv.begin(test)
        let browser = TestBrowser(test)
        let signIn = await browser.enter(begun.text("user_code"))
        let done =
            signsIn
            ? await browser.submit(await browser.signIn(signIn), [("answer", "deny")]) : await browser.submit(signIn, [("cancel", "1")])
        #expect(done.title == "Device not connected")
        for _ in 0..<2 {
            let told = await TestClient.tv.poll(begun, test)
            #expect(told.status == 400 && told.error == "access_denied")
        }
    }

    @Test("§3.5, TK-30: a poll that comes too soon raises the interval by five seconds, each time, and it stays raised")
    func slowDown() async throws {
        let test = try await TestNode.devices()
        let begun = try await TestClient.tv.begin(test)
        func poll(after seconds: Int) async throws -> String? {
            try await test.advance(.seconds(seconds))
            return await TestClient.tv.poll(begun, test).error
        }
        #expect(try await poll(after: 0) == "authorization_pending")
        #expect(try await poll(after: 5) == "authorization_pending")
        #expect(try await poll(after: 1) == "slow_down")
        #expect(try await poll(after: 5) == "slow_down")
        #expect(try await poll(after: 15) == "authorization_pending")
        #expect(try await poll(after: 10) == "slow_down")
        #expect(try await poll(after: 20) == "authorization_pending")
        // And the answer is given however slow the device has become.
        try await TestBrowser(test).allow(begun)
        #expect(await TestClient.tv.poll(begun, test).status == 200)
    }

    @Test("Registration §2: default_max_age asks again who signed in before, and never who did it on this way", arguments: [0, 30])
    func maxAge(_ seconds: Int) async throws {
        let test = try await TestNode.devices()
        let resources = TestNode.deviceResources.replacing("id: tv,", with: "id: tv, default_max_age: \(seconds),")
        try #require(resources != TestNode.deviceResources)
        #expect(await test.apply(resources).status == 200)
        let browser = TestBrowser(test)
        for round in 0..<2 {
            let begun = try await TestClient.tv.begin(test)
            let page = await browser.enter(begun.text("user_code"))
            #expect(page.title == (round == 0 ? "Sign in" : "Sign in again"))
            let question = await browser.signIn(page)
            #expect(question.title == "Allow this device")
            // They read it.
            try await test.advance(.seconds(45))
            #expect(await browser.submit(question, [("answer", "allow")]).title == "Device connected")
        }
    }

    @Test("§3.2, §3.5: after ten minutes the device is told expired_token, and the person that no device waits")
    func expired() async throws {
        let test = try await TestNode.devices()
        let begun = try await TestClient.tv.begin(test)
        let late = try await TestClient.tv.begin(test)
        let question = try await TestBrowser(test).asked(begun)
        let browser = TestBrowser(test)
        let other = try await browser.asked(late)
        try await test.advance(.seconds(601))
        let told = await TestClient.tv.poll(begun, test)
        #expect(told.status == 400 && told.error == "expired_token")
        #expect(await browser.submit(other, [("answer", "allow")]).status == 400)
        #expect(await browser.enter(begun.text("user_code")).html.contains("No device waits with this code"))
        #expect(question.status == 200)
        try await test.advance(.seconds(600))
        #expect(await TestClient.tv.poll(begun, test).error == "invalid_grant")
    }

    @Test("§3.4, TK-32, CVE-2023-2585: a device code is its client's; one that never was is refused in the same words")
    func bound() async throws {
        let test = try await TestNode.devices()
        let begun = try await TestClient.tv.begin(test)
        try await TestBrowser(test).allow(begun)
        let others = await TestClient.box.poll(begun, test)
        #expect(others.status == 400 && others.error == "invalid_grant")
        let unknown = "ghd_" + String(repeating: "A", count: 43)
        for code in [unknown, "x", begun.text("user_code"), begun.text("device_code").lowercased()] {
            let answer = await TestClient.tv.token(test, [("grant_type", TestClient.deviceGrant), ("device_code", code)])
            #expect(answer.error == "invalid_grant")
            #expect(answer.text("error_description") == others.text("error_description"))
        }
        #expect(await TestClient.tv.poll(begun, test).status == 200)
    }

    @Test("of 64 redemptions one gets tokens, and they live; on both stores (TK-32)", arguments: [false, true])
    func race(postgres: Bool) async throws {
        let test = try await TestNode.devices(postgres: postgres)
        // Without an ID token: on a shared store RSA keys sign when every node has them.
        let begun = try await TestClient.tv.begin(test, [("scope", "orders:read")])
        try await TestBrowser(test).allow(begun)
        let answers = await withTaskGroup(of: Answer.self) { group in
            for _ in 0..<64 { group.addTask { await TestClient.tv.poll(begun, test) } }
            return await group.reduce(into: [Answer]()) { $0.append($1) }
        }
        let bought = answers.filter { $0.status == 200 }
        #expect(bought.count == 1)
        #expect(answers.filter { $0.error == "invalid_grant" }.count == 63)
        #expect(await test.isValid(bought.first?.text("access_token") ?? ""))
    }

    @Test("of 64 answers to one question, half of them no, one counts; on both stores", arguments: [false, true])
    func answers(postgres: Bool) async throws {
        let test = try await TestNode.devices(postgres: postgres)
        // Without an ID token: on a shared store RSA keys sign when every node has them.
        let begun = try await TestClient.tv.begin(test, [("scope", "orders:read")])
        let browser = TestBrowser(test)
        let question = try await browser.asked(begun)
        let titles = await withTaskGroup(of: String.self) { group in
            for number in 0..<64 {
                group.addTask { await browser.submit(question, [("answer", number % 2 == 0 ? "allow" : "deny")]).title }
            }
            return await group.reduce(into: [String]()) { $0.append($1) }
        }
        let counted = titles.filter { $0.hasPrefix("Device") }
        #expect(counted.count == 1)
        let told = await TestClient.tv.poll(begun, test)
        #expect((told.status == 200) == (counted == ["Device connected"]), "\(counted) \(told.error ?? "")")
    }

    @Test("what ended between the answer and the poll gives nothing", arguments: ["session", "account", "client"])
    func ended(_ what: String) async throws {
        let test = try await TestNode.devices()
        let begun = try await TestClient.tv.begin(test)
        try await TestBrowser(test).allow(begun)
        switch what {
        case "session": _ = await test.send("DELETE", "/admin/users/alice/sessions", to: .control)
        case "account": _ = await test.send("PATCH", "/admin/users/alice", Array(#"{"disabled":true}"#.utf8), to: .control)
        default: _ = await test.send("PATCH", "/admin/clients/tv", Array(#"{"disabled":true}"#.utf8), to: .control)
        }
        #expect(await TestClient.tv.poll(begun, test).error == (what == "client" ? "invalid_client" : "invalid_grant"))
    }

    @Test("a client that is disabled, or another one under its name, is nobody's to agree to")
    func replacedClient() async throws {
        let test = try await TestNode.devices()
        let begun = try await TestClient.tv.begin(test)
        let browser = TestBrowser(test)
        let question = try await browser.asked(begun)
        _ = await test.send("PATCH", "/admin/clients/tv", Array(#"{"disabled":true}"#.utf8), to: .control)
        #expect(await browser.submit(question, [("answer", "allow")]).status == 400)
        #expect(await browser.enter(begun.text("user_code")).html.contains("No device waits"))
    }

    @Test("a device's tokens end with the session that allowed it, and with offline_access go on")
    func session() async throws {
        let test = try await TestNode.devices()
        for (scope, lives) in [("openid orders:read", false), ("openid orders:read offline_access", true)] {
            let begun = try await TestClient.tv.begin(test, [("scope", scope)])
            try await TestBrowser(test).allow(begun)
            let tokens = await TestClient.tv.poll(begun, test)
            #expect(tokens.status == 200)
            _ = await test.send("DELETE", "/admin/users/alice/sessions", to: .control)
            // `everywhere` is the account's wish: it ends both; what ends alone is asked next.
            #expect(await !test.isValid(tokens.text("access_token")))
            let again = try await TestClient.tv.begin(test, [("scope", scope)])
            let browser = TestBrowser(test)
            try await browser.allow(again)
            let others = await TestClient.tv.poll(again, test)
            let hint = await browser.get("/end-session?id_token_hint=\(others.text("id_token"))")
            #expect(hint.title == "Signed out")
            #expect(await test.isValid(others.text("access_token")) == lives, "\(scope)")
        }
    }

    @Test("a form of another browser, of another site or of another way is refused (CK-05, CK-06)")
    func foreignForms() async throws {
        let test = try await TestNode.devices()
        let begun = try await TestClient.tv.begin(test)
        let (alice, mallory) = (TestBrowser(test), TestBrowser(test))
        let question = try await alice.asked(begun)
        _ = await mallory.get("/device")
        #expect(await mallory.submit(question, [("answer", "allow")]).status == 400)
        #expect(await alice.submit(question, [("answer", "allow")], headers: [("sec-fetch-site", "cross-site")]).status == 400)
        #expect(await alice.submit(question, [("answer", "allow")], without: ["form"]).status == 400)
        // The form of the code page answers no question, and that of an authorization no device's.
        let fields = await alice.get("/device").fields.filter { ["interaction", "form"].contains($0.name) }
        let web = await alice.get(TestClient().request())
        for (fields, path) in [(fields, "/device/confirm"), (fields, "/consent"), (web.fields, "/device"), (web.fields, "/device/confirm")]
        {
            let html = #"<form action="\#(path)">"#
            let page = TestBrowser.Seen(answer: Answer(status: 200, headers: [], body: Array(html.utf8)))
            let more = fields.map { ($0.name, $0.value) } + [("answer", "allow"), ("user_code", begun.text("user_code"))]
            #expect(await alice.submit(page, more).status == 400, "\(path)")
        }
        #expect(await TestClient.tv.poll(begun, test).error == "authorization_pending")
        #expect(await alice.submit(question, [("answer", "allow")]).title == "Device connected")
    }

    @Test("§5.4: the question cannot be sent to somebody: its address is of the browser in which the code was typed")
    func sentQuestion() async throws {
        let test = try await TestNode.devices()
        let begun = try await TestClient.tv.begin(test)
        let (alice, mallory) = (try await test.authorized().browser, TestBrowser(test))
        let page = await mallory.get("/device")
        let fields =
            page.fields.filter { ["interaction", "form"].contains($0.name) } + [(name: "user_code", value: begun.text("user_code"))]
        let cookie = mallory.cookies.map { "\($0.name)=\($0.value)" }.joined(separator: "; ")
        let sent = await test.send(
            "POST", "/device", Array(FormParameters(fields).encoded.utf8),
            headers: [("content-type", "application/x-www-form-urlencoded"), ("cookie", cookie)])
        let target = try #require(sent.header("location"))
        #expect(await mallory.get(target).title == "Sign in")
        #expect(await alice.get(target).status == 400)
        #expect(await alice.get(String(target.prefix { $0 != "&" })).status == 400)
    }

    @Test("two accounts are chosen between; who was shown is who agrees")
    func accounts() async throws {
        let test = try await TestNode.devices()
        let begun = try await TestClient.tv.begin(test)
        let browser = TestBrowser(test)
        let alice = try await browser.asked(begun)
        let other = await browser.submit(
            await browser.get(TestClient().request([("prompt", "select_account")])), [("other", "1")])
        _ = await browser.signIn(other, "bob")
        let choice = await browser.enter(begun.text("user_code"))
        #expect(choice.title == "Choose an account" && choice.html.contains("bob") && choice.html.contains("The &lt;TV&gt;"))
        #expect(await browser.submit(alice, [("answer", "allow")]).title == "Device connected")
        let tokens = await TestClient.tv.poll(begun, test)
        let account = try await test.account("alice")
        #expect(try tokens.claims()["sub"]?.string == account?.id.text)
    }

    @Test("metadata names the endpoint and the grant (§4)")
    func metadata() async throws {
        let test = try await TestNode.devices()
        for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
            let metadata = await test.send("GET", path, headers: []).json
            #expect(metadata["device_authorization_endpoint"]?.string == "http://localhost:8080/device_authorization")
            #expect(metadata["grant_types_supported"]?.strings?.contains(TestClient.deviceGrant) == true)
        }
    }
}
