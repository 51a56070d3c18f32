/// The way out of the process: whoever needs something of another server asks through this port, and gets it only where the guard of
/// the target `Outbound` lets it through (FE-10, JK-07).
///
/// The URL may be a stranger's: a client that registered `jwks_uri` chose it, and what it names is judged here and nowhere else.
public protocol OutgoingCalls: Sendable {
    /// Sends one request, follows redirects if the request says so, and returns what came.
    ///
    /// It ends within `request.limits.timeMax`, the wait for a thread included, plus at most once more that time when every thread is
    /// taken. Cancelling the caller ends it too. Nothing is sent twice. A status of any kind is an answer, but for 3xx: those are
    /// followed or refused.
    /// - Throws: Why there is no answer; its raw value is the reason for the operator, not for the stranger who named the URL.
    func fetch(_ request: OutgoingRequest) async throws(OutgoingError) -> OutgoingAnswer
}

/// What is asked of another server.
public struct OutgoingRequest: Sendable, CustomStringConvertible {
    public enum Method: String, Sendable {
        case get = "GET"
        /// Never follows a redirect.
        case post = "POST"
    }

    public var method: Method
    public var url: OutgoingURL
    /// Beside those that are set by themselves (`Host`, `Accept`, `Content-Length`, `User-Agent`). A redirect to another origin leaves
    /// them all behind.
    public var headers: [(name: String, value: String)]
    /// Of a POST.
    public var body: [UInt8]
    /// The media types that a 2xx may have, in lower case without parameters (`application/json`); none: any. They are the `Accept` too.
    public var acceptedTypes: [String]
    public var limits: OutgoingLimits
    /// Whether somebody named the URL whom no operator stands for, as clients do that registered themselves: then only the public network is
    /// asked, whatever `outbound.allow` opens for the house (CIMD §8.6).
    public var isStrangers = false

    public init(
        _ method: Method = .get, _ url: OutgoingURL, headers: [(name: String, value: String)] = [], body: [UInt8] = [],
        acceptedTypes: [String], limits: OutgoingLimits = OutgoingLimits()
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.acceptedTypes = acceptedTypes
        self.limits = limits
    }

    /// Where it goes, and nothing of what it carries: headers, body and query may hold secrets.
    public var description: String { "\(method.rawValue) \(url.origin)" }
}

/// How much another server may cost.
public struct OutgoingLimits: Sendable, Equatable {
    /// Of the answer, as it comes over the wire. Nothing is decompressed.
    public var bodyBytesMax: Int
    /// From the call to the last byte; nothing: what the setting `outbound.timeout` says. It cannot be more than that.
    public var timeMax: Duration?
    /// Each is judged like the first URL. At most `redirectsCeiling`.
    public var redirectsMax: Int

    public static let redirectsCeiling = 3

    public init(bodyBytesMax: Int = 262_144, timeMax: Duration? = nil, redirectsMax: Int = 0) {
        self.bodyBytesMax = bodyBytesMax
        self.timeMax = timeMax
        self.redirectsMax = redirectsMax
    }
}

/// What another server answered. Nothing of it is to be believed but that it came from `url`.
public struct OutgoingAnswer: Sendable {
    public var status: Int
    /// At most 32 KiB.
    public var headers: Headers
    /// Empty when a status other than 2xx came with another media type than one of those asked for.
    public var body: [UInt8]
    /// Where it came from in the end.
    public var url: OutgoingURL

    public init(status: Int, headers: Headers, body: [UInt8], url: OutgoingURL) {
        self.status = status
        self.headers = headers
        self.body = body
        self.url = url
    }

    public var isSuccess: Bool { (200...299).contains(status) }

    /// `Content-Type` without its parameters, in lower case; nothing when it is absent or repeated.
    public var mediaType: String? {
        guard let value = headers.single("content-type") else { return nil }
        let type = value.prefix { $0 != UInt8(ascii: ";") }.filter { $0 != 0x20 && $0 != 0x09 }.map(lowercasedASCII)
        return String(validating: type, as: UTF8.self)
    }
}

/// Why another server was not asked, or gave nothing that can be used. The raw value is the reason in the log and in docs/errors.md.
public enum OutgoingError: String, Error, Sendable, Equatable, CaseIterable {
    // What the URL itself is refused for.
    /// No absolute URL of visible ASCII, or too long.
    case urlMalformed = "url_malformed"
    /// Neither https, nor http on a loopback address that `outbound.allow` names.
    case urlNotSecure = "url_not_https"
    case urlCredentials = "url_credentials"
    case urlFragment = "url_fragment"
    /// The host is no name and no address.
    case urlHost = "url_host"
    /// A number that some readers take for an address: decimal, octal, hexadecimal or too short.
    case addressSpelling = "address_spelling"
    case portNotAllowed = "port_not_allowed"

    // What the address is refused for that the name led to.
    case addressUnspecified = "address_unspecified"
    case addressLoopback = "address_loopback"
    case addressPrivate = "address_private"
    case addressShared = "address_shared"
    case addressLinkLocal = "address_link_local"
    case addressMetadata = "address_metadata"
    case addressMulticast = "address_multicast"
    case addressReserved = "address_reserved"
    case addressTunnel = "address_tunnel"

    // What kept us from asking.
    /// A header with bytes that cannot stand in one.
    case requestMalformed = "fetch_request_malformed"
    /// As many calls wait as may wait, for this host or for all.
    case overloaded = "fetch_overloaded"
    case stopped = "fetch_stopped"
    case cancelled = "fetch_cancelled"
    /// libcurl cannot be loaded, or the machine gives no thread.
    case unavailable = "fetch_unavailable"

    // What went wrong on the way.
    case nameUnknown = "fetch_name_unknown"
    case notConnected = "fetch_not_connected"
    /// TLS failed, or the certificate is not one of that host that we trust.
    case notTrusted = "fetch_not_trusted"
    case timedOut = "fetch_timed_out"
    case connectionLost = "fetch_connection_lost"

    // What is wrong with the answer.
    case answerMalformed = "fetch_answer_malformed"
    case headersTooLarge = "fetch_headers_too_large"
    case bodyTooLarge = "fetch_body_too_large"
    /// Compressed, which we never ask for.
    case bodyEncoded = "fetch_body_encoded"
    case wrongMediaType = "fetch_wrong_media_type"
    /// Redirected where none or no further one is followed.
    case redirected = "fetch_redirected"
    /// Redirected to what is no URL that we read.
    case redirectMalformed = "fetch_redirect_malformed"
    /// Of a document: another status than 200.
    case wrongStatus = "fetch_wrong_status"
    /// Of a document: whoever asked for it cannot read it.
    case contentRefused = "fetch_content_refused"

    /// Whether the guard refused, and so nothing was sent; another try ends the same way as long as the settings and the name do.
    public var isRefusal: Bool { rawValue.hasPrefix("url_") || rawValue.hasPrefix("address_") || self == .portNotAllowed }
}
