internal import AuthCore
internal import CCurl

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// One call on the thread that it holds: the request, and those that redirects lead to.
struct Transfer: Sendable {
    /// Of the answer's heads and trailers together, in bytes.
    static let headersBytesMax = 32_768
    static let fieldsMax = 100

    let request: OutgoingRequest
    let policy: OutboundPolicy
    /// A file of further authorities.
    let authorities: String?
    let connectTimeMax: Duration
    let deadline: Uptime
    let uptime: @Sendable () -> Uptime
    let signal: FetchSignal

    func run() -> Result<OutgoingAnswer, OutgoingError> {
        do throws(OutgoingError) {
            var (url, headers, redirects) = (request.url, request.headers, 0)
            while true {
                try policy.judge(url)
                let answer = try exchange(url, headers)
                guard (300...399).contains(answer.status), answer.status != 304 else { return .success(try checked(answer)) }
                let isFollowed = [301, 302, 303, 307, 308].contains(answer.status) && request.method == .get
                guard isFollowed, redirects < min(request.limits.redirectsMax, OutgoingLimits.redirectsCeiling) else { throw .redirected }
                guard let location = answer.headers.single("location") else { throw .redirectMalformed }
                let next = try url.following(location)
                // What began under TLS does not go on without it.
                if url.isSecure, !next.isSecure { throw .urlNotSecure }
                if !next.origin.isSameBytes(as: url.origin) { headers = [] }
                (url, redirects) = (next, redirects + 1)
            }
        } catch { return .failure(error) }
    }

    /// What is expected of an answer that is no redirect.
    private func checked(_ answer: OutgoingAnswer) throws(OutgoingError) -> OutgoingAnswer {
        var answer = answer
        let codings = answer.headers.all("content-encoding")
        guard codings.allSatisfy({ $0.map(lowercasedASCII).elementsEqual("identity".utf8) }) else { throw .bodyEncoded }
        if request.acceptedTypes.isEmpty || answer.status == 204 || answer.status == 304 { return answer }
        let isAccepted = answer.mediaType.map { type in request.acceptedTypes.contains { $0.isSameBytes(as: type) } } ?? false
        if isAccepted { return answer }
        if answer.isSuccess { throw .wrongMediaType }
        answer.body = []
        return answer
    }

    private func exchange(_ url: OutgoingURL, _ headers: [(name: String, value: String)]) throws(OutgoingError) -> OutgoingAnswer {
        let left = (deadline - uptime()).wholeMilliseconds
        guard left > 0 else { throw .timedOut }
        let watch = SocketWatch(policy: policy, url: url, signal: signal)
        var lines = request.acceptedTypes.isEmpty ? ["Accept: */*"] : ["Accept: " + request.acceptedTypes.joined(separator: ", ")]
        // Ours is never so large that we would ask first.
        lines.append("Expect:")
        lines += headers.map { "\($0.name): \($0.value)" }
        var answer = cc_answer()
        defer { cc_release(&answer) }
        fetch(url, lines: lines, milliseconds: left, watch: watch, into: &answer)
        if answer.outcome != CC_ANSWERED { throw error(answer.outcome, watch) }
        // Copied before `answer` is let go.
        let head = Array(UnsafeBufferPointer(start: answer.headers, count: answer.headers_count))
        let body = Array(UnsafeBufferPointer(start: answer.body, count: answer.body_count))
        guard let fields = Transfer.fields(head), (200...599).contains(answer.status) else { throw .answerMalformed }
        return OutgoingAnswer(status: Int(answer.status), headers: fields, body: body, url: url)
    }

    private func fetch(_ url: OutgoingURL, lines: [String], milliseconds: Int64, watch: SocketWatch, into answer: inout cc_answer) {
        let copies = lines.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        let pointers = copies.map { $0.map { UnsafePointer($0) } }
        // Without memory for a header nothing is sent.
        guard !pointers.contains(where: { $0 == nil }) else {
            answer.outcome = CC_UNAVAILABLE
            return
        }
        let authorities = authorities.map { strdup($0) } ?? nil
        defer { free(authorities) }
        withExtendedLifetime(watch) {
            url.text.withCString { text in
                (url.isSecure ? "https" : "http").withCString { scheme in
                    pointers.withUnsafeBufferPointer { headers in
                        request.body.withUnsafeBufferPointer { body in
                            var call = cc_request()
                            (call.url, call.protocol, call.authorities) = (text, scheme, UnsafePointer(authorities))
                            (call.headers, call.headers_count) = (headers.baseAddress, headers.count)
                            (call.is_post, call.body, call.body_count) = (request.method == .post ? 1 : 0, body.baseAddress, body.count)
                            call.total_milliseconds = Int(milliseconds)
                            call.connect_milliseconds = Int(min(milliseconds, max(1, connectTimeMax.wholeMilliseconds)))
                            (call.headers_max, call.body_max) = (Transfer.headersBytesMax, max(1, request.limits.bodyBytesMax))
                            call.context = Unmanaged.passUnretained(watch).toOpaque()
                            call.may_connect = { context, address, port in
                                guard let context, let address else { return 0 }
                                return Unmanaged<SocketWatch>.fromOpaque(context).takeUnretainedValue().mayConnect(address, port) ? 1 : 0
                            }
                            call.goes_on = { context in
                                guard let context else { return 0 }
                                return Unmanaged<SocketWatch>.fromOpaque(context).takeUnretainedValue().signal.stopped == nil ? 1 : 0
                            }
                            cc_fetch(&call, &answer)
                        }
                    }
                }
            }
        }
    }

