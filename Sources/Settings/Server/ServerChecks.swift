internal import AuthCore
internal import Store

/// Makes `ServerSettings` of single values, and holds the values against one another.
struct ServerChecks {
    /// The most that one password hash may cost: KiB of memory times passes over it, about four seconds.
    static let hashWorkMax: Int64 = 4 * 1_048_576

    let resolved: ResolvedSettings
    let base: String
    let isTerminal: Bool
    var problems: [SettingProblem] = []
    var warnings: [SettingProblem] = []

    init(resolved: ResolvedSettings, base: String, isTerminal: Bool) {
        self.resolved = resolved
        self.base = base
        self.isTerminal = isTerminal
    }

    /// - Returns: Nothing when a value is missing; the settings hold only when there are no problems besides.
    mutating func settings() -> ServerSettings? {
        // Every part is looked at, so that every mistake is found in one run.
        let issuer = issuer()
        let storage = storage()
        let storageListen = storageListen(storage)
        let listeners = listeners()
        let mutualTLSOrigin = mutualTLSOrigin(issuer, listeners)
        let roles = roles()
        let controlPlane = controlPlane(roles)
        // Without the role that signs, none is looked for.
        let keys = roles.contains(.auth) ? masterKeys(storage) : .keys([])
        let trustedProxies = trustedProxies()
        compare()
        do {
            guard let issuer, let storage, let listeners, let keys else { return nil }
            warn(issuer, listeners)
            warn(roles)
            return ServerSettings(
                issuer: issuer, mutualTLSOrigin: mutualTLSOrigin, roles: roles, controlPlane: controlPlane, listeners: listeners,
                storage: storage,
                storageListen: storageListen,
                storageConnections: Int(clamping: try resolved.integer("storage_connections")), masterKeys: keys,
                applyFiles: resolved.texts("apply"),
                tokens: try tokens(),
                keys: ServerSettings.Keys(
                    rotateEvery: try resolved.duration("keys.rotate_every"), jwksMaxAge: try resolved.duration("keys.jwks_max_age")
                ),
                revocations: ServerSettings.Revocations(
                    maxStaleness: try resolved.duration("revocations.max_staleness"),
                    whenStale: WhenStale(rawValue: try resolved.text("revocations.when_stale")) ?? .refuse
                ),
                validateRequiresClient: resolved.optionalFlag("validate.require_client") ?? !listeners.isLoopback,
                trustedProxies: trustedProxies, clientCertHeader: try clientCertHeader(trustedProxies),
                auditKeep: try resolved.duration("audit.keep"), logging: try logging(),
                drain: try resolved.duration("shutdown.drain"), passwords: try passwords(), lockout: try lockout(), resolved: resolved
            )
        } catch {
            // A value that is missing because it was wrong has been named already.
            if problems.isEmpty { problems.append(error) }
            return nil
        }
    }

    mutating func problem(_ name: String, _ message: String, allowed: String? = nil) {
        let entry = resolved.entry(name)
        let value = entry.flatMap { $0.key.isSecret ? nil : $0.shown }
        problems.append(
            SettingProblem(key: name, value: value, origin: entry?.origin ?? .defaultValue, message: message, allowed: allowed)
        )
    }

    mutating func warning(_ name: String, _ message: String) {
        warnings.append(SettingProblem(key: name, origin: resolved.entry(name)?.origin ?? .defaultValue, message: message))
    }

    private mutating func issuer() -> Issuer? {
        guard let text = resolved.optionalText("issuer") else { return nil }
        do { return try Issuer(text) } catch {
            problem("issuer", error.message, allowed: "https://HOST or https://HOST:PORT; http only for loopback hosts")
            return nil
        }
    }

    private mutating func storage() -> StorageLocation? {
        guard case .secret(let text)? = resolved.entry("storage")?.value else { return nil }
        do { return try StorageLocation(text.exposed, base: base) } catch {
            problem("storage", error.message, allowed: "sqlite:PATH or postgres://USER@HOST/DATABASE")
            return nil
        }
    }

    private mutating func storageListen(_ storage: StorageLocation?) -> Secret<String>? {
        guard case .secret(let text)? = resolved.entry("storage_listen")?.value else { return nil }
        guard case .postgres? = storage else {
            if storage != nil { problem("storage_listen", "is for PostgreSQL alone; \"storage\" names another database") }
            return nil
        }
        do throws(StorageLocation.Fault) {
            guard case .postgres(let uri) = try StorageLocation(text.exposed, base: base) else {
                throw StorageLocation.Fault(message: "is no postgres://…")
            }
            return uri
        } catch {
            problem("storage_listen", error.message, allowed: "postgres://USER@HOST/DATABASE")
            return nil
        }
    }

