package import AuthCore

/// One member of a client's metadata: the row from which files, the stored form, registration and the documentation are made.
package struct ClientField: Sendable {
    /// How a value is written.
    package enum Form: Sendable {
        case text
        case flag
        case seconds
        case texts
        case object
    }

    package let name: String
    package let form: Form
    /// Whether a client may say this of itself (RFC 7591), or only an operator.
    package let isRegistrable: Bool
    /// What may be written, for people.
    package let values: String
    package let documentation: String
    /// Nothing when it has its default.
    package let read: @Sendable (ClientMetadata) -> JSONValue?
    /// - Returns: What is wrong with the value; then nothing was set.
    package let write: @Sendable (inout ClientMetadata, JSONValue) -> String?
}

/// Every member.
package enum ClientFields {
    package typealias Path<Value> = any WritableKeyPath<ClientMetadata, Value> & Sendable

    package static let listMax = 64

    package static func named(_ name: String) -> ClientField? { all.first { $0.name.isSameBytes(as: name) } }

    package static let all: [ClientField] = people + proofs + logout + requests + tokens + policies

    private static let people: [ClientField] = [
        text("client_name", \.name, "text, at most 128 characters", "What people are shown.", displayFault),
        text("client_uri", \.uri, "URL", "The client's home page.", URISyntax.webFault),
        text("policy_uri", \.policyURI, "URL", "Its privacy policy.", URISyntax.webFault),
        text("tos_uri", \.termsURI, "URL", "Its terms.", URISyntax.webFault),
        text(
            "logo_uri", \.logoURI, "URL",
            "Its logo, shown beside its name: PNG, JPEG, WebP or GIF of at most 128 KiB, fetched by the server.",
            URISyntax.webFault),
        word("application_type", \.applicationType, .web, "`native` for an app on a device: its loopback redirects may vary their port."),
        flag(
            "first_party", \.isFirstParty, "Part of the same product: nobody is asked for consent. Default false.", isRegistrable: false),
        word("profile", \.profile, .oauth21, "The rules that bind it; see docs/guides/oauth.md.", isRegistrable: false),
    ]

    private static let proofs: [ClientField] = [
        optionalWord(
            "token_endpoint_auth_method", \.authenticationMethod, ClientAuthenticationKind.self,
            "How it proves itself. Without it `client_secret_basic` and `client_secret_post` for a secret, `private_key_jwt` for keys."),
        text(
            "token_endpoint_auth_signing_alg", \.authenticationAlgorithm, words(signatures), "The only algorithm of its assertions.",
            oneOf(signatures + ["HS256"])),
        object("jwks", \.jwks, "JWK set", "Its public keys.", keySetFault),
        text("jwks_uri", \.jwksURI, "URL", "Where its public keys are published.", URISyntax.webFault),
        text("tls_client_auth_subject_dn", \.tlsSubject, "RFC 4514 name", "The subject of its certificate (RFC 8705 §2.1.2).", nameFault),
        text("tls_client_auth_san_dns", \.tlsDNSName, "name", "Or a DNS name in it.", nameFault),
        text("tls_client_auth_san_uri", \.tlsURI, "URI", "Or a URI in it.", nameFault),
        text("tls_client_auth_san_ip", \.tlsAddress, "address", "Or an address in it.", nameFault),
        text("tls_client_auth_san_email", \.tlsEmail, "e-mail address", "Or an e-mail address in it.", nameFault),
        text(
            "workload_issuer", \.workloadIssuer, "URL", "A platform (Kubernetes, say) whose tokens are taken as this client's assertions.",
            URISyntax.webFault, isRegistrable: false),
        text("workload_subject", \.workloadSubject, "text", "Their `sub`.", nameFault, isRegistrable: false),
        text(
            "workload_jwks_uri", \.workloadKeysURI, "URL", "Where the platform publishes its keys. Default `/openid/v1/jwks` behind it.",
            URISyntax.webFault, isRegistrable: false),
    ]

    private static let logout: [ClientField] = [
        texts(
            "post_logout_redirect_uris", \.postLogoutRedirectURIs, "list of URLs", "Where people may return to after they logged out.",
            URISyntax.redirectFault),
        text("backchannel_logout_uri", \.backchannelLogoutURI, "URL", "Told when a session ends.", URISyntax.webFault),
        flag("backchannel_logout_session_required", \.backchannelNeedsSession, "Whether it must be told the `sid`."),
        text("frontchannel_logout_uri", \.frontchannelLogoutURI, "URL", "Shown in a frame when a session ends.", URISyntax.webFault),
        flag("frontchannel_logout_session_required", \.frontchannelNeedsSession, "Whether it must be told `iss` and `sid`."),
    ]

    private static let requests: [ClientField] = [
        texts(
            "request_uris", \.requestURIs, "list of URLs",
            "Where its request objects may be fetched from (RFC 9101 §5.2); with a fragment, only as it stands.", URISyntax.requestFault),
        text(
            "request_object_signing_alg", \.requestObjectAlgorithm, words(signatures), "The only algorithm of its request objects.",
            oneOf(signatures)),
        flag("require_signed_request_object", \.needsSignedRequest, "Whether every request must be a signed object."),
        flag("require_pushed_authorization_requests", \.needsPushedRequest, "Whether every request must be pushed (RFC 9126 §6)."),
        seconds("default_max_age", \.defaultMaxAge, "How long ago a sign-in may be, when a request says nothing."),
        flag("require_auth_time", \.needsAuthTime, "Whether ID tokens always say `auth_time`."),
        texts(
            "default_acr_values", \.defaultACRValues, "list of text", "The assurance that is wanted when a request says nothing.", nameFault
        ),
        texts(
            "authorization_details_types", \.authorizationDetailsTypes, "list of text", "The types of RFC 9396 that it may ask for.",
            nameFault, isRegistrable: false),
    ]

    private static let tokens: [ClientField] = [
        word("subject_type", \.subjectType, .public, "`pairwise` gives it subjects that no other sector sees."),
        text("sector_identifier_uri", \.sectorIdentifierURI, "URL", "What its pairwise subjects belong to.", URISyntax.webFault),
        text("id_token_signed_response_alg", \.idTokenAlgorithm, words(signatures), "Default `RS256`.", oneOf(signatures)),
        text(
            "id_token_encrypted_response_alg", \.idTokenEncryption.algorithm, words(keyEncryptions), "Default none.", oneOf(keyEncryptions)),
        text(
            "id_token_encrypted_response_enc", \.idTokenEncryption.encoding, words(contentEncryptions), "Default `A128CBC-HS256`.",
            oneOf(contentEncryptions)),
        text(
            "userinfo_signed_response_alg", \.userinfoAlgorithm, words(signatures), "Without it userinfo is plain JSON.", oneOf(signatures)),
        text(
            "userinfo_encrypted_response_alg", \.userinfoEncryption.algorithm, words(keyEncryptions), "Default none.", oneOf(keyEncryptions)
        ),
        text(
            "userinfo_encrypted_response_enc", \.userinfoEncryption.encoding, words(contentEncryptions), "Default `A128CBC-HS256`.",
            oneOf(contentEncryptions)),
        text(
            "introspection_signed_response_alg", \.introspectionAlgorithm, words(signatures), "Of introspection as JWT. Default `RS256`.",
            oneOf(signatures)),
        text(
            "authorization_signed_response_alg", \.authorizationAlgorithm, words(signatures), "Of `response_mode` jwt. Default `RS256`.",
            oneOf(signatures)),
        flag("dpop_bound_access_tokens", \.needsDPoP, "Whether every token must be bound to a key (RFC 9449 §5.2)."),
        flag(
            "tls_client_certificate_bound_access_tokens", \.needsBoundCertificate,
            "Whether tokens are bound to its certificate (RFC 8705 §3.4)."),
    ]

    private static let policies: [ClientField] = [
        texts(
            "serves", \.servedResources, "list of resources", "Which it is itself: it may look into their tokens (RFC 7662).", nameFault,
            isRegistrable: false),
        texts(
            "exchange_audiences", \.exchangeAudiences, "list of resources", "For which it may exchange tokens (RFC 8693).", nameFault,
            isRegistrable: false),
        texts(
            "exchange_clients", \.exchangeClients, "list of clients", "Whose tokens it may exchange, beside its own.", nameFault,
            isRegistrable: false),
        flag(
            "exchange_impersonates", \.exchangeImpersonates, "Whether exchanged tokens name no actor. Default false: they say `act`.",
            isRegistrable: false),
        ClientField(
            name: "claims", form: .object, isRegistrable: false, values: "mapping of claim to rule",
            documentation: "Further claims of its ID tokens and UserInfo; see docs/guides/claims.md.",
            read: { $0.claims.written.map { .object($0) } },
            write: { metadata, value in
                guard let object = value.object else { return "is no mapping" }
                do throws(ClaimRules.Fault) {
                    metadata.claims = try ClaimRules(object)
                    return nil
                } catch { return error.text }
            }),
        text(
            "assertion_issuer", \.assertionIssuer, "URL",
            "Whose assertions it may turn into tokens (RFC 7523); their `sub` is a user name here.", URISyntax.webFault,
            isRegistrable: false),
        text(
            "assertion_jwks_uri", \.assertionKeysURI, "URL", "Where that issuer publishes its keys.", URISyntax.webFault,
            isRegistrable: false),
    ]

    /// What clients may choose to have signed with.
    package static let signatures = ["RS256", "PS256", "ES256", "EdDSA"]
    package static let keyEncryptions = ["RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"]
    package static let contentEncryptions = ["A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"]
}

