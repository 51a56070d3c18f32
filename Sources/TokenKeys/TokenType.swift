extension SigningKeys {
    /// What a token is, in its header's `typ` (RFC 8725 §3.11), so that one kind is not taken for another.
    package enum TokenType: Sendable, CaseIterable {
        /// RFC 9068 §2.1.
        case accessToken
        /// What the gateway hands to a service behind it for `identity: jwt`.
        case identity
        /// OpenID Connect Core §2, which names no type: what every client expects is `JWT`.
        case idToken
        /// OpenID Connect Back-Channel Logout §2.4.
        case logoutToken
        /// JARM §2.1, the answer of the authorization endpoint; again without a type of its own.
        case authorizationResponse
        /// RFC 9701 §5.
        case introspectionResponse
        /// OpenID Connect Core §5.3.2, without a type of its own.
        case userInfo

        package var headerValue: String {
            switch self {
            case .accessToken: "at+jwt"
            case .identity: "identity+jwt"
            case .logoutToken: "logout+jwt"
            case .introspectionResponse: "token-introspection+jwt"
            case .idToken, .authorizationResponse, .userInfo: "JWT"
            }
        }
    }
}
