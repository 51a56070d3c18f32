/// Every reason that a refusal can have: docs/errors.md is printed from this table.
enum ErrorCatalogue {
    struct Section {
        let title: String
        let introduction: String
        /// Slug, what happened, what to do.
        let rows: [(slug: String, meaning: String, remedy: String)]
    }

    static let sections: [Section] = [
        tokens, proofs, signIn, oauth, authorization, tokenRequests, signingOut, registration, requests, gateway, outgoing, operating,
        framing,
    ]

    static var slugs: Set<String> { Set(sections.flatMap { $0.rows.map(\.slug) }) }

    static var page: String {
        var text = """
            # Errors

            <!-- Printed by `gatehouse docs errors`. Edit the table in Sources/gatehouse/ErrorCatalogue.swift. -->

            An error body is `{"error", "error_description", "trace_id"}`. `error` is for programs, the description for developers. The
            **reason** below is for operators: it stands in the log under the trace id and counts in the metrics. Where a client must not
            learn which secret was wrong, several reasons share one answer.

            """
        for section in sections {
            text += "\n## \(section.title)\n\n\(section.introduction)\n\n| reason | what happened | what to do |\n|---|---|---|\n"
            for row in section.rows { text += "| `\(row.slug)` | \(row.meaning) | \(row.remedy) |\n" }
        }
        return text
    }

    private static let tokens = Section(
        title: "Access tokens",
        introduction: """
            `reason` of `/validate`, and in the log where the gateway refuses a token. The first that applies, in this order.
            `gatehouse token explain TOKEN` shows each check.
            """,
        rows: [
            (
                "malformed",
                "No compact JWS with readable header and claims, a claim missing or mistyped, or a life longer than the issuer allows.",
                "Send the access token as it was issued, whole."
            ),
            ("unsupported_algorithm", "The header's `alg` is not the one of the key.", "Use a token from this issuer."),
            ("unknown_key", "No published key has this `kid`.", "Sign in again; the key may have been revoked."),
            ("bad_signature", "The signature does not fit.", "The token was altered or cut."),
            ("wrong_type", "`typ` is not `at+jwt`: another kind of token.", "Send the access token, not an ID or refresh token."),
            ("wrong_issuer", "`iss` is another one.", "Compare with the `issuer` setting, byte by byte."),
            ("not_yet_valid", "`nbf` or `iat` lies ahead by more than the leeway.", "Compare the clocks."),
            ("expired", "`exp` has passed by more than the leeway.", "Refresh."),
            ("revoked", "The session, grant, account, client or token was ended.", "Sign in again."),
            ("wrong_audience", "None of the audiences asked for is in `aud`.", "Ask for the resource when signing in."),
            (
                "proof_required", "The token is bound to a key or a certificate, and no proof of it came along.",
                "`Authorization: DPoP TOKEN` and the header `DPoP`; or the client's certificate."
            ),
            (
                "invalid_proof",
                "The proof does not fit the request or was used before, or the token is bound to something else, or to nothing.",
                "Make a new proof for each request, with the key of the token; send tokens that are not bound as Bearer."
            ),
            ("insufficient_authentication", "The sign-in is too old or too weak for this.", "Sign in again, with a stronger factor."),
            ("insufficient_scope", "A scope that is needed is missing.", "Ask for it when signing in; the roles must grant it."),
            (
                "stale", "The list of revocations was not read for longer than `revocations.max_staleness`.",
                "Look at the store; see /health/ready."
            ),
        ])

    private static let proofs = Section(
        title: "DPoP proofs",
        introduction: "`/validate` says `invalid_proof` for all of them, and `explain` which. In order of precedence.",
        rows: [
            ("proof_malformed", "No JWT of the right form, or without `jwk`, `jti`, `htm`, `htu` or `iat`.", "RFC 9449 section 4.2."),
            ("proof_wrong_type", "`typ` is not `dpop+jwt`.", "Set it."),
            ("proof_unsupported_algorithm", "`alg` is none of ES256, EdDSA, PS256, RS256.", "Use one of them."),
            (
                "proof_secret_key", "`jwk` holds a private or a symmetric key.",
                "Send the public half, and make a new key: this one is known."
            ),
            ("proof_unusable_key", "`jwk` is no key of this algorithm, or an unsafe one.", "P-256, Ed25519, or RSA of 2048 bits and more."),
            ("proof_bad_signature", "The signature is not of the key in `jwk`.", "Sign with that key; RSA up to 4096 bits."),
            ("proof_wrong_method", "`htm` is another method.", "Make a proof for each request."),
            (
                "proof_wrong_url", "`htu` is not the URL of the request as the client sees it.",
                "Compare scheme, host, port and path; behind a proxy see `trusted_proxies`."
            ),
            ("proof_nonce_missing", "A nonce of the server's is asked for.", "Take the one of `DPoP-Nonce`, and send the request again."),
            (
                "proof_wrong_nonce", "The nonce is too old, or not this server's.",
                "Take the one of `DPoP-Nonce`, and send the request again."
            ),
            ("proof_expired", "`iat` is more than 60 s ago.", "Make a proof for each request; compare the clocks."),
            ("proof_not_yet_valid", "`iat` lies more than 60 s ahead.", "Compare the clocks."),
            (
                "proof_missing", "The scheme is DPoP, and there is no `DPoP` header. Not from `/validate`.",
                "Send the proof beside the token."
            ),
            ("proof_repeated", "More than one `DPoP` header. Not from `/validate`.", "Send one."),
            (
                "proofs_overloaded", "So many proofs were used in the last seconds that no other one can be remembered. 503",
                "Look at `gatehouse_proofs_remembered`; add nodes."
            ),
            ("proof_wrong_token", "`ath` is not the hash of the token that came along, or is missing.", "Hash the token that is sent."),
        ])

