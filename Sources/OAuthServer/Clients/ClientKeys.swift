package import AuthCore
package import Store
package import TokenVerification

/// The public keys of clients, registered or where they publish them (RFC 7591 §2, OpenID Connect Core §10.1.1).
package final class ClientKeys: Sendable {
    /// A set as it is published, and what of it verifies.
    private struct Published: Sendable {
        let set: JSONObject
        let keys: ForeignKeys
    }

    private let documents: RemoteDocuments<Published>
    private let log: Log

    package init(calls: any OutgoingCalls, environment: Environment, log: Log) {
        self.log = log
        var limits = RemoteDocuments<Published>.Limits()
        limits.acceptedTypes = ["application/json", "application/jwk-set+json"]
        documents = RemoteDocuments(calls: calls, limits: limits, environment: environment) { (answer) throws(OutgoingError) in
            guard let object = (try? JSONReader.read(answer.body))?.object, let keys = try? ForeignKeys(jwks: object) else {  // said here
                throw .contentRefused
            }
            return Published(set: object, keys: keys)
        }
    }

    /// Verifies what a client has signed. A key that is not among those that are held is looked for once more where they are published.
    package func verify(
        _ token: PresentedJWT, of client: Client, by rules: JWTAssertionRules, at now: Instant
    ) async throws(ClientKeysFailure) -> JWTAssertion {
        let metadata = client.definition.metadata
        if let jwks = metadata.jwks {
            do { return try token.verified(with: .keySet(try ForeignKeys(jwks: jwks)), by: rules, at: now) } catch {
                throw ClientKeysFailure(error)
            }
        }
        guard let address = metadata.jwksURI else { throw .noKeys }
        return try await verify(token, keysAt: address, isStrangers: client.isStrangers, by: rules, at: now)
    }

    /// All of them, as the client has registered or publishes them.
    package func set(of client: Client) async throws(ClientKeysFailure) -> JSONObject { try await find(of: client).set }

    /// - Parameter unlike: The version that somebody looked into in vain, as `RemoteDocuments` has it.
    /// - Returns: With no version where they are registered, and nothing else can be found.
    func find(
        of client: Client, unlike version: UInt64? = nil
    ) async throws(ClientKeysFailure) -> (set: JSONObject, version: UInt64?) {
        let metadata = client.definition.metadata
        if let jwks = metadata.jwks { return (jwks, nil) }
        guard let address = metadata.jwksURI else { throw .noKeys }
        do {
            let found = try await documents.document(at: try OutgoingURL(address), unlike: version, isStrangers: client.isStrangers)
            return (found.value.set, found.version)
        } catch { throw unreachable(address, error) }
    }

    /// - Parameter isStrangers: Whether the client named the address itself, and nobody here stands for it.
    package func verify(
        _ token: PresentedJWT, keysAt address: String, isStrangers: Bool = false, by rules: JWTAssertionRules, at now: Instant
    ) async throws(ClientKeysFailure) -> JWTAssertion {
        let url: OutgoingURL
        let held: RemoteDocuments<Published>.Document
        do {
            url = try OutgoingURL(address)
            held = try await documents.document(at: url, isStrangers: isStrangers)
        } catch { throw unreachable(address, error) }
        do { return try token.verified(with: .keySet(held.value.keys), by: rules, at: now) } catch {
            guard error == .unknownKey else { throw ClientKeysFailure(error) }
        }
        // A key that the client has made since.
        do {
            let newer = try await documents.document(at: url, unlike: held.version, isStrangers: isStrangers)
            return try token.verified(with: .keySet(newer.value.keys), by: rules, at: now)
        } catch { throw unreachable(address, error) }
    }

    /// For the operator, why they cannot be fetched.
    private func unreachable(_ address: String, _ error: any Error) -> ClientKeysFailure {
        let failure = ClientKeysFailure(error)
        if case .unreachable(let reason) = failure { log(.info, "client_keys_unreachable", [("url", address), ("reason", reason)]) }
        return failure
    }
}

package enum ClientKeysFailure: Error, Sendable, Equatable {
    case refused(JWTAssertionRefusal)
    /// The client has no keys, or they are none.
    case noKeys
    /// They cannot be fetched.
    case unreachable(String)

    fileprivate init(_ error: any Error) {
        switch error {
        case let refusal as JWTAssertionRefusal: self = .refused(refusal)
        case let outgoing as OutgoingError: self = .unreachable(outgoing.rawValue)
        default: self = .noKeys
        }
    }

    /// For the client's developer. Why they cannot be fetched is the operator's: it would tell a stranger what our network is like.
    package var text: String {
        switch self {
        case .refused(let refusal): refusal.rawValue
        case .noKeys: "the client has no usable keys"
        case .unreachable: "the client's keys cannot be fetched"
        }
    }
}
