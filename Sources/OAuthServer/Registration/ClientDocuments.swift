package import AuthCore
package import Store

/// The URL that is a client's id (draft-ietf-oauth-client-id-metadata-document §3).
package struct ClientDocumentURL: Sendable {
    /// As it was written: ids are compared by bytes, and so is the document's `client_id` with it.
    package let id: Identifier
    package let url: OutgoingURL

    /// The host that people are shown, with the port if it is not 443.
    package var host: String { String(url.origin.dropFirst("https://".count)) }

    /// Whether an id means to be one. Others are looked for in the store alone.
    package static func isMeant(_ id: Identifier) -> Bool {
        id.text.dropping(prefix: "https://") != nil || id.text.dropping(prefix: "http://") != nil
    }

    /// - Throws: `invalid_client` for what the draft forbids: another scheme, no path, dot segments, a fragment, credentials. Also for a
    ///   host in capitals and escaped dots, slashes and backslashes, which somebody on the way might read as what they stand for.
    package init(_ id: Identifier) throws(OAuthError) {
        func refused(_ message: String) -> OAuthError { OAuthError(.invalidClient, .clientDocumentURLInvalid, "The client_id \(message).") }
        let text = id.text
        guard let rest = text.dropping(prefix: "https://") else { throw refused("is a URL that is not https") }
        if let fault = URISyntax.webFault(text) { throw refused(fault) }
        guard rest.utf8.contains(UInt8(ascii: "/")) else { throw refused("is a URL without a path") }
        let path = rest.utf8.prefix { $0 != UInt8(ascii: "?") }.map(lowercasedASCII)
        for escape in ["%2e", "%2f", "%5c", "%00"] where path.firstRange(of: Array(escape.utf8)) != nil {
            throw refused("has an escaped dot, slash, backslash or NUL")
        }
        do { url = try OutgoingURL(text) } catch { throw refused("is a URL that cannot be fetched: \(error.rawValue)") }
        // The reader's own spelling: what is fetched is what is compared.
        guard url.text.isSameBytes(as: text) else { throw refused("is not in the one spelling that it has, without the port of https") }
        self.id = id
    }
}

/// Clients that are what the document at their id says (OAuth Client ID Metadata Documents, as the authorization specification of the Model
/// Context Protocol has it). Off unless the policy says otherwise.
package struct ClientDocuments: Sendable {
    /// What came of reading a document. A faulty one is not kept, and takes the good one before it along: it is what its author says now.
    private enum Content: Sendable {
        case client(ClientDefinition)
        /// For its developer, behind "The document of this application".
        case faulty(String)
    }

    /// In bytes. The draft recommends 5 KB; key sets are larger.
    package static let bytesMax = 32_768

    private let policy: RegistrationPolicy
    private let documents: RemoteDocuments<Content>
    private let log: Log

    package init(policy: RegistrationPolicy, calls: any OutgoingCalls, environment: Environment, log: Log) {
        self.policy = policy
        self.log = log
        var limits = RemoteDocuments<Content>.Limits()
        limits.documentBytesMax = ClientDocuments.bytesMax
        // Strangers choose these; the key sets of known clients have a share of their own.
        limits.flightsMax = 16
        limits.waitersMax = 256
        let isGood: @Sendable (Content) -> Bool = { if case .client = $0 { true } else { false } }
        documents = RemoteDocuments(calls: calls, limits: limits, environment: environment, isGood: isGood) { answer in
            ClientDocuments.content(answer, policy)
        }
    }

    package var isOn: Bool { policy.takesDocuments }

    private static func content(_ answer: OutgoingAnswer, _ policy: RegistrationPolicy) -> Content {
        guard let object = (try? JSONReader.read(answer.body))?.object else { return .faulty("is no JSON object.") }  // said here
        // RFC 7591 §2 has it registered; here it is the proof that the document means to be one (draft §4).
        guard let name = object["client_id"]?.string else { return .faulty("has no client_id.") }
        // No redirect is followed: this is the URL that was asked for, in the one spelling that it has.
        let id = Identifier(answer.url.text)
        guard Identifier(name) == id else { return .faulty("names another client_id than its own URL.") }
        // A person agrees to what it gets; a client that asks no person has nobody who would.
        let grants = policy.grants.filter { $0 != .clientCredentials }
        do {
            return .client(try RegisteredMetadata(object, policy: policy, grants: grants, origin: .document).definition(id))
        } catch { return .faulty("is not good: \(error.detail)") }
    }

    /// What the document at the URL says now, or said lately.
    ///
    /// - Throws: `invalid_client`; the developer is told what is wrong with the document, and of our network nothing.
    package func definition(_ url: ClientDocumentURL) async throws(OAuthError) -> ClientDefinition {
        if !policy.documentHosts.isEmpty {
            guard case .name(let host) = url.url.host, policy.documentHosts.contains(host) else {
                throw OAuthError(.invalidClient, .clientDocumentHostNotAllowed, "Applications of this host are not taken here.")
            }
        }
        let content: Content
        do { content = try await documents.document(at: url.url, isStrangers: true).value } catch {
            log(.info, "client_document_unreachable", [("client", url.id.text), ("problem", error.rawValue)])
            throw OAuthError(
                .invalidClient, .clientDocumentUnreachable, "The document of this application cannot be read at the moment.")
        }
        switch content {
        case .faulty(let message):
            throw OAuthError(.invalidClient, .clientDocumentInvalid, "The document of this application \(message)")
        case .client(let definition): return definition
        }
    }
}

