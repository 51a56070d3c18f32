package import AuthCore
package import Store

/// What the browser gets.
package enum LogoutOutcome: Sendable {
    /// Whether to sign out must be asked; of these sessions, and where people go then.
    case confirm(LogoutState, [BrowserSession], LogoutTarget?)
    case signedOut(SignedOut)
    /// Somebody was asked and stays.
    case stayed
    /// Nothing was ended and nobody is sent anywhere.
    case refused(OAuthError)
}

/// What has happened when somebody is signed out.
package struct SignedOut: Sendable {
    /// The sessions that are no more: whatever stands for them in the browser goes too.
    package let sessions: Set<Identifier>
    /// The pages of clients that are to be loaded in frames (Front-Channel Logout §2).
    package let frames: [LogoutFrame]
    package let target: LogoutTarget?
}

/// A client's page that ends its own session when it is loaded (Front-Channel Logout §2).
package struct LogoutFrame: Sendable, Hashable {
    package let url: String
    /// The only source that a Content-Security-Policy needs for it.
    package let origin: String
}

/// The end session endpoint (RP-Initiated Logout §2), without HTTP.
///
/// Whoever brings an ID token of a session that this very browser holds is signed out of that session at once. In every other case the
/// person is asked, because a link of anybody leads here (LO-03).
package struct LogoutEndpoint: Sendable {
    package typealias Stores = SessionStore & LogoutStore & ClientStore

    /// The most frames of one page.
    package static let framesMax = 32

    private let store: any Stores
    private let issuer: TokenIssuer
    private let hints: IDTokenHints

    package init(store: any Stores, issuer: TokenIssuer, hints: IDTokenHints) {
        self.store = store
        self.issuer = issuer
        self.hints = hints
    }

    /// RP-Initiated Logout §2.1, Back-Channel Logout §2.1, Front-Channel Logout §3.
    func describe(in metadata: inout ServerMetadata) {
        metadata.text("end_session_endpoint", issuer.issuer.text + ServerMetadata.Path.endSession)
        for channel in ["backchannel", "frontchannel"] {
            metadata.flag("\(channel)_logout_supported", true)
            metadata.flag("\(channel)_logout_session_supported", true)
        }
    }

    private struct Request {
        var hint: IDTokenHint?
        var client: Client?
        var target: LogoutTarget?
    }

    /// A request as it came.
    package func state(_ parameters: FormParameters, at now: Instant) -> LogoutState {
        LogoutState(
            query: parameters.encoded, id: Identifier(Base64URL.encode(issuer.environment.randomBytes(16))), startedAt: now)
    }

    /// - Parameter confirmed: What the person answered; nothing when nobody was asked yet. Only for a form that belongs to `state` and to
    ///   this browser.
    package func proceed(_ state: LogoutState, _ browser: Browser, confirmed: Bool?, at now: Instant) async -> LogoutOutcome {
        do {
            let request = try await read(state.query)
            if confirmed == false { return .stayed }
            let meant = try hinted(request, among: browser.sessions)
            guard confirmed == true || meant != nil || browser.sessions.isEmpty else {
                return .confirm(state, browser.sessions, request.target)
            }
            let ending = confirmed == true ? browser.sessions : meant.map { [$0] } ?? []
            return .signedOut(try await end(ending, request, browser, at: now))
        } catch { return .refused(error) }
    }

    /// The session of this browser that the hint is about, if it is about one.
    private func hinted(_ request: Request, among sessions: [BrowserSession]) throws(OAuthError) -> BrowserSession? {
        guard let hint = request.hint, let client = request.client else { return nil }
        return sessions.first {
            $0.session.id == hint.sessionID && issuer.subjects.identifier(of: $0.account, for: client) == hint.subject
        }
    }

    private func read(_ query: String) async throws(OAuthError) -> Request {
        let parameters: FormParameters
        do { parameters = try FormParameters(query.utf8) } catch { throw OAuthError(error) }
        var request = Request()
        request.hint = try parameters.optional("id_token_hint", bytesMax: IDTokenHints.bytesMax).map { (text) throws(OAuthError) in
            try hints.read(text)
        }
        let named = try parameters.optional("client_id", bytesMax: 2_048).map { Identifier($0) }
        if let named, let hint = request.hint, hint.clientID != named {
            throw OAuthError(.invalidRequest, .idTokenHintInvalid, "The id_token_hint was issued to another client than client_id names.")
        }
        let state = try parameters.optional("state", bytesMax: 4_096)
        // Taken and not used: the person sees who is signed in, in the one language that there is.
        _ = try parameters.optional("logout_hint", bytesMax: 1_024)
        _ = try parameters.optional("ui_locales", bytesMax: 256)
        if let id = named ?? request.hint?.clientID { request.client = try await liveClient(id) }
        if let uri = try parameters.optional("post_logout_redirect_uri", bytesMax: URISyntax.bytesMax) {
            request.target = try LogoutTarget.prove(uri, of: request.client, state: state)
        }
        return request
    }

    /// Nothing for one that is not known or is disabled: people may sign out all the same, but are not sent to it.
    private func liveClient(_ id: Identifier) async throws(OAuthError) -> Client? {
        do { return try await store.client(id).flatMap { $0.isDisabled ? nil : $0 } } catch { throw OAuthError(storeError: error) }
    }

    /// Ends the sessions; when this returns their tokens are refused, and what tells the clients is in the queue.
    private func end(
        _ sessions: [BrowserSession], _ request: Request, _ browser: Browser, at now: Instant
    ) async throws(OAuthError) -> SignedOut {
        var frames: [LogoutFrame] = []
        do {
            for session in sessions {
                let id = session.session.id
                // Before the end, which takes them out of the list.
                let clients = try await store.clients(ofSession: id)
                let event = AuditEvent(
                    .signOut, at: now, accountID: session.account.id, clientID: request.client?.id, sessionID: id,
                    source: browser.source, traceID: browser.traceID)
                // It may have ended meanwhile: then somebody else has told the clients, and the frames do no harm.
                _ = try await store.end(id, owner: session.account.id, at: now, event: event)
                for client in clients where frames.count < LogoutEndpoint.framesMax {
                    if let client = try await store.client(client), let frame = frame(client, of: id), !frames.contains(frame) {
                        frames.append(frame)
                    }
                }
            }
        } catch { throw OAuthError(storeError: error) }
        return SignedOut(sessions: Set(sessions.map(\.session.id)), frames: frames, target: request.target)
    }

    /// Front-Channel Logout §2: with `iss` and `sid` when the client registered that it needs them.
    private func frame(_ client: Client, of session: Identifier) -> LogoutFrame? {
        let metadata = client.definition.metadata
        guard let uri = metadata.frontchannelLogoutURI,
            // Read by the strict reader, because its origin goes into a header. What it does not take was never reachable either.
            let origin = (try? OutgoingURL(uri))?.origin
        else { return nil }
        guard metadata.frontchannelNeedsSession else { return LogoutFrame(url: uri, origin: origin) }
        let query = FormParameters([("iss", issuer.issuer.text), ("sid", session.text)]).encoded
        return LogoutFrame(url: uri + (uri.utf8.contains(UInt8(ascii: "?")) ? "&" : "?") + query, origin: origin)
    }
}
