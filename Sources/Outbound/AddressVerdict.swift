package import AuthCore
internal import CCurl

/// `gatehouse verdict address`: may the server fetch this `url`? By the guard that fetches stand under.
///
/// The answer adds `host` (as in a URL; null when the URL is not read) and `addresses` (what the host leads to now; empty when that was
/// not asked, or when the name has none here). A name is rejected for any one of its addresses. A name without addresses is accepted:
/// nothing is wrong with it, and a fetch would judge the address on the socket.
package struct AddressVerdict: Sendable {
    /// The most addresses of a name that are looked at.
    static let addressesMax = 64

    private let policy: OutboundPolicy
    private let resolve: @Sendable (String) -> [PeerAddress]

    /// - Parameter resolve: By default the system's.
    package init(_ policy: OutboundPolicy, resolve: @escaping @Sendable (String) -> [PeerAddress] = AddressVerdict.system) {
        self.policy = policy
        self.resolve = resolve
    }

    package func answer(_ line: JSONObject) -> JSONObject {
        guard let text = line["url"]?.string else { return answer(line, "error", "invalid_case") }
        do throws(OutgoingError) {
            let url = try OutgoingURL(text)
            do throws(OutgoingError) {
                try policy.judge(url)
            } catch { return answer(line, "reject", error.rawValue, url, literal(url)) }
            let addresses = url.name.map { resolve($0.text) } ?? literal(url)
            for address in addresses {
                if let refusal = policy.refusal(of: address, port: url.port, for: url) {
                    return answer(line, "reject", refusal.rawValue, url, addresses)
                }
            }
            return answer(line, "accept", nil, url, addresses)
        } catch { return answer(line, "reject", error.rawValue) }
    }

    private func literal(_ url: OutgoingURL) -> [PeerAddress] { if case .address(let address) = url.host { [address] } else { [] } }

    private func answer(
        _ line: JSONObject, _ verdict: String, _ reason: String?, _ url: OutgoingURL? = nil, _ addresses: [PeerAddress] = []
    ) -> JSONObject {
        var answer = JSONObject([
            ("id", line["id"] ?? .null), ("verdict", .string(verdict)), ("reason", reason.map { .string($0) } ?? .null),
        ])
        if verdict.isSameBytes(as: "error") { return answer }
        answer["host"] = url.map { .string("\($0.host)") } ?? .null
        answer["addresses"] = .array(addresses.map { .string("\($0)") })
        return answer
    }

    /// By the system's resolver, as libcurl asks it.
    package static func system(_ name: String) -> [PeerAddress] {
        var bytes = [UInt8](repeating: 0, count: 16 * addressesMax)
        let count = bytes.withUnsafeMutableBufferPointer { cc_resolve(name, $0.baseAddress, Int32(addressesMax)) }
        guard count > 0 else { return [] }
        return bytes.withUnsafeBufferPointer { all in
            (0..<Int(count)).compactMap { index in all.baseAddress.map { PeerAddress($0 + 16 * index) } }
        }
    }
}
