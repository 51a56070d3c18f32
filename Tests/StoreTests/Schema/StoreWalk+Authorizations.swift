import AuthCore
import Store
import Testing

/// The part of `walk` that is about authorizations.
extension TestStore {
    func walkAuthorizations(_ name: String) async throws {
        let client = try await registerClient(Identifier("registered-\(name)"))
        let account = try await account("browser-\(name)")
        let first = try await openBrowser(account, cookie: "first-\(name)")
        let session = try await openBrowser(account, cookie: "second-\(name)", continues: first.id)
        #expect(try await store.browserSession(cookieHash: Array("second-\(name)".utf8), at: now)?.session.id == first.id)
        let pushed = Parked(
            kind: .pushedRequest, id: Identifier("request-\(name)"), clientID: client.id, value: JSONObject(), expiresAt: now + .seconds(60)
        )
        #expect(try await store.park([pushed], at: now))
        for isOffline in [false, true] {
            var authorization = authorization(account, session, client, offline: isOffline)
            authorization.pushedRequest = isOffline ? nil : pushed.id
            authorization.consent = Consent(
                accountID: account.id, clientUID: client.uid, clientID: client.id, scope: authorization.scope, details: [], grantedAt: now)
            let grant = try #require(try await authorize(authorization).grant)
            #expect(try await redeem(grant).word == "redeemed")
            #expect(try await refreshed(grant, rotates: false).refreshed?.outcome == .kept(1))
            #expect(try await redeem(grant).word == "replayed")
        }
        #expect(try await store.consent(of: account.id, clientUID: client.uid) != nil)
        #expect(try await store.consents(of: account.id).count == 1)
        #expect(try await store.withdrawConsent(of: account.id, client: client.id, at: now, event: event(.consentWithdrawn)))
        #expect(try await store.clients(ofSession: session.id) == [client.id])
        #expect(try await store.end(session.id, owner: nil, at: now, event: event(.signOut)))
        let logout = try #require(try await store.dueLogouts(10, lease: .seconds(30), at: now).first { $0.sessionID == session.id })
        try await store.logoutFailed(logout.id, next: now)
        try await store.logoutDelivered(logout.id)
        #expect(try await store.registration(client.id)?.client.uid == client.uid)
        var definition = client.definition
        definition.scopes = .none
        #expect(try await store.changeRegistration(definition, uid: client.uid, tokenHash: [3], event: event(.clientChanged)))
        #expect(try await store.deleteRegistration(client.id, uid: client.uid, at: now, event: event(.clientChanged)))
        #expect(try await store.change(account.id, .deleted, event: event()))
    }

    func walkParked(_ name: String) async throws {
        let device = Parked(
            kind: .device, id: Identifier("device-\(name)"), clientID: "web", value: JSONObject([("a", .bool(true))]),
            expiresAt: now + .seconds(60))
        #expect(try await store.park([device], at: now))
        #expect(try await !store.park([device], at: now))
        #expect(try await store.parked(.device, device.id, at: now) == device)
        #expect(try await store.replace(device, at: now))
        #expect(try await store.take(.device, device.id, at: now)?.version == 1)
        for isNew in [true, false] {
            #expect(try await store.spend(Identifier("jti-\(name)"), until: now + .seconds(60), at: now) == isNew)
        }
    }
}
