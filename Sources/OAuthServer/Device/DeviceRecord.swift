import AuthCore
import Store

/// A device that waits for somebody to agree (RFC 8628 §3.2), as it is parked under the hash of its device code.
struct DeviceRecord: Sendable {
    enum State: Sendable, Equatable {
        case pending
        /// Its tokens are bought with this grant.
        case allowed(Identifier)
        case denied
    }

    /// The client that began: another one under the same name is another one.
    let clientUID: Identifier
    let scope: ScopeSet?
    let resources: [Identifier]
    /// When the codes expire. The record stays longer, so that the device is told why.
    let endsAt: Instant
    /// Seconds between two polls; it only grows (§3.5).
    var interval: Int64
    var polledAt: Instant?
    var state = State.pending

    init(clientUID: Identifier, scope: ScopeSet?, resources: [Identifier], endsAt: Instant, interval: Int64) {
        self.clientUID = clientUID
        self.scope = scope
        self.resources = resources
        self.endsAt = endsAt
        self.interval = interval
    }

    var json: JSONObject {
        var object = JSONObject([
            ("uid", .string(clientUID.text)), ("resources", .array(resources.map { .string($0.text) })),
            ("ends_ms", .number(JSONNumber(endsAt.milliseconds))), ("interval", .number(JSONNumber(interval))),
        ])
        object["scope"] = scope.map { .string($0.description) }
        object["polled_ms"] = polledAt.map { .number(JSONNumber($0.milliseconds)) }
        switch state {
        case .pending: break
        case .allowed(let grant): object["grant"] = .string(grant.text)
        case .denied: object["denied"] = .bool(true)
        }
        return object
    }

    /// - Returns: Nothing when this is no value that `json` makes.
    init?(_ object: JSONObject) {
        guard let uid = object["uid"]?.string, let resources = object["resources"]?.strings, let ends = object["ends_ms"]?.int,
            let interval = object["interval"]?.int
        else { return nil }
        var scope: ScopeSet?
        if let text = object["scope"]?.string {
            guard let read = ScopeSet(parsing: text) else { return nil }
            scope = read
        }
        self.init(
            clientUID: Identifier(uid), scope: scope, resources: resources.map { Identifier($0) },
            endsAt: Instant(milliseconds: ends), interval: interval)
        polledAt = object["polled_ms"]?.int.map { Instant(milliseconds: $0) }
        if object["denied"]?.bool == true {
            state = .denied
        } else if let grant = object["grant"]?.string {
            state = .allowed(Identifier(grant))
        }
    }
}

/// What a device holds (RFC 8628 §3.2): random, and parked by its hash, so that who reads the database cannot redeem it.
struct DeviceCode: Sendable {
    private static let prefix = "ghd_"
    private static let randomBytes = 32
    /// Beside the prefix, in base64url.
    private static let encodedBytes = 43

    let text: Secret<String>

    init(_ environment: Environment) {
        text = Secret(DeviceCode.prefix + Base64URL.encode(environment.randomBytes(DeviceCode.randomBytes)))
    }

    /// - Returns: Nothing when it cannot be one of ours.
    init?(_ text: String) {
        guard text.utf8.starts(with: DeviceCode.prefix.utf8),
            text.utf8.count == DeviceCode.prefix.utf8.count + DeviceCode.encodedBytes
        else { return nil }
        self.text = Secret(text)
    }

    var id: Identifier { Identifier(Base64URL.encode(TokenHash(of: text.exposed.utf8).bytes)) }
}
