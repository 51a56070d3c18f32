package import AuthCore
package import Store
package import TokenVerification

/// `grant_type=urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693): an access token becomes a narrower one for a client behind the
/// one that got it.
///
/// The new token keeps `sub`, `sid`, `gid` and `ver` of the account, and ends no later: whatever ends the session, the grant or the account
/// ends it too, and so does what ends the tokens of a client that it came through (`via`). It has no refresh token.
package struct TokenExchangeGrant: TokenGrant {
    package typealias Stores = AccountStore & GrantStore

    package struct Request: Sendable {
        let subject: Secret<String>
        let actor: Secret<String>?
        let scope: ScopeSet?
        let audiences: [Identifier]
    }

    /// RFC 8693 §3.
    package static let accessTokenType = "urn:ietf:params:oauth:token-type:access_token"
    /// What an access token of ours is as well.
    private static let jwtType = "urn:ietf:params:oauth:token-type:jwt"
    private static let bytesMax = 16_384

    package let kind = GrantKind.tokenExchange
    package let parameters: Set<Identifier> = [
        "subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type", "resource", "audience", "scope",
    ]
    private let store: any Stores
    private let verifier: TokenVerifier
    private let policies: ScopePolicies
    private let issuer: TokenIssuer

    package init(store: any Stores, verifier: TokenVerifier, policies: ScopePolicies, issuer: TokenIssuer) {
        self.store = store
        self.verifier = verifier
        self.policies = policies
        self.issuer = issuer
    }

    package func decode(_ parameters: FormParameters) throws(OAuthError) -> Request {
        let subject = try parameters.required("subject_token", bytesMax: TokenExchangeGrant.bytesMax)
        try TokenExchangeGrant.check(type: try parameters.required("subject_token_type", bytesMax: 128))
        let actor = try parameters.optional("actor_token", bytesMax: TokenExchangeGrant.bytesMax)
        let actorType = try parameters.optional("actor_token_type", bytesMax: 128)
        guard (actor == nil) == (actorType == nil) else {
            throw OAuthError(.invalidRequest, .parameterMissing, "actor_token and actor_token_type go together (RFC 8693 §2.1).")
        }
        if let actorType { try TokenExchangeGrant.check(type: actorType) }
        if let wanted = try parameters.optional("requested_token_type", bytesMax: 128),
            !wanted.isSameBytes(as: TokenExchangeGrant.accessTokenType)
        {
            throw OAuthError(.invalidRequest, .tokenTypeUnsupported, "Only access tokens are given out here (RFC 8693 §3).")
        }
        let named = parameters.all("audience")
        guard named.count <= 16, named.allSatisfy({ $0.utf8.count <= 2_048 }) else {
            throw OAuthError(.invalidTarget, .audienceUnknown, "There are more than 16 audiences, or one is too long.")
        }
        var audiences = try parameters.resources()
        for name in named where !audiences.contains(Identifier(name)) { audiences.append(Identifier(name)) }
        return Request(subject: Secret(subject), actor: actor.map { Secret($0) }, scope: try parameters.scope(), audiences: audiences)
    }

    private static func check(type: String) throws(OAuthError) {
        guard [accessTokenType, jwtType].contains(where: { $0.isSameBytes(as: type) }) else {
            throw OAuthError(.invalidRequest, .tokenTypeUnsupported, "Only access tokens of this server are exchanged (RFC 8693 §3).")
        }
    }

    package func authorize(_ request: Request, _ context: TokenContext) async throws(OAuthError) -> TokenAuthorization {
        guard context.client.isProved else {
            throw OAuthError(.unauthorizedClient, .grantNotAllowed, "A public client cannot exchange tokens.")
        }
        let client = context.client.client
        let token = try read(request.subject, for: client, .subjectTokenInvalid, at: context.now)
        let actor = try request.actor.map { (text) throws(OAuthError) in try read(text, for: client, .actorTokenInvalid, at: context.now) }
        let act = try ActorChain.next(of: token, actor: actor, client: client)
        let (account, grant) = try await holder(of: token, client, at: context.now)
        let policy = try await policies.policy(atLeast: 0)
        let access = try policy.exchanged(
            GrantedAccess(scope: token.scope, audiences: token.audiences), requested: request.scope, audiences: request.audiences,
            roles: account?.roles, client: client)
        let end = min(context.now + issuer.accessLifetime, token.expiresAt, actor?.expiresAt ?? token.expiresAt)
        var subject = TokenSubject(
            client: client, account: account, grant: grant, assurance: token.assurance, access: access,
            claims: policy.catalogue.claims(access.audiences, of: account, scope: access.scope), expiresAt: end)
        subject.subjectID = token.subject
        subject.confirmation = context.confirmation
        subject.actor = act
        subject.passedOn = try ActorChain.passedOn(token, actor, to: client)
        // They were agreed to for the client that got them.
        subject.details = []
        return TokenAuthorization(subject: subject, issuedTokenType: TokenExchangeGrant.accessTokenType)
    }

    /// Verifies a token as every place does that lets somebody in, but for the proof of a bound one: whoever exchanges it is a client that
    /// proved itself, and the token was shown to it rather than given (RFC 8693 §2.1 asks for no proof).
    private func read(
        _ text: Secret<String>, for client: Client, _ reason: OAuthError.Reason, at now: Instant
    ) throws(OAuthError) -> AccessToken {
        var explanation: TokenExplanation?
        var requirements = TokenRequirements()
        requirements.checksSender = false
        let decision = verifier.decide(
            Array(text.exposed.utf8), for: requirements, now: now, uptime: issuer.environment.uptime(), whenStale: .refuse,
            explaining: &explanation)
        switch decision {
        case .accept(let token):
            // What still passes for the difference of clocks has nothing left to pass on; what is bound in a way that is not known here would
            // be let loose.
            let isKnown = !token.isSenderConstrained || token.confirmationJKT != nil || token.confirmationX5T != nil
            guard token.expiresAt > now, isKnown else { throw TokenExchangeGrant.refusal(reason) }
            let clients = [client.id] + client.definition.metadata.exchangeClients.map { Identifier($0) }
            guard clients.contains(token.clientID) else { throw TokenExchangeGrant.refusal(.subjectTokenOfAnotherClient) }
            return token
        case .refuse: throw TokenExchangeGrant.refusal(reason)
        case .ask, .unavailable, .overloaded:
            throw OAuthError(.temporarilyUnavailable, .storeUnavailable, "What is revoked is not known at the moment.")
        }
    }

    /// Whose token it is, as the store has it now: nothing for a client's own.
    private func holder(
        of token: AccessToken, _ client: Client, at now: Instant
    ) async throws(OAuthError) -> (account: Account?, grant: Grant?) {
        guard let grantID = token.grantID else {
            // Without a grant only the client that it names can end it; so it may become a token of no other one.
            guard token.clientID == client.id, token.subject == client.id else {
                throw TokenExchangeGrant.refusal(.subjectTokenWithoutGrant)
            }
            return (nil, nil)
        }
        do {
            guard let grant = try await store.grant(grantID), grant.isLive(at: now),
                let account = try await store.account(id: grant.accountID), !account.isDisabled, account.epoch == token.accountEpoch
            else { throw TokenExchangeGrant.refusal(.subjectTokenInvalid) }
            return (account, grant)
        } catch {
            switch error {
            case let refusal as OAuthError: throw refusal
            case let failure as StoreError: throw OAuthError(storeError: failure)
            default: throw TokenExchangeGrant.refusal(.subjectTokenInvalid)
            }
        }
    }

    /// One text for every refusal (§2.2.2): whoever tries a token learns nothing of it.
    private static func refusal(_ reason: OAuthError.Reason) -> OAuthError {
        OAuthError(.invalidRequest, reason, "A token is not valid, or not one that this client may exchange.")
    }
}

