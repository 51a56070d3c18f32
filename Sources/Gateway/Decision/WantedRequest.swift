internal import AuthCore

/// What somebody wants: the request that a decision is about, which is not always the one that carries it (forward-auth).
struct WantedRequest {
    let method: String
    let target: [UInt8]
    let host: Host

    enum Host {
        case missing
        /// HTTP/1.0 knows requests without one; they belong to the routes of every host.
        case missingAsAllowed
        case one(ArraySlice<UInt8>)
        case several
    }

    init(method: String, target: [UInt8], host: Host) {
        self.method = method
        self.target = target
        self.host = host
    }

    init(_ request: RequestFacts) {
        method = request.method
        target = request.target
        let headers = request.headers
        var host = request.isVersion10 ? Host.missingAsAllowed : Host.missing
        for field in headers.fields where field.nameLength == 4 && headers.matches(field, "host") {
            if case .one = host {
                host = .several
                break
            }
            host = .one(headers.storage[field.value])
        }
        self.host = host
    }
}
