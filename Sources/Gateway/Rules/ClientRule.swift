internal import AuthCore
internal import TokenVerification

/// `require.client`: the token was issued to one of these clients (`client_id`).
struct ClientRule: AccessRule {
    let clients: [Identifier]

    var reason: String { "client_not_allowed" }

    func isMet(by token: AccessToken) -> Bool { clients.contains(token.clientID) }
}
