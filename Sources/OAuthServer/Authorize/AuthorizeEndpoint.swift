package import AuthCore
package import Store
package import TokenKeys

/// What the browser gets.
package enum AuthorizeOutcome: Sendable {
    case signIn(InteractionPage, again: BrowserSession?)
    case chooseAccount(InteractionPage, [BrowserSession])
    case consent(InteractionPage, ConsentQuestion)
    /// Back to the client.
    case respond(AuthorizationResponse)
    /// A refusal that the client gets when the person goes on: nobody has signed in, and its redirect URIs are its own word.
    case offer(AuthorizationResponse)
    /// Nothing may go to a client.
    case refused(OAuthError)
}

/// What every page on the way has in common.
package struct InteractionPage: Sendable {
    package let request: AuthorizationRequest
    package let state: InteractionState
}

/// What somebody is asked to agree to.
package struct ConsentQuestion: Sendable {
    package let session: BrowserSession
    /// The scopes, and those that `claims` asks for something of (OpenID Connect Core §5.5).
    package let asked: [AskedScopes]
    package let details: [JSONValue]
}

/// The browser behind a request.
package struct Browser: Sendable {
    /// Live ones, the one used last first.
    package let sessions: [BrowserSession]
    package let source: String
    package let traceID: String

    package init(sessions: [BrowserSession], source: String, traceID: String) {
        self.sessions = sessions
        self.source = source
        self.traceID = traceID
    }
}

