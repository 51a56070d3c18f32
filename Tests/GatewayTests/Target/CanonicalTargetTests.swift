import AuthCore
import Gateway
import TestSupport
import Testing

@Suite("RFC 3986 §6.2.2, GW-02, GW-03 canonical target")
struct CanonicalTargetTests {
    @Test(
        "a target with one spelling is kept byte for byte",
        arguments: [
            "/", "/orders", "/orders/", "/orders/1", "/Orders", "/orders/a.b", "/orders/...", "/orders/.well-known", "/.x", "/a..b/..c",
            "/orders/alice@example.com", "/orders/alice%40example.com", "/a%20b", "/a%3Ab", "/caf%C3%A9", "/caf%c3%a9",
            "/100%25", "/a%25z", "/a%2520b", "/%E2%82%AC", "/%F0%9F%94%91", "/a+b", "/a=b&c,d", "/~u/-_", "/a:b", "/[1]", "/{x}|y",
            "/a!$'()*",
            "/%3F", "/%23", "/a..%3F", "/...%23", "/%3F..", "/%7B", "/cc%cc%81",
        ]
    )
    func kept(path: String) throws {
        let target = try CanonicalTarget(Array(path.utf8))
        #expect(target.bytes == Array(path.utf8))
        #expect(Array(target.path) == Array(path.utf8))
        #expect(target.query == nil)
    }

