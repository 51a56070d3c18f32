import AuthCore
import Testing
import TokenVerification

@Suite("RFC 9449 §4.3 check 9, DP-02: htu is the URL of the request, normalised, without query and fragment")
struct DPoPTargetTests {
    @Test(
        "one URL in other spellings",
        arguments: [
            ("https://api.example/orders", "https://api.example/orders"),
            ("HTTPS://API.Example/orders", "https://api.example/orders"),
            ("https://api.example:443/orders", "https://api.example/orders"),
            ("https://api.example:0443/orders", "https://api.example/orders"),
            ("https://api.example:/orders", "https://api.example/orders"),
            ("https://api.example/orders?a=1#b", "https://api.example/orders"),
            ("https://api.example/orders#b?c", "https://api.example/orders"),
            ("https://api.example/%6frder%73", "https://api.example/orders"),
            ("https://api.ex%41mple/orders", "https://api.example/orders"),
            ("https://api.example/%7eme", "https://api.example/~me"), ("https://api.example/%c3%a9", "https://api.example/%C3%A9"),
            ("https://api.example/a/./b", "https://api.example/a/b"), ("https://api.example/a/../b", "https://api.example/b"),
            ("https://api.example/a/%2E%2e/b", "https://api.example/b"), ("https://api.example/../../b", "https://api.example/b"),
            ("https://api.example/a/..", "https://api.example/"), ("https://api.example/a/.", "https://api.example/a/"),
            ("https://api.example", "https://api.example/"), ("https://api.example?x", "https://api.example/"),
            ("https://api.example#x", "https://api.example/"), ("http://api.example:80", "http://api.example/"),
            ("http://[::1]:8080/a", "http://[::1]:8080/a"), ("http://[FE80::1]/a", "http://[fe80::1]/a"),
            ("http://127.0.0.1:8000/a:b@c;d=1,2", "http://127.0.0.1:8000/a:b@c;d=1,2"),
        ])
    func same(_ url: String, _ normal: String) throws {
        let target = try #require(DPoPTarget(url: url))
        #expect(target.description == normal)
        #expect(target == DPoPTarget(url: normal))
    }

    @Test(
        "other URLs",
        arguments: [
            "http://api.example/orders", "https://api.example:444/orders", "https://api.example:80/orders", "https://api.example/Orders",
            "https://api.example/orders/", "https://api.example/", "https://api.example", "https://api.example//orders",
            "https://api.example./orders", "https://api.example/%2Forders", "https://xapi.example/orders",
            "https://api.example.evil/orders",
            "https://api.example/orders%3Fa", "https://api.example/orders/..",
        ])
    func different(_ url: String) throws {
        let target = try #require(DPoPTarget(url: url))
        #expect(target != DPoPTarget(url: "https://api.example/orders"))
        #expect(try ProofRow(url, "") { $0.claims["htu"] = .string(url) }.outcome() == "proof_wrong_url")
    }

    @Test(
        "no URL of a request, and equal to none, itself included",
        arguments: [
            "", "/orders", "//api.example/orders", "api.example/orders", "ftp://api.example/orders", "https:/api.example/orders",
            "https:///orders", "https://", "https://:443/orders", "https://me@api.example/orders", "https://me:x@api.example/orders",
            "https://api.example:x/orders", "https://api.example:0/orders", "https://api.example:65536/orders",
            "https://api.example:443:443/orders", "https://api.example/%", "https://api.example/%4", "https://api.example/%zz",
            "https://api.example/a b", "https://api.example/\\orders", "https://api.example/é", "https://é.example/",
            " https://api.example/",
            "https://api.example/orders\n", "https://[::1/", "https://[]/", "https://[zz]/", "https://[::1]x/", "https://a[::1]/",
            "https://api.example/\u{0}", "https\u{FF1A}//api.example/", "https://api.example/" + String(repeating: "a", count: 8_192),
        ])
    func none(_ url: String) throws {
        #expect(DPoPTarget(url: url) == nil)
        // In a proof it fits nothing; one of that length does not even fit a proof.
        let expected = url.utf8.count > 8_000 ? "proof_malformed" : "proof_wrong_url"
        #expect(try ProofRow(url, expected) { $0.claims["htu"] = .string(url) }.outcome() == expected)
    }

    @Test("the URL of a request, from its head")
    func ofRequest() throws {
        func target(_ isTLS: Bool, _ host: String, _ target: String) -> String? {
            DPoPTarget(isTLS: isTLS, host: host.utf8, target: target.utf8)?.description
        }
        #expect(target(true, "API.example:443", "/orders/1?a=b") == "https://api.example/orders/1")
        #expect(target(false, "api.example:443", "/orders") == "http://api.example:443/orders")
        #expect(target(false, "[::1]:8000", "/%41?") == "http://[::1]:8000/A")
        #expect(target(true, "api.example", "") == "https://api.example/")
        for host in ["", "api.example/x", "me@api.example", "a b", "api.example:443x", "api.example?"] {
            #expect(target(true, host, "/orders") == nil, "\(host)")
        }
        #expect(target(true, "api.example", "orders") == nil)
        #expect(target(true, "api.example", "*") == nil)
    }

    @Test("IN-05: any bytes are a URL or none; normalising is idempotent")
    func fuzz() throws {
        var random = Seeded(3_986)
        let alphabet = Array("htps:/.%2eEaA[]?#@:0189~;é \\".utf8)
        let seeds = ["https://api.example:443/a/%2e%2E/b%c3?x#y", "http://[::1]:80/./a"].map { Array($0.utf8) }
        var read = 0
        for number in 0..<50_000 {
            let text = String(decoding: random.mutated(seeds[number % 2], alphabet: alphabet), as: UTF8.self)
            guard let target = DPoPTarget(url: text) else { continue }
            read += 1
            #expect(DPoPTarget(url: target.description) == target)
        }
        #expect(read > 1_000)
    }
}
