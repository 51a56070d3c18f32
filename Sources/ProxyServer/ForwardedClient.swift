internal import AuthCore
internal import HTTPEdge

/// Who the client is, through the proxies in front of us that are believed (GW-06, RFC 7239 §8).
struct ForwardedClient {
    /// The new X-Forwarded-For: the client, the believed proxies behind it, our peer.
    var chain: String
    var client: PeerAddress
    var isTLS: Bool
    /// What the believed proxy says that the client asked for; nothing when it does not.
    var host: String?

    /// What the forwarding fields of a request say, unchecked.
    struct Claims {
        var forwardedFor: [Range<Int>] = []
        var proto: [Range<Int>] = []
        var host: [Range<Int>] = []
    }

    /// Walks from our peer towards the client as long as each hop is one that is believed, and stops at the first that is not:
    /// what stands left of it anybody could have written.
    init(
        request: RequestFacts,
        bytes: UnsafeRawBufferPointer,
        claims: Claims,
        trusted: [AddressRange],
        hopsMax: Int
    ) {
        func isTrusted(_ address: PeerAddress) -> Bool { trusted.contains { $0.contains(address) } }
        client = request.peer
        chain = request.peer.description
        isTLS = request.isTLS
        guard isTrusted(request.peer) else { return }
        var hops = 0
        walk: for value in claims.forwardedFor.reversed() {
            for entry in FieldSection.elements(bytes, value).reversed() {
                hops += 1
                guard hops <= hopsMax, let address = PeerAddress(forwarded: bytes[entry]) else { break walk }
                client = address
                chain = "\(address.description), \(chain)"
                if !isTrusted(address) { break walk }
            }
        }
        if let last = claims.proto.last.flatMap({ FieldSection.elements(bytes, $0).last }) {
            if bytes.spells(last, "https") { isTLS = true }
            if bytes.spells(last, "http") { isTLS = false }
        }
        if let last = claims.host.last.flatMap({ FieldSection.elements(bytes, $0).last }) {
            let text = UnsafeRawBufferPointer(rebasing: bytes[last])
            if HostSyntax.isValid(text) { host = String(decoding: text, as: UTF8.self) }
        }
    }
}
