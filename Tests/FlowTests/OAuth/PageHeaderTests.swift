import AuthCore
import Testing

@testable import gatehouse

@Suite("What browsers are told about pages (CSP 3, RFC 6265bis §4.1.3, RFC 6797, RFC 9700 §4.2.4, §4.16)")
struct PageHeaderTests {
    /// Every page that there is, in the order of a way through them, with its name.
    private static func pages(_ test: TestNode, _ host: String = "localhost:8080") async throws -> [(name: String, seen: TestBrowser.Seen)]
    {
        let browser = TestBrowser(test)
        var pages: [(String, TestBrowser.Seen)] = []
        let first = await browser.get(TestClient().request())
        pages.append(("sign in", first))
        pages.append(("wrong password", await browser.signIn(first, "alice", password: "wrong-wrong-wrong")))
        let consent = await browser.signIn(first)
        pages.append(("consent", consent))
        pages.append(("back to the client", await browser.submit(consent, [("answer", "allow")])))
        pages.append(("choose account", await browser.get(TestClient().request([("prompt", "select_account")]))))
        pages.append(("form post", await browser.get(TestClient().request([("response_mode", "form_post")]))))
        pages.append(("error", await browser.get("/authorize?client_id=nobody")))
        pages.append(("a form's address", await browser.get("/sign-in")))
        let signOut = await browser.get("/end-session")
        pages.append(("sign out", signOut))
        pages.append(("stayed", await browser.submit(signOut, [("answer", "stay")])))
        pages.append(("signed out", await browser.submit(await browser.get("/end-session"), [("answer", "sign-out")])))
        return pages
    }