    private static let signIn = Section(
        title: "Signing in", introduction: "One answer, `invalid_credentials`, stands for the first three.",
        rows: [
            ("account_unknown", "No account has this name.", "Check the spelling."),
            ("password_wrong", "The password is wrong.", "Type it again."),
            ("account_disabled", "The account is disabled.", "`gatehouse user enable NAME`."),
            ("sign_in_throttled", "Too many failures before this try; it was not evaluated.", "Wait as long as `Retry-After` says."),
            ("password_hashing_overloaded", "Too many sign-ins at once.", "Try again; or give `passwords.threads` more cores."),
            ("sign_in_incomplete", "A further factor is needed.", "Complete the sign-in."),
            ("sign_in_expired", "The sign-in took too long.", "Begin again."),
            ("sign_in_cancelled", "The sign-in was cancelled.", "Begin again."),
            ("sign_in_factor_unexpected", "This factor was not asked for.", "Use one that was."),
            ("sign_in_enrolment_needed", "The account lacks a factor that is required.", "Enrol one."),
            ("sign_in_finished", "The sign-in led to a session already.", "Begin again."),
            ("unsupported_mechanism", "This mechanism is not offered.", "Use `password`."),
            ("unknown_provider", "There is no such identity provider.", "Check its name."),
            ("password_too_short", "Shorter than `passwords.length_min`.", "Choose a longer one."),
            ("password_too_long", "Longer than 256 characters.", "Choose a shorter one."),
            ("password_common", "A common password, or one that rests on it.", "Choose another."),
            ("password_contains_username", "It contains the user name or the e-mail address.", "Choose another."),
            ("password_invalid", "It contains a control character.", "Choose another."),
            ("identifier_empty", "The name is empty.", "Give one."),
            ("identifier_too_long", "The name is too long.", "At most 255 bytes; an e-mail address 254."),
            ("identifier_character_forbidden", "A control, invisible or meaningless character.", "Leave it out."),
            ("identifier_confusable", "Letters of scripts that no language mixes.", "Use one script."),
            ("email_malformed", "Not exactly one `@`, or an unusual local part.", "Check the address."),
            ("email_domain_invalid", "The domain is no host name.", "Check the address."),
            (
                "username_is_another_email", "A user name with an `@` must be the account's own address.",
                "Use the address, or a name without `@`."
            ),
            ("account_taken", "The user name or the e-mail address is in use.", "Choose another."),
        ])

    private static let requests = Section(
        title: "Requests", introduction: "What the API itself refuses.",
        rows: [
            ("invalid_request", "The request is not as /openapi.json has it.", "Read `error_description`."),
            ("unknown_member", "The body has a member that is not known here.", "Check its spelling."),
            ("unsupported_media_type", "Not `application/json`.", "Set `Content-Type`."),
            ("json_syntax", "No JSON.", "RFC 8259."), ("json_invalid_utf8", "Not UTF-8, or half a surrogate pair.", "Send UTF-8."),
            ("json_duplicate_member", "A name twice in one object.", "Send it once."),
            ("json_too_deep", "More than 32 levels.", "Send less."),
            ("json_too_many_members", "Too many values.", "Send less."), ("json_too_large", "Too large.", "Send less."),
            ("json_trailing_bytes", "Something follows the value.", "Send one value."),
            ("not_found", "Nothing at this path.", "See /openapi.json."),
            ("method_not_allowed", "The path does not take this method.", "See `Allow`."),
            ("token_missing", "A bearer token is needed.", "Send one."),
            ("session_unknown", "No such live session of this account.", "List them."),
            ("consent_unknown", "The account has allowed this client nothing, or has taken it back.", "List them."),
            ("operator_required", "Only for operators.", "A token with `gatehouse:admin`."),
            ("user_unknown", "No such user.", "`gatehouse user list`."),
            ("key_too_early", "The next key was published too recently to sign.", "Wait as long as `Retry-After` says."),
            ("key_unknown", "No such key in force.", "`gatehouse key list`."),
            ("faulty_resources", "Resource files have mistakes; nothing was changed.", "Read `problems`."),
            ("payload_too_large", "The body is larger than this path takes.", "Send less."),
        ])

