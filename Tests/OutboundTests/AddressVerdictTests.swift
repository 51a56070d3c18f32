import AuthCore
import Testing

@testable import Outbound

@Suite("gatehouse verdict address")
struct AddressVerdictTests {
    private func answer(_ url: String, _ addresses: [String] = [], allow: [String] = []) throws -> JSONObject {
        let verdict = AddressVerdict(try OutboundPolicy(allow: allow, ports: [443, 8_443])) { _ in addresses.compactMap { PeerAddress($0) }
        }
        return verdict.answer(JSONObject([("id", .string("x")), ("url", .string(url))]))
    }

    @Test("literals are judged, names by each of their addresses; the answer says what was looked at")
    func rows() throws {
        let rows: [(url: String, resolved: [String], reason: String?, host: String?, shown: [String])] = [
            ("https://8.8.8.8/", ["127.0.0.1"], nil, "8.8.8.8", ["8.8.8.8"]),
            ("https://127.0.0.1/", [], "address_loopback", "127.0.0.1", ["127.0.0.1"]),
            ("https://[::ffff:10.0.0.1]/", [], "address_private", "10.0.0.1", ["10.0.0.1"]),
            ("https://[2001:4860:4860:0::8888]/", [], nil, "[2001:4860:4860::8888]", ["2001:4860:4860::8888"]),
            ("https://A.test/", ["8.8.8.8"], nil, "a.test", ["8.8.8.8"]), ("https://a.test/", [], nil, "a.test", []),
            ("https://a.test/", ["8.8.8.8", "169.254.169.254"], "address_metadata", "a.test", ["8.8.8.8", "169.254.169.254"]),
            ("https://a.test/", ["::1"], "address_loopback", "a.test", ["::1"]),
            ("https://a.test:22/", ["8.8.8.8"], "port_not_allowed", "a.test", []),
            ("http://a.test/", ["8.8.8.8"], "url_not_https", "a.test", []), ("https://localhost/", [], "address_loopback", "localhost", []),
            ("https://0x7f.1/", [], "address_spelling", nil, []), ("file:///etc/passwd", [], "url_not_https", nil, []),
        ]
        for row in rows {
            let answer = try answer(row.url, row.resolved)
            #expect(answer["id"]?.string == "x")
            #expect(answer["verdict"]?.string == (row.reason == nil ? "accept" : "reject"), "\(row.url)")
            #expect(answer["reason"]?.string == row.reason, "\(row.url)")
            #expect(answer["host"]?.string == row.host && answer["host"] != nil, "\(row.url)")
            #expect(answer["addresses"]?.strings == row.shown, "\(row.url)")
        }
        #expect(try answer("https://a.test/", ["10.0.0.1"], allow: ["a.test"])["verdict"]?.string == "accept")
    }

    @Test("a line without a url is no case")
    func invalid() throws {
        let verdict = AddressVerdict(try OutboundPolicy(allow: [], ports: [443]))
        for line in [JSONObject([("id", .string("x"))]), JSONObject([("url", .null)])] {
            let answer = verdict.answer(line)
            #expect(answer["verdict"]?.string == "error" && answer["reason"]?.string == "invalid_case")
        }
    }

    @Test("the system knows where localhost is, and nothing of a name that nobody may have")
    func system() {
        let addresses = AddressVerdict.system("localhost")
        #expect(!addresses.isEmpty && addresses.allSatisfy(\.isLoopback))
        #expect(AddressVerdict.system("no-such-name.invalid").isEmpty)
    }
}