    /// Name, target, fault. The CVE is where a peer let it through.
    static let refusals: [(String, String, TargetFault)] = [
        ("encoded slash, CVE-2021-29492", "/orders%2fadmin", .escapeNotAllowed),
        ("encoded slash in capitals", "/orders%2Fadmin", .escapeNotAllowed),
        ("encoded traversal", "/orders%2f..%2fadmin", .escapeNotAllowed),
        ("encoded backslash, CVE-2021-29492", "/orders%5cadmin", .escapeNotAllowed),
        ("encoded backslash in capitals", "/orders%5Cadmin", .escapeNotAllowed),
        ("encoded dots", "/orders/%2e%2e/admin", .escapeNotAllowed),
        ("encoded dots in capitals", "/orders/%2E%2E/admin", .escapeNotAllowed),
        ("half encoded dots", "/orders/.%2e/admin", .escapeNotAllowed),
        ("one encoded dot", "/orders/%2e/admin", .escapeNotAllowed),
        ("an encoded dot in a name", "/orders%2ejson", .escapeNotAllowed),
        ("NUL", "/orders%00", .escapeNotAllowed),
        ("NUL before a suffix", "/admin%00.png", .escapeNotAllowed),
        ("encoded line break", "/orders%0d%0aX-Auth-Subject:root", .escapeNotAllowed),
        ("encoded tab", "/orders%09", .escapeNotAllowed),
        ("encoded delete", "/orders%7f", .escapeNotAllowed),
        ("encoded semicolon", "/orders%3bx", .escapeNotAllowed),
        ("encoded letter, CVE-2026-27587", "/%61dmin", .escapeNotAllowed),
        ("encoded capital", "/%41dmin", .escapeNotAllowed),
        ("encoded digit", "/v%31", .escapeNotAllowed),
        ("encoded tilde", "/%7euser", .escapeNotAllowed),
        ("encoded hyphen", "/a%2db", .escapeNotAllowed),
        ("encoded underscore", "/a%5Fb", .escapeNotAllowed),
        ("doubly encoded dots", "/orders/%252e%252e/admin", .escapeNotAllowed),
        ("doubly encoded slash", "/orders%252fadmin", .escapeNotAllowed),
        ("trebly encoded slash", "/orders%25252fadmin", .escapeNotAllowed),
        ("doubly encoded backslash", "/orders%255cadmin", .escapeNotAllowed),
        ("doubly encoded NUL", "/orders%2500", .escapeNotAllowed),
        ("doubly encoded letter", "/%2561dmin", .escapeNotAllowed),
        ("an escape whose digits are escaped", "/orders%25%32%66admin", .escapeNotAllowed),
        ("doubly encoded byte above ASCII", "/%25c0%25af", .escapeNotAllowed),
        ("two slashes, CVE-2026-26205", "//orders", .emptySegment),
        ("two slashes inside", "/orders//admin", .emptySegment),
        ("two slashes at the end", "/orders//", .emptySegment),
        ("three slashes", "///", .emptySegment),
        ("an authority in front", "//evil.test/orders", .emptySegment),
        ("dot segment", "/./orders", .dotSegment),
        ("dot segment inside", "/orders/./admin", .dotSegment),
        ("dot segment at the end", "/orders/.", .dotSegment),
        ("parent", "/orders/../admin", .dotSegment),
        ("parent at the end, CVE-2026-33494", "/orders/..", .dotSegment),
        ("parent with a slash at the end", "/orders/../", .dotSegment),
        ("parent first", "/../admin", .dotSegment),
        ("a dot alone", "/.", .dotSegment),
        ("parent before a query", "/orders/..?x", .dotSegment),
        ("parent before an escaped query", "/orders/..%3fx", .dotSegment),
        ("parent before an escaped fragment", "/orders/..%23", .dotSegment),
        ("a dot before a query escaped twice", "/orders/.%253F/x", .dotSegment),
        ("parent between two marks", "/orders%3f/..%23/x", .dotSegment),
        ("path parameter", "/orders;x=1", .pathParameter),
        ("path parameter that hides a parent", "/orders/..;/admin", .pathParameter),
        ("path parameter before a slash", "/public/;/admin", .pathParameter),
        ("backslash", "/orders\\admin", .byteNotAllowed),
        ("backslash parent", "/orders/..\\admin", .byteNotAllowed),
        ("fragment, CVE-2023-47106", "/orders#/public", .byteNotAllowed),
        ("fragment in the query, CVE-2026-41059", "/admin?x#/public", .byteNotAllowed),
        ("space", "/orders /admin", .byteNotAllowed),
        ("tab", "/orders\t", .byteNotAllowed),
        ("line feed", "/orders\n", .byteNotAllowed),
        ("CR LF, one Character in Swift", "/orders\r\nX: y", .byteNotAllowed),
        ("raw NUL", "/orders\0", .byteNotAllowed),
        ("delete", "/orders\u{7F}", .byteNotAllowed),
        ("a combining mark that swallows the slash", "/public/\u{301}../admin", .byteNotAllowed),
        ("a raw letter above ASCII", "/café", .byteNotAllowed),
        ("the Kelvin sign", "/\u{212A}", .byteNotAllowed),
        ("the Greek question mark", "/orders\u{37E}x", .byteNotAllowed),
        ("a full-width slash", "/orders\u{FF0F}admin", .byteNotAllowed),
        ("space in the query", "/orders?a b", .byteNotAllowed),
        ("a query above ASCII", "/orders?é", .byteNotAllowed),
        ("line break in the query", "/orders?a\r\nb", .byteNotAllowed),
        ("percent alone", "/orders%", .brokenEscape),
        ("percent and one digit", "/orders%2", .brokenEscape),
        ("percent before a slash", "/orders%/x", .brokenEscape),
        ("no hexadecimal digits", "/orders%zz", .brokenEscape),
        ("an escape of another age", "/orders%u002fadmin", .brokenEscape),
        ("percent twice", "/%%32%65", .brokenEscape),
        ("a sign in the escape", "/%+2", .brokenEscape),
        ("an escape cut by the query", "/orders%2?e", .brokenEscape),
        ("overlong slash", "/orders%c0%afadmin", .escapeNotUTF8),
        ("overlong dot", "/orders/%c0%ae%c0%ae/admin", .escapeNotUTF8),
        ("overlong slash in three bytes", "/orders%e0%80%afadmin", .escapeNotUTF8),
        ("a surrogate", "/%ed%a0%80", .escapeNotUTF8),
        ("Latin-1", "/caf%e9", .escapeNotUTF8),
        ("0xFF", "/%ff", .escapeNotUTF8),
        ("half a character before a raw byte", "/%c3a", .escapeNotUTF8),
        ("nothing", "", .notOriginForm),
        ("asterisk-form", "*", .notOriginForm),
        ("absolute-form", "http://gate.test/orders", .notOriginForm),
        ("authority-form", "gate.test:443", .notOriginForm),
        ("no slash", "orders", .notOriginForm),
        ("a query alone", "?x", .notOriginForm),
        ("backslash first", "\\orders", .notOriginForm),
    ]

