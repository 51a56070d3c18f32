import Testing

// Clients whose members do not go together.
extension FaultyText {
    static let clientCombinations: [FaultyText] = [
        .init(
            #"clients: [{id: a, public: true, grants: [login], token_endpoint_auth_method: client_secret_basic}]"#,
            #"resources.yaml:1:78: clients[0].token_endpoint_auth_method: is client_secret_basic; a public client proves nothing and has none"#
        ),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [client_credentials], token_endpoint_auth_method: none}]"#,
            #"resources.yaml:1:98: clients[0].token_endpoint_auth_method: is none; only a client that is public: true proves nothing"#),
        .init(
            #"clients: [{id: a, grants: [client_credentials], token_endpoint_auth_method: private_key_jwt}]"#,
            #"resources.yaml:1:77: clients[0].token_endpoint_auth_method: is private_key_jwt, which needs jwks, jwks_uri or workload_issuer"#
        ),
        .init(
            #"clients: [{id: a, grants: [client_credentials], token_endpoint_auth_method: self_signed_tls_client_auth}]"#,
            #"resources.yaml:1:77: clients[0].token_endpoint_auth_method: is self_signed_tls_client_auth, which needs jwks or jwks_uri"#),
        .init(
            #"clients: [{id: a, jwks_uri: 'https://a', grants: [client_credentials], token_endpoint_auth_method: client_secret_post}]"#,
            #"resources.yaml:1:11: clients[0].secret: is missing: client_secret_post needs one"#),
        .init(
            #"clients: [{id: a, secret: env:BILLING, jwks_uri: 'https://a', grants: [client_credentials], token_endpoint_auth_method: private_key_jwt}]"#,
            #"resources.yaml:1:27: clients[0].secret: has no use beside token_endpoint_auth_method: private_key_jwt"#),
        .init(
            #"clients: [{id: a, jwks: {keys: [{kty: EC}]}, jwks_uri: 'https://a', grants: [client_credentials]}]"#,
            #"resources.yaml:1:56: clients[0].jwks_uri: stands beside jwks; one of them is enough (RFC 7591 §2)"#),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [client_credentials], token_endpoint_auth_signing_alg: ES256}]"#,
            #"resources.yaml:1:103: clients[0].token_endpoint_auth_signing_alg: is for private_key_jwt (RFC 7591 §2)"#),
        .init(
            #"clients: [{id: a, jwks_uri: 'https://a', grants: [client_credentials], token_endpoint_auth_method: private_key_jwt, token_endpoint_auth_signing_alg: HS256}]"#,
            #"resources.yaml:1:150: clients[0].token_endpoint_auth_signing_alg: is HS256, which is for client_secret_jwt"#),
        .init(
            #"clients: [{id: a, grants: [client_credentials], token_endpoint_auth_method: tls_client_auth}]"#,
            #"resources.yaml:1:77: clients[0].token_endpoint_auth_method: is tls_client_auth, which needs one of tls_client_auth_subject_dn, …_san_dns, …_san_uri, …_san_ip, …_san_email"#
        ),
        .init(
            #"clients: [{id: a, grants: [client_credentials], token_endpoint_auth_method: tls_client_auth, tls_client_auth_san_dns: a, tls_client_auth_san_ip: '::1'}]"#,
            #"resources.yaml:1:146: clients[0].tls_client_auth_san_ip: stands beside tls_client_auth_san_dns; exactly one is meant (RFC 8705 §2.1.2)"#
        ),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [client_credentials], tls_client_auth_subject_dn: 'CN=a'}]"#,
            #"resources.yaml:1:98: clients[0].tls_client_auth_subject_dn: has no use without token_endpoint_auth_method: tls_client_auth"#),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['https://a/cb'], profile: fapi-2.0}]"#,
            #"resources.yaml:1:105: clients[0].profile: is fapi-2.0, which has no public clients (FAPI 2.0 §5.3.2.1)"#),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [client_credentials], profile: fapi-2.0}]"#,
            #"resources.yaml:1:79: clients[0].profile: is fapi-2.0, which wants private_key_jwt or a certificate, not a secret (FAPI 2.0 §5.3.2.1)"#
        ),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [client_credentials], jwks_uri: 'https://a', token_endpoint_auth_method: client_secret_basic, profile: fapi-2.0}]"#,
            #"resources.yaml:1:151: clients[0].profile: is fapi-2.0, which wants private_key_jwt or a certificate, not a secret (FAPI 2.0 §5.3.2.1)"#
        ),
        .init(
            #"clients: [{id: a, jwks_uri: 'https://a/k', grants: [authorization_code], redirect_uris: ['https://a/cb'], profile: fapi-2.0, id_token_signed_response_alg: RS256}]"#,
            #"resources.yaml:1:156: clients[0].id_token_signed_response_alg: is RS256, which the profile fapi-2.0 does not allow (FAPI 2.0 §5.4.1)"#
        ),
        .init(
            #"clients: [{id: a, jwks_uri: 'https://a/k', grants: [authorization_code], redirect_uris: ['http://127.0.0.1/cb'], profile: fapi-2.0}]"#,
            #"resources.yaml:1:89: clients[0].redirect_uris: has http, which under fapi-2.0 native clients alone may have (FAPI 2.0 §5.3.2.2)"#
        ),
        .init(
            #"clients: [{id: a, jwks_uri: 'https://a', grants: [client_credentials], workload_issuer: 'https://p', workload_subject: s, token_endpoint_auth_method: private_key_jwt, profile: fapi-2.0}]"#,
            #"resources.yaml:1:89: clients[0].workload_issuer: is the issuer of a platform; the profile fapi-2.0 wants assertions of the client's own"#
        ),
        .init(
            #"clients: [{id: a, jwks_uri: 'https://a', grants: [login], profile: fapi-2.0}]"#,
            #"resources.yaml:1:50: clients[0].grants: has login, which the profile fapi-2.0 does not allow"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login, token_exchange]}]"#,
            #"resources.yaml:1:41: clients[0].grants: token_exchange is for clients that prove themselves; a public client cannot"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login, jwt_bearer]}]"#,
            #"resources.yaml:1:41: clients[0].grants: jwt_bearer is for clients that prove themselves; a public client cannot"#),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [jwt_bearer], assertion_issuer: 'https://a.example'}]"#,
            #"resources.yaml:1:48: clients[0].grants: jwt_bearer needs assertion_jwks_uri: somebody must be trusted"#),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [jwt_bearer], assertion_jwks_uri: 'https://a.example/k'}]"#,
            #"resources.yaml:1:48: clients[0].grants: jwt_bearer needs assertion_issuer: somebody must be trusted"#),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [client_credentials], assertion_issuer: 'https://a.example'}]"#,
            #"resources.yaml:1:88: clients[0].assertion_issuer: has no use without the grant jwt_bearer"#),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [client_credentials], assertion_jwks_uri: 'https://a.example/k'}]"#,
            #"resources.yaml:1:90: clients[0].assertion_jwks_uri: has no use without the grant jwt_bearer"#),
        .init(
            #"clients: [{id: a, public: true, grants: [refresh_token, token_exchange]}]"#,
            #"resources.yaml:1:41: clients[0].grants: refresh_token needs authorization_code, device_code or login beside it: nothing else gives refresh tokens"#
        ),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [client_credentials], exchange_audiences: [o]}]"#,
            #"resources.yaml:1:90: clients[0].exchange_audiences: has no use without the grant token_exchange"#),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [client_credentials], exchange_clients: [b]}]"#,
            #"resources.yaml:1:88: clients[0].exchange_clients: has no use without the grant token_exchange"#),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [client_credentials], exchange_impersonates: true}]"#,
            #"resources.yaml:1:93: clients[0].exchange_impersonates: has no use without the grant token_exchange"#),
        .init(
            #"clients: [{id: a, public: true, grants: [login], serves: [o]}]"#,
            #"resources.yaml:1:58: clients[0].serves: is for clients that prove themselves; a public client may not introspect (RFC 7662 §2.1)"#
        ),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [client_credentials], serves: [orders]}]"#,
            #"resources.yaml:1:79: clients[0].serves: "orders" is no resource"#),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [client_credentials], serves: [gatehouse]}]"#,
            #"resources.yaml:1:79: clients[0].serves: "gatehouse" is no resource"#),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [token_exchange], exchange_audiences: [order]}, {id: order}]"#,
            #"resources.yaml:1:87: clients[0].exchange_audiences: "order" is no resource"#),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['https://a/cb'], backchannel_logout_session_required: true}]"#,
            #"resources.yaml:1:133: clients[0].backchannel_logout_session_required: has no use without backchannel_logout_uri"#),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['https://a/cb'], frontchannel_logout_session_required: true}]"#,
            #"resources.yaml:1:134: clients[0].frontchannel_logout_session_required: has no use without frontchannel_logout_uri"#),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['https://a/cb'], frontchannel_logout_uri: 'https://a:444/out'}]"#,
            #"resources.yaml:1:121: clients[0].frontchannel_logout_uri: has another scheme, host or port than each redirect URI (Front-Channel Logout §2)"#
        ),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['https://a/cb'], frontchannel_logout_uri: 'http://localhost/out'}]"#,
            #"resources.yaml:1:121: clients[0].frontchannel_logout_uri: has another scheme, host or port than each redirect URI (Front-Channel Logout §2)"#
        ),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [client_credentials], backchannel_logout_uri: 'https://a/out'}]"#,
            #"resources.yaml:1:94: clients[0].backchannel_logout_uri: has no use without the grant authorization_code"#),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['https://a/cb'], require_signed_request_object: true}]"#,
            #"resources.yaml:1:127: clients[0].require_signed_request_object: needs jwks or jwks_uri: request objects are signed with the client's own key"#
        ),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['https://a/cb'], request_uris: ['https://a/r']}]"#,
            #"resources.yaml:1:110: clients[0].request_uris: needs jwks or jwks_uri: request objects are signed with the client's own key"#),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['https://a/cb'], request_object_signing_alg: ES256}]"#,
            #"resources.yaml:1:124: clients[0].request_object_signing_alg: needs jwks or jwks_uri: request objects are signed with the client's own key"#
        ),
        .init(
            #"clients: [{id: a, secret: env:BILLING, grants: [client_credentials], require_pushed_authorization_requests: true}]"#,
            #"resources.yaml:1:109: clients[0].require_pushed_authorization_requests: has no use without the grant authorization_code"#),
        .init(
            #"clients: [{id: a, jwks_uri: 'https://a/k', grants: [authorization_code], redirect_uris: ['https://a/cb'], id_token_encrypted_response_enc: A128GCM}]"#,
            #"resources.yaml:1:140: clients[0].id_token_encrypted_response_enc: needs id_token_encrypted_response_alg beside it"#),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['https://a/cb'], userinfo_encrypted_response_alg: ECDH-ES}]"#,
            #"resources.yaml:1:129: clients[0].userinfo_encrypted_response_alg: needs jwks or jwks_uri: it is encrypted to the client's key"#
        ),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['https://a/cb'], dpop_bound_access_tokens: true, tls_client_certificate_bound_access_tokens: true}]"#,
            #"resources.yaml:1:172: clients[0].tls_client_certificate_bound_access_tokens: stands beside dpop_bound_access_tokens; a token has one key"#
        ),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['https://a/cb', 'https://b/cb'], subject_type: pairwise}]"#,
            #"resources.yaml:1:126: clients[0].subject_type: is pairwise; redirect URIs that are not all on one host need sector_identifier_uri (OpenID Connect Core §8.1)"#
        ),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['com.example.app:/cb'], subject_type: pairwise}]"#,
            #"resources.yaml:1:117: clients[0].subject_type: is pairwise; redirect URIs that are not all on one host need sector_identifier_uri (OpenID Connect Core §8.1)"#
        ),
        .init(
            #"clients: [{id: a, public: true, grants: [device_code], subject_type: pairwise}]"#,
            #"resources.yaml:1:70: clients[0].subject_type: is pairwise; redirect URIs that are not all on one host need sector_identifier_uri (OpenID Connect Core §8.1)"#
        ),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['https://a/cb', 'com.example.app:/cb'], subject_type: pairwise}]"#,
            #"resources.yaml:1:133: clients[0].subject_type: is pairwise; redirect URIs that are not all on one host need sector_identifier_uri (OpenID Connect Core §8.1)"#
        ),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['https://a/cb'], sector_identifier_uri: 'https://a/s'}]"#,
            #"resources.yaml:1:119: clients[0].sector_identifier_uri: has no use without subject_type: pairwise"#),
        .init(
            #"clients: [{id: a, public: true, first_party: true, grants: [authorization_code], redirect_uris: ['http://127.0.0.1/cb']}]"#,
            #"resources.yaml:1:46: clients[0].first_party: leaves people unasked, and any program can receive at a redirect URI that is not https (RFC 8252 §8.6)"#
        ),
        .init(
            #"clients: [{id: a, public: true, first_party: true, grants: [authorization_code], redirect_uris: ['https://a/cb', 'com.example.app:/cb']}]"#,
            #"resources.yaml:1:46: clients[0].first_party: leaves people unasked, and any program can receive at a redirect URI that is not https (RFC 8252 §8.6)"#
        ),
        .init(
            #"clients: [{id: a, public: true, application_type: native, grants: [login, authorization_code], redirect_uris: ['com.example.a:/cb']}]"#,
            #"resources.yaml:1:67: clients[0].grants: has login, which leaves people unasked, and any program can receive at a redirect URI that is not https (RFC 8252 §8.6)"#
        ),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code, login], redirect_uris: ['https://a/cb', 'http://127.0.0.1/cb']}]"#,
            #"resources.yaml:1:41: clients[0].grants: has login, which leaves people unasked, and any program can receive at a redirect URI that is not https (RFC 8252 §8.6)"#
        ),
        .init(
            #"clients: [{id: a, public: true, grants: [login], subject_type: pairwise}]"#,
            #"resources.yaml:1:64: clients[0].subject_type: is pairwise, which the grant login does not have"#),
        .init(
            #"clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['https://a/cb'], scopes: ['gatehouse:account'], subject_type: pairwise}]"#,
            #"resources.yaml:1:141: clients[0].subject_type: is pairwise, and Gatehouse's own API knows nobody by that (scopes gatehouse:…)"#
        ),
    ]
}
