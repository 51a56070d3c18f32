package import AuthCore

/// The issuer of every token: an origin, compared byte by byte everywhere, so it has one spelling only (RFC 8414 §2).
package struct Issuer: Sendable, Equatable, CustomStringConvertible {
    /// `https://id.example.com`, as clients and services are told.
    package let text: String
    /// Without brackets.
    package let host: String
    package let port: UInt16?
    package let isSecure: Bool

    package var description: String { text }
    package var isLoopback: Bool { HostAndPort.isLoopback(host) }
    /// An address is no valid WebAuthn RP ID, so there are no passkeys under it.
    package var isAddress: Bool { PeerAddress(host) != nil }

    /// Whether a request's `Host` names this origin.
    package func isNamed(_ host: some Collection<UInt8>) -> Bool {
        text.utf8.dropFirst(isSecure ? 8 : 7).elementsEqual(host)
    }

    /// What is wrong with an issuer, for people.
    package struct Fault: Error, Sendable, Equatable {
        package let message: String
    }

    static let bytesMax = 255

    package init(_ text: String) throws(Fault) {
        guard text.utf8.count <= Issuer.bytesMax, text.utf8.allSatisfy({ (0x21...0x7E) ~= $0 }) else {
            throw Fault(message: "is too long or not printable ASCII")
        }
        let rest: String
        if let tail = text.dropping(prefix: "https://") {
            (isSecure, rest) = (true, tail)
        } else if let tail = text.dropping(prefix: "http://") {
            (isSecure, rest) = (false, tail)
        } else {
            throw Fault(message: "does not begin with https:// or http://")
        }
        if rest.utf8.contains(UInt8(ascii: "?")) { throw Fault(message: "has a query") }
        if rest.utf8.contains(UInt8(ascii: "#")) { throw Fault(message: "has a fragment") }
        if rest.utf8.contains(UInt8(ascii: "@")) { throw Fault(message: "has a user name or password") }
        if rest.utf8.last == UInt8(ascii: "/"), rest.utf8.count(where: { $0 == UInt8(ascii: "/") }) == 1 {
            throw Fault(message: "ends with a slash, which would be another issuer; leave it out")
        }
        if rest.utf8.contains(UInt8(ascii: "/")) { throw Fault(message: "has a path; an issuer is scheme, host and port only") }
        guard let (host, port) = HostAndPort.split(rest) else {
            throw Fault(message: "has no valid host in lower case, or no valid port")
        }
        if let port, port == 0 || port == (isSecure ? 443 : 80) { throw Fault(message: "names port \(port); leave it out") }
        self.text = text
        self.host = host
        self.port = port
        if !isSecure, !isLoopback {
            throw Fault(message: "is http on a host that is not loopback; tokens and passwords would travel in clear")
        }
    }
}

/// Where the data is kept.
package enum StorageLocation: Sendable {
    case sqlite(path: String)
    /// A connection URI of libpq, with one host or several.
    case postgres(Secret<String>)

    struct Fault: Error {
        let message: String
    }

    init(_ text: String, base: String) throws(Fault) {
        if let path = text.dropping(prefix: "sqlite:") {
            guard let path = FilePath.resolve(path, base: base) else { throw Fault(message: "names no file behind sqlite:") }
            self = .sqlite(path: path)
            return
        }
        guard let rest = StorageLocation.afterScheme(text) else { throw Fault(message: "is neither sqlite:PATH nor postgres://…") }
        guard text.utf8.allSatisfy({ (0x21...0x7E) ~= $0 }), !rest.utf8.contains(UInt8(ascii: "#")) else {
            throw Fault(message: "has characters that a URL must percent-encode")
        }
        // More than one @, or one behind the authority, means that a password was not percent-encoded.
        let marks = rest.utf8.count { $0 == UInt8(ascii: "@") }
        let inAuthority = StorageLocation.authority(rest).count { $0 == UInt8(ascii: "@") }
        guard marks <= 1, marks == inAuthority else { throw Fault(message: "has an @ that must be percent-encoded (%40)") }
        self = .postgres(Secret(text))
    }

    private static func afterScheme(_ text: String) -> String? {
        text.dropping(prefix: "postgres://") ?? text.dropping(prefix: "postgresql://")
    }

    private static func authority(_ rest: String) -> Substring.UTF8View {
        rest.utf8.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
    }

    /// Whether the text may hold a password. An `@` or a query is enough to say so: better one too many.
    static func hasPassword(_ text: String) -> Bool {
        guard let rest = afterScheme(text) else { return text.dropping(prefix: "sqlite:") == nil }
        let user = authority(rest).prefix { $0 != UInt8(ascii: "@") }
        let hasUser = user.count < authority(rest).count
        return (hasUser && user.contains(UInt8(ascii: ":"))) || (!hasUser && rest.utf8.contains(UInt8(ascii: "@")))
            || (rest.utf8.contains(UInt8(ascii: "?")) && (containsWord(rest, "password") || rest.utf8.contains(UInt8(ascii: "%"))))
    }

    /// The text as people may read it: a file wholly, of a server only hosts and database.
    static func shown(_ text: String, base: String) -> String {
        if let path = text.dropping(prefix: "sqlite:") { return "sqlite:" + Quoted.plain(FilePath.resolve(path, base: base) ?? path) }
        guard let rest = afterScheme(text), (try? StorageLocation(text, base: "")) != nil else {  // whatever is wrong is said elsewhere
            return Secret(text).description
        }
        let path = rest.utf8.prefix { $0 != UInt8(ascii: "?") }
        guard let mark = path.firstIndex(of: UInt8(ascii: "@")) else { return "postgres://" + String(Substring(path)) }
        return "postgres://\(Secret(text))@" + String(Substring(path[path.index(after: mark)...]))
    }

    private static func containsWord(_ text: String, _ word: String) -> Bool {
        let (bytes, word) = (text.utf8.map(lowercasedASCII), Array(word.utf8))
        guard bytes.count >= word.count else { return false }
        return (0...(bytes.count - word.count)).contains { bytes[$0..<($0 + word.count)].elementsEqual(word) }
    }
}