// What is wrong with a text, or nothing.
extension ClientFields {
    /// Of a text that people are shown.
    package static func displayFault(_ text: String) -> String? {
        let isShown = text.unicodeScalars.allSatisfy {
            switch $0.properties.generalCategory {
            // Among these are the marks that turn the direction of text around.
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned: false
            default: true
            }
        }
        if !isShown { return "has characters that cannot be shown" }
        return text.unicodeScalars.count <= 128 ? nil : "is longer than 128 characters"
    }

    private static func nameFault(_ text: String) -> String? {
        if text.utf8.count > URISyntax.bytesMax { return "is longer than \(URISyntax.bytesMax) bytes" }
        return text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } ? nil : "has control characters"
    }

    private static func oneOf(_ words: [String]) -> @Sendable (String) -> String? {
        { text in words.contains { $0.isSameBytes(as: text) } ? nil : "is none of \(words.joined(separator: ", "))" }
    }

    private static func words(_ words: [String]) -> String { words.map { "`\($0)`" }.joined(separator: ", ") }

    /// The members that make a key private or symmetric (RFC 7518 §6).
    private static let privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]

    private static func keySetFault(_ set: JSONObject) -> String? {
        guard let keys = set["keys"]?.array, (1...listMax).contains(keys.count) else { return "is no JWK set of 1 to \(listMax) keys" }
        guard keys.allSatisfy({ $0.object?["kty"]?.string != nil }) else { return "has an element that is no JWK" }
        let hasSecret = keys.contains { key in privateMembers.contains { key.object?[$0] != nil } }
        if hasSecret { return "has private keys; a client gives its public ones only" }
        return JSONValue.object(set).encoded.count <= 65_536 ? nil : "is larger than 65536 bytes"
    }
}