    private mutating func masterKeys(_ storage: StorageLocation?) -> ServerSettings.MasterKeys? {
        guard let entry = resolved.entry("master_keys"), case .list(let values)? = entry.value else { return nil }
        if case .postgres? = storage, entry.origin == .defaultValue {
            problem("master_keys", "must be given for PostgreSQL: a key is never made for a store that other machines share")
            return nil
        }
        if values.isEmpty {
            // An element that could not be read has been named already.
            if entry.shown.isSameBytes(as: "[]") { problem("master_keys", "needs at least one key") }
            return nil
        }
        if case .absentFile(let path)? = values.first, values.count == 1, case .sqlite? = storage { return .makeOnFirstStart(path: path) }
        var keys: [Secret<[UInt8]>] = []
        for value in values {
            switch value {
            case .absentFile(let path): problem("master_keys", "the file \(Quoted.plain(path)) does not exist")
            case .secret(let text):
                guard let bytes = Base64URL.decode(text.exposed), bytes.count == 32 else {
                    problem("master_keys", "has a key that is not 32 bytes in base64url", allowed: "43 characters, without padding")
                    continue
                }
                keys.append(Secret(bytes))
            default: break
            }
        }
        return .keys(keys)
    }

    private mutating func listeners() -> ServerSettings.Listeners? {
        let names = ["listen.auth", "listen.auth_mtls", "listen.gateway", "listen.admin", "listen.control"]
        var seen: [(name: String, address: ListenAddress)] = []
        for name in names {
            guard case .listener(let address)? = resolved.entry(name)?.value else { continue }
            if let other = seen.first(where: { $0.address == address && !$0.address.letsSystemChoose }) {
                problem(name, "is the address of \(other.name) too")
            }
            seen.append((name, address))
        }
        let (auth, gateway, admin) = (listener("listen.auth"), listener("listen.gateway"), listener("listen.admin"))
        guard case .listener(let control)? = resolved.entry("listen.control")?.value else { return nil }
        guard case .unix(let path) = control else {
            problem("listen.control", "is not unix:PATH; the control socket asks for no credential", allowed: "unix:PATH")
            return nil
        }
        guard let auth, let gateway, let admin else { return nil }
        return ServerSettings.Listeners(auth: auth, authMTLS: mutualTLSListener(auth), gateway: gateway, admin: admin, controlPath: path)
    }

    mutating func listener(_ name: String) -> ServerSettings.Listener? {
        guard case .listener(let address)? = resolved.entry(name)?.value else { return nil }
        let certificate = resolved.optionalText("\(name).tls.certificate")
        let key = resolved.optionalText("\(name).tls.key")
        let clientCA = resolved.optionalText("\(name).tls.client_ca")
        if let certificate, let key {
            let tls = ServerSettings.TLS(
                certificate: certificate, key: key, clientCA: clientCA, clientCertificates: clientCertificates(name, clientCA))
            return ServerSettings.Listener(address: address, tls: tls)
        }
        if certificate != nil { problem("\(name).tls.certificate", "needs \(name).tls.key beside it") }
        if key != nil { problem("\(name).tls.key", "needs \(name).tls.certificate beside it") }
        if clientCA != nil { problem("\(name).tls.client_ca", "needs \(name).tls.certificate and \(name).tls.key beside it") }
        if resolved.isGiven("\(name).tls.client_certificates") {
            problem("\(name).tls.client_certificates", "needs \(name).tls.certificate and \(name).tls.key beside it")
        }
        return ServerSettings.Listener(address: address, tls: nil)
    }

    private mutating func clientCertificates(_ name: String, _ clientCA: String?) -> ServerSettings.ClientCertificates {
        let key = "\(name).tls.client_certificates"
        guard let text = resolved.optionalText(key), let mode = ServerSettings.ClientCertificates(rawValue: text) else {
            return clientCA == nil ? .none : .verified
        }
        switch mode {
        case .verified: if clientCA == nil { problem(key, "needs \(name).tls.client_ca beside it") }
        // A CA that nobody is held to is a mistake that would go unnoticed.
        case .none: if clientCA != nil { problem(key, "leaves \(name).tls.client_ca without use") }
        case .any: break
        }
        return mode
    }

    private mutating func clientCertHeader(_ trusted: [AddressRange]) throws(SettingProblem) -> ServerSettings.ClientCertificates {
        let mode = ServerSettings.ClientCertificates(rawValue: try resolved.text("client_cert_header")) ?? .none
        if mode != .none, trusted.isEmpty { problem("client_cert_header", "needs trusted_proxies: nobody is believed without") }
        return mode
    }

    private mutating func trustedProxies() -> [AddressRange] {
        var ranges: [AddressRange] = []
        for text in resolved.texts("trusted_proxies") {
            if let range = AddressRange(text) {
                ranges.append(range)
            } else {
                problem("trusted_proxies", "\(Quoted.text(text)) is no address range", allowed: "as in 10.0.0.0/8, fd00::/8 or 192.0.2.7")
            }
        }
        return ranges
    }

