internal import AuthCore
internal import TokenVerification

/// The URL of a request as its client saw it: what `htu` of a proof is compared with (RFC 9449 §4.3, DP-02).
///
/// Scheme and host are those of the connection and the `Host` field; where the peer is one of `trusted_proxies`, the last
/// `X-Forwarded-Proto` and `X-Forwarded-Host` go before them. A route without `host` believes `Host`: see docs/spec/dpop.md.
enum ExternalTarget {
    /// - Returns: Nothing when there is no one host; no proof fits then.
    static func of(_ wanted: WantedRequest, in request: RequestFacts, trusted: [AddressRange]) -> DPoPTarget? {
        guard case .one(var host) = wanted.host else { return nil }
        var isTLS = request.isTLS
        if trusted.contains(where: { $0.contains(request.peer) }) {
            if let scheme = lastElement(request.headers, "x-forwarded-proto") {
                if scheme.map(lowercasedASCII).elementsEqual("https".utf8) { isTLS = true }
                if scheme.map(lowercasedASCII).elementsEqual("http".utf8) { isTLS = false }
            }
            if let forwarded = lastElement(request.headers, "x-forwarded-host") { host = forwarded }
        }
        return DPoPTarget(isTLS: isTLS, host: host, target: wanted.target)
    }

    /// What the nearest proxy added to a list.
    private static func lastElement(_ headers: Headers, _ name: StaticString) -> ArraySlice<UInt8>? {
        guard let value = headers.all(name).last else { return nil }
        var element = value.suffix(from: value.lastIndex(of: UInt8(ascii: ",")).map { $0 + 1 } ?? value.startIndex)
        element = element.drop { $0 == 0x20 || $0 == 0x09 }
        while let last = element.last, last == 0x20 || last == 0x09 { element.removeLast() }
        return element.isEmpty ? nil : element
    }
}
