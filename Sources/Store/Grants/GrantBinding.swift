package import AuthCore

/// What an authorization was for: the parts of the request that its code is bound to (RFC 6749 §4.1.3, RFC 7636 §4.4), and what tokens
/// from it say. Kept with the grant, as JSON.
package struct GrantBinding: Sendable, Equatable {
    package var assurance: SessionAssurance
    /// As the client sent it; nothing when it sent none.
    package var redirectURI: String?
    /// S256; nothing when the client was allowed to send none.
    package var codeChallenge: String?
    package var nonce: String?
    /// The parameter `claims` (OpenID Connect Core §5.5).
    package var claims: JSONObject?
    /// What was granted of `authorization_details` (RFC 9396).
    package var details: [JSONValue] = []
    /// The `sub` of its tokens, when the client knows the account by another than the account's own (OpenID Connect Core §8.1). It stays
    /// as long as the grant (§12.2), and what ends the account's tokens ends those with it.
    package var subject: Identifier?
    /// Whose key the code and, of public clients, the refresh tokens are bound to.
    package var confirmation: Confirmation?

    package init(assurance: SessionAssurance) { self.assurance = assurance }
}

/// The key that whoever presents a token must prove (RFC 7800).
package struct Confirmation: Sendable, Equatable {
    package enum Kind: String, Sendable {
        /// The thumbprint of a DPoP key (RFC 9449 §6).
        case jkt
        /// The thumbprint of a certificate (RFC 8705 §3.1).
        case certificate = "x5t#S256"
    }

    package let kind: Kind
    /// SHA-256, in base64url.
    package let thumbprint: String

    package init(_ kind: Kind, _ thumbprint: String) {
        self.kind = kind
        self.thumbprint = thumbprint
    }

    package static func == (left: Confirmation, right: Confirmation) -> Bool {
        left.kind == right.kind && left.thumbprint.isSameBytes(as: right.thumbprint)
    }
}

extension GrantBinding {
    package var json: JSONValue {
        var object = JSONObject([
            ("acr", .string(assurance.acr)), ("amr", .array(assurance.amr.map { .string($0) })),
            ("auth_ms", .number(JSONNumber(assurance.authenticatedAt.milliseconds))),
        ])
        object["redirect_uri"] = redirectURI.map { .string($0) }
        object["code_challenge"] = codeChallenge.map { .string($0) }
        object["nonce"] = nonce.map { .string($0) }
        object["claims"] = claims.map { .object($0) }
        object["sub"] = subject.map { .string($0.text) }
        if !details.isEmpty { object["details"] = .array(details) }
        if let confirmation { object["cnf"] = .object(JSONObject([(confirmation.kind.rawValue, .string(confirmation.thumbprint))])) }
        return .object(object)
    }

    /// - Returns: Nothing when this is no value that `json` makes: of another program, or damaged.
    package init?(_ value: JSONValue) {
        guard let object = value.object, let acr = object["acr"]?.string, let amr = object["amr"]?.strings, let at = object["auth_ms"]?.int
        else { return nil }
        self.init(assurance: SessionAssurance(acr: acr, amr: amr, authenticatedAt: Instant(milliseconds: at)))
        for (name, value) in object {
            switch name {
            case "acr", "amr", "auth_ms": break
            case "redirect_uri": redirectURI = value.string
            case "code_challenge": codeChallenge = value.string
            case "nonce": nonce = value.string
            case "claims": claims = value.object
            case "sub": subject = value.string.map { Identifier($0) }
            case "details": details = value.array ?? []
            case "cnf":
                guard let member = value.object?.members.first, let kind = Confirmation.Kind(rawValue: member.name),
                    let thumbprint = member.value.string
                else { return nil }
                confirmation = Confirmation(kind, thumbprint)
            // A restriction that is not understood must not be passed over.
            default: return nil
            }
        }
    }
}
