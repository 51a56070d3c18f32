package import AuthCore

/// Everything in the data plane that can grow or last, with its maximum.
package struct ProxyLimits: Sendable {
    /// Connections to one upstream target, for each event loop.
    package var connectionsMax = 256
    /// Of these, how many are kept when nothing uses them.
    package var idleConnectionsMax = 64
    package var idleTime: Duration = .seconds(30)
    /// Requests that wait for a connection to one target, for each event loop; more are answered with 503.
    package var waitingMax = 1_024
    package var waitTime: Duration = .seconds(5)

    package var connectTime: Duration = .seconds(5)
    /// From the last byte of the request to the head of the answer.
    package var answerTime: Duration = .seconds(60)
    /// Between two parts of an answer's body.
    package var idle: Duration = .seconds(60)
    /// How long a target that refused a connection is passed over while there are others.
    package var passOverTime: Duration = .seconds(2)
    /// How long `resolve` may take before the request is answered with 503.
    package var resolveTime: Duration = .seconds(2)

    /// Of an answer's head.
    package var statusLineBytesMax = 8_192
    package var headerBytesMax = 65_536
    package var headerFieldsMax = 200
    /// 1xx answers in front of the final one.
    package var interimMax = 8
    package var chunkExtensionBytesMax = 256
    package var trailerBytesMax = 8_192
    /// Names that the Connection fields of one request may list.
    package var connectionOptionsMax = 32
    /// Entries of an X-Forwarded-For that are looked at.
    package var forwardedHopsMax = 32
    /// Parts of an answer up to this size are put behind one another in one buffer; larger ones are passed on uncopied.
    package var copyBytesMax = 16_384

    package init() {}
}

/// One line of the access log. Holds no header, no query and no token.
package struct ProxyLogRecord: Sendable {
    package var method: String
    /// The path that was matched and forwarded, or as received where nothing matched; bytes of a stranger.
    package var path: [UInt8]
    /// Nothing when no route was found.
    package var route: String?
    /// What the client was told; 0 when it went away first.
    package var status: Int
    /// Why it was not simply forwarded: the decision's reason, or a `ProxyFailure`.
    package var reason: String?
    package var upstream: UpstreamName?
    package var subject: Identifier?
    package var duration: Duration
    package var traceID: TraceContext
    /// Of the bodies, decoded.
    package var bytesIn: Int
    package var bytesOut: Int

    package struct UpstreamName: Sendable, CustomStringConvertible {
        package var host: String
        package var port: Int

        package var description: String { "\(host):\(port)" }
    }
}

/// Why a request that was allowed did not get its service's answer.
package enum ProxyFailure: String, Sendable, CaseIterable {
    /// The service's address cannot be found, or nobody listens there.
    case refused = "upstream_refused"
    /// The connection was lost before the answer's head.
    case reset = "upstream_reset"
    /// The answer is not exactly RFC 9112, or too large a head, or a change of protocol.
    case invalidAnswer = "upstream_invalid_answer"
    case connectTimeout = "upstream_connect_timeout"
    case answerTimeout = "upstream_answer_timeout"
    /// The answer broke off, or stopped coming, behind its head.
    case cut = "upstream_cut"
    case busy = "upstream_busy"
    case clientGone = "client_gone"
    case unresolved = "decision_unresolved"
    case internalError = "internal_error"

    func response(traceID: String) -> ResponseFacts {
        switch self {
        case .refused: .error(502, "bad_gateway", "The service could not be reached.", traceID: traceID)
        case .reset, .cut, .clientGone: .error(502, "bad_gateway", "The service closed the connection without an answer.", traceID: traceID)
        case .invalidAnswer: .error(502, "bad_gateway", "The service's answer was not valid HTTP.", traceID: traceID)
        case .connectTimeout: .error(504, "gateway_timeout", "The service did not accept a connection in time.", traceID: traceID)
        case .answerTimeout: .error(504, "gateway_timeout", "The service did not answer in time.", traceID: traceID)
        case .busy:
            .error(503, "upstream_busy", "Too many requests wait for the service.", traceID: traceID, headers: [("retry-after", "1")])
        case .unresolved:
            .error(503, "stale", "Whether this is allowed could not be found out.", traceID: traceID, headers: [("retry-after", "1")])
        case .internalError: .error(500, "server_error", "The request could not be forwarded.", traceID: traceID)
        }
    }
}