extension AccessToken {
    /// What its sign-in had proved; nothing for a client's own.
    fileprivate var assurance: SessionAssurance? {
        guard let acr, let authenticatedAt else { return nil }
        return SessionAssurance(acr: acr, amr: amr, authenticatedAt: authenticatedAt)
    }
}

/// Who acts for whom (RFC 8693 §4.1, §4.4).
enum ActorChain {
    /// The most actors behind one another.
    static let depthMax = 4

    /// The `act` of the token that follows; nothing when nobody acts.
    ///
    /// - Throws: `invalid_request` for an actor that `may_act` does not name (§2.2.2), and for a chain that is too long.
    static func next(of token: AccessToken, actor: AccessToken?, client: Client) throws(OAuthError) -> JSONObject? {
        let claims = token.claims
        // An actor who is acted for by somebody else is two chains in one.
        if let actor, actor.claims["act"] != nil {
            throw OAuthError(.invalidRequest, .actorNotAllowed, "The actor_token is itself one that somebody acts with.")
        }
        let who = (subject: actor?.subject ?? client.id, client: actor?.clientID ?? client.id)
        if let named = claims["may_act"], !isAllowed(who, by: named, issuer: token.issuer) {
            throw OAuthError(.invalidRequest, .actorNotAllowed, "The subject_token may not be acted with by this party (RFC 8693 §4.4).")
        }
        let before = claims["act"]?.object
        if actor == nil, client.definition.metadata.exchangeImpersonates { return before }
        var act = JSONObject([("sub", .string(who.subject.text)), ("client_id", .string(who.client.text))])
        act["act"] = before.map { .object($0) }
        guard depth(of: act) <= depthMax else {
            throw OAuthError(.invalidRequest, .actorChainTooLong, "More than \(depthMax) parties act for one another.")
        }
        return act
    }

