internal import AuthCore
internal import NIOCore

extension PeerAddress {
    /// Nothing for a Unix socket.
    init?(_ address: SocketAddress) {
        if case .unixDomainSocket = address { return nil }
        let found = address.withSockAddr { pointer, size -> PeerAddress? in
            // `sockaddr_in` has its address at byte 4, `sockaddr_in6` at byte 8, both in network order.
            let bytes = UnsafeRawBufferPointer(start: pointer, count: size)
            if case .v4 = address {
                return bytes.count < 8 ? nil : PeerAddress(v4: UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
            }
            guard bytes.count >= 24 else { return nil }
            return PeerAddress(
                high: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
                low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
            )
        }
        guard let found else { return nil }
        self = found
    }
}
