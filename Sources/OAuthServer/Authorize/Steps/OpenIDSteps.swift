package import AuthCore
internal import Store

/// `prompt` (OpenID Connect Core §3.1.2.1).
package struct PromptStep: AuthorizeStep {
    package let parameters = ["prompt"]

    package init() {}

    package func apply(_ parameters: FormParameters, to request: inout AuthorizationRequest) throws(OAuthError) {
        guard let text = try parameters.optional("prompt", bytesMax: 256) else { return }
        let words = text.utf8.split(separator: UInt8(ascii: " ")).map { String(Substring($0)) }
        // One that is not known is passed over: it may be of an extension.
        request.prompt = Set(words.compactMap { Prompt(rawValue: $0) })
        if request.prompt.contains(.none), !words.allSatisfy({ Prompt(rawValue: $0) == Prompt.none }) {
            throw OAuthError(.invalidRequest, .promptConflicting, "prompt=none stands with no other value.")
        }
    }
}

/// `max_age` (OpenID Connect Core §3.1.2.1), or what the client registered.
package struct MaxAgeStep: AuthorizeStep {
    package let parameters = ["max_age"]

    package init() {}

    package func apply(_ parameters: FormParameters, to request: inout AuthorizationRequest) throws(OAuthError) {
        guard let text = try parameters.optional("max_age", bytesMax: 16) else {
            request.maxAge = request.client.definition.metadata.defaultMaxAge
            return
        }
        guard text.utf8.allSatisfy({ (0x30...0x39) ~= $0 }), let seconds = Int64(text), seconds <= 31_536_000_000 else {
            throw OAuthError(.invalidRequest, .parameterInvalid, "max_age is no number of seconds.")
        }
        request.maxAge = .seconds(seconds)
    }
}

/// `nonce`, `login_hint`, `ui_locales`, `acr_values`: taken as they are, within bounds.
package struct HintsStep: AuthorizeStep {
    package let parameters = ["nonce", "login_hint", "ui_locales", "acr_values", "display", "claims_locales"]

    package init() {}

    package func apply(_ parameters: FormParameters, to request: inout AuthorizationRequest) throws(OAuthError) {
        request.nonce = try parameters.optional("nonce", bytesMax: 1_024)
        request.loginHint = try parameters.optional("login_hint", bytesMax: 1_024)
        request.uiLocales = HintsStep.words(try parameters.optional("ui_locales", bytesMax: 256))
        let values = HintsStep.words(try parameters.optional("acr_values", bytesMax: 1_024))
        request.acrValues = values.isEmpty ? request.client.definition.metadata.defaultACRValues : values
    }

    private static func words(_ text: String?) -> [String] {
        (text ?? "").utf8.split(separator: UInt8(ascii: " ")).prefix(32).map { String(Substring($0)) }
    }
}

/// `claims` (OpenID Connect Core §5.5): a JSON object whose members `id_token` and `userinfo` name claims.
package struct ClaimsStep: AuthorizeStep {
    package let parameters = ["claims"]

    package init() {}

    package func apply(_ parameters: FormParameters, to request: inout AuthorizationRequest) throws(OAuthError) {
        guard let text = try parameters.optional("claims", bytesMax: 8_192) else { return }
        guard let object = (try? JSONReader.read(text))?.object else {  // said here
            throw OAuthError(.invalidRequest, .parameterInvalid, "claims is no JSON object (OpenID Connect Core §5.5).")
        }
        var kept = JSONObject()
        for member in ["id_token", "userinfo"] {
            guard let value = object[member], !value.isNull else { continue }
            guard let names = value.object, names.count <= 64 else {
                throw OAuthError(.invalidRequest, .parameterInvalid, "claims.\(member) is no object of at most 64 members.")
            }
            // What the client may not have by a scope it has by no other way either; a claim that is not given is no error (§5.5.1).
            kept[member] = .object(PersonClaims.allowed(names, of: request.client))
            try read(names, isIDToken: member.isSameBytes(as: "id_token"), into: &request)
        }
        request.claims = kept.count == 0 ? nil : kept
    }

    /// What a request for a claim asks of the sign-in itself (§5.5.1). Nothing that one member asks takes back what the other does.
    private func read(_ names: JSONObject, isIDToken: Bool, into request: inout AuthorizationRequest) throws(OAuthError) {
        if isIDToken, let acr = names["acr"]?.object {
            let values = ClaimsStep.values(acr)
            if acr["essential"]?.bool == true, !values.isEmpty {
                request.essentialACRValues = values
            } else {
                request.acrValues += values
            }
        }
        let subjects = names["sub"]?.object.map(ClaimsStep.values) ?? []
        if !subjects.isEmpty { try request.narrow(to: subjects.map { Identifier($0) }) }
    }

    private static func values(_ claim: JSONObject) -> [String] {
        (claim["value"]?.string.map { [$0] } ?? []) + (claim["values"]?.strings ?? [])
    }
}
