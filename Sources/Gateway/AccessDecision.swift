package import AuthCore

/// What the gateway does with a request. Made by `AccessDecider` with no I/O; the shells carry it out.
package enum AccessDecision: Sendable {
    case forward(ForwardPlan)
    /// A complete answer: 400, 401, 403, 404, 405, 414, or 503 when the replica is too old to know.
    case refuse(AccessRefusal)
    /// Only the shell awaits: it catches up (or fetches the key) within a bound and decides once more.
    case ask(AccessQuestion)
}

package enum AccessQuestion: Sendable, Equatable {
    case staleRevocations
    case unknownKey(Identifier)
}

package struct AccessRefusal: Sendable {
    /// A slug of docs/errors.md: what the operator reads in the log and counts in the metrics.
    package let reason: String
    package let response: ResponseFacts
    /// What the body of the answer names, so that the log can name it too.
    package let traceID: String?
    /// The route that refuses; nothing when no route was found.
    package let route: String?

    package init(reason: String, response: ResponseFacts, traceID: String? = nil, route: String? = nil) {
        self.reason = reason
        self.response = response
        self.traceID = traceID
        self.route = route
    }
}

/// Everything that the data plane needs to pass a request on.
package struct ForwardPlan: Sendable {
    /// Names the pool: index of the route in its table, stable for the table's life.
    package let route: RoutePlan
    /// The canonical path and the query as received: the one form that was matched, is logged, and is forwarded.
    package let target: [UInt8]
    /// Set on the forwarded request after every `X-Auth-*` of the client was deleted. Values are free of CR, LF and NUL.
    package let identityHeaders: [(name: String, value: String)]
    /// For the log; nothing on an open route without a token.
    package let subject: Identifier?
    /// For the client, on whatever the service answers: the next `DPoP-Nonce` (RFC 9449 §8.2). Empty for a plain bearer token.
    package let answerHeaders: [(name: String, value: String)]

    package init(
        route: RoutePlan, target: [UInt8], identityHeaders: [(name: String, value: String)], subject: Identifier?,
        answerHeaders: [(name: String, value: String)] = []
    ) {
        self.answerHeaders = answerHeaders
        self.route = route
        self.target = target
        self.identityHeaders = identityHeaders
        self.subject = subject
    }
}

/// The part of a route that the data plane needs, prepared once when the table is built.
package final class RoutePlan: Sendable {
    package let name: String
    package let upstreams: [UpstreamTarget]
    /// Whether the client's own `Authorization` is passed on.
    package let passesToken: Bool

    package init(name: String, upstreams: [UpstreamTarget], passesToken: Bool) {
        self.name = name
        self.upstreams = upstreams
        self.passesToken = passesToken
    }
}

/// Where a route's requests go.
package struct UpstreamTarget: Sendable, Hashable {
    package let host: String
    package let port: Int
    package let isTLS: Bool

    package init(host: String, port: Int, isTLS: Bool) {
        self.host = host
        self.port = port
        self.isTLS = isTLS
    }

    /// Reads `http://host[:port]` or `https://host[:port]`; nothing else, no path, query, user or fragment.
    package init?(_ text: String) {
        var rest = text[...]
        if text.hasPrefix("http://") {
            isTLS = false
            rest = rest.dropFirst(7)
        } else if text.hasPrefix("https://") {
            isTLS = true
            rest = rest.dropFirst(8)
        } else {
            return nil
        }
        guard !rest.isEmpty, rest.utf8.allSatisfy({ (0x21...0x7E) ~= $0 && !"/?#@\\%".utf8.contains($0) }) else { return nil }
        var host = rest
        var port: Substring?
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else { return nil }
            host = rest[rest.index(after: rest.startIndex)..<end]
            let tail = rest[rest.index(after: end)...]
            if !tail.isEmpty {
                guard tail.hasPrefix(":") else { return nil }
                port = tail.dropFirst()
            }
            guard PeerAddress(String(host)) != nil else { return nil }
        } else if let colon = rest.firstIndex(of: ":") {
            host = rest[..<colon]
            port = rest[rest.index(after: colon)...]
        }
        guard !host.isEmpty, host.utf8.count <= 253 else { return nil }
        if let port {
            guard (1...5).contains(port.utf8.count), port.utf8.allSatisfy({ (0x30...0x39) ~= $0 }), let number = Int(port),
                (1...65_535) ~= number
            else { return nil }
            self.port = number
        } else {
            self.port = isTLS ? 443 : 80
        }
        self.host = String(host)
    }
}
