// The sections of the OAuth server.
extension ErrorCatalogue {
    static let oauth = Section(
        title: "Clients, scopes and refresh tokens",
        introduction: "One answer, `invalid_grant`, stands for all that begin with `refresh_`.",
        rows: [
            ("client_unknown", "No such client.", "Check `client_id`."),
            ("client_disabled", "The client is disabled.", "`gatehouse client enable ID`."),
            ("client_secret_missing", "A confidential client came without its secret.", "Send it by HTTP Basic or as `client_secret`."),
            ("client_secret_wrong", "The secret fits none in force.", "`gatehouse client rotate-secret ID`."),
            (
                "client_guesses_limited",
                "Too many wrong secrets of this client from this address, or of all clients; the one that came was not looked at. 429",
                "`client_guesses_limited` in the log names both. Wait as long as `Retry-After` says; behind a proxy set `trusted_proxies`."
            ),
            (
                "introspection_limited", "The client was told of as many inactive tokens as it is in a minute. 429",
                "Find what it asks about; `introspection.inactive_per_minute`."
            ),
            ("client_credentials_repeated", "More than one way of authentication.", "Use one."),
            ("client_not_first_party", "The client lacks `login` in `grants`.", "Only first-party clients may have it."),
            (
                "client_required", "`/validate` or the event stream wants a confidential client.",
                "HTTP Basic; for `/validate` see `validate.require_client`."
            ),
            (
                "not_ready", "The node does not have yet what it answers from: since its start no database or auth node has told it.",
                "`/health/ready` says why; in the log `storage_awaited` or `control_plane_lost`."
            ),
            (
                "too_many_readers", "The event stream has as many readers as it takes, of this client or of all.",
                "Look for readers that leak."
            ),
            ("scope_malformed", "Not names separated by single spaces.", "RFC 6749 section 3.3."),
            ("scope_unknown", "No resource owns this scope.", "Check its name."),
            ("scope_not_granted", "None of the scopes is granted to this account and client.", "Look at roles and the client's `scopes`."),
            ("scope_mixes_gatehouse", "Gatehouse's own scopes stand alone.", "Ask for a token of its own."),
            ("audience_unknown", "No such resource.", "Check `audience`."),
            ("audience_not_granted", "No scope of this resource is granted.", "Look at roles and the client's `scopes`."),
            ("refresh_malformed", "No refresh token of ours.", "Send it whole."),
            ("refresh_forged", "The tag fits and the MAC does not.", "Look into it: only a holder of a master key makes such a tag."),
            ("refresh_gone", "Expired, revoked, or its session has ended.", "Sign in again."),
            (
                "refresh_replayed", "It was used up before; the grant is revoked now.",
                "Sign in again. If nobody copied it, see the guide on refresh windows."
            ),
            ("refresh_of_another_client", "It was issued to another client.", "Use the right `client_id`."),
            ("refresh_of_disabled", "Account, client or session is no longer in force.", "Sign in again."),
            (
                "store_rollback_detected", "The token is newer than the store: the store has lost writes.",
                "Was a backup restored? Look into it at once."
            ),
            ("account_changed", "The account changed during the sign-in.", "Sign in again."),
            ("signing_unavailable", "There is no key to sign with.", "See /health/ready and the log."),
        ])

