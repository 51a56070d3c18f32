package import AuthCore
package import Store

/// `grant_type=urn:ietf:params:oauth:grant-type:device_code` (RFC 8628 §3.4, §3.5).
package struct DeviceCodeGrant: TokenGrant {
    package typealias Stores = ParkedStore & AuthorizationStore & GrantStore

    package struct Request: Sendable {
        let code: DeviceCode?
        let requested: RequestedAccess
    }

    package let kind = GrantKind.deviceCode
    package let parameters: Set<Identifier> = RequestedAccess.parameters.union(["device_code"])
    /// By how much the time between two polls grows when one comes too soon (§3.5).
    package static let slowDown: Int64 = 5
    /// How much sooner than it should a poll may arrive: one that travelled faster than the one before was sent in time.
    private static let jitter = Duration.seconds(1)
    private static let triesMax = 4

    private let store: any Stores
    private let tokens: RefreshTokens

    package init(store: any Stores, tokens: RefreshTokens) {
        self.store = store
        self.tokens = tokens
    }

    package func decode(_ parameters: FormParameters) throws(OAuthError) -> Request {
        Request(
            code: DeviceCode(try parameters.required("device_code", bytesMax: 4_096)),
            requested: try RequestedAccess(parameters, hasScope: false))
    }

    package func authorize(_ request: Request, _ context: TokenContext) async throws(OAuthError) -> TokenAuthorization {
        guard let code = request.code else { throw DeviceCodeGrant.refusal(.deviceCodeUnknown) }
        let grantID = try await allowed(code, context)
        let found: Grant?
        do { found = try await store.grant(grantID) } catch { throw OAuthError(storeError: error) }
        if let found {
            try tokens.issuer.checkKeys(for: context.client.client, scope: found.scope)
            try request.requested.check(against: found)
        }
        // Of any number of polls that see the answer one takes it.
        let taken: Parked?
        do { taken = try await store.take(.device, code.id, at: context.now) } catch { throw OAuthError(storeError: error) }
        guard taken != nil else { throw DeviceCodeGrant.refusal(.deviceCodeUnknown) }
        let client = context.client.client
        let presentation = CodePresentation(
            grantID: grantID, clientID: client.id, redirectURI: nil, codeChallenge: nil, confirmation: context.confirmation,
            bindsRefresh: !context.client.isProved, refreshes: client.definition.grants.contains(.refreshToken),
            lifetimes: (tokens.lifetimes.refreshIdle, tokens.issuer.accessLifetime, tokens.lifetimes.offline),
            hearsOfLogout: client.hearsOfLogout)
        let event = AuditEvent(
            .codeReplayed, at: context.now, clientID: client.id, source: context.source, reason: OAuthError.Reason.codeReplayed.rawValue,
            traceID: context.traceID)
        let outcome: CodeOutcome
        do { outcome = try await store.redeem(presentation, at: context.now, event: event) } catch { throw OAuthError(storeError: error) }
        switch outcome {
        case .redeemed(let redeemed):
            return try await tokens.authorization(redeemed: redeemed, for: request.requested, context.confirmation)
        case .disabled: throw DeviceCodeGrant.refusal(.codeOfDisabled)
        case .gone, .expired, .wrongClient, .wrongRedirectURI, .wrongVerifier, .wrongKey, .notGranted, .replayed:
            throw DeviceCodeGrant.refusal(.deviceCodeUnknown)
        }
    }

    /// The grant that somebody has allowed.
    ///
    /// - Throws: What the device is told while it waits (§3.5).
    private func allowed(_ code: DeviceCode, _ context: TokenContext) async throws(OAuthError) -> Identifier {
        for _ in 0..<DeviceCodeGrant.triesMax {
            let found: Parked?
            do { found = try await store.parked(.device, code.id, at: context.now) } catch { throw OAuthError(storeError: error) }
            guard let found, let record = DeviceRecord(found.value) else { throw DeviceCodeGrant.refusal(.deviceCodeUnknown) }
            guard found.clientID == context.client.client.id, record.clientUID == context.client.client.uid else {
                throw DeviceCodeGrant.refusal(.deviceCodeOfAnotherClient)
            }
            guard record.endsAt > context.now else {
                throw OAuthError(.expiredToken, .deviceCodeExpired, "Nobody agreed in time. Begin again.")
            }
            switch record.state {
            case .allowed(let grant): return grant
            case .denied: throw OAuthError(.accessDenied, .deniedByUser, "The person did not agree.")
            case .pending: if let answer = try await polled(found, record, at: context.now) { throw answer }
            }
        }
        // Others poll with the same code at the same time.
        throw DeviceCodeGrant.tooSoon
    }

    /// Counts a poll. - Returns: What it is answered; nothing when the record changed meanwhile.
    private func polled(_ found: Parked, _ record: DeviceRecord, at now: Instant) async throws(OAuthError) -> OAuthError? {
        var (found, record) = (found, record)
        let isTooSoon = record.polledAt.map { now - $0 < .seconds(record.interval) - DeviceCodeGrant.jitter } ?? false
        if isTooSoon { record.interval = record.interval.addingSaturated(DeviceCodeGrant.slowDown) }
        record.polledAt = now
        found.value = record.json
        do { guard try await store.replace(found, at: now) else { return nil } } catch { throw OAuthError(storeError: error) }
        return isTooSoon
            ? DeviceCodeGrant.tooSoon : OAuthError(.authorizationPending, .devicePending, "Nobody has answered yet. Ask again later.")
    }

    private static var tooSoon: OAuthError {
        OAuthError(.slowDown, .devicePolledTooSoon, "Wait five seconds longer between two requests, from now on.")
    }

    /// One text for every refusal: another client must not learn whether the code exists.
    private static func refusal(_ reason: OAuthError.Reason) -> OAuthError {
        OAuthError(.invalidGrant, reason, "The device code is not valid: used, unknown, or not this client's.")
    }
}
