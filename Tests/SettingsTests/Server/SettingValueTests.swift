import AuthCore
import Store
import Testing

@testable import Settings

@Suite("Settings: the grammar of values")
struct SettingValueTests {
    @Test(
        "a duration is a whole number and one of ms s m h d",
        arguments: [("0s", 0), ("1ms", 1), ("1500ms", 1_500), ("10s", 10_000), ("10m", 600_000), ("2h", 7_200_000), ("90d", 7_776_000_000)]
    )
    func durations(text: String, milliseconds: Int64) {
        #expect(DurationText.parse(text) == .milliseconds(milliseconds))
        #expect(DurationText.format(.milliseconds(milliseconds)) == (text == "1500ms" ? "1500ms" : text))
    }

    @Test(
        "anything else is no duration",
        arguments: [
            "", "5", "s", "5 m", " 5m", "5m ", "+5m", "-5m", "5.5m", "1e3s", "05m", "5M", "5min", "5m5s", "٥m", "5\u{212A}", "0x5m",
            "9223372036854775808ms", "9223372036854775807d", "99999999999999999999s", "5m\u{301}",
        ]
    )
    func badDurations(text: String) { #expect(DurationText.parse(text) == nil) }

    @Test("a size is a whole number and one of B KB MB, in thousands", arguments: [("1B", 1), ("5KB", 5_000), ("3MB", 3_000_000)])
    func sizes(text: String, bytes: Int64) {
        #expect(SizeText.parse(text) == bytes)
        #expect(SizeText.format(bytes) == text)
    }

    @Test("anything else is no size", arguments: ["", "5", "5kb", "5KiB", "5GB", "1.5MB", "-1B", "9223372036854775807MB", "05B"])
    func badSizes(text: String) { #expect(SizeText.parse(text) == nil) }

    @Test(
        "a listener is host:port, [v6]:port or unix:path",
        arguments: [
            ("127.0.0.1:8080", ListenAddress.tcp(host: "127.0.0.1", port: 8_080)), ("localhost:0", .tcp(host: "localhost", port: 0)),
            ("[::1]:80", .tcp(host: "::1", port: 80)), ("unix:/run/x.sock", .unix(path: "/run/x.sock")), ("unix:x", .unix(path: "/etc/x")),
            ("gate-1.internal:65535", .tcp(host: "gate-1.internal", port: 65_535)),
        ]
    )
    func listeners(text: String, address: ListenAddress) { #expect(ListenAddress(text, base: "/etc") == address) }

    @Test(
        "anything else is no listener",
        arguments: [
            "8080", ":8080", "localhost", "localhost:", "localhost:65536", "localhost:-1", "localhost:+80", "localhost:080", "::1:80",
            "[::1]",
            "[localhost]:80", "unix:", "unix:a\u{0}b", "Localhost:80", "a b:80", "host/x:80", "127.1:80", "0x7f.1:80", "256.0.0.1:80",
            "-a:80",
            "a..b:80", "http://a:80", "[::1]x:80", "[::1:80", "lo\u{212A}al:80",
        ]
    )
    func badListeners(text: String) { #expect(ListenAddress(text, base: "") == nil) }

    @Test(
        "only loopback names and addresses are loopback",
        arguments: [
            ("localhost", true), ("app.localhost", true), ("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("0.0.0.0", false),
            ("::", false),
            ("notlocalhost", false), ("localhost.example.com", false), ("10.0.0.1", false), ("::ffff:127.0.0.1", true),
        ]
    )
    func loopback(host: String, isLoopback: Bool) { #expect(HostAndPort.isLoopback(host) == isLoopback) }

    @Test(
        "values that are too long or have control characters are refused",
        arguments: ["a\nb", "a\u{0}", "a\u{7F}", String(repeating: "x", count: 5_000)]
    )
    func wildText(text: String) {
        #expect(throws: SettingReader.Fault.self) { try SettingReader(base: "").value(text, .text) }
        #expect(throws: SettingReader.Fault.self) { try SettingReader(base: "").value(text, .path) }
    }

    @Test("numbers are digits only", arguments: ["+5", "-5", "5.0", "0x5", "05", "", " 5", "5 ", "９", "99999999999999999999"])
    func numbers(text: String) {
        #expect(throws: SettingReader.Fault.self) { try SettingReader(base: "").value(text, .integer(0...100)) }
    }
}

@Suite("Settings: the nearest name")
struct NearestNameTests {
    static let known = ServerKeys.all.map(\.name)

    @Test(
        "the name with the fewest edits is meant",
        arguments: [
            ("isuer", "issuer"), ("tokens.acess_ttl", "tokens.access_ttl"), ("token.access_ttl", "tokens.access_ttl"),
            ("access_ttl", "tokens.access_ttl"),
            ("storge", "storage"), ("masterkeys", "master_keys"), ("Issuer", "issuer"), ("lockout.dealy", "lockout.delay"),
            ("keys.rotate", "keys.rotate_every"),
        ]
    )
    func nearest(written: String, meant: String) { #expect(NearestName.of(written, among: Self.known) == meant) }

    @Test("there is always one when something is known, whatever is written", arguments: ["", "💥", String(repeating: "a", count: 100_000)])
    func always(written: String) {
        #expect(NearestName.of(written, among: Self.known) != nil)
        #expect(NearestName.of(written, among: []) == nil)
    }

    @Test(
        "insertions, deletions, replacements and swaps each count once",
        arguments: [
            ("", "", 0), ("abc", "abc", 0), ("abc", "ab", 1), ("ab", "abc", 1), ("abc", "axc", 1), ("abc", "acb", 1), ("abc", "", 3),
            ("ca", "abc", 3),
        ]
    )
    func distances(left: String, right: String, edits: Int) {
        #expect(NearestName.distance(Array(left.utf8), Array(right.utf8)) == edits)
    }
}