    static let authorization = Section(
        title: "OAuth: authorization requests",
        introduction:
            "What cannot be sent back to the client is shown on a page, with the trace id.",
        rows: [
            (
                "parameter_malformed", "Not a form, or a broken escape, a NUL, bytes that are no UTF-8, or too many parameters.",
                "`application/x-www-form-urlencoded`, at most 128 parameters in 64 KiB."
            ),
            ("parameter_repeated", "The same parameter twice.", "Once; only `resource` and `audience` may repeat."),
            ("parameter_missing", "A parameter that is needed is not there, or empty.", "`error_description` names it."),
            ("parameter_invalid", "A parameter has a value that it cannot have.", "`error_description` names it."),
            ("redirect_uri_missing", "The request names no redirect URI, and must.", "Send it; OpenID Connect always wants it."),
            (
                "redirect_uri_unregistered", "The redirect URI is none of the client's, byte by byte.",
                "Compare with `redirect_uris`; only the port of a loopback address of a `native` client may vary."
            ),
            ("response_type_unsupported", "Another `response_type` than `code`.", "The code flow with PKCE."),
            (
                "response_mode_unsupported", "A `response_mode` that is not offered.",
                "`query`, `form_post`, `jwt`, `query.jwt` or `form_post.jwt`."
            ),
            ("challenge_missing", "No `code_challenge`.", "Use PKCE (RFC 7636); every library has it."),
            ("challenge_malformed", "The `code_challenge` is not the base64url of a SHA-256.", "43 characters without padding."),
            ("challenge_method_not_s256", "`code_challenge_method` is missing or `plain`.", "`S256`."),
            (
                "pushed_requests_limited", "The client has pushed as many requests as it may in a minute. 429",
                "`par.per_minute`; a public client is counted by address."
            ),
            ("prompt_conflicting", "`prompt=none` with another value.", "Send it alone."),
            ("sign_in_needed", "`prompt=none`, and nobody is signed in, or not recently enough.", "Send the person without `prompt=none`."),
            ("consent_needed", "`prompt=none`, and the person has not agreed to this yet.", "Send the person without `prompt=none`."),
            (
                "hint_of_another", "Somebody else is signed in than the request asks for.",
                "Send the person with `prompt=login` or `select_account`."
            ),
            ("assurance_unmet", "The sign-in does not reach an `acr` that is essential.", "A stronger factor, or a weaker wish."),
            ("denied_by_user", "The person cancelled, or did not agree.", "Nothing: it is their answer."),
            (
                "user_code_gone", "The code of the device was used, or has expired, while the person was on the way.",
                "Begin again on the device."
            ),
            ("form_expired", "More than an hour between the first page and this one.", "Begin again at the application."),
            (
                "form_foreign", "A form of another browser, another site or another way; or cookies are refused.",
                "Begin again at the application. If it is frequent, look at the proxy: cookies and `Sec-Fetch-Site` must come through."
            ),
            ("pushed_request_needed", "The client must push its requests and sent one by itself.", "`POST /par` first."),
            (
                "request_uri_unknown", "No such pushed request: expired, spent, another client's, or never given out.",
                "Push a new one; they last 300 s."
            ),
            ("request_uri_spent", "The pushed request was used while the person was on the way.", "Push a new one for each sign-in."),
            (
                "request_uri_not_registered", "An address that the client's `request_uris` do not have.",
                "Add it there, or send the object itself in `request`."
            ),
            (
                "request_uri_unreachable", "The request object cannot be read at its registered address; the log says why.",
                "It is served as `application/oauth-authz-req+jwt`, at most 16 KiB, at an address that `outbound.allow` lets through."
            ),
            ("request_object_invalid", "The request object cannot be believed: signature, `iss`, `aud` or times.", "RFC 9101 section 10."),
            ("request_object_needed", "The client must sign its requests and sent a plain one.", "Send `request`, or push one."),
            (
                "details_unknown", "A type of `authorization_details` that is not known, or not the client's.",
                "See its `authorization_details_types`."
            ),
            (
                "details_not_granted",
                "`authorization_details` of a token request has one that the grant does not have, or the grant has none.",
                "Ask for them in the authorization request; a token can have fewer of them, each as it was granted (RFC 9396 section 6)."
            ),
            ("details_malformed", "`authorization_details` is no array of objects with a `type`.", "RFC 9396 section 2."),
        ])

