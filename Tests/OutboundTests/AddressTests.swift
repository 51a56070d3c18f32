import AuthCore
import TestSupport
import Testing

@testable import Outbound

@Suite("OWASP SSRF, RFC 6890: the server connects to the public network alone")
struct AddressTests {
    /// First and last address of each range, and what stands right beside it.
    private static let refused: [(OutgoingError, [String])] = [
        (
            .addressLoopback,
            ["127.0.0.0", "127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "0:0:0:0:0:ffff:7f00:1", "64:ff9b::127.0.0.1"]
        ),
        (
            .addressPrivate,
            [
                "10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255", "::ffff:10.1.2.3",
                "64:ff9b::10.1.2.3", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fec0::1", "feff::1", "64:ff9b:1::1.1.1.1",
                "64:ff9b:1:ffff::1",
            ]
        ),
        (.addressShared, ["100.64.0.0", "100.127.255.255", "::ffff:100.64.0.1"]),
        (.addressLinkLocal, ["169.254.0.0", "169.254.169.253", "169.254.255.255", "fe80::1", "febf:ffff::1", "::ffff:169.254.1.1"]),
        (
            .addressMetadata,
            [
                "169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254",
                "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "64:ff9b::a9fe:a9fe",
            ]
        ),
        (.addressUnspecified, ["0.0.0.0", "0.255.255.255", "::", "::ffff:0.0.0.0"]),
        (.addressMulticast, ["224.0.0.0", "239.255.255.255", "ff00::", "ff02::1", "ffff::1"]),
        (
            .addressReserved,
            [
                "192.0.0.0", "192.0.0.255", "192.0.2.0", "192.0.2.255", "198.51.100.0", "198.51.100.255", "203.0.113.0", "203.0.113.255",
                "198.18.0.0", "198.19.255.255", "240.0.0.0", "255.255.255.254", "255.255.255.255", "2001:db8::", "2001:db8:ffff::1",
                "3fff::1", "3fff:fff::1", "2001:2::1", "2001:10::1", "2001:1ff::1", "100::1", "::7f00:1", "::8.8.8.8", "::2", "1fff::1",
                "4000::1", "8000::1", "fe00::1", "5f00::1", "64:ff9b:0:0:1::1", "64:ff9b:2::1",
            ]
        ),
        (
            .addressTunnel,
            [
                "2002::", "2002:7f00:1::1", "2002:ffff::1", "2001::1", "2001:0:ffff::1", "192.88.99.0", "192.88.99.255",
                "2607:f8b0::5efe:127.0.0.1", "2607:f8b0::200:5efe:10.0.0.1",
            ]
        ),
    ]

    private static let open = [
        "1.0.0.0", "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
        "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0",
        "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255",
        "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2000::1",
        "2001:200::1", "2001:4860:4860::8888", "2001:db7::1", "2001:db9::1", "2003::1", "2606:4700::1111", "2a00:1450::1", "3ffe:ffff::1",
        "3fff:1000::1",
    ]

    @Test("each special address is refused for what it is, each neighbour is not")
    func classes() throws {
        for (reason, addresses) in AddressTests.refused {
            for text in addresses {
                let address = try #require(PeerAddress(text), "\(text)")
                #expect(AddressKind.refusal(of: address) == reason, "\(text)")
            }
        }
        for text in AddressTests.open {
            #expect(AddressKind.refusal(of: try #require(PeerAddress(text), "\(text)")) == nil, "\(text)")
        }
    }

    @Test("every range of the table is read")
    func table() {
        for (text, _) in AddressKind.ranges { #expect(AddressRange(text) != nil, "\(text)") }
    }

    @Test("a hundred thousand addresses: what is open is outside every range, in both families")
    func random() {
        var random = SeededGenerator(seed: 41)
        let ranges = AddressKind.ranges.compactMap { AddressRange($0.0) }
        for _ in 0..<100_000 {
            let v4 = PeerAddress(v4: UInt32.random(in: 0 ... .max, using: &random))
            #expect((AddressKind.refusal(of: v4) == nil) == !ranges.contains { $0.contains(v4) })
            let v6 = PeerAddress(high: random.next(), low: random.next())
            if AddressKind.refusal(of: v6) == nil {
                #expect(v6.high >> 61 == 1 && !ranges.contains { $0.contains(v6) })
            }
        }
    }

    // MARK: What the operator allows

    private func refusal(_ url: String, _ address: String, allow: [String], port: UInt16? = nil) throws -> OutgoingError? {
        let policy = try OutboundPolicy(allow: allow, ports: [443, 8_443])
        let url = try OutgoingURL(url)
        return policy.refusal(of: try #require(PeerAddress(address)), port: port ?? url.port, for: url)
    }

    @Test("a range opens what it holds and nothing else")
    func ranges() throws {
        #expect(try refusal("https://a.test/", "10.1.2.3", allow: ["10.1.0.0/16"]) == nil)
        #expect(try refusal("https://a.test/", "10.2.2.3", allow: ["10.1.0.0/16"]) == .addressPrivate)
        #expect(try refusal("https://a.test/", "169.254.169.254", allow: ["10.1.0.0/16"]) == .addressMetadata)
        #expect(try refusal("https://a.test/", "169.254.169.254", allow: ["169.254.169.254"]) == nil)
        #expect(try refusal("https://a.test/", "fd00::1", allow: ["fd00::/64"]) == nil)
        #expect(try refusal("https://a.test/", "::ffff:10.1.2.3", allow: ["10.1.0.0/16"]) == nil)
    }

    @Test("CIMD §8.6: to a URL of a stranger nothing is opened; in development loopback stays as it is")
    func strangers() throws {
        let allow = ["10.0.0.0/8", "127.0.0.0/8", "idp.internal", "169.254.169.254"]
        let policy = try OutboundPolicy(allow: allow, ports: [443])
        let (strict, development) = (policy.forStrangers(keepsLoopback: false), policy.forStrangers(keepsLoopback: true))
        for (url, address, inDevelopment) in [
            ("https://10.0.0.5/x", "10.0.0.5", OutgoingError.addressPrivate), ("https://a.test/", "10.0.0.5", .addressPrivate),
            ("https://idp.internal/", "10.0.0.5", .addressPrivate), ("https://169.254.169.254/", "169.254.169.254", .addressMetadata),
            ("https://idp.internal/", "127.0.0.1", nil), ("http://127.0.0.1:8080/", "127.0.0.1", nil),
        ] {
            let (url, address) = (try OutgoingURL(url), try #require(PeerAddress(address)))
            #expect(policy.refusal(of: address, port: url.port, for: url) == nil, "\(url) is allowed to the house")
            #expect(strict.refusal(of: address, port: url.port, for: url) != nil, "\(url)")
            #expect(development.refusal(of: address, port: url.port, for: url) == inDevelopment, "\(url)")
            if url.name == nil { #expect(throws: OutgoingError.self) { try strict.judge(url) } }
        }
        let open = try OutgoingURL("https://a.test/")
        for policy in [strict, development] {
            #expect(policy.refusal(of: try #require(PeerAddress("1.1.1.1")), port: 443, for: open) == nil)
            #expect(policy.refusal(of: try #require(PeerAddress("1.1.1.1")), port: 8_080, for: open) == .portNotAllowed)
        }
    }

    @Test("a name opens addresses of one's own, never link-local, metadata or reserved ones")
    func names() throws {
        for address in ["10.0.0.1", "127.0.0.1", "::1", "fd12::1", "100.64.0.1"] {
            #expect(try refusal("https://idp.internal/", address, allow: ["idp.internal"]) == nil)
            #expect(try refusal("https://xidp.internal/", address, allow: ["idp.internal"]) != nil)
            #expect(try refusal("https://x.idp.internal/", address, allow: ["idp.internal"]) != nil)
        }
        for address in ["169.254.169.254", "169.254.1.1", "fe80::1", "0.0.0.0", "224.0.0.1", "192.0.2.1", "2002:a00:1::", "168.63.129.16"] {
            #expect(try refusal("https://idp.internal/", address, allow: ["idp.internal"]) != nil, "\(address)")
        }
    }

    @Test("an entry with a port opens that port alone")
    func entriesWithPort() throws {
        #expect(try refusal("https://idp.internal:9443/", "10.0.0.1", allow: ["idp.internal:9443"]) == nil)
        #expect(try refusal("https://idp.internal:9444/", "10.0.0.1", allow: ["idp.internal:9443"]) == .addressPrivate)
        #expect(try refusal("https://IDP.internal:9443/", "10.0.0.1", allow: ["idp.Internal:9443"]) == nil)
        #expect(try refusal("https://[::1]:9443/", "::1", allow: ["[::1]:9443"]) == nil)
        #expect(try refusal("https://[::1]:9444/", "::1", allow: ["[::1]:9443"]) == .addressLoopback)
        #expect(try refusal("https://idp.internal:443/", "10.0.0.1", allow: ["idp.internal:443"]) == nil)
        #expect(try refusal("https://idp.internal:80/", "10.0.0.1", allow: ["idp.internal:443"]) == .addressPrivate)
    }

    @Test("ports beside those of the settings are for allowed hosts only")
    func ports() throws {
        for port in ["22", "25", "80", "6379", "9200"] {
            #expect(try refusal("https://a.test:\(port)/", "8.8.8.8", allow: []) == .portNotAllowed)
            #expect(try refusal("https://a.test:\(port)/", "8.8.8.8", allow: ["a.test"]) == nil)
            #expect(try refusal("https://a.test:\(port)/", "8.8.8.8", allow: ["8.8.8.8"]) == nil)
            #expect(throws: OutgoingError.portNotAllowed) {
                try OutboundPolicy(allow: [], ports: [443]).judge(OutgoingURL("https://a.test:\(port)/"))
            }
        }
        #expect(try refusal("https://a.test/", "8.8.8.8", allow: []) == nil)
        #expect(try refusal("https://a.test:8443/", "8.8.8.8", allow: []) == nil)
    }

    @Test("http is for allowed loopback addresses only")
    func plain() throws {
        #expect(try refusal("http://localhost/", "127.0.0.1", allow: ["localhost"]) == nil)
        #expect(try refusal("http://localhost:9000/", "::1", allow: ["::1"]) == nil)
        #expect(try refusal("http://localhost/", "10.0.0.1", allow: ["localhost"]) == .urlNotSecure)
        #expect(try refusal("http://a.test/", "10.0.0.1", allow: ["10.0.0.0/8"]) == .urlNotSecure)
        #expect(try refusal("http://a.test/", "8.8.8.8", allow: ["a.test"]) == .urlNotSecure)
        #expect(try refusal("http://127.0.0.1/", "127.0.0.1", allow: []) == .addressLoopback)
        let policy = try OutboundPolicy(allow: [], ports: [443, 80])
        #expect(throws: OutgoingError.urlNotSecure) { try policy.judge(OutgoingURL("http://a.test/")) }
        #expect(throws: OutgoingError.urlNotSecure) { try policy.judge(OutgoingURL("http://8.8.8.8/")) }
    }

    @Test("names of the machine itself and of clouds are not even looked up, unless they are allowed")
    func wellKnown() throws {
        let policy = try OutboundPolicy(allow: [], ports: [443])
        for (name, reason) in [
            ("localhost", OutgoingError.addressLoopback), ("LocalHost", .addressLoopback), ("a.localhost", .addressLoopback),
            ("metadata.google.internal", .addressMetadata), ("metadata.goog", .addressMetadata),
        ] {
            let url = try OutgoingURL("https://\(name)/")
            #expect(throws: reason, "\(name)") { try policy.judge(url) }
            try OutboundPolicy(allow: [name], ports: [443]).judge(url)
        }
        for name in ["xlocalhost", "localhost.test", "metadata.google.internal.test", "goog"] {
            try policy.judge(OutgoingURL("https://\(name)/"))
        }
    }

    @Test("an entry that is no host, address or range is named")
    func faults() {
        for entry in [
            "", "10.0.0.0/33", "a.test/", "https://a.test", "a..test", "*", "*.test", "127.1", "user@a.test", "a.test:0", "a.test:x",
        ] {
            #expect(throws: OutboundPolicy.Fault(entry: entry)) { try OutboundPolicy(allow: ["a.test", entry], ports: [443]) }
        }
        let many = (0...OutboundPolicy.entriesMax).map { "h\($0).test" }
        #expect(throws: OutboundPolicy.Fault.self) { try OutboundPolicy(allow: many, ports: [443]) }
    }
}