    /// Pairs of durations of which the first must not be above (or must be below) the second.
    private mutating func compare() {
        let pairs = [
            ("tokens.access_ttl", "tokens.refresh_ttl", true), ("tokens.refresh_reuse_window", "tokens.refresh_retry_max", true),
            ("tokens.refresh_retry_max", "tokens.refresh_ttl", true), ("keys.jwks_max_age", "keys.rotate_every", false),
            ("lockout.delay", "lockout.delay_max", true),
        ]
        for (lower, upper, mayBeEqual) in pairs {
            guard case .duration(let left)? = resolved.entry(lower)?.value, case .duration(let right)? = resolved.entry(upper)?.value else {
                continue
            }
            if left > right || (left == right && !mayBeEqual) {
                problem(lower, "is \(mayBeEqual ? "above" : "not below") \(upper), which is \(DurationText.format(right))")
            }
        }
        if let memory = resolved.optionalInteger("passwords.memory_kib"), let iterations = resolved.optionalInteger("passwords.iterations"),
            memory * iterations > ServerChecks.hashWorkMax
        {
            // The ranges of both keys keep the product far from overflow.
            problem(
                "passwords.memory_kib",
                "times passwords.iterations is \(memory * iterations), above \(ServerChecks.hashWorkMax): seconds a sign-in"
            )
        }
        let algorithms = resolved.texts("keys.id_token_algorithms")
        // A gateway without the role has no such key, and of a value that could not be read it was said already.
        if case .list? = resolved.entry("keys.id_token_algorithms")?.value, !algorithms.contains(where: { $0.isSameBytes(as: "RS256") }) {
            problem(
                "keys.id_token_algorithms",
                "lacks RS256, which every client gets that names no algorithm (OpenID Connect Registration §2)")
        }
        if case .integer(let free)? = resolved.entry("lockout.free_attempts")?.value,
            case .integer(let most)? = resolved.entry("lockout.failures_max")?.value, free > most
        {
            problem("lockout.free_attempts", "is above lockout.failures_max, which is \(most)")
        }
    }

    private mutating func warn(_ issuer: Issuer, _ listeners: ServerSettings.Listeners) {
        if issuer.isAddress { warning("issuer", "is an IP address, which is no valid WebAuthn RP ID: passkeys are off") }
        if !listeners.admin.address.isLoopback, listeners.admin.tls == nil {
            warning("listen.admin", "can be reached from other machines without TLS: admin tokens travel in clear")
        }
        if resolved.optionalFlag("validate.require_client") == false, !listeners.isLoopback {
            warning("validate.require_client", "is off while listen.auth can be reached from other machines: anybody may test tokens")
        }
        for range in resolved.texts("trusted_proxies") where range.utf8.suffix(2).elementsEqual("/0".utf8) {
            warning("trusted_proxies", "\(range) believes the X-Forwarded-* of everybody")
        }
    }

    private func tokens() throws(SettingProblem) -> ServerSettings.Tokens {
        ServerSettings.Tokens(
            accessTTL: try resolved.duration("tokens.access_ttl"), refreshTTL: try resolved.duration("tokens.refresh_ttl"),
            refreshReuseWindow: try resolved.duration("tokens.refresh_reuse_window"),
            refreshRetryMax: try resolved.duration("tokens.refresh_retry_max")
        )
    }

    private func logging() throws(SettingProblem) -> ServerSettings.Logging {
        let (format, level) = (try resolved.text("log.format"), try resolved.text("log.level"))
        let levels = Log.Level.allCases.first { "\($0)".isSameBytes(as: level) }
        return ServerSettings.Logging(
            isForPeople: format.isSameBytes(as: "auto") ? isTerminal : format.isSameBytes(as: "human"), level: levels ?? .info
        )
    }

    private func passwords() throws(SettingProblem) -> ServerSettings.Passwords {
        ServerSettings.Passwords(
            memoryKiB: try count("passwords.memory_kib"), iterations: try count("passwords.iterations"),
            parallelism: try count("passwords.parallelism"),
            threads: resolved.optionalInteger("passwords.threads").map { Int(clamping: $0) },
            queueMax: try count("passwords.queue"), lengthMin: try count("passwords.length_min")
        )
    }

    private func lockout() throws(SettingProblem) -> ServerSettings.Lockout {
        ServerSettings.Lockout(
            freeAttempts: try count("lockout.free_attempts"), delay: try resolved.duration("lockout.delay"),
            delayMax: try resolved.duration("lockout.delay_max"), failuresMax: try count("lockout.failures_max")
        )
    }

    private func count(_ name: String) throws(SettingProblem) -> Int { Int(clamping: try resolved.integer(name)) }
}

extension ServerSettings.Listeners {
    /// Whether nobody on another machine reaches what `listen.auth` answers.
    fileprivate var isLoopback: Bool { auth.address.isLoopback && authMTLS?.address.isLoopback ?? true }
}

extension ListenAddress {
    /// Port 0: two of them are two addresses.
    var letsSystemChoose: Bool { if case .tcp(_, 0) = self { true } else { false } }
}
