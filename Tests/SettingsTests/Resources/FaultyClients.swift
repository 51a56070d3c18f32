import Testing

// Clients: each member with values that it does not take.
extension FaultyText {
    static let clientMembers: [FaultyText] = [
        .init(
            #"clients: [{id: a, public: true, grants: [login], claims: {sub: {value: root}}}]"#,
            #"resources.yaml:1:58: clients[0].claims: names sub, which no rule may write"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], workload_issuer: 'http://a.example'}]"#,
            #"resources.yaml:1:67: clients[0].workload_issuer: is http on a host that is not loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], workload_subject: ''}]"#,
            #"resources.yaml:1:68: clients[0].workload_subject: is no text"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], workload_jwks_uri: 'javascript:alert(1)'}]"#,
            #"resources.yaml:1:69: clients[0].workload_jwks_uri: is neither https://… nor http:// on loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], client_name: "a\u202Eb"}]"#,
            #"resources.yaml:1:63: clients[0].client_name: has characters that cannot be shown"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], client_name: [a]}]"#,
            #"resources.yaml:1:63: clients[0].client_name: is a list, where text, at most 128 characters is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], client_name: ''}]"#,
            #"resources.yaml:1:63: clients[0].client_name: is no text"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], client_uri: 'http://a.example'}]"#,
            #"resources.yaml:1:62: clients[0].client_uri: is http on a host that is not loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], client_uri: 'javascript:alert(1)'}]"#,
            #"resources.yaml:1:62: clients[0].client_uri: is neither https://… nor http:// on loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], logo_uri: 'data:image/png;base64,AA'}]"#,
            #"resources.yaml:1:60: clients[0].logo_uri: is neither https://… nor http:// on loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], policy_uri: 'http://a.example'}]"#,
            #"resources.yaml:1:62: clients[0].policy_uri: is http on a host that is not loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], policy_uri: 'javascript:alert(1)'}]"#,
            #"resources.yaml:1:62: clients[0].policy_uri: is neither https://… nor http:// on loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], tos_uri: 'http://a.example'}]"#,
            #"resources.yaml:1:59: clients[0].tos_uri: is http on a host that is not loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], tos_uri: 'javascript:alert(1)'}]"#,
            #"resources.yaml:1:59: clients[0].tos_uri: is neither https://… nor http:// on loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], backchannel_logout_uri: 'http://a.example'}]"#,
            #"resources.yaml:1:74: clients[0].backchannel_logout_uri: is http on a host that is not loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], backchannel_logout_uri: 'javascript:alert(1)'}]"#,
            #"resources.yaml:1:74: clients[0].backchannel_logout_uri: is neither https://… nor http:// on loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], frontchannel_logout_uri: 'http://a.example'}]"#,
            #"resources.yaml:1:75: clients[0].frontchannel_logout_uri: is http on a host that is not loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], frontchannel_logout_uri: 'javascript:alert(1)'}]"#,
            #"resources.yaml:1:75: clients[0].frontchannel_logout_uri: is neither https://… nor http:// on loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], sector_identifier_uri: 'http://a.example'}]"#,
            #"resources.yaml:1:73: clients[0].sector_identifier_uri: is http on a host that is not loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], sector_identifier_uri: 'javascript:alert(1)'}]"#,
            #"resources.yaml:1:73: clients[0].sector_identifier_uri: is neither https://… nor http:// on loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], jwks_uri: 'http://a.example'}]"#,
            #"resources.yaml:1:60: clients[0].jwks_uri: is http on a host that is not loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], jwks_uri: 'javascript:alert(1)'}]"#,
            #"resources.yaml:1:60: clients[0].jwks_uri: is neither https://… nor http:// on loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], client_uri: 'https://a@b/'}]"#,
            #"resources.yaml:1:62: clients[0].client_uri: has a user name or password"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], client_uri: 'https://a/../b'}]"#,
            #"resources.yaml:1:62: clients[0].client_uri: has a dot segment"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], client_uri: 'https://a:080/'}]"#,
            #"resources.yaml:1:62: clients[0].client_uri: has no valid host in lower case, or no valid port"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], client_uri: 'https://a/#b'}]"#,
            #"resources.yaml:1:62: clients[0].client_uri: has a fragment"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], application_type: browser}]"#,
            #"resources.yaml:1:68: clients[0].application_type: is none of web, native"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], first_party: yes}]"#,
            #"resources.yaml:1:63: clients[0].first_party: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], first_party: 'true'}]"#,
            #"resources.yaml:1:63: clients[0].first_party: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], backchannel_logout_session_required: yes}]"#,
            #"resources.yaml:1:87: clients[0].backchannel_logout_session_required: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], backchannel_logout_session_required: 'true'}]"#,
            #"resources.yaml:1:87: clients[0].backchannel_logout_session_required: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], frontchannel_logout_session_required: yes}]"#,
            #"resources.yaml:1:88: clients[0].frontchannel_logout_session_required: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], frontchannel_logout_session_required: 'true'}]"#,
            #"resources.yaml:1:88: clients[0].frontchannel_logout_session_required: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], require_signed_request_object: yes}]"#,
            #"resources.yaml:1:81: clients[0].require_signed_request_object: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], require_signed_request_object: 'true'}]"#,
            #"resources.yaml:1:81: clients[0].require_signed_request_object: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], require_pushed_authorization_requests: yes}]"#,
            #"resources.yaml:1:89: clients[0].require_pushed_authorization_requests: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], require_pushed_authorization_requests: 'true'}]"#,
            #"resources.yaml:1:89: clients[0].require_pushed_authorization_requests: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], require_auth_time: yes}]"#,
            #"resources.yaml:1:69: clients[0].require_auth_time: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], require_auth_time: 'true'}]"#,
            #"resources.yaml:1:69: clients[0].require_auth_time: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], dpop_bound_access_tokens: yes}]"#,
            #"resources.yaml:1:76: clients[0].dpop_bound_access_tokens: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], dpop_bound_access_tokens: 'true'}]"#,
            #"resources.yaml:1:76: clients[0].dpop_bound_access_tokens: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], tls_client_certificate_bound_access_tokens: yes}]"#,
            #"resources.yaml:1:94: clients[0].tls_client_certificate_bound_access_tokens: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], tls_client_certificate_bound_access_tokens: 'true'}]"#,
            #"resources.yaml:1:94: clients[0].tls_client_certificate_bound_access_tokens: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], exchange_impersonates: yes}]"#,
            #"resources.yaml:1:73: clients[0].exchange_impersonates: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], exchange_impersonates: 'true'}]"#,
            #"resources.yaml:1:73: clients[0].exchange_impersonates: is text, where true, false is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], profile: fapi-1.0}]"#,
            #"resources.yaml:1:59: clients[0].profile: is none of oauth-2.1, fapi-2.0, mcp, legacy"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], token_endpoint_auth_method: secret}]"#,
            #"resources.yaml:1:78: clients[0].token_endpoint_auth_method: is none of none, client_secret_basic, client_secret_post, client_secret_jwt, private_key_jwt, tls_client_auth, self_signed_tls_client_auth"#
        ),
        .init(
            #"clients: [{id: a, public: true, grants: [login], token_endpoint_auth_signing_alg: none}]"#,
            #"resources.yaml:1:83: clients[0].token_endpoint_auth_signing_alg: is none of RS256, PS256, ES256, EdDSA, HS256"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], jwks: 'https://a'}]"#,
            #"resources.yaml:1:56: clients[0].jwks: is text, where JWK set is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], jwks: {}}]"#,
            #"resources.yaml:1:56: clients[0].jwks: is no JWK set of 1 to 64 keys"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], jwks: {keys: []}}]"#,
            #"resources.yaml:1:56: clients[0].jwks: is no JWK set of 1 to 64 keys"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], jwks: {keys: [{kid: a}]}}]"#,
            #"resources.yaml:1:56: clients[0].jwks: has an element that is no JWK"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], jwks: {keys: [{kty: EC, d: x}]}}]"#,
            #"resources.yaml:1:56: clients[0].jwks: has private keys; a client gives its public ones only"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], jwks: {keys: [{kty: oct, k: x}]}}]"#,
            #"resources.yaml:1:56: clients[0].jwks: has private keys; a client gives its public ones only"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], tls_client_auth_subject_dn: "a\u0007b"}]"#,
            #"resources.yaml:1:78: clients[0].tls_client_auth_subject_dn: has control characters"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], tls_client_auth_san_dns: "a\u0007b"}]"#,
            #"resources.yaml:1:75: clients[0].tls_client_auth_san_dns: has control characters"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], tls_client_auth_san_uri: "a\u0007b"}]"#,
            #"resources.yaml:1:75: clients[0].tls_client_auth_san_uri: has control characters"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], tls_client_auth_san_ip: "a\u0007b"}]"#,
            #"resources.yaml:1:74: clients[0].tls_client_auth_san_ip: has control characters"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], tls_client_auth_san_email: "a\u0007b"}]"#,
            #"resources.yaml:1:77: clients[0].tls_client_auth_san_email: has control characters"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], post_logout_redirect_uris: 'https://a'}]"#,
            #"resources.yaml:1:77: clients[0].post_logout_redirect_uris: is text, where list of URLs is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], post_logout_redirect_uris: ['https://a/*']}]"#,
            #"resources.yaml:1:77: clients[0].post_logout_redirect_uris: has a *; redirect targets are compared byte by byte"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], post_logout_redirect_uris: ['https://a/?x=1&state=2']}]"#,
            #"resources.yaml:1:77: clients[0].post_logout_redirect_uris: has state in its query, which stands in answers (RFC 6749 §3.1)"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], post_logout_redirect_uris: ['data:text/html,x']}]"#,
            #"resources.yaml:1:77: clients[0].post_logout_redirect_uris: is neither https://… nor http:// on loopback nor a scheme of an app's own (com.example.app:/…)"#
        ),
        .init(
            #"clients: [{id: a, public: true, grants: [login], post_logout_redirect_uris: ['']}]"#,
            #"resources.yaml:1:77: clients[0].post_logout_redirect_uris: has an empty text"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], request_uris: ['ftp://a']}]"#,
            #"resources.yaml:1:64: clients[0].request_uris: is neither https://… nor http:// on loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], request_uris: ['https://a/r#1#2']}]"#,
            #"resources.yaml:1:64: clients[0].request_uris: has two fragments"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], request_object_signing_alg: none}]"#,
            #"resources.yaml:1:78: clients[0].request_object_signing_alg: is none of RS256, PS256, ES256, EdDSA"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], request_object_signing_alg: HS256}]"#,
            #"resources.yaml:1:78: clients[0].request_object_signing_alg: is none of RS256, PS256, ES256, EdDSA"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], id_token_signed_response_alg: none}]"#,
            #"resources.yaml:1:80: clients[0].id_token_signed_response_alg: is none of RS256, PS256, ES256, EdDSA"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], id_token_signed_response_alg: HS256}]"#,
            #"resources.yaml:1:80: clients[0].id_token_signed_response_alg: is none of RS256, PS256, ES256, EdDSA"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], userinfo_signed_response_alg: none}]"#,
            #"resources.yaml:1:80: clients[0].userinfo_signed_response_alg: is none of RS256, PS256, ES256, EdDSA"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], userinfo_signed_response_alg: HS256}]"#,
            #"resources.yaml:1:80: clients[0].userinfo_signed_response_alg: is none of RS256, PS256, ES256, EdDSA"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], introspection_signed_response_alg: none}]"#,
            #"resources.yaml:1:85: clients[0].introspection_signed_response_alg: is none of RS256, PS256, ES256, EdDSA"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], introspection_signed_response_alg: HS256}]"#,
            #"resources.yaml:1:85: clients[0].introspection_signed_response_alg: is none of RS256, PS256, ES256, EdDSA"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], authorization_signed_response_alg: none}]"#,
            #"resources.yaml:1:85: clients[0].authorization_signed_response_alg: is none of RS256, PS256, ES256, EdDSA"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], authorization_signed_response_alg: HS256}]"#,
            #"resources.yaml:1:85: clients[0].authorization_signed_response_alg: is none of RS256, PS256, ES256, EdDSA"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], id_token_encrypted_response_alg: RSA1_5}]"#,
            #"resources.yaml:1:83: clients[0].id_token_encrypted_response_alg: is none of RSA-OAEP-256, ECDH-ES, ECDH-ES+A128KW, ECDH-ES+A256KW"#
        ),
        .init(
            #"clients: [{id: a, public: true, grants: [login], id_token_encrypted_response_enc: A192GCM}]"#,
            #"resources.yaml:1:83: clients[0].id_token_encrypted_response_enc: is none of A128CBC-HS256, A256CBC-HS512, A128GCM, A256GCM"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], userinfo_encrypted_response_alg: RSA1_5}]"#,
            #"resources.yaml:1:83: clients[0].userinfo_encrypted_response_alg: is none of RSA-OAEP-256, ECDH-ES, ECDH-ES+A128KW, ECDH-ES+A256KW"#
        ),
        .init(
            #"clients: [{id: a, public: true, grants: [login], userinfo_encrypted_response_enc: A192GCM}]"#,
            #"resources.yaml:1:83: clients[0].userinfo_encrypted_response_enc: is none of A128CBC-HS256, A256CBC-HS512, A128GCM, A256GCM"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], default_max_age: soon}]"#,
            #"resources.yaml:1:67: clients[0].default_max_age: is text, where seconds is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], default_max_age: 31536001}]"#,
            #"resources.yaml:1:67: clients[0].default_max_age: is no number of seconds up to a year"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], default_acr_values: a}]"#,
            #"resources.yaml:1:70: clients[0].default_acr_values: is text, where list of text is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], default_acr_values: ["a\u0007"]}]"#,
            #"resources.yaml:1:70: clients[0].default_acr_values: has control characters"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], authorization_details_types: a}]"#,
            #"resources.yaml:1:79: clients[0].authorization_details_types: is text, where list of text is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], authorization_details_types: ["a\u0007"]}]"#,
            #"resources.yaml:1:79: clients[0].authorization_details_types: has control characters"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], serves: a}]"#,
            #"resources.yaml:1:58: clients[0].serves: is text, where list of resources is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], serves: ["a\u0007"]}]"#,
            #"resources.yaml:1:58: clients[0].serves: has control characters"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], exchange_audiences: a}]"#,
            #"resources.yaml:1:70: clients[0].exchange_audiences: is text, where list of resources is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], exchange_audiences: ["a\u0007"]}]"#,
            #"resources.yaml:1:70: clients[0].exchange_audiences: has control characters"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], exchange_clients: a}]"#,
            #"resources.yaml:1:68: clients[0].exchange_clients: is text, where list of clients is expected"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], exchange_clients: ["a\u0007"]}]"#,
            #"resources.yaml:1:68: clients[0].exchange_clients: has control characters"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], assertion_issuer: 'http://a.example'}]"#,
            #"resources.yaml:1:68: clients[0].assertion_issuer: is http on a host that is not loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], assertion_jwks_uri: 'javascript:alert(1)'}]"#,
            #"resources.yaml:1:70: clients[0].assertion_jwks_uri: is neither https://… nor http:// on loopback"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], subject_type: private}]"#,
            #"resources.yaml:1:64: clients[0].subject_type: is none of public, pairwise"#),
    ]
}
