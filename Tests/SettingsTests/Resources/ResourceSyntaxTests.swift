import Store
import Testing

@testable import Settings

@Suite("Resource files: names, paths and addresses")
struct ResourceSyntaxTests {
    @Test(
        "a path is canonical (GW-02, GW-03)",
        arguments: ["/", "/orders", "/a/b/c", "/a.b", "/.well-known", "/a%20b", "/caf%C3%A9", "/a:b@c", "/...", "/a~b_c-d", "/a+b=c&d"])
    func paths(path: String) { #expect(ResourceSyntax.pathFault(path) == nil) }

    @Test(
        "any other spelling of a path is refused",
        arguments: [
            "orders", "", "//", "//a", "/a//b", "/a/", "/./a", "/a/..", "/a/../b", "/a/.", "/a;b", "/a\\b", "/a%2fb", "/a%2Fb", "/a%5Cb",
            "/a%2Eb", "/%2E%2E",
            "/a%00", "/a%0A", "/%61dmin", "/a%7Eb", "/a%c3%A9", "/a%", "/a%2", "/a%zz", "/a%C3", "/a%252F", "/a%25", "/a%3Bb", "/a b",
            "/a?b", "/a#b", "/a\u{E9}",
            "/a\u{301}", "/a\u{0}", "/.gatehouse", "/.gatehouse/x", "/a{b}", "/a*|", "/\u{37E}",
            "/" + String(repeating: "a/", count: 40) + "b",
            "/" + String(repeating: "a", count: 1_024),
        ]
    )
    func badPaths(path: String) { #expect(ResourceSyntax.pathFault(path) != nil) }

    @Test(
        "an upstream is scheme, host and port",
        arguments: ["http://a", "http://a:1", "https://a.b:65535", "http://[::1]:80", "http://10.0.0.1:8080", "http://demo_service:1"])
    func upstreams(url: String) { #expect(ResourceSyntax.upstreamFault(url) == nil) }

    @Test(
        "anything else is no upstream",
        arguments: [
            "", "a:1", "ftp://a", "http://", "http://a/", "http://a/b", "http://a?b", "http://a#b", "http://u@a", "http://u:p@a",
            "http://a:0", "http://a:99999",
            "HTTP://a", "http://A", "http://a b", "http://a:1\r\n", "http://a\\b", "unix:/x", "http://[::1", "http://127.1",
        ]
    )
    func badUpstreams(url: String) { #expect(ResourceSyntax.upstreamFault(url) != nil) }

    @Test(
        "a redirect target is https, http on loopback, or an app's own scheme (RFC 9700 §2.1, RFC 8252 §7)",
        arguments: [
            "https://app.example.com/cb", "https://app.example.com", "https://app.example.com:8443/cb?x=1",
            "http://127.0.0.1:9000/callback", "http://[::1]/cb",
            "http://localhost:3000/", "com.example.app:/cb", "https://app.example.com/a%20b",
        ]
    )
    func redirects(uri: String) { #expect(URISyntax.redirectFault(uri) == nil) }

    @Test(
        "anything else is no redirect target (AZ-01, GHSA-484q-784p-8m5h, CVE-2026-28512)",
        arguments: [
            "", "/cb", "app.example.com/cb", "http://app.example.com/cb", "http://10.0.0.1/cb", "javascript:alert(1)", "data:text/html,x",
            "javascript.x:alert(1)", "file:///etc/passwd",
            "https://*.example.com/cb", "https://app.example.com/*", "https://app.example.com/cb#x", "https://u@app.example.com/cb",
            "https://app.example.com@evil.test/",
            "https://evil.test\\@app.example.com/", "https://app.example.com/../cb", "https://app.example.com/a/./b",
            "https://app.example.com/a b", "https://app.example.com/%zz",
            "https://app.ex\u{E4}mple.com/cb", "HTTPS://app.example.com", "https://App.example.com", "https://app.example.com:0",
            "https://", "https:///cb", "https:app.example.com", "myapp:/cb",
            "http://localhost.example.com/cb", "http://127.0.0.1.example.com", "https://a\u{0}",
            "https://" + String(repeating: "a", count: 3_000),
        ]
    )
    func badRedirects(uri: String) { #expect(URISyntax.redirectFault(uri) != nil) }

    @Test(
        "a host is a name in lower case without a port",
        arguments: [
            ("api.example.com", true), ("10.0.0.1", true), ("a_b", true), ("", false), ("API.example.com", false), ("a:80", false),
            ("*.example.com", false), ("a.", false), (".a", false), ("a..b", false), ("[::1]", false), ("\u{212A}", false),
            ("127.1", false),
        ])
    func hosts(host: String, isFine: Bool) { #expect((ResourceSyntax.hostFault(host) == nil) == isFine) }

    @Test(
        "a user name has bounds",
        arguments: [
            ("alice", true), ("ali ce", true), ("caf\u{E9}", true), (" alice", false), ("alice ", false), ("a\nb", false),
            ("a\u{0}", false), ("a\u{85}", false), (String(repeating: "a", count: 256), false), (String(repeating: "a", count: 255), true),
        ])
    func usernames(name: String, isFine: Bool) { #expect((ResourceSyntax.usernameFault(name) == nil) == isFine) }

    @Test(
        "an e-mail address has one @ and a host (IN-03)",
        arguments: [
            ("a@b.c", true), ("a+b@example.com", true), ("a@localhost", true), ("a", false), ("@b", false), ("a@", false), ("a@b@c", false),
            ("a b@c", false), ("a@b c", false), ("a@b\n", false), ("a@-b", false), (String(repeating: "a", count: 65) + "@b", false),
        ])
    func emails(address: String, isFine: Bool) { #expect((ResourceSyntax.emailFault(address) == nil) == isFine) }

    @Test("labels, identifiers and methods", arguments: ["a b", "", "a\u{301}", "a/b", String(repeating: "a", count: 65)])
    func labels(name: String) {
        #expect(ResourceSyntax.labelFault(name) != nil)
        #expect(ResourceSyntax.labelFault("orders-v1.2_x:y") == nil)
        #expect(
            ResourceSyntax.methodFault(name) != nil && ResourceSyntax.methodFault("PATCH") == nil
                && ResourceSyntax.methodFault("M-SEARCH") == nil)
    }
}
