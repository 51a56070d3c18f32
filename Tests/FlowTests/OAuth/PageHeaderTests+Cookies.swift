import AuthCore
import OAuthServer
import Testing

@testable import gatehouse

extension PageHeaderTests {
    @Test("CK-03: two cookies of one name are none, in one field or in two: nobody can put a session or a browser beside ours")
    func twoCookies() async throws {
        let test = try await TestNode.oauth()
        let browser = try await test.authorized().browser
        let cookie = { (name: String) in browser.cookies.first { $0.name == name }.map { "\($0.name)=\($0.value)" } }
        let (session, own) = (try #require(cookie("gatehouse-session")), try #require(cookie("gatehouse-browser")))
        let target = TestClient().request()
        func ask(_ fields: [String]) async -> TestBrowser.Seen {
            TestBrowser.Seen(answer: await test.send("GET", target, headers: fields.map { ("cookie", $0) }))
        }
        #expect(await ask(["\(own); \(session)"]).told["code"] != nil)
        #expect(await ask([own, session]).told["code"] != nil)
        #expect(await ask(["\(own); gatehouse-sessions=x; xgatehouse-session=y; \(session)"]).told["code"] != nil)
        let foreign = "gatehouse-session=" + String(repeating: "A", count: 43)
        for other in [session, foreign, "gatehouse-session="] {
            for fields in [
                ["\(own); \(session); \(other)"], ["\(own); \(other); \(session)"], [own, session, other], [other, own, session],
            ] {
                let seen = await ask(fields)
                #expect(seen.title == "Sign in" && seen.told["code"] == nil, "\(fields)")
            }
        }
        // The form of a page is bound to the one browser that it was shown in.
        let page = await ask([own])
        #expect(page.title == "Sign in")
        let fields =
            page.fields.filter { !["username", "password"].contains($0.name) } + [
                (name: "username", value: "alice"), (name: "password", value: TestNode.password),
            ]
        func submit(_ cookies: String) async -> TestBrowser.Seen {
            TestBrowser.Seen(
                answer: await test.send(
                    "POST", page.action, Array(FormParameters(fields).encoded.utf8),
                    headers: [("content-type", "application/x-www-form-urlencoded"), ("cookie", cookies)]))
        }
        for second in [own, "gatehouse-browser=" + String(repeating: "A", count: 43)] {
            for cookies in ["\(own); \(second)", "\(second); \(own)"] {
                let seen = await submit(cookies)
                #expect(seen.status == 400 && seen.title == "This did not work", "\(cookies)")
                #expect(!seen.answer.headers.contains { $0.name == "set-cookie" && $0.value.hasPrefix("gatehouse-session") })
            }
        }
        #expect(await submit(own).status == 303)
    }
}