/// Where clients are found by their ids.
package protocol ClientSource: Sendable {
    /// - Parameter keeps: Whether somebody has agreed to give this client something: then it must be in the store, for grants refer to it.
    func client(_ id: Identifier, keeps: Bool, at now: Instant) async throws(OAuthError) -> Client?
}

/// The stored clients, and those that are documents (docs/decisions/0012).
package struct KnownClients: ClientSource {
    package typealias Stores = ClientStore & RegistrationStore

    private let store: any Stores
    private let documents: ClientDocuments
    private let policy: RegistrationPolicy
    private let changed: @Sendable () async throws(StoreError) -> Void

    /// - Parameter changed: As `ClientRegistration`'s.
    package init(
        store: any Stores, documents: ClientDocuments, policy: RegistrationPolicy,
        changed: @escaping @Sendable () async throws(StoreError) -> Void
    ) {
        self.changed = changed
        self.store = store
        self.documents = documents
        self.policy = policy
    }

    package func client(_ id: Identifier, keeps: Bool, at now: Instant) async throws(OAuthError) -> Client? {
        let stored: Client?
        do { stored = try await store.client(id) } catch { throw OAuthError(storeError: error) }
        // One that an operator declared under such an id is what the operator says.
        guard ClientDocumentURL.isMeant(id), stored.map({ $0.managedBy == .api }) ?? true else { return stored }
        // Turned off, nobody signs in through one any more; what somebody agreed to before goes on until it ends.
        guard documents.isOn else { return nil }
        if let stored, stored.isDisabled { return stored }
        let definition = try await documents.definition(try ClientDocumentURL(id))
        if let stored, stored.definition == definition { return stored }
        do {
            if let stored { return try await refresh(stored, definition, at: now) }
            // Until somebody has agreed there is no row: strangers who only name URLs fill no table.
            guard keeps else { return KnownClients.passing(definition) }
            let outcome = try await store.register(
                definition, secretHash: nil, tokenHash: [], within: policy.bounds(at: now), at: now,
                event: KnownClients.event(id, "document", now))
            switch outcome {
            case .registered(let client):
                // Its page fetches tokens from its own origin next.
                try await changed()
                return client
            case .taken: return try await store.client(id)
            case .full: throw OAuthError(.temporarilyUnavailable, .registrationFull, "There are as many applications as there may be.")
            }
        } catch let error as OAuthError { throw error } catch let error as StoreError { throw OAuthError(storeError: error) } catch {
            throw OAuthError(.serverError, .storeUnavailable, "The store cannot be reached now. Try again soon.")
        }
    }

    /// The document has changed. Narrowing ends the client's access tokens.
    private func refresh(_ stored: Client, _ definition: ClientDefinition, at now: Instant) async throws -> Client? {
        _ = try await store.changeRegistration(
            definition, uid: stored.uid, tokenHash: [], event: KnownClients.event(stored.id, "document changed", now))
        try await changed()
        return try await store.client(stored.id)
    }

    /// A client that nobody has agreed to yet. Its `uid` is none that the store makes, so no consent is found and no grant can be made.
    private static func passing(_ definition: ClientDefinition) -> Client {
        Client(
            uid: definition.id, id: definition.id, definition: definition, secretHashes: [], isDisabled: false, epoch: 1, managedBy: .api)
    }

    private static func event(_ id: Identifier, _ what: String, _ now: Instant) -> AuditEvent {
        AuditEvent(.clientChanged, at: now, clientID: id, source: "document", reason: what, traceID: "")
    }
}

extension Client {
    /// Whether it named its URLs itself, and nobody here stands for it.
    var isStrangers: Bool { managedBy == .api }

    /// The host of the document that this client is; nothing for every other client.
    package var documentHost: String? {
        guard managedBy == .api, ClientDocumentURL.isMeant(id) else { return nil }
        do { return try ClientDocumentURL(id).host } catch { return nil }
    }
}
