internal import AuthCore
internal import TokenVerification

/// An answer that refuses, written once; only the trace id is filled in, so refusing is as cheap as accepting.
struct RefusalTemplate: Sendable {
    let reason: String
    let status: Int
    private var headers: [(name: String, value: String)]
    /// Up to the place of the trace id.
    private let bodyHead: [UInt8]
    private static let bodyTail = Array("\"}".utf8)

    /// - Parameters:
    ///   - status: Of the answer.
    ///   - error: The client's code: OAuth's where OAuth has one.
    ///   - reason: The operator's slug; the client never sees it (JW-22).
    ///   - challenge: The value of `WWW-Authenticate`.
    init(
        _ status: Int, _ error: String, reason: String, _ description: String, challenge: String? = nil,
        headers: [(name: String, value: String)] = []
    ) {
        self.reason = reason
        self.status = status
        let added = challenge.map { [("www-authenticate", $0)] } ?? []
        let response = ResponseFacts.error(status, error, description, traceID: "", headers: added + headers)
        self.headers = response.headers
        // The contract's shape ends with the trace id, empty here.
        bodyHead = response.body.dropLast(RefusalTemplate.bodyTail.count)
    }

    /// The same with more in its challenge.
    func challenging(with more: String) -> RefusalTemplate {
        var other = self
        other.headers = headers.map { $0.name == "www-authenticate" ? ($0.name, $0.value + more) : $0 }
        return other
    }

    /// Of a 405.
    var allow: String? { headers.first { $0.name == "allow" }?.value }

    /// - Parameters:
    ///   - reason: The true reason when it is not the template's own.
    ///   - nonce: The next nonce, where the request came under the DPoP scheme: then the challenge is of that scheme (RFC 9449 §7.1).
    func refusal(traceID: String, reason: String? = nil, route: String? = nil, nonce: String? = nil) -> AccessRefusal {
        var body: [UInt8] = []
        body.reserveCapacity(bodyHead.count + traceID.utf8.count + RefusalTemplate.bodyTail.count)
        body.append(contentsOf: bodyHead)
        body.append(contentsOf: traceID.utf8)
        body.append(contentsOf: RefusalTemplate.bodyTail)
        let headers = nonce.map { self.headers.map(RefusalTemplate.ofDPoP) + [("dpop-nonce", $0)] } ?? self.headers
        let response = ResponseFacts(status: status, headers: headers, body: body)
        return AccessRefusal(reason: reason ?? self.reason, response: response, traceID: traceID, route: route)
    }
}

extension RefusalTemplate {
    private static let bearer = "Bearer"
    /// RFC 6750 §3: what every challenge begins with.
    static let realm = "\(bearer) realm=\"gatehouse\""
    private static let algorithms = ", algs=\"\(DPoPProof.algorithmNames)\""

    /// The same challenge in the other scheme, with `algs` (DP-09).
    private static func ofDPoP(_ header: (name: String, value: String)) -> (name: String, value: String) {
        guard header.name == "www-authenticate" else { return header }
        return (header.name, "DPoP" + header.value.dropFirst(bearer.utf8.count) + algorithms)
    }

    static func target(_ fault: TargetFault) -> RefusalTemplate { targets[fault.index] }
    private static let targets = TargetFault.allCases.map { fault in
        let isTooLong = fault == .pathTooLong || fault == .queryTooLong
        return RefusalTemplate(isTooLong ? 414 : 400, "invalid_request", reason: fault.rawValue, fault.sentence)
    }
    static let ambiguousPath = RefusalTemplate(
        400, "invalid_request", reason: "ambiguous_path", "The path leads to another route once its escapes are decoded.")
    static let malformedHost = RefusalTemplate(
        400, "invalid_request", reason: "malformed_host", "The request needs exactly one Host header with a host and no more than a port.")
    static let malformedMethod = RefusalTemplate(400, "invalid_request", reason: "malformed_method", "The method is no token.")
    static let noRoute = RefusalTemplate(404, "no_route", reason: "no_route", "No route matches the host and the path of this request.")

    /// No credential of a kind that is taken here: no error code in the challenge (RFC 6750 §3.1).
    static let credentialMissing = RefusalTemplate(
        401, "missing_token", reason: "credential_missing", "This route needs an access token: Authorization: Bearer TOKEN.",
        challenge: realm)
    static let credentialRepeated = RefusalTemplate(
        400, "invalid_request", reason: "credential_repeated", "The request has more than one Authorization header.",
        challenge: realm + ", error=\"invalid_request\"")
    /// One text for everything that can be wrong with a token (JW-22).
    static let invalidToken = RefusalTemplate(
        401, "invalid_token", reason: "invalid_token",
        "The access token is not valid here. The operator finds the reason in the log under the trace id.",
        challenge: realm + ", error=\"invalid_token\"")
    /// The proof is the sender's own making, so its fault is told (RFC 9449 §7.1).
    static let invalidProof = RefusalTemplate(
        401, "invalid_dpop_proof", reason: "invalid_proof",
        "The DPoP proof is not good for this request. The operator finds the reason in the log under the trace id.",
        challenge: realm + ", error=\"invalid_dpop_proof\"")
    static let nonceNeeded = RefusalTemplate(
        401, "use_dpop_nonce", reason: "proof_nonce_missing", "The DPoP proof needs the nonce of the header DPoP-Nonce.",
        challenge: realm + ", error=\"use_dpop_nonce\"")
    static let tooManyProofs = RefusalTemplate(
        503, "temporarily_unavailable", reason: "proofs_overloaded", "Too many proofs are in use to take another one now.",
        headers: [("retry-after", "1")])
    /// The token is good, but not what the route's `role` or `client` asks for. RFC 6750 §3.1 has no closer code.
    static let notAllowed = RefusalTemplate(
        403, "insufficient_scope", reason: "not_allowed", "The access token does not give access to this route.",
        challenge: realm + ", error=\"insufficient_scope\"")
    static let stale = RefusalTemplate(
        503, "stale", reason: "stale", "The gateway has lost touch with the revocations and cannot tell whether this token still holds.",
        headers: [("retry-after", "1")])
    static let identityNotRepresentable = RefusalTemplate(
        403, "identity_not_representable", reason: "identity_not_representable",
        "What the access token says about its holder cannot be handed to the service in headers.")
    static let identityTokenUnavailable = RefusalTemplate(
        503, "temporarily_unavailable", reason: "identity_token_unavailable", "The gateway cannot sign an identity for the service now.",
        headers: [("retry-after", "1")])
}