    private static let gateway = Section(
        title: "The gateway and forward-auth",
        introduction: "Beside the reasons of access tokens. docs/guides/routes.md has the rules.",
        rows: [
            ("no_route", "No route matches host and path.", "`gatehouse verdict route` tells."),
            ("not_origin_form", "The target does not begin with a slash.", ""), ("path_too_long", "The path is over 4 KiB.", ""),
            ("query_too_long", "The query is over 8 KiB.", ""),
            ("byte_not_allowed", "A backslash, `#`, or a byte outside printable ASCII.", ""),
            ("empty_segment", "Two slashes in a row.", ""), ("dot_segment", "A segment of one or two dots.", ""),
            ("path_parameter", "A `;` in the path.", ""), ("broken_escape", "A `%` without two hexadecimal digits.", ""),
            ("escape_not_allowed", "An escape for what needs none, or must not be hidden.", "Write the character itself."),
            ("escape_not_utf8", "Escapes that are no UTF-8.", ""),
            ("ambiguous_path", "Decoded, the path leads to another route.", "Write it without escapes."),
            ("malformed_host", "Not exactly one good `Host`.", "Send one."), ("malformed_method", "The method is no token.", ""),
            ("credential_missing", "The route needs a token.", "`Authorization: Bearer TOKEN`, or `DPoP TOKEN` with a proof."),
            ("credential_repeated", "Several `Authorization` headers.", "Send one."),
            ("credential_scheme", "Another scheme than Bearer and DPoP.", "Use one of them."),
            ("credential_malformed", "No token behind the scheme.", "Send one."),
            ("role_required", "The route wants a role.", "Grant it, and let the resource `include_roles`."),
            ("client_not_allowed", "The route takes other clients.", "See its `require`."),
            ("not_allowed", "A rule of the route is not met.", "See its `require`."),
            ("invalid_token", "The token is bad.", "The log has the reason."),
            ("identity_not_representable", "A name in the token cannot stand in a header.", "Use `identity: jwt`."),
            ("identity_token_unavailable", "No key to sign the identity with.", "See /health/ready."),
            ("forwarded_by_stranger", "`X-Forwarded-*` from a peer outside `trusted_proxies`.", "Name the proxy there."),
            ("forwarded_incomplete", "Method, URI and host are needed together, each once.", "Configure the proxy."),
            ("decision_unresolved", "What the decision waited for did not come in time.", "See /health/ready."),
            ("upstream_refused", "The service refused the connection, or has no address. 502", "Is it running?"),
            ("upstream_reset", "The service closed the connection without an answer. 502", "See its log."),
            ("upstream_cut", "The service's answer broke off.", "See its log."),
            ("upstream_invalid_answer", "No valid HTTP. 502", "See its log."),
            ("upstream_connect_timeout", "No connection in time. 504", "Look at the network."),
            ("upstream_answer_timeout", "No answer in time. 504", "Look at the service."),
            ("upstream_busy", "All connections to the service are in use. 503", "Scale it."),
            ("client_gone", "The client went away first.", ""),
            ("internal_error", "A fault of the gateway's own.", "Report it, with the trace id."),
        ])

