package import AuthCore
package import Store

/// The device authorization endpoint (RFC 8628 §3.1, §3.2).
package struct DeviceAuthorizationEndpoint: Sendable {
    package struct Begun: Sendable {
        package let deviceCode: Secret<String>
        package let userCode: UserCode
        package let verificationURI: String
        package let expiresIn: Duration
        /// Seconds between two polls.
        package let interval: Int64

        package var verificationURIComplete: String { "\(verificationURI)?user_code=\(userCode.shown)" }
    }

    package static let lifetime = Duration.seconds(600)
    package static let interval: Int64 = 5
    /// How much longer than its codes the record stays.
    private static let keep = Duration.seconds(600)
    /// Two of 20⁸ meet seldom; that many times in a row never.
    private static let triesMax = 8

    private let clients: ClientAuthentication
    private let policies: ScopePolicies
    private let store: any ParkedStore
    private let issuer: TokenIssuer

    package init(clients: ClientAuthentication, policies: ScopePolicies, store: any ParkedStore, issuer: TokenIssuer) {
        self.clients = clients
        self.policies = policies
        self.store = store
        self.issuer = issuer
    }

    package func respond(to request: OAuthRequest) async throws(OAuthError) -> Begun {
        let client = try await clients.authenticate(request).client
        guard client.definition.grants.contains(.deviceCode) else {
            throw OAuthError(.unauthorizedClient, .grantNotAllowed, "This client may not use the device flow.")
        }
        if request.parameters["authorization_details"] != nil { throw OAuthError.detailsNotTaken }
        let resources = try request.parameters.resources()
        let scope = try await policies.checked(try request.parameters.scope(), resources: resources, for: client)
        let deviceCode = DeviceCode(issuer.environment)
        let record = DeviceRecord(
            clientUID: client.uid, scope: scope, resources: resources, endsAt: request.now + DeviceAuthorizationEndpoint.lifetime,
            interval: DeviceAuthorizationEndpoint.interval)
        let device = Parked(
            kind: .device, id: deviceCode.id, clientID: client.id, value: record.json,
            expiresAt: record.endsAt + DeviceAuthorizationEndpoint.keep)
        for _ in 0..<DeviceAuthorizationEndpoint.triesMax {
            let userCode = UserCode(issuer.environment)
            let way = Parked(
                kind: .userCode, id: userCode.id, clientID: client.id, value: JSONObject([("device", .string(device.id.text))]),
                expiresAt: record.endsAt)
            let isParked: Bool
            do { isParked = try await store.park([device, way], at: request.now) } catch { throw OAuthError(storeError: error) }
            if isParked {
                return Begun(
                    deviceCode: deviceCode.text, userCode: userCode,
                    verificationURI: issuer.issuer.text + ServerMetadata.Path.device,
                    expiresIn: DeviceAuthorizationEndpoint.lifetime, interval: record.interval)
            }
        }
        throw OAuthError(.temporarilyUnavailable, .storeOverloaded, "There are too many devices waiting. Try again soon.")
    }
}
