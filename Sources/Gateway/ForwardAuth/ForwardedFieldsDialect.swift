internal import AuthCore

extension ForwardAuthDialect {
    /// `X-Forwarded-Method`, `X-Forwarded-Uri` and `X-Forwarded-Host`: what Traefik's forwardAuth and Caddy's forward_auth
    /// send by themselves, and nginx's auth_request when it is told to.
    ///
    /// All three, each once: a missing one cannot be guessed (GW-19). Nothing else is read, neither `X-Forwarded-Prefix`
    /// nor `X-Original-URI` nor Envoy's fields (CVE-2026-35051, CVE-2023-27487).
    static let forwardedFields = ForwardAuthDialect(name: "x-forwarded") { headers in
        let counts = (headers.count("x-forwarded-method"), headers.count("x-forwarded-uri"), headers.count("x-forwarded-host"))
        if counts == (0, 0, 0) { return .absent }
        guard let method = headers.text("x-forwarded-method"), let target = headers.single("x-forwarded-uri"),
            let host = headers.single("x-forwarded-host")
        else { return .incomplete }
        return .wanted(WantedRequest(method: method, target: Array(target), host: .one(host)))
    }
}