    private static let outgoing = Section(
        title: "Asking other servers",
        introduction: """
            Why a document that a client or a provider names was not fetched. Whoever named it is never told which of these it was.
            `gatehouse verdict address` tells the first sixteen.
            """,
        rows: [
            ("url_malformed", "No absolute URL of visible ASCII up to 2 KiB.", "Write it as RFC 3986 has it."),
            ("url_not_https", "Neither `https`, nor `http` on a loopback address that `outbound.allow` names.", "Use `https`."),
            ("url_credentials", "A user name or password in the URL.", "Leave it out."), ("url_fragment", "A `#`.", "Leave it out."),
            ("url_host", "The host is no name and no address.", "Names in other scripts are written `xn--…`."),
            ("address_spelling", "A number that some read as an address.", "Write IPv4 as four decimal numbers."),
            ("port_not_allowed", "A port beside `outbound.ports`.", "Name the host in `outbound.allow`."),
            ("address_unspecified", "0.0.0.0/8 or `::`.", "Use the real address."),
            ("address_loopback", "The machine itself.", "For a service beside the server: `outbound.allow`."),
            ("address_private", "A private or unique-local address.", "For a service of one's own: `outbound.allow`."),
            ("address_shared", "100.64.0.0/10.", "For a service of one's own: `outbound.allow`."),
            ("address_link_local", "A link-local address.", "Only a range in `outbound.allow` opens it."),
            ("address_metadata", "Where clouds give out credentials.", "Look into it: who named this URL?"),
            ("address_multicast", "A multicast address.", ""), ("address_reserved", "For documentation, tests, or nobody yet.", ""),
            ("address_tunnel", "6to4, Teredo or ISATAP: another address hides in it.", "Use that one."),
            ("fetch_request_malformed", "A header that cannot be sent.", "Report it."),
            ("fetch_overloaded", "Too many fetches, of this host or at all.", "Is the host slow? `outbound.threads`, `outbound.queue`."),
            ("fetch_stopped", "The server is shutting down.", ""), ("fetch_cancelled", "Whoever wanted it went away.", ""),
            ("fetch_unavailable", "libcurl cannot be loaded, or there is no thread.", "Debian's package is `libcurl4`."),
            ("fetch_name_unknown", "The name has no address.", "Check its spelling, and the resolver."),
            ("fetch_not_connected", "Nobody answers at the address.", "Is it running?"),
            ("fetch_not_trusted", "TLS failed, or the certificate is not one of this host.", "`outbound.ca` adds authorities."),
            ("fetch_timed_out", "No whole answer in time.", "`outbound.timeout`; look at the host."),
            ("fetch_connection_lost", "The answer broke off.", "Look at the host."),
            ("fetch_answer_malformed", "No valid HTTP/1.1.", "Look at the host."),
            ("fetch_headers_too_large", "Headers over 32 KiB.", ""), ("fetch_body_too_large", "A body over the bound of its kind.", ""),
            ("fetch_body_encoded", "A compressed body, which nobody asked for.", "Send it as it is."),
            ("fetch_wrong_media_type", "Another media type than those asked for.", "Set `Content-Type`."),
            ("fetch_redirected", "A redirect where none, or no further one, is followed.", "Name the URL that it leads to."),
            ("fetch_redirect_malformed", "A `Location` that is neither a URL nor a path.", ""),
            ("fetch_wrong_status", "Another status than 200.", "Look at the host."),
            ("fetch_content_refused", "The document is not what it should be.", "See the log."),
        ])

    private static let operating = Section(
        title: "Operating", introduction: "",
        rows: [
            ("store_unavailable", "The store cannot be read or written.", "Look at the disk; see the log."),
            ("store_overloaded", "Too many writes wait.", "Look at the disk."),
            ("overloaded", "Too many connections.", "See the limits in docs/configuration.md."),
            ("request_timeout", "The request came too slowly.", ""),
            ("server_error", "A fault of Gatehouse's own.", "Report it, with the trace id."),
        ])

    private static let framing = Section(
        title: "HTTP framing", introduction: "Refused by the listener before anything else looks at it; the connection closes.",
        rows: [
            ("request_line", "Not `METHOD /target HTTP/1.1`.", ""), ("method", "The method is no token.", ""),
            ("target", "Not in origin-form.", ""),
            ("version", "Not HTTP/1.0 or 1.1.", ""), ("uri_too_long", "Request line over 8 KiB.", ""),
            ("headers_too_large", "Headers over 32 KiB.", ""),
            ("too_many_fields", "More than 100 fields.", ""), ("bare_lf", "LF without CR.", ""), ("bare_cr", "CR without LF.", ""),
            ("obsolete_fold", "A folded line.", ""),
            ("space_before_colon", "White space before the colon.", ""), ("field_name", "The name is no token.", ""),
            ("field_value", "A control byte.", ""),
            ("missing_host", "No `Host`.", ""), ("repeated_host", "Two `Host`s.", ""), ("bad_host", "No host name.", ""),
            ("both_lengths", "`Content-Length` and `Transfer-Encoding`.", ""), ("repeated_content_length", "Two lengths.", ""),
            ("content_length", "No number.", ""),
            ("transfer_encoding", "Another coding than `chunked`.", ""),
            ("transfer_encoding_in_1_0", "HTTP/1.0 with `Transfer-Encoding`.", ""),
            ("expectation", "Another expectation than `100-continue`.", ""), ("chunk_size", "A bad chunk size.", ""),
            (
                "client_certificate", "`Client-Cert` of a proxy is no certificate, or stands twice.",
                "RFC 9440; see docs/guides/mutual-tls.md for what each proxy must send."
            ),
            ("chunk_extension", "A chunk extension too long.", ""),
            ("chunk_end", "A chunk without its end.", ""), ("trailer", "Bad or too many trailers.", ""),
            ("status_line", "From a service: no status line.", ""),
        ])
}
