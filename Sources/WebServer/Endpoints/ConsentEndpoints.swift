internal import AuthCore
internal import OAuthServer
package import Store

/// `GET /consents`, `DELETE /consents/{client_id}`: a person sees what they have allowed, and takes it back.
package struct ConsentEndpoints: Sendable {
    private let store: any ConsentStore
    private let clients: ClientDirectory
    private let own: OwnToken

    package init(store: any ConsentStore, clients: ClientDirectory, own: OwnToken) {
        self.store = store
        self.clients = clients
        self.own = own
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint("GET", "/consents") { (request) throws(APIError) in try await list(request) },
            Endpoint("DELETE", "/consents/{client_id}") { (request) throws(APIError) in try await withdraw(request) },
        ]
    }

    private func list(_ request: APIRequest) async throws(APIError) -> ResponseFacts {
        let holder = try await own.holder(request, scope: ScopeCatalogue.accountScope, allowsRefreshToken: true)
        let consents: [Consent]
        do { consents = try await store.consents(of: holder.accountID) } catch { throw APIError(error) }
        var json = JSONWriter()
        json.object {
            $0.array("consents") { list in
                for consent in consents {
                    let name = clients.client(consent.clientID, uid: consent.clientUID)?.definition.metadata.name
                    list.object { item in
                        item.member("client_id", consent.clientID.text)
                        if let name { item.member("client_name", name) }
                        item.member("scope", consent.scope.description)
                        if !consent.details.isEmpty { item.member("authorization_details", JSONValue.array(consent.details)) }
                        item.member("granted_at", consent.grantedAt.seconds)
                    }
                }
            }
        }
        return .json(200, json.bytes)
    }

    private func withdraw(_ request: APIRequest) async throws(APIError) -> ResponseFacts {
        let holder = try await own.holder(request, scope: ScopeCatalogue.accountScope, allowsRefreshToken: true)
        let client = Identifier(request.parameters[0])
        let event = AuditEvent(
            .consentWithdrawn, at: request.now, accountID: holder.accountID, clientID: client, sessionID: holder.sessionID,
            source: request.source, traceID: request.traceID)
        let withdrawn: Bool
        do { withdrawn = try await store.withdrawConsent(of: holder.accountID, client: client, at: request.now, event: event) } catch {
            throw APIError(error)
        }
        guard withdrawn else { throw APIError(404, "not_found", "This client was allowed nothing.", reason: "consent_unknown") }
        return ResponseFacts(status: 204)
    }
}