    static let tokenRequests = Section(
        title: "OAuth: the endpoints of clients",
        introduction:
            "Of `/token`, `/par`, `/introspect`, `/revoke` and `/userinfo`. One answer, `invalid_grant`, stands for all that begin with `code_` and for what a code or a refresh token is bound to.",
        rows: [
            ("grant_type_unknown", "No such `grant_type` here.", "See `grant_types_supported` in the metadata."),
            ("grant_not_allowed", "The client's `grants` do not have it.", "Add it there, if the client shall have it."),
            (
                "authentication_method_not_allowed", "The secret is right, and the client should have proved itself in another way.",
                "See its `token_endpoint_auth_method`."
            ),
            (
                "assertion_invalid", "The client's assertion cannot be believed: signature, `iss`, `sub`, `aud` or times.",
                "RFC 7523 section 3; compare the clocks."
            ),
            ("assertion_replayed", "The assertion was used before.", "A new `jti` for each request."),
            ("certificate_missing", "The client must show a certificate and showed none.", "Behind a proxy, see `trusted_proxies`."),
            (
                "certificate_mismatch", "The certificate is not the client's, or not the one that the token is bound to.",
                "Compare with `tls_client_auth_…` or `jwks`."
            ),
            ("code_malformed", "No code of ours.", "Send it whole, and decoded."),
            ("code_gone", "No such code: its grant ended, or was revoked.", "Begin again."),
            ("code_expired", "The code is older than `tokens.code_ttl`.", "Redeem it at once; compare the clocks."),
            (
                "code_replayed", "It was redeemed before; what was bought with it is revoked.",
                "Begin again. If the client does not send it twice, somebody has copied it: look into it."
            ),
            ("code_of_another_client", "It was given to another client.", "Look into it: codes of one client should not reach another."),
            ("code_of_disabled", "Account, client or session is no longer in force.", "Sign in again."),
            (
                "redirect_uri_mismatch", "`redirect_uri` is not the one of the authorization request.",
                "Send the same one; leave it out if the request had none."
            ),
            (
                "verifier_mismatch", "`code_verifier` does not fit the challenge, is missing, or came where no challenge was.",
                "Keep the verifier with the `state` of its request. From strangers: a stolen code."
            ),
            ("verifier_malformed", "`code_verifier` is not 43 to 128 unreserved characters.", "RFC 7636 section 4.1."),
            ("sender_proof_missing", "The client's tokens must be bound to a key, and no proof came.", "Send a `DPoP` header."),
            ("sender_proof_invalid", "The proof does not fit the request.", "Make a new proof for each request."),
            ("sender_proof_replayed", "The proof was used before.", "A new `jti` for each request."),
            ("sender_nonce_needed", "The proof has no nonce of ours, or an old one.", "Repeat with the one in `DPoP-Nonce`."),
            (
                "sender_key_mismatch", "The proof is of another key than the code or the refresh token is bound to.",
                "Use the key of the first request; if it is lost, sign in again."
            ),
            (
                "encryption_key_missing", "The client registered for encrypted answers, and no key of its own fits.",
                "Look at its `jwks` or `jwks_uri`, `use` and `alg`."
            ),
            ("device_code_unknown", "No such device code: redeemed before, or never given out.", "Begin again at `/device_authorization`."),
            ("device_code_of_another_client", "The device code was given to another client.", "Look into it: somebody has copied it."),
            ("device_code_expired", "Nobody agreed within ten minutes.", "Begin again at `/device_authorization`."),
            ("device_pending", "Nobody has answered yet.", "Ask again after `interval` seconds."),
            ("device_polled_too_soon", "The device asks more often than every `interval` seconds.", "Wait five seconds longer, each time."),
            (
                "token_type_unsupported", "A type of token that is not exchanged here.",
                "`urn:ietf:params:oauth:token-type:access_token`, for the subject, the actor and what is asked for."
            ),
            (
                "subject_token_invalid", "The token to be exchanged is not good, or what it stands for has ended.",
                "`gatehouse token explain TOKEN` says why."
            ),
            ("subject_token_of_another_client", "The client may not exchange tokens of this one.", "See its `exchange_clients`."),
            (
                "subject_token_without_grant", "The token is another client's own: nothing but that client could end it.",
                "Exchange tokens of people, or one's own."
            ),
            ("actor_token_invalid", "The token of the actor is not good.", "As for `subject_token_invalid`."),
            (
                "actor_not_allowed", "`may_act` names somebody else, or the token of the actor has an actor itself.",
                "RFC 8693 sections 4.1 and 4.4."
            ),
            (
                "actor_chain_too_long", "More than four parties would act for one another.",
                "Pass the token on from nearer to its beginning."
            ),
            ("exchange_target_not_allowed", "The client may not exchange tokens for this resource.", "See its `exchange_audiences`."),
            (
                "grant_assertion_invalid", "The assertion cannot be believed: signature, `iss`, `aud`, `typ` or times.",
                "RFC 7523 section 3; compare `assertion_issuer` and the clocks."
            ),
            ("grant_assertion_replayed", "The assertion was used before.", "A new `jti` for each one."),
            (
                "grant_assertion_subject_unknown", "No account that is in force has the `sub` of the assertion as its user name.",
                "Make the account, or let the issuer say its user name."
            ),
            ("token_not_active", "The token was good and what it stands for has ended.", "Sign in again."),
            (
                "token_not_of_person", "The token is a client's own: there is no person behind it.",
                "Use a token from the code flow with `openid`."
            ),
        ])

