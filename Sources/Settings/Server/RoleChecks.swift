internal import AuthCore

/// What a process does, and what a gateway without a database needs for it.
extension ServerChecks {
    mutating func roles() -> Set<ServerSettings.Role> {
        let roles = Set(resolved.texts("roles").compactMap { ServerSettings.Role(rawValue: $0) })
        if roles.isEmpty, problems.isEmpty { problem("roles", "names no role", allowed: "auth, gateway") }
        return roles
    }

    mutating func controlPlane(_ roles: Set<ServerSettings.Role>) -> ServerSettings.ControlPlane? {
        let urls = resolved.texts("control_plane.urls")
        let nodes = urls.compactMap { node($0) }
        guard roles == [.gateway] else { return nil }
        if urls.isEmpty { problem("control_plane.urls", "is needed by a process with the role gateway alone") }
        let id = resolved.optionalText("control_plane.client_id")
        if id == nil { problem("control_plane.client_id", "is needed by a process with the role gateway alone") }
        guard case .secret(let secret)? = resolved.entry("control_plane.client_secret")?.value else {
            problem("control_plane.client_secret", "is needed by a process with the role gateway alone", allowed: "file:PATH or env:NAME")
            return nil
        }
        guard let id, !nodes.isEmpty else { return nil }
        let authorities = resolved.optionalText("control_plane.ca")
        return ServerSettings.ControlPlane(nodes: nodes, clientID: id, clientSecret: secret, authorities: authorities)
    }

    private mutating func node(_ text: String) -> ServerSettings.ControlPlane.Node? {
        let allowed = "https://HOST or https://HOST:PORT; http only on loopback"
        let isTLS = text.dropping(prefix: "https://") != nil
        guard let rest = text.dropping(prefix: "https://") ?? text.dropping(prefix: "http://"), let (host, port) = HostAndPort.split(rest),
            port != 0
        else {
            problem("control_plane.urls", "\(Quoted.text(text)) is no URL of scheme, host and port alone", allowed: allowed)
            return nil
        }
        guard isTLS || HostAndPort.isLoopback(host) else {
            problem("control_plane.urls", "\(Quoted.text(text)) would send the client's secret in clear", allowed: allowed)
            return nil
        }
        return ServerSettings.ControlPlane.Node(host: host, port: port ?? (isTLS ? 443 : 80), isTLS: isTLS)
    }

    mutating func warn(_ roles: Set<ServerSettings.Role>) {
        let unused = roles.contains(.auth) ? ServerKeys.controlPlane.map(\.name) : ["storage", "master_keys", "apply"]
        for name in unused where resolved.isGiven(name) { warning(name, "is not used by a process with these roles") }
    }
}
