internal import AuthCore
internal import Store

/// Where a server listens.
package enum ListenAddress: Sendable, Equatable, CustomStringConvertible {
    /// A host name or an address without brackets, and a port; port 0 lets the system choose.
    case tcp(host: String, port: UInt16)
    case unix(path: String)

    /// Reads `host:port`, `[v6]:port` or `unix:PATH`.
    ///
    /// - Parameter base: The folder that a relative path is relative to.
    init?(_ text: String, base: String) {
        if let path = text.dropping(prefix: "unix:") {
            guard let path = FilePath.resolve(path, base: base) else { return nil }
            self = .unix(path: path)
            return
        }
        guard let (host, port) = HostAndPort.split(text), let port else { return nil }
        self = .tcp(host: host, port: port)
    }

    package var description: String {
        switch self {
        case .tcp(let host, let port): host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// Whether only this machine can reach it.
    package var isLoopback: Bool {
        switch self {
        case .tcp(let host, _): HostAndPort.isLoopback(host)
        case .unix: true
        }
    }
}

/// Paths of files, as text.
enum FilePath {
    static let bytesMax = 4_096

    /// - Returns: The path, put behind `base` when it is relative; nothing when it is empty, too long or has a control byte.
    static func resolve(_ path: String, base: String) -> String? {
        guard !path.isEmpty, path.utf8.count <= bytesMax, path.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return nil }
        if path.utf8.first == UInt8(ascii: "/") || base.isEmpty { return path }
        let tail = path.dropping(prefix: "./") ?? path
        return base.utf8.last == UInt8(ascii: "/") ? base + tail : base + "/" + tail
    }

    /// The folder of a file; empty for a bare name.
    static func folder(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        return slash == path.utf8.startIndex ? "/" : String(path[..<slash])
    }
}
