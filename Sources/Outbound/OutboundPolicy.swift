package import AuthCore

/// Where we may connect to: to the public network on a few ports, and to what the operator allows besides.
package struct OutboundPolicy: Sendable {
    /// What is wrong with an entry of `outbound.allow` or `outbound.ports`, for people.
    package struct Fault: Error, Sendable, Equatable {
        package let entry: String
    }

    /// The most entries of `outbound.allow`.
    package static let entriesMax = 256

    private var ranges: [AddressRange] = []
    /// A host, and the port that alone is meant, if one was written.
    private var hosts: [(host: OutgoingURL.Host, port: UInt16?)] = []
    private let ports: [UInt16]
    /// Whether only loopback is opened by these.
    private var opensLoopbackAlone = false

    /// - Parameters:
    ///   - allow: `10.0.0.0/8`, `fd00::1`, `idp.internal`, `idp.internal:9443`.
    ///   - ports: For whatever `allow` does not name.
    package init(allow: [String], ports: [UInt16]) throws(Fault) {
        self.ports = ports
        for (index, entry) in allow.enumerated() {
            guard index < OutboundPolicy.entriesMax else { throw Fault(entry: entry) }
            if let range = AddressRange(entry) {
                ranges.append(range)
            } else {
                hosts.append(try OutboundPolicy.host(entry))
            }
        }
    }

    /// The same for URLs that strangers name: nothing that is opened for the house.
    ///
    /// - Parameter keepsLoopback: What is opened of loopback stays so, for a server that runs on the machine of its developer.
    package func forStrangers(keepsLoopback: Bool) -> OutboundPolicy {
        var policy = self
        if keepsLoopback { policy.opensLoopbackAlone = true } else { (policy.ranges, policy.hosts) = ([], []) }
        return policy
    }

    private static func host(_ entry: String) throws(Fault) -> (host: OutgoingURL.Host, port: UInt16?) {
        guard !entry.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }) else { throw Fault(entry: entry) }
        do throws(OutgoingError) {
            let (one, other) = (try OutgoingURL("https://" + entry), try OutgoingURL("http://" + entry))
            // Without a port of its own each scheme gives another.
            return (one.host, one.port == other.port ? one.port : nil)
        } catch { throw Fault(entry: entry) }
    }

    /// Judges what can be judged before a name is looked up.
    package func judge(_ url: OutgoingURL) throws(OutgoingError) {
        if case .address(let address) = url.host {
            if let refusal = refusal(of: address, port: url.port, for: url) { throw refusal }
            return
        }
        // A range may hold the address that the name leads to: then the socket decides.
        if isAllowed(url) || !ranges.isEmpty { return }
        if !url.isSecure { throw .urlNotSecure }
        if let refusal = url.name.flatMap(OutboundPolicy.refusal) { throw refusal }
        if !ports.contains(url.port) { throw .portNotAllowed }
    }

    /// Judges the address that a socket would be connected to.
    ///
    /// A name in `outbound.allow` opens loopback, private and shared addresses: it says that this host is one of ours. It never opens
    /// link-local or metadata addresses, which no host of ours has; those, and everything else, only a range or an address opens.
    package func refusal(of address: PeerAddress, port: UInt16, for url: OutgoingURL) -> OutgoingError? {
        let opens = !opensLoopbackAlone || address.isLoopback
        let isInRange = opens && ranges.contains { $0.contains(address) }
        let isAllowed = isInRange || (opens && isAllowed(url))
        if let refusal = AddressKind.refusal(of: address), !isInRange {
            guard isAllowed, url.name == nil || OutboundPolicy.ofOurs.contains(refusal) else { return refusal }
        }
        if !url.isSecure, !(isAllowed && address.isLoopback) { return .urlNotSecure }
        return isAllowed || ports.contains(port) ? nil : .portNotAllowed
    }

    /// Names that lead to the machine or its cloud wherever they are looked up (RFC 6761 §6.3), so nobody need be asked. Any other name
    /// that leads there is found out by its address.
    private static func refusal(of name: Identifier) -> OutgoingError? {
        if name == "localhost" || name.text.utf8.reversed().starts(with: ".localhost".utf8.reversed()) { return .addressLoopback }
        return name == "metadata.google.internal" || name == "metadata.goog" ? .addressMetadata : nil
    }

    private static let ofOurs: [OutgoingError] = [.addressLoopback, .addressPrivate, .addressShared]

    private func isAllowed(_ url: OutgoingURL) -> Bool {
        hosts.contains { $0.host == url.host && ($0.port ?? url.port) == url.port }
    }
}

extension OutgoingURL {
    /// Nothing when the host is an address.
    var name: Identifier? { if case .name(let name) = host { name } else { nil } }
}
