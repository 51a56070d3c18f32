/// Who the client is, through the proxies in front of us that are believed (RFC 7239 §8).
public enum ClientAddress {
    /// The most hops that are looked at.
    public static let hopsMax = 32

    /// Walks `X-Forwarded-For` from our peer towards the client as long as each hop is believed, and stops at the first that is
    /// not: what stands left of it anybody could have written.
    public static func resolve(peer: PeerAddress, headers: Headers, trusted: [AddressRange]) -> PeerAddress {
        func isTrusted(_ address: PeerAddress) -> Bool { trusted.contains { $0.contains(address) } }
        guard !trusted.isEmpty, isTrusted(peer) else { return peer }
        var client = peer
        var hops = 0
        for value in headers.all("x-forwarded-for").reversed() {
            for entry in value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).reversed() {
                hops += 1
                guard hops <= hopsMax, let address = PeerAddress(forwarded: entry) else { return client }
                client = address
                if !isTrusted(address) { return client }
            }
        }
        return client
    }
}

extension PeerAddress {
    /// An entry of `X-Forwarded-For`: an address, to which some proxies add a port.
    public init?(forwarded entry: some Collection<UInt8>) {
        guard entry.count <= 64, let text = String(validating: entry.filter { $0 != 0x20 && $0 != 0x09 }, as: UTF8.self) else { return nil }
        if let address = PeerAddress(text) {
            self = address
            return
        }
        if text.hasPrefix("["), let close = text.firstIndex(of: "]") {
            self.init(String(text[text.index(after: text.startIndex)..<close]))
            return
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        self.init(String(parts[0]))
    }
}
