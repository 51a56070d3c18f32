import AuthCore
import Gateway
import Testing

@Suite("RFC 9110 §7.2 host")
struct HostNameTests {
    @Test(
        "the name stands without port and trailing dot",
        arguments: [
            ("gate.test", "gate.test"), ("gate.test:8080", "gate.test"), ("Gate.TEST", "Gate.TEST"), ("gate.test.", "gate.test"),
            ("gate.test.:1", "gate.test"), ("localhost", "localhost"), ("127.0.0.1:65535", "127.0.0.1"), ("a_b-c.x", "a_b-c.x"),
            ("[::1]", "[::1]"), ("[::1]:8000", "[::1]"), ("xn--bcher-kva.test", "xn--bcher-kva.test"),
        ]
    )
    func good(field: String, name: String) {
        #expect(HostName(Array(field.utf8)[...]).map { Array($0.bytes) } == Array(name.utf8))
    }

    @Test(
        "what is no host with an optional port is refused",
        arguments: [
            "", ".", "..", "a..b", ".a", "a..", ":80", "a:", "a:0", "a:65536", "a:99999", "a:123456", "a:+80", "a:8a", "a:80:80", "a b",
            "a/b", "a?b", "a#b", "user@a", "a%2eb", "a\\b", "a,b", "a\u{0}", "a\r\nb", "é.test", "\u{212A}.test", "[::1", "::1", "[]",
            "[::1]x", "[::1]:", "[1.2.3.4]", "[::1%25eth0]", "[zz]", "a;b", "*", "*.test",
        ]
    )
    func bad(field: String) {
        #expect(HostName(Array(field.utf8)[...]) == nil)
    }

    @Test("a name has at most 253 bytes")
    func bound() {
        let label = String(repeating: "a", count: 62) + "."
        let longest = String(repeating: label, count: 4) + "a"
        #expect(longest.utf8.count == 253)
        #expect(HostName(Array(longest.utf8)[...]) != nil)
        #expect(HostName(Array("\(longest)a".utf8)[...]) == nil)
    }
}