// The rows.
extension ClientFields {
    private static func text(
        _ name: String, _ path: Path<String?>, _ values: String, _ documentation: String,
        _ fault: @escaping @Sendable (String) -> String?, isRegistrable: Bool = true
    ) -> ClientField {
        ClientField(
            name: name, form: .text, isRegistrable: isRegistrable, values: values, documentation: documentation,
            read: { metadata in metadata[keyPath: path].map { .string($0) } },
            write: { metadata, value in
                guard let text = value.string, !text.isEmpty else { return "is no text" }
                if let message = fault(text) { return message }
                metadata[keyPath: path] = text
                return nil
            })
    }

    private static func texts(
        _ name: String, _ path: Path<[String]>, _ values: String, _ documentation: String,
        _ fault: @escaping @Sendable (String) -> String?, isRegistrable: Bool = true
    ) -> ClientField {
        ClientField(
            name: name, form: .texts, isRegistrable: isRegistrable, values: values, documentation: documentation,
            read: { metadata in
                let texts = metadata[keyPath: path]
                return texts.isEmpty ? nil : .array(texts.map { .string($0) })
            },
            write: { metadata, value in
                guard let texts = value.strings, texts.count <= listMax else { return "is no list of at most \(listMax) texts" }
                for text in texts { if let message = text.isEmpty ? "has an empty text" : fault(text) { return message } }
                metadata[keyPath: path] = texts
                return nil
            })
    }