    @Test("every page: nothing but its own style, in no frame, in no cache, no referrer, no sniffing, no opener")
    func headers() async throws {
        let test = try await TestNode.matrix(resources: TestNode.oauthResources)
        let pages = try await PageHeaderTests.pages(test)
        #expect(Set(pages.map(\.seen.title)).count >= 9)
        for (name, seen) in pages {
            let headers = seen.answer.headers
            for header in headers where header.name != "set-cookie" {
                #expect(headers.filter { $0.name == header.name }.count == 1, "\(name): \(header.name)")
            }
            #expect(seen.answer.header("cache-control") == "no-store", "\(name)")
            #expect(seen.answer.header("referrer-policy") == "no-referrer", "\(name)")
            #expect(seen.answer.header("x-content-type-options") == "nosniff", "\(name)")
            #expect(seen.answer.header("x-frame-options") == "DENY", "\(name)")
            #expect(seen.answer.header("cross-origin-opener-policy") == "same-origin", "\(name)")
            // Without TLS it would be ignored, or worse, believed of a developer's localhost.
            #expect(seen.answer.header("strict-transport-security") == nil, "\(name)")
            guard seen.status != 303 else { continue }
            #expect(seen.answer.header("content-type") == "text/html; charset=utf-8", "\(name)")
            let policy = (seen.answer.header("content-security-policy") ?? "").split(separator: "; ").map(String.init)
            #expect(policy.first == "default-src 'none'", "\(name)")
            #expect(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "\(name)")
            #expect(policy.contains("script-src 'self'") == (name == "form post"), "\(name)")
            #expect(!policy.contains { $0.contains("unsafe") || $0.contains("*") || $0.contains("data:") }, "\(name)")
            let inline = seen.html.firstMatch(of: /<style|<script(?! src)| style=| on[a-z]+=|(src|href)="https?:/)
            #expect(inline == nil, "\(name): \(inline.map { String($0.output.0) } ?? "")")
            #expect(seen.html.hasPrefix("<!doctype html>\n<html lang=\"en\">"), "\(name)")
        }
    }

    @Test("forms lead here and to the client's origins, and nowhere else: browsers check also where a form is redirected to")
    func formTargets() async throws {
        let resources = TestNode.oauthResources.replacing(
            "public: true\n", with: "public: true\n    client_uri: \"https://shop.example.com/start?x\"\n")
        let test = try await TestNode.matrix(resources: resources)
        for (name, seen) in try await PageHeaderTests.pages(test) where seen.status != 303 {
            let policy = (seen.answer.header("content-security-policy") ?? "").split(separator: "; ").map(String.init)
            let targets = policy.first { $0.hasPrefix("form-action ") }
            switch name {
            case "sign in", "wrong password", "consent", "choose account", "form post":
                #expect(targets == "form-action 'self' http://127.0.0.1:9000 https://shop.example.com", "\(name)")
            default: #expect(targets == "form-action 'self'", "\(name)")
            }
        }
    }

    @Test("with an issuer of https: HSTS on every answer, and cookies with __Host-, Secure, HttpOnly, SameSite=Lax")
    func secure() async throws {
        let test = try await TestNode.matrix(["--issuer", "https://id.example.com"], resources: TestNode.oauthResources)
        let browser = TestBrowser(test)
        let first = await browser.get(TestClient().request())
        let state = try #require(first.fields.first { $0.name == "interaction" }).value
        let form = try #require(first.fields.first { $0.name == "form" }).value
        let cookie = browser.cookies.map { "\($0.name)=\($0.value)" }.joined(separator: "; ")
        let fields = FormParameters([
            (name: "interaction", value: state), (name: "form", value: form), (name: "username", value: "alice"),
            (name: "password", value: TestNode.password),
        ])
        let signedIn = await test.send(
            "POST", "/sign-in", Array(fields.encoded.utf8),
            headers: [("content-type", "application/x-www-form-urlencoded"), ("cookie", cookie)])
        #expect(signedIn.status == 303)
        for answer in [first.answer, signedIn] {
            let cookies = answer.headers.filter { $0.name == "set-cookie" }.map(\.value)
            #expect(cookies.count == 1)
            for cookie in cookies {
                #expect(cookie.hasPrefix("__Host-gatehouse-"))
                let attributes = cookie.split(separator: "; ").map(String.init).dropFirst()
                #expect(Set(attributes.filter { !$0.hasPrefix("Max-Age=") }) == ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"])
            }
        }
        let others = ["/authorize", "/sign-in", "/nothing", "/assets/gatehouse.css", "/.well-known/openid-configuration"]
        for path in others {
            #expect(await test.send("GET", path, headers: []).header("strict-transport-security") == "max-age=31536000", "\(path)")
        }
        for answer in [first.answer, signedIn] { #expect(answer.header("strict-transport-security") == "max-age=31536000") }
    }

    @Test("the address of a form, opened by itself, is a page for people and stays an error for programs")
    func alone() async throws {
        let test = try await TestNode.matrix(resources: TestNode.oauthResources)
        for path in ["/sign-in", "/choose-account", "/consent", "/end-session/confirm"] {
            let seen = await TestBrowser(test).get(path)
            #expect(seen.status == 405, "\(path)")
            #expect(seen.answer.header("allow") == "POST", "\(path)")
            #expect(seen.title == "This did not work", "\(path)")
            #expect(await test.send("PUT", path).error == "method_not_allowed", "\(path)")
        }
        #expect(await test.send("GET", "/token", headers: []).error == "method_not_allowed")
    }

    @Test("a form that is sent after an hour is answered with a page that says what to do")
    func expired() async throws {
        let test = try await TestNode.matrix(resources: TestNode.oauthResources)
        let browser = TestBrowser(test)
        let page = await browser.get(TestClient().request())
        test.clock.advance(.seconds(3_599))
        #expect(await browser.signIn(page, "alice", password: "wrong-wrong-wrong").title == "Sign in")
        test.clock.advance(.seconds(2))
        let late = await browser.signIn(page)
        #expect(late.status == 400)
        #expect(late.title == "This did not work")
        #expect(late.html.contains("This took too long. Go back to the application and begin again."))
        #expect(late.html.contains("<code>invalid_request</code>"))
    }
}
