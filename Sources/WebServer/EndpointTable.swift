package import AuthCore

/// One endpoint of the JSON API: the row that routing, limits, /openapi.json's completeness test and the route matrix
/// are made from.
package final class Endpoint: Sendable {
    package let method: String
    /// With `{name}` for a segment that varies.
    package let path: String
    /// What its body must be.
    package let reads: BodyForm
    /// Whether people see its answers, in a browser, rather than programs: then a refusal is a page.
    package let isPage: Bool
    /// Whether pages of clients' origins may call it and read its answers.
    package let isShared: Bool
    /// The largest body, in bytes.
    package let bodyMax: Int
    let segments: [String]
    let handle: @Sendable (APIRequest) async throws(APIError) -> ResponseFacts

    package enum BodyForm: Sendable {
        /// It has none, or none that is looked at.
        case nothing
        /// `application/json`; anything else is refused with 415.
        case json
        /// `application/x-www-form-urlencoded`; anything else is refused with 400 (RFC 6749 §3.2, §5.2).
        case form
    }

    /// - Parameter reads: Unless said otherwise, POST and PATCH read JSON.
    package init(
        _ method: String, _ path: String, reads: BodyForm? = nil, isPage: Bool = false, isShared: Bool = false,
        bodyMax: Int = 65_536,
        handle: @escaping @Sendable (APIRequest) async throws(APIError) -> ResponseFacts
    ) {
        self.method = method
        self.path = path
        self.reads = reads ?? (method == "POST" || method == "PATCH" ? .json : .nothing)
        self.isPage = isPage
        self.isShared = isShared
        self.bodyMax = bodyMax
        self.segments = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        self.handle = handle
    }
}