    private static func flag(_ name: String, _ path: Path<Bool>, _ documentation: String, isRegistrable: Bool = true) -> ClientField {
        ClientField(
            name: name, form: .flag, isRegistrable: isRegistrable, values: "true, false", documentation: documentation,
            read: { metadata in metadata[keyPath: path] ? .bool(true) : nil },
            write: { metadata, value in
                guard let flag = value.bool else { return "is neither true nor false" }
                metadata[keyPath: path] = flag
                return nil
            })
    }

    private static func seconds(_ name: String, _ path: Path<Duration?>, _ documentation: String) -> ClientField {
        ClientField(
            name: name, form: .seconds, isRegistrable: true, values: "seconds", documentation: documentation,
            read: { metadata in metadata[keyPath: path].map { .number(JSONNumber($0.wholeSeconds)) } },
            write: { metadata, value in
                guard let seconds = value.int, (0...31_536_000).contains(seconds) else { return "is no number of seconds up to a year" }
                metadata[keyPath: path] = .seconds(seconds)
                return nil
            })
    }

    private static func object(
        _ name: String, _ path: Path<JSONObject?>, _ values: String, _ documentation: String,
        _ fault: @escaping @Sendable (JSONObject) -> String?
    ) -> ClientField {
        ClientField(
            name: name, form: .object, isRegistrable: true, values: values, documentation: documentation,
            read: { metadata in metadata[keyPath: path].map { .object($0) } },
            write: { metadata, value in
                guard let object = value.object else { return "is no object" }
                if let message = fault(object) { return message }
                metadata[keyPath: path] = object
                return nil
            })
    }

    private static func word<Word: RawRepresentable<String> & CaseIterable & Equatable & Sendable>(
        _ name: String, _ path: Path<Word>, _ standard: Word, _ documentation: String, isRegistrable: Bool = true
    ) -> ClientField {
        ClientField(
            name: name, form: .text, isRegistrable: isRegistrable, values: words(Word.allCases.map(\.rawValue)),
            documentation: "\(documentation) Default `\(standard.rawValue)`.",
            read: { metadata in
                let word = metadata[keyPath: path]
                return word == standard ? nil : .string(word.rawValue)
            },
            write: { metadata, value in
                switch find(Word.self, value) {
                case .success(let word):
                    metadata[keyPath: path] = word
                    return nil
                case .failure(let fault): return fault.message
                }
            })
    }

    private static func optionalWord<Word: RawRepresentable<String> & CaseIterable & Sendable>(
        _ name: String, _ path: Path<Word?>, _ type: Word.Type, _ documentation: String
    ) -> ClientField {
        ClientField(
            name: name, form: .text, isRegistrable: true, values: words(Word.allCases.map(\.rawValue)), documentation: documentation,
            read: { metadata in metadata[keyPath: path].map { .string($0.rawValue) } },
            write: { metadata, value in
                switch find(Word.self, value) {
                case .success(let word):
                    metadata[keyPath: path] = word
                    return nil
                case .failure(let fault): return fault.message
                }
            })
    }

    private struct WordFault: Error { let message: String }

    private static func find<Word: RawRepresentable<String> & CaseIterable>(
        _ type: Word.Type, _ value: JSONValue
    ) -> Result<Word, WordFault> {
        if let text = value.string, let word = Word.allCases.first(where: { $0.rawValue.isSameBytes(as: text) }) { return .success(word) }
        return .failure(WordFault(message: "is none of \(Word.allCases.map(\.rawValue).joined(separator: ", "))"))
    }
}
