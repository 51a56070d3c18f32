package import AuthCore
package import OAuthServer
package import Store
internal import Synchronization

/// The clients in memory, for endpoints that must not wait for the store. Replaced whole after each change.
package final class ClientDirectory: HeldClients {
    private let clients = Mutex<[Identifier: Client]>([:])
    private let states = Atomic<UInt64>(1)
    private let origins = Mutex<Set<Identifier>>([])
    private let secrets: ClientSecrets
    private let guesses: ClientGuesses
    private let trustedProxies: [AddressRange]

    package init(secrets: ClientSecrets, guesses: ClientGuesses, trustedProxies: [AddressRange] = []) {
        self.secrets = secrets
        self.guesses = guesses
        self.trustedProxies = trustedProxies
    }

    package func replace(_ clients: [Client]) {
        let byID = Dictionary(clients.map { ($0.id, $0) }) { first, _ in first }
        self.clients.withLock { $0 = byID }
        states.add(1, ordering: .acquiringAndReleasing)
        let browsers = clients.filter { $0.definition.isPublic && !$0.isDisabled }
        let origins = Set(browsers.flatMap(\.definition.redirectURIs).map { Identifier(RedirectTarget.policySource(of: $0)) })
        self.origins.withLock { $0 = origins }
    }

    /// Whether a public client in force has a redirect URI on this origin.
    package func isOrigin(_ origin: Identifier) -> Bool { origins.withLock { $0.contains(origin) } }

    /// Whatever its state.
    package func client(_ id: Identifier) -> Client? { clients.withLock { $0[id] } }

    package func state() -> UInt64 { states.load(ordering: .acquiring) }

    /// One in force; nothing for another one that came to have the same id.
    package func client(_ id: Identifier, uid: Identifier) -> Client? {
        clients.withLock { $0[id] }.flatMap { $0.uid == uid ? $0 : nil }
    }

    /// The credentials of a confidential client in force that a request brings by HTTP Basic.
    ///
    /// - Parameter counts: Whether wrong ones are counted; not where somebody asks again to say what is wrong.
    /// - Throws: 401, or 429 where guesses came before; then the secret was not looked at.
    package func credentials(of request: RequestFacts, at now: Instant, counts: Bool = true) throws(APIError) -> BasicCredentials {
        let refusal = APIError(
            401, "invalid_client", "Authenticate as a confidential client with HTTP Basic.", reason: "client_required",
            headers: [("www-authenticate", "Basic realm=\"gatehouse\"")])
        guard request.headers.count("authorization") == 1, let header = request.headers.single("authorization"),
            let credentials = BasicCredentials(header: header)
        else { throw refusal }
        let id = credentials.clientID
        let address = ClientAddress.resolve(peer: request.peer, headers: request.headers, trusted: trustedProxies)
        if let wait = guesses.wait(id, from: address, at: now) {
            throw APIError(OAuthError(limited: .clientGuessesLimited, for: wait))
        }
        guard proved(credentials) != nil else {
            if counts, let wait = guesses.wrong(id, credentials.secret, from: address, at: now) {
                throw APIError(OAuthError(limited: .clientGuessesLimited, for: wait))
            }
            throw refusal
        }
        guesses.right(id, from: address)
        return credentials
    }

    /// The confidential client in force that these are the credentials of. An unknown one costs the same.
    package func proved(_ credentials: BasicCredentials) -> Client? {
        let client = clients.withLock { $0[credentials.clientID] }
        let matches = secrets.matches(credentials.secret, client?.secretHashes ?? [[UInt8](repeating: 0, count: 32)])
        guard let client, !client.isDisabled, !client.definition.isPublic else { return nil }
        return matches ? client : nil
    }
}
