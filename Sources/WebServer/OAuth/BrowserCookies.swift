package import AuthCore
internal import Store

/// The two cookies of a browser: a secret that forms are bound to, there from the first page on, and the sessions that it is signed in with.
package struct BrowserCookies: Sendable {
    /// Of one browser; more would be somebody else's machine.
    static let sessionsMax = 5
    private static let secretBytes = 32
    private static let browserLifetime = Duration.seconds(365 * 86_400)

    private let browserName: String
    private let sessionName: String
    private let attributes: String
    private let sessionLifetime: Duration
    private let environment: Environment

    /// - Parameter isSecure: Of the issuer. Without TLS, on loopback alone, neither the prefix nor `Secure` can be had (RFC 6265bis §4.1.3).
    package init(isSecure: Bool, sessionLifetime: Duration, environment: Environment) {
        browserName = isSecure ? "__Host-gatehouse-browser" : "gatehouse-browser"
        sessionName = isSecure ? "__Host-gatehouse-session" : "gatehouse-session"
        attributes = "; Path=/; HttpOnly; SameSite=Lax" + (isSecure ? "; Secure" : "")
        self.sessionLifetime = sessionLifetime
        self.environment = environment
    }

    /// The secret of the browser, and the header that makes it when it had none.
    func browser(_ request: APIRequest) -> (secret: Secret<String>, header: (name: String, value: String)?) {
        if let secret = value(browserName, in: request.facts.headers), secret.utf8.count == 43 { return (Secret(secret), nil) }
        let secret = Base64URL.encode(environment.randomBytes(BrowserCookies.secretBytes))
        return (Secret(secret), header(browserName, secret, lasting: BrowserCookies.browserLifetime))
    }

    /// The secret, if the browser has one.
    func knownBrowser(_ request: APIRequest) -> Secret<String>? { value(browserName, in: request.facts.headers).map { Secret($0) } }

    /// The secrets of the sessions, the one used last first.
    func sessions(_ request: APIRequest) -> [Secret<String>] {
        guard let text = value(sessionName, in: request.facts.headers) else { return [] }
        return text.utf8.split(separator: UInt8(ascii: ".")).prefix(BrowserCookies.sessionsMax).map { Secret(String(Substring($0))) }
    }

    func newSession() -> Secret<String> { Secret(Base64URL.encode(environment.randomBytes(BrowserCookies.secretBytes))) }

    /// The header that sets these sessions; that removes the cookie when there are none.
    func header(_ sessions: [Secret<String>]) -> (name: String, value: String) {
        let text = sessions.prefix(BrowserCookies.sessionsMax).map(\.exposed).joined(separator: ".")
        return header(sessionName, text, lasting: sessions.isEmpty ? .zero : sessionLifetime)
    }

    /// What is stored of a session's secret.
    static func hash(_ secret: Secret<String>) -> [UInt8] { TokenHash(of: secret.exposed.utf8).bytes }

    private func header(_ name: String, _ value: String, lasting: Duration) -> (name: String, value: String) {
        ("set-cookie", "\(name)=\(value); Max-Age=\(lasting.wholeSeconds)\(attributes)")
    }

    /// The value of the only cookie of that name; nothing when there are two: one of them is somebody else's (CK-03).
    private func value(_ name: String, in headers: Headers) -> String? {
        var found: String?
        for field in headers.all("cookie") {
            for pair in field.split(separator: UInt8(ascii: ";")) {
                let trimmed = pair.drop { $0 == 0x20 || $0 == 0x09 }
                guard trimmed.count > name.utf8.count, trimmed.starts(with: name.utf8),
                    trimmed[trimmed.startIndex + name.utf8.count] == UInt8(ascii: "=")
                else { continue }
                if found != nil { return nil }
                found = String(validating: trimmed.dropFirst(name.utf8.count + 1), as: UTF8.self)
            }
        }
        return found
    }
}
