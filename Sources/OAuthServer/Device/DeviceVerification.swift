package import AuthCore
package import Store

/// What a person sees who has typed the code of a device.
package enum DeviceOutcome: Sendable {
    case signIn(InteractionState, Client, again: BrowserSession?)
    case chooseAccount(InteractionState, Client, [BrowserSession])
    case confirm(InteractionState, DeviceQuestion)
    case answered(allowed: Bool, Client)
}

/// What somebody is asked to agree to: which client, what it gets, and that the code is the one on their own device (RFC 8628 §5.4).
package struct DeviceQuestion: Sendable {
    package let client: Client
    package let session: BrowserSession
    package let asked: [AskedScopes]
    package let userCode: UserCode
}

/// A person's half of the device flow (RFC 8628 §3.3), without HTTP. Nothing is granted before the confirmation, whatever the address had
/// in it (§3.3.1).
package struct DeviceVerification: Sendable {
    package typealias Stores = ParkedStore & AuthorizationStore & ClientStore & GrantStore

    /// How often an answer is written anew because the device polled meanwhile.
    private static let triesMax = 64

    private let store: any Stores
    private let policies: ScopePolicies
    private let issuer: TokenIssuer

    package init(store: any Stores, policies: ScopePolicies, issuer: TokenIssuer) {
        self.store = store
        self.policies = policies
        self.issuer = issuer
    }

    /// The way begins, before any code.
    package func begin(at now: Instant) -> InteractionState {
        var state = InteractionState(query: "", id: Identifier(Base64URL.encode(issuer.environment.randomBytes(16))), startedAt: now)
        state.isDevice = true
        return state
    }

    /// The same way with the code that was typed; nothing when no device waits under it. The caller has counted the guess.
    package func found(
        _ code: UserCode, _ state: InteractionState, at now: Instant
    ) async throws(OAuthError) -> InteractionState? {
        guard try await waiting(code, at: now) != nil else { return nil }
        var state = state
        state.query = code.shown
        // Of another code, on the same way.
        state.shown = nil
        return state
    }

    /// A step was done: decides anew.
    ///
    /// - Parameter agreed: What somebody answered to the question; nothing when this is no such answer.
    package func proceed(
        _ state: InteractionState, _ browser: Browser, agreed: Bool?, at now: Instant
    ) async throws(OAuthError) -> DeviceOutcome {
        guard let code = UserCode(typed: state.query), let waiting = try await waiting(code, at: now) else {
            throw DeviceVerification.gone
        }
        let (client, record) = (waiting.client, waiting.record)
        if browser.sessions.isEmpty || (state.wantsAnother && state.signedIn == nil) { return .signIn(state, client, again: nil) }
        guard let session = DeviceVerification.session(state, browser) else {
            return .chooseAccount(state, client, browser.sessions)
        }
        // As in `Interaction`: what was proved on this very way is new enough.
        if state.signedIn != session.session.id, let maxAge = client.definition.metadata.defaultMaxAge,
            maxAge == .zero || now - session.session.assurance.authenticatedAt > maxAge
        {
            return .signIn(state, client, again: session)
        }
        if agreed == false { return try await deny(code, waiting, at: now) }
        let policy = try await policies.policy(atLeast: 0)
        var access = try policy.grant(asked: record.scope, resources: record.resources, of: session.account, client: client)
        guard agreed == true, let shown = state.shown else {
            var state = state
            state.shown = access.scope
            // The account that is shown is the one that agrees.
            state.chosen = session.session.id
            return .confirm(
                state,
                DeviceQuestion(
                    client: client, session: session, asked: policy.catalogue.asked(access.scope), userCode: code))
        }
        // What came to it since the page was shown was not agreed to.
        access = try policy.refreshed(scope: access.scope.intersection(shown), roles: session.account.roles, client: client)
        return try await allow(code, waiting, session, access, browser, at: now)
    }

    /// The person does not want to sign in.
    package func cancel(_ state: InteractionState, at now: Instant) async throws(OAuthError) -> DeviceOutcome {
        guard let code = UserCode(typed: state.query), let waiting = try await waiting(code, at: now) else {
            throw DeviceVerification.gone
        }
        return try await deny(code, waiting, at: now)
    }

    /// Whose answer it would be: who was chosen or has signed in on this way, or the only one who is signed in.
    private static func session(_ state: InteractionState, _ browser: Browser) -> BrowserSession? {
        if let taken = state.signedIn ?? state.chosen { return browser.sessions.first { $0.session.id == taken } }
        return browser.sessions.count == 1 ? browser.sessions.first : nil
    }

    private static let gone = OAuthError(
        .invalidRequest, .userCodeGone, "The code was used, or has expired. Begin again on your device.")
}

