package import AuthCore

/// What an address is for, by the registries of special-purpose addresses (RFC 6890) and multicast.
///
/// Only what is left over is the public network; of IPv6 that is 2000::/3, because nothing else is given to hosts there.
package enum AddressKind {
    private static let rows: [(AddressRange, OutgoingError)] = ranges.compactMap { row in AddressRange(row.0).map { ($0, row.1) } }

    /// The first that holds the address decides, so what lies within another stands before it.
    static let ranges: [(String, OutgoingError)] = [
        // Where clouds tell a machine its own credentials. Each lies in a range below, but for Azure's, which is a public one.
        ("169.254.169.254", .addressMetadata), ("169.254.170.2", .addressMetadata), ("100.100.100.200", .addressMetadata),
        ("192.0.0.192", .addressMetadata), ("168.63.129.16", .addressMetadata), ("fd00:ec2::254", .addressMetadata),
        ("fd20:ce::254", .addressMetadata),

        ("0.0.0.0/8", .addressUnspecified), ("10.0.0.0/8", .addressPrivate), ("100.64.0.0/10", .addressShared),
        ("127.0.0.0/8", .addressLoopback), ("169.254.0.0/16", .addressLinkLocal), ("172.16.0.0/12", .addressPrivate),
        ("192.168.0.0/16", .addressPrivate),
        // Protocol assignments, three documentation nets, 6to4 relays, measurements between networks, and what is kept for later with
        // the broadcast address.
        ("192.0.0.0/24", .addressReserved), ("192.0.2.0/24", .addressReserved), ("198.51.100.0/24", .addressReserved),
        ("203.0.113.0/24", .addressReserved), ("192.88.99.0/24", .addressTunnel), ("198.18.0.0/15", .addressReserved),
        ("224.0.0.0/4", .addressMulticast), ("240.0.0.0/4", .addressReserved),

        ("::/128", .addressUnspecified), ("::1/128", .addressLoopback), ("fe80::/10", .addressLinkLocal),
        // Once the private addresses of a site (RFC 3879), now unique-local ones.
        ("fec0::/10", .addressPrivate), ("fc00::/7", .addressPrivate), ("ff00::/8", .addressMulticast),
        // NAT64 of the network's own (RFC 8215) leads to whatever its operator translates.
        ("64:ff9b:1::/48", .addressPrivate),
        // Teredo and 6to4 carry an IPv4 address to a relay that nobody should have any more.
        ("2001::/32", .addressTunnel), ("2002::/16", .addressTunnel),
        ("2001::/23", .addressReserved), ("2001:db8::/32", .addressReserved), ("3fff::/20", .addressReserved),
    ]

    /// Why nobody but an operator may have us connect to that address; nothing when it is a public one.
    package static func refusal(of address: PeerAddress) -> OutgoingError? {
        // NAT64 (RFC 6052): on a network without IPv4 this is how a public IPv4 host is reached, so what counts is the address inside.
        if address.high == 0x0064_FF9B_0000_0000, address.low >> 32 == 0 {
            return refusal(of: PeerAddress(v4: UInt32(truncatingIfNeeded: address.low)))
        }
        for (range, refusal) in rows where range.contains(address) { return refusal }
        if address.v4 != nil { return nil }
        // ISATAP (RFC 5214): an IPv4 address behind this mark is where the packet goes.
        let mark = address.low >> 32
        if mark == 0x0000_5EFE || mark == 0x0200_5EFE { return .addressTunnel }
        return address.high >> 61 == 0b001 ? nil : .addressReserved
    }
}
