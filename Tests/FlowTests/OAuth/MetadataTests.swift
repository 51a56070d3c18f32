import AuthCore
import Testing

@testable import gatehouse

@Suite("RFC 8414 §2, OpenID Connect Discovery §3: what a node says of itself")
struct MetadataTests {
    @Test("the whole document, member by member: whoever adds, changes or loses one says so here")
    func whole() async throws {
        let test = try await TestNode.oauth()
        let told = await test.send("GET", "/.well-known/openid-configuration", headers: [])
        #expect(told.status == 200 && told.header("content-type") == "application/json")
        let (metadata, wanted) = (told.json, try #require(try JSONReader.read(Self.document).object))
        for name in Set(metadata.members.map(\.name) + wanted.members.map(\.name)).sorted() {
            func text(_ value: JSONValue?) -> String { value.map { String(decoding: $0.encoded, as: UTF8.self) } ?? "absent" }
            #expect(metadata[name] == wanted[name], "\(name): \(text(metadata[name])), not \(text(wanted[name]))")
        }
        #expect(await test.send("GET", "/.well-known/oauth-authorization-server", headers: []).body == told.body)
    }

    private static let document = """
        {
          "authorization_endpoint": "http://localhost:8080/authorize",
          "authorization_response_iss_parameter_supported": true,
          "authorization_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
          "backchannel_logout_session_supported": true,
          "backchannel_logout_supported": true,
          "claim_types_supported": ["normal"],
          "claims_parameter_supported": true,
          "claims_supported": [
            "sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "preferred_username", "email",
            "email_verified"
          ],
          "code_challenge_methods_supported": ["S256"],
          "device_authorization_endpoint": "http://localhost:8080/device_authorization",
          "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "PS256", "RS256"],
          "end_session_endpoint": "http://localhost:8080/end-session",
          "frontchannel_logout_session_supported": true,
          "frontchannel_logout_supported": true,
          "grant_types_supported": [
            "authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:grant-type:jwt-bearer"
          ],
          "id_token_encryption_alg_values_supported": ["RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"],
          "id_token_encryption_enc_values_supported": ["A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"],
          "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
          "introspection_endpoint": "http://localhost:8080/introspect",
          "introspection_endpoint_auth_methods_supported": [
            "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"
          ],
          "introspection_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA", "HS256"],
          "introspection_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
          "issuer": "http://localhost:8080",
          "jwks_uri": "http://localhost:8080/.well-known/jwks.json",
          "prompt_values_supported": ["none", "login", "consent", "select_account"],
          "pushed_authorization_request_endpoint": "http://localhost:8080/par",
          "request_object_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA"],
          "request_parameter_supported": true,
          "request_uri_parameter_supported": true,
          "require_pushed_authorization_requests": false,
          "require_request_uri_registration": true,
          "response_modes_supported": ["query", "form_post", "jwt", "query.jwt", "form_post.jwt"],
          "response_types_supported": ["code"],
          "revocation_endpoint": "http://localhost:8080/revoke",
          "revocation_endpoint_auth_methods_supported": [
            "none", "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"
          ],
          "revocation_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA", "HS256"],
          "scopes_supported": ["openid", "profile", "email", "offline_access", "orders:read", "orders:write", "reports:read"],
          "subject_types_supported": ["public", "pairwise"],
          "tls_client_certificate_bound_access_tokens": false,
          "token_endpoint": "http://localhost:8080/token",
          "token_endpoint_auth_methods_supported": [
            "none", "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"
          ],
          "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA", "HS256"],
          "userinfo_encryption_alg_values_supported": ["RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"],
          "userinfo_encryption_enc_values_supported": ["A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"],
          "userinfo_endpoint": "http://localhost:8080/userinfo",
          "userinfo_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"]
        }
        """
}