/// The authorization endpoint (RFC 6749 §3.1, OpenID Connect Core §3.1.2), without HTTP.
package struct AuthorizeEndpoint: Sendable {
    package typealias Stores = AuthorizationStore & ConsentStore

    private let requests: AuthorizeRequests
    private let store: any Stores
    private let policies: ScopePolicies
    private let issuer: TokenIssuer
    private let masterKeys: MasterKeys
    private let lifetimes: TokenLifetimes

    package init(
        requests: AuthorizeRequests, store: any Stores, policies: ScopePolicies, issuer: TokenIssuer, masterKeys: MasterKeys,
        lifetimes: TokenLifetimes
    ) {
        self.requests = requests
        self.store = store
        self.policies = policies
        self.issuer = issuer
        self.masterKeys = masterKeys
        self.lifetimes = lifetimes
    }

    /// A request comes in.
    package func begin(_ parameters: FormParameters, _ browser: Browser, at now: Instant) async -> AuthorizeOutcome {
        let opened: AuthorizeRequests.Opened
        do { opened = try await requests.open(parameters, at: now) } catch { return .refused(error) }
        return await proceed(opened, state(opened, at: now), browser, agreed: nil, at: now)
    }

    /// The way that a request begins, without a step on it: where the cookies of the browser did not come along. Nothing for a request that
    /// `begin` answers whoever it is.
    package func state(_ parameters: FormParameters, at now: Instant) async -> InteractionState? {
        guard parameters["client_id"] != nil else { return nil }
        let opened: AuthorizeRequests.Opened
        do { opened = try await requests.open(parameters, at: now) } catch { return nil }
        return opened.isRefused ? nil : state(opened, at: now)
    }

    private func state(_ opened: AuthorizeRequests.Opened, at now: Instant) -> InteractionState {
        let id = Identifier(Base64URL.encode(issuer.environment.randomBytes(16)))
        var state = InteractionState(query: opened.parameters.encoded, id: id, startedAt: now)
        state.isSigned = opened.isSigned
        return state
    }

    /// A step was done: decides anew.
    ///
    /// - Parameter agreed: What somebody answered on the consent page; nothing when this is no such answer.
    package func proceed(
        _ state: InteractionState, _ browser: Browser, agreed: Bool?, at now: Instant
    ) async -> AuthorizeOutcome {
        do { return await proceed(try AuthorizeEndpoint.opened(state), state, browser, agreed: agreed, at: now) } catch {
            return .refused(error)
        }
    }

    private func proceed(
        _ opened: AuthorizeRequests.Opened, _ state: InteractionState, _ browser: Browser, agreed: Bool?, at now: Instant
    ) async -> AuthorizeOutcome {
        let proved: AuthorizeRequests.Proved
        do { proved = try await requests.prove(opened, begun: state.startedAt, keeps: agreed == true, at: now) } catch {
            return .refused(error)
        }
        do { return try await decide(try await requests.check(proved), state, browser, agreed: agreed, at: now) } catch {
            return refuse(error, proved, isSignedIn: !browser.sessions.isEmpty, at: now)
        }
    }

    /// The person does not want to sign in.
    package func cancel(_ state: InteractionState, at now: Instant) async -> AuthorizeOutcome {
        do {
            let proved = try await requests.prove(try AuthorizeEndpoint.opened(state), begun: state.startedAt, at: now)
            return refuse(OAuthError(.accessDenied, .deniedByUser, "The person did not sign in."), proved, isSignedIn: false, at: now)
        } catch { return .refused(error) }
    }

    private static func opened(_ state: InteractionState) throws(OAuthError) -> AuthorizeRequests.Opened {
        do { return AuthorizeRequests.Opened(parameters: try FormParameters(state.query.utf8), isSigned: state.isSigned) } catch {
            throw OAuthError(error)
        }
    }

    /// To the client. To one that nobody here has checked only after somebody has signed in, or where no page was wanted: otherwise whoever
    /// registers an address could have people sent there by a link to this server (RFC 9700 §4.11.2).
    private func refuse(
        _ error: OAuthError, _ proved: AuthorizeRequests.Proved, isSignedIn: Bool, at now: Instant
    ) -> AuthorizeOutcome {
        let request = proved.request
        do {
            let response = try AuthorizationResponse(error, to: request, issuer: issuer.issuer).secured(by: issuer, at: now)
            let isTrusted = request.client.managedBy != .api || isSignedIn || proved.isSilent
            return isTrusted ? .respond(response) : .offer(response)
        } catch { return .refused(error) }
    }

    private func decide(
        _ request: AuthorizationRequest, _ state: InteractionState, _ browser: Browser, agreed: Bool?, at now: Instant
    ) async throws(OAuthError) -> AuthorizeOutcome {
        let facts = Interaction.Facts(sessions: browser.sessions, state: state, now: now)
        let step = try Interaction.step(request, facts) { issuer.subjects.identifier(of: $0, for: request.client) }
        let page = InteractionPage(request: request, state: state)
        switch step {
        case .signIn(let again): return .signIn(page, again: again)
        case .chooseAccount: return .chooseAccount(page, browser.sessions)
        case .signedIn(let session): return try await decide(page, session, browser, agreed: agreed, at: now)
        }
    }

    /// Consent, and then the code.
    private func decide(
        _ page: InteractionPage, _ session: BrowserSession, _ browser: Browser, agreed: Bool?, at now: Instant
    ) async throws(OAuthError) -> AuthorizeOutcome {
        let request = page.request
        let client = request.client
        let policy = try await policies.policy(atLeast: 0)
        var access = try policy.grant(asked: request.scope, resources: request.resources, of: session.account, client: client)
        if agreed == false {
            throw OAuthError(.accessDenied, .deniedByUser, "The person did not agree.")
        }
        // Whoever asks for a claim by its name asks for what a scope would give: nobody gets it unseen.
        let visible = access.scope.union(PersonClaims.scopes(askedBy: request.claims))
        var remembered: Consent?
        if client.policy.asksForConsent {
            do { remembered = try await store.consent(of: session.account.id, clientUID: client.uid) } catch {
                throw OAuthError(storeError: error)
            }
            let isCovered =
                Interaction.isCovered(visible, request.details, by: remembered) && !request.prompt.contains(.consent)
                && !request.mayBeAnybody
            if agreed == nil, !isCovered {
                if request.prompt.contains(.none) {
                    throw OAuthError(.consentRequired, .consentNeeded, "The person has not agreed to this yet.")
                }
                var state = page.state
                state.shown = visible
                // The account that is shown is the one that agrees.
                state.chosen = session.session.id
                let question = ConsentQuestion(session: session, asked: policy.catalogue.asked(visible), details: request.details)
                return .consent(InteractionPage(request: request, state: state), question)
            }
        }
        var given: Consent?
        if agreed == true {
            // What came to it since the page was shown was not agreed to.
            access = try policy.refreshed(
                scope: access.scope.intersection(page.state.shown ?? .none), roles: session.account.roles, client: client)
            given = Consent(
                accountID: session.account.id, clientUID: client.uid, clientID: client.id,
                scope: visible.intersection(page.state.shown ?? .none).union(remembered?.scope ?? .none), details: request.details,
                grantedAt: now)
        }
        return .respond(try await authorize(request, session, access, given, browser, at: now))
    }

    private func authorize(
        _ request: AuthorizationRequest, _ session: BrowserSession, _ access: GrantedAccess, _ consent: Consent?, _ browser: Browser,
        at now: Instant
    ) async throws(OAuthError) -> AuthorizationResponse {
        var binding = GrantBinding(assurance: session.session.assurance)
        binding.redirectURI = request.target.wasSent ? request.target.uri : nil
        binding.codeChallenge = request.codeChallenge
        binding.nonce = request.nonce
        binding.claims = request.claims
        binding.confirmation = request.confirmation
        binding.details = request.details
        let subject = issuer.subjects.identifier(of: session.account, for: request.client)
        binding.subject = subject == session.account.id ? nil : subject
        var authorization = Authorization(
            accountID: session.account.id, sessionID: session.session.id, client: request.client, access: (access.scope, access.audiences),
            binding: binding, isOffline: access.scope.contains("offline_access"),
            codeLifetime: min(lifetimes.code, request.client.policy.codeLifetimeMax ?? lifetimes.code))
        authorization.pushedRequest = request.pushedRequest
        authorization.consent = consent
        let event = AuditEvent(
            consent == nil ? .authorized : .consented, at: now, source: browser.source, reason: access.scope.description,
            traceID: browser.traceID)
        let outcome: AuthorizationOutcome
        do { outcome = try await store.authorize(authorization, at: now, event: event) } catch { throw OAuthError(storeError: error) }
        switch outcome {
        case .authorized(let grant):
            let code = GrantCredential.make(.authorizationCode, grant: grant, counter: 0, issuer: issuer.issuer, keys: masterKeys)
            return try AuthorizationResponse(code: code, to: request, issuer: issuer.issuer).secured(by: issuer, at: now)
        case .sessionEnded: throw OAuthError(.loginRequired, .signInNeeded, "The session has ended meanwhile.")
        case .clientUnavailable: throw OAuthError(.unauthorizedClient, .clientDisabled, "The application is not available any more.")
        case .requestSpent: throw OAuthError(.invalidRequestURI, .requestURISpent, "The pushed request was used before, or has expired.")
        }
    }
}
