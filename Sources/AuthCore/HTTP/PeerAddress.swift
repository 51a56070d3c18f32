#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// An IP address as 16 bytes; IPv4 is held in its mapped form `::ffff:a.b.c.d`, so one address has one value.
public struct PeerAddress: Hashable, Sendable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public init(v4 address: UInt32) { self.init(high: 0, low: 0x0000_FFFF_0000_0000 | UInt64(address)) }

    public static let loopback = PeerAddress(v4: 0x7F00_0001)

    /// Reads dotted IPv4 or any text form of IPv6, without brackets or zone.
    public init?(_ text: String) {
        // The C functions read up to a NUL.
        if text.utf8.contains(0) { return nil }
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            self.init(v4: UInt32(bigEndian: v4.s_addr))
            return
        }
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
        self = withUnsafeBytes(of: v6) { bytes in
            PeerAddress(
                high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
    }

    public var v4: UInt32? { high == 0 && low >> 32 == 0xFFFF ? UInt32(truncatingIfNeeded: low) : nil }

    public var isLoopback: Bool { v4.map { $0 >> 24 == 127 } ?? (high == 0 && low == 1) }

    /// What throttling counts by: the address for IPv4, the /64 for IPv6, because one host may own that many.
    public var throttleKey: String { v4 == nil ? throttled.description + "/64" : description }

    /// The same as an address: of IPv6 the first of its /64.
    public var throttled: PeerAddress { v4 == nil ? PeerAddress(high: high, low: 0) : self }

    public var description: String {
        if let v4 { return "\(v4 >> 24).\(v4 >> 16 & 255).\(v4 >> 8 & 255).\(v4 & 255)" }
        var bytes = in6_addr()
        withUnsafeMutableBytes(of: &bytes) {
            $0.storeBytes(of: high.bigEndian, as: UInt64.self)
            $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        var text = [CChar](repeating: 0, count: 64)
        inet_ntop(AF_INET6, &bytes, &text, 64)
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`, or one address.
public struct AddressRange: Hashable, Sendable, CustomStringConvertible {
    private let high: UInt64
    private let low: UInt64
    private let bits: Int
    public let description: String

    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = PeerAddress(String(parts[0])) else { return nil }
        let width = address.v4 == nil ? 128 : 32
        var prefix = width
        if parts.count == 2 {
            guard parts[1].utf8.allSatisfy({ (0x30...0x39) ~= $0 }), let value = Int(parts[1]), value <= width else { return nil }
            prefix = value
        }
        let bits = prefix + (128 - width)
        self.bits = bits
        self.high = address.high & AddressRange.mask(bits)
        self.low = address.low & AddressRange.mask(bits - 64)
        self.description = text
    }

    public func contains(_ address: PeerAddress) -> Bool {
        address.high & AddressRange.mask(bits) == high && address.low & AddressRange.mask(bits - 64) == low
    }

    private static func mask(_ bits: Int) -> UInt64 { bits <= 0 ? 0 : bits >= 64 ? .max : ~(.max >> UInt64(bits)) }
}
