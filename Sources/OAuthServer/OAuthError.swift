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
        case unsupportedGrantType = "unsupported_grant_type"
        case unsupportedResponseType = "unsupported_response_type"
        case accessDenied = "access_denied"
        /// OpenID Connect Core §3.1.2.6.
        case loginRequired = "login_required"
        case consentRequired = "consent_required"
        case interactionRequired = "interaction_required"
        case accountSelectionRequired = "account_selection_required"
        case requestNotSupported = "request_not_supported"
        case requestURINotSupported = "request_uri_not_supported"
        case invalidRequestObject = "invalid_request_object"
        case invalidRequestURI = "invalid_request_uri"
        case registrationNotSupported = "registration_not_supported"
        /// OpenID Connect Unmet Authentication Requirements 1.0.
        case unmetAuthenticationRequirements = "unmet_authentication_requirements"
        /// RFC 9396 §5.
        case invalidAuthorizationDetails = "invalid_authorization_details"
        /// RFC 9449 §5, §8.
        case invalidDPoPProof = "invalid_dpop_proof"
        case useDPoPNonce = "use_dpop_nonce"
        /// RFC 8628 §3.5.
        case authorizationPending = "authorization_pending"
        case slowDown = "slow_down"
        case expiredToken = "expired_token"
        /// RFC 7009 §2.2.1.
        case unsupportedTokenType = "unsupported_token_type"
        /// RFC 7591 §3.2.2.
        case invalidRedirectURI = "invalid_redirect_uri"
        case invalidClientMetadata = "invalid_client_metadata"
        case unapprovedSoftwareStatement = "unapproved_software_statement"
        /// RFC 6750 §3.1.
        case invalidToken = "invalid_token"
        case insufficientScope = "insufficient_scope"
        /// RFC 6585 §4, RFC 9126 §2.3: no code of OAuth's; the one of `/login`.
        case tooManyAttempts = "too_many_attempts"
    }

    /// Why, for logs, metrics and docs/errors.md. Never shown to a client that has not proved itself.
    package enum Reason: String, Sendable, CaseIterable {
        case clientUnknown = "client_unknown"
        case clientDisabled = "client_disabled"
        case clientSecretMissing = "client_secret_missing"
        case clientSecretWrong = "client_secret_wrong"
        case clientGuessesLimited = "client_guesses_limited"
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
        case parameterMalformed = "parameter_malformed"
        case parameterRepeated = "parameter_repeated"
        case parameterMissing = "parameter_missing"
        case parameterInvalid = "parameter_invalid"
        case grantTypeUnknown = "grant_type_unknown"
        case grantNotAllowed = "grant_not_allowed"
        case authenticationMethodNotAllowed = "authentication_method_not_allowed"
        case assertionInvalid = "assertion_invalid"
        case assertionReplayed = "assertion_replayed"
        case certificateMissing = "certificate_missing"
        case certificateMismatch = "certificate_mismatch"
        case codeMalformed = "code_malformed"
        case codeGone = "code_gone"
        case codeExpired = "code_expired"
        case codeReplayed = "code_replayed"
        case codeOfAnotherClient = "code_of_another_client"
        case codeOfDisabled = "code_of_disabled"
        case redirectURIMismatch = "redirect_uri_mismatch"
        case redirectURIMissing = "redirect_uri_missing"
        case redirectURIUnregistered = "redirect_uri_unregistered"
        case verifierMismatch = "verifier_mismatch"
        case verifierMalformed = "verifier_malformed"
        case challengeMissing = "challenge_missing"
        case challengeMalformed = "challenge_malformed"
        case challengeMethodNotS256 = "challenge_method_not_s256"
        case senderProofMissing = "sender_proof_missing"
        case senderProofInvalid = "sender_proof_invalid"
        case senderProofReplayed = "sender_proof_replayed"
        case senderNonceNeeded = "sender_nonce_needed"
        case senderKeyMismatch = "sender_key_mismatch"
        case responseTypeUnsupported = "response_type_unsupported"
        case responseModeUnsupported = "response_mode_unsupported"
        case promptConflicting = "prompt_conflicting"
        case signInNeeded = "sign_in_needed"
        case consentNeeded = "consent_needed"
        case assuranceUnmet = "assurance_unmet"
        case deniedByUser = "denied_by_user"
        case hintOfAnother = "hint_of_another"
        case requestObjectInvalid = "request_object_invalid"
        case requestObjectNeeded = "request_object_needed"
        case requestURIUnknown = "request_uri_unknown"
        case requestURISpent = "request_uri_spent"
        case requestURINotRegistered = "request_uri_not_registered"
        case requestURIUnreachable = "request_uri_unreachable"
        case pushedRequestNeeded = "pushed_request_needed"
        case encryptionKeyMissing = "encryption_key_missing"
        case detailsUnknown = "details_unknown"
        case detailsMalformed = "details_malformed"
        case detailsNotGranted = "details_not_granted"
        case tokenNotActive = "token_not_active"
        case tokenNotOfPerson = "token_not_of_person"
        case deviceCodeUnknown = "device_code_unknown"
        case deviceCodeOfAnotherClient = "device_code_of_another_client"
        case deviceCodeExpired = "device_code_expired"
        case devicePending = "device_pending"
        case devicePolledTooSoon = "device_polled_too_soon"
        case userCodeGone = "user_code_gone"
        case tokenTypeUnsupported = "token_type_unsupported"
        case subjectTokenInvalid = "subject_token_invalid"
        case subjectTokenOfAnotherClient = "subject_token_of_another_client"
        case subjectTokenWithoutGrant = "subject_token_without_grant"
        case actorTokenInvalid = "actor_token_invalid"
        case actorNotAllowed = "actor_not_allowed"
        case actorChainTooLong = "actor_chain_too_long"
        case exchangeTargetNotAllowed = "exchange_target_not_allowed"
        case grantAssertionInvalid = "grant_assertion_invalid"
        case grantAssertionReplayed = "grant_assertion_replayed"
        case grantAssertionSubjectUnknown = "grant_assertion_subject_unknown"
        case formExpired = "form_expired"
        case formForeign = "form_foreign"
        case idTokenHintInvalid = "id_token_hint_invalid"
        case logoutRedirectUnregistered = "logout_redirect_unregistered"
        case registrationOff = "registration_off"
        case registrationTokenMissing = "registration_token_missing"
        case registrationTokenInvalid = "registration_token_invalid"
        case registrationLimited = "registration_limited"
        case registrationFull = "registration_full"
        case registrationAccessInvalid = "registration_access_invalid"
        case clientMetadataInvalid = "client_metadata_invalid"
        case redirectURIInvalid = "redirect_uri_invalid"
        case softwareStatementUntrusted = "software_statement_untrusted"
        case introspectionLimited = "introspection_limited"
        case pushedRequestsLimited = "pushed_requests_limited"
        case clientDocumentURLInvalid = "client_document_url_invalid"
        case clientDocumentHostNotAllowed = "client_document_host_not_allowed"
        case clientDocumentUnreachable = "client_document_unreachable"
        case clientDocumentInvalid = "client_document_invalid"
    }

    package var code: Code
    package var reason: Reason
    /// What the client's developer reads: of the characters that `error_description` may have (RFC 6749 §4.1.2.1, §5.2).
    package let detail: String
    /// When to try again, where that is known.
    package var retryAfter: Duration?

    package init(_ code: Code, _ reason: Reason, _ detail: String) {
        self.code = code
        self.reason = reason
        self.detail = OAuthError.printable(detail)
    }

    /// Texts quote what was sent, and name sections.
    private static func printable(_ text: String) -> String {
        if text.utf8.allSatisfy({ (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) { return text }
        var printable = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": printable += "'"
            case "§": printable += "section "
            case "\u{20}"..."\u{7E}": printable.unicodeScalars.append(scalar)
            default: printable += "?"
            }
        }
        return printable
    }

    /// 429: nothing of the request was looked at.
    package init(limited reason: Reason, for wait: Duration) {
        self.init(.tooManyAttempts, reason, "Too many attempts. Try again later.")
        retryAfter = wait
    }
}
