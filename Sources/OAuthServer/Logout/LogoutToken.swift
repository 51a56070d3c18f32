internal import AuthCore
internal import Store
internal import TokenKeys
internal import TokenVerification

extension TokenIssuer {
    /// How long a logout token is good: it is made when it is sent (Back-Channel Logout §2.4 recommends two minutes at most).
    static let logoutTokenLifetime = Duration.seconds(120)

    /// Tells a client that a session ended (Back-Channel Logout §2.4): `sub` and `sid`, never a `nonce`, signed and
    /// encrypted as its ID tokens are.
    func logoutToken(_ logout: PendingLogout, to client: Client, at now: Instant) async throws(OAuthError) -> Secret<String> {
        var json = JSONWriter()
        json.object {
            $0.member("iss", issuer.text)
            $0.member("sub", subjects.identifier(ofAccount: logout.accountID, for: client).text)
            $0.member("aud", client.id.text)
            $0.member("iat", now.seconds)
            $0.member("exp", (now + TokenIssuer.logoutTokenLifetime).seconds)
            $0.member("jti", Base64URL.encode(environment.randomBytes(16)))
            $0.member("sid", logout.sessionID.text)
            $0.member("events", .object(JSONObject([("http://schemas.openid.net/event/backchannel-logout", .object(JSONObject()))])))
        }
        let signed = try sign(json.bytes, as: .logoutToken, algorithm: SignatureAlgorithm(rawValue: client.idTokenAlgorithm))
        return try await encrypted(signed, client.definition.metadata.idTokenEncryption, for: client)
    }
}
