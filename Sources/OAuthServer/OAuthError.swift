/// A refusal in OAuth's words (RFC 6749 §5.2), with the reason that only the operator reads.
package struct OAuthError: Error, Sendable, Equatable {
    /// The codes of the field; made nowhere else.
    package enum Code: String, Sendable, CaseIterable {
        case invalidRequest = "invalid_request"
        case invalidClient = "invalid_client"
        case invalidGrant = "invalid_grant"
        case unauthorizedClient = "unauthorized_client"
        case invalidScope = "invalid_scope"
        /// RFC 8707 §2.
        case invalidTarget = "invalid_target"
        case temporarilyUnavailable = "temporarily_unavailable"
        case serverError = "server_error"
    }

    /// Why, for logs, metrics and docs/errors.md. Never shown to a client that has not proved itself.
    package enum Reason: String, Sendable, CaseIterable {
        case clientUnknown = "client_unknown"
        case clientDisabled = "client_disabled"
        case clientSecretMissing = "client_secret_missing"
        case clientSecretWrong = "client_secret_wrong"
        case clientCredentialsRepeated = "client_credentials_repeated"
        case clientNotFirstParty = "client_not_first_party"
        case scopeMalformed = "scope_malformed"
        case scopeUnknown = "scope_unknown"
        case scopeNotGranted = "scope_not_granted"
        case scopeMixesGatehouse = "scope_mixes_gatehouse"
        case audienceUnknown = "audience_unknown"
        case audienceNotGranted = "audience_not_granted"
        case refreshMalformed = "refresh_malformed"
        case refreshForged = "refresh_forged"
        case refreshGone = "refresh_gone"
        case refreshReplayed = "refresh_replayed"
        case refreshOfAnotherClient = "refresh_of_another_client"
        case refreshOfDisabled = "refresh_of_disabled"
        case storeRollbackDetected = "store_rollback_detected"
        case accountChanged = "account_changed"
        case storeUnavailable = "store_unavailable"
        case storeOverloaded = "store_overloaded"
        case signingUnavailable = "signing_unavailable"
    }

    package var code: Code
    package var reason: Reason
    /// What the client's developer reads.
    package var detail: String

    package init(_ code: Code, _ reason: Reason, _ detail: String) {
        self.code = code
        self.reason = reason
        self.detail = detail
    }
}
