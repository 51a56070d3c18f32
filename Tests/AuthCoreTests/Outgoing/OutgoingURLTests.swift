import AuthCore
import Testing

@Suite("RFC 3986, read once: the URLs that the server may be told to fetch")
struct OutgoingURLTests {
    @Test("what is read, and its one spelling")
    func good() throws {
        let rows: [(String, String)] = [
            ("https://a.test", "https://a.test/"), ("https://a.test/", "https://a.test/"), ("HTTPS://A.Test:443/X", "https://a.test/X"),
            ("https://a.test:8443/jwks?x=1&y=%2F", "https://a.test:8443/jwks?x=1&y=%2F"), ("https://a.test?x", "https://a.test/?x"),
            ("http://a.test:80/", "http://a.test/"), ("http://a.test:443/", "http://a.test:443/"),
            ("https://127.0.0.1/", "https://127.0.0.1/"), ("https://[::1]/", "https://[::1]/"),
            ("https://[0:0:0:0:0:0:0:1]:444/", "https://[::1]:444/"), ("https://[::ffff:10.0.0.1]/", "https://10.0.0.1/"),
            ("https://xn--bcher-kva.test/", "https://xn--bcher-kva.test/"), ("https://a_b.test/", "https://a_b.test/"),
            ("https://localhost/a/../b/./c", "https://localhost/a/../b/./c"), ("https://a.test/@b", "https://a.test/@b"),
            ("https://1password.test/", "https://1password.test/"), ("https://10.0.0.1.test/", "https://10.0.0.1.test/"),
        ]
        for (text, expected) in rows { #expect(try OutgoingURL(text).text == expected, "\(text)") }
    }

    @Test("what is refused, and why")
    func bad() {
        let rows: [(OutgoingError, [String])] = [
            (
                .urlMalformed,
                [
                    "", "a.test", "/path", "//a.test/", "https:", "https:/a.test", "https:a.test", "https://a.test/ x", " https://a.test/",
                    "https://a.test/\n", "https://a.test\t/", "https://a.test/\u{0}", "https://bücher.test/", "https://a.test/ü",
                    "https:\\\\a.test\\", "https://a.test\\@b.test/", "https://a.test/\\", "https://a.test:0/", "https://a.test:/",
                    "https://a.test:65536/", "https://a.test:0443/", "https://a.test:4a/", "https://a.test:-1/", "https://a.test:+443/",
                    "https://a.test:443:443/", "https://a.test/%", "https://a.test/%4", "https://a.test/%zz", "https://a.test/<x>",
                    "https://\u{FF11}27.0.0.1/", "https://127\u{3002}0\u{3002}0\u{3002}1/",
                    "https://a.test/" + String(repeating: "a", count: 2_040),
                ]
            ),
            (
                .urlNotSecure,
                ["ftp://a.test/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "data:,x", "httpss://a.test/", "javascript:1"]
            ),
            (
                .urlCredentials,
                ["https://u@a.test/", "https://u:p@a.test/", "https://@a.test/", "https://a.test@127.0.0.1/", "https://a.test:443@b.test/"]
            ),
            (.urlFragment, ["https://a.test/#", "https://a.test/#x", "https://a.test#@b.test/", "https://#a.test/"]),
            (
                .urlHost,
                [
                    "https:///", "https://?x", "https://./", "https://a..test/", "https://.a.test/", "https://a.test./",
                    "https://127.0.0.1./",
                    "https://-a.test/", "https://a-.test/", "https://a%2etest/", "https://%31%32%37.0.0.1/", "https://a,b/", "https://a*b/",
                    "https://[::1/", "https://[::1]x/", "https://[]/", "https://[::1%25lo]/", "https://[::g]/", "https://[127.0.0.1]/",
                    "https://[[::1]]/", "https://a[::1]/", "https://" + String(repeating: "a", count: 64) + ".test/",
                    "https://" + Array(repeating: "a", count: 128).joined(separator: ".") + "/",
                ]
            ),
            (
                .addressSpelling,
                [
                    "https://2130706433/", "https://017700000001/", "https://0x7f000001/", "https://0x7f.1/", "https://127.1/",
                    "https://127.0.1/", "https://0177.0.0.1/", "https://0x7f.0.0.1/", "https://127.0.0.01/", "https://127.0.0.0x1/",
                    "https://0/",
                    "https://0x/", "https://0X7F000001/", "https://1.2.3.256/", "https://1.2.3.4.5/", "https://a.1/",
                    "https://a.test.0x7f/",
                    "https://127.0.0.1.0/", "https://00000127.0.0.1/", "https://4294967297/",
                ]
            ),
        ]
        for (reason, texts) in rows {
            for text in texts { #expect(throws: reason, "\(text)") { try OutgoingURL(text) } }
        }
    }

    @Test("a redirect leads to a whole URL, to another host or to a path; nothing else is followed")
    func redirects() throws {
        let base = try OutgoingURL("https://a.test:8443/x/y?z")
        let rows: [(String, String)] = [
            ("https://b.test/q", "https://b.test/q"), ("//b.test/q", "https://b.test/q"), ("/q?r", "https://a.test:8443/q?r"),
            ("http://b.test/", "http://b.test/"), ("/", "https://a.test:8443/"), ("https://127.0.0.1/", "https://127.0.0.1/"),
        ]
        for (location, expected) in rows { #expect(try base.following(location.utf8).text == expected, "\(location)") }
        for location in ["", "q", "?q", "./q", "../q", "q/r:s", "?a=b:c"] {
            #expect(throws: OutgoingError.redirectMalformed, "\(location)") { try base.following(location.utf8) }
        }
        #expect(throws: OutgoingError.redirectMalformed) { try base.following([0xFF]) }
        #expect(throws: OutgoingError.urlNotSecure) { try base.following("file:///etc/passwd".utf8) }
        #expect(throws: OutgoingError.urlCredentials) { try base.following("//u@b.test/".utf8) }
        #expect(throws: OutgoingError.addressSpelling) { try base.following("//0x7f.1/".utf8) }
        #expect(throws: OutgoingError.urlMalformed) { try base.following("/\\b.test".utf8) }
    }

    @Test("fuzz: whatever is read is read again as the same, and its host is what stands between the marks")
    func fuzz() throws {
        var random = Seeded(2_026)
        let seeds = [
            "https://a.test:8443/jwks?x=%2f", "http://127.0.0.1/", "https://[2001:db8::1]:444/p", "https://u@h.test/#f", "//b.test",
        ].map {
            Array($0.utf8)
        }
        let alphabet = Array("htps:/@#?[]%.0123456789abcdefxX\\ -_\u{0}é".utf8)
        let base = try OutgoingURL("https://base.test/")
        var read = 0
        for round in 0..<60_000 {
            let bytes = random.mutated(seeds[round % seeds.count], alphabet: alphabet)
            let text = String(decoding: bytes, as: UTF8.self)
            _ = try? base.following(bytes)  // only must not trap
            guard let url = try? OutgoingURL(text) else { continue }  // refused is a good answer
            read += 1
            #expect(try OutgoingURL(url.text) == url, "\(text)")
            #expect(url.text.utf8.allSatisfy { (0x21...0x7E).contains($0) })
            let rest = url.text.dropFirst(url.isSecure ? 8 : 7)
            let authority = rest.prefix { $0 != "/" }
            #expect(authority == "\(url.host)" || authority == "\(url.host):\(url.port)", "\(text)")
        }
        #expect(read > 4_000)
    }
}
