package import AuthCore
internal import CCurl

/// The only way out: fetches from other servers under the guard of `OutboundPolicy`, by libcurl, on bounded threads.
///
/// Every address is judged on the socket that is opened, so no name that changes its meaning leads anywhere else. Letting go of it, or
/// `close`, ends it.
package final class Outbound: OutgoingCalls {
    /// What the settings say.
    package struct Options: Sendable {
        /// Addresses, ranges and hosts that are allowed besides the public network.
        package var allow: [String] = []
        package var ports: [UInt16] = [443, 8_443]
        /// A file of further authorities in PEM, beside the system's.
        package var authorities: String?
        package var connectTimeMax = Duration.seconds(2)
        package var timeMax = Duration.seconds(5)
        /// Calls at a time; a quarter of them for one host.
        package var threads = 8
        /// Whether URLs that strangers name may lead to what `allow` opens of loopback.
        package var keepsLoopback = false
        /// Calls that wait; a quarter of them for one host.
        package var queue = 64

        package init() {}
    }

    /// What of the settings this target reads.
    package static let settings = [
        SettingKey(
            "outbound.allow", .list(.text), default: "",
            "Where the server may connect to besides the public network, when it fetches what your clients and providers name: addresses, "
                + "ranges (CIDR) and hosts, `HOST` or `HOST:PORT`. A host opens loopback and private addresses, and `http` for loopback; "
                + "anything else only a range opens. Nothing is opened to clients that registered themselves or are documents, but loopback where "
                + "the issuer is on loopback."
        ),
        SettingKey(
            "outbound.ports", .list(.integer(1...65_535)), default: "443,8443",
            "The ports that it connects to where `outbound.allow` says nothing."
        ),
        SettingKey(
            "outbound.ca", .path, default: nil, "Authorities in PEM that certificates are checked by, besides the system's."),
        SettingKey(
            "outbound.connect_timeout", .duration(.milliseconds(100)...(.seconds(30))), default: "2s",
            "How long a connection may take, name and TLS included."),
        SettingKey(
            "outbound.timeout", .duration(.milliseconds(100)...(.seconds(60))), default: "5s",
            "How long one fetch may take in all, redirects and the wait for a thread included."),
        SettingKey("outbound.threads", .integer(1...64), default: "8", "Fetches at a time. A quarter of them may be to one host."),
        SettingKey(
            "outbound.queue", .integer(1...1_024), default: "64", "Fetches that may wait for a thread. A quarter of them for one host."),
    ]

    package let policy: OutboundPolicy
    private let strangersPolicy: OutboundPolicy
    private let options: Options
    private let pool: FetchPool
    private let uptime: @Sendable () -> Uptime

    package init(_ options: Options, environment: Environment) throws(OutboundPolicy.Fault) {
        policy = try OutboundPolicy(allow: options.allow, ports: options.ports)
        strangersPolicy = policy.forStrangers(keepsLoopback: options.keepsLoopback)
        self.options = options
        uptime = environment.uptime
        let threads = max(1, options.threads)
        let limits = FetchPool.Limits(
            threads: threads, threadsPerHost: max(1, threads / 4), queue: max(0, options.queue), queuePerHost: max(1, options.queue / 4))
        pool = FetchPool(limits, uptime: environment.uptime)
    }

    package func fetch(_ request: OutgoingRequest) async throws(OutgoingError) -> OutgoingAnswer {
        // What needs no thread is refused without one.
        let policy = request.isStrangers ? strangersPolicy : policy
        try policy.judge(request.url)
        guard request.headers.allSatisfy(OutgoingHeader.isGood), request.acceptedTypes.allSatisfy(Outbound.isMediaType) else {
            throw .requestMalformed
        }
        let timeMax = min(request.limits.timeMax ?? options.timeMax, options.timeMax)
        let deadline = uptime().adding(timeMax)
        let host = Identifier("\(request.url.host)")
        let (authorities, connectTimeMax, uptime) = (options.authorities, options.connectTimeMax, uptime)
        return try await pool.run(host: host, deadline: deadline) { signal in
            let transfer = Transfer(
                request: request, policy: policy, authorities: authorities, connectTimeMax: connectTimeMax, deadline: deadline,
                uptime: uptime, signal: signal)
            return transfer.run()
        }
    }

    /// Ends what runs and what waits, and returns when the threads are gone, after about a second at most.
    package func close() async { await pool.close() }

    /// Calls that wait for a thread, and that have one.
    package var load: (waiting: Int, running: Int) { pool.load }

    /// Why nothing can be fetched here at all; nothing when it can. Loads the library.
    package static func missingLibrary() -> String? { cc_load().map { String(cString: $0) } }

    private static func isMediaType(_ type: String) -> Bool {
        type.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: ";") } && !type.isEmpty
    }
}

extension Uptime {
    func adding(_ duration: Duration) -> Uptime {
        let milliseconds = UInt64(clamping: duration.wholeMilliseconds)
        let (sum, overflow) = nanoseconds.addingReportingOverflow(milliseconds.multipliedReportingOverflow(by: 1_000_000).partialValue)
        return Uptime(nanoseconds: overflow ? .max : sum)
    }
}