    static let registration = Section(
        title: "Registration of clients",
        introduction: """
            `/register` (RFC 7591, RFC 7592), and clients whose id is the URL of a document.
            """,
        rows: [
            ("registration_off", "A client wants to register, and nobody may.", "The setting `registration.policy`, if it may."),
            (
                "registration_token_missing", "A client wants to register without an initial access token.",
                "`gatehouse client registration-token`, sent as a bearer token."
            ),
            (
                "registration_token_invalid", "The initial access token is unknown, used up or expired.",
                "Make another one: `gatehouse client registration-token --uses N --ttl 7d`."
            ),
            (
                "registration_limited", "More registrations from one address within an hour than `registration.per_source`.",
                "Find out who registers; a client registers once and keeps what it gets."
            ),
            (
                "registration_full", "As many clients as `registration.clients_max` have registered, and none of them lies unused.",
                "`gatehouse client list`; raise the setting, or lower `registration.unused_ttl`."
            ),
            (
                "registration_access_invalid", "No such registered client, or not its registration access token.",
                "The client sends the token that it was given when it registered; a lost one means registering again."
            ),
            (
                "client_metadata_invalid", "A member of what a client registers is malformed, not offered, or does not go with another.",
                "The description that the client gets names the member."
            ),
            (
                "redirect_uri_invalid", "A redirect URI that nobody may register, or none.",
                "`https`, `http` on loopback, or for native apps a scheme like `com.example.app:/`; no fragment, no wildcard."
            ),
            (
                "software_statement_untrusted", "A client registers with a software statement, and no issuer of them is trusted.",
                "Register without it."
            ),
            (
                "client_document_url_invalid", "A `client_id` that is a URL, but none that may name a document.",
                "`https://HOST/PATH`, host in lower case, without fragment, credentials and dot segments."
            ),
            (
                "client_document_host_not_allowed", "The document's host is not in `registration.document_hosts`.",
                "Add it if its clients are wanted."
            ),
            (
                "client_document_unreachable", "The document cannot be fetched, or is no JSON object; `problem` in the log says why.",
                "It must come from its URL itself, without redirect, as `application/json`, at most 32 KiB, and from a public address."
            ),
            (
                "client_document_invalid", "The document names another `client_id`, has a secret, or has what could not be registered.",
                "The page says what; the client's author mends it."
            ),
        ])

    static let signingOut = Section(
        title: "Signing out",
        introduction: """
            `logout_not_delivered` in the log has `status_` and the number for an answer other than 200 and 204, or a reason of asking \
            other servers.
            """,
        rows: [
            (
                "id_token_hint_invalid", "No ID token of this issuer, or of another client than `client_id`.",
                "Send the ID token as it was issued; it may have expired."
            ),
            (
                "logout_redirect_unregistered", "The address is not one of the client's `post_logout_redirect_uris`, byte by byte.",
                "Register it, and send `id_token_hint` or `client_id`."
            ),
        ])
}