    @Test("a target that a service could read in two ways is refused", arguments: refusals)
    func refused(name: String, target: String, fault: TargetFault) {
        #expect(throws: fault, "\(name)") { try CanonicalTarget(Array(target.utf8)) }
    }

    @Test("each byte outside printable ASCII is refused, in the path and in the query")
    func rawBytes() {
        for byte in [UInt8](0...0x20) + [UInt8](0x7F...0xFF) {
            #expect(throws: TargetFault.byteNotAllowed, "path \(byte)") { try CanonicalTarget([0x2F, 0x61, byte, 0x61]) }
            #expect(throws: TargetFault.byteNotAllowed, "query \(byte)") { try CanonicalTarget([0x2F, 0x3F, byte]) }
        }
    }

    @Test("the query is kept as received, its escapes unread", arguments: ["", "a=b", "a=%2f..%00", "a=//;\\", "?", "a=%", "x[y]=1"])
    func query(query: String) throws {
        let target = try CanonicalTarget(Array("/orders?\(query)".utf8))
        #expect(target.query.map { Array($0) } == Array(query.utf8))
        #expect(target.pathText == "/orders")
        #expect(target.bytes == Array("/orders?\(query)".utf8))
    }

    @Test("a path of 4 096 and a query of 8 192 bytes is the most, CVE-2025-61726")
    func bounds() throws {
        let path = "/" + String(repeating: "a", count: CanonicalTarget.pathBytesMax - 1)
        let query = String(repeating: "q", count: CanonicalTarget.queryBytesMax)
        let longest = try CanonicalTarget(Array("\(path)?\(query)".utf8))
        #expect(longest.path.count == 4_096)
        #expect(longest.query?.count == 8_192)
        #expect(throws: TargetFault.pathTooLong) { try CanonicalTarget(Array("\(path)a".utf8)) }
        #expect(throws: TargetFault.pathTooLong) { try CanonicalTarget(Array("\(path)a?x".utf8)) }
        #expect(throws: TargetFault.queryTooLong) { try CanonicalTarget(Array("/?\(query)q".utf8)) }
        let chain = "/" + String(repeating: "%25", count: 1_300)
        #expect(try CanonicalTarget(Array(chain.utf8)).decodedPath?.count == 1_301)
    }

    @Test("what a service decodes is known to the last layer")
    func decoded() throws {
        let rows = [
            ("/a%40b", "/a@b"), ("/a%2540b", "/a@b"), ("/a%252540b", "/a@b"), ("/a%25", "/a%"), ("/a%2520", "/a "), ("/%C3%A9", "/é"),
        ]
        for (path, decoded) in rows {
            #expect(try CanonicalTarget(Array(path.utf8)).decodedPath == Array(decoded.utf8), "\(path)")
        }
        #expect(try CanonicalTarget(Array("/a@b?%41".utf8)).decodedPath == nil)
    }

    @Test("random bytes never trap, and what is taken is taken unchanged")
    func random() {
        var generator = SeededGenerator(seed: 1)
        let alphabet = Array("/.%25cfe0aA;\\?#~ @".utf8) + [0, 0xCC, 0x81]
        var taken = 0
        for _ in 0..<50_000 {
            let bytes =
                [0x2F] + (0..<Int.random(in: 0...12, using: &generator)).map { _ in alphabet.randomElement(using: &generator) ?? 0x2F }
            do throws(TargetFault) {
                let target = try CanonicalTarget(bytes)
                taken += 1
                if target.bytes != bytes { Issue.record("\(bytes)") }
                let text = target.pathText
                if text.contains("//") || text.contains("%2f") || text.contains("%2e") || text.hasSuffix("/..") { Issue.record("\(text)") }
            } catch {}
        }
        #expect(taken > 1_000)
    }
}