/// Finds the endpoint of a request. Paths compare by bytes and whole segments; nothing is normalised.
package struct EndpointTable: Sendable {
    package let endpoints: [Endpoint]
    private let fixed: [Identifier: [Endpoint]]
    private let varying: [Endpoint]
    private let shared: [Identifier: [String]]

    package init(_ endpoints: [Endpoint]) {
        self.endpoints = endpoints
        self.fixed = Dictionary(grouping: endpoints.filter { !$0.path.utf8.contains(UInt8(ascii: "{")) }) { Identifier($0.path) }
        shared = fixed.compactMapValues { endpoints in
            let methods = endpoints.filter(\.isShared).map(\.method)
            return methods.isEmpty ? nil : methods
        }
        self.varying = endpoints.filter { $0.path.utf8.contains(UInt8(ascii: "{")) }
    }

    package enum Match: Sendable {
        case found(Endpoint, parameters: [String])
        case notFound
        /// - Parameter isPage: Whether a browser was sent there.
        case methodNotAllowed(allow: String, isPage: Bool)
    }

    /// The methods that a fixed path takes from pages of other origins.
    func sharedMethods(_ request: RequestFacts) -> [String] {
        guard request.path.count <= 1_024, let path = String(validating: request.path, as: UTF8.self) else { return [] }
        return shared[Identifier(path)] ?? []
    }

    package func match(_ request: RequestFacts) -> Match {
        let path = request.path
        guard path.count <= 1_024, let text = String(validating: path, as: UTF8.self) else { return .notFound }
        // HEAD is GET without the body (RFC 9110 §9.3.2); the edge leaves the body out.
        let method = request.method == "HEAD" ? "GET" : request.method
        if let endpoints = fixed[Identifier(text)] {
            if let endpoint = endpoints.first(where: { $0.method.isSameBytes(as: method) }) { return .found(endpoint, parameters: []) }
            return EndpointTable.methodNotAllowed(endpoints)
        }
        let candidates = varying.compactMap { endpoint in EndpointTable.parameters(of: path, endpoint.segments).map { (endpoint, $0) } }
        if let (endpoint, parameters) = candidates.first(where: { $0.0.method.isSameBytes(as: method) }) {
            return .found(endpoint, parameters: parameters)
        }
        return candidates.isEmpty ? .notFound : EndpointTable.methodNotAllowed(candidates.map(\.0))
    }

    private static func methodNotAllowed(_ endpoints: [Endpoint]) -> Match {
        .methodNotAllowed(
            allow: endpoints.map(\.method).sorted().joined(separator: ", "), isPage: endpoints.allSatisfy(\.isPage))
    }

    private static func parameters(of path: ArraySlice<UInt8>, _ pattern: [String]) -> [String]? {
        let segments = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard segments.count == pattern.count else { return nil }
        var parameters: [String] = []
        for (segment, expected) in zip(segments, pattern) {
            if expected.utf8.first == UInt8(ascii: "{") {
                guard let decoded = decode(segment), !decoded.isEmpty else { return nil }
                parameters.append(decoded)
            } else if !segment.elementsEqual(expected.utf8) {
                return nil
            }
        }
        return parameters
    }

    /// Percent-decodes one segment; nothing for a broken escape, a NUL, a slash, or bytes that are no UTF-8.
    private static func decode(_ segment: ArraySlice<UInt8>) -> String? {
        var bytes: [UInt8] = []
        var iterator = segment.makeIterator()
        while let byte = iterator.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = iterator.next().flatMap(hexDigit), let low = iterator.next().flatMap(hexDigit) else { return nil }
            let value = high << 4 | low
            if value == 0 || value == UInt8(ascii: "/") { return nil }
            bytes.append(value)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

/// Runs endpoints: matches, counts, logs, and turns every refusal into the contract's shape.
package struct API: Sendable {
    package let table: EndpointTable
    private let environment: Environment
    private let trustedProxies: [AddressRange]
    private let crossOrigin: CrossOrigin
    /// Of every answer.
    private let common: [(name: String, value: String)]
    private let log: Log
    private let observe: @Sendable (_ endpoint: String, _ status: Int, _ reason: String?) -> Void

    /// - Parameter isSecure: Whether people reach this by TLS alone, as the issuer says: then browsers are told so (RFC 6797).
    package init(
        _ endpoints: [Endpoint], environment: Environment, trustedProxies: [AddressRange] = [], isSecure: Bool = false,
        crossOrigin: CrossOrigin = CrossOrigin { _ in false }, log: Log,
        observe: @escaping @Sendable (_ endpoint: String, _ status: Int, _ reason: String?) -> Void
    ) {
        self.table = EndpointTable(endpoints)
        self.environment = environment
        self.trustedProxies = trustedProxies
        self.crossOrigin = crossOrigin
        // A year, and not of other names below this one: they are not ours to decide about.
        self.common = isSecure ? [("strict-transport-security", "max-age=31536000")] : []
        self.log = log
        self.observe = observe
    }

    /// The largest body that the endpoint of this request takes; a small one where there is none.
    package func bodyMax(_ request: RequestFacts) -> Int {
        if case .found(let endpoint, _) = table.match(request) { endpoint.bodyMax } else { 65_536 }
    }

    package func respond(to facts: RequestFacts, body: [UInt8]) async -> ResponseFacts {
        let shared = table.sharedMethods(facts)
        if let answer = crossOrigin.preflight(facts, methods: shared) {
            observe("OPTIONS", answer.status, nil)
            return answer
        }
        var response = await answer(facts, body)
        if shared.contains(facts.method) { response.headers += crossOrigin.headers(facts) }
        response.headers += common
        return response
    }

    private func answer(_ facts: RequestFacts, _ body: [UInt8]) async -> ResponseFacts {
        let traceID = TraceID(environment).description
        let client = ClientAddress.resolve(peer: facts.peer, headers: facts.headers, trusted: trustedProxies)
        let name: String
        let outcome: Result<ResponseFacts, APIError>
        switch table.match(facts) {
        case .found(let endpoint, let parameters):
            name = "\(endpoint.method) \(endpoint.path)"
            let request = APIRequest(
                facts: facts, body: body, parameters: parameters, traceID: traceID, now: environment.now(), client: client)
            do throws(APIError) { outcome = .success(try await endpoint.handle(request)) } catch { outcome = .failure(error) }
        case .notFound:
            name = "none"
            outcome = .failure(APIError(404, "not_found", "There is nothing at this path."))
        case .methodNotAllowed(let allow, true) where facts.method == "GET" || facts.method == "HEAD":
            // Somebody reloaded the address of a form, or kept it.
            name = "none"
            outcome = .success(ErrorPage.alone(allow: allow, traceID: traceID))
        case .methodNotAllowed(let allow, _):
            name = "none"
            outcome = .failure(APIError(405, "method_not_allowed", "This path takes \(allow).", headers: [("allow", allow)]))
        }
        switch outcome {
        case .success(let response):
            observe(name, response.status, nil)
            log(.debug, "request", [("endpoint", name), ("status", String(response.status)), ("trace_id", traceID)])
            return response
        case .failure(let error):
            observe(name, error.status, error.reason)
            let level: Log.Level = error.status >= 500 ? .error : .info
            log(
                level, "request_refused",
                [
                    ("endpoint", name), ("status", String(error.status)), ("reason", error.reason), ("source", client.description),
                    ("trace_id", traceID),
                ]
            )
            return error.response(traceID: traceID)
        }
    }
}
