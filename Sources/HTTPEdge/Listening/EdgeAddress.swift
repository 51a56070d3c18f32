internal import AuthCore

/// Where a server listens.
package enum EdgeAddress: Sendable, Equatable, CustomStringConvertible {
    /// `localhost` stands for 127.0.0.1 and ::1; port 0 for one that is free.
    case tcp(host: String, port: Int)
    /// Made with mode 0600 and removed when the server stops.
    case unix(path: String)

    /// Reads `host:port`, `[v6]:port` or `unix:PATH`.
    package init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            // `sun_path` holds 108 bytes with its NUL; macOS 104.
            guard (1...103).contains(path.utf8.count), !path.utf8.contains(0) else { return nil }
            self = .unix(path: path)
            return
        }
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...].utf8
        guard (1...5).contains(digits.count), digits.allSatisfy(ByteClass.isDigit), let port = Int(Substring(digits)), port <= 65_535
        else { return nil }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
            guard PeerAddress(host) != nil else { return nil }
        } else if host.utf8.contains(UInt8(ascii: ":")) {
            return nil
        }
        guard !host.isEmpty else { return nil }
        self = .tcp(host: host, port: port)
    }

    package var description: String {
        switch self {
        case .tcp(let host, let port): host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    package var port: Int? { if case .tcp(_, let port) = self { port } else { nil } }
}

/// Why a server cannot listen.
package enum EdgeServerError: Error, Sendable, CustomStringConvertible {
    case cannotListen(address: String, reason: String)
    /// The certificate, its key, or both.
    case badCertificate(path: String, reason: String)

    package var description: String {
        switch self {
        case .cannotListen(let address, let reason): "cannot listen on \(address): \(reason)"
        case .badCertificate(let path, let reason): "cannot use \(path): \(reason)"
        }
    }
}
