import AuthCore
import Testing

@Suite("Addresses and ranges")
struct PeerAddressTests {
    @Test("one address has one value, in whatever form it is written")
    func forms() {
        #expect(PeerAddress("127.0.0.1") == .loopback)
        #expect(PeerAddress("::ffff:127.0.0.1") == .loopback)
        #expect(PeerAddress("::ffff:7f00:1") == .loopback)
        #expect(PeerAddress("2001:DB8::1") == PeerAddress("2001:0db8:0:0:0:0:0:1"))
        #expect(PeerAddress("::1")?.isLoopback == true)
        #expect(PeerAddress("127.255.0.3")?.isLoopback == true)
        #expect(PeerAddress("128.0.0.1")?.isLoopback == false)
        #expect(PeerAddress("::2")?.isLoopback == false)
        #expect(PeerAddress("::127.0.0.1")?.isLoopback == false, "the deprecated compatible form is not IPv4")
        #expect(PeerAddress("10.1.2.3")?.description == "10.1.2.3")
        #expect(PeerAddress("2001:db8:0:0::1")?.description == "2001:db8::1")
    }

    @Test("what is no address is nothing")
    func refused() {
        for text in [
            "", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "0x7f.0.0.1", "1.2.3.4 ", " 1.2.3.4", "[::1]", "::1%lo", "::g", "1:2:3",
            ":::", "localhost", "1.2.3.4\n", "١.2.3.4",
        ] {
            #expect(PeerAddress(text) == nil, "\(text)")
        }
        #expect(PeerAddress("1.2.3.4\u{0}.evil") == nil)
    }

    @Test("throttling counts by the IPv4 address or the /64")
    func throttleKeys() {
        #expect(PeerAddress("192.0.2.1")?.throttleKey == "192.0.2.1")
        #expect(PeerAddress("2001:db8:1:2:3:4:5:6")?.throttleKey == "2001:db8:1:2::/64")
        #expect(PeerAddress("2001:db8:1:2::9")?.throttleKey == PeerAddress("2001:db8:1:2:ffff::")?.throttleKey)
    }

    @Test("a range holds what its prefix covers, IPv4 in either form")
    func ranges() throws {
        let rows: [(String, [String], [String])] = [
            ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255", "::ffff:10.1.1.1"], ["9.255.255.255", "11.0.0.0", "::a00:0"]),
            ("10.1.2.3/8", ["10.9.9.9"], ["11.1.2.3"]), ("192.0.2.7", ["192.0.2.7"], ["192.0.2.6"]),
            ("0.0.0.0/0", ["1.2.3.4"], ["::1", "2001:db8::"]),
            ("fd00::/8", ["fd12::1"], ["fc00::1", "10.0.0.1"]), ("::/0", ["::1", "10.0.0.1"], []),
            ("2001:db8::/65", ["2001:db8::7fff:ffff:ffff:ffff"], ["2001:db8::8000:0:0:0"]), ("::1/128", ["::1"], ["::", "::3"]),
            ("192.0.2.128/25", ["192.0.2.255"], ["192.0.2.127"]), ("192.0.2.1/32", ["192.0.2.1"], ["192.0.2.0"]),
        ]
        for (text, inside, outside) in rows {
            let range = try #require(AddressRange(text))
            #expect(range.description == text)
            for address in inside { #expect(range.contains(try #require(PeerAddress(address))), "\(text) \(address)") }
            for address in outside { #expect(!range.contains(try #require(PeerAddress(address))), "\(text) \(address)") }
        }
        for text in [
            "", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "::/129", "x/8", "10.0.0.0/ 8",
            "10.0.0.0/99999999999999999999", "/8",
        ] {
            #expect(AddressRange(text) == nil, "\(text)")
        }
    }
}
