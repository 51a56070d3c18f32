import AuthCore
import Foundation
import OAuthServer
import Testing

@testable import gatehouse

@Suite("What went wrong at other OAuth servers", .timeLimit(.minutes(1)))
struct PeerMistakeTests {
    private let web = TestClient()

    @Test("CVE-2023-6787: whoever signs in under prompt=login in another's browser has a session of their own")
    func anotherUnderPromptLogin() async throws {
        let test = try await TestNode.oauth()
        let browser = TestBrowser(test)
        func tokens(_ page: TestBrowser.Seen, _ username: String) async throws -> Answer {
            let consent = await browser.signIn(page, username)
            let back = consent.location == nil ? await browser.submit(consent, [("answer", "allow")]) : consent
            return await web.exchange(try #require(try back.parameters()["code"]), test)
        }
        let alice = try await tokens(await browser.get(web.request()), "alice")
        // Cancelled: nothing has changed, and nothing is given out.
        let cancelled = await browser.submit(await browser.get(web.request([("prompt", "login")])), [("cancel", "1")])
        #expect(try cancelled.parameters()["error"] == "access_denied")
        #expect(await test.isValid(alice.text("access_token")))
        let bob = try await tokens(await browser.get(web.request([("prompt", "login")])), "bob")
        #expect(try bob.claims()["sub"] != alice.claims()["sub"] && bob.claims()["sid"] != alice.claims()["sid"])
        let (hers, his) = (try alice.claims()["sid"]?.string ?? "", try bob.claims()["sid"]?.string ?? "")
        #expect(!hers.isEmpty && !his.isEmpty)
        for token in [alice, bob] { #expect(await test.isValid(token.text("access_token"))) }
        // The end of one is not the end of the other.
        #expect(await test.send("DELETE", "/admin/sessions/\(his)", to: .control).status < 300)
        #expect(await test.isValid(alice.text("access_token")))
        #expect(await !test.isValid(bob.text("access_token")))
    }

    @Test("CVE-2024-4540: no cookie and no address of the way has anything of a pushed request")
    func pushedParameters() async throws {
        let test = try await TestNode.oauth()
        let secret = "a-state-that-nobody-else-may-see"
        let query = web.request([("state", secret), ("login_hint", "hinted-person")]).split(separator: "?")[1]
        let pushed = await web.post(test, "/par", try FormParameters(Array(query.utf8)).members.map { ($0.name, $0.value) })
        #expect(pushed.status == 201)
        let browser = TestBrowser(test)
        let page = await browser.get(
            "/authorize?" + FormParameters([("client_id", "web"), ("request_uri", pushed.text("request_uri"))]).encoded)
        let consent = await browser.signIn(page)
        for text in browser.cookies.map(\.value) + page.fields.map(\.value) + consent.fields.map(\.value) where text != "hinted-person" {
            for part in text.split(separator: ".") {
                let decoded = Base64URL.decode(String(part)).map { String(decoding: $0, as: UTF8.self) } ?? ""
                #expect(!text.contains(secret) && !decoded.contains(secret))
            }
        }
        let back = await browser.submit(consent, [("answer", "allow")])
        #expect(try back.parameters()["state"] == secret)
    }

    @Test("CVE-2019-8400: what a stranger sent never becomes a part of a page")
    func errorPages() async throws {
        let test = try await TestNode.oauth()
        let attack = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'"
        for name in [
            "client_id", "redirect_uri", "scope", "state", "login_hint", "request_uri", "error_description", "ui_locales", "prompt",
        ] {
            let seen = await TestBrowser(test).get(web.request([(name, attack)]))
            #expect(!seen.html.contains("<script>") && !seen.html.contains("<img") && !seen.html.contains("onerror=alert(1)>"), "\(name)")
            let posted = await TestBrowser(test).submit(
                TestBrowser.Seen(answer: Answer(status: 200, headers: [], body: Array(#"<form action="/authorize">"#.utf8))),
                [(name, attack)])
            #expect(!posted.html.contains("<script>") && !posted.html.contains("<img"), "\(name)")
        }
    }

    @Test("a changed, cut or foreign seal of the way leads nowhere (CVE-2021-29652)")
    func seals() async throws {
        let test = try await TestNode.oauth()
        let browser = TestBrowser(test)
        let page = await browser.get(web.request())
        let seal = try #require(page.fields.first { $0.name == "interaction" }?.value)
        var bytes = Array(seal.utf8)
        for index in stride(from: 0, to: bytes.count, by: 7) {
            let before = bytes[index]
            bytes[index] = before == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            let changed = String(decoding: bytes, as: UTF8.self)
            bytes[index] = before
            let seen = await browser.submit(
                page, [("interaction", changed), ("username", "alice"), ("password", TestNode.password)])
            #expect(seen.location == nil && seen.status >= 400, "\(index)")
        }
        #expect(await browser.submit(page, [("interaction", String(seal.dropLast()))]).status >= 400)
        #expect(await browser.signIn(page).html.contains("name=\"answer\""))
    }

    @Test("CVE-2024-4540: no address of the way has anything of a pushed request, plain, escaped or encoded")
    func pushedAddresses() async throws {
        let test = try await TestNode.oauth()
        let marks = ["a-state-that-nobody-else-may-see", "n-once-and-secret", "hinted-person", web.verifier]
        let more = [("state", marks[0]), ("nonce", marks[1]), ("login_hint", marks[2]), ("prompt", "select_account")]
        let query = web.request(more).split(separator: "?")[1]
        let pushed = await web.post(test, "/par", try FormParameters(Array(query.utf8)).members.map { ($0.name, $0.value) })
        let browser = try await test.authorized().browser
        let before = browser.addresses.count
        var seen = await browser.get(
            "/authorize?" + FormParameters([("client_id", "web"), ("request_uri", pushed.text("request_uri"))]).encoded)
        #expect(seen.title == "Choose an account")
        let session = try #require(seen.html.firstMatch(of: /name="session" value="([^"]*)"/)).1
        seen = await browser.submit(seen, [("session", String(session))])
        if seen.title == "Allow access" { seen = await browser.submit(seen, [("answer", "allow")]) }
        #expect(try seen.parameters()["state"] == marks[0])
        let addresses = browser.addresses.dropFirst(before)
        #expect(addresses.count >= 2)
        for address in addresses {
            for part in address.split(whereSeparator: { "?&=./".contains($0) }) {
                let decoded = Base64URL.decode(String(part)).map { String(decoding: $0, as: UTF8.self) } ?? ""
                for mark in marks { #expect(!address.contains(mark) && !decoded.contains(mark), "\(address)") }
            }
        }
        // What is looked for would be found, were it there.
        _ = await browser.get(web.request(more))
        #expect(browser.addresses.contains { $0.contains(marks[0]) })
    }
}
