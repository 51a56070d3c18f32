package import AuthCore
package import Store
package import TokenVerification

/// What a client learns of the person behind a token (OpenID Connect Core §5.3).
package struct UserInfo: Sendable {
    private let store: any AccountStore & GrantStore & ClientStore
    private let subjects: SubjectIdentifiers

    package init(store: any AccountStore & GrantStore & ClientStore, subjects: SubjectIdentifiers) {
        self.store = store
        self.subjects = subjects
    }

    /// - Parameter token: Verified, and with the scope `openid`.
    /// - Returns: `sub`, and what its scopes and the parameter `claims` ask for.
    package func claims(of token: AccessToken) async throws(OAuthError) -> (client: Client, members: JSONObject) {
        guard let grantID = token.grantID else {
            throw OAuthError(.invalidToken, .tokenNotOfPerson, "The token stands for no person.")
        }
        let (grant, account, client): (Grant?, Account?, Client?)
        do {
            grant = try await store.grant(grantID)
            account = if let id = grant?.accountID { try await store.account(id: id) } else { nil }
            client = try await store.client(token.clientID)
        } catch { throw OAuthError(storeError: error) }
        guard let grant, let account, let client, !account.isDisabled else {
            throw OAuthError(.invalidToken, .tokenNotActive, "The token is not valid any more.")
        }
        let asked = RequestedClaims(grant.binding?.claims?["userinfo"]?.object)
        let known = PersonClaims.of(account)
        var members = JSONObject([("sub", .string(subjects.identifier(of: account, for: client, grant: grant).text))])
        for (scope, names) in PersonClaims.byScope {
            let isGranted = token.scope.contains(scope)
            for (name, value) in known where names.contains(where: { $0.isSameBytes(as: name) }) {
                if isGranted || asked.contains(name) { members[name] = value }
            }
        }
        for (name, value) in client.definition.metadata.claims.claims(of: account, scope: token.scope) { members[name] = value }
        return (client, members)
    }
}