    private func error(_ outcome: cc_outcome, _ watch: SocketWatch) -> OutgoingError {
        if let refusal = watch.refusal { return refusal }
        if let stopped = signal.stopped { return stopped }
        return switch outcome {
        case CC_NAME_UNKNOWN: .nameUnknown
        case CC_NOT_CONNECTED: .notConnected
        case CC_NOT_TRUSTED: .notTrusted
        case CC_TIMED_OUT: .timedOut
        case CC_LOST: .connectionLost
        case CC_HEADERS_TOO_LARGE: .headersTooLarge
        case CC_BODY_TOO_LARGE: .bodyTooLarge
        case CC_STOPPED: .stopped
        case CC_UNAVAILABLE: .unavailable
        default: .answerMalformed
        }
    }

    /// Takes the lines of a head apart (RFC 9112 §5): a token, a colon, a value without control bytes. No line is a continuation.
    static func fields(_ head: [UInt8]) -> Headers? {
        var fields: [Headers.Field] = []
        var start = 0
        while start < head.count {
            guard let lineBreak = head[start...].firstIndex(of: 0x0A), fields.count < fieldsMax else { return nil }
            var end = lineBreak
            if end > start, head[end - 1] == 0x0D { end -= 1 }
            guard let colon = head[start..<end].firstIndex(of: UInt8(ascii: ":")), OutgoingHeader.isName(head[start..<colon]) else {
                return nil
            }
            var value = (colon + 1)..<end
            while let first = head[value].first, first == 0x20 || first == 0x09 { value = (value.lowerBound + 1)..<value.upperBound }
            while let last = head[value].last, last == 0x20 || last == 0x09 { value = value.lowerBound..<(value.upperBound - 1) }
            guard OutgoingHeader.isValue(head[value]) else { return nil }
            fields.append(Headers.Field(name: start..<colon, value: value))
            start = lineBreak + 1
        }
        return Headers(storage: head, fields: fields)
    }
}

/// What may stand in a header, on either way.
enum OutgoingHeader {
    /// Set by libcurl, or by nobody: a caller who sets one would say something else about the message than what it is.
    private static let reserved = [
        "host", "content-length", "transfer-encoding", "connection", "expect", "te", "upgrade", "accept", "user-agent",
    ]

    static func isGood(_ header: (name: String, value: String)) -> Bool {
        let name = header.name.utf8.map(lowercasedASCII)
        return isName(name[...]) && !reserved.contains { $0.utf8.elementsEqual(name) } && !header.value.isEmpty
            && isValue(Array(header.value.utf8)[...])
    }

    static func isName(_ name: ArraySlice<UInt8>) -> Bool {
        !name.isEmpty
            && name.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains($0)
                }
            }
    }

    static func isValue(_ value: ArraySlice<UInt8>) -> Bool { value.allSatisfy { $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7F) } }
}

/// Judges each address that libcurl is about to connect to.
// Confined to the thread of its transfer, which waits in `cc_fetch` meanwhile.
private final class SocketWatch: @unchecked Sendable {
    private let policy: OutboundPolicy
    private let url: OutgoingURL
    let signal: FetchSignal
    /// Why an address was refused. From then on every one is: a name of which one address is no good is none of ours.
    private(set) var refusal: OutgoingError?

    init(policy: OutboundPolicy, url: OutgoingURL, signal: FetchSignal) { (self.policy, self.url, self.signal) = (policy, url, signal) }

    func mayConnect(_ bytes: UnsafePointer<UInt8>, _ port: UInt16) -> Bool {
        if refusal == nil { refusal = policy.refusal(of: PeerAddress(bytes), port: port, for: url) }
        return refusal == nil
    }
}

extension PeerAddress {
    /// Of 16 bytes.
    init(_ bytes: UnsafePointer<UInt8>) {
        let words = UnsafeRawPointer(bytes)
        self.init(
            high: UInt64(bigEndian: words.loadUnaligned(as: UInt64.self)),
            low: UInt64(bigEndian: words.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
}