extension DeviceVerification {
    private struct Waiting {
        let id: Identifier
        let client: Client
        let record: DeviceRecord
    }

    /// The device that waits under a code, with the client that owns it (CVE-2023-2585).
    private func waiting(_ code: UserCode, at now: Instant) async throws(OAuthError) -> Waiting? {
        do {
            guard let way = try await store.parked(.userCode, code.id, at: now), let id = way.value["device"]?.string,
                let device = try await store.parked(.device, Identifier(id), at: now), let record = DeviceRecord(device.value),
                record.state == .pending, record.endsAt > now, let client = try await store.client(device.clientID),
                client.uid == record.clientUID, !client.isDisabled, client.definition.grants.contains(.deviceCode)
            else { return nil }
            return Waiting(id: device.id, client: client, record: record)
        } catch { throw OAuthError(storeError: error) }
    }

    private func deny(_ code: UserCode, _ waiting: Waiting, at now: Instant) async throws(OAuthError) -> DeviceOutcome {
        try await spend(code, at: now)
        guard try await settle(waiting, .denied, at: now) else { throw DeviceVerification.gone }
        return .answered(allowed: false, waiting.client)
    }

    private func allow(
        _ code: UserCode, _ waiting: Waiting, _ session: BrowserSession, _ access: GrantedAccess, _ browser: Browser, at now: Instant
    ) async throws(OAuthError) -> DeviceOutcome {
        let client = waiting.client
        var binding = GrantBinding(assurance: session.session.assurance)
        let subject = issuer.subjects.identifier(of: session.account, for: client)
        binding.subject = subject == session.account.id ? nil : subject
        let authorization = Authorization(
            accountID: session.account.id, sessionID: session.session.id, client: client, access: (access.scope, access.audiences),
            binding: binding, isOffline: access.scope.contains("offline_access"), codeLifetime: waiting.record.endsAt - now)
        let event = AuditEvent(
            .consented, at: now, source: browser.source, reason: access.scope.description, traceID: browser.traceID)
        try await spend(code, at: now)
        let outcome: AuthorizationOutcome
        do { outcome = try await store.authorize(authorization, at: now, event: event) } catch { throw OAuthError(storeError: error) }
        switch outcome {
        case .authorized(let grant):
            guard try await settle(waiting, .allowed(grant.id), at: now) else { throw DeviceVerification.gone }
            return .answered(allowed: true, client)
        case .sessionEnded, .requestSpent:
            throw OAuthError(.loginRequired, .signInNeeded, "The session has ended meanwhile. Begin again on your device.")
        case .clientUnavailable: throw OAuthError(.unauthorizedClient, .clientDisabled, "The application is not available any more.")
        }
    }

    /// Uses up what was typed: of any number of answers one counts.
    private func spend(_ code: UserCode, at now: Instant) async throws(OAuthError) {
        let taken: Parked?
        do { taken = try await store.take(.userCode, code.id, at: now) } catch { throw OAuthError(storeError: error) }
        guard taken != nil else { throw DeviceVerification.gone }
    }

    /// Writes the answer, against the polls of the device, which count themselves in the same row.
    private func settle(_ waiting: Waiting, _ state: DeviceRecord.State, at now: Instant) async throws(OAuthError) -> Bool {
        do {
            for _ in 0..<DeviceVerification.triesMax {
                guard var device = try await store.parked(.device, waiting.id, at: now), var record = DeviceRecord(device.value),
                    record.state == .pending
                else { return false }
                record.state = state
                device.value = record.json
                if try await store.replace(device, at: now) { return true }
            }
        } catch { throw OAuthError(storeError: error) }
        throw OAuthError(.temporarilyUnavailable, .storeOverloaded, "The device asks too often. Begin again on your device.")
    }
}