    /// A restriction that is not understood allows nobody.
    private static func isAllowed(
        _ who: (subject: Identifier, client: Identifier), by value: JSONValue, issuer: Identifier
    ) -> Bool {
        guard let named = value.object, let subject = named["sub"]?.string, Identifier(subject) == who.subject else { return false }
        for (name, value) in named {
            switch name {
            case "sub": break
            case "iss": guard value.string.map({ Identifier($0) }) == issuer else { return false }
            case "client_id": guard value.string.map({ Identifier($0) }) == who.client else { return false }
            default: return false
            }
        }
        return true
    }

    /// Whom the new token has come through, the latest first: whatever ends what they hold ends it. Also those that hide themselves.
    ///
    /// - Throws: `invalid_request` for too many of them.
    static func passedOn(_ token: AccessToken, _ actor: AccessToken?, to client: Client) throws(OAuthError) -> [AccessToken.Holder] {
        var holders: [AccessToken.Holder] = []
        for token in [token, actor].compactMap(\.self) {
            for holder in [AccessToken.Holder(client: token.clientID, epoch: token.clientEpoch)] + token.passedOn {
                if let index = holders.firstIndex(where: { $0.client == holder.client }) {
                    // The older of two: what has ended it since counts.
                    if holder.epoch < holders[index].epoch { holders[index] = holder }
                } else {
                    holders.append(holder)
                }
            }
        }
        // Its own token names it with what was read just now, unless it held an older one.
        holders.removeAll { $0.client == client.id && $0.epoch >= client.epoch }
        guard holders.count <= AccessToken.holdersMax else {
            throw OAuthError(.invalidRequest, .actorChainTooLong, "More than \(AccessToken.holdersMax) clients have passed the token on.")
        }
        return holders
    }

    private static func depth(of act: JSONObject) -> Int {
        var (depth, next) = (0, Optional(act))
        while let current = next, depth <= depthMax {
            depth += 1
            next = current["act"]?.object
        }
        return depth
    }
}
