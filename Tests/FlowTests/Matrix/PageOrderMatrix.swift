import AuthCore
import OAuthServer
import Store
import Testing

@testable import gatehouse

/// Matrix (f) for browsers: the forms of an authorization skipped, repeated, out of their turn and in other hands. A new page is rows here.
@Suite("Matrix: step of an authorization × out of order (AZ-35, AZ-37, CK-05, CK-06)")
struct PageOrderMatrix {
    /// What comes of it. A code is always one of these letters' person.
    enum Outcome: Sendable, Equatable, CustomStringConvertible {
        case page(Int, String)
        case code(of: String)
        case error(String)

        var description: String {
            switch self {
            case .page(let status, let title): "\(status) \(title)"
            case .code(let name): "a code of \(name)"
            case .error(let code): "the client is told \(code)"
            }
        }
    }

    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let outcome: Outcome
        let run: @Sendable (TestNode) async throws -> TestBrowser.Seen

        init(_ name: String, _ outcome: Outcome, _ run: @escaping @Sendable (TestNode) async throws -> TestBrowser.Seen) {
            testDescription = name
            self.outcome = outcome
            self.run = run
        }
    }

    private static let allow = [("answer", "allow")]
    private static let foreign = Outcome.page(400, "This did not work")

    /// A browser of alice before the page that asks her to agree.
    private static func asked(_ test: TestNode, _ target: String = TestClient().request()) async -> (TestBrowser, TestBrowser.Seen) {
        let browser = TestBrowser(test)
        let page = await browser.signIn(await browser.get(target))
        #expect(page.title == "Allow access")
        return (browser, page)
    }

    /// Signs bob in too, in another tab.
    private static func addBob(_ browser: TestBrowser) async {
        let page = await browser.get(TestClient.shop.request([("prompt", "select_account")]))
        let other = page.title == "Choose an account" ? await browser.submit(page, [("other", "1")]) : page
        #expect(await browser.signIn(other, "bob").location?.contains("code=") == true)
    }

    private static func end(_ name: String, _ test: TestNode) async {
        #expect(await test.send("DELETE", "/admin/users/\(name)/sessions", to: .control).status == 204)
    }

    /// The page with its form's fields, and another step's address.
    private static func send(_ page: TestBrowser.Seen, to path: String, _ fields: [(String, String)], _ browser: TestBrowser) async
        -> TestBrowser.Seen
    {
        let html = page.html.replacing("action=\"\(page.action)\"", with: "action=\"\(path)\"")
        return await browser.submit(
            TestBrowser.Seen(answer: Answer(status: page.status, headers: [], body: Array(html.utf8))), fields)
    }

    private static func pushed(_ test: TestNode) async throws -> String {
        let query = TestClient().request().split(separator: "?")[1]
        let form = try FormParameters(Array(query.utf8)).members.map { ($0.name, $0.value) }
        let uri = await TestClient().post(test, "/par", form).text("request_uri")
        return "/authorize?" + FormParameters([(name: "client_id", value: "web"), (name: "request_uri", value: uri)]).encoded
    }

    static let rows: [Row] = [
        Row("agreeing before signing in, with the form of the sign-in page", foreign) { test in
            let browser = TestBrowser(test)
            return await send(await browser.get(TestClient().request()), to: "/consent", allow, browser)
        },
        Row("agreeing in another browser, where somebody else is signed in", foreign) { test in
            let (_, page) = await asked(test)
            let (other, _) = try await test.authorized(TestClient(), "bob")
            return await other.submit(page, allow)
        },
        Row("agreeing without an answer", foreign) { test in
            let (browser, page) = await asked(test)
            return await browser.submit(page, [("answer", "")])
        },
        Row("an answer that is neither yes nor no is no", .error("access_denied")) { test in
            let (browser, page) = await asked(test)
            return await browser.submit(page, [("answer", "ALLOW")])
        },
        Row("agreeing after the session was ended", .page(200, "Sign in")) { test in
            let (browser, page) = await asked(test)
            await end("alice", test)
            return await browser.submit(page, allow)
        },
        Row("agreeing after the account was disabled", .page(200, "Sign in")) { test in
            let (browser, page) = await asked(test)
            _ = await test.send("PATCH", "/admin/users/alice", Array(#"{"disabled":true}"#.utf8), to: .control)
            return await browser.submit(page, allow)
        },
        Row("agreeing after the client was disabled", foreign) { test in
            let (browser, page) = await asked(test)
            _ = await test.send("PATCH", "/admin/clients/web", Array(#"{"disabled":true}"#.utf8), to: .control)
            return await browser.submit(page, allow)
        },
        Row("agreeing while somebody else signed in in another tab: who was shown agrees", .code(of: "alice")) { test in
            let (browser, page) = await asked(test)
            await addBob(browser)
            return await browser.submit(page, allow)
        },
        Row("agreeing after who was shown has gone and somebody else is signed in: nobody agrees", .page(200, "Choose an account")) {
            test in
            let (browser, page) = await asked(test)
            await addBob(browser)
            await end("alice", test)
            return await browser.submit(page, allow)
        },
        Row("choosing somebody who has gone meanwhile: nobody takes their place", .page(200, "Choose an account")) { test in
            let (browser, _) = try await test.authorized(.shop)
            await addBob(browser)
            let page = await browser.get(TestClient.shop.request())
            let alice = try #require(page.html.firstMatch(of: /value="([^"]+)" class="choice"><bdi>alice</)).1
            await end("alice", test)
            return await browser.submit(page, [("session", String(alice))])
        },
        Row("choosing a session of another browser", .page(200, "Choose an account")) { test in
            let (browser, _) = try await test.authorized(.shop)
            let (other, _) = try await test.authorized(.shop, "bob")
            await addBob(browser)
            let page = await browser.get(TestClient.shop.request())
            let theirs = await other.get(TestClient.shop.request([("prompt", "select_account")]))
            let bob = try #require(theirs.html.firstMatch(of: /value="([^"]+)" class="choice"><bdi>bob</)).1
            return await browser.submit(page, [("session", String(bob))])
        },
        Row("choosing one of two", .code(of: "bob")) { test in
            let (browser, _) = try await test.authorized(.shop)
            await addBob(browser)
            let page = await browser.get(TestClient.shop.request())
            let bob = try #require(page.html.firstMatch(of: /value="([^"]+)" class="choice"><bdi>bob</)).1
            return await browser.submit(page, [("session", String(bob))])
        },
        Row("going on where another browser was, in one where nobody is signed in", .page(200, "Sign in")) { test in
            let (_, page) = await asked(test)
            let state = try #require(page.fields.first { $0.name == "interaction" }).value
            return await TestBrowser(test).get("/authorize/resume?interaction=\(state)")
        },
        Row("going on where another browser was, in one where somebody else is", .page(200, "Choose an account")) { test in
            let (_, page) = await asked(test)
            let state = try #require(page.fields.first { $0.name == "interaction" }).value
            let (other, _) = try await test.authorized(TestClient(), "bob")
            return await other.get("/authorize/resume?interaction=\(state)")
        },
        Row("going on without a way", foreign) { await TestBrowser($0).get("/authorize/resume") },
        Row("going on with what another server sealed", foreign) { test in
            let other = try await TestNode.matrix()
            let (_, page) = await asked(other)
            let state = try #require(page.fields.first { $0.name == "interaction" }).value
            return await TestBrowser(test).get("/authorize/resume?interaction=\(state)")
        },
        Row("signing in more than an hour after the page was shown", foreign) { test in
            let browser = TestBrowser(test)
            let page = await browser.get(TestClient().request())
            try await test.advance(.seconds(3_601))
            return await browser.signIn(page)
        },
        Row("signing in with the form of the next page goes on from there", .page(200, "Allow access")) { test in
            let (browser, page) = await asked(test)
            return await send(page, to: "/sign-in", [("username", "alice"), ("password", TestNode.password)], browser)
        },
        Row("signing in again with a wrong password, going back: nothing is lost", .code(of: "alice")) { test in
            let browser = TestBrowser(test)
            let first = await browser.get(TestClient().request())
            let page = await browser.signIn(first)
            #expect(await browser.signIn(first, password: "wrong-wrong-wrong").location == nil)
            return await browser.submit(page, allow)
        },
        Row("the same form of a pushed request twice: it is used up", foreign) { test in
            let (browser, page) = await asked(test, try await pushed(test))
            #expect(await browser.submit(page, allow).location?.contains("code=") == true)
            return await browser.submit(page, allow)
        },
        Row("a pushed request is used up by its end and not by its pages", .code(of: "alice")) { test in
            let target = try await pushed(test)
            for _ in 0..<3 { #expect(await TestBrowser(test).get(target).title == "Sign in") }
            let (browser, page) = await asked(test, target)
            return await browser.submit(page, allow)
        },
        Row("no, and then yes, to a pushed request: nothing was used up by a no", .code(of: "alice")) { test in
            let (browser, page) = await asked(test, try await pushed(test))
            #expect(await browser.submit(page, [("answer", "deny")]).location?.contains("access_denied") == true)
            return await browser.submit(page, allow)
        },
        Row("a pushed request of another client", foreign) { test in
            let target = try await pushed(test).replacing("client_id=web", with: "client_id=shop")
            return await TestBrowser(test).get(target)
        },
        Row("prompt=login: who is signed in is asked again", .page(200, "Sign in again")) { test in
            let (browser, _) = try await test.authorized()
            return await browser.get(TestClient().request([("prompt", "login")]))
        },
        Row("prompt=login: and is so with every request, not only the first", .page(200, "Sign in again")) { test in
            let (browser, _) = try await test.authorized()
            let target = TestClient().request([("prompt", "login")])
            #expect(await browser.signIn(await browser.get(target)).location?.contains("code=") == true)
            return await browser.get(target)
        },
    ]

    @Test("a step that is not its turn, or not its browser's, gives nothing that was not shown", arguments: rows)
    func steps(_ row: Row) async throws {
        let test = try await TestNode.matrix()
        let seen = try await row.run(test)
        let outcome: Outcome
        if let code = seen.told["code"] {
            let client = seen.location?.contains("shop.example.com") == true ? TestClient.shop : TestClient()
            let subject = try await client.exchange(code, test).claims()["sub"]?.string
            let names = try await ["alice", "bob"].asyncFilter { try await test.account($0)?.id.text == subject }
            outcome = .code(of: names.first ?? "nobody")
        } else if let error = seen.told["error"] {
            outcome = .error(error)
        } else {
            outcome = .page(seen.status, seen.title)
        }
        #expect(outcome == row.outcome)
    }
}

extension Array {
    fileprivate func asyncFilter(_ isIncluded: (Element) async throws -> Bool) async throws -> [Element] {
        var kept: [Element] = []
        for element in self where try await isIncluded(element) { kept.append(element) }
        return kept
    }
}
